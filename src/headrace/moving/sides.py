"""The two ends of a move."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol, TypeGuard

from headrace.clock import Clock, StoreClock
from headrace.errors import Refused, StoreUnusable
from headrace.stores.adopting import AdoptionStore
from headrace.stores.protocol import Store


class MoveRefused(Refused):
    """The move cannot begin or go on as things are; the message says what is in the way."""


class MovableStore(Store, AdoptionStore, Protocol):
    """A store that jobs can be moved from and to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One end: the jobs of a namespace in a store. ``name`` is for people and holds no credentials."""

    store: MovableStore
    clock: Clock
    namespace: str
    name: str


@dataclass(frozen=True, slots=True)
class Said:
    """Where a move is: what it does, and with how many of how many; 0 of them where that is unknown."""

    text: str
    done: int = 0
    total: int = 0


Say = Callable[[Said], None]
Pause = Callable[[float], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What a move needs of the world: somebody to tell how far it is, a way to wait, and who others are."""

    say: Say = lambda _: None
    pause: Pause = asyncio.sleep
    mover: str = "mover"
    has_gone: Callable[[str], bool] = lambda _: False


async def side_of(store: Store, namespace: str, *, clock: Clock | None = None) -> Side:
    """An end of a move. Raises StoreUnusable for a store that cannot take jobs in."""
    health = await store.check()
    where = health.details.get("server") or health.details.get("path") or ""
    within = health.details.get("prefix", "")
    name = f"{health.store} {where} {within}".rstrip()
    if not _is_movable(store):
        msg = f"jobs cannot be moved from or to {name} with this version"
        raise StoreUnusable(msg)
    return Side(store=store, clock=clock or StoreClock(await store.now()), namespace=namespace, name=name)


def _is_movable(store: Store) -> TypeGuard[MovableStore]:
    return isinstance(store, AdoptionStore)
