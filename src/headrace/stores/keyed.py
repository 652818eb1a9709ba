"""Which jobs of an insertion are new and which stand aside, where unique keys and receipts are involved.

One decision for every store: it is given what the store holds, and says what must be written.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from headrace.core.states import State
from headrace.core.unique import OnConflict
from headrace.errors import DuplicateJob, IdempotencyMismatch
from headrace.stores.values import Inserted, InsertKind, NewJob, Receipt


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """The live job that holds a unique key in the store."""

    seq: int
    revision: int
    id: str
    state: str
    type: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """A receipt to write: under its key the job that answers for it."""

    receipt: Receipt
    job_id: str


@dataclass(frozen=True, slots=True)
class Plan:
    """What becomes of an insertion: an answer for each job, and what must be written for them to be true."""

    answers: list[Inserted] = field(default_factory=list[Inserted])
    fresh: list[NewJob] = field(default_factory=list[NewJob])
    replaced: list[tuple[Standing, NewJob]] = field(default_factory=list[tuple[Standing, NewJob]])
    receipts: list[Kept] = field(default_factory=list[Kept])


def has_key(new: NewJob) -> bool:
    """Whether inserting the job depends on what is there."""
    return new.receipt is not None or new.placement.unique_lock is not None


def plan(
    jobs: Sequence[NewJob],
    *,
    receipts: Mapping[str, tuple[str, str | None]],
    holders: Mapping[str, Standing],
) -> Plan:
    """Decides job by job, in order (C28, C30, C31).

    ``receipts`` are the good ones by key, each with its job and body; ``holders`` who holds which
    unique key. Raises DuplicateJob, IdempotencyMismatch.
    """
    return _Planner(receipts, holders).run(jobs)


class _Planner:
    def __init__(
        self, receipts: Mapping[str, tuple[str, str | None]], holders: Mapping[str, Standing]
    ) -> None:
        self._plan = Plan()
        self._good = dict(receipts)
        self._holders = holders
        self._taken: dict[str, int] = {}

    def run(self, jobs: Sequence[NewJob]) -> Plan:
        self._plan.answers.extend(self._settle(new) for new in jobs)
        return self._plan

    def _settle(self, new: NewJob) -> Inserted:
        if new.receipt is not None and (known := self._good.get(new.receipt.key)) is not None:
            return _known(new, new.receipt, *known)
        answer = self._place(new)
        if new.receipt is not None:
            self._good[new.receipt.key] = (answer.job_id, new.receipt.body)
            self._plan.receipts.append(Kept(receipt=new.receipt, job_id=answer.job_id))
        return answer

    def _place(self, new: NewJob) -> Inserted:
        lock = new.placement.unique_lock
        if lock is not None and (index := self._taken.get(lock)) is not None:
            earlier = self._plan.fresh[index]
            return self._meet(new, lock, earlier.facts.id, earlier.placement.state, earlier.facts.type)
        if lock is not None and (standing := self._holders.get(lock)) is not None:
            return self._meet(new, lock, standing.id, standing.state, standing.type)
        if lock is not None:
            self._taken[lock] = len(self._plan.fresh)
        self._plan.fresh.append(new)
        return Inserted(kind=InsertKind.INSERTED, job_id=new.facts.id)

    def _meet(self, new: NewJob, lock: str, job_id: str, state: str, job_type: str) -> Inserted:
        if new.on_conflict is OnConflict.REJECT:
            raise DuplicateJob(lock, job_id)
        replaceable = state == State.PENDING and job_type == new.facts.type
        if new.on_conflict is OnConflict.REPLACE and replaceable:
            self._replace(lock, new)
            return Inserted(kind=InsertKind.REPLACED, job_id=job_id)
        return Inserted(kind=InsertKind.EXISTING, job_id=job_id)

    def _replace(self, lock: str, new: NewJob) -> None:
        index = self._taken.get(lock)
        if index is None:
            standing = self._holders[lock]
            self._plan.replaced[:] = [one for one in self._plan.replaced if one[0] is not standing]
            self._plan.replaced.append((standing, new))
            return
        earlier, placement = self._plan.fresh[index], new.placement
        self._plan.fresh[index] = replace(
            earlier,
            facts=replace(
                earlier.facts,
                payload=new.facts.payload,
                version=new.facts.version,
                tags=new.facts.tags,
            ),
            placement=replace(
                earlier.placement, priority=placement.priority, due_at=placement.due_at, rank=placement.rank
            ),
        )


def _known(new: NewJob, receipt: Receipt, job_id: str, body: str | None) -> Inserted:
    """The answer of a receipt that is still good: its job, whatever has become of it."""
    if receipt.body is None and new.on_conflict is OnConflict.REJECT:
        raise DuplicateJob(new.facts.unique_key or receipt.key, job_id)
    if body is not None and receipt.body is not None and body != receipt.body:
        raise IdempotencyMismatch(receipt.key, job_id)
    return Inserted(kind=InsertKind.EXISTING, job_id=job_id)
