"""What is shown of things other than jobs, which ``core.wire`` shows."""

import json
from collections.abc import Sequence
from typing import Final

from headrace.core.job import Attempt, History
from headrace.core.states import State, four_words
from headrace.core.steps import Kept, Signal, Step
from headrace.core.wire import Json, to_iso
from headrace.engine.operations import Stats, TypeInfo
from headrace.stores.protocol import Health, LogLine, ParkedCount, QueueState, WorkerHello

SERVICE: Final = "queue"


def stats_to_json(stats: Stats) -> dict[str, Json]:
    """The numbers by the four words, and their shares of the total."""
    total = stats.count()
    counts: dict[State, int] = dict.fromkeys(map(four_words, _LIFE), 0)
    for tally in stats.tallies:
        counts[four_words(tally.state)] += tally.count
    return {
        "total": total,
        **{state.value: count for state, count in counts.items()},
        "completionRate": rate(counts[State.COMPLETED], total),
        "failureRate": rate(counts[State.FAILED], total),
    }


def rate(part: int, total: int) -> str:
    """A share as text with two decimals, such as ``92.00%``."""
    return f"{100 * part / total if total else 0:.2f}%"


def health_to_json(health: Health, now: int) -> dict[str, Json]:
    """The service's and the store's state."""
    return {
        "status": "ok",
        "service": SERVICE,
        "timestamp": to_iso(now),
        "store": health.store,
        "storeVersion": health.version,
        "schema": health.schema,
        "tier": health.tier.value,
        "warnings": list(health.warnings),
    }


def type_to_json(info: TypeInfo) -> dict[str, Json]:
    """A job type with the JSON Schema of its payload."""
    policy = info.policy
    return {
        "name": info.name,
        "version": info.version,
        "queue": info.queue,
        "priority": info.priority,
        "runs": info.runs.value,
        "maxAttempts": policy.max_attempts,
        "timeout": None if policy.timeout_ms is None else policy.timeout_ms / 1000,
        "description": info.description,
        "schema": dict(info.schema),
    }


def queue_to_json(queue: QueueState, parked: Sequence[ParkedCount]) -> dict[str, Json]:
    """A queue, how deep it is, and what holds its jobs back."""
    return {
        "name": queue.name,
        "paused": queue.paused,
        "counts": {state.value: queue.counts.get(state, 0) for state in State},
        "oldestDueAt": to_iso(queue.oldest_due_at),
        "parked": [{"lane": one.lane, "count": one.count} for one in parked if one.queue == queue.name],
    }


def worker_to_json(worker: WorkerHello) -> dict[str, Json]:
    """A worker as it last said hello; ``queues`` null means all."""
    return {
        "id": worker.worker,
        "host": worker.host,
        "pid": worker.pid,
        "queues": None if worker.queues is None else list(worker.queues),
        "types": sorted(worker.types),
        "running": worker.running,
        "startedAt": to_iso(worker.started_at),
        "seenAt": to_iso(worker.seen_at),
        "details": dict(worker.details),
    }


def history_to_json(history: History) -> dict[str, Json]:
    """All attempts, and how many more there were by outcome."""
    return {
        "attempts": [_attempt(one) for one in history.attempts],
        "folded": {outcome.value: count for outcome, count in history.folded},
    }


def line_to_json(line: LogLine) -> dict[str, Json]:
    """One line a handler logged."""
    return {
        "at": to_iso(line.at),
        "level": line.level,
        "message": line.message,
        "data": None if line.data is None else json.loads(line.data),
    }


def kept_to_json(kept: Kept) -> dict[str, Json]:
    """What a job has kept of its steps, and the signals sent to it."""
    return {"steps": [_step(one) for one in kept.steps], "signals": [_signal(one) for one in kept.signals]}


def _step(step: Step) -> dict[str, Json]:
    return {
        "number": step.number,
        "kind": step.kind.value,
        "step": step.label,
        "at": to_iso(step.at),
        "endedAt": to_iso(step.ended_at),
        "until": to_iso(step.until),
        "signal": step.signal,
        "value": None if step.value is None else json.loads(step.value),
    }


def _signal(signal: Signal) -> dict[str, Json]:
    return {
        "id": signal.id,
        "name": signal.name,
        "at": to_iso(signal.at),
        "payload": json.loads(signal.payload),
    }


def _attempt(attempt: Attempt) -> dict[str, Json]:
    return {
        "fence": attempt.fence,
        "generation": attempt.generation,
        "worker": attempt.worker,
        "startedAt": to_iso(attempt.started_at),
        "endedAt": to_iso(attempt.ended_at),
        "outcome": None if attempt.outcome is None else attempt.outcome.value,
        "error": None if attempt.error is None else json.loads(attempt.error),
    }


_LIFE: Final = (State.PENDING, State.PROCESSING, State.COMPLETED, State.FAILED)
