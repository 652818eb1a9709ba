"""Jobs with all they own, read for another store and taken in from one."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from headrace.core.flow import Edge
from headrace.core.job import Job
from headrace.core.limits import LaneState
from headrace.core.wishes import OnRetry, Wishes
from headrace.stores.adopting import Adoption, Belongings, Carried
from headrace.stores.flowing import POLICIES
from headrace.stores.keyed import Kept
from headrace.stores.redis.database import Database
from headrace.stores.redis.inserting import insert_write
from headrace.stores.redis.lane_looks import state_of
from headrace.stores.redis.noting import line_text
from headrace.stores.redis.reading import jobs_by_id, line_of, pages
from headrace.stores.redis.registers import add_swaps
from headrace.stores.redis.session import Look, Session, Write
from headrace.stores.redis.stepping import signal_text, signals_of, step_values
from headrace.stores.stepping import step_of
from headrace.stores.texts import possible
from headrace.stores.values import NewJob, Receipt

_AT_ONCE: Final = 100


class AdoptsJobs:
    """Keeps ``headrace.stores.adopting.AdoptionStore``, as part of the store."""

    _database: Database

    async def belongings(self, namespace: str, ids: Sequence[str]) -> Mapping[str, Belongings]:
        wanted = pages(possible(ids), _AT_ONCE)
        found = (
            await self._database.looks(self._database.keys(namespace), "belongings", wanted) if wanted else []
        )
        return {
            job_id: _belongings(job_id, row)
            for part, rows in zip(wanted, found, strict=True)
            for job_id, row in zip(part, rows, strict=True)
            if row
        }

    async def kept_receipts(
        self, namespace: str, *, after: str | None, limit: int
    ) -> tuple[Sequence[Kept], str | None]:
        passed = int(after or 0)
        rows = await self._database.look(self._database.keys(namespace), "kept_receipts", passed, limit)
        kept = [
            Kept(receipt=Receipt(key=key, until=int(until), body=body or None), job_id=job_id)
            for key, job_id, body, until in rows
        ]
        return kept, str(passed + limit) if len(rows) == limit else None

    async def kept_lanes(self, namespace: str, *, after: str, limit: int) -> Sequence[LaneState]:
        rows = await self._database.look(self._database.keys(namespace), "kept_lanes", after, limit)
        return [state_of(key, rest) for key, *rest in rows]

    async def adopt(self, namespace: str, adoption: Adoption) -> frozenset[str]:
        (seconds, _) = await self._database.call("TIME")
        now = int(seconds) * 1_000

        async def op(session: Session) -> frozenset[str]:
            add_swaps(session, adoption.swaps)
            fresh = await fresh_ones(session, namespace, adoption.jobs)
            session.add(*lane_writes(adoption.lanes), *job_writes(fresh, new_jobs(fresh), now))
            session.add(*receipt_writes(adoption.receipts))
            await session.commit()
            return frozenset(one.job.id for one in fresh)

        return await self._database.together(self._database.keys(namespace), op)


async def fresh_ones(session: Look, namespace: str, jobs: Sequence[Carried]) -> list[Carried]:
    """Those that are not there, and whose unique locks nobody holds."""
    if not jobs:
        return []
    there = await jobs_by_id(session, namespace, [one.job.id for one in jobs])
    locks = sorted(lock for one in jobs if (lock := one.job.placement.unique_lock) is not None)
    holders: list[Any] = await session.look("holders", *locks) if locks else []
    held = {lock for lock, holder in zip(locks, holders, strict=True) if holder}
    return [one for one in jobs if one.job.id not in there and one.job.placement.unique_lock not in held]


def lane_writes(lanes: Sequence[LaneState]) -> list[Write]:
    """The writes that take in lanes."""
    return [
        (
            "adopt_lane",
            one.key,
            *(None if value is None else str(value) for value in (one.tat, one.opens_at, one.cap)),
        )
        for one in lanes
    ]


def receipt_writes(receipts: Sequence[Kept]) -> list[Write]:
    """The writes that take in receipts."""
    return [
        ("adopt_receipt", one.receipt.key, one.job_id, one.receipt.body, one.receipt.until)
        for one in receipts
    ]


def new_jobs(jobs: Sequence[Carried]) -> list[NewJob]:
    """Jobs as they are inserted before they get what they own."""
    return [NewJob(facts=one.job.facts, placement=one.job.placement) for one in jobs]


def job_writes(jobs: Sequence[Carried], new: Sequence[NewJob], now: int) -> list[Write]:
    """The writes that take in jobs."""
    return [insert_write(new, now), ("adopted", [_row(one) for one in jobs])] if jobs else []


def _row(one: Carried) -> list[object]:
    job, owned, placement = one.job, one.belongings, one.job.placement
    return [
        job.id,
        job.fence,
        job.revision,
        _holds_its_key(job),
        placement.erase_at or False,
        placement.ended_at or False,
        owned.trail or False,
        [job.progress or False, job.checkpoint or False, job.timed_out_at or False],
        [line_text(line) for line in owned.lines],
        step_values(owned.steps),
        [(signal.id, signal_text(signal)) for signal in owned.signals],
        [(edge.number, edge.parent, edge.on_parent_failure.value) for edge in owned.edges],
    ]


def _holds_its_key(job: Job) -> bool:
    """Whether the job has started and keeps the others of its ordering key waiting until it has ended."""
    if job.facts.lane is None or not job.placement.live or not job.placement.starts:
        return False
    wishes = Wishes.loads(job.facts.lane)
    return wishes.order is not None and wishes.on_retry is OnRetry.HOLD


def _belongings(job_id: str, row: Sequence[Any]) -> Belongings:
    trail, steps, signals, lines, edges = row
    return Belongings(
        trail=trail or None,
        steps=tuple(sorted(map(step_of, map(json.loads, steps)), key=lambda step: step.number)),
        signals=tuple(signals_of(signals)),
        lines=tuple(map(line_of, lines)),
        edges=tuple(
            Edge(child=job_id, parent=parent, number=int(number), on_parent_failure=POLICIES[policy])
            for number, parent, policy in edges
        ),
    )
