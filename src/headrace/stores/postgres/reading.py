"""Reads of jobs."""

from collections.abc import Mapping, Sequence
from typing import Final

from headrace.core.history import read as read_history
from headrace.core.job import History, Job
from headrace.errors import JobNotFound
from headrace.stores.postgres.session import Session
from headrace.stores.rows import STATES, job_of
from headrace.stores.texts import possible
from headrace.stores.values import LogLine, ParkedCount, Tally

MANY_MOVES: Final = 2_000


async def jobs_by_id(session: Session, namespace: str, ids: Sequence[str]) -> Mapping[str, Job]:
    """The jobs that exist, by id."""
    found = await session.rows("jobs_by_id", namespace, possible(ids))
    return {job.id: job for job in map(job_of, found)}


async def jobs_by_seq(session: Session, seqs: Sequence[int]) -> Mapping[int, Job]:
    """The jobs that exist, by seq, of all namespaces."""
    found = await session.rows("jobs_by_seq", list(seqs)) if seqs else []
    return {job.seq: job for job in map(job_of, found)}


async def expired_jobs(session: Session, now: int, limit: int) -> Sequence[Job]:
    """Running jobs whose lease has ended, of all namespaces, longest expired first."""
    return [job_of(row) for row in await session.rows("expired", now, limit)]


async def tallies(session: Session, namespace: str) -> tuple[Sequence[Tally], bool]:
    """How many jobs there are by queue, type and state, and whether it is time to fold moves."""
    found = await session.rows("tallies", namespace)
    counted = [
        Tally(queue=queue, type=type_, state=STATES[state], count=count)
        for queue, type_, state, count, _ in found
    ]
    return counted, sum(moves for *_, moves in found) > MANY_MOVES


async def history(session: Session, namespace: str, job_id: str) -> History:
    """All attempts of a job."""
    found = await session.row("history_of", namespace, job_id) if possible([job_id]) else None
    if found is None:
        raise JobNotFound(job_id)
    *columns, trail = found
    return read_history(job_of(columns), trail)


async def log_lines(session: Session, namespace: str, job_id: str) -> Sequence[LogLine]:
    """What the job's handlers logged, oldest first."""
    found = await session.rows("lines_of", namespace, job_id) if possible([job_id]) else []
    if not found:
        raise JobNotFound(job_id)
    return [
        LogLine(at=at, level=level, message=message.decode(), data=data)
        for at, level, message, data in found
        if at is not None
    ]


async def parked(session: Session, namespace: str) -> Sequence[ParkedCount]:
    """Which lanes hold how many jobs back."""
    found = await session.rows("parked", namespace)
    return [ParkedCount(queue=queue, lane=lane, count=count) for queue, lane, count in found]
