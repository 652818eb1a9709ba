import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.core.filters import MAX_LIMIT, Page, dump_cursor, load_cursor, states_of
from headrace.core.states import State
from headrace.errors import InvalidInput

KINDS = {int: st.integers(1 - 2**63, 2**63 - 1), str: st.text(st.characters(exclude_categories=["Cs"]))}


@pytest.mark.parametrize(
    ("word", "states"),
    [
        ("pending", {State.PENDING, State.BLOCKED}),
        ("processing", {State.PROCESSING}),
        ("completed", {State.COMPLETED}),
        ("failed", {State.FAILED, State.CANCELLED}),
        ("blocked", {State.BLOCKED}),
        ("cancelled", {State.CANCELLED}),
    ],
)
def test_word_asks_for_the_states_it_shows(word, states):
    assert states_of(word) == states


def test_four_words_ask_for_every_state_once():
    asked = [state for word in ("pending", "processing", "completed", "failed") for state in states_of(word)]

    assert sorted(asked) == sorted(State)


@pytest.mark.parametrize("word", ["", "done", "PENDING", "x" * 1000])
def test_word_is_refused_when_no_state_shows_so(word):
    with pytest.raises(InvalidInput) as refusal:
        states_of(word)

    assert refusal.value.field == "status"


@pytest.mark.parametrize("limit", [1, MAX_LIMIT])
def test_page_takes_a_limit_within_bounds(limit):
    assert Page(limit=limit).limit == limit


@pytest.mark.parametrize("limit", [0, -1, MAX_LIMIT + 1])
def test_page_is_refused_when_its_limit_is_out_of_bounds(limit):
    with pytest.raises(InvalidInput) as refusal:
        Page(limit=limit)

    assert refusal.value.field == "limit"


@given(st.lists(st.sampled_from(list(KINDS)), max_size=3).flatmap(
    lambda kinds: st.tuples(st.just(tuple(kinds)), st.tuples(*(KINDS[kind] for kind in kinds)))
))  # fmt: skip
def test_cursor_gives_its_parts_back(drawn):
    kinds, parts = drawn

    assert load_cursor(dump_cursor(*parts), kinds) == parts


def test_cursor_is_plain_ascii_without_padding():
    cursor = dump_cursor(17, "é")

    assert cursor.isascii()
    assert "=" not in cursor


@pytest.mark.parametrize(
    "text",
    [
        "", "?", "é", "bm9wZQ", dump_cursor(), dump_cursor(1), dump_cursor("a", 1), dump_cursor(1, 2),
        dump_cursor(1, "a", 2), base64.urlsafe_b64encode(b'{"0":1}').decode(), "W" * 5,
        base64.urlsafe_b64encode(b"\xff\xfe").decode(),
    ],
)  # fmt: skip
def test_cursor_is_refused_when_it_is_of_another_listing(text):
    with pytest.raises(InvalidInput) as refusal:
        load_cursor(text, (int, str))

    assert refusal.value.field == "cursor"


@pytest.mark.parametrize(
    "parts",
    [[True], [1.0], [None], [2**63], [-(2**63) - 1], [10**400]],
    ids=lambda parts: str(parts)[:20],
)
def test_cursor_is_refused_when_a_number_fits_no_store(parts):
    with pytest.raises(InvalidInput):
        load_cursor(_forged(json.dumps(parts)), (int,))


def test_cursor_is_refused_when_a_text_holds_a_lone_surrogate():
    with pytest.raises(InvalidInput):
        load_cursor(_forged('["\\ud800"]'), (str,))


def test_cursor_is_refused_when_it_is_deeper_than_the_interpreter_bears():
    with pytest.raises(InvalidInput):
        load_cursor(_forged("[" * 100_000), (int,))


@given(st.one_of(st.text(), st.binary().map(lambda raw: base64.urlsafe_b64encode(raw).decode())))
def test_any_text_is_a_cursor_or_invalid_input(text):
    try:
        parts = load_cursor(text, (int,))
    except InvalidInput:
        return

    assert isinstance(parts[0], int)


def _forged(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")
