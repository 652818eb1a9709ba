"""What an import is asked to do, and how far it is."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from headrace.core.wire import Json
from headrace.errors import InvalidInput
from headrace.handlers.rows import Format, Place, Row

NAME: Final = "batch-import"
MAX_KEPT_ERRORS: Final = 1_000
MAX_ERROR_CHARS: Final = 200


@dataclass(slots=True)
class Tally:
    """How far an import is: what its checkpoint holds."""

    offset: int = 0
    number: int = 0
    columns: list[str] = field(default_factory=list[str])
    enqueued: int = 0
    errors: int = 0
    kept_errors: list[dict[str, Json]] = field(default_factory=list[dict[str, Json]])
    file_id: str | None = None

    @property
    def place(self) -> Place:
        """Where reading goes on."""
        return Place(offset=self.offset, number=self.number, columns=tuple(self.columns))

    def passed(self, row: Row) -> None:
        """Notes that the row is dealt with."""
        self.offset, self.number = row.end, row.number

    def wrong(self, row: Row, error: str) -> None:
        """Notes a row that could not be taken."""
        self.errors += 1
        if len(self.kept_errors) < MAX_KEPT_ERRORS:
            self.kept_errors.append({"row": row.number, "error": error[:MAX_ERROR_CHARS]})


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is asked for."""

    items: Sequence[Json] | None
    file_id: str | None
    format: Format | None
    namespace: str | None
    row_type: str | None
    mapping: Mapping[str, str]
    constants: Mapping[str, Json]
    chunk_size: int

    def __post_init__(self) -> None:
        if (self.items is None) == (self.file_id is None):
            msg = "give items or fileId, one of them"
            raise InvalidInput(msg, field="items")
        if (self.file_id is None) != (self.format is None):
            msg = "a file needs its format, csv or jsonl; items have none"
            raise InvalidInput(msg, field="format")
        if self.row_type == NAME:
            msg = "the rows of an import cannot be imports"
            raise InvalidInput(msg, field="rowType")

    def payload(self, row: Row) -> dict[str, Json]:
        """The payload of a row's job. Raises InvalidInput for a row without a column that is mapped."""
        values = row.values or {}
        if missing := [column for column in self.mapping.values() if column not in values]:
            msg = f"no column {', '.join(missing)}"
            raise InvalidInput(msg, field="mapping")
        chosen = {name: values[column] for name, column in self.mapping.items()} if self.mapping else values
        return {**chosen, **self.constants}
