"""What holders write about their running jobs, which changes no revision."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from headrace.stores.redis.database import Database
from headrace.stores.redis.holders import by_namespace
from headrace.stores.redis.reading import pages
from headrace.stores.redis.session import dumps
from headrace.stores.redis.stepping import step_values
from headrace.stores.values import LINE_CHARS, LINES_KEPT, LogLine, Note

AT_ONCE: Final = 100


@dataclass(frozen=True, slots=True)
class Noting:
    """Notes to write."""

    notes: Sequence[Note]
    now: int

    async def run(self, database: Database) -> frozenset[str]:
        """Writes the notes of those who still hold their jobs; returns the ids of the others."""
        held: set[int] = set()
        for namespace, indexes in (await by_namespace(database, [one.holder for one in self.notes])).items():
            held |= await self._write(database, namespace, indexes)
        return frozenset(one.holder.job_id for index, one in enumerate(self.notes) if index not in held)

    async def _write(self, database: Database, namespace: str, indexes: Sequence[int]) -> set[int]:
        parts = pages(indexes, AT_ONCE)
        given = [
            (self.now, LINES_KEPT, dumps([_values(self.notes[index]) for index in part])) for part in parts
        ]
        answers = await database.runs(database.keys(namespace), "note", given)
        return {
            index
            for part, told in zip(parts, answers, strict=True)
            for index, answer in zip(part, told, strict=True)
            if answer == 1
        }


def _values(note: Note) -> Sequence[object]:
    return (
        note.holder.job_id,
        note.holder.fence,
        note.progress,
        note.checkpoint,
        note.timed_out_at,
        [line_text(line) for line in note.lines[-LINES_KEPT:]],
        step_values(note.steps),
    )


def line_text(line: LogLine) -> str:
    """A line as the list of a job's lines holds it."""
    return json.dumps((line.at, line.level, line.message[:LINE_CHARS], line.data), ensure_ascii=False)
