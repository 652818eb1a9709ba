"""What an experiment is, what it is given and what it reports."""

from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from collections.abc import Set as AbstractSet
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Final, TypeVar

from headrace.clock import StoreClock
from headrace.engine.local import LocalOperations
from headrace.stores.open import open_store
from headrace.stores.protocol import Store
from tests.crash.kit.checker import Violation, checked
from tests.crash.kit.children import Fleet
from tests.crash.kit.dump import Dump, dumped
from tests.crash.kit.history import Client, History
from tests.crash.kit.ledger import LEDGER, Ledger
from tests.crash.kit.nemesis import Nemesis
from tests.crash.kit.target import EVERYWHERE, Target

T = TypeVar("T")

LOST: Final = frozenset({"I1", "C4"})
"""Violations that mean that something acknowledged is gone."""


SAMPLE_MS: Final = 250
PAUSE_MS: Final = 50
"""How far store time as a worker knows it may be behind on a busy machine: for a server by the reply's way
back, for a file by the moment between reading two clocks."""


class Size(StrEnum):
    """How much of an experiment is done: some seconds, or as much as the promise is worth."""

    SMOKE = "smoke"
    FULL = "full"


class NotHere(Exception):
    """This machine or this store cannot do the experiment; the text says why."""


@dataclass(slots=True)
class Findings:
    """What an experiment counts while it runs.

    ``did`` says what was done and how often, ``again`` how often a handler ran once more and why.
    """

    did: Counter[str] = field(default_factory=Counter[str])
    again: Counter[str] = field(default_factory=Counter[str])
    figures: dict[str, str] = field(default_factory=dict[str, str])
    violations: list[Violation] = field(default_factory=list[Violation])
    left_out: list[str] = field(default_factory=list[str])

    def found(self, violations: Iterable[Violation]) -> None:
        """Takes violations."""
        self.violations.extend(violations)

    def demand(self, kept: object, number: str, job: str, broken: str) -> None:
        """Notes a violation unless the promise was kept."""
        if not kept:
            self.violations.append(Violation(number, job, broken))

    @property
    def lost(self) -> int:
        """How many violations mean a loss."""
        return sum(one.number in LOST for one in self.violations)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """What an experiment is given: an empty store, a folder, a size and chance."""

    target: Target
    folder: Path
    size: Size
    nemesis: Nemesis
    findings: Findings

    @property
    def ledger(self) -> Ledger:
        return Ledger(self.folder / "ledger")

    @property
    def history(self) -> History:
        return History(self.folder / "history")

    async def check(self, store: Store) -> Dump:
        """Compares what clients, handlers and the store say, and takes what it finds; the store's side."""
        dump = await dumped(store)
        error_ms = SAMPLE_MS if self.target.server is not None else PAUSE_MS
        self.findings.found(checked(dump, self.ledger, self.history, clock_error_ms=error_ms))
        return dump

    def pick(self, *, smoke: T, full: T) -> T:
        """What the size asks for."""
        return smoke if self.size is Size.SMOKE else full

    def fleet(self, env: Mapping[str, str] | None = None) -> Fleet:
        """Processes whose handlers write into this scene's ledger."""
        return Fleet(self.folder, {LEDGER: str(self.ledger.path)} | dict(env or {}))

    @asynccontextmanager
    async def store(self) -> AsyncIterator[Store]:
        """The store, opened by this process."""
        store = await open_store(self.target.url)
        try:
            await store.migrate()
            yield store
        finally:
            await store.close()

    @asynccontextmanager
    async def client(self) -> AsyncIterator[tuple[Client, Store]]:
        """A client of this process that notes what it is told, and its store."""
        from tests.crash.kit.jobs import registry  # noqa: PLC0415 - the job types import pydantic

        async with self.store() as store:
            operations = LocalOperations(store, StoreClock(await store.now()), registry=registry)
            yield Client(operations, self.history), store


Body = Callable[[Scene], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Experiment:
    """An experiment: ``title`` in a few words, ``does`` in a sentence for the results table."""

    name: str
    title: str
    does: str
    body: Body
    on: AbstractSet[str] = EVERYWHERE


EXPERIMENTS: Final[dict[str, Experiment]] = {}


def experiment(
    name: str, title: str, does: str, *, on: AbstractSet[str] = EVERYWHERE
) -> Callable[[Body], Body]:
    """Registers the decorated function. ``on`` names the stores on which it makes sense."""

    def register(body: Body) -> Body:
        EXPERIMENTS[name] = Experiment(name=name, title=title, does=does, body=body, on=on)
        return body

    return register
