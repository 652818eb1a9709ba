"""What tests of chunks share: a type named ``orders``, and its messages."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from headrace.core.chunk import ChunkRule
from headrace.core.states import State
from headrace.engine.chunk import Chunk, Message
from headrace.engine.chunk_type import chunk_registered
from headrace.engine.registry import JobOptions
from headrace.worker.events import Finished
from tests.worker.rig import RETRY_AFTER_10, Rig, Watch

WAIT_S = 30


@dataclass
class Order:
    """A message of these tests."""

    n: int


Orders = Chunk[Order]
Answer = Callable[[Message[Order]], object]


def chunk_type(rig: Rig, handler: Any, *, size: int = 3, wait: float = WAIT_S, **options: Any) -> None:
    """Registers a handler of chunks under the name ``orders``."""
    told = {"name": "orders", "retry": RETRY_AFTER_10} | options
    rule = ChunkRule(max_size=size, max_wait_ms=round(wait * 1000))
    rig.registry.add(chunk_registered(handler, JobOptions(**told), rule))


def as_kind(kind: str, handle: Callable[[Orders], object]) -> Any:
    """The handler as an async or a plain function."""
    if kind == "async":

        async def handler(chunk: Orders) -> None:
            handle(chunk)

        return handler

    def plain(chunk: Orders) -> None:
        handle(chunk)

    return plain


async def orders(rig: Rig, count: int, **fields: Any) -> list[str]:
    return [await rig.enqueue("orders", {"n": n}, **fields) for n in range(count)]


async def states(rig: Rig, ids: list[str]) -> list[State]:
    return [(await rig.read(one)).state for one in ids]


async def finished(watch: Watch, ids: list[str], *, count: int = 1) -> list[Finished]:
    return [await watch.finished(one, count=count) for one in ids]
