"""The definitions of a namespace as they are kept: one register, a part for the code and one for operators.

What an operator set wins over what the code declares, and hides it until it is reset. The register's
revision tells a claim whether the definitions that its process knows are still right.
"""

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any, Final, Self, cast

from headrace.core.limit_names import checked_limit, type_of_limit
from headrace.core.limits import Limit, Limits, Origin, Rate
from headrace.errors import InvalidInput, LimitNotFound

KEY: Final = "limits"
MAX_LIMITS: Final = 10_000


class Keep(Enum):
    """Says of a part of a limit that it stays as it is."""

    AS_IS = "as it is"


@dataclass(frozen=True, slots=True, kw_only=True)
class Definitions:
    """What code and operators have defined, by name."""

    code: Mapping[str, Limit] = field(default_factory=dict[str, Limit])
    operator: Mapping[str, Limit] = field(default_factory=dict[str, Limit])

    @classmethod
    def loads(cls, text: str | None) -> Self:
        """Reads what ``dumps`` wrote, or nothing; fields that a newer version added are passed over."""
        if text is None:
            return cls()
        raw = cast("Mapping[str, Mapping[str, Mapping[str, Any]]]", json.loads(text))
        return cls(
            code={name: _limit(name, one, Origin.CODE) for name, one in raw["code"].items()},
            operator={name: _limit(name, one, Origin.OPERATOR) for name, one in raw["operator"].items()},
        )

    def dumps(self) -> str:
        """The definitions as a JSON text that ``loads`` reads back."""
        parts = {"code": self.code, "operator": self.operator}
        raw = {part: {name: _raw(one) for name, one in some.items()} for part, some in parts.items()}
        return json.dumps(raw, sort_keys=True, separators=(",", ":"))

    @property
    def in_force(self) -> Mapping[str, Limit]:
        """The definitions that count, by name."""
        return {**self.code, **self.operator}

    def get(self, name: str) -> Limit:
        """The definition that counts. Raises LimitNotFound."""
        found = self.in_force.get(name)
        if found is None:
            raise LimitNotFound(name)
        return found

    def declared(self, limits: Iterable[Limit], types: Collection[str]) -> Self:
        """After a program that knows these job types has declared its limits.

        A program speaks for its job types: limits that another version of it declared for one of them, and
        this one does not, are gone. All others stay, since another program may have declared them.
        """
        kept = {name: one for name, one in self.code.items() if type_of_limit(name) not in types}
        return self._checked(replace(self, code={**kept, **{one.name: one for one in limits}}))

    def after_set(self, name: str, slots: int | Keep | None, rate: Rate | Keep | None) -> Self:
        """After an operator has set a part of a limit, or both. Raises InvalidInput."""
        known = self.in_force.get(checked_limit(name), Limit(name=name))
        limit = Limit(
            name=name,
            slots=known.slots if isinstance(slots, Keep) else slots,
            rate=known.rate if isinstance(rate, Keep) else rate,
            origin=Origin.OPERATOR,
        )
        return self._checked(replace(self, operator={**self.operator, name: limit}))

    def after_reset(self, name: str) -> Self:
        """After an operator has taken back what was set; the code's definition counts again, if it has one.

        Raises LimitNotFound for a limit that nobody defined.
        """
        self.get(name)
        return replace(self, operator={key: one for key, one in self.operator.items() if key != name})

    def _checked(self, after: Self) -> Self:
        if len(after.in_force) > MAX_LIMITS:
            msg = f"a namespace has at most {MAX_LIMITS} limits; one limit can have any number of keys"
            raise InvalidInput(msg, field="limit")
        return after


def limits_of(text: str | None, revision: int) -> Limits:
    """What a claim needs of the register: the definitions that count, and its revision."""
    return Limits(defined=Definitions.loads(text).in_force, revision=revision)


def _raw(limit: Limit) -> dict[str, object]:
    rate = limit.rate
    return {
        "slots": limit.slots,
        "rate": None if rate is None else {"count": rate.count, "per_ms": rate.per_ms, "burst": rate.burst},
    }


def _limit(name: str, raw: Mapping[str, Any], origin: Origin) -> Limit:
    rate = raw["rate"]
    return Limit(
        name=name,
        slots=raw["slots"],
        rate=None if rate is None else Rate(count=rate["count"], per_ms=rate["per_ms"], burst=rate["burst"]),
        origin=origin,
    )
