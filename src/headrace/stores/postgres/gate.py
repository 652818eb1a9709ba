"""The gate of a claim: who of those that have limits or an ordering key may start, and who is parked.

It comes after the statement that claims the others, in a transaction of its own: candidates are locked once
more without waiting, then their lanes, and only then it is counted who holds them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from headrace.core.job import Job
from headrace.core.lanes import PARK_AT_ONCE
from headrace.core.limits import LaneState
from headrace.core.place import CLAIMED
from headrace.stores.gating import AHEAD, Gate, Opening, Pick, Verdict, gate, left_of, states_of
from headrace.stores.known_limits import Known
from headrace.stores.postgres import lanes
from headrace.stores.postgres.database import Again
from headrace.stores.postgres.session import Row, Session
from headrace.stores.values import ClaimRequest


@dataclass(frozen=True, slots=True, kw_only=True)
class Passed:
    """What came of it: rows as of the query ``claim``.

    ``moved`` says whether another look may find more, ``whole`` whether all candidates were decided about.
    """

    rows: Sequence[Row] = ()
    moved: bool = False
    whole: bool = False
    openings: tuple[Opening, ...] = field(default=())


async def pass_gate(  # noqa: PLR0913 - what is brought, and what was taken before
    session: Session,
    request: ClaimRequest,
    known: Known,
    seqs: Sequence[int],
    *,
    taken: int = 0,
    beside: Sequence[Job] = (),
) -> Passed:
    """Admits or parks candidates of a claim, in a transaction. Raises Again where others were in the way.

    ``taken`` is how many jobs earlier looks of the claim have taken, ``beside`` are those of this one.
    """
    queues = sorted(request.queues)
    rows = await session.rows("gate_picks", request.namespace, queues, list(seqs), request.now)
    if not rows:
        return Passed()
    picks = [
        Pick(seq=seq, queue=queue, type=kind, priority=priority, rank=rank, wished=wished)
        for seq, queue, kind, priority, rank, wished in rows
    ]
    first = picks[0].order
    ahead = sum((-job.placement.priority, job.placement.rank, job.seq) < first for job in beside)
    at = gate(picks, known.limits, request.now)
    prompt = left_of(request.prompt, request.limit, taken + ahead)
    verdict = await _decide(session, request.namespace, at, prompt)
    claimed = await _claim(session, request, verdict)
    await _park(session, request, verdict)
    await lanes.bring_back_turns(session, request.namespace, verdict.turns, request.now)
    await lanes.bring_back(session, request.namespace, verdict.room, request.now)
    decided = len(verdict.admission.admitted) + len(verdict.admission.parked)
    return Passed(rows=claimed, moved=verdict.moved, whole=decided == len(seqs), openings=verdict.openings)


async def _decide(session: Session, namespace: str, at: Gate, prompt: int) -> Verdict:
    states = await _locked(session, namespace, at)
    queues = sorted({pick.queue for pick in at.picks})
    counted = at.counted(states)
    looks: Sequence[Row] = ()
    if at.lanes:
        given = (namespace, list(at.lanes), CLAIMED.value, counted, queues)
        looks = await session.rows("look_at_lanes", *given)
    orders = await lanes.order_lanes(session, namespace, at.orders, at.now)
    return at.decide(states, looks, orders, prompt=prompt)


async def _locked(session: Session, namespace: str, at: Gate) -> Mapping[str, LaneState]:
    """The lanes, which nobody else looks at until this transaction ends; those that are missing are made."""
    if not at.keys:
        return {}
    states = states_of(await session.rows("lock_lanes", namespace, at.keys))
    if missing := at.missing(states):
        made = await session.rows("make_lanes", namespace, missing)
        if len(made) != len(missing):
            raise Again
    return states


async def _claim(session: Session, request: ClaimRequest, verdict: Verdict) -> Sequence[Row]:
    admission = verdict.admission
    if not admission.admitted:
        return ()
    return await session.rows(
        "claim_admitted",
        request.namespace,
        request.now,
        list(admission.admitted),
        [verdict.slot_keys.get(seq) for seq in admission.admitted],
        [lane for _, lane in admission.slots],
        [seq for seq, _ in admission.slots],
        [state.key for state in admission.states],
        [state.tat for state in admission.states],
        [state.opens_at for state in admission.states],
        [state.cap for state in admission.states],
        CLAIMED,
        request.worker,
        request.lease_until,
    )


async def _park(session: Session, request: ClaimRequest, verdict: Verdict) -> None:
    parked = verdict.admission.parked
    if not parked:
        return
    given = ([seq for seq, _ in parked], [lane for _, lane in parked])
    await session.run("park_picked", request.namespace, *given)
    alike = verdict.alike
    if alike:
        await session.run(
            "park_alike",
            request.namespace,
            request.now,
            [one.queue for one in alike],
            [one.type for one in alike],
            [one.wished for one in alike],
            [one.lane for one in alike],
            list(verdict.spared),
            AHEAD,
            PARK_AT_ONCE,
        )
