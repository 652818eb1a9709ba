"""The chore that frees children which nobody has looked at."""

import pytest

from headrace.clock import ManualClock
from headrace.core.job import Transition
from headrace.core.outcomes import CancelAsked
from headrace.core.states import State
from headrace.engine.aftermath import Aftermath
from headrace.stores.open import open_store
from headrace.stores.protocol import Store
from headrace.upkeep import free_children
from headrace.upkeep.chore import ChoreResult
from headrace.upkeep.free_children import FreeChildren
from tests.builders import NOW, a_job, claim, happen, read, settle
from tests.contract.flowing import a_child, edge

SPACES = ("one", "two")


@pytest.fixture
async def store(anyio_backend: str):
    opened = await open_store("sqlite://")
    await opened.migrate()
    yield opened
    await opened.close()


async def families(store: Store) -> list[tuple[str, str, str]]:
    """A parent that has completed and its blocked child, in each namespace."""
    made = []
    for namespace in SPACES:
        parent, child = a_job(namespace=namespace), a_child(namespace=namespace)
        await store.insert(namespace, [parent, child], now=NOW, edges=[edge(child, parent.facts.id)])
        (running,) = await claim(store, namespace=namespace)
        await settle(store, running)
        made.append((namespace, parent.facts.id, child.facts.id))
    return made


async def states(store: Store, made: list[tuple[str, str, str]]) -> list[State]:
    return [(await read(store, child, namespace=namespace)).state for namespace, _, child in made]


async def test_c38a_children_are_freed_in_all_namespaces_in_one_run(store: Store):
    made = await families(store)
    chore = FreeChildren(store, ManualClock(NOW))

    first, second, third = [await chore.run_once() for _ in range(3)]

    assert (first, second, third) == (ChoreResult(done=2), ChoreResult(), ChoreResult())
    assert await states(store, made) == [State.PENDING] * 2
    assert (await store.waiting_children(after=0, limit=10)).over == ()


async def test_runs_go_on_where_the_last_one_ended_and_begin_anew_at_the_end(
    store: Store, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(free_children, "AT_ONCE", 1)
    made = await families(store)
    chore = FreeChildren(store, ManualClock(NOW))

    results = [await chore.run_once() for _ in range(3)]

    assert results == [
        ChoreResult(done=1, more=True),
        ChoreResult(done=1, more=True),
        ChoreResult(),
    ]
    assert await states(store, made) == [State.PENDING] * 2


async def test_aftermath_of_its_namespace_is_told(store: Store):
    made = await families(store)
    told: list[Transition] = []
    aftermath = Aftermath("two")
    aftermath.settled.listen(told.extend)

    await FreeChildren(store, ManualClock(NOW), aftermath=aftermath).run_once()

    assert [one.job.id for one in told] == [made[1][2]]


async def test_child_that_was_cancelled_meanwhile_is_left_alone(store: Store):
    made = await families(store)
    namespace, _, child = made[0]
    await happen(store, await read(store, child, namespace=namespace), CancelAsked())

    assert (await FreeChildren(store, ManualClock(NOW)).run_once()).done == 1
    assert await states(store, made) == [State.CANCELLED, State.PENDING]
