"""The gate of a claim: who of those that have limits or an ordering key may start, and who is parked.

It comes after the script that claims the others. It looks at the lanes of the candidates, decides, and writes
what was decided in one script. That refuses if what is kept of a lane, or whose turn it is, is not as it was
seen, and then all is looked at again. It counts anew how many hold a slot: who is not let pass any more, or
not refused any more, stays due.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Any, Final

from headrace.core.job import Job
from headrace.stores.gating import left_of
from headrace.stores.known_limits import Known
from headrace.stores.redis.database import Database
from headrace.stores.redis.deciding import Candidate, Decision, Passed, decide
from headrace.stores.redis.session import Look, Session
from headrace.stores.values import ClaimRequest

_FOUND_AT_ONCE: Final = 100
"""No look of a claim finds more (``claiming.AT_ONCE``)."""


async def pass_gate(  # noqa: PLR0913 - what is brought, and what was taken before
    database: Database,
    request: ClaimRequest,
    known: Known,
    candidates: Sequence[Sequence[Any]],
    *,
    taken: int = 0,
    beside: Sequence[Job] = (),
) -> Passed:
    """Admits or parks candidates of a claim, rows of queue, member and wishes in claim order.

    ``taken`` is how many jobs earlier looks of the claim have taken, ``beside`` are those of this one. Raises
    StoreUnavailable where others were in the way too often.
    """
    wanted = [Candidate(*one) for one in candidates]
    first = wanted[0].pick().order
    ahead = sum((-job.placement.priority, job.placement.rank, job.seq) < first for job in beside)
    prompt = left_of(request.prompt, request.limit, taken + ahead)
    more = _may_be_more(request, wanted, beside, taken)
    tries: list[Sequence[Candidate]] = []

    async def op(session: Session) -> Decision | None:
        there = await _still_due(session, wanted, known) if tries else wanted
        if there is None:
            return None
        tries.append(there)
        return await decide(session, request, known, there, prompt=prompt, more=more)

    decision = await database.together(database.keys(request.namespace), op)
    if decision is None:
        return Passed(moved=True)
    await decision.follow_up(database)
    return decision.passed(moved=more and len(tries[-1]) < len(wanted))


def _may_be_more(
    request: ClaimRequest, candidates: Sequence[Candidate], beside: Sequence[Job], taken: int
) -> bool:
    """Whether a look that took so many before may have left jobs due behind those that it has found."""
    found = Counter(one.queue for one in candidates) + Counter(job.facts.queue for job in beside)
    most = min(request.limit - taken, _FOUND_AT_ONCE)
    return found.total() >= most or any(
        count + taken >= min(request.queues[queue], most) for queue, count in found.items()
    )


async def _still_due(at: Look, candidates: Sequence[Candidate], known: Known) -> Sequence[Candidate] | None:
    """Those that may still be claimed; None if the definitions are not those that are known."""
    members = [(one.queue, one.member) for one in candidates]
    revision, due = await at.look("still_due", members)
    if int(revision) != known.limits.revision:
        return None
    return [one for one, is_due in zip(candidates, due, strict=True) if is_due]
