"""The definitions of limits as one process knows them, so that a claim need not read them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from headrace.core.limit_names import ALL, OF_QUEUE, OF_TYPE
from headrace.core.limit_register import limits_of
from headrace.core.limits import Limits


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """The definitions of a namespace, and which jobs they concern whatever these wish for themselves."""

    limits: Limits
    everything: bool = False
    queues: frozenset[str] = frozenset()
    types: frozenset[str] = frozenset()

    def gated_queues(self, asked: Sequence[str]) -> list[str]:
        """Those of the queues of which every job goes through the gate."""
        return list(asked) if self.everything else [name for name in asked if name in self.queues]

    @property
    def plain(self) -> bool:
        """Whether only jobs that wish for something go through the gate."""
        return not (self.everything or self.queues or self.types)

    def gates(self, queue: str, job_type: str) -> bool:
        """Whether every job of this queue and type goes through the gate."""
        return self.everything or queue in self.queues or job_type in self.types


NOTHING: Final = Known(limits=Limits())


class KnownLimits:
    """What was last read of each namespace. Usable from all threads."""

    def __init__(self) -> None:
        self._known: dict[str, Known] = {}

    def of(self, namespace: str) -> Known:
        """What is known; that there are no definitions, as long as nobody has looked."""
        return self._known.get(namespace, NOTHING)

    def learn(self, namespace: str, text: str | None, revision: int) -> Known:
        """Keeps what the register holds now; revision 0 if there is none."""
        known = known_of(limits_of(text, revision))
        self._known[namespace] = known
        return known


def known_of(limits: Limits) -> Known:
    """The definitions, with what follows from their names."""
    names = [name for name, limit in limits.defined.items() if limit.limits]
    return Known(
        limits=limits,
        everything=ALL in names,
        queues=frozenset(name.removeprefix(OF_QUEUE) for name in names if name.startswith(OF_QUEUE)),
        types=frozenset(name.removeprefix(OF_TYPE) for name in names if name.startswith(OF_TYPE)),
    )
