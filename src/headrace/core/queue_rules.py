"""What is said of whole queues: how many jobs may wait in one, what happens beyond, by what it shares out."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from typing import Any, Final, Self, cast

from headrace.core.ids import checked_name
from headrace.core.limit_keys import KeyRule
from headrace.errors import InvalidInput

REGISTER: Final = "queues"
MAX_LENGTH: Final = 10_000_000
DEPTHS: Final = "depth:"
"""``depth:<queue>`` is the register that whoever adds to a bounded queue holds, and that counts its drops."""


class Overflow(StrEnum):
    """What happens to a job for which a queue has no room."""

    REJECT = "reject"
    DROP_OLDEST = "drop-oldest"


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueBound:
    """At most ``max_length`` jobs of a queue wait: due, delayed, to be retried or parked, not running ones.

    Raises InvalidInput for a bound out of bounds.
    """

    queue: str
    max_length: int
    overflow: Overflow = Overflow.REJECT

    def __post_init__(self) -> None:
        checked_name(self.queue, "queue")
        if not 1 <= self.max_length <= MAX_LENGTH:
            raise InvalidInput(f"max_length must lie between 1 and {MAX_LENGTH}", field="maxLength")

    @property
    def key(self) -> str:
        """The register of its drops."""
        return DEPTHS + self.queue


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueRules:
    """The rules of a namespace's queues. An operator's ``set_bounds`` win; None there is no bound."""

    bounds: Mapping[str, QueueBound] = field(default_factory=dict[str, QueueBound])
    set_bounds: Mapping[str, QueueBound | None] = field(default_factory=dict[str, QueueBound | None])
    fair_by: Mapping[str, KeyRule] = field(default_factory=dict[str, KeyRule])

    def bound(self, queue: str) -> QueueBound | None:
        """The bound that holds for a queue."""
        return self.set_bounds[queue] if queue in self.set_bounds else self.bounds.get(queue)

    @property
    def bounded(self) -> Mapping[str, QueueBound]:
        """The bounds that hold, by queue."""
        names = {*self.bounds, *self.set_bounds}
        return {name: bound for name in sorted(names) if (bound := self.bound(name)) is not None}

    def declaring(self, other: "QueueRules") -> "QueueRules":
        """These rules with what the code declares in ``other``, queue by queue."""
        return replace(
            self,
            bounds={**self.bounds, **other.bounds},
            fair_by={**self.fair_by, **other.fair_by},
        )

    def setting(self, queue: str, bound: QueueBound | None) -> "QueueRules":
        """These rules with an operator's bound for a queue, or that it has none."""
        return replace(self, set_bounds={**self.set_bounds, checked_name(queue, "queue"): bound})

    def resetting(self, queue: str) -> "QueueRules":
        """These rules without an operator's word on a queue: what the code declares holds again."""
        return replace(self, set_bounds={name: one for name, one in self.set_bounds.items() if name != queue})

    def dumps(self) -> str:
        """The rules as a JSON text that ``loads`` reads back."""
        told = {
            "bounds": {name: asdict(one) for name, one in self.bounds.items()},
            "set_bounds": {
                name: None if one is None else asdict(one) for name, one in self.set_bounds.items()
            },
            "fair_by": {name: rule.to_json() for name, rule in self.fair_by.items()},
        }
        return json.dumps(told, sort_keys=True, separators=(",", ":"))

    @classmethod
    def loads(cls, text: str) -> Self:
        """Reads what ``dumps`` wrote; what a newer version added is passed over."""
        raw = cast("Mapping[str, Any]", json.loads(text))
        return cls(
            bounds={name: _bound(one) for name, one in raw.get("bounds", {}).items()},
            set_bounds={
                name: None if one is None else _bound(one) for name, one in raw.get("set_bounds", {}).items()
            },
            fair_by={name: KeyRule.of_json(one) for name, one in raw.get("fair_by", {}).items()},
        )


NO_RULES: Final = QueueRules()


def _bound(raw: Mapping[str, Any]) -> QueueBound:
    return QueueBound(queue=raw["queue"], max_length=raw["max_length"], overflow=Overflow(raw["overflow"]))


def drops(text: str | None) -> int:
    """How many jobs a bounded queue has dropped, as its register says."""
    return 0 if text is None else int(json.loads(text)["dropped"])


def counted_drops(count: int) -> str:
    """What the register of a bounded queue says after so many drops."""
    return json.dumps({"dropped": count})
