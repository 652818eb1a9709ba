"""Gates that meet others between their look and their commit: by what is gone it is decided anew."""

from collections.abc import Mapping
from functools import partial

import pytest

from headrace.core.limit_names import lane_of_limit
from headrace.core.limits import LaneState, Limit, Rate
from headrace.core.outcomes import CancelAsked
from headrace.errors import StoreUnavailable
from headrace.stores.lanes import LaneFigures
from headrace.stores.redis import applying
from headrace.stores.redis.database import Again, Database
from tests.builders import HOUR, NAMESPACE, NOW, QUEUE, TYPE, a_failure, a_hello, happen, read, settle
from tests.contract.gated import (
    GPU,
    added,
    define,
    ids,
    lane_of,
    limited,
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
    await known_lanes(store, slots("gpu", 1))
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


async def test_c41_slots_that_others_take_meanwhile_make_no_gate_start_over(store, rival, meanwhile):
    await known_lanes(store, slots("gpu", 2))
    here, there = await added(store, limited(GPU), limited(GPU, queue=OTHER))
    meanwhile(partial(OTHERS, rival))

    assert ids(await taken(store)) == [here]

    assert meanwhile.commits == 2
    assert (await read(store, there)).placement.slot_key == f'["{GPU}"]'


async def test_c41_candidates_that_are_all_gone_when_a_gate_starts_over_keep_nobody_from_the_next(
    store, rival, meanwhile
):
    """Nothing was kept of the lane before, so that the other one makes this one start over."""
    await define(store, slots("gpu", 3))
    _, second = await added(store, limited(GPU), limited(GPU))
    meanwhile(partial(taken, rival, 1))

    assert ids(await taken(store, 1)) == [second]


async def test_c41_candidate_that_others_took_gives_way_to_the_next_of_its_kind(store, rival, meanwhile):
    await known_lanes(store, slots("gpu", 3))
    first, second, _ = await added(store, *(limited(GPU) for _ in range(3)))
    meanwhile(partial(taken, rival, 1))

    assert ids(await taken(store, 1)) == [second]

    assert meanwhile.commits == 2
    assert (await read(store, first)).fence == 1


async def test_c41_candidates_of_which_others_took_the_first_are_the_next_ones(store, rival, meanwhile):
    await known_lanes(store, slots("gpu", 3))
    jobs = await added(store, *(limited(GPU) for _ in range(4)))
    meanwhile(partial(taken, rival, 1))

    assert ids(await taken(store, 2)) == jobs[1:3]

    assert held_and_parked(await store.lane_figures(NAMESPACE, [GPU])) == (3, 0)


async def test_c39_candidate_that_others_took_gives_way_to_none_of_another_kind(store, rival, meanwhile):
    """The one behind it is of a lane that nobody has looked at."""
    await known_lanes(store, slots("gpu", 3), slots("per-user", 0))
    _, full, third = await added(store, limited(GPU), limited(user("a")), limited(GPU))
    meanwhile(partial(taken, rival, 1))

    assert ids(await taken(store, 1)) == [third]

    assert await lane_of(store, full) == user("a")


async def test_c39_job_that_would_overtake_one_that_waits_on_its_lane_stays_behind(
    store, rival, meanwhile, monkeypatch
):
    """The lane was full, and is free again; who freed it has died before it brought back who waits."""
    await known_lanes(store, slots("gpu", 1))
    await store.hello(a_hello("both", types=frozenset({TYPE, "other"}), seen_at=NOW))
    later, _ = await added(store, limited(GPU), limited(GPU, queue=OTHER))

    async def fill_park_and_free() -> None:
        (running,) = await OTHERS(rival)
        (waits,) = await added(store, limited(GPU, priority=5, type="other"))
        assert await taken(rival, types=frozenset({"other"})) == []
        assert await lane_of(store, waits) == GPU
        with monkeypatch.context() as dead:
            dead.setattr(applying, "give_on", nothing)
            await settle(rival, running)

    meanwhile(fill_park_and_free)

    assert await taken(store) == []

    assert await lane_of(store, later) == GPU
    assert len(await taken(store, types=frozenset({"other"}))) == 1


async def test_c41_job_is_not_parked_behind_one_that_is_gone_meanwhile(store, rival, meanwhile, monkeypatch):
    await define(store, slots("gpu", 1))
    _, waits = await added(store, limited(GPU), limited(GPU))
    (running,) = await taken(store, 1)
    assert await taken(store) == []
    with monkeypatch.context() as dead:
        dead.setattr(applying, "give_on", nothing)
        await settle(store, running)
    (job,) = await added(store, limited(GPU, due_at=NOW + 1))
    waiting = await read(store, waits)
    meanwhile(lambda: happen(rival, waiting, CancelAsked()))

    (found,) = await taken(store, now=NOW + 1)

    assert (found.id, found.revision) == (job, 1)


async def test_c41_jobs_alike_are_left_where_a_slot_is_freed_before_they_are_parked(
    store, rival, monkeypatch
):
    await define(store, slots("gpu", 1))
    await added(store, *(limited(GPU) for _ in range(200)))
    (running,) = await taken(store, 1)
    steps = [lambda: settle(rival, running)]
    refused: list[object] = []
    original = Database.write

    async def write(database, keys, writes):
        if writes[0][0] == "park_alike" and steps:
            await steps.pop()()
            with pytest.raises(Again):
                await original(database, keys, writes)
            refused.append(writes)
            raise Again
        return await original(database, keys, writes)

    monkeypatch.setattr(Database, "write", write)

    assert len(await taken(store, 100)) == 1
    assert len(refused) == 1


async def test_c41_one_claim_parks_all_that_are_alike(store, client):
    await define(store, slots("gpu", 1))
    await added(store, *(limited(GPU) for _ in range(1_700)))

    assert len(await taken(store, 100)) == 1

    assert client.zcard(f"{ROOT}:q:default:ready") == 0
    assert held_and_parked(await store.lane_figures(NAMESPACE, [GPU])) == (1, 1_699)


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


async def test_c42_job_that_is_gone_meanwhile_takes_no_token(store, rival, meanwhile):
    await define(store, rate("gpu", 1, burst=1))
    first, second = await added(store, limited(GPU), limited(GPU))
    gone = await read(store, first)
    meanwhile(lambda: happen(rival, gone, CancelAsked()))

    assert ids(await taken(store)) == [second]

    (state,) = (await store.lane_states(NAMESPACE, [GPU])).values()
    assert state.tat == NOW * 1_000 + Rate(count=1, per_ms=1_000).spacing


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


def held_and_parked(figures: Mapping[str, LaneFigures]) -> tuple[int, int]:
    """How many hold a slot of the one lane, and how many wait on it."""
    (one,) = figures.values()
    return one.holders, one.parked


async def known_lanes(store, *limits: Limit) -> None:
    """Makes these the definitions, and their lanes such as have been looked at before."""
    await define(store, *limits)
    for limit in limits:
        await store.set_lane(NAMESPACE, LaneState(key=lane_of_limit(limit.name)))


async def nothing(*_: object) -> None:
    """Takes the place of what a process has died before."""
