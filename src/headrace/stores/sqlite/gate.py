"""The gate of a claim: who of those that have limits or an ordering key may start, and who is parked."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import apsw

from headrace.core.lanes import PARK_AT_ONCE
from headrace.core.limits import Limits
from headrace.stores.gating import AHEAD, Alike, Gate, Pick, Returned, Verdict, gate, wishes_of
from headrace.stores.known_limits import KnownLimits
from headrace.stores.openings import Openings
from headrace.stores.sqlite import lanes
from headrace.stores.sqlite.statements import first, integers, queries, write, write_rows

_SQL = queries("lanes")


def _nobody(namespace: str, queues: frozenset[str]) -> None:
    """Wakes no one."""
    del namespace, queues


@dataclass(frozen=True, slots=True)
class Gates:
    """What a process remembers from one claim to the next."""

    limits: KnownLimits = field(default_factory=KnownLimits)
    openings: Openings = field(default_factory=lambda: Openings(_nobody))


@dataclass(frozen=True, slots=True, kw_only=True)
class Passage:
    """The candidates of one look of a claim, in claim order, at the gate."""

    namespace: str
    picks: Sequence[Pick]
    limits: Limits
    now: int
    prompt: int

    def run(self, db: apsw.Connection) -> tuple[Verdict, list[Returned]]:
        """Decides and writes all but the claim itself; who was brought back besides."""
        at = gate(self.picks, self.limits, self.now)
        verdict = self._decide(db, at)
        admission = verdict.admission
        write_rows(db, _SQL["write_tat"], [(self.namespace, one.key, one.tat) for one in admission.states])
        write_rows(db, _SQL["take_slot"], [(self.namespace, lane, seq) for seq, lane in admission.slots])
        write_rows(db, _SQL["write_slot_key"], list(verdict.slot_keys.items()))
        write_rows(db, _SQL["park_picked"], admission.parked)
        for alike in verdict.alike:
            self._park_alike(db, alike, verdict.spared)
        back = lanes.bring_back_turns(db, self.namespace, verdict.turns, self.now)
        return verdict, back + lanes.bring_back(db, self.namespace, verdict.room, self.now)

    def _decide(self, db: apsw.Connection, at: Gate) -> Verdict:
        states = lanes.lane_states(db, self.namespace, at.keys)
        write_rows(db, _SQL["make_lane"], [(self.namespace, key) for key in at.missing(states)])
        queues = sorted({pick.queue for pick in self.picks})
        looks = [
            row
            for key, counted in zip(at.lanes, at.counted(states), strict=True)
            for row in _look(db, self.namespace, key, queues, counted=counted)
        ]
        orders = lanes.order_lanes(db, self.namespace, at.orders, self.now)
        return at.decide(states, looks, orders, prompt=self.prompt)

    def _park_alike(self, db: apsw.Connection, alike: Alike, spared: Sequence[int]) -> None:
        given = {
            "namespace": self.namespace,
            "queue": alike.queue,
            "type": alike.type,
            "wished": alike.wished,
            "lane": alike.lane,
            "spared": integers(spared or (0,)),
            "now": self.now,
            "ahead": AHEAD,
            "limit": PARK_AT_ONCE,
        }
        write(db, _SQL["park_alike"], given)


def write_order_lane(db: apsw.Connection, seq: int, wished: str) -> None:
    """Notes of a new job under which ordering key it is, if it is under one."""
    if (order := wishes_of(wished).order) is not None:
        write_rows(db, _SQL["write_order_lane"], [(seq, order)])


def _look(
    db: apsw.Connection, namespace: str, lane: str, queues: Sequence[str], *, counted: bool
) -> list[tuple[object, ...]]:
    """How many hold the lane, and who is the best that waits on it in each queue."""
    holders = lanes.count_holders(db, namespace, lane) if counted else 0
    here: Mapping[str, object] = {"namespace": namespace, "lane": lane}
    found: list[tuple[object, ...]] = []
    for queue in queues:
        best = first(db, _SQL["best_parked"], {**here, "queue": queue})
        if best is not None:
            found.append((lane, holders, queue, *best))
    return found or [(lane, holders, None, None, None, None)]
