"""What a move did, for people and for programs."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from headrace.core.wire import Json
from headrace.moving.jobs import NAMED, Kind


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """How a move ended. ``verified``: nothing differed when both sides were last compared.

    ``up_to`` is the highest seq that was moved, ``arrived`` how many jobs have come to the source since.
    """

    source: str
    target: str
    verified: bool
    late: bool = False
    moved: int = 0
    compared: int = 0
    mended: int = 0
    passes: int = 0
    rescued: int = 0
    out_of_order: int = 0
    source_counts: Mapping[Kind, int] = field(default_factory=Counter[Kind])
    target_counts: Mapping[Kind, int] = field(default_factory=Counter[Kind])
    things: Mapping[str, int] = field(default_factory=dict[str, int])
    differences: tuple[str, ...] = ()
    up_to: int = 0
    arrived: int = 0
    paused: tuple[str, ...] = ()
    stays: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Json]:
        """As JSON."""
        keys = sorted({*self.source_counts, *self.target_counts})
        counts: list[Json] = [
            {
                "queue": key[0],
                "type": key[1],
                "state": key[2],
                "source": self.source_counts.get(key, 0),
                "target": self.target_counts.get(key, 0),
            }
            for key in keys
        ]
        return {
            "source": self.source,
            "target": self.target,
            "verified": self.verified,
            "late": self.late,
            "moved": self.moved,
            "compared": self.compared,
            "mended": self.mended,
            "passes": self.passes,
            "rescued": self.rescued,
            "outOfOrder": self.out_of_order,
            "counts": counts,
            "settings": dict(self.things),
            "differences": list(self.differences[:NAMED]),
            "differencesInAll": len(self.differences),
            "arrivedMeanwhile": self.arrived,
            "pausedAtTarget": list(self.paused),
            "stays": list(self.stays),
        }
