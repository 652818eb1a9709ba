"""How Headrace is filled and started for a measurement."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace

from bench import library
from bench.library import Left, Library
from bench.processes import Started, ask, ours, script, started
from bench.scenario import Figures, Run, Side
from headrace import App
from headrace.core.states import State

APP = "bench.ours.jobs:app"
AT_A_TIME = 100_000
LIVE = (State.PENDING, State.PROCESSING)


def told(run: Run, what: str, count: int, kind: str = "noop") -> dict[str, float]:
    """Runs one of the commands of ``bench.ours.producer`` to its end."""
    return ask(run, ours("bench.ours.producer", what, count, kind))


@contextmanager
def worker(run: Run, *, count: int = 1, loop: str = "") -> Iterator[list[Started]]:
    """Worker processes: the product's command, or with ``loop`` the same worker on that event loop."""
    command = ours("bench.ours.worker", loop) if loop else [script("headrace"), "worker", "--app", APP]
    with started(run, command, count=count) as those:
        yield those


def drained(run: Run, count: int, *, workers: int = 1, loop: str = "") -> Figures:
    """Starts workers on a filled store and measures them until nothing is left."""
    return library.drained(
        run,
        replace(OURS, work=lambda run, count: worker(run, count=count, loop=loop)),
        count,
        workers=workers,
    )


@asynccontextmanager
async def watching(run: Run) -> AsyncIterator[Left]:
    """Asks the store, as an operator would."""
    app = App(run.space.url)
    async with app:
        operations = await app.operations()

        async def left() -> int:
            return (await operations.stats()).count(*LIVE)

        yield left


def history(run: Run, count: int) -> None:
    """Enqueues and completes jobs through the store, without a worker."""
    for first in range(0, count, AT_A_TIME):
        some = min(AT_A_TIME, count - first)
        told(run, "bulk", some)
        ask(run, ours("bench.ours.store", some), limit=300)


OURS = Library(
    name="headrace",
    side=Side.OURS,
    produce=told,
    work=lambda run, count: worker(run, count=count),
    watch=watching,
    jobs=60_000,
    calls=6_000,
    history=history,
)
