"""Wishes of jobs: which keys they bring to limits and to their order."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.core.limit_keys import KeyRule, KeyRules, Source, wishes_of
from headrace.core.limit_names import MAX_KEY_CHARS
from headrace.core.wishes import MAX_LANES, OnRetry, Wishes
from headrace.errors import InvalidInput

USER = KeyRule(name="per-user", path="user_id", alias="userId")
INNER = KeyRule(name="type:send@order.customer", path="order.customer", alias="order.customer")
SHARED = KeyRule(name="gpu")
CODE = KeyRule(name="shard", computed=True)


def wishes(rules: KeyRules, payload: object, *, properties=None, computed=None) -> Wishes:
    source = Source(
        job_type="send", payload=json.dumps(payload), properties=properties or {}, computed=computed or {}
    )
    return wishes_of(rules, source)


def test_keys_become_lanes_of_their_limits_in_key_order():
    told = wishes(
        KeyRules(limits=(USER, SHARED, INNER), order=USER, fixed=("breaker:stripe",)),
        {"user_id": 42, "order": {"customer": "c/1"}},
    )

    assert told == Wishes(
        lanes=("breaker:stripe", "limit:gpu", "limit:per-user/42", "limit:type:send@order.customer/c/1"),
        order="order:per-user/42",
    )


@pytest.mark.parametrize(
    ("value", "key"), [("a", "a"), (7, "7"), (7.0, "7"), (7.5, "7.5"), (True, "true"), (False, "false")]
)
def test_texts_numbers_and_booleans_are_keys(value, key):
    assert wishes(KeyRules(limits=(USER,)), {"user_id": value}).lanes == (f"limit:per-user/{key}",)


def test_payload_as_json_clients_spell_it_gives_the_same_lane():
    assert wishes(KeyRules(limits=(USER,)), {"userId": 42}) == wishes(
        KeyRules(limits=(USER,)), {"user_id": 42}
    )


def test_default_of_the_schema_stands_for_what_the_payload_leaves_out():
    told = wishes(KeyRules(limits=(USER,)), {}, properties={"userId": {"default": 5}})

    assert told.lanes == ("limit:per-user/5",)


@pytest.mark.parametrize("payload", [{}, {"user_id": None}])
def test_job_without_a_key_has_no_lane_of_it_and_no_order(payload):
    rules = KeyRules(limits=(USER, INNER), order=USER)

    assert wishes(rules, payload | {"order": 3}) == Wishes()
    assert wishes(rules, payload | {"order": 3}).dumps() is None


@pytest.mark.parametrize("value", [[], {}, "", "x" * (MAX_KEY_CHARS + 1), "a\nb"])
def test_value_that_is_no_key_is_refused(value):
    with pytest.raises(InvalidInput, match="key"):
        wishes(KeyRules(limits=(USER,)), {"user_id": value})


def test_computed_key_comes_from_the_code_and_is_refused_without_it():
    rules = KeyRules(limits=(CODE,), order=CODE, on_retry=OnRetry.PASS)

    with_code = wishes(rules, {}, computed={CODE: 3})

    assert with_code == Wishes(lanes=("limit:shard/3",), order="order:shard/3", on_retry=OnRetry.PASS)
    assert wishes(rules, {}, computed={CODE: None}).lanes == ()
    with pytest.raises(InvalidInput, match="send: the key of 'shard' is computed by the program's code"):
        wishes(rules, {})


def test_rules_read_back_what_was_written():
    rules = KeyRules(
        limits=(USER, SHARED, CODE), order=INNER, on_retry=OnRetry.PASS, fair=USER, fixed=("breaker:a",)
    )

    assert KeyRules.of_json(json.loads(json.dumps(rules.to_json()))) == rules
    assert KeyRules.of_json(json.loads(json.dumps(KeyRules().to_json()))) == KeyRules()


letters = st.characters(min_codepoint=32, max_codepoint=0x2FF, categories=["L", "N", "P"])
keys = st.text(letters, min_size=1, max_size=20)


@given(st.sets(keys, max_size=MAX_LANES), st.none() | keys, st.sampled_from(list(OnRetry)), st.none() | keys)
def test_wishes_read_back_what_was_written(lanes, order, on_retry, fair):
    held = on_retry if order is not None else OnRetry.HOLD
    made = Wishes(lanes=tuple(sorted(lanes)), order=order, on_retry=held, fair=fair)

    assert Wishes.loads(made.dumps()) == made


def test_plain_job_wishes_nothing_and_keeps_no_text():
    assert Wishes().dumps() is None
    assert Wishes.loads(None) == Wishes()


def test_wishes_of_a_newer_version_are_read_as_far_as_known():
    assert Wishes.loads('{"lanes":["limit:a"],"later":1}') == Wishes(lanes=("limit:a",))


def test_more_lanes_than_a_job_may_have_are_refused():
    with pytest.raises(InvalidInput, match="at most 16"):
        Wishes(lanes=tuple(f"limit:l{n}" for n in range(MAX_LANES + 1)))
    with pytest.raises(InvalidInput, match="at most 360"):
        Wishes(lanes=("limit:" + "x" * 360,))
