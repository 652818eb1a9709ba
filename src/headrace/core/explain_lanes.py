"""Why a job waits parked on a lane: the limit, the job before it, the breaker, the missing worker."""

from headrace.core.batch import PREFIX as BATCH
from headrace.core.batch import BatchState
from headrace.core.breaker import LANE as BREAKER
from headrace.core.breaker import BreakerStatus
from headrace.core.findings import Code, Finding, counted, moment, named, span
from headrace.core.lanes import TYPE_LANE
from headrace.core.limit_names import LIMIT_LANE, ORDER_LANE, limit_of_lane
from headrace.core.limits import Lane, next_opening
from headrace.core.situation import LaneSeen, Situation

_SOON = "it comes back within seconds"


def on_lane(at: Situation, lane: str) -> Finding:
    """Why the job waits on this lane."""
    seen = at.lane
    if lane.startswith(TYPE_LANE):
        return _unknown(lane.removeprefix(TYPE_LANE))
    if lane.startswith(BATCH) and at.batch is not None:
        return waits_for_turn(at, at.batch)
    if seen is not None and lane.startswith(LIMIT_LANE):
        return _limited(at, lane, seen)
    if seen is not None and lane.startswith(ORDER_LANE):
        return _in_order(at, lane, seen)
    if seen is not None and lane.startswith(BREAKER):
        return _broken(at, lane, seen)
    return Finding(code=Code.PARKED, sentence=f"It waits parked on {lane}.")


def waits_for_turn(at: Situation, batch: BatchState) -> Finding:
    """The job is a member of a batch whose members run one after the other."""
    turn = batch.turn
    if batch.cancelled_at is not None:
        sentence = (
            f"Batch {batch.id} was cancelled at {moment(batch.cancelled_at, at.now)}, and this job with it."
        )
        return Finding(code=Code.TURN, sentence=f"{sentence} That is done within seconds.")
    if turn is None or turn == at.job.id:
        sentence = f"It is the next of batch {batch.id}, whose jobs run one after the other: {_SOON}."
        return Finding(code=Code.TURN, sentence=sentence)
    return Finding(
        code=Code.TURN,
        sentence=f"The jobs of batch {batch.id} run one after the other, and {turn} has its turn.",
        advice=f"`headrace explain {turn}` tells what that one does.",
        jobs=(turn,),
    )


def _unknown(known: str) -> Finding:
    name, _, version = known.partition("@")
    if not version:
        return Finding(
            code=Code.TYPE_UNKNOWN,
            sentence=f"No worker that runs knows its type {name}.",
            advice="Start a worker with the app that has its handler: the job comes back by itself.",
        )
    return Finding(
        code=Code.VERSION_UNKNOWN,
        sentence=f"Its payload is of version {version} of type {name}, which no worker that runs knows.",
        advice="Start a worker with the newer program: the job comes back by itself.",
    )


def _limited(at: Situation, lane: str, seen: LaneSeen) -> Finding:
    name = limit_of_lane(lane)
    key = lane.partition("/")[2]
    of_key = f" for {key!r}" if key else ""
    opening = next_opening(seen.lane, at.now)
    if seen.lane.limit is None:
        told = f"Limit {name!r}{of_key} is not defined any more: {_SOON}."
    elif opening is not None and opening <= at.now:
        told = f"Limit {name!r}{of_key} lets a job start again: the best that waits for it comes back now."
    elif opening is None and seen.lane.cap == 0:
        told = f"Limit {name!r}{of_key} lets no job run."
    elif opening is None:
        told = f"Limit {name!r}{of_key} lets {_at_once(seen.lane)}, and as many do: {_held_by(seen)}."
    else:
        when = moment(opening, at.now)
        told = f"Limit {name!r}{of_key} lets {_rate(seen.lane)}: the next one may start at {when}."
    return Finding(
        code=Code.LIMIT,
        sentence=f"{told}{_queue_of_lane(at, seen)}",
        advice=f"`headrace limits show {name}` tells more, `headrace limits set {name}` changes it.",
        until=opening,
        jobs=seen.held_by,
    )


def _at_once(lane: Lane) -> str:
    return counted(lane.cap or 0, "job run at once", "jobs run at once")


def _rate(lane: Lane) -> str:
    rate = lane.rate
    if rate is None:
        return "no job start"
    return f"{counted(rate.count, 'job', 'jobs')} start in {span(rate.per_ms)}"


def _held_by(seen: LaneSeen) -> str:
    return named(seen.held_by) or counted(seen.lane.holders, "job", "jobs")


def _queue_of_lane(at: Situation, seen: LaneSeen) -> str:
    if seen.first_parked == at.job.id:
        return " This job comes first of those that wait for it."
    return f" {counted(seen.parked, 'job waits', 'jobs wait')} for it." if seen.parked > 1 else ""


def _in_order(at: Situation, lane: str, seen: LaneSeen) -> Finding:
    key = lane.removeprefix(ORDER_LANE)
    if seen.held_by:
        before = seen.held_by
        told = f"Jobs of the ordering key {key!r} run one after the other, and {named(before)} is not done."
        advice = f"`headrace explain {before[0]}` tells what keeps that one."
    else:
        before = () if seen.first_parked in {None, at.job.id} else (str(seen.first_parked),)
        told = f"Jobs of the ordering key {key!r} run one after the other: the next of them {_SOON[3:]}."
        advice = None
    return Finding(code=Code.ORDER, sentence=f"{told}{_queue_of_lane(at, seen)}", advice=advice, jobs=before)


def _broken(at: Situation, lane: str, seen: LaneSeen) -> Finding:
    name = lane.removeprefix(BREAKER)
    state = seen.breaker
    status = BreakerStatus.CLOSED if state is None else state.status(at.now)
    since = until = None
    if state is None or status is BreakerStatus.CLOSED:
        told = f"Breaker {name!r} is closed again: {_SOON}."
    else:
        since, until = state.opened_at, state.until
        error = "" if state.error is None else f" after {state.error}"
        if status is BreakerStatus.OPEN and until is not None:
            told = f"Breaker {name!r} is open{error}: it lets nothing start before {moment(until, at.now)}."
        else:
            probes = counted(state.probes, "job", "jobs")
            told = f"Breaker {name!r} is half open{error}: it lets {probes} run at a time, as a probe."
            until = None
    return Finding(
        code=Code.BREAKER,
        sentence=f"{told}{_queue_of_lane(at, seen)}",
        advice="`headrace breakers` shows it and can close it.",
        since=since,
        until=until,
        jobs=seen.held_by,
    )
