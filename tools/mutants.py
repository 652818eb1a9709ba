# ruff: noqa: INP001 - a part of mutate.py
"""What a mutant is, and all of them: each takes one guarantee away that some test must miss.

They stand in the tables ``mutants_*.toml`` beside this file; those of namespaces in ``mutants_namespaces``.
"""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, get_args

Kind = Literal["core", "sqlite", "postgres", "redis"]
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)


class Moved(Exception):
    """The text that a mutant exchanges is not where it was: the table of mutants must follow the code."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One text for another in a file under ``src/headrace``. The old one must stand there exactly once.

    ``query`` narrows a file of SQL down to one query: from its ``-- :name`` to the next one.
    """

    file: str
    old: str
    new: str
    query: str | None = None

    def made_in(self, root: Path) -> None:
        """Makes the change in a copy of the tree. Raises Moved if the text is not there once."""
        path = root / "src" / "headrace" / self.file
        path.write_text(self.made_of(path.read_text(encoding="utf-8")), encoding="utf-8")

    def made_of(self, text: str) -> str:
        """The file's text with the change. Raises Moved if the old text is not there once."""
        start, end = (0, len(text)) if self.query is None else self._bounds(text, self.query)
        found = text.count(self.old, start, end)
        if found != 1:
            where = self.file if self.query is None else f"{self.query} of {self.file}"
            raise Moved(f"{where} holds {found} times, not once:\n{self.old}")
        changed = text[start:end].replace(self.old, self.new)
        return text[:start] + changed + text[end:]

    def _bounds(self, text: str, query: str) -> tuple[int, int]:
        start = 0
        bounds: list[tuple[int, int]] = []
        for part in text.split("\n-- :"):
            if part.removeprefix("-- :").split(maxsplit=1)[0] == query:
                bounds.append((start, start + len(part)))
            start += len(part) + len("\n-- :")
        if len(bounds) != 1:
            raise Moved(f"{self.file} has {len(bounds)} queries with the name {query}")
        return bounds[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutant:
    """The tree without one guarantee. ``tests`` are those that should notice, as pytest names them."""

    name: str
    kind: Kind
    lost: str
    changes: Sequence[Change]
    tests: Sequence[str]


def in_table(kind: Kind) -> Sequence[Mutant]:
    """The mutants of one table, in its order."""
    text = (Path(__file__).parent / f"mutants_{kind}.toml").read_text(encoding="utf-8")
    return [_mutant(kind, row) for row in tomllib.loads(text)["mutant"]]


def _mutant(kind: Kind, row: Mapping[str, Any]) -> Mutant:
    changes = [Change(**change) for change in row["changes"]]
    return Mutant(name=row["name"], kind=kind, lost=row["lost"], changes=changes, tests=row["tests"])
