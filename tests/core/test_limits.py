"""The arithmetic of slots and rates, without any store."""

from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.core.lanes import UNPARK_AT_ONCE
from headrace.core.limits import (
    CATCH_UP_MS,
    LATE_MS,
    OLDEST_CLAIM_MS,
    Lane,
    LaneState,
    Limit,
    Limits,
    Origin,
    Rate,
    free_now,
    next_opening,
)
from headrace.errors import InvalidInput
from tests.builders import NOW

SECOND = 1_000
KEY = "limit:api"


def a_lane(
    rate: Rate | None = None,
    slots: int | None = None,
    *,
    holders: int = 0,
    tat: int | None = None,
    opens_at: int | None = None,
    cap: int | None = None,
) -> Lane:
    return Lane(
        state=LaneState(key=KEY, tat=tat, opens_at=opens_at, cap=cap),
        limit=Limit(name="api", slots=slots, rate=rate),
        holders=holders,
    )


@dataclass
class Starter:
    """Starts as many jobs of one lane as may, whenever it is asked, each with a delay of its own."""

    lane: Lane
    starts: list[int] = field(default_factory=list)

    def claim(self, now: int, wanted: int, late: int = 0) -> int:
        taken = min(wanted, free_now(self.lane, now))
        for _ in range(taken):
            self.lane = self.lane.started(now)
            self.starts.append(now + late)
        return taken

    def define(self, rate: Rate) -> None:
        assert self.lane.limit is not None
        self.lane = replace(self.lane, limit=replace(self.lane.limit, rate=rate))


def most_in_a_window(starts: list[int], window: int) -> int:
    """The most starts in any half-open window."""
    ordered = sorted(starts)
    return max((sum(at <= other < at + window for other in ordered) for at in ordered), default=0)


def test_rate_without_a_burst_spaces_its_starts():
    starter = Starter(a_lane(Rate(count=10, per_ms=SECOND)))

    for now in range(NOW, NOW + 10 * SECOND):
        starter.claim(now, 5)

    gaps = {later - earlier for earlier, later in zip(starter.starts, starter.starts[1:], strict=False)}
    assert gaps == {125, 125 - CATCH_UP_MS}
    assert most_in_a_window(starter.starts, SECOND) == 9


def test_rate_with_a_burst_starts_that_many_more_at_once_after_a_rest():
    starter = Starter(a_lane(Rate(count=10, per_ms=SECOND, burst=4)))

    at_once = starter.claim(NOW, 100)
    right_after = starter.claim(NOW + 1, 100)
    rested = starter.claim(NOW + 60 * SECOND, 100)

    assert (at_once, right_after, rested) == (5, 0, 5)


def test_long_window_keeps_nearly_its_whole_count():
    starter = Starter(a_lane(Rate(count=6_000, per_ms=60 * SECOND)))

    for now in range(NOW, NOW + 60 * SECOND):
        starter.claim(now, 10)

    assert 5_970 <= len(starter.starts) <= 6_000


def test_rate_finer_than_a_millisecond_starts_several_in_each():
    starter = Starter(a_lane(Rate(count=100_000, per_ms=10 * SECOND)))

    for now in range(NOW, NOW + SECOND):
        starter.claim(now, 1_000)

    assert 9_750 <= len(starter.starts) <= 10_250


rates = st.builds(Rate, count=st.integers(1, 40), per_ms=st.integers(1, 3_000), burst=st.integers(0, 20))
claims = st.lists(
    st.tuples(st.integers(-20, 900), st.integers(1, 30), st.integers(0, LATE_MS)), min_size=1, max_size=60
)


@given(rate=rates, claims=claims)
def test_c42_no_window_sees_more_starts_than_rate_and_burst_however_late_they_are(rate, claims):
    """Claims come at any times, also out of order, and their jobs start up to LATE_MS later."""
    starter = Starter(a_lane(rate))
    now = NOW

    for pause, wanted, late in claims:
        now += pause
        starter.claim(now, wanted, late)

    assert most_in_a_window(starter.starts, rate.per_ms) <= rate.count + rate.burst


@given(before=rates, after=rates, first=claims, second=claims)
def test_c42_changed_rate_holds_from_its_first_start_on(before, after, first, second):
    starter = Starter(a_lane(before))
    now = NOW
    for pause, wanted, late in first:
        now += abs(pause)
        starter.claim(now, wanted, late)
    old = list(starter.starts)
    starter.define(after)
    starter.starts.clear()
    for pause, wanted, late in second:
        now += abs(pause)
        starter.claim(now, wanted, late)

    window = min(before.per_ms, after.per_ms)
    assert most_in_a_window(starter.starts, after.per_ms) <= after.count + after.burst
    both = before.count + before.burst + after.count + after.burst
    assert most_in_a_window(old + starter.starts, window) <= both


def test_c42_rate_that_is_lowered_keeps_what_has_started_in_mind():
    starter = Starter(a_lane(Rate(count=1, per_ms=SECOND)))
    starter.claim(NOW, 1)

    starter.define(Rate(count=1, per_ms=60 * SECOND))

    assert starter.claim(NOW + SECOND, 1) == 0
    assert starter.claim(NOW + SECOND + LATE_MS, 1) == 1
    assert starter.claim(NOW + 60 * SECOND, 1) == 0


def test_rate_that_is_raised_does_not_wait_for_the_old_one():
    starter = Starter(a_lane(Rate(count=1, per_ms=24 * 3_600 * SECOND)))
    starter.claim(NOW, 1)
    waited = starter.claim(NOW + SECOND, 1)

    starter.define(Rate(count=10, per_ms=SECOND))

    assert waited == 0
    assert starter.claim(NOW + SECOND, 1) == 1


@given(
    rate=rates,
    slots=st.none() | st.integers(0, 5),
    holders=st.integers(0, 6),
    ahead=st.none() | st.integers(-5_000_000, 90_000_000),
)
def test_next_opening_is_the_first_instant_at_which_a_job_may_start(rate, slots, holders, ahead):
    tat = None if ahead is None else NOW * 1_000 + ahead
    lane = a_lane(rate, slots, holders=holders, tat=tat)

    at = next_opening(lane, NOW)

    full = slots is not None and holders >= slots
    if at is None or full:
        assert free_now(lane, NOW) == 0
        assert full
    else:
        assert free_now(lane, at) > 0
        assert at == NOW or free_now(lane, at - 1) == 0


@pytest.mark.parametrize(
    ("lane", "free"),
    [
        (a_lane(), UNPARK_AT_ONCE),
        (a_lane(slots=3), 3),
        (a_lane(slots=3, holders=2), 1),
        (a_lane(slots=3, holders=5), 0),
        (a_lane(slots=0), 0),
        (a_lane(slots=3, cap=1), 1),
        (a_lane(cap=2, holders=1), 1),
        (a_lane(slots=3, opens_at=NOW + 1), 0),
        (a_lane(slots=3, opens_at=NOW), 3),
        (a_lane(Rate(count=1, per_ms=SECOND, burst=9), slots=3), 3),
        (a_lane(Rate(count=1, per_ms=SECOND), slots=3), 1),
    ],
)
def test_slots_cap_and_rate_bound_what_may_start_together(lane, free):
    assert free_now(lane, NOW) == free


def test_closed_lane_opens_at_its_instant_and_a_full_one_by_no_clock():
    assert next_opening(a_lane(slots=1, opens_at=NOW + 7), NOW) == NOW + 7
    assert next_opening(a_lane(slots=1, holders=1), NOW) is None
    assert next_opening(a_lane(slots=1), NOW) == NOW


def test_lanes_of_a_job_are_those_that_some_definition_limits_in_key_order():
    some = ("all", "queue:mail", "type:send", "api", "lifted")
    defined = {name: Limit(name=name, slots=1) for name in some[:-1]} | {"lifted": Limit(name="lifted")}
    limits = Limits(defined=defined)
    own = ("limit:lifted", "limit:gone/1", "limit:api/7", "breaker:stripe")

    mine = limits.of_job("mail", "send", own)
    other = limits.of_job("web", "fetch", ())

    assert mine == ("breaker:stripe", "limit:all", "limit:api/7", "limit:queue:mail", "limit:type:send")
    assert other == ("limit:all",)


def test_lane_is_governed_by_the_limit_in_its_key_and_others_by_none():
    api = Limit(name="api", slots=1)
    limits = Limits(defined={"api": api, "queue:a": replace(api, name="queue:a")})

    assert limits.of_lane("limit:api/a/b") == api
    assert limits.of_lane("limit:queue:a") == replace(api, name="queue:a")
    assert limits.of_lane("limit:gone/1") is None
    assert limits.of_lane("order:api/1") is None


@pytest.mark.parametrize(
    "fields",
    [
        {"count": 0, "per_ms": 1},
        {"count": 1, "per_ms": 0},
        {"count": 1, "per_ms": 32 * 24 * 3_600_000},
        {"count": 1_000_001, "per_ms": 1},
        {"count": 1, "per_ms": 1, "burst": -1},
        {"count": 1, "per_ms": 1, "burst": 1_000_001},
    ],
)
def test_rate_out_of_bounds_is_refused(fields):
    with pytest.raises(InvalidInput, match="rate"):
        Rate(**fields)


@pytest.mark.parametrize(
    "fields",
    [
        {"name": ""},
        {"name": "a/b"},
        {"name": "queue:"},
        {"name": "type:a b"},
        {"name": "type:a@"},
        {"name": "type:a@b..c"},
        {"name": "x" * 141},
        {"name": "a", "slots": -1},
        {"name": "a", "slots": 1_000_001},
    ],
)
def test_limit_out_of_bounds_is_refused(fields):
    with pytest.raises(InvalidInput):
        Limit(**fields)


def test_largest_rate_stays_within_what_stores_keep():
    rate = Rate(count=1, per_ms=31 * 24 * 3_600_000, burst=1_000_000)
    lane = a_lane(rate)

    for _ in range(3):
        lane = lane.started(NOW)

    assert lane.state.tat is not None
    assert NOW * 1_000 + rate.tolerance + rate.spacing < 2**63
    assert Limit(name="a", rate=rate, origin=Origin.OPERATOR).limits


def test_c42_claim_that_comes_late_to_its_decision_does_not_set_the_rate_back():
    starter = Starter(a_lane(Rate(count=1, per_ms=SECOND)))
    starter.claim(NOW, 1)

    late = starter.claim(NOW - OLDEST_CLAIM_MS, 1)

    assert late == 0
    assert starter.claim(NOW + SECOND, 1) == 0
