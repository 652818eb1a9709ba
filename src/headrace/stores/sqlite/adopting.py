"""Jobs with all they own, read for another store and taken in from one."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import apsw

from headrace.core.flow import Edge
from headrace.core.job import Job
from headrace.core.limits import LaneState
from headrace.core.states import State
from headrace.errors import StaleRegister
from headrace.stores.adopting import Adoption, Belongings, Carried
from headrace.stores.flowing import POLICIES
from headrace.stores.keyed import Kept
from headrace.stores.sqlite.database import Database
from headrace.stores.sqlite.gate import write_order_lane
from headrace.stores.sqlite.registers import make_swaps
from headrace.stores.sqlite.rows import body_row, job_row
from headrace.stores.sqlite.statements import first, integers, queries, rows, texts, write_rows
from headrace.stores.sqlite.stepping import write_steps
from headrace.stores.sqlite.tags import add_tags
from headrace.stores.sqlite.transaction import Write
from headrace.stores.stepping import signal_of, step_of
from headrace.stores.texts import possible
from headrace.stores.values import LogLine, Receipt

_SQL = queries("adopting")
_JOBS = queries("jobs")
_FLOWS = queries("flows")


class AdoptsJobs:
    """Keeps ``headrace.stores.adopting.AdoptionStore``."""

    _database: Database

    async def belongings(self, namespace: str, ids: Sequence[str]) -> Mapping[str, Belongings]:
        return await self._database.read(lambda db: _belongings(db, namespace, ids))

    async def kept_receipts(
        self, namespace: str, *, after: str | None, limit: int
    ) -> tuple[Sequence[Kept], str | None]:
        return await self._database.read(lambda db: _receipts(db, namespace, after or "", limit))

    async def kept_lanes(self, namespace: str, *, after: str, limit: int) -> Sequence[LaneState]:
        return await self._database.read(lambda db: _lanes(db, namespace, after, limit))

    async def adopt(self, namespace: str, adoption: Adoption) -> frozenset[str]:
        return await self._database.write(
            lambda at: _adopt(at, namespace, adoption), rows=len(adoption.jobs) + len(adoption.receipts)
        )


def _adopt(at: Write, namespace: str, adoption: Adoption) -> frozenset[str]:
    if (stale := make_swaps(at.db, namespace, adoption.swaps)) is not None:
        raise StaleRegister(stale)
    lanes = [(namespace, one.key, one.tat, one.opens_at, one.cap) for one in adoption.lanes]
    write_rows(at.db, _SQL["adopt_lane"], lanes)
    fresh = _fresh(at.db, namespace, adoption.jobs)
    (start,) = first(at.db, _JOBS["next_seq"], {}) or (1,)
    numbered = list(enumerate(fresh, start=start))
    _write_jobs(at, numbered)
    _write_belongings(at, namespace, numbered)
    write_rows(
        at.db,
        _SQL["adopt_receipt"],
        [
            (namespace, one.receipt.key, one.job_id, one.receipt.body, one.receipt.until)
            for one in adoption.receipts
        ],
    )
    return frozenset(one.job.id for one in fresh)


def _fresh(db: apsw.Connection, namespace: str, jobs: Sequence[Carried]) -> list[Carried]:
    if not jobs:
        return []
    there = {row[0] for row in rows(db, _SQL["ids_there"], {"ids": texts(one.job.id for one in jobs)})}
    locks = [lock for one in jobs if (lock := one.job.placement.unique_lock) is not None]
    held = (
        {row[0] for row in rows(db, _SQL["locks_held"], {"namespace": namespace, "locks": texts(locks)})}
        if locks
        else set[str]()
    )
    return [one for one in jobs if one.job.id not in there and one.job.placement.unique_lock not in held]


def _write_jobs(at: Write, jobs: Sequence[tuple[int, Carried]]) -> None:
    found = [(seq, one.job) for seq, one in jobs]
    write_rows(
        at.db,
        _SQL["adopt_job"],
        [(*job_row(seq, job.facts, job.placement), job.fence, job.revision) for seq, job in found],
    )
    write_rows(at.db, _JOBS["insert_body"], [body_row(seq, job.facts) for seq, job in found])
    write_rows(at.db, _SQL["adopt_note"], [(seq, *_note(job)) for seq, job in found if any(_note(job))])
    for seq, job in found:
        facts = job.facts
        at.count(facts.namespace, facts.queue, facts.type, job.state, 1)
        if facts.tags:
            add_tags(at.db, facts.namespace, seq, facts.tags)
        if facts.lane is not None:
            write_order_lane(at.db, seq, facts.lane)


def _note(job: Job) -> tuple[object, ...]:
    timed_out_fence = None if job.timed_out_at is None else job.fence
    return job.progress, job.checkpoint, timed_out_fence, job.timed_out_at


def _write_belongings(at: Write, namespace: str, jobs: Sequence[tuple[int, Carried]]) -> None:
    owned = [(seq, one.belongings) for seq, one in jobs]
    write_rows(at.db, _SQL["adopt_trail"], [(seq, one.trail) for seq, one in owned if one.trail is not None])
    lines = [
        (seq, number, line.at, line.level, line.message, line.data)
        for seq, one in owned
        for number, line in enumerate(one.lines, start=1)
    ]
    write_rows(at.db, _SQL["adopt_line"], lines)
    signals = [
        (seq, number, signal.id, signal.name, signal.at, signal.payload)
        for seq, one in owned
        for number, signal in enumerate(one.signals, start=1)
    ]
    write_rows(at.db, _SQL["adopt_signal"], signals)
    for seq, one in owned:
        write_steps(at.db, seq, one.steps)
    _write_edges(at.db, namespace, jobs)


def _write_edges(db: apsw.Connection, namespace: str, jobs: Sequence[tuple[int, Carried]]) -> None:
    edges = [(seq, edge) for seq, one in jobs for edge in one.belongings.edges]
    if not edges:
        return
    given = {"namespace": namespace, "ids": texts(sorted({edge.parent for _, edge in edges}))}
    seqs: dict[str, int] = {row[0]: row[1] for row in rows(db, _FLOWS["seqs_of"], given)}
    found = [
        (child, edge.number, seqs.get(edge.parent, 0), edge.on_parent_failure.value) for child, edge in edges
    ]
    write_rows(db, _FLOWS["write_edge"], found)
    waiting = [(seq,) for seq, one in jobs if one.belongings.edges and one.job.state is State.BLOCKED]
    write_rows(db, _FLOWS["note_waiting"], waiting)


def _belongings(db: apsw.Connection, namespace: str, ids: Sequence[str]) -> Mapping[str, Belongings]:
    if not (wanted := possible(ids)):
        return {}
    found = rows(db, _FLOWS["seqs_of"], {"namespace": namespace, "ids": texts(wanted)})
    if not found:
        return {}
    names: dict[int, str] = {seq: job_id for job_id, seq in found}
    seqs = sorted(names)
    trails = dict(_of(db, "trails_of", seqs))
    steps = _by_job(_of(db, "all_steps_of", seqs))
    signals = _by_job(_of(db, "all_signals_of", seqs))
    lines = _by_job(_of(db, "all_lines_of", seqs))
    edges = _by_job(_of(db, "edges_up_from", seqs))
    return {
        job_id: Belongings(
            trail=trails.get(seq),
            steps=tuple(map(step_of, steps[seq])),
            signals=tuple(map(signal_of, signals[seq])),
            lines=tuple(
                LogLine(at=at, level=level, message=message, data=data)
                for at, level, message, data in lines[seq]
            ),
            edges=tuple(
                Edge(child=job_id, parent=parent, number=number, on_parent_failure=POLICIES[policy])
                for number, parent, policy in edges[seq]
            ),
        )
        for seq, job_id in names.items()
    }


def _of(db: apsw.Connection, query: str, seqs: Sequence[int]) -> list[tuple[Any, ...]]:
    return rows(db, _SQL[query], {"seqs": integers(seqs)})


def _by_job(found: Iterable[tuple[Any, ...]]) -> defaultdict[int, list[tuple[Any, ...]]]:
    """The rest of each row, by the seq it begins with."""
    told: defaultdict[int, list[tuple[Any, ...]]] = defaultdict(list)
    for seq, *rest in found:
        told[seq].append(tuple(rest))
    return told


def _receipts(
    db: apsw.Connection, namespace: str, after: str, limit: int
) -> tuple[Sequence[Kept], str | None]:
    found = rows(db, _SQL["receipts_after"], {"namespace": namespace, "after": after, "limit": limit})
    kept = [
        Kept(receipt=Receipt(key=key, until=until, body=body), job_id=job_id)
        for key, job_id, body, until in found
    ]
    return kept, kept[-1].receipt.key if len(kept) == limit else None


def _lanes(db: apsw.Connection, namespace: str, after: str, limit: int) -> Sequence[LaneState]:
    found = rows(db, _SQL["kept_lanes_after"], {"namespace": namespace, "after": after, "limit": limit})
    return [LaneState(key=key, tat=tat, opens_at=opens_at, cap=cap) for key, tat, opens_at, cap in found]
