"""A batch as the text of its register, and as every door shows it."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, cast

from headrace.core.batch import BatchState, Callback, Counts, On, Phase
from headrace.core.wire import Json, to_iso


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchView:
    """A batch with the numbers of its members."""

    state: BatchState
    counts: Counts

    @property
    def progress(self) -> float:
        """The share of members that have ended, from 0 to 1; 1 for a batch that is empty and closed."""
        if self.counts.total:
            return self.counts.ended / self.counts.total
        return float(self.state.phase is Phase.CLOSED)


def dump(batch: BatchState) -> str:
    """The batch as a JSON text that ``load`` reads back."""
    return json.dumps(asdict(batch), ensure_ascii=False, separators=(",", ":"))


def load(text: str) -> BatchState:
    """Reads what ``dump`` wrote; fields that a newer version added are passed over."""
    raw = cast("Mapping[str, Any]", json.loads(text))
    fields = {name: raw[name] for name in BatchState.__slots__ if name in raw}
    fields["phase"] = Phase(raw["phase"])
    fields["due"] = tuple(On(one) for one in raw["due"])
    fields["callbacks"] = tuple(_callback(one) for one in raw["callbacks"])
    return BatchState(**fields)


def summary_to_json(counts: Counts) -> dict[str, Json]:
    """The numbers of a batch: ``total``, and one for each of the six states."""
    return {"total": counts.total, **asdict(counts)}


def batch_to_json(view: BatchView) -> dict[str, Json]:
    """A batch as every door shows it."""
    state = view.state
    return {
        "id": state.id,
        "phase": state.phase.value,
        "generation": state.generation,
        "sequential": state.sequential,
        "callbacks": {one.on.value: one.type for one in state.callbacks},
        "createdAt": to_iso(state.created_at),
        "closedAt": to_iso(state.closed_at),
        "cancelledAt": to_iso(state.cancelled_at),
        **summary_to_json(view.counts),
    }


def _callback(raw: Mapping[str, Any]) -> Callback:
    fields = {name: raw[name] for name in Callback.__slots__ if name in raw}
    fields["on"] = On(raw["on"])
    fields["tags"] = tuple(raw["tags"])
    return Callback(**fields)
