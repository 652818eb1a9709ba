"""Reads of jobs. Each runs on one snapshot."""

from collections.abc import Mapping, Sequence

import apsw

from headrace.core.history import read as read_history
from headrace.core.job import History, Job
from headrace.errors import JobNotFound
from headrace.stores.rows import STATES, job_of
from headrace.stores.sqlite.statements import first, integers, queries, rows, texts
from headrace.stores.texts import possible
from headrace.stores.values import LogLine, ParkedCount, Tally

_SQL = queries("reads")


def jobs_by_id(db: apsw.Connection, namespace: str, ids: Sequence[str]) -> Mapping[str, Job]:
    """The jobs that exist, by id."""
    if not (ids := possible(ids)):
        return {}
    found = map(job_of, rows(db, _SQL["jobs_by_id"], {"namespace": namespace, "ids": texts(ids)}))
    return {job.id: job for job in found}


def jobs_by_seq(db: apsw.Connection, seqs: Sequence[int]) -> Mapping[int, Job]:
    """The jobs that exist, by seq, of all namespaces."""
    if not seqs:
        return {}
    found = map(job_of, rows(db, _SQL["jobs_by_seq"], {"seqs": integers(seqs)}))
    return {job.seq: job for job in found}


def expired_jobs(db: apsw.Connection, now: int, limit: int) -> Sequence[Job]:
    """Running jobs whose lease has ended, of all namespaces, longest expired first."""
    return [job_of(row) for row in rows(db, _SQL["expired"], {"now": now, "limit": limit})]


def tallies(db: apsw.Connection, namespace: str) -> Sequence[Tally]:
    """How many jobs there are by queue, type and state."""
    found = rows(db, _SQL["tallies"], {"namespace": namespace})
    return [Tally(queue=queue, type=t, state=STATES[state], count=n) for queue, t, state, n in found]


def history(db: apsw.Connection, namespace: str, job_id: str) -> History:
    """All attempts of a job."""
    job = _job(db, namespace, job_id)
    (trail,) = first(db, _SQL["trail_of"], {"seq": job.seq}) or (None,)
    return read_history(job, trail)


def log_lines(db: apsw.Connection, namespace: str, job_id: str) -> Sequence[LogLine]:
    """What the job's handlers logged, oldest first."""
    found = rows(db, _SQL["lines_of"], {"seq": _job(db, namespace, job_id).seq})
    return [LogLine(at=at, level=level, message=message, data=data) for at, level, message, data in found]


def parked(db: apsw.Connection, namespace: str) -> Sequence[ParkedCount]:
    """Which lanes hold how many jobs back."""
    found = rows(db, _SQL["parked"], {"namespace": namespace})
    return [ParkedCount(queue=queue, lane=lane, count=n) for queue, lane, n in found]


def _job(db: apsw.Connection, namespace: str, job_id: str) -> Job:
    job = jobs_by_id(db, namespace, [job_id]).get(job_id)
    if job is None:
        raise JobNotFound(job_id)
    return job
