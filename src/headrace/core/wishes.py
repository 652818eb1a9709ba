"""What a job wishes of limits and order, fixed when it is inserted: the text in ``Facts.lane``.

Plain jobs wish nothing, and keep none.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, Self, cast

from headrace.core.fairness import checked_tenant
from headrace.core.limit_names import MAX_LANE_CHARS
from headrace.errors import InvalidInput

MAX_LANES: Final = 16


class OnRetry(StrEnum):
    """Whether a job that waits for a retry holds its ordering key, or lets the next one pass."""

    HOLD = "hold"
    PASS = "pass"  # noqa: S105 - no password


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """The job's own lanes and its ordering key, each as the lane's whole key, and its share of a fair queue.

    ``lanes`` are such as ``limit:per-user/42``; those of its queue and type need not be said. ``order`` is
    such as ``order:account/7``. Raises InvalidInput for more lanes, or longer ones, than a job may have.
    """

    lanes: tuple[str, ...] = ()
    order: str | None = None
    on_retry: OnRetry = OnRetry.HOLD
    fair: str | None = None

    def __post_init__(self) -> None:
        if len(self.lanes) > MAX_LANES:
            raise InvalidInput(f"a job has at most {MAX_LANES} keys of limits", field="limits")
        keys = self.lanes if self.order is None else (*self.lanes, self.order)
        if any(len(key) > MAX_LANE_CHARS for key in keys):
            raise InvalidInput(f"the lane of a job has at most {MAX_LANE_CHARS} characters", field="limits")
        if self.fair is not None:
            checked_tenant(self.fair)

    def dumps(self) -> str | None:
        """The wishes as a JSON text that ``loads`` reads back; None for a job that wishes nothing."""
        said: dict[str, object] = {}
        if self.lanes:
            said["lanes"] = sorted(set(self.lanes))
        if self.order is not None:
            said["order"] = self.order
            said["on_retry"] = self.on_retry.value
        if self.fair is not None:
            said["fair"] = self.fair
        return json.dumps(said, ensure_ascii=False, separators=(",", ":")) if said else None

    @classmethod
    def loads(cls, text: str | None) -> Self:
        """Reads what ``dumps`` wrote; what a newer version added is passed over."""
        if text is None:
            return cls()
        raw = cast("Mapping[str, Any]", json.loads(text))
        return cls(
            lanes=tuple(raw.get("lanes", ())),
            order=raw.get("order"),
            on_retry=OnRetry(raw.get("on_retry", OnRetry.HOLD)),
            fair=raw.get("fair"),
        )
