"""Definitions as one register: what the code declares, what operators set, and which of them counts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.core.limit_register import MAX_LIMITS, Definitions, Keep, limits_of
from headrace.core.limits import Limit, Origin, Rate
from headrace.errors import InvalidInput, LimitNotFound

FAST = Rate(count=10, per_ms=1_000, burst=2)


def a_limit(name: str, slots: int | None = 2, rate: Rate | None = None) -> Limit:
    return Limit(name=name, slots=slots, rate=rate)


def test_operator_wins_over_the_code_until_it_is_reset():
    declared = Definitions().declared([a_limit("gpu")], ())

    told = declared.after_set("gpu", 5, Keep.AS_IS)
    again = told.declared([a_limit("gpu", 3)], ())

    assert told.get("gpu") == Limit(name="gpu", slots=5, origin=Origin.OPERATOR)
    assert again.get("gpu") == told.get("gpu")
    assert again.after_reset("gpu").get("gpu") == a_limit("gpu", 3)


def test_operator_changes_one_part_and_the_other_stays():
    declared = Definitions().declared([a_limit("gpu", 2, FAST)], ())

    slower = declared.after_set("gpu", Keep.AS_IS, None)
    lifted = slower.after_set("gpu", None, Keep.AS_IS)

    assert (slower.get("gpu").slots, slower.get("gpu").rate) == (2, None)
    assert not lifted.get("gpu").limits


def test_reset_of_a_limit_that_no_code_declares_leaves_none():
    told = Definitions().after_set("queue:mail", 1, Keep.AS_IS)

    assert told.after_reset("queue:mail").in_force == {}


def test_reset_of_an_unknown_limit_is_told():
    with pytest.raises(LimitNotFound, match="'gpu'"):
        Definitions().after_reset("gpu")


def test_program_takes_back_what_it_declared_for_its_types_and_nothing_else():
    before = Definitions().declared(
        [a_limit(name) for name in ("type:send", "type:send@user_id", "type:fetch", "gpu", "queue:a", "all")],
        (),
    )

    after = before.declared([a_limit("type:send@account")], ("send",))

    assert sorted(after.in_force) == ["all", "gpu", "queue:a", "type:fetch", "type:send@account"]


def test_what_an_operator_set_for_a_type_outlives_its_declaration():
    before = Definitions().declared([a_limit("type:send")], ("send",)).after_set("type:send", 7, Keep.AS_IS)

    after = before.declared([], ("send",))

    assert after.get("type:send").slots == 7
    assert after.after_reset("type:send").in_force == {}


numbers = st.none() | st.integers(0, 1_000_000)
rates = st.none() | st.builds(
    Rate, count=st.integers(1, 1_000_000), per_ms=st.integers(1, 10_000_000), burst=st.integers(0, 1_000_000)
)
names = st.sampled_from(["all", "queue:a", "type:b", "type:b@user.id", "gpu", "per-user"])


@given(st.lists(st.tuples(names, numbers, rates)), st.lists(st.tuples(names, numbers, rates)))
def test_definitions_read_back_what_was_written(code, operator):
    made = Definitions().declared([Limit(name=name, slots=n, rate=rate) for name, n, rate in code], ())
    for name, slots, rate in operator:
        made = made.after_set(name, slots, rate)

    text = made.dumps()

    assert Definitions.loads(text) == made
    assert limits_of(text, 4).defined == made.in_force
    assert limits_of(text, 4).revision == 4
    assert limits_of(None, 0).defined == {}


def test_fields_of_a_newer_version_are_passed_over():
    text = Definitions().declared([a_limit("gpu", 2, FAST)], ()).dumps()

    newer = text.replace('"slots":2', '"slots":2,"weight":3').replace('{"code"', '{"later":1,"code"')

    assert Definitions.loads(newer) == Definitions.loads(text)


def test_more_limits_than_a_namespace_may_have_are_refused():
    with pytest.raises(InvalidInput, match="any number of keys"):
        Definitions().declared([a_limit(f"l{n}") for n in range(MAX_LIMITS + 1)], ())
