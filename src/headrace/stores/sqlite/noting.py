"""Holders' writes that change no revision: notes, log lines, renewals."""

from collections.abc import Sequence
from dataclasses import dataclass

import apsw

from headrace.stores.sqlite.statements import (
    first,
    integers,
    queries,
    rows,
    texts,
    write,
    write_rows,
)
from headrace.stores.sqlite.stepping import write_steps
from headrace.stores.sqlite.transaction import Write
from headrace.stores.texts import possible
from headrace.stores.values import LINE_CHARS, LINES_KEPT, Holder, LogLine, Note, Renewal

_JOBS = queries("jobs")
_SQL = queries("notes")


@dataclass(frozen=True, slots=True)
class _Held:
    seq: int
    fence: int
    cancel_asked: bool


def write_notes(at: Write, notes: Sequence[Note], now: int) -> frozenset[str]:
    """Writes the notes of those who still hold their jobs; returns the ids of the others."""
    held = _held(at.db, [note.holder for note in notes])
    lost: set[str] = set()
    for note in notes:
        job = held.get(note.holder.job_id)
        if job is None or job.fence != note.holder.fence:
            lost.add(note.holder.job_id)
        else:
            _write_note(at.db, job.seq, note, now)
    return frozenset(lost)


def renew(at: Write, holders: Sequence[Holder], lease_until: int) -> Renewal:
    """Moves the leases of those who still hold their jobs."""
    held = _held(at.db, holders)
    good = [
        (holder.job_id, job)
        for holder in holders
        if (job := held.get(holder.job_id)) is not None and job.fence == holder.fence
    ]
    if good:
        seqs = integers([job.seq for _, job in good])
        write(at.db, _JOBS["renew"], {"lease_until": lease_until, "seqs": seqs})
    return Renewal(
        lost=frozenset(holder.job_id for holder in holders) - {job_id for job_id, _ in good},
        cancel_asked=frozenset(job_id for job_id, job in good if job.cancel_asked),
    )


def _held(db: apsw.Connection, holders: Sequence[Holder]) -> dict[str, _Held]:
    if not (ids := possible([holder.job_id for holder in holders])):
        return {}
    found = rows(db, _JOBS["renewable"], {"ids": texts(ids)})
    return {job_id: _Held(seq, fence, asked is not None) for job_id, seq, fence, asked in found}


def _write_note(db: apsw.Connection, seq: int, note: Note, now: int) -> None:
    fields = (note.progress, note.checkpoint, note.timed_out_at)
    if any(field is not None for field in fields):
        fence = None if note.timed_out_at is None else note.holder.fence
        row = (seq, note.progress, note.checkpoint, fence, note.timed_out_at, now)
        write_rows(db, _SQL["write_note"], [row])
    if note.lines:
        _write_lines(db, seq, note.lines[-LINES_KEPT:])
    if note.steps:
        write_steps(db, seq, note.steps)


def _write_lines(db: apsw.Connection, seq: int, lines: Sequence[LogLine]) -> None:
    (last,) = first(db, _SQL["last_line"], {"seq": seq}) or (0,)
    numbered = enumerate(lines, start=last + 1)
    write_rows(
        db,
        _SQL["write_line"],
        [(seq, n, line.at, line.level, line.message[:LINE_CHARS], line.data) for n, line in numbered],
    )
    beyond = last + len(lines) - LINES_KEPT
    if beyond > 0:
        write(db, _SQL["drop_lines"], {"seq": seq, "until": beyond})
