"""What tests of explanations share: jobs in a situation, and what is found."""

from typing import Any

from headrace.core.explain import explain
from headrace.core.findings import Code, Finding
from headrace.core.flow import Parent
from headrace.core.job import Attempt, AttemptOutcome, Job
from headrace.core.limits import Lane, LaneState
from headrace.core.situation import LaneSeen, Situation, WorkerSeen
from headrace.core.states import State
from tests.builders import (
    NOW,
    TYPE,
    WORKER,
    a_job,
    a_pending,
)

BATCH = "batch_1_00000000000000aa"


def a_worker(
    name: str = WORKER,
    *,
    queues: tuple[str, ...] | None = None,
    types: frozenset[str] = frozenset({TYPE}),
    seen_at: int = NOW,
) -> WorkerSeen:
    return WorkerSeen(name=name, queues=queues, types=types, seen_at=seen_at)


def of(job: Job, **facts: Any) -> list[Finding]:
    """The findings for a job, with a worker that could run it unless told otherwise."""
    told = {"now": NOW, "workers": (a_worker(),)} | facts
    return list(explain(Situation(job=job, **told)).findings)


def only(job: Job, **facts: Any) -> Finding:
    (finding,) = of(job, **facts)
    return finding


def codes(job: Job, **facts: Any) -> list[Code]:
    return [one.code for one in of(job, **facts)]


def an_attempt(outcome: AttemptOutcome, *, ended_at: int = NOW) -> Attempt:
    return Attempt(
        fence=1, generation=1, worker=WORKER, started_at=NOW, ended_at=ended_at, outcome=outcome, error=None
    )


def on_a_lane(key: str, **lane: Any) -> dict[str, Any]:
    seen = {name: lane.pop(name) for name in ("parked", "held_by", "first_parked", "breaker") if name in lane}
    state = lane.pop("state", LaneState(key=key))
    return {"lane": LaneSeen(lane=Lane(state=state, **lane), **seen)}


def parked(lane: str) -> Job:
    return a_pending(due_at=None, parked_on=lane)


def blocked(**fields: Any) -> Job:
    return a_pending(a_job(state=State.BLOCKED, **fields))


def a_parent(number: int, state: State | None) -> Parent:
    return Parent(number=number, id=None if state is None else f"job-{number}", type=TYPE, state=state)
