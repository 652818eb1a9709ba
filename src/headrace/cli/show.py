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


def print_json_line(value: object) -> None:
    """Prints a JSON value on one line, for whoever reads line by line."""
    text = json.dumps(value, ensure_ascii=False)
    print_line("".join(char if char.isprintable() else f"\\u{ord(char):04x}" for char in text))


def print_table(
    columns: Sequence[str], rows: Sequence[Row], *, empty: str = "none", spare: Sequence[str] = ()
) -> None:
    """Prints rows: a table on a terminal, else a header and one tab-separated line each.

    On a terminal that is too narrow for all of them, columns in ``spare`` are left out, the first
    named first.
    """
    if on_terminal():
        _rich_table(columns, [[cell(value) for value in row] for row in rows], empty, spare)
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

_LAST_COLUMN: Final = 12
"""What the last column is left at least; its text goes on in the lines below."""


def _rich_table(
    columns: Sequence[str], rows: Sequence[Sequence[str]], empty: str, spare: Sequence[str]
) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    if not rows:
        print_line(empty)
        return
    console = Console(highlight=False, markup=False)
    widths = [max(len(column), *(len(row[n]) for row in rows)) for n, column in enumerate(columns)]
    widths[-1] = min(widths[-1], _LAST_COLUMN)
    kept = _fitting(columns, widths, console.width, spare)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for n in kept:
        # an id is there to be copied, so it stays in one piece on the narrowest terminal
        whole = columns[n] in ("id", "state", "status")
        table.add_column(columns[n], overflow="fold", no_wrap=whole, min_width=widths[n] if whole else None)
    for row in rows:
        table.add_row(*(Text(row[n]) for n in kept))
    console.print(table)


def _fitting(columns: Sequence[str], widths: Sequence[int], room: int, spare: Sequence[str]) -> list[int]:
    """The columns to show, so that they fit into the room if leaving out spare ones can do that."""
    kept = list(range(len(columns)))
    for name in spare:
        if sum(widths[n] + 2 for n in kept) - 2 <= room:
            break
        kept.remove(columns.index(name))
    return kept
