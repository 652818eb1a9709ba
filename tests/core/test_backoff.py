import json
import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.core.backoff import MAX_DELAY_MS, Backoff, Jitter, Shape
from headrace.errors import InvalidInput


def delays(backoff: Backoff, count: int, seed: int = 1) -> list[int]:
    rng = random.Random(seed)
    return [backoff.delay_ms(attempt, rng) for attempt in range(1, count + 1)]


def test_s1_7_file_processing_backoff_doubles_from_two_seconds():
    assert delays(Backoff.exponential(2), 3) == [2_000, 4_000, 8_000]


def test_s1_9_webhook_queue_backoff_doubles_from_five_seconds():
    assert delays(Backoff.exponential(5), 4) == [5_000, 10_000, 20_000, 40_000]


def test_s1_10_email_backoff_is_ten_seconds_every_time():
    assert delays(Backoff.fixed(10), 3) == [10_000, 10_000, 10_000]


def test_s1_16_webhook_backoff_is_5_25_125_625_3125_then_capped_at_an_hour():
    webhook = Backoff.exponential(5, factor=5, cap=3600)

    assert delays(webhook, 7) == [5_000, 25_000, 125_000, 625_000, 3_125_000, 3_600_000, 3_600_000]


def test_s1_16_webhook_backoff_can_be_written_as_a_table():
    assert delays(Backoff.table(5, 25, 125, 625, 3125, 3600), 7) == [
        5_000, 25_000, 125_000, 625_000, 3_125_000, 3_600_000, 3_600_000,
    ]  # fmt: skip


@pytest.mark.parametrize("seed", range(20))
def test_s2_14_document_backoff_adds_jitter_below_a_cap_of_thirty_seconds(seed):
    documents = Backoff.exponential(1, cap=30, jitter=Jitter.ADDITIVE, spread=1)
    lowest = [1_000, 2_000, 4_000, 8_000, 16_000, 30_000]

    found = delays(documents, 6, seed)

    assert all(low <= delay <= min(low + 1_000, 30_000) for low, delay in zip(lowest, found, strict=True))


@pytest.mark.parametrize("seed", range(20))
def test_s2_15_ai_backoff_adds_jitter_below_a_cap_of_five_minutes(seed):
    ai = Backoff.exponential(5, cap=300, jitter=Jitter.ADDITIVE, spread=2)

    found = delays(ai, 10, seed)

    assert [5_000, 10_000, 20_000] <= found[:3] <= [7_000, 12_000, 22_000]
    assert found[6:] == [300_000] * 4


def test_s2_13_cap_is_applied_after_additive_jitter():
    always_over = Backoff.exponential(30, cap=30, jitter=Jitter.ADDITIVE, spread=3600)

    assert set(delays(always_over, 20)) == {30_000}


def test_s2_13_additive_jitter_varies_the_delay():
    documents = Backoff.exponential(1, cap=30, jitter=Jitter.ADDITIVE, spread=1)

    assert len({documents.delay_ms(1, random.Random(seed)) for seed in range(20)}) > 10


def test_s2_18_resource_backoff_grows_linearly():
    assert delays(Backoff.linear(30), 4) == [30_000, 60_000, 90_000, 120_000]


def test_linear_backoff_stops_growing_at_its_cap():
    assert delays(Backoff.linear(30, cap=75), 4) == [30_000, 60_000, 75_000, 75_000]


def test_table_repeats_its_last_entry():
    assert delays(Backoff.table(1, 10), 4) == [1_000, 10_000, 10_000, 10_000]


def test_full_jitter_stays_between_nothing_and_the_plain_delay():
    found = {Backoff.exponential(8, jitter=Jitter.FULL).delay_ms(1, random.Random(s)) for s in range(500)}

    assert min(found) < 800
    assert max(found) > 7_200
    assert all(0 <= delay <= 8_000 for delay in found)


def test_equal_jitter_stays_between_half_and_the_whole_plain_delay():
    found = {Backoff.exponential(8, jitter=Jitter.EQUAL).delay_ms(1, random.Random(s)) for s in range(500)}

    assert min(found) < 4_400
    assert max(found) > 7_600
    assert all(4_000 <= delay <= 8_000 for delay in found)


def test_attempt_below_one_is_taken_as_the_first():
    assert Backoff.exponential(2).delay_ms(0, random.Random(1)) == 2_000


def test_exponential_backoff_stays_finite_however_many_attempts():
    assert Backoff.exponential(5, factor=1000).delay_ms(10_000, random.Random(1)) == MAX_DELAY_MS


def test_default_cap_is_a_year_and_a_day_at_most():
    assert Backoff.linear(24 * 3600).delay_ms(10_000, random.Random(1)) == MAX_DELAY_MS


@pytest.mark.parametrize(
    "fields",
    [
        {"shape": "fixed", "base_ms": -1},
        {"shape": "fixed", "base_ms": MAX_DELAY_MS + 1},
        {"shape": "fixed", "base_ms": math.nan},
        {"shape": "fixed", "base_ms": math.inf},
        {"shape": "fixed", "base_ms": "5"},
        {"shape": "fixed", "spread_ms": -1},
        {"shape": "exponential", "factor": 0.5},
        {"shape": "exponential", "factor": 1001},
        {"shape": "exponential", "factor": math.nan},
        {"shape": "exponential", "factor": 10**400},
        {"shape": "exponential", "factor": []},
        {"shape": "exponential", "cap_ms": -1},
        {"shape": "table"},
        {"shape": "table", "table_ms": []},
        {"shape": "table", "table_ms": [1] * 101},
        {"shape": "table", "table_ms": [-1]},
        {"shape": "table", "table_ms": 5},
        {"shape": "table", "table_ms": ["1"]},
        {"shape": "fixed", "table_ms": [1]},
        {"shape": "fixed", "jitter": "wild"},
        {"shape": "wobbly"},
        {},
    ],
    ids=str,
)
def test_backoff_is_refused_when_it_makes_no_sense(fields):
    with pytest.raises(InvalidInput):
        Backoff.from_json(fields)


@pytest.mark.parametrize("seconds", [-1, math.nan, math.inf, 1e12])
def test_seconds_are_refused_when_they_are_no_delay(seconds):
    with pytest.raises(InvalidInput):
        Backoff.fixed(seconds)


milliseconds = st.integers(0, MAX_DELAY_MS)
backoffs = st.one_of(
    st.builds(
        Backoff,
        shape=st.sampled_from([Shape.FIXED, Shape.LINEAR, Shape.EXPONENTIAL]),
        base_ms=milliseconds,
        factor=st.floats(1, 1000),
        cap_ms=milliseconds,
        jitter=st.sampled_from(Jitter),
        spread_ms=milliseconds,
    ),
    st.builds(
        Backoff,
        shape=st.just(Shape.TABLE),
        table_ms=st.lists(milliseconds, min_size=1, max_size=100).map(tuple),
        cap_ms=milliseconds,
        jitter=st.sampled_from(Jitter),
    ),
)


@given(backoffs)
def test_backoff_survives_json(backoff):
    assert Backoff.from_json(json.loads(json.dumps(backoff.to_json()))) == backoff


@given(backoffs, st.integers(1, 10_000), st.integers())
def test_delay_is_whole_and_never_passes_the_cap(backoff, attempt, seed):
    delay = backoff.delay_ms(attempt, random.Random(seed))

    assert isinstance(delay, int)
    assert 0 <= delay <= backoff.cap_ms


@given(backoffs, st.integers(1, 100), st.integers())
def test_delay_is_the_same_for_the_same_chance(backoff, attempt, seed):
    assert backoff.delay_ms(attempt, random.Random(seed)) == backoff.delay_ms(attempt, random.Random(seed))


@given(backoffs, st.integers(1, 100))
def test_plain_delay_never_shrinks_with_attempts_unless_a_table_says_so(backoff, attempt):
    plain = Backoff.from_json({**backoff.to_json(), "jitter": "none"})
    rng = random.Random(1)

    shrinks = plain.delay_ms(attempt + 1, rng) < plain.delay_ms(attempt, rng)

    assert not shrinks or backoff.shape is Shape.TABLE


@given(
    st.dictionaries(
        st.sampled_from(["shape", "base_ms", "factor", "cap_ms", "spread_ms", "table_ms", "jitter", "x"]),
        st.one_of(
            st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5), st.sampled_from(Shape),
            st.sampled_from(Jitter), st.lists(st.one_of(st.integers(), st.text(max_size=2)), max_size=3),
        ),
    )
)  # fmt: skip
def test_anything_else_than_a_backoff_is_refused_as_invalid_input(fields):
    try:
        backoff = Backoff.from_json(fields)
    except InvalidInput:
        return

    assert 0 <= backoff.delay_ms(3, random.Random(1)) <= MAX_DELAY_MS


def test_c50_a_field_of_a_newer_version_is_passed_over():
    newer = Backoff.fixed(10).to_json() | {"surprise": 1}

    assert Backoff.from_json(newer) == Backoff.fixed(10)
