"""Why has this job not run? The answer in findings, from the facts alone. Pure.

What keeps the job itself comes first (it has ended, it runs, it waits for others, it is not due, a limit
refuses it), then what keeps all jobs of its queue or type, then its place among those that wait.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Final, assert_never

from headrace.core.decide import PARENT_FAILED
from headrace.core.explain_lanes import on_lane, waits_for_turn
from headrace.core.findings import Code, Explanation, Finding, counted, moment, named, span
from headrace.core.flow import OnParentFailure
from headrace.core.job import AttemptOutcome
from headrace.core.situation import AHEAD_COUNTED, Situation
from headrace.core.states import TERMINAL, State
from headrace.core.steps import Step, StepKind, awaited
from headrace.core.wire import MAX_INSTANT_MS, error_text

_REASONS: Final = frozenset({"Note", "QueueFull", PARENT_FAILED})
"""Errors that are noted of a cancelled job to say why it was."""

_UPKEEP: Final = (
    "If that takes more than some seconds, see that a `headrace serve` or `headrace worker` runs."
)


def explain(situation: Situation) -> Explanation:
    """Why the job has not run, or not yet."""
    match situation.job.state:
        case State.COMPLETED | State.FAILED | State.CANCELLED:
            found = [_ended(situation)]
        case State.PROCESSING:
            found = list(_running(situation))
        case State.BLOCKED:
            found = [*_blocked(situation), *_nobody_starts_it(situation)]
        case State.PENDING:
            found = list(_waiting(situation))
        case _:
            assert_never(situation.job.state)
    return Explanation(job_id=situation.job.id, at=situation.now, findings=tuple(found))


def _ended(at: Situation) -> Finding:
    job, placement = at.job, at.job.placement
    since = placement.ended_at
    told = "" if since is None else f" at {moment(since, at.now)}"
    match job.state:
        case State.COMPLETED:
            sentence, advice = f"It has run and completed{told}.", None
        case State.FAILED:
            sentence = f"It failed{told}, {_why_for_good(at)}: {error_text(job) or 'no error was kept'}."
            advice = f"Mend the cause, then `headrace retry {job.id}`."
        case _:
            ran = "before it ran" if placement.started_at is None else "while it ran"
            sentence = f"It was cancelled{told}, {ran}{_reason(placement.error)}."
            advice = f"`headrace retry {job.id}` runs it after all."
    return Finding(code=Code.ENDED, sentence=sentence, advice=advice, since=since)


def _why_for_good(at: Situation) -> str:
    placement, facts = at.job.placement, at.job.facts
    if placement.failures >= facts.max_attempts:
        return f"after {counted(facts.max_attempts, 'attempt', 'attempts')}, which is all it has"
    if placement.crashes >= facts.max_crashes:
        return f"after it had taken its worker down {counted(placement.crashes, 'time', 'times')}"
    return "with an error that is not tried again"


def _reason(error: str | None) -> str:
    """Why it was cancelled, if that was noted; the error of an earlier attempt is no reason."""
    noted: Mapping[str, object] = {} if error is None else json.loads(error)
    return f": {noted['message']}" if noted.get("type") in _REASONS else ""


def _running(at: Situation) -> Iterator[Finding]:
    job, placement = at.job, at.job.placement
    if placement.lease_until is not None and placement.lease_until < at.now:
        yield Finding(
            code=Code.LEASE_OVER,
            sentence=f"Its worker {placement.worker} is lost, or cannot reach the store: the lease ended at "
            f"{moment(placement.lease_until, at.now)}. Upkeep takes the job away from it.",
            advice=_UPKEEP,
            since=placement.lease_until,
        )
    if job.timed_out_at is not None:
        yield Finding(
            code=Code.OVERDUE,
            sentence=f"Its handler is past its time limit since {moment(job.timed_out_at, at.now)} and does "
            "not stop.",
            advice="The worker gives up after a while and exits; its supervisor starts another one.",
            since=job.timed_out_at,
        )
    if placement.cancel_asked_at is not None:
        yield Finding(
            code=Code.CANCEL_ASKED,
            sentence=f"A cancel was asked for at {moment(placement.cancel_asked_at, at.now)}: its handler is "
            "told at the next renewal, ten seconds later at most.",
            since=placement.cancel_asked_at,
        )
    since = placement.started_at
    told = "" if since is None else f" since {moment(since, at.now)}"
    limit = "" if placement.timeout_ms is None else f" Its time limit is {span(placement.timeout_ms)}."
    yield Finding(
        code=Code.RUNNING,
        sentence=f"It runs: worker {placement.worker} holds it{told}, in attempt {job.attempt}.{limit}",
        since=since,
        until=placement.lease_until,
    )


def _blocked(at: Situation) -> Iterator[Finding]:
    open_parents = [one for one in at.parents if one.state is not None and one.state not in TERMINAL]
    if open_parents:
        ids = tuple(one.id for one in open_parents if one.id is not None)
        yield Finding(
            code=Code.PARENTS,
            sentence=f"It waits for {counted(len(ids), 'job', 'jobs')} to end: {named(ids)}.",
            advice=f"`headrace explain {ids[0]}` tells of the first of them.",
            jobs=ids,
        )
    elif at.parents:
        failed = tuple(one.id for one in at.parents if one.state is State.FAILED and one.id is not None)
        if failed:
            yield Finding(
                code=Code.PARENTS,
                sentence=f"It waits for a job that failed to be dealt with: {named(failed)}. That is what "
                f"on_parent_failure={OnParentFailure.WAIT.value!r} asks for.",
                advice=f"`headrace retry {failed[0]}`, or discard it, which cancels this job.",
                jobs=failed,
            )
        else:
            yield Finding(
                code=Code.PARENTS,
                sentence="All jobs that it waited for have ended: it is set free within seconds.",
                advice=_UPKEEP,
            )
    elif at.batch is not None:
        yield waits_for_turn(at, at.batch)
    else:
        yield Finding(code=Code.PARENTS, sentence="It is blocked: what it waits for is not known here.")


def _waiting(at: Situation) -> Iterator[Finding]:
    placement = at.job.placement
    own: Finding | None = None
    if placement.parked_on is not None:
        own = on_lane(at, placement.parked_on)
    elif placement.due_at is not None and placement.due_at > at.now:
        own = _not_due(at, placement.due_at)
    if own is not None:
        yield own
    others = list(_nobody_starts_it(at))
    known_already = own is not None and own.code in {Code.TYPE_UNKNOWN, Code.VERSION_UNKNOWN}
    yield from (one for one in others if not (known_already and one.code is Code.NO_HANDLER))
    if own is None and not others:
        yield from _its_place(at)


def _not_due(at: Situation, due: int) -> Finding:
    job = at.job
    step = _step_until(at, due)
    if step is not None:
        return _suspended(at, step, due)
    if at.last is None or at.last.outcome is None:
        sentence = f"It is not due before {moment(due, at.now)}."
        return Finding(code=Code.SCHEDULED, sentence=sentence, since=job.facts.created_at, until=due)
    match at.last.outcome:
        case AttemptOutcome.SNOOZED | AttemptOutcome.RELEASED:
            sentence = f"Its handler put it off until {moment(due, at.now)}."
            return Finding(code=Code.PUT_OFF, sentence=sentence, since=at.last.ended_at, until=due)
        case _:
            sentence = (
                f"Attempt {job.attempt} of {job.facts.max_attempts} comes at {moment(due, at.now)}: the last "
                f"one ended with: {error_text(job) or 'no error was kept'}."
            )
            return Finding(code=Code.RETRYING, sentence=sentence, since=at.last.ended_at, until=due)


def _step_until(at: Situation, due: int) -> Step | None:
    """The sleep or the wait for which the job has left its worker."""
    if at.kept is None:
        return None
    if (wait := awaited(at.job, at.kept)) is not None:
        return wait
    sleeps = (one for one in reversed(at.kept.steps) if one.kind is StepKind.SLEEP)
    return next((one for one in sleeps if one.until == due), None)


def _suspended(at: Situation, step: Step, due: int) -> Finding:
    if step.kind is StepKind.SLEEP:
        sentence = f"Its handler sleeps until {moment(due, at.now)}."
        return Finding(code=Code.SLEEPING, sentence=sentence, since=step.at, until=due)
    until = None if due >= MAX_INSTANT_MS else due
    told = "" if until is None else f", until {moment(until, at.now)} at the latest"
    return Finding(
        code=Code.SIGNAL,
        sentence=f"Its handler waits for the signal {step.name!r}{told}.",
        advice=f"`headrace job {at.job.id} signal {step.name}` sends it.",
        since=step.at,
        until=until,
    )


def _nobody_starts_it(at: Situation) -> Iterator[Finding]:
    """What keeps all jobs of its queue, or of its type, from starting."""
    facts = at.job.facts
    if at.paused:
        yield Finding(
            code=Code.PAUSED,
            sentence=f"Queue {facts.queue} is paused.",
            advice=f"`headrace queues --resume {facts.queue}` lets its jobs start again.",
        )
    serving = [one for one in at.alive if one.serves(facts.queue)]
    if not serving:
        others = sorted(one.name for one in at.alive)
        told = f" Workers that run serve other queues: {named(others)}." if others else ""
        yield Finding(
            code=Code.NO_WORKER,
            sentence=f"No worker that runs serves queue {facts.queue}.{told}",
            advice="Start one: `headrace worker --app module:app`.",
        )
    elif not any(one.knows(at.job) for one in serving):
        yield _no_handler(at)


def _no_handler(at: Situation) -> Finding:
    facts = at.job.facts
    what = f"type {facts.type}" if facts.version == 1 else f"version {facts.version} of type {facts.type}"
    elsewhere = sorted(one.name for one in at.alive if one.knows(at.job))
    told = f" {named(elsewhere)} would, and serves other queues." if elsewhere else ""
    return Finding(
        code=Code.NO_HANDLER,
        sentence=f"No worker of queue {facts.queue} knows {what}.{told}",
        advice="Start a worker with the app that has its handler, or see that its app imports the module.",
    )


def _its_place(at: Situation) -> Iterator[Finding]:
    job, due = at.job, at.job.placement.due_at
    if at.chunk is not None and due is not None and at.chunk.ripe_from(due) > at.now:
        ripe = at.chunk.ripe_from(due)
        yield Finding(
            code=Code.CHUNK,
            sentence=f"It waits for a chunk of {at.chunk.max_size} messages to come together, until "
            f"{moment(ripe, at.now)} at the latest.",
            since=due,
            until=ripe,
        )
    if at.ahead:
        count = f"At least {at.ahead:,}" if at.ahead >= AHEAD_COUNTED else f"{at.ahead:,}"
        come = "job comes" if at.ahead == 1 else "jobs come"
        yield Finding(
            code=Code.BEHIND,
            sentence=f"{count} {come} before it in queue {job.facts.queue}.",
            advice="More workers, or more slots, get there sooner; so does a higher priority.",
            since=due,
        )
    elif at.chunk is None or due is None or at.chunk.ripe_from(due) <= at.now:
        yield Finding(
            code=Code.NEXT,
            sentence=f"It is the next of queue {job.facts.queue}: it starts when a worker has a free slot.",
            since=due,
        )
