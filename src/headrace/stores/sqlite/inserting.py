"""The insert op: all jobs and swaps or nothing, one live job a unique key."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from headrace.core.states import State
from headrace.core.unique import OnConflict
from headrace.errors import DuplicateJob, IdempotencyMismatch, LeaseLost, StaleRegister
from headrace.stores.sqlite.registers import make_swaps
from headrace.stores.sqlite.rows import body_row, dump_tags, job_row
from headrace.stores.sqlite.statements import Row, first, queries, rows, texts, write, write_rows
from headrace.stores.sqlite.tags import add_tags, remove_tags
from headrace.stores.sqlite.transaction import Write
from headrace.stores.values import Holder, Inserted, InsertKind, NewJob, Receipt, Swap

_SQL = queries("jobs")


@dataclass(frozen=True, slots=True, kw_only=True)
class Insertion:
    """What one call inserts."""

    namespace: str
    jobs: Sequence[NewJob]
    now: int
    parent: Holder | None = None
    swaps: Sequence[Swap] = ()

    def __call__(self, write: Write) -> Sequence[Inserted]:
        """Does it, inside a write transaction."""
        if self.parent is not None:
            _require_lease(write, self.namespace, self.parent)
        if (stale := make_swaps(write.db, self.namespace, self.swaps)) is not None:
            raise StaleRegister(stale)
        if any(_has_key(new) for new in self.jobs):
            return _KeyedInsertion(write, self).run()
        _insert_rows(write, self.jobs)
        return [Inserted(kind=InsertKind.INSERTED, job_id=new.facts.id) for new in self.jobs]


@dataclass(slots=True)
class _Standing:
    """Who holds a unique key: a row of the table, or (``new``) the job at this place of the insertion."""

    id: str
    state: str
    type: str
    seq: int = 0
    new: int | None = None


class _KeyedInsertion:
    """An insertion of which some jobs bring a unique key or a receipt: decided job by job, in order."""

    def __init__(self, write: Write, insertion: Insertion) -> None:
        self._write = write
        self._insertion = insertion
        self._fresh: list[NewJob] = []
        self._receipts: list[Row] = []
        self._good = self._read_receipts()
        self._holders = self._read_holders()

    def run(self) -> Sequence[Inserted]:
        answers = [self._settle(new) for new in self._insertion.jobs]
        _insert_rows(self._write, self._fresh)
        write_rows(self._write.db, _SQL["write_receipt"], self._receipts)
        return answers

    def _settle(self, new: NewJob) -> Inserted:
        if new.receipt is not None and (known := self._good.get(new.receipt.key)) is not None:
            return _same_body(new.receipt, *known)
        answer = self._place(new)
        if new.receipt is not None:
            self._remember(new.receipt, answer.job_id)
        return answer

    def _place(self, new: NewJob) -> Inserted:
        lock = new.placement.unique_lock
        standing = None if lock is None else self._holders.get(lock)
        if lock is None or standing is None:
            if lock is not None:
                self._holders[lock] = _Standing(
                    new.facts.id, new.placement.state, new.facts.type, new=len(self._fresh)
                )
            self._fresh.append(new)
            return Inserted(kind=InsertKind.INSERTED, job_id=new.facts.id)
        if new.on_conflict is OnConflict.REJECT:
            raise DuplicateJob(lock, standing.id)
        replaceable = standing.state == State.PENDING and standing.type == new.facts.type
        if new.on_conflict is OnConflict.REPLACE and replaceable:
            self._replace(standing, new)
            return Inserted(kind=InsertKind.REPLACED, job_id=standing.id)
        return Inserted(kind=InsertKind.EXISTING, job_id=standing.id)

    def _replace(self, standing: _Standing, new: NewJob) -> None:
        if standing.new is None:
            _replace_row(self._write, standing.seq, new)
            return
        earlier = self._fresh[standing.new]
        placement = new.placement
        self._fresh[standing.new] = replace(
            earlier,
            facts=replace(earlier.facts, payload=new.facts.payload, tags=new.facts.tags),
            placement=replace(
                earlier.placement, priority=placement.priority, due_at=placement.due_at, rank=placement.rank
            ),
        )

    def _remember(self, receipt: Receipt, job_id: str) -> None:
        self._good[receipt.key] = (job_id, receipt.body)
        self._receipts.append((self._insertion.namespace, receipt.key, job_id, receipt.body, receipt.until))

    def _read_receipts(self) -> dict[str, tuple[str, str | None]]:
        keys = [new.receipt.key for new in self._insertion.jobs if new.receipt is not None]
        if not keys:
            return {}
        given = {"namespace": self._insertion.namespace, "keys": texts(keys), "now": self._insertion.now}
        return {key: (job_id, body) for key, job_id, body in rows(self._write.db, _SQL["receipts"], given)}

    def _read_holders(self) -> dict[str, _Standing]:
        locks = [lock for new in self._insertion.jobs if (lock := new.placement.unique_lock) is not None]
        if not locks:
            return {}
        given = {"namespace": self._insertion.namespace, "locks": texts(locks)}
        found = rows(self._write.db, _SQL["holders"], given)
        return {lock: _Standing(job_id, state, kind, seq=seq) for lock, seq, job_id, state, kind in found}


def _has_key(new: NewJob) -> bool:
    return new.receipt is not None or new.placement.unique_lock is not None


def _require_lease(write: Write, namespace: str, holder: Holder) -> None:
    given = {"namespace": namespace, "id": holder.job_id, "fence": holder.fence}
    if first(write.db, _SQL["is_held"], given) is None:
        raise LeaseLost(holder.job_id, holder.fence)


def _same_body(receipt: Receipt, job_id: str, body: str | None) -> Inserted:
    if body is not None and receipt.body is not None and body != receipt.body:
        raise IdempotencyMismatch(receipt.key, job_id)
    return Inserted(kind=InsertKind.EXISTING, job_id=job_id)


def _insert_rows(write: Write, jobs: Sequence[NewJob]) -> None:
    if not jobs:
        return
    (seq,) = first(write.db, _SQL["next_seq"], {}) or (1,)
    write_rows(
        write.db,
        _SQL["insert_job"],
        [job_row(seq + n, new.facts, new.placement) for n, new in enumerate(jobs)],
    )
    write_rows(write.db, _SQL["insert_body"], [body_row(seq + n, new.facts) for n, new in enumerate(jobs)])
    for n, new in enumerate(jobs):
        facts = new.facts
        write.count(facts.namespace, facts.queue, facts.type, new.placement.state, 1)
        if facts.tags:
            add_tags(write.db, facts.namespace, seq + n, facts.tags)


def _replace_row(at: Write, seq: int, new: NewJob) -> None:
    placement, facts = new.placement, new.facts
    remove_tags(at.db, facts.namespace, seq)
    write(
        at.db,
        _SQL["replace_job"],
        {"seq": seq, "priority": placement.priority, "rank": placement.rank, "due_at": placement.due_at},
    )
    write(at.db, _SQL["replace_body"], {"seq": seq, "payload": facts.payload, "tags": dump_tags(facts.tags)})
    add_tags(at.db, facts.namespace, seq, facts.tags)
