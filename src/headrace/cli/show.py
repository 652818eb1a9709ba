"""How commands print: tables on a terminal, tab-separated text in a pipe, JSON when asked."""

import json
import sys
from collections.abc import Mapping, Sequence
from typing import Final

from headrace.cli.exits import shown

Row = Sequence[object]


def print_json(value: object) -> None:
    """Prints a JSON value that no terminal can mistake for commands."""
    text = json.dumps(value, ensure_ascii=False, indent=2)
    safe = "".join(char if char.isprintable() or char == "\n" else f"\\u{ord(char):04x}" for char in text)
    print_line(safe)


def print_table(columns: Sequence[str], rows: Sequence[Row], *, empty: str = "none") -> None:
    """Prints rows: a table on a terminal, else a header and one tab-separated line each."""
    if on_terminal():
        _rich_table(columns, rows, empty)
        return
    print_line("\t".join(columns))
    for row in rows:
        print_line("\t".join(cell(value) for value in row))


def print_facts(facts: Mapping[str, object]) -> None:
    """Prints names and values, one a line."""
    if not on_terminal():
        for name, value in facts.items():
            print_line(f"{name}\t{cell(value)}")
        return
    width = max(map(len, facts))
    for name, value in facts.items():
        print_line(f"{name:<{width}}  {cell(value)}")


def print_line(text: str) -> None:
    """Prints a line of plain text."""
    sys.stdout.write(text + "\n")


def cell(value: object) -> str:
    """A value in a table. Control characters are spelled out."""
    match value:
        case None:
            return _NOTHING if on_terminal() else ""
        case bool():
            return "yes" if value else "no"
        case str():
            return shown(value)
        case int() | float():
            return str(value)
        case _:
            return shown(json.dumps(value, ensure_ascii=False))


def on_terminal() -> bool:
    """Whether stdout is a terminal."""
    return sys.stdout.isatty()


_NOTHING: Final = "–"


def _rich_table(columns: Sequence[str], rows: Sequence[Row], empty: str) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    if not rows:
        print_line(empty)
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell(value)) for value in row))
    Console(highlight=False, markup=False).print(table)
