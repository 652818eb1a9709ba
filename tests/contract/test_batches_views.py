"""What is told of a batch while it changes, on every store."""

import pytest

from headrace.core.batch import Counts, Phase
from headrace.core.batch_wire import BatchView
from headrace.core.filters import Page
from headrace.engine.local import LocalOperations
from headrace.stores.protocol import Store
from tests.builders import a_failure
from tests.contract.batching import Desk, Meanwhile, a_desk


@pytest.fixture
async def desk(store: Store) -> Desk:
    return await a_desk(store)


async def one(engine: LocalOperations, name: str) -> BatchView:
    return await engine.batch(name)


async def listed(engine: LocalOperations, name: str) -> BatchView:
    views, _ = await engine.batches(Page(limit=10))
    return next(view for view in views if view.state.id == name)


@pytest.mark.parametrize("look", [one, listed])
async def test_c37_batch_retried_while_it_is_read_is_not_told_as_closed(desk: Desk, look):
    name = await desk.made(2)
    await desk.run_all(a_failure())
    await desk.closing.check((name,))
    closed = await look(desk.engine, name)
    retried = Meanwhile(desk.store, "batch_counts", lambda: desk.engine.retry_batch(name))

    view = await look(Desk(retried, desk.clock).engine, name)

    assert (closed.state.phase, closed.counts) == (Phase.CLOSED, Counts(failed=2))
    assert (view.state.phase, view.state.generation) == (Phase.SEALED, 2)
    assert view.counts == Counts(pending=2)
