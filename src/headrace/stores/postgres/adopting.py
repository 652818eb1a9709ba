"""Jobs with all they own, read for another store and taken in from one."""

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from headrace.core.flow import Edge
from headrace.core.job import Job
from headrace.core.limits import LaneState
from headrace.core.states import State
from headrace.errors import StaleRegister
from headrace.stores.adopting import Adoption, Belongings, Carried
from headrace.stores.flowing import POLICIES
from headrace.stores.keyed import Kept
from headrace.stores.postgres.claiming import Claims
from headrace.stores.postgres.database import Again, Database
from headrace.stores.postgres.inserting import job_object
from headrace.stores.postgres.registers import make_swaps
from headrace.stores.postgres.rows import Values, arrays
from headrace.stores.postgres.session import Row, Session
from headrace.stores.postgres.stepping import write_steps
from headrace.stores.stepping import signal_of, step_of
from headrace.stores.texts import possible
from headrace.stores.values import LogLine, NewJob, Receipt


class AdoptsJobs:
    """Keeps ``headrace.stores.adopting.AdoptionStore``."""

    _database: Database
    _claims: Claims

    async def belongings(self, namespace: str, ids: Sequence[str]) -> Mapping[str, Belongings]:
        if not (wanted := possible(sorted(ids))):
            return {}
        return await self._database.snapshot(lambda session: _belongings(session, namespace, wanted))

    async def kept_receipts(
        self, namespace: str, *, after: str | None, limit: int
    ) -> tuple[Sequence[Kept], str | None]:
        return await self._database.read(lambda session: _receipts(session, namespace, after or "", limit))

    async def kept_lanes(self, namespace: str, *, after: str, limit: int) -> Sequence[LaneState]:
        return await self._database.read(lambda session: _lanes(session, namespace, after, limit))

    async def adopt(self, namespace: str, adoption: Adoption) -> frozenset[str]:
        try:
            return await self._database.together(lambda session: _adopt(session, namespace, adoption))
        finally:
            self._claims.marks.forget()


async def _adopt(session: Session, namespace: str, adoption: Adoption) -> frozenset[str]:
    if (stale := await make_swaps(session, namespace, adoption.swaps)) is not None:
        raise StaleRegister(stale)
    if adoption.lanes:
        lanes = arrays([(one.key, one.tat, one.opens_at, one.cap) for one in adoption.lanes])
        await session.run("adopt_lanes", namespace, *lanes)
    taken = await _write_jobs(session, await _fresh(session, namespace, adoption.jobs))
    await _write_belongings(session, namespace, taken)
    if adoption.receipts:
        receipts = [
            (one.receipt.key, one.job_id, one.receipt.body, one.receipt.until) for one in adoption.receipts
        ]
        await session.run("adopt_receipts", namespace, *arrays(receipts))
    return frozenset(one.job.id for _, one in taken)


async def _fresh(session: Session, namespace: str, jobs: Sequence[Carried]) -> list[Carried]:
    if not jobs:
        return []
    there = {row[0] for row in await session.rows("ids_there", sorted(one.job.id for one in jobs))}
    locks = sorted(lock for one in jobs if (lock := one.job.placement.unique_lock) is not None)
    held = {row[0] for row in await session.rows("holders", namespace, locks)} if locks else set[str]()
    return [one for one in jobs if one.job.id not in there and one.job.placement.unique_lock not in held]


async def _write_jobs(session: Session, jobs: Sequence[Carried]) -> Sequence[tuple[int, Carried]]:
    """Raises Again where another transaction has taken an id or a unique key."""
    if not jobs:
        return []
    found = await session.rows(
        "adopt_jobs", json.dumps([_object(one.job) for one in jobs], ensure_ascii=False)
    )
    if any(placed != len(jobs) or fixed != len(jobs) for _, _, placed, fixed in found):
        raise Again
    seqs: dict[str, int] = {job_id: seq for job_id, seq, _, _ in found}
    return [(seqs[one.job.id], one) for one in jobs]


def _object(job: Job) -> dict[str, object]:
    """A job as ``adopt_jobs`` reads it, without what is null."""
    placement = job.placement
    more: dict[str, object] = {
        "erase_at": placement.erase_at,
        "ended_at": placement.ended_at,
        "result": placement.result,
        "fence": job.fence,
        "revision": job.revision,
    }
    return job_object(NewJob(facts=job.facts, placement=placement)) | {
        name: value for name, value in more.items() if value is not None
    }


async def _write_belongings(session: Session, namespace: str, jobs: Sequence[tuple[int, Carried]]) -> None:
    owned = [(seq, one.belongings) for seq, one in jobs]
    await _write(session, "adopt_notes", [row for seq, one in jobs for row in _note(seq, one.job)])
    await _write(session, "write_trails", [(seq, one.trail) for seq, one in owned if one.trail is not None])
    lines = [
        (seq, number, line.at, line.level, line.message.encode(), line.data)
        for seq, one in owned
        for number, line in enumerate(one.lines, start=1)
    ]
    await _write(session, "write_lines", lines)
    signals = [
        (seq, signal.id, signal.name, signal.at, signal.payload)
        for seq, one in owned
        for signal in one.signals
    ]
    await _write(session, "adopt_signals", signals)
    await write_steps(session, {seq: one.steps for seq, one in owned})
    await _write_edges(session, namespace, jobs)


def _note(seq: int, job: Job) -> Iterable[Values]:
    if (job.progress, job.checkpoint, job.timed_out_at) != (None, None, None):
        timed_out_fence = None if job.timed_out_at is None else job.fence
        yield seq, job.progress, job.checkpoint, timed_out_fence, job.timed_out_at


async def _write_edges(session: Session, namespace: str, jobs: Sequence[tuple[int, Carried]]) -> None:
    edges = [(seq, edge) for seq, one in jobs for edge in one.belongings.edges]
    if not edges:
        return
    ids = sorted({edge.parent for _, edge in edges})
    seqs: dict[str, int] = {row[0]: row[1] for row in await session.rows("flow_seqs", namespace, ids)}
    await _write(
        session,
        "write_edges",
        [(seq, edge.number, seqs.get(edge.parent, 0), edge.on_parent_failure.value) for seq, edge in edges],
    )
    waiting = [(seq,) for seq, one in jobs if one.belongings.edges and one.job.state is State.BLOCKED]
    await _write(session, "note_waiting", waiting)


async def _write(session: Session, query: str, found: Sequence[Values]) -> None:
    if found:
        await session.run(query, *arrays(found))


async def _belongings(session: Session, namespace: str, ids: Sequence[str]) -> Mapping[str, Belongings]:
    names: dict[int, str] = {row[1]: row[0] for row in await session.rows("flow_seqs", namespace, ids)}
    seqs = sorted(names)
    trails: dict[int, str] = {row[0]: row[1] for row in await session.rows("trails", seqs)}
    steps = _by_job(await session.rows("all_steps_of", seqs))
    signals = _by_job(await session.rows("all_signals_of", seqs))
    lines = _by_job(await session.rows("all_lines_of", seqs))
    edges = _by_job(await session.rows("edges_up_from", seqs))
    return {
        job_id: Belongings(
            trail=trails.get(seq),
            steps=tuple(map(step_of, steps[seq])),
            signals=tuple(map(signal_of, signals[seq])),
            lines=tuple(
                LogLine(at=at, level=level, message=message.decode(), data=data)
                for at, level, message, data in lines[seq]
            ),
            edges=tuple(
                Edge(child=job_id, parent=parent, number=number, on_parent_failure=POLICIES[policy])
                for number, parent, policy in edges[seq]
            ),
        )
        for seq, job_id in names.items()
    }


def _by_job(found: Iterable[Row]) -> defaultdict[int, list[tuple[Any, ...]]]:
    """The rest of each row, by the seq it begins with."""
    told: defaultdict[int, list[tuple[Any, ...]]] = defaultdict(list)
    for seq, *rest in found:
        told[seq].append(tuple(rest))
    return told


async def _receipts(
    session: Session, namespace: str, after: str, limit: int
) -> tuple[Sequence[Kept], str | None]:
    kept = [
        Kept(receipt=Receipt(key=key, until=until, body=body), job_id=job_id)
        for key, job_id, body, until in await session.rows("receipts_after", namespace, after, limit)
    ]
    return kept, kept[-1].receipt.key if len(kept) == limit else None


async def _lanes(session: Session, namespace: str, after: str, limit: int) -> Sequence[LaneState]:
    found = await session.rows("kept_lanes_after", namespace, after, limit)
    return [LaneState(key=key, tat=tat, opens_at=opens_at, cap=cap) for key, tat, opens_at, cap in found]
