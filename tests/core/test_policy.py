import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.core.backoff import Backoff, Jitter
from headrace.core.policy import DAY_MS, Policy, Retention
from headrace.errors import InvalidInput


def test_x_5_three_attempts_are_the_default():
    assert Policy().max_attempts == 3


def test_s1_8_retention_by_count_and_age_survives_json():
    seed = Policy(
        retention=Retention(completed_count=100, completed_age_ms=24 * 3600 * 1000, failed_count=1000)
    )

    assert Policy.loads(seed.dumps()) == seed


def test_dead_letters_stay_for_ever_by_default():
    assert (Retention().failed_age_ms, Retention().failed_count) == (None, None)


policies = st.builds(
    Policy,
    max_attempts=st.integers(1, 10_000),
    max_crashes=st.integers(3, 100),
    max_snoozes=st.integers(0, 10_000),
    backoff=st.builds(
        Backoff.exponential, st.floats(0, 1e6), cap=st.floats(0, 1e6), jitter=st.sampled_from(Jitter)
    ),
    resource_backoff=st.builds(Backoff.linear, st.floats(0, 1e6)),
    crash_backoff=st.lists(st.floats(0, 1e6), min_size=1, max_size=5).map(
        lambda table: Backoff.table(*table)
    ),
    timeout_ms=st.one_of(st.none(), st.integers(1, DAY_MS)),
    timeout_growth=st.floats(1, 100),
    retention=st.builds(Retention, completed_count=st.one_of(st.none(), st.integers(0, 1000))),
)


@given(policies)
def test_policy_survives_json(policy):
    assert Policy.loads(policy.dumps()) == policy


@given(policies)
def test_policy_json_is_strict(policy):
    def refuse(name: str) -> None:
        raise AssertionError(name)

    json.loads(policy.dumps(), parse_constant=refuse)


def test_policy_text_is_the_same_for_equal_policies():
    assert Policy(max_attempts=5).dumps() == Policy(max_attempts=5).dumps()


def test_policy_of_a_newer_version_is_read_without_its_new_fields():
    newer = json.loads(Policy(max_attempts=7).dumps())
    newer["patience"] = 3
    newer["retention"]["skipped_age_ms"] = 5

    assert Policy.loads(json.dumps(newer)) == Policy(max_attempts=7)


def test_policy_of_an_older_version_gets_defaults_for_missing_fields():
    assert Policy.loads('{"max_attempts": 7}') == Policy(max_attempts=7)


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"max_attempts": 0}, "maxAttempts"),
        ({"max_attempts": 10_001}, "maxAttempts"),
        ({"max_crashes": 2}, "maxCrashes"),
        ({"timeout_ms": 0}, "timeout"),
        ({"timeout_ms": -5}, "timeout"),
        ({"timeout_growth": 0.9}, "timeoutGrowth"),
        ({"timeout_growth": math.nan}, "timeoutGrowth"),
        ({"timeout_growth": math.inf}, "timeoutGrowth"),
    ],
    ids=str,
)
def test_policy_is_refused_when_it_makes_no_sense(fields, field):
    with pytest.raises(InvalidInput) as refusal:
        Policy(**fields)

    assert refusal.value.field == field


def test_s2_12_time_limit_grows_after_each_time_out_up_to_its_cap():
    policy = Policy(timeout_ms=30_000, timeout_growth=2, timeout_cap_ms=100_000)

    assert [policy.next_timeout_ms(limit) for limit in (30_000, 60_000, 100_000)] == [
        60_000,
        100_000,
        100_000,
    ]


def test_time_limit_stays_without_growth():
    assert Policy(timeout_ms=30_000).next_timeout_ms(30_000) == 30_000


def test_time_limit_above_the_cap_does_not_shrink():
    assert Policy(timeout_growth=2, timeout_cap_ms=1_000).next_timeout_ms(5_000) == 5_000


def test_no_time_limit_stays_none():
    assert Policy(timeout_growth=2).next_timeout_ms(None) is None


def test_c50_back_off_of_a_kind_that_only_a_newer_version_knows_is_the_default():
    newer = json.loads(Policy().dumps()) | {"backoff": {"shape": "fibonacci"}}

    assert Policy.loads(json.dumps(newer)) == Policy()
