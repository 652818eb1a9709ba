"""What a scenario is made of: contenders that run in turn, figures they return, goals in ratios."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Protocol

from bench.places import Workspace

Figures = Mapping[str, float]


class Side(StrEnum):
    """On whose side a contender stands."""

    OURS = "headrace"
    PEER = "peer"
    LIMIT = "limit"


class Stores(Protocol):
    """What a scenario on a server gets: a store of its own for each turn."""

    @property
    def url(self) -> str:
        """Where the server itself is asked."""
        ...

    def copy(self, name: str, fill: Callable[[str], object]) -> AbstractContextManager[str]:
        """The URL of a fresh store as ``fill`` makes it. The same name means the same content."""
        ...

    def empty(self) -> AbstractContextManager[str]:
        """The URL of a store with nothing in it."""
        ...

    def about(self) -> str:
        """The server's version and those settings that decide about speed."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One turn of a contender: where it works, and whether it should be quick. ``databases`` are there in
    scenarios on a server."""

    space: Workspace
    quick: bool
    databases: Stores | None = None

    def at(self, url: str) -> "Run":
        """The same turn on another store."""
        return replace(self, space=self.space.on_server(url))

    def size(self, full: int, quick: int) -> int:
        """The size to use."""
        return quick if self.quick else full


@dataclass(frozen=True, slots=True, kw_only=True)
class Contender:
    """Something that is measured. ``run`` returns figures by name, such as ``{"jobs/s": 12000.0}``."""

    name: str
    side: Side
    run: Callable[[Run], Figures]
    once: bool = False

    @property
    def family(self) -> str:
        """What ``--only`` calls it: ours, limits, or the peer's name."""
        match self.side:
            case Side.OURS:
                return "ours"
            case Side.LIMIT:
                return "limits"
            case Side.PEER:
                return self.name.partition(",")[0]


Medians = Mapping[str, Figures]


@dataclass(frozen=True, slots=True, kw_only=True)
class Goal:
    """A sentence, the number it speaks of (from the medians), and the bound that number must keep."""

    text: str
    value: Callable[[Medians], float]
    at_least: float | None = None
    at_most: float | None = None
    must: bool = False
    form: str = "{:.2f}"

    def kept(self, number: float) -> bool:
        """Whether the bound holds; without a bound there is nothing to keep."""
        if self.at_least is not None:
            return number >= self.at_least
        return self.at_most is None or number <= self.at_most

    @property
    def bound(self) -> str:
        """The bound in words."""
        if self.at_least is not None:
            return f"{'must' if self.must else 'goal'} ≥ {self.at_least:g}"
        if self.at_most is not None:
            return f"{'must' if self.must else 'goal'} ≤ {self.at_most:g}"
        return ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """Contenders that answer one question. ``prepare`` runs once, before the first round; ``server`` starts
    the server that they need."""

    name: str
    question: str
    method: str
    contenders: tuple[Contender, ...]
    goals: tuple[Goal, ...] = ()
    prepare: Callable[[Run], None] | None = None
    server: Callable[[], AbstractContextManager[Stores]] | None = None


def ratio(figure: str, over: str, under: str) -> Callable[[Medians], float]:
    """The figure of one contender over that of another."""
    return lambda medians: medians[over][figure] / medians[under][figure]


def figure(contender: str, name: str) -> Callable[[Medians], float]:
    """One contender's figure as it is."""
    return lambda medians: medians[contender][name]


def ratio_to_best(figure: str, over: str, others: Sequence[str]) -> Callable[[Medians], float]:
    """The figure of one contender over the highest among those of others that could be measured."""
    return lambda medians: medians[over][figure] / max(_found(medians, figure, others))


def ratio_to_least(figure: str, over: str, others: Sequence[str]) -> Callable[[Medians], float]:
    """The figure of one contender over the lowest among those of others that could be measured."""
    return lambda medians: medians[over][figure] / min(_found(medians, figure, others))


def _found(medians: Medians, figure: str, names: Sequence[str]) -> list[float]:
    found = [medians[name][figure] for name in names if figure in medians.get(name, {})]
    if not found:
        raise KeyError(figure)
    return found
