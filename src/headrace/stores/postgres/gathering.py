"""Plain inserts of one event loop that wait at the same moment share one statement and one commit."""

from collections.abc import Sequence
from dataclasses import dataclass

from headrace.stores import gathering
from headrace.stores.postgres.database import Database
from headrace.stores.postgres.rows import Values, arrays, shared
from headrace.stores.postgres.session import Session


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """What all rows of one statement have in common."""

    namespace: str
    state: str
    isolation: int
    generation: int


class Gatherer:
    """Inserts rows of ``insert_plain``."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._gatherer = gathering.Gatherer[Shape, Values](self._write)

    async def insert(self, shape: Shape, rows: Sequence[Values]) -> None:
        """Returns when the rows are committed."""
        await self._gatherer.add(shape, rows)

    async def _write(self, shape: Shape, rows: Sequence[Values]) -> None:
        async def op(session: Session) -> None:
            ids, queues, types, payloads, *others = arrays(rows)
            (queues, types, *others), alike = shared([queues, types, *others])
            await session.run(
                "insert_plain",
                shape.namespace,
                shape.state,
                shape.isolation,
                shape.generation,
                ids,
                queues,
                types,
                payloads,
                *others,
                *alike,
            )

        if rows:
            await self._database.alone(op)
