"""Gates that meet others between their look and their commit: by what is gone it is decided anew."""

import asyncio
from functools import partial

import pytest

from headrace.core.limits import LaneState
from headrace.core.outcomes import CancelAsked
from headrace.core.wishes import OnRetry
from headrace.errors import StoreUnavailable
from headrace.stores.chunking import ChunkFound
from headrace.stores.redis.database import Database
from headrace.stores.redis.session import Session
from tests.builders import HOUR, NAMESPACE, NOW, QUEUE, TYPE, a_failure, a_hello, a_job, happen, read, settle
from tests.contract.chunking import WAIT, a_chunk, messages
from tests.contract.gated import (
    GPU,
    account,
    added,
    define,
    drained,
    ids,
    lane_of,
    limited,
    ordered,
    rate,
    slots,
    taken,
    user,
)
from tests.stores.redis.meanwhile import Meanwhile

OTHER = "other"
OTHERS = partial(taken, queues={OTHER: 10})
ROOT = "headrace:{default}"


@pytest.fixture
def meanwhile(monkeypatch: pytest.MonkeyPatch) -> Meanwhile:
    return Meanwhile(monkeypatch)


# ------------------------------------------------------------ clocks


async def test_c16_job_that_a_clock_made_ready_too_early_takes_no_slot_from_one_that_is_due(store):
    await define(store, slots("gpu", 1))
    early, due = await added(store, limited(GPU, due_at=NOW + HOUR, priority=5), limited(GPU))
    assert await taken(store, now=NOW + HOUR, types=frozenset({"other"}), prompt=0) == []
    await store.hello(a_hello("late", types=frozenset({TYPE}), seen_at=NOW + HOUR))
    await store.unpark_known(now=NOW + HOUR)

    assert ids(await taken(store)) == [due]

    assert (await read(store, early)).placement.due_at == NOW + HOUR


# ------------------------------------------------------------ slots


async def test_c41_two_gates_on_one_lane_count_one_after_the_other(store, rival, meanwhile):
    await define(store, slots("gpu", 1))
    here, there = await added(store, limited(GPU), limited(GPU, queue=OTHER))
    meanwhile(partial(OTHERS, rival))

    assert await taken(store) == []

    assert meanwhile.done
    assert (await read(store, there)).placement.slot_key == f'["{GPU}"]'
    assert await lane_of(store, here) == GPU
    await settle(store, await read(store, there))
    assert ids(await taken(store)) == [here]


async def test_c10_two_gates_with_the_same_candidate_give_it_to_one(store, rival, meanwhile):
    await define(store, slots("gpu", 5))
    (job,) = await added(store, limited(GPU))
    meanwhile(partial(taken, rival, worker="rival"))

    assert await taken(store) == []

    placed = await read(store, job)
    assert (placed.fence, placed.placement.worker) == (1, "rival")


async def test_c41_candidate_that_others_took_away_does_not_keep_the_rest(store, rival, meanwhile):
    await define(store, slots("gpu", 5))
    first, second = await added(store, limited(GPU), limited(GPU))
    gone = await read(store, first)
    meanwhile(lambda: happen(rival, gone, CancelAsked()))

    assert ids(await taken(store)) == [second]


async def test_c41_slot_that_is_freed_meanwhile_is_taken(store, rival, meanwhile):
    await define(store, slots("gpu", 1))
    first, second = await added(store, limited(GPU), limited(GPU))
    (running,) = await taken(store, 1)
    assert running.id == first
    meanwhile(lambda: settle(rival, running))

    assert ids(await taken(store)) == [second]


@pytest.mark.parametrize("outcome", [a_failure(), None], ids=["retry", "end"])
async def test_c41_slot_that_is_freed_after_the_lane_was_forgotten_is_taken(store, rival, meanwhile, outcome):
    """A lane of which nothing need be kept is forgotten also while its slots are held."""
    await define(store, slots("gpu", 1))
    _, second = await added(store, limited(GPU), limited(GPU))
    (running,) = await taken(store, 1)
    assert await store.forget_lanes(now=NOW, limit=10) == 1
    assert await store.lane_states(NAMESPACE, [GPU]) == {}
    meanwhile(lambda: settle(rival, running, *(() if outcome is None else (outcome,))))

    assert ids(await taken(store)) == [second]


async def test_c41_lane_that_was_forgotten_and_made_again_is_looked_at_again(store, rival, meanwhile):
    await define(store, slots("gpu", 1))
    await store.set_lane(NAMESPACE, LaneState(key=GPU))
    here, there = await added(store, limited(GPU), limited(GPU, queue=OTHER))

    async def forget_and_make() -> None:
        assert await rival.forget_lanes(now=NOW, limit=10) == 1
        assert ids(await OTHERS(rival)) == [there]

    meanwhile(forget_and_make)

    assert await taken(store) == []
    assert await lane_of(store, here) == GPU


async def test_c41_lane_that_is_closed_meanwhile_admits_nobody(store, rival, meanwhile):
    lane = "breaker:mail"
    (job,) = await added(store, limited(lane))
    meanwhile(lambda: rival.set_lane(NAMESPACE, LaneState(key=lane, opens_at=NOW + HOUR)))

    assert await taken(store) == []

    assert await lane_of(store, job) == lane


async def test_c10_jobs_that_were_admitted_are_handed_out_whatever_comes_after(store, monkeypatch):
    """What follows the commit only tidies up; the sweep does it as well."""
    await define(store, slots("gpu", 1))
    first, second, _ = await added(store, *(limited(GPU) for _ in range(3)))
    await taken(store, 1, queues={OTHER: 1})  # so the definitions are known

    async def unreachable(*_: object) -> list[object]:
        raise StoreUnavailable("gone")

    with monkeypatch.context() as gone:
        gone.setattr(Database, "write", unreachable)
        found = await taken(store, 2)

    assert ids(found) == [first]
    assert await lane_of(store, second) == GPU


async def test_c42_two_gates_take_one_token_each(store, rival, meanwhile):
    await define(store, rate("gpu", 1))
    await added(store, limited(GPU), limited(GPU, queue=OTHER))
    meanwhile(partial(OTHERS, rival))

    assert await taken(store) == []


async def test_c43_queue_that_is_paused_meanwhile_admits_nobody(store, rival, meanwhile):
    await define(store, slots("gpu", 1))
    (job,) = await added(store, limited(GPU))
    meanwhile(lambda: rival.set_paused(NAMESPACE, QUEUE, paused=True))

    assert await taken(store) == []

    assert (await read(store, job)).placement.due_at == NOW


# ------------------------------------------------------------ definitions


async def test_c41_limit_that_is_raised_meanwhile_counts_at_once(store, rival, meanwhile):
    await define(store, slots("gpu", 0))
    jobs = await added(store, limited(GPU), limited(GPU))
    meanwhile(lambda: define(rival, slots("gpu", 2)))

    assert ids(await taken(store)) == jobs


async def test_c41_limit_that_is_lowered_meanwhile_counts_at_once(store, rival, meanwhile):
    await define(store, slots("gpu", 2))
    jobs = await added(store, limited(GPU), limited(GPU))
    meanwhile(lambda: define(rival, slots("gpu", 1)))

    assert ids(await taken(store)) == jobs[:1]


async def test_c41_limit_that_a_gate_without_lanes_has_not_known_counts_at_once(store, rival, meanwhile):
    """No lane of the job has a limit yet, so none is looked at."""
    jobs = await added(store, limited(GPU), limited(GPU))
    meanwhile(lambda: define(rival, slots("gpu", 1)))

    assert ids(await taken(store)) == jobs[:1]


# ------------------------------------------------------------ ordering keys


async def test_c40_two_gates_on_one_key_start_one_job(store, rival, meanwhile):
    first, second = await added(store, ordered(), ordered())
    meanwhile(partial(taken, rival))

    assert await taken(store) == []

    assert [await lane_of(store, job) for job in (first, second)] == [None, account("7")]


async def test_c40_end_of_the_job_that_ran_meanwhile_lets_the_next_one_start(store, rival, meanwhile):
    first, second = await added(store, ordered(), ordered())
    (running,) = await taken(store, 1)
    assert running.id == first
    meanwhile(lambda: settle(rival, running))

    assert ids(await taken(store)) == [second]


async def test_c40_job_that_lets_others_pass_and_stops_meanwhile_lets_the_next_one_start(
    store, rival, meanwhile
):
    first, second = await added(store, *(ordered(on_retry=OnRetry.PASS) for _ in range(2)))
    (running,) = await taken(store, 1)
    assert running.id == first
    meanwhile(lambda: settle(rival, running, a_failure()))

    assert ids(await taken(store)) == [second]


async def test_c40_cancel_meanwhile_of_one_that_never_ran_lets_the_next_one_start(store, rival, meanwhile):
    """Nothing was kept of the key before."""
    first, second = await added(store, ordered(queue=OTHER), ordered())
    waiting = await read(store, first)
    meanwhile(lambda: happen(rival, waiting, CancelAsked()))

    assert ids(await taken(store)) == [second]


async def test_c40_first_of_a_key_is_found_behind_many_that_are_delayed(store):
    await added(store, *(ordered(due_at=NOW + HOUR) for _ in range(1_200)))
    first, second = await added(store, ordered(), ordered())

    assert ids(await taken(store)) == [first]
    assert await lane_of(store, second) == account("7")
    figures = await store.lane_figures(NAMESPACE, [account("7")])
    assert figures[account("7")].first_parked == second


async def test_c40_key_that_changes_while_its_first_is_looked_for_is_looked_at_again(
    store, rival, monkeypatch
):
    await added(store, *(ordered(due_at=NOW + HOUR) for _ in range(600)))
    first, second = await added(store, ordered(queue=OTHER), ordered())
    waiting = await read(store, first)
    steps = [lambda: happen(rival, waiting, CancelAsked())]
    original = Session.look

    async def look(session, name, *given):
        found = await original(session, name, *given)
        if name == "look_at_order" and steps:
            await steps.pop()()
        return found

    monkeypatch.setattr(Session, "look", look)

    assert ids(await taken(store)) == [second]
    assert steps == []


# ------------------------------------------------------------ chunks


async def test_chunk_of_which_a_message_was_taken_meanwhile_is_counted_anew(store, rival, meanwhile):
    await messages(store, 7)
    meanwhile(lambda: rival.claim_chunk(a_chunk(size=5)))

    assert await store.claim_chunk(a_chunk(size=5)) == ChunkFound(oldest_due_at=NOW)


async def test_old_messages_that_others_left_meanwhile_are_a_chunk(store, rival, meanwhile):
    await messages(store, 7)
    meanwhile(lambda: rival.claim_chunk(a_chunk(size=5)))

    found = await store.claim_chunk(a_chunk(size=10, now=NOW + WAIT))

    assert len(found.jobs) == 2


async def test_chunk_under_a_limit_that_came_meanwhile_is_smaller(store, rival, meanwhile):
    await messages(store, 5)
    meanwhile(lambda: define(rival, slots("type:echo", 2)))

    assert len((await store.claim_chunk(a_chunk(size=5))).jobs) == 2


async def test_c43_chunk_of_a_queue_that_is_paused_meanwhile_is_not_claimed(store, rival, meanwhile):
    await messages(store, 5)
    meanwhile(lambda: rival.set_paused(NAMESPACE, QUEUE, paused=True))

    assert await store.claim_chunk(a_chunk(size=5)) == ChunkFound()


async def test_messages_behind_many_other_jobs_are_found(store):
    await added(store, *(a_job(type="plain") for _ in range(4_500)))
    found = await messages(store, 5)

    assert [job.id for job in (await store.claim_chunk(a_chunk(size=5))).jobs] == found


# ------------------------------------------------------------ crowds


async def test_c41_twelve_claimers_never_hold_more_than_the_slots(store, rival, client):
    await define(store, slots("gpu", 3))
    jobs = await added(store, *(limited(GPU) for _ in range(150)))
    counted: list[int] = []
    ended: set[str] = set()

    async def claimer(number: int) -> None:
        mine = (store, rival)[number % 2]
        while len(ended) < len(jobs):
            found = await taken(mine, 5, worker=f"w{number}")
            counted.append(client.zcard(f"{ROOT}:slots:{GPU}"))
            for job in found:
                await settle(mine, job)
                ended.add(job.id)

    await asyncio.gather(*(claimer(number) for number in range(12)))

    assert max(counted) <= 3
    assert client.keys(f"{ROOT}:slots:*") == []


async def test_c40_c41_ten_thousand_jobs_behind_a_full_lane_cost_other_claims_nothing(store, client):
    await define(store, slots("per-user", 1))
    for _ in range(10):
        await added(store, *(limited(user("a")) for _ in range(500)), *(ordered() for _ in range(500)))
    held = await taken(store, 100)
    while await taken(store, 100):
        pass
    plain = await added(store, *(a_job() for _ in range(5)))
    (other,) = await added(store, limited(user("b")))
    client.config_resetstat()

    assert ids(await taken(store, 5)) == plain

    assert scripts_run(client) == 1
    assert ids(await taken(store)) == [other]
    assert client.zcard(f"{ROOT}:q:default:ready") == 0
    assert len(held) == 2


def scripts_run(client) -> int:
    """How many scripts the server has run since its counts were set back."""
    stats = client.info("commandstats")
    return sum(stats.get(f"cmdstat_{name}", {"calls": 0})["calls"] for name in ("evalsha", "eval"))


async def test_c41_parked_jobs_come_one_after_the_other_whoever_ends_them(store, rival):
    await define(store, slots("gpu", 1))
    jobs = await added(store, *(limited(GPU) for _ in range(20)))
    found = []
    for number in range(20):
        (job,) = await taken((store, rival)[number % 2])
        found.append(job.id)
        await settle((rival, store)[number % 2], job)

    assert found == jobs
    assert await drained(store) == []
