"""Rows out of CSV and JSON Lines, read as a stream that can be taken up again at any row.

A row that cannot be read is a row with an error, and reading goes on behind it.
"""

import csv
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, cast

from headrace.core import wire
from headrace.core.wire import Json
from headrace.errors import InvalidInput, Permanent

MAX_ROW_BYTES: Final = 1024 * 1024
MAX_COLUMNS: Final = 1000
MAX_HEADER_CHARS: Final = 32 * 1024
MAX_EFFORT: Final = 32 * MAX_ROW_BYTES
_MAX_FIELD: Final = 2 * MAX_ROW_BYTES + 1
_BOM: Final = b"\xef\xbb\xbf"
_UNFINISHED: Final = "unexpected end of data"


class Format(StrEnum):
    """How the rows of a file are written."""

    CSV = "csv"
    JSONL = "jsonl"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One row, counted from 1. ``end`` is where the next one begins, in bytes. Has values or an error."""

    number: int
    end: int
    values: Mapping[str, Json] | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where reading goes on: behind ``number`` rows, at byte ``offset``; CSV needs its columns again."""

    offset: int = 0
    number: int = 0
    columns: tuple[str, ...] = ()


async def csv_columns(chunks: AsyncIterator[bytes]) -> Place:
    """The columns that the first row of a CSV file names. Raises Permanent where they cannot be used."""
    async with aclosing(_records(chunks, 0)) as records:
        async for fields, end, error in records:
            return Place(offset=end, columns=_checked_columns(fields, error))
    msg = "the file is empty; its first row must name the columns"
    raise Permanent(msg)


def _checked_columns(fields: list[str] | None, error: str | None) -> tuple[str, ...]:
    columns = tuple(name.strip() for name in fields or ())
    if error is not None or not all(columns) or len(set(columns)) != len(columns):
        msg = f"the first row must name the columns, each once: {error or ', '.join(columns)[:200]}"
        raise Permanent(msg)
    if len(columns) > MAX_COLUMNS or sum(map(len, columns)) > MAX_HEADER_CHARS:
        msg = f"a file has at most {MAX_COLUMNS} columns, with names of {MAX_HEADER_CHARS} characters in all"
        raise Permanent(msg)
    return columns


async def csv_rows(chunks: AsyncIterator[bytes], place: Place) -> AsyncGenerator[Row]:
    """The rows from ``place`` on; ``chunks`` begin there."""
    number = place.number
    async with aclosing(_records(chunks, place.offset)) as records:
        async for fields, end, wrong in records:
            number += 1
            error = wrong
            if fields is not None and len(fields) != len(place.columns):
                error = f"{len(fields)} columns instead of {len(place.columns)}"
            if fields is None or error is not None:
                yield Row(number=number, end=end, error=error)
            else:
                yield Row(number=number, end=end, values=dict(zip(place.columns, fields, strict=True)))


async def jsonl_rows(chunks: AsyncIterator[bytes], place: Place) -> AsyncGenerator[Row]:
    """The rows from ``place`` on; ``chunks`` begin there. Empty lines are passed over."""
    number, end = place.number, place.offset
    async with aclosing(_lines(chunks)) as lines:
        async for line in lines:
            end += len(line)
            if line.strip():
                number += 1
                yield _object_row(line, number, end)


def item_rows(items: Sequence[Json], place: Place) -> Sequence[Row]:
    """The rows of a list from ``place`` on."""
    return [
        _as_row(item, number, number)
        for number, item in enumerate(items[place.number :], start=place.number + 1)
    ]


def _object_row(line: bytes, number: int, end: int) -> Row:
    try:
        return _as_row(wire.decode(line.removeprefix(_BOM), what="row"), number, end)
    except (InvalidInput, UnicodeDecodeError) as error:
        return Row(number=number, end=end, error=str(error))


def _as_row(value: Json, number: int, end: int) -> Row:
    if not isinstance(value, Mapping):
        return Row(number=number, end=end, error="a row must be a JSON object")
    return Row(number=number, end=end, values=cast("Mapping[str, Json]", value))


async def _lines(chunks: AsyncIterator[bytes]) -> AsyncGenerator[bytes]:
    """Physical lines with their ends. Raises Permanent for one that no row can be."""
    rest = b""
    async for chunk in chunks:
        *whole, rest = (rest + chunk).split(b"\n")
        if len(rest) > MAX_ROW_BYTES or any(len(line) > MAX_ROW_BYTES for line in whole):
            msg = f"a line is longer than {MAX_ROW_BYTES} bytes"
            raise Permanent(msg)
        for line in whole:
            yield line + b"\n"
    if rest:
        yield rest


async def _records(
    chunks: AsyncIterator[bytes], offset: int
) -> AsyncGenerator[tuple[list[str] | None, int, str | None]]:
    """The fields of each CSV record, where it ends, what is wrong. A quoted field may hold line ends."""
    waiting = b""
    end = offset
    effort = 0
    # The limit of the whole process. A field that passed it would end inside its quotes, and the lines
    # behind would be taken for rows.
    csv.field_size_limit(max(csv.field_size_limit(), _MAX_FIELD))
    async with aclosing(_lines(chunks)) as lines:
        async for line in lines:
            waiting += line if end else line.removeprefix(_BOM)
            end += len(line)
            effort += len(waiting)
            fields, wrong = _fields(waiting)
            if wrong == _UNFINISHED:
                _check_effort(len(waiting), effort, end)
                continue
            if waiting.strip(b"\r\n"):
                yield fields, end, wrong
            waiting, effort = b"", 0
    if waiting:
        yield None, end, "a quoted field is not closed"


def _check_effort(size: int, effort: int, end: int) -> None:
    """Each further line of an open field reads the row again; this bounds how often."""
    if size > MAX_ROW_BYTES or effort > MAX_EFFORT:
        msg = f"the row that ends at byte {end} is too long; is a quote not closed?"
        raise Permanent(msg)


def _fields(record: bytes) -> tuple[list[str] | None, str | None]:
    wrong = None
    try:
        text = record.decode()
    except UnicodeDecodeError:
        text, wrong = record.decode(errors="replace"), "not UTF-8 text"
    try:
        fields = next(csv.reader([text], strict=True))
    except csv.Error as error:
        # An open quote comes first: the row goes on, whatever else is wrong with it.
        return None, _UNFINISHED if str(error) == _UNFINISHED else wrong or str(error)
    return (fields, None) if wrong is None else (None, wrong)
