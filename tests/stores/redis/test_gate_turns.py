"""Gates that meet others at ordering keys, and those of chunks."""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import pytest

from headrace.core.outcomes import CancelAsked
from headrace.core.wishes import OnRetry
from headrace.stores.chunking import ChunkFound
from headrace.stores.redis.database import Database
from headrace.stores.redis.keys import Keys
from headrace.stores.redis.session import Session
from tests.builders import HOUR, NAMESPACE, NOW, QUEUE, a_failure, a_job, happen, read, settle
from tests.contract.chunking import WAIT, a_chunk, messages
from tests.contract.gated import (
    GPU,
    account,
    added,
    define,
    ids,
    lane_of,
    limited,
    ordered,
    slots,
    taken,
)
from tests.stores.redis.meanwhile import Meanwhile

OTHER = "other"
OTHERS = partial(taken, queues={OTHER: 10})
ROOT = "headrace:{default}"


@pytest.fixture
def meanwhile(monkeypatch: pytest.MonkeyPatch) -> Meanwhile:
    return Meanwhile(monkeypatch)


@pytest.fixture
def after_scripts(monkeypatch: pytest.MonkeyPatch) -> list[Callable[[], Awaitable[None]]]:
    """What happens once a claim's scripts have named its candidates, one for each claim."""
    steps: list[Callable[[], Awaitable[None]]] = []
    run_times = Database.run_times

    async def then_step(database: Database, keys: Keys, name: str, args: object, *, times: int) -> list[Any]:
        found = await run_times(database, keys, name, args, times=times)
        if steps:
            await steps.pop(0)()
        return found

    monkeypatch.setattr(Database, "run_times", then_step)
    return steps


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


# ------------------------------------------------------------ between the claim's script and the gate's look


async def test_c40_end_of_the_first_between_claim_and_look_lets_the_next_one_start(
    store, rival, after_scripts
):
    first, second = await added(store, ordered(), ordered())

    async def run_first() -> None:
        (job,) = await taken(rival, 1)
        assert job.id == first
        await settle(rival, job)

    after_scripts.append(run_first)

    assert ids(await taken(store)) == [second]


async def test_c40_cancel_of_the_first_between_claim_and_look_lets_the_next_one_start(
    store, rival, after_scripts
):
    first, *rest = await added(store, *(ordered() for _ in range(4)))

    async def cancel_first() -> None:
        await happen(rival, await read(rival, first), CancelAsked())

    after_scripts.append(cancel_first)

    assert ids(await taken(store)) == rest[:1]


async def test_c40_cancel_of_a_first_that_a_limit_refuses_lets_the_next_one_start(
    store, rival, after_scripts
):
    await define(store, slots("gpu", 1))
    (holder,) = await added(store, limited(GPU))
    assert ids(await taken(store, 1)) == [holder]
    first, second = await added(store, ordered(lanes=[GPU]), ordered())

    async def cancel_first() -> None:
        await happen(rival, await read(rival, first), CancelAsked())

    after_scripts.append(cancel_first)

    assert ids(await taken(store)) == [second]


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
