"""Rows as a stream: what is read, what is wrong, and where reading can be taken up again."""

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.errors import Permanent
from headrace.handlers.rows import MAX_ROW_BYTES, Place, csv_columns, csv_rows, item_rows, jsonl_rows
from tests.files.stored import chunks_of


async def read_csv(content: bytes, *, size: int = 7):
    place = await csv_columns(chunks_of(content, size))
    return [row async for row in csv_rows(chunks_of(content[place.offset :], size), place)]


async def read_jsonl(content: bytes, *, size: int = 7):
    return [row async for row in jsonl_rows(chunks_of(content, size), Place())]


async def test_csv_row_has_its_columns():
    (row,) = await read_csv(b"a,b\n1,2\n")

    assert (row.number, row.end, row.values, row.error) == (1, 8, {"a": "1", "b": "2"}, None)


@pytest.mark.parametrize(
    ("content", "values"),
    [
        (b"a,b\r\n1,2\r\n3,4", [["1", "2"], ["3", "4"]]),
        (b"\xef\xbb\xbfa,b\n1,2\n", [["1", "2"]]),
        (b'"a","b"\n"x,y","say ""hi"""\n', [["x,y", 'say "hi"']]),
        (b'a,b\n"two\nlines","three\r\n\r\nmore"\n5,6\n', [["two\nlines", "three\r\n\r\nmore"], ["5", "6"]]),
        (b'a,b\n5" pipe,x\n7,8\n', [['5" pipe', "x"], ["7", "8"]]),
        (b"a,b\n\n1,2\n\r\n\n3,4\n\n", [["1", "2"], ["3", "4"]]),
        ("a,b\ngrün,日本\u2028x\n".encode(), [["grün", "日本\u2028x"]]),
        (b"a,b\n,\n", [["", ""]]),
        (b"a,b\n", []),
        (b"a,b", []),
    ],
)
@pytest.mark.parametrize("size", [1, 3, 1000])
async def test_csv_is_read_whatever_the_chunks(content, values, size):
    rows = await read_csv(content, size=size)

    assert [list(row.values.values()) for row in rows] == values
    assert [row.number for row in rows] == list(range(1, len(rows) + 1))


@pytest.mark.parametrize(
    ("line", "error"),
    [
        (b"1\n", "1 columns instead of 2"),
        (b"1,2,3\n", "3 columns instead of 2"),
        (b'"x"y,2\n', "expected after"),
        (b"\xff\xfe,2\n", "not UTF-8"),
        (b"1\r2,3\n", "new-line character"),
    ],
)
async def test_wrong_csv_row_is_told_and_reading_goes_on(line, error):
    first, wrong, last = await read_csv(b"a,b\n1,2\n" + line + b"3,4\n", size=1000)

    assert first.values == {"a": "1", "b": "2"}
    assert error in wrong.error
    assert (last.number, last.values) == (3, {"a": "3", "b": "4"})


async def test_quote_that_is_never_closed_is_told():
    (row,) = await read_csv(b'a,b\n"1,2\n3,4\n')

    assert row.error == "a quoted field is not closed"


@pytest.mark.parametrize("line", [b"3,4\n", b'""\n', b"3,4\n" * 100_000])
async def test_quote_that_is_never_closed_in_a_large_file_ends_the_import(line):
    with pytest.raises(Permanent, match="quote not closed"):
        await read_csv(b'a,b\n"1,2\n' + line * (2 * MAX_ROW_BYTES // len(line)), size=65536)


async def test_line_without_end_ends_the_import():
    with pytest.raises(Permanent, match="longer than"):
        await read_csv(b"a,b\n" + b"x" * (2 * MAX_ROW_BYTES), size=65536)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\n\n",
        b"x" * 40_000,
        b",".join(b"%d" % n for n in range(1001)),
        b"a,a\n1,2\n",
        b"a,,c\n",
        b'"a\n',
        b"\xff\n",
        b'"a"b\n',
    ],
)
async def test_header_that_names_no_columns_ends_the_import(content):
    with pytest.raises(Permanent):
        await read_csv(content)


async def test_jsonl_rows_are_objects():
    good, wrong, broken, twice, last = await read_jsonl(
        b'{"a": 1, "b": [null]}\n\n[1]\n{"a": NaN}\r\n{"a": 1, "a": 2}\n{"a": "\xc3\xbc"}'
    )

    assert good.values == {"a": 1, "b": [None]}
    assert wrong.error == "a row must be a JSON object"
    assert "NaN" in broken.error
    assert "twice" in twice.error
    assert (last.number, last.values) == (5, {"a": "ü"})


async def test_jsonl_that_is_no_text_is_told():
    wrong, good = await read_jsonl(b'\xff\xfe\n{"a": 1}\n')

    assert wrong.error
    assert good.values == {"a": 1}


async def test_reading_is_taken_up_behind_any_row():
    content = b'\xef\xbb\xbfa,b\n1,"x\ny"\n\nbad\n3,4\n5,6'
    rows = await read_csv(content)
    columns = ("a", "b")

    for row in rows:
        place = Place(offset=row.end, number=row.number, columns=columns)
        rest = [one async for one in csv_rows(chunks_of(content[row.end :], 3), place)]
        assert rest == rows[row.number :]


async def test_jsonl_reading_is_taken_up_behind_any_row():
    content = b'{"a":1}\n\nnope\n{"a":2}'
    rows = await read_jsonl(content)

    for row in rows:
        place = Place(offset=row.end, number=row.number)
        assert [one async for one in jsonl_rows(chunks_of(content[row.end :]), place)] == rows[row.number :]


def test_items_are_rows():
    rows = item_rows([{"a": 1}, 2, {"b": 3}], Place(number=1))

    assert [(row.number, row.values, row.error) for row in rows] == [
        (2, None, "a row must be a JSON object"),
        (3, {"b": 3}, None),
    ]


FIELD = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=12)


@given(st.lists(st.lists(FIELD, min_size=2, max_size=2), max_size=8), st.integers(1, 40))
async def test_what_the_csv_module_writes_is_read_back(rows, size):
    text = io.StringIO()
    csv.writer(text, quoting=csv.QUOTE_ALL).writerows([["a", "b"], *rows])

    read = await read_csv(text.getvalue().encode(), size=size)

    assert [list(row.values.values()) for row in read] == rows


@pytest.mark.parametrize(
    "field",
    [b"x" * 100_000 + b"\n" + b"x" * 100_000, b"caf\xe9"],
    ids=["longer than the csv module's own limit", "not UTF-8"],
)
async def test_line_inside_a_quoted_field_never_becomes_a_row(field):
    content = b'name,note\nann,"' + field + b'\nmallory,injected\n"\nbob,ok\n'

    first, second = await read_csv(content, size=65536)

    assert first.error == "not UTF-8 text" or first.values["note"].endswith("mallory,injected\n")
    assert second.values == {"name": "bob", "note": "ok"}
