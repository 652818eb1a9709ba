"""Enqueues that run their jobs at once, for tests of code that enqueues."""

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import Any

from headrace.app import App
from headrace.core.outcomes import Crashed, Failed
from headrace.core.request import EnqueueRequest
from headrace.core.states import State
from headrace.engine.handle import Handle
from headrace.testing.driver import Driver, Ran, driving


@contextmanager
def inline(app: App) -> Generator[list[Ran]]:
    """While the block lasts, an enqueue returns when its jobs have ended, run in this process.

    For ``enqueue``, ``enqueue_sync``, ``app.enqueue_many`` and its twin. Results and errors are those of a
    worker: ``handle.result()`` returns or raises them. An attempt that fails is repeated without its
    back-off. A job with a delay, or one that snoozes, stays in the store until it is due: see ``drain`` and
    ``advance``. What is enqueued with ``tx=`` stays there too, until a drain after the commit. Yields the
    attempts that ran.
    """
    ran: list[Ran] = []
    plain = app.enqueue_many

    async def enqueue_many(requests: Sequence[EnqueueRequest], *, tx: object = None) -> Sequence[Handle[Any]]:
        handles = await plain(requests, tx=tx)
        if tx is None:
            async with driving(app) as driver:
                await _run_out(driver, ran)
        return handles

    vars(app)["enqueue_many"] = enqueue_many  # of this app only; ``enqueue_many_sync`` calls it too
    try:
        yield ran
    finally:
        del vars(app)["enqueue_many"]


async def _run_out(driver: Driver, ran: list[Ran]) -> None:
    """Runs what is due, and failed attempts again at once, until nothing is left to run."""
    while True:
        latest = await driver.run_due()
        ran += latest
        again = {
            one.job_id
            for one in latest
            if one.state is State.PENDING and isinstance(one.outcome, Failed | Crashed)
        }
        if not any([await driver.hasten(job_id) for job_id in again]):
            return
