"""The insert op: all jobs and swaps or nothing, one live job a unique key."""

from collections.abc import Sequence
from dataclasses import dataclass

import apsw

from headrace.core.flow import Edge
from headrace.core.steps import Step
from headrace.errors import LeaseLost, StaleRegister
from headrace.stores.keyed import Standing, has_key, plan
from headrace.stores.lining import Room
from headrace.stores.sqlite.flowing import link
from headrace.stores.sqlite.gate import write_order_lane
from headrace.stores.sqlite.lining import in_line, make_room
from headrace.stores.sqlite.registers import make_swaps
from headrace.stores.sqlite.rows import body_row, dump_tags, job_row
from headrace.stores.sqlite.statements import first, queries, rows, texts, write, write_rows
from headrace.stores.sqlite.stepping import adopt
from headrace.stores.sqlite.tags import add_tags, remove_tags
from headrace.stores.sqlite.transaction import Write
from headrace.stores.values import Holder, Inserted, InsertKind, NewJob, Swap

_SQL = queries("jobs")


@dataclass(frozen=True, slots=True, kw_only=True)
class Insertion:
    """What one call inserts."""

    namespace: str
    jobs: Sequence[NewJob]
    now: int
    parent: Holder | None = None
    swaps: Sequence[Swap] = ()
    steps: Sequence[Step] = ()
    edges: Sequence[Edge] = ()
    room: Room | None = None

    def __call__(self, write: Write) -> Sequence[Inserted]:
        """Does it, inside a write transaction."""
        answers = self._insert(write)
        if self.steps:
            for one in answers:
                if one.kind is InsertKind.INSERTED:
                    adopt(write.db, self.namespace, one.job_id, self.steps)
        if self.edges:
            link(write, self.namespace, self.edges, self.jobs, answers)
        return answers

    def _insert(self, write: Write) -> Sequence[Inserted]:
        if self.parent is not None:
            _require_lease(write, self.namespace, self.parent)
        if (stale := make_swaps(write.db, self.namespace, self.swaps)) is not None:
            raise StaleRegister(stale)
        if any(has_key(new) for new in self.jobs):
            return _insert_keyed(write, self)
        self.add(write, self.jobs)
        return [Inserted(kind=InsertKind.INSERTED, job_id=new.facts.id) for new in self.jobs]

    def add(self, at: Write, jobs: Sequence[NewJob]) -> None:
        """Adds those of the jobs that are new. Raises QueueFull."""
        if self.room is not None:
            make_room(at, self.namespace, jobs, self.room)
        _insert_rows(at, in_line(at, self.namespace, jobs, self.now))


def _insert_keyed(at: Write, insertion: Insertion) -> Sequence[Inserted]:
    """An insertion of which some jobs bring a unique key or a receipt."""
    decided = plan(
        insertion.jobs,
        receipts=_receipts(at.db, insertion),
        holders=_holders(at.db, insertion),
    )
    for standing, new in decided.replaced:
        _replace_row(at, standing.seq, new)
    insertion.add(at, decided.fresh)
    kept = [
        (insertion.namespace, one.receipt.key, one.job_id, one.receipt.body, one.receipt.until)
        for one in decided.receipts
    ]
    write_rows(at.db, _SQL["write_receipt"], kept)
    return decided.answers


def _receipts(db: apsw.Connection, insertion: Insertion) -> dict[str, tuple[str, str | None]]:
    keys = [new.receipt.key for new in insertion.jobs if new.receipt is not None]
    if not keys:
        return {}
    given = {"namespace": insertion.namespace, "keys": texts(keys), "now": insertion.now}
    return {key: (job_id, body) for key, job_id, body in rows(db, _SQL["receipts"], given)}


def _holders(db: apsw.Connection, insertion: Insertion) -> dict[str, Standing]:
    locks = [lock for new in insertion.jobs if (lock := new.placement.unique_lock) is not None]
    if not locks:
        return {}
    found = rows(db, _SQL["holders"], {"namespace": insertion.namespace, "locks": texts(locks)})
    return {
        lock: Standing(seq=seq, revision=revision, id=job_id, state=state, type=kind)
        for lock, seq, revision, job_id, state, kind in found
    }


def _require_lease(write: Write, namespace: str, holder: Holder) -> None:
    given = {"namespace": namespace, "id": holder.job_id, "fence": holder.fence}
    if first(write.db, _SQL["is_held"], given) is None:
        raise LeaseLost(holder.job_id, holder.fence)


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
        if facts.lane is not None:
            write_order_lane(write.db, seq + n, facts.lane)


def _replace_row(at: Write, seq: int, new: NewJob) -> None:
    placement, facts = new.placement, new.facts
    remove_tags(at.db, facts.namespace, seq)
    write(
        at.db,
        _SQL["replace_job"],
        {"seq": seq, "priority": placement.priority, "rank": placement.rank, "due_at": placement.due_at},
    )
    write(
        at.db,
        _SQL["replace_body"],
        {
            "seq": seq,
            "payload": facts.payload,
            "version": facts.version,
            "tags": dump_tags(facts.tags),
        },
    )
    add_tags(at.db, facts.namespace, seq, facts.tags)
