"""What holders note about their running jobs; it changes no revision."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from headrace.core.place import CLAIMED
from headrace.stores.postgres.database import Database
from headrace.stores.postgres.rows import arrays
from headrace.stores.postgres.session import Session
from headrace.stores.postgres.stepping import write_steps
from headrace.stores.texts import possible
from headrace.stores.values import LINE_CHARS, LINES_KEPT, Holder, LogLine, Note


@dataclass(frozen=True, slots=True)
class Noting:
    """Notes to write."""

    notes: Sequence[Note]
    now: int

    async def run(self, database: Database) -> frozenset[str]:
        """Writes the notes of those who still hold their jobs; returns the ids of the others."""
        merged = _merged(self.notes)
        if not merged:
            return frozenset(note.holder.job_id for note in self.notes)
        if any(note.lines or note.steps for note in merged.values()):
            held = await database.together(lambda session: _write_all(session, merged, self.now))
        else:
            held = await database.alone(lambda session: _write_fields(session, merged, self.now))
        return frozenset(note.holder.job_id for note in self.notes if note.holder not in held)


def _merged(notes: Sequence[Note]) -> Mapping[Holder, Note]:
    """One note for each holder that can exist: later fields stand, lines follow each other."""
    merged: dict[Holder, Note] = {}
    for note in notes:
        earlier = merged.get(note.holder)
        merged[note.holder] = note if earlier is None else _joined(earlier, note)
    there = frozenset(possible([holder.job_id for holder in merged]))
    return {holder: note for holder, note in merged.items() if holder.job_id in there}


def _joined(earlier: Note, later: Note) -> Note:
    return Note(
        holder=later.holder,
        progress=earlier.progress if later.progress is None else later.progress,
        checkpoint=earlier.checkpoint if later.checkpoint is None else later.checkpoint,
        timed_out_at=earlier.timed_out_at if later.timed_out_at is None else later.timed_out_at,
        lines=earlier.lines + later.lines,
        steps=earlier.steps + later.steps,
    )


async def _write_all(session: Session, merged: Mapping[Holder, Note], now: int) -> Mapping[Holder, int]:
    held = await _write_fields(session, merged, now)
    lines = {seq: merged[holder].lines[-LINES_KEPT:] for holder, seq in held.items()}
    await _write_lines(session, {seq: of_job for seq, of_job in lines.items() if of_job})
    await write_steps(session, {seq: merged[holder].steps for holder, seq in held.items()})
    return held


async def _write_fields(session: Session, merged: Mapping[Holder, Note], now: int) -> Mapping[Holder, int]:
    """Writes all but the lines; returns the seqs of the jobs that are still held, by holder."""
    ids, fences, *fields = arrays(
        [
            (holder.job_id, holder.fence, note.progress, note.checkpoint, note.timed_out_at)
            for holder, note in merged.items()
        ]
    )
    found = await session.rows("write_notes", ids, fences, CLAIMED.value, *fields, now)
    return {Holder(job_id=job_id, fence=fence): seq for job_id, fence, seq in found}


async def _write_lines(session: Session, lines: Mapping[int, Sequence[LogLine]]) -> None:
    rows = [
        (seq, number, line.at, line.level, line.message[:LINE_CHARS].encode(), line.data)
        for seq, of_job in lines.items()
        for number, line in enumerate(of_job, start=1)
    ]
    if not rows:
        return
    written = await session.rows("write_lines", *arrays(rows))
    last: dict[int, int] = {}
    for seq, number in written:
        last[seq] = max(number, last.get(seq, 0))
    worn = [(seq, number - LINES_KEPT) for seq, number in last.items() if number > LINES_KEPT]
    if worn:
        await session.run("drop_lines", *arrays(worn))
