import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.core.wire import MAX_DEPTH, MAX_INSTANT_MS, checked, decode, depth_of, encode, from_iso, to_iso
from headrace.errors import InvalidInput, TooLarge


def nested(depth: int) -> object:
    value: object = []
    for _ in range(depth - 1):
        value = [value]
    return value


kept = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(allow_nan=False, allow_infinity=False),
        st.text(st.characters(exclude_categories=["Cs"])),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner, max_size=4),
    ),
    max_leaves=20,
)


@given(kept)
def test_c9_value_is_read_back_as_it_was_accepted(value):
    assert decode(encode(value)) == value


def test_c9_text_keeps_nul_quotes_and_every_plane():
    text = 'a\0b"c\\d\u2028é中🎛'

    assert decode(encode({"text": text})) == {"text": text}


def test_c9_integers_are_kept_exactly_however_large():
    assert decode(encode(2**64 + 1)) == 2**64 + 1


def test_json_is_compact_and_not_escaped():
    assert encode({"ä": [1, 2]}) == '{"ä":[1,2]}'


@pytest.mark.parametrize(
    "value",
    [
        math.nan, math.inf, -math.inf, {"x": [math.nan]}, "\ud800", {"\udfff": 1}, {1, 2}, b"bytes", range(3),
        {(1, 2): 3}, 1j,
    ],
    ids=ascii,
)  # fmt: skip
def test_c9_value_is_refused_when_it_cannot_be_kept(value):
    with pytest.raises(InvalidInput) as refusal:
        encode(value, what="result")

    assert refusal.value.field == "result"


def test_c9_value_is_refused_when_it_holds_itself():
    value: list[object] = []
    value.append(value)

    with pytest.raises(InvalidInput):
        encode(value)


@pytest.mark.parametrize("text", ['"\\ud800"', '{"\\udfff":1}', '["\\ud83c","\\udf9b"]', '"\\udf9b\\ud83c"'])
def test_c9_text_is_refused_when_it_escapes_a_lone_surrogate(text):
    with pytest.raises(InvalidInput):
        checked(text)


def test_c9_text_is_accepted_when_it_escapes_a_whole_pair():
    assert checked('"\\ud83c\\udf9b"') == '"\\ud83c\\udf9b"'


def test_c9_text_is_accepted_when_it_only_speaks_of_escapes():
    assert checked(r'"\\ud800"') == r'"\\ud800"'


def test_c8_value_is_accepted_at_the_depth_limit():
    assert decode(encode(nested(MAX_DEPTH))) == nested(MAX_DEPTH)


def test_c8_value_is_refused_one_level_below_the_depth_limit():
    with pytest.raises(InvalidInput, match="nested more than 64"):
        encode(nested(MAX_DEPTH + 1))


def test_c8_value_is_refused_when_it_is_deeper_than_the_interpreter_bears():
    with pytest.raises(InvalidInput):
        encode(nested(100_000))


def test_c8_body_is_refused_when_it_is_deeper_than_the_interpreter_bears():
    with pytest.raises(InvalidInput):
        decode("[" * 100_000)


def test_brackets_in_texts_are_no_depth():
    value = ["[{" * 100 + '"\\[', "]"]

    assert decode(encode(value)) == value


@pytest.mark.parametrize("depth", [66, 100, 500])
def test_depth_is_counted_over_arrays_and_objects(depth):
    text = '{"a":[' * (depth // 2) + "]}" * (depth // 2)

    assert depth_of(text) == depth


def test_c8_value_is_accepted_at_the_size_limit():
    assert encode("x" * 8, limit=10) == '"xxxxxxxx"'


def test_c8_value_is_refused_one_byte_over_the_size_limit():
    with pytest.raises(TooLarge) as refusal:
        encode("x" * 9, limit=10)

    assert refusal.value.field == "payload"


def test_c8_size_is_counted_in_bytes_not_characters():
    with pytest.raises(TooLarge):
        encode("é" * 5, limit=10)


@pytest.mark.parametrize(
    "body",
    ["NaN", "[Infinity]", '{"a":-Infinity}', '{"a":1,"a":2}', '[{"b":{"a":1,"c":2,"a":3}}]', "{", "", "'a'",
     "[1,]", "01", b"\xff\xfe\xff", b'"\xff"', "\ufeff1"],
    ids=ascii,
)  # fmt: skip
def test_c8_body_is_refused_when_it_is_not_strict_json(body):
    with pytest.raises(InvalidInput):
        decode(body)


@pytest.mark.parametrize("body", ["1e400", '{"a":[-1e999]}'])
def test_c9_body_is_refused_when_a_number_is_too_large_to_keep(body):
    with pytest.raises(InvalidInput):
        decode(body)


def test_duplicate_key_is_named_when_it_is_refused():
    with pytest.raises(InvalidInput, match="'once'"):
        decode('{"twice":1,"once":1,"other":2,"once":3}')


@given(st.one_of(st.text(), st.binary()))
def test_c8_any_body_is_a_value_or_invalid_input(body):
    try:
        value = decode(body)
    except InvalidInput:
        return

    json.dumps(value, allow_nan=False)


@pytest.mark.parametrize(
    ("instant", "text"),
    [
        (0, "1970-01-01T00:00:00Z"),
        (1_767_225_600_000, "2026-01-01T00:00:00Z"),
        (1_767_225_600_007, "2026-01-01T00:00:00.007Z"),
        (MAX_INSTANT_MS, "9999-12-31T23:59:59.999Z"),
    ],
)
def test_x_10_instant_is_written_in_universal_time_and_read_back(instant, text):
    assert to_iso(instant) == text
    assert from_iso(text) == instant


def test_no_instant_is_no_text():
    assert to_iso(None) is None


@given(st.integers(0, MAX_INSTANT_MS))
def test_x_10_every_instant_survives_its_text(instant):
    text = to_iso(instant)

    assert text is not None
    assert from_iso(text) == instant


def test_offset_of_an_instant_is_taken_into_account():
    assert from_iso("2026-01-01T02:00:00+02:00") == from_iso("2026-01-01T00:00:00Z")


@pytest.mark.parametrize(
    "text",
    [
        "2026-01-01T00:00:00", "2026-01-01", "tomorrow", "", "2026-13-01T00:00:00Z", "1969-12-31T23:59:59Z",
        "9999-12-31T23:59:59-23:59", "0001-01-01T00:00:00+23:59", "2026-01-01T00:00:00Zz",
    ],
)  # fmt: skip
def test_instant_is_refused_when_it_names_no_offset_or_no_time(text):
    with pytest.raises(InvalidInput) as refusal:
        from_iso(text, what="runAt")

    assert refusal.value.field == "runAt"


@given(st.text())
def test_any_text_is_an_instant_or_invalid_input(text):
    try:
        instant = from_iso(text)
    except InvalidInput:
        return

    assert 0 <= instant <= MAX_INSTANT_MS


@pytest.mark.parametrize("value", [{1: "a"}, {1: "a", "1": "b"}, {"x": [{None: 1}]}])
def test_c9_keys_that_are_no_text_are_refused(value):
    with pytest.raises(InvalidInput, match="is not a text"):
        encode(value)


def test_number_that_python_would_not_read_back_is_refused():
    with pytest.raises(InvalidInput, match="digits"):
        checked("[" + "1" * 4301 + "]", what="result")

    for kept in ('"' + "1" * 5000 + '"', "1" * 4300):
        assert checked(kept) == kept
