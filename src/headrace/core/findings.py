"""What an explanation is made of: one finding for each thing that keeps a job from running."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from headrace.core.wire import Json, to_iso

_UNITS: Final = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))
_IDS_NAMED: Final = 3


class Code(StrEnum):
    """What a finding is about, for programs; its sentence is for people."""

    ENDED = "ended"
    RUNNING = "running"
    OVERDUE = "overdue"
    LEASE_OVER = "lease_over"
    CANCEL_ASKED = "cancel_asked"
    PARENTS = "waits_for_parents"
    TURN = "waits_for_turn"
    SCHEDULED = "scheduled"
    RETRYING = "retrying"
    SLEEPING = "sleeping"
    SIGNAL = "waits_for_signal"
    PUT_OFF = "put_off"
    LIMIT = "limit"
    ORDER = "order"
    BREAKER = "breaker"
    TYPE_UNKNOWN = "type_unknown"
    VERSION_UNKNOWN = "version_unknown"
    PARKED = "parked"
    PAUSED = "queue_paused"
    NO_WORKER = "no_worker_on_queue"
    NO_HANDLER = "no_worker_knows_type"
    CHUNK = "waits_for_chunk"
    BEHIND = "waits_behind_others"
    NEXT = "next"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that keeps a job from running, or says that it runs or has ended.

    ``advice`` is what to do about it, None where waiting is all there is. ``since`` and ``until`` are epoch
    milliseconds, None where nobody knows. ``jobs`` are the ids of the other jobs it is about.
    """

    code: Code
    sentence: str
    advice: str | None = None
    since: int | None = None
    until: int | None = None
    jobs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """Why a job has not run: what keeps it most, first. There is always at least one finding."""

    job_id: str
    at: int
    findings: tuple[Finding, ...]

    @property
    def sentence(self) -> str:
        """The most important of it in one sentence."""
        return self.findings[0].sentence


def explanation_to_json(explanation: Explanation) -> dict[str, Json]:
    """An explanation as every door shows it."""
    return {
        "jobId": explanation.job_id,
        "at": to_iso(explanation.at),
        "findings": [
            {
                "code": one.code.value,
                "sentence": one.sentence,
                "advice": one.advice,
                "since": to_iso(one.since),
                "until": to_iso(one.until),
                "jobs": list(one.jobs),
            }
            for one in explanation.findings
        ],
    }


def span(ms: int) -> str:
    """A length of time in its two largest units, such as ``2 h 5 min``."""
    seconds = max(1, -(-ms // 1000))
    parts: list[str] = []
    for size, unit in _UNITS:
        count, seconds = divmod(seconds, size)
        if count:
            parts.append(f"{count} {unit}")
    return " ".join(parts[:2])


def moment(at: int, now: int) -> str:
    """An instant, and how far it is from now: ``2026-01-01T02:00:00Z (in 2 h)``."""
    far = f"in {span(at - now)}" if at > now else f"{span(now - at)} ago"
    return f"{to_iso(at)} ({far})"


def counted(count: int, one: str, many: str) -> str:
    """A number with its noun: ``1 job``, ``2 jobs``."""
    return f"{count} {one if count == 1 else many}"


def named(ids: Sequence[str]) -> str:
    """The first few of some ids, and how many more there are."""
    shown = ", ".join(ids[:_IDS_NAMED])
    return f"{shown} and {len(ids) - _IDS_NAMED} more" if len(ids) > _IDS_NAMED else shown
