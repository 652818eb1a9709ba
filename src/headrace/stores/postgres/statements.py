"""The queries of this store, written for the schema ``headrace`` and rewritten for any other."""

import re
from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Final

from headrace.stores.queries import queries

PACKAGE: Final = "headrace.stores.postgres"
DEFAULT_SCHEMA: Final = "headrace"

_SCHEMA: Final = re.compile(r"\bheadrace\.")
_NUMBER: Final = re.compile(r"(\d{4})_\w+\.sql")
_FILES: Final = (
    "adopting",
    "batches",
    "chunks",
    "claim",
    "dead",
    "events",
    "flows",
    "gate",
    "jobs",
    "lanes",
    "lines",
    "notes",
    "plumbing",
    "reads",
    "server",
    "settling",
    "standing",
    "steps",
)


class Statements:
    """All queries by name, for one schema."""

    def __init__(self, schema: str = DEFAULT_SCHEMA) -> None:
        self.schema = schema
        self._texts: dict[str, str] = {}
        for name in _FILES:
            for key, text in queries(PACKAGE, name).items():
                self._texts[key] = in_schema(text, schema)

    def __getitem__(self, name: str) -> str:
        """The text of a query."""
        return self._texts[name]

    def all(self) -> Mapping[str, str]:
        """Every query by name; parts of queries are among them."""
        return self._texts


def in_schema(text: str, schema: str) -> str:
    """The text with every ``headrace.`` exchanged; ``schema`` must be a checked identifier."""
    return text if schema == DEFAULT_SCHEMA else _SCHEMA.sub(f'"{schema}".', text)


def migrations() -> Sequence[tuple[int, str]]:
    """The migration scripts, by number, as they are written."""
    folder = files(PACKAGE).joinpath("migrations")
    found = [(match, entry) for entry in folder.iterdir() if (match := _NUMBER.fullmatch(entry.name))]
    return sorted((int(match[1]), entry.read_text(encoding="utf-8")) for match, entry in found)
