"""One operation of a store in a process of its own: ``python -m tests.crash.kit.step <step> <url> <place>``.

Everything in it is fixed (ids, times, worker), so that the state after it is the same in every run. The
process says "ready", waits for the file ``<place>.gate``, and makes ``<place>.ack`` when the store says
that the operation is done. It never closes the store unless closing is the operation.
"""

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from headrace.core.outcomes import Outcome
from headrace.core.unique import Unique
from headrace.stores.open import open_store
from headrace.stores.protocol import NewJob, Store
from tests.builders import NOW, SUCCESS, a_failure, a_job, claim, enqueue, read, reported
from tests.crash.kit.children import tie_to_parent
from tests.crash.kit.clocks import until

MODULE: Final = "tests.crash.kit.step"
BULK: Final = 300
OPEN: Final = "migrate"

Act = Callable[[Store], Awaitable[None]]


def fixed_job(number: int, unique: str | None = None, tags: tuple[str, ...] = ()) -> NewJob:
    """A job that is the same in every process."""
    return a_job(
        id=f"00000000-0000-7000-8000-{number:012}",
        payload=f'{{"n":{number}}}',
        unique=None if unique is None else Unique(key=unique),
        tags=tags,
    )


async def _three_wait(store: Store) -> None:
    await enqueue(store, *(fixed_job(number) for number in range(1, 4)))


async def _one_runs(store: Store) -> None:
    await _three_wait(store)
    await claim(store, n=1)


async def _enqueue(store: Store) -> None:
    await enqueue(store, fixed_job(100, unique="only", tags=("a", "b")))


async def _bulk(store: Store) -> None:
    await enqueue(store, *(fixed_job(200 + number, tags=("bulk",)) for number in range(BULK)))


async def _claim(store: Store) -> None:
    await claim(store, n=2)


async def _complete(store: Store) -> None:
    await _settle(store, SUCCESS)


async def _fail(store: Store) -> None:
    await _settle(store, a_failure())


async def _settle(store: Store, outcome: Outcome) -> None:
    job = await read(store, fixed_job(1).facts.id)
    await store.apply([reported(job, outcome)], now=NOW)


async def _nothing(store: Store) -> None:
    del store


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """An operation: the store as it finds it, what it does, and whether closing comes after the gate."""

    before: Act
    act: Act
    closes: bool = False


STEPS: Final = {
    "enqueue": Step(before=_three_wait, act=_enqueue),
    "bulk": Step(before=_three_wait, act=_bulk),
    "claim": Step(before=_three_wait, act=_claim),
    "complete": Step(before=_one_runs, act=_complete),
    "fail and retry": Step(before=_one_runs, act=_fail),
    "close": Step(before=_three_wait, act=_bulk, closes=True),
    OPEN: Step(before=_nothing, act=_nothing),
}


async def main(name: str, url: str, place: str) -> None:
    step = STEPS[name]
    store = None if name == OPEN else await open_store(url)
    if store is not None and step.closes:
        await step.act(store)
        _done(place)
    os.write(1, b"ready\n")
    await until("the gate opens", Path(f"{place}.gate").exists)
    if store is None:
        store = await open_store(url)
    elif step.closes:
        await store.close()
        Path(f"{place}.closed").touch()
    else:
        await step.act(store)
    _done(place)
    os._exit(0)


def _done(place: str) -> None:
    Path(f"{place}.ack").touch()


if __name__ == "__main__":
    tie_to_parent()
    asyncio.run(main(*sys.argv[1:]))
