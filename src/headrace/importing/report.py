"""What an import found and did, for people and for programs."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Final

from headrace.core.wire import Json

NAMED: Final = 1_000
"""So many jobs of each kind of trouble are named; all are counted."""

Kind = tuple[str, str, str]
"""Where it waits, its name there, its type here."""


@dataclass(slots=True)
class Named:
    """Jobs by their ids there, and what is the matter with them."""

    count: int = 0
    first: dict[str, str] = field(default_factory=dict[str, str])

    def add(self, job_id: str, why: str) -> None:
        """Notes one."""
        self.count += 1
        if len(self.first) < NAMED:
            self.first[job_id] = why

    def to_json(self) -> dict[str, Json]:
        """As JSON."""
        return {"count": self.count, "jobs": [{"id": one, "why": why} for one, why in self.first.items()]}


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundSchedule:
    """A scheduler: its name there, the id it has or would have here, the rule, and what became of it."""

    name: str
    schedule_id: str
    type: str
    rule: str
    said: str

    def to_json(self) -> dict[str, Json]:
        """As JSON."""
        return {
            "scheduler": self.name,
            "scheduleId": self.schedule_id,
            "type": self.type,
            "rule": self.rule,
            "said": self.said,
        }


@dataclass(slots=True, kw_only=True)
class Found:
    """What a pass over all jobs found.

    ``counts`` are those that fit, ``unfit`` those that their job type refuses, ``unknown`` names that stand
    for no type, and ``left`` is what is not for an import, by reason.
    """

    seen: int = 0
    counts: Counter[Kind] = field(default_factory=Counter[Kind])
    unfit: Named = field(default_factory=Named)
    unknown: Counter[str] = field(default_factory=Counter[str])
    left: Counter[str] = field(default_factory=Counter[str])


@dataclass(slots=True, kw_only=True)
class Report:
    """How an import went, or with ``planned`` how it would.

    ``taken`` is how many jobs were written now, ``before`` how many an earlier import had taken, ``held``
    those whose unique key another live job here holds, ``missing`` those that were written and not found as
    they should be. ``left`` is what does not wait.
    """

    source: str
    queue: str
    planned: bool = True
    paused: bool = False
    prioritized: bool = False
    unchecked: tuple[str, ...] = ()
    leave_unfit: bool = False
    found: Found = field(default_factory=Found)
    taken: int = 0
    before: int = 0
    held: Named = field(default_factory=Named)
    missing: Named = field(default_factory=Named)
    left: Counter[str] = field(default_factory=Counter[str])
    schedules: list[FoundSchedule] = field(default_factory=list[FoundSchedule])
    arrived: int = 0
    warnings: list[str] = field(default_factory=list[str])

    @property
    def total(self) -> int:
        """How many jobs fit."""
        return self.found.counts.total()

    @property
    def verified(self) -> bool:
        """Whether each job that waited there is here, but for those that were to be left."""
        if self.planned:
            return self.leave_unfit or not self.found.unfit.count
        accounted = self.taken + self.before == self.total and not self.missing.count
        return accounted and (self.leave_unfit or not self.found.unfit.count)

    def to_json(self) -> dict[str, Json]:
        """As JSON."""
        return {
            "source": self.source,
            "queue": self.queue,
            "planned": self.planned,
            "verified": self.verified,
            "paused": self.paused,
            "prioritized": self.prioritized,
            "uncheckedTypes": list(self.unchecked),
            "counts": [
                {"part": part, "name": name, "type": kind, "count": count}
                for (part, name, kind), count in sorted(self.found.counts.items())
            ],
            "total": self.total,
            "taken": self.taken,
            "takenBefore": self.before,
            "held": self.held.to_json(),
            "unfit": self.found.unfit.to_json(),
            "missing": self.missing.to_json(),
            "left": dict(self.left + self.found.left),
            "schedules": [one.to_json() for one in self.schedules],
            "arrivedMeanwhile": self.arrived,
            "warnings": list(self.warnings),
        }
