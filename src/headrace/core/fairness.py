"""Fair queues: in which order the jobs of several tenants start, however many each of them has brought.

Start-time fair queueing (Goyal, Vin and Cheng, 1996). A job's rank is its *start tag*: the later one of the
queue's virtual time and of the *finish tag* of the same tenant's job before it. A finish tag is the start tag
and the job's cost, which is one for a tenant of weight 1, a third for one of weight 3. The virtual time is
the lowest start tag that waits. So each tenant that has jobs waiting moves forward at its own pace, and one
that had none begins where the others are: not behind their floods, and with no credit for its rest.

Tags are small numbers, while a plain job's rank is its due time, so both are before every ``now``. A job that
is delayed or waits for a retry is out of line: it is ranked by its due time until that has come, and then put
in line, behind the tenant's earlier ones of that kind. Each priority is a line of its own.

What is kept: a register per queue (weights, and a mark or two of the virtual time), and one per tenant.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, Final, Self, cast

from headrace.core.policy import DAY_MS
from headrace.errors import InvalidInput

TAGS_BELOW: Final = 1_000_000_000_000
"""Every tag is below, and every due time since 2001 above it."""

QUEUES: Final = "fair"
LINES: Final = "fairline"
MAX_TENANT_CHARS: Final = 200
COMMON: Final = ""
"""The tenant of jobs that name none."""

MIN_WEIGHT: Final = 0.01
MAX_WEIGHT: Final = 1_000.0
MAX_WEIGHTS: Final = 10_000

UNIT: Final = 1_000_000
"""A tag is so many parts; finish tags are kept in parts, so that weights do not lose by rounding."""

STEP: Final = 64
"""The marks of the virtual time are written when they are off by more than so many tags."""

LINE_KEPT_MS: Final = DAY_MS


class Turn(StrEnum):
    """Whether a job is in line for the first time, or after a delay or a failed attempt."""

    FIRST = "first"
    AGAIN = "again"


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """What a job is ranked by: its tenant, within one priority of one queue."""

    queue: str
    priority: int
    tenant: str
    turn: Turn = Turn.FIRST

    @property
    def line(self) -> str:
        """The register of the tenant's finish tag."""
        return f"{LINES}:{self.queue}/{self.priority}/{self.turn.value}/{self.tenant}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Level:
    """Marks of one priority: its virtual time was at least ``floor``, its last finish tag about ``top``."""

    floor: int = 0
    top: int = 0

    def virtual_time(self, head: int | None) -> int:
        """Where it stands, given the lowest tag that waits. With none it is past all that were served."""
        return max(self.floor, self.top if head is None else head)


@dataclass(frozen=True, slots=True, kw_only=True)
class FairQueue:
    """A fair queue: the weights that the code and an operator gave (who wins), and the marks by priority."""

    declared: Mapping[str, float] = field(default_factory=dict[str, float])
    given: Mapping[str, float] = field(default_factory=dict[str, float])
    levels: Mapping[int, Level] = field(default_factory=dict[int, Level])

    @property
    def weights(self) -> Mapping[str, float]:
        """The weight of each tenant that has one of its own; all others have 1."""
        return {**self.declared, **self.given}

    def level(self, priority: int) -> Level:
        """The marks of one priority."""
        return self.levels.get(priority, _FRESH)

    def with_declared(self, weights: Mapping[str, float]) -> Self:
        """The queue with the weights that the code gives. Raises InvalidInput."""
        return replace(self, declared={name: checked_weight(name, one) for name, one in weights.items()})

    def with_weight(self, tenant: str, weight: float | None) -> Self:
        """The queue with a weight that an operator gives, or without. Raises InvalidInput."""
        given = {name: one for name, one in self.given.items() if name != tenant}
        if weight is not None:
            given[checked_tenant(tenant)] = checked_weight(tenant, weight)
        if len(given) > MAX_WEIGHTS:
            raise InvalidInput(f"a queue has at most {MAX_WEIGHTS} weights", field="weight")
        return replace(self, given=given)

    def dumps(self) -> str:
        """The queue as a JSON text that ``loads`` reads back."""
        levels = {str(priority): [one.floor, one.top] for priority, one in self.levels.items()}
        told = {"declared": dict(self.declared), "given": dict(self.given), "levels": levels}
        return json.dumps(told, ensure_ascii=False, sort_keys=True, separators=(",", ":"))

    @classmethod
    def loads(cls, text: str | None) -> Self:
        """Reads what ``dumps`` wrote; a fresh queue where there is none."""
        if text is None:
            return cls()
        raw = cast("Mapping[str, Any]", json.loads(text))
        return cls(
            declared=raw.get("declared", {}),
            given=raw.get("given", {}),
            levels={
                int(priority): Level(floor=marks[0], top=marks[1])
                for priority, marks in raw.get("levels", {}).items()
            },
        )


_FRESH: Final = Level()


class Line:
    """Gives tags in one queue, one after the other.

    ``heads`` are the lowest tags that wait, by priority; ``finished`` the finish tags of the tenants by
    their register, as they are kept: in parts of a tag. Both are those of one moment.
    """

    def __init__(self, queue: FairQueue, *, heads: Mapping[int, int], finished: Mapping[str, int]) -> None:
        self.finished = dict(finished)
        self._queue = queue
        self._weights = queue.weights
        self._heads = heads
        self._levels = dict(queue.levels)

    def tag(self, place: Place) -> int:
        """The rank of the next job of this tenant."""
        now = self._queue.level(place.priority).virtual_time(self._heads.get(place.priority))
        start = max(now * UNIT, self.finished.get(place.line, 0))
        finish = start + round(UNIT / self._weights.get(place.tenant, 1.0))
        self.finished[place.line] = finish
        self._mark(place.priority, now, finish // UNIT)
        return min(start // UNIT, TAGS_BELOW - 1)

    @property
    def queue(self) -> FairQueue:
        """The queue with its marks; the same as was given if none has to be written."""
        if self._levels == self._queue.levels:
            return self._queue
        return replace(self._queue, levels=self._levels)

    def _mark(self, priority: int, now: int, finish: int) -> None:
        kept = self._levels.get(priority, _FRESH)
        floor = now if now > kept.floor + STEP else kept.floor
        top = finish if finish > kept.top + STEP else kept.top
        if (floor, top) != (kept.floor, kept.top):
            self._levels[priority] = Level(floor=floor, top=top)


@dataclass(frozen=True, slots=True, kw_only=True)
class LineLook:
    """What a look at a tenant's line that was not used for a day needs: where it is, and its priority."""

    queue: str
    priority: int


def queue_key(queue: str) -> str:
    """The register of a fair queue."""
    return f"{QUEUES}:{queue}"


def look_of(line: str) -> LineLook:
    """The queue and the priority of a tenant's register."""
    queue, priority, _ = line.removeprefix(f"{LINES}:").split("/", 2)
    return LineLook(queue=queue, priority=int(priority))


def is_rested(queue: FairQueue, look: LineLook, head: int | None, finished: int) -> bool:
    """Whether a tenant's finish tag has been passed, so that forgetting it changes nothing."""
    return finished <= queue.level(look.priority).virtual_time(head) * UNIT


def checked_tenant(tenant: str) -> str:
    """The tenant if it is 1 to 200 printable characters. Raises InvalidInput."""
    if not 1 <= len(tenant) <= MAX_TENANT_CHARS or not tenant.isprintable():
        msg = f"the tenant that a job is shared out by must be 1 to {MAX_TENANT_CHARS} printable characters"
        raise InvalidInput(msg, field="fairBy")
    return tenant


def checked_weight(tenant: str, weight: float) -> float:
    """The weight if it is one. Raises InvalidInput."""
    if not (math.isfinite(weight) and MIN_WEIGHT <= weight <= MAX_WEIGHT):
        msg = f"the weight of {tenant[:80]!r} must lie between {MIN_WEIGHT} and {MAX_WEIGHT:g}"
        raise InvalidInput(msg, field="weight")
    return weight
