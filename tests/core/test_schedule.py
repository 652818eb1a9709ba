"""Rules, limits, catching up, and what may happen to a schedule."""

from dataclasses import replace
from datetime import UTC, datetime
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.core import scheduled
from headrace.core.backoff import Backoff
from headrace.core.firing import COUNTED, MAX_AT_ONCE, firing, last_before
from headrace.core.request import EnqueueRequest
from headrace.core.schedule import (
    MAX_ID_CHARS,
    CatchUp,
    Cron,
    Every,
    Fire,
    Missed,
    Once,
    Timing,
    checked_id,
    fired_by,
    in_zone,
)
from headrace.core.scheduled import Schedule, checked_request, dumps, loads, put
from headrace.core.unique import OnConflict, Unique, Until
from headrace.errors import InvalidInput
from tests.builders import HOUR, MINUTE, NOW, SECOND

DAY = 24 * HOUR
REQUEST = EnqueueRequest(type="echo", payload='{"n":1}', encoded=True)
MINUTELY = Timing(rule=Cron(expression="* * * * *"))


def every(seconds: float, **limits: object) -> Timing:
    return Timing(rule=Every(interval_ms=round(seconds * 1000)), **limits)


def a_schedule(timing: Timing = MINUTELY, *, now: int = NOW, **fields: object) -> Schedule:
    return replace(put(None, "s", timing, REQUEST, version=1, now=now), **fields)


# ------------------------------------------------------------ rules and limits


def test_interval_counts_from_when_the_schedule_was_made():
    assert every(90).next_fires(3, NOW, anchor=NOW) == (NOW + 90_000, NOW + 180_000, NOW + 270_000)
    assert every(90).following(NOW + 90_000, anchor=NOW) == NOW + 180_000


def test_interval_with_a_start_begins_there():
    timing = every(90, start=NOW + 5_000)

    assert timing.next_fires(2, NOW, anchor=NOW - 1) == (NOW + 5_000, NOW + 95_000)


def test_one_off_fires_once():
    timing = Timing(rule=Once(at=NOW + 5))

    assert timing.next_fires(5, NOW, anchor=NOW) == (NOW + 5,)
    assert timing.following(NOW + 5, anchor=NOW) is None


def test_no_fire_is_before_the_start_or_after_the_end():
    timing = replace(MINUTELY, start=NOW + MINUTE, end=NOW + 3 * MINUTE)

    assert timing.next_fires(9, NOW - HOUR, anchor=NOW) == tuple(NOW + n * MINUTE for n in (1, 2, 3))


@pytest.mark.parametrize(
    "make",
    [
        lambda: Every(interval_ms=999),
        lambda: Every(interval_ms=-1),
        lambda: Once(at=-1),
        lambda: Cron(expression="* * * *"),
        lambda: Cron(expression="* * * * *", zone="Mars/Olympus"),
        lambda: replace(MINUTELY, start=NOW, end=NOW - 1),
        lambda: replace(MINUTELY, jitter_ms=-1),
        lambda: replace(MINUTELY, jitter_ms=DAY + 1),
        lambda: replace(MINUTELY, start=-1),
        lambda: CatchUp(at_most=0),
        lambda: CatchUp(window_ms=-1),
        lambda: CatchUp.of("some"),
        lambda: CatchUp.of("all(0)"),
        lambda: CatchUp.of("all(1001)"),
        lambda: checked_id("x" * (MAX_ID_CHARS + 1)),
        lambda: checked_id("a b"),
        lambda: checked_id(""),
    ],
)
def test_what_cannot_be_is_refused(make):
    with pytest.raises(InvalidInput):
        make()


def test_policy_for_missed_fires_is_read_from_its_word():
    assert CatchUp.of("skip").kept == 0
    assert CatchUp.of("one").kept == 1
    assert CatchUp.of("all").kept == 100
    assert CatchUp.of("all(7)") == CatchUp(missed=Missed.ALL, at_most=7)


def test_instant_is_shown_with_the_offset_of_its_day():
    summer = round(datetime(2027, 7, 1, tzinfo=UTC).timestamp() * 1000)

    assert in_zone(summer, "Europe/Berlin") == "2027-07-01T02:00:00+02:00"
    assert in_zone(summer + 184 * DAY + 7, "Europe/Berlin") == "2028-01-01T01:00:00.007+01:00"


# ------------------------------------------------------------ fires


def test_fire_is_read_back_from_the_tags_of_its_job():
    fire = Fire(schedule="nightly", at=NOW + 7)

    assert fire.tags == ("schedule:nightly", "fire:2026-01-01T00:00:00.007Z")
    assert fired_by(("mine", *fire.tags)) == fire
    assert fired_by(("mine",)) is None
    assert fired_by(("schedule:nightly", "triggered")) is None


def test_longest_id_makes_legal_tags():
    fire = Fire(schedule="x" * MAX_ID_CHARS, at=NOW)

    assert EnqueueRequest(type="echo", tags=fire.tags).tags == fire.tags


def test_jitter_of_a_fire_is_the_same_for_everybody_and_spreads():
    due = [Fire(schedule="s", at=NOW + n * MINUTE).due_at(30_000) for n in range(200)]

    assert due == [Fire(schedule="s", at=NOW + n * MINUTE).due_at(30_000) for n in range(200)]
    late = [at - (NOW + n * MINUTE) for n, at in enumerate(due)]
    assert all(0 <= one <= 30_000 for one in late)
    assert len(set(late)) > 150
    assert Fire(schedule="s", at=NOW).due_at(0) == NOW


# ------------------------------------------------------------ missed fires (C33)


def fired_at(timing: Timing, *, next_at: int, now: int):
    return firing(timing, anchor=next_at, next_at=next_at, now=now)


def test_c33_fire_on_time_is_made_and_the_next_one_follows():
    done = fired_at(MINUTELY, next_at=NOW, now=NOW)

    assert (done.fires, done.skipped, done.next_at) == ((NOW,), 0, NOW + MINUTE)


@pytest.mark.parametrize("missed", ["skip", "one", "all"])
def test_c33_fires_within_the_misfire_window_are_not_missed(missed):
    timing = every(20, start=NOW, catch_up=CatchUp.of(missed))

    done = fired_at(timing, next_at=NOW, now=NOW + 59 * SECOND)

    assert done.fires == (NOW, NOW + 20 * SECOND, NOW + 40 * SECOND)
    assert done.skipped == 0
    assert done.next_at == NOW + 60 * SECOND


@pytest.mark.parametrize(
    ("missed", "made_up", "skipped"),
    [("skip", (), 10), ("one", (9,), 9), ("all", tuple(range(10)), 0), ("all(3)", (7, 8, 9), 7)],
)
def test_c33_missed_fires_follow_the_policy_and_are_counted(missed, made_up, skipped):
    timing = replace(MINUTELY, catch_up=CatchUp.of(missed))

    done = fired_at(timing, next_at=NOW, now=NOW + 10 * MINUTE + 59 * SECOND)

    assert done.fires == (*(NOW + n * MINUTE for n in made_up), NOW + 10 * MINUTE)
    assert done.skipped == skipped
    assert done.next_at == NOW + 11 * MINUTE


def test_c33_missed_fires_without_number_are_not_all_looked_at():
    timing = replace(every(1), catch_up=CatchUp.of("all(5)", window_ms=0))
    now = NOW + 400 * DAY

    done = fired_at(timing, next_at=NOW + SECOND, now=now)

    assert done.fires == tuple(now - n * SECOND for n in (5, 4, 3, 2, 1, 0))
    assert done.skipped == COUNTED
    assert done.next_at == now + SECOND


def test_fires_on_time_are_made_some_at_a_time():
    timing = replace(every(1), catch_up=CatchUp(window_ms=DAY))

    done = fired_at(timing, next_at=NOW, now=NOW + HOUR)

    assert len(done.fires) == MAX_AT_ONCE
    assert done.next_at == done.fires[-1] + SECOND <= NOW + HOUR


def test_one_off_that_was_missed_is_over_afterwards():
    done = fired_at(Timing(rule=Once(at=NOW)), next_at=NOW, now=NOW + DAY)

    assert (done.fires, done.skipped, done.next_at) == ((NOW,), 0, None)


TIMINGS = st.one_of(
    st.builds(every, st.integers(1, 5_000)),
    st.sampled_from(
        ["* * * * *", "*/7 * * * *", "0 2 * * *", "30 2 * * *", "0 */3 * * 1-5", "*/5 2-4 * * *"]
    ).map(lambda text: Timing(rule=Cron(expression=text, zone="Europe/Berlin"))),
)


@given(
    timing=TIMINGS,
    missed=st.sampled_from(["skip", "one", "all(4)"]),
    window=st.integers(0, 3 * HOUR),
    late=st.integers(0, 3 * DAY),
    start=st.integers(0, 400 * 24).map(lambda hours: NOW + hours * HOUR),
)
def test_c33_each_instant_is_fired_or_skipped_and_only_on_or_before_its_time(
    timing, missed, window, late, start
):
    timing = replace(timing, catch_up=CatchUp.of(missed, window_ms=min(window, DAY)))
    next_at = timing.following(start, anchor=start)
    now = next_at + late
    all_due = []
    for at in timing.instants(next_at - 1, anchor=start):
        if at > now or len(all_due) > COUNTED:
            break
        all_due.append(at)

    made, skipped, at_most = [], 0, 0
    while next_at <= now:
        done = firing(timing, anchor=start, next_at=next_at, now=now)
        made += done.fires
        skipped += done.skipped
        next_at = done.next_at
        at_most += 1
        assert at_most < 10_000

    assert all(before < after for before, after in pairwise(made))
    if len(all_due) <= COUNTED:
        assert set(made) <= set(all_due)
        assert len(made) + skipped == len(all_due)
        assert {at for at in all_due if at >= now - timing.catch_up.window_ms} <= set(made)
    assert next_at == timing.following(now, anchor=start)


@given(timing=TIMINGS, hours=st.integers(24, 24 * 400))
def test_last_instant_before_another_is_found(timing, hours):
    before = NOW + hours * HOUR
    last = last_before(timing, NOW - 10 * DAY, before)

    assert last < before
    assert timing.following(last - 1, anchor=NOW - 10 * DAY) == last
    assert timing.following(last, anchor=NOW - 10 * DAY) >= before


# ------------------------------------------------------------ what may happen to a schedule (C35)


def test_c35_new_schedule_fires_from_now_on_only():
    assert a_schedule(now=NOW + 1).next_at == NOW + MINUTE
    assert a_schedule(now=NOW).next_at == NOW + MINUTE


def test_c35_same_instants_put_again_lose_nothing_that_was_missed():
    known = a_schedule()
    late = replace(MINUTELY, jitter_ms=5, catch_up=CatchUp.of("all"))

    same = put(known, "s", MINUTELY, REQUEST, version=1, now=NOW + HOUR)
    changed = put(known, "s", late, replace(REQUEST, queue="q"), version=2, now=NOW + HOUR)

    assert same is known
    assert (changed.next_at, changed.anchor) == (NOW + MINUTE, NOW)
    assert (changed.request.queue, changed.version, changed.changed_at) == ("q", 2, NOW + HOUR)


@pytest.mark.parametrize(
    "timing", [every(60), replace(MINUTELY, start=NOW), Timing(rule=Cron(expression="@hourly"))]
)
def test_c35_edit_never_fires_the_past_again(timing):
    known = a_schedule(last_at=NOW + 2 * HOUR)  # fired by somebody whose clock is ahead

    edited = put(known, "s", timing, REQUEST, version=1, now=NOW + 90 * MINUTE)

    assert edited.next_at > NOW + 2 * HOUR


def test_c35_edit_into_the_past_leaves_nothing_to_fire():
    edited = put(a_schedule(), "s", Timing(rule=Once(at=NOW - 1)), REQUEST, version=1, now=NOW)

    assert edited.due_at is None
    assert edited.next_fires(5) == ()


def test_pause_stays_over_an_edit_and_what_falls_into_it_never_fires():
    paused = scheduled.paused(a_schedule(), now=NOW)
    edited = put(paused, "s", every(60), REQUEST, version=1, now=NOW + 1)

    resumed = scheduled.resumed(edited, now=NOW + HOUR + 2)

    assert (paused.due_at, edited.due_at, edited.next_fires(3)) == (None, None, ())
    assert resumed.due_at == NOW + HOUR + MINUTE + 1
    assert resumed.skipped == 0
    assert scheduled.resumed(resumed, now=NOW + DAY) is resumed
    assert scheduled.paused(edited, now=NOW + DAY) is edited


def test_next_fires_begin_with_the_one_that_is_due():
    assert a_schedule().next_fires(3) == (NOW + MINUTE, NOW + 2 * MINUTE, NOW + 3 * MINUTE)


def test_fires_and_skips_are_recorded():
    known = a_schedule(replace(MINUTELY, catch_up=CatchUp.of("one")), error="store: away")
    done = known.firing(NOW + 10 * MINUTE)

    after = scheduled.fired(known, done, now=NOW + 10 * MINUTE)

    assert (after.fired, after.skipped, after.skipped_at) == (3, 7, NOW + 10 * MINUTE)
    assert (after.last_at, after.next_at, after.error) == (NOW + 10 * MINUTE, NOW + 11 * MINUTE, None)


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (replace(REQUEST, delay_ms=1), "delay"),
        (replace(REQUEST, due_at=NOW), "scheduledFor"),
        (replace(REQUEST, idempotency_key="k"), "idempotencyKey"),
        (replace(REQUEST, batch_id="b"), "batchId"),
        (replace(REQUEST, unique=Unique(key="k", period_ms=1)), "uniqueKey"),
        (replace(REQUEST, unique=Unique(key="k", on_conflict=OnConflict.REJECT)), "uniqueKey"),
        (replace(REQUEST, tags=tuple(f"t{n}" for n in range(31))), "tags"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_request_that_cannot_be_repeated_is_refused(request_, field):
    with pytest.raises(InvalidInput) as refusal:
        checked_request(request_)

    assert refusal.value.field == field


# ------------------------------------------------------------ JSON


@pytest.mark.parametrize(
    "timing",
    [
        Timing(
            rule=Cron(expression="0 2 * * *", zone="Europe/Berlin"), start=NOW, end=NOW + DAY, jitter_ms=7
        ),
        every(90, catch_up=CatchUp.of("all(7)", window_ms=5)),
        Timing(rule=Once(at=NOW + 1), catch_up=CatchUp.of("skip")),
    ],
    ids=["cron", "every", "once"],
)
def test_schedule_is_read_back_as_it_was(timing):
    request = replace(
        REQUEST,
        payload='{"name":"é"}',
        queue="q",
        priority=5,
        max_attempts=2,
        timeout_ms=9,
        backoff=Backoff.fixed(3),
        unique=Unique(key="k", until=Until.STARTED),
        tags=("a", "b"),
    )
    one = put(None, "s", timing, request, version=3, now=NOW)
    one = replace(one, paused_at=1, fired=2, last_at=3, skipped=4, skipped_at=5, triggered_at=6, error="é")

    assert loads(dumps(one)) == one
    assert loads(dumps(a_schedule())) == a_schedule()


def test_field_of_a_newer_version_is_passed_over():
    text = dumps(a_schedule()).replace('"fired":0', '"fired":0,"colour":"red"')

    assert loads(text) == a_schedule()


def test_rule_of_a_newer_version_is_refused():
    text = dumps(a_schedule()).replace('"cron":', '"tide":')

    with pytest.raises((KeyError, ValueError)):
        loads(text)
