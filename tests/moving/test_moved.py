"""What is at the target after a move, for every pair of stores."""

import pytest

from headrace.core.flow import OnParentFailure
from headrace.core.limits import LaneState
from headrace.core.states import LIVE, State
from headrace.core.unique import OnConflict, Unique
from headrace.errors import DuplicateJob
from headrace.stores.protocol import InsertKind, Receipt
from tests.builders import HOUR, MINUTE, NAMESPACE, NOW, a_job, claim, enqueue, read, settle
from tests.contract.gated import user
from tests.moving.scene import filled, moved, paused, seen, settings


async def test_everything_of_live_jobs_is_there_in_their_order(pair, clock):
    ids = await filled(pair.source, clock)

    report = await moved(pair.source, pair.target, clock)

    here, there = await seen(pair.source), await seen(pair.target)
    live = [one for one, (_, placement, *_) in here.items() if placement.live]
    assert report.verified, report.differences
    assert [one for one in there if one in live] == live
    assert {one: there[one] for one in live} == {one: here[one] for one in live}
    assert len(there[ids["retrying"]][3].attempts) == 1
    assert [one.id for one in there[ids["retrying"]][4][1]] == ["s2", "s1"]
    assert there[ids["child"]][6] == here[ids["child"]][6]


async def test_what_has_ended_comes_only_where_it_is_still_needed(pair, clock):
    ids = await filled(pair.source, clock)

    await moved(pair.source, pair.target, clock)

    here, there = await seen(pair.source), await seen(pair.target)
    ended = {one for one in there if there[one][1].terminal}
    assert ended == {ids["dead"], ids["first parent"], ids["ended member"]}
    assert {one: there[one] for one in ended} == {one: here[one] for one in ended}


async def test_what_has_ended_comes_along_if_asked_for(pair, clock):
    ids = await filled(pair.source, clock)

    report = await moved(pair.source, pair.target, clock, ended=True)

    here, there = await seen(pair.source), await seen(pair.target)
    assert report.verified, report.differences
    assert there == here
    assert list(there) == list(here)
    assert ids["completed"] in there


async def test_settings_receipts_records_and_lanes_are_there(pair, clock):
    await filled(pair.source, clock)

    report = await moved(pair.source, pair.target, clock)

    here, there = await settings(pair.source), await settings(pair.target)
    assert there == here
    assert there["receipts"] == [("idempotency:a", there["receipts"][0][1], "digest")]
    assert report.things["schedule registers"] == 1
    assert report.things["audit records"] == 3


async def test_source_stays_whole_and_paused_and_target_is_paused_as_the_source_was(pair, clock):
    await filled(pair.source, clock)
    before, how = await seen(pair.source), await paused(pair.source)

    report = await moved(pair.source, pair.target, clock)

    assert await seen(pair.source) == before
    assert set((await paused(pair.source)).values()) == {True}
    there = await paused(pair.target)
    assert {name: there[name] for name in how if name in there} == {
        name: how[name] for name in how if name in there
    }
    assert how["plain"]
    assert not how["order"]
    assert report.paused == ("plain",)


async def test_counts_of_both_sides_are_the_same(pair, clock):
    await filled(pair.source, clock)

    report = await moved(pair.source, pair.target, clock)

    def live(tallies):
        return {
            (one.queue, one.type, one.state): one.count for one in tallies if one.state in LIVE and one.count
        }

    assert live(await pair.target.tallies(NAMESPACE)) == live(await pair.source.tallies(NAMESPACE))
    assert {key: n for key, n in report.source_counts.items() if key[2] == State.PENDING} == {
        key: n for key, n in report.target_counts.items() if key[2] == State.PENDING
    }


async def test_c39_jobs_are_claimed_at_the_target_in_the_order_of_the_source(pair, clock):
    jobs = [a_job(queue="one", priority=n % 2, due_at=NOW) for n in range(1_100)]
    await enqueue(pair.source, *jobs)
    ranked = sorted(jobs, key=lambda new: -new.placement.priority)

    await moved(pair.source, pair.target, clock)

    taken = await claim(pair.target, n=1_100, queues={"one": 1_100})
    assert [job.id for job in taken] == [new.facts.id for new in ranked]


async def test_c11_fences_go_on_where_they_were(pair, clock):
    ids = await filled(pair.source, clock)

    await moved(pair.source, pair.target, clock)

    fence = (await read(pair.source, ids["retrying"])).fence
    taken = {job.id: job for job in await claim(pair.target, n=10, now=NOW + MINUTE)}
    again = taken[ids["retrying"]]
    assert (again.fence, again.placement.starts) == (fence + 1, 2)
    assert again.progress == '{"done":1}'


async def test_c28_unique_keys_are_held_at_the_target(pair, clock):
    ids = await filled(pair.source, clock)

    await moved(pair.source, pair.target, clock)

    with pytest.raises(DuplicateJob) as held:
        await enqueue(pair.target, a_job(unique=Unique(key="only", on_conflict=OnConflict.REJECT)))
    assert held.value.existing_id == ids["unique"]


async def test_c31_idempotency_keys_answer_at_the_target(pair, clock):
    ids = await filled(pair.source, clock)

    await moved(pair.source, pair.target, clock)

    again = a_job(receipt=Receipt(key="idempotency:a", until=NOW + HOUR, body="digest"))
    (answer,) = await enqueue(pair.target, again)
    assert (answer.kind, answer.job_id) == (InsertKind.EXISTING, ids["received"])


async def test_c36_batch_counts_are_the_same(pair, clock):
    ids = await filled(pair.source, clock)

    await moved(pair.source, pair.target, clock)

    batch = ids["batch"]
    here = await pair.source.batch_counts(NAMESPACE, [batch])
    assert await pair.target.batch_counts(NAMESPACE, [batch]) == here
    assert sum(here[batch].values()) == 3


async def test_c38a_child_runs_when_its_last_parent_has_ended_at_the_target(pair, clock):
    ids = await filled(pair.source, clock)
    await moved(pair.source, pair.target, clock)
    await pair.target.set_paused(NAMESPACE, "plain", paused=False)

    taken = await claim(pair.target, n=1_000, queues={"plain": 1_000})
    (parent,) = [job for job in taken if job.id == ids["second parent"]]
    assert parent.waited_on
    await settle(pair.target, parent)

    (ready,) = await pair.target.ready_among(NAMESPACE, [ids["child"]])
    waiting = await pair.target.waiting_children(after=0, limit=10)
    assert (ready.job.id, ready.on_parent_failure, ready.failed) == (ids["child"], OnParentFailure.CANCEL, ())
    assert waiting.ready == ((NAMESPACE, ids["child"]),)


async def test_c40_started_job_holds_its_ordering_key_at_the_target(pair, clock):
    ids = await filled(pair.source, clock)

    await moved(pair.source, pair.target, clock)

    assert await claim(pair.target, n=5, queues={"order": 5}) == []
    (first,) = await claim(pair.target, n=5, queues={"order": 5}, now=NOW + MINUTE)
    assert first.id == ids["holds the key"]


async def test_c42_a_rate_goes_on_where_it_was(pair, clock):
    await filled(pair.source, clock)

    await moved(pair.source, pair.target, clock)

    key = user("7")
    states = await pair.target.lane_states(NAMESPACE, [key])
    assert states == await pair.source.lane_states(NAMESPACE, [key])
    assert isinstance(states[key], LaneState)
    assert await claim(pair.target, n=5, queues={"lanes": 5}, now=NOW + MINUTE) == []
    back = await pair.target.unpark_free(now=NOW + 2 * HOUR, limit=10)
    assert back.count == 1


async def test_dead_letters_can_be_dealt_with_at_the_target(pair, clock):
    ids = await filled(pair.source, clock)

    await moved(pair.source, pair.target, clock)

    (count,) = await pair.target.dead_counts(NAMESPACE)
    assert (count.count, count.last_id) == (1, ids["dead"])
    history = await pair.target.history(NAMESPACE, ids["dead"])
    assert [one.outcome for one in history.attempts] == ["errored"]
