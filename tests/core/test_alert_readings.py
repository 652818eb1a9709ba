"""What alert rules read out of deaths, queues and schedules."""

from dataclasses import replace

import pytest

from headrace.core.alert_readings import (
    QueueSight,
    of_breakers,
    of_deaths,
    of_idle,
    of_schedules,
    of_waiting,
    span,
)
from headrace.core.alerts import Condition, When
from headrace.core.breaker import BreakerState
from headrace.core.dead import COUNTED_AT_MOST, DeathCount
from headrace.core.request import EnqueueRequest
from headrace.core.schedule import Every, Timing
from headrace.core.scheduled import put
from tests.builders import HOUR, MINUTE, NOW, SECOND


def deaths(job_type="echo", queue="q", count=1, *, permanent=0, last_at=NOW, last_id="id") -> DeathCount:
    return DeathCount(
        type=job_type,
        queue=queue,
        count=count,
        permanent=permanent,
        first_at=NOW,
        last_at=last_at,
        last_id=last_id,
    )


def a_condition(when: When, **fields) -> Condition:
    return Condition(when=when, **fields)


def a_queue(name="q", *, oldest=None, ended=0, running=0, paused=False) -> QueueSight:
    return QueueSight(name=name, paused=paused, oldest_due_at=oldest, ended=ended, running=running)


def test_one_death_names_its_job():
    (reading,) = of_deaths(a_condition(When.DEAD), [deaths(last_id="x")])

    assert (reading.subject, reading.count, reading.job_id) == ("echo", 1, "x")
    assert reading.message == "Job x permanently failed"


def test_many_deaths_are_counted_by_type_over_all_queues():
    found = [
        deaths("a", "q1", 4_000, last_id="older"),
        deaths("a", "q2", 6_000, last_at=NOW + 1, last_id="latest"),
        deaths("b", "q1", 2),
    ]

    readings = of_deaths(a_condition(When.DEAD), found)

    assert [(one.subject, one.count, one.job_id) for one in readings] == [
        ("a", 10_000, "latest"),
        ("b", 2, "id"),
    ]
    assert readings[0].message == "10000 jobs of type a failed for good within 10 min"


def test_deaths_of_other_types_and_queues_are_passed_over():
    found = [deaths("a", "q1"), deaths("b", "q1"), deaths("a", "q2")]

    assert of_deaths(a_condition(When.DEAD, types=("b",), queues=("q2",)), found) == []
    assert [one.count for one in of_deaths(a_condition(When.DEAD, types=("a",), queues=("q2",)), found)] == [
        1
    ]


def test_fewer_deaths_than_the_rule_asks_for_are_none():
    assert of_deaths(a_condition(When.DEAD, count=3), [deaths(count=2)]) == []
    assert len(of_deaths(a_condition(When.DEAD, count=3), [deaths(count=3)])) == 1


def test_only_permanent_errors_count_where_these_are_asked_for():
    found = [deaths("a", count=5, permanent=2), deaths("b", count=5)]

    (reading,) = of_deaths(a_condition(When.PERMANENT), found)

    assert (reading.subject, reading.count, reading.job_id) == ("a", 2, None)
    assert reading.message == "2 jobs of type a failed for good by a permanent error within 10 min"


def test_one_permanent_error_names_its_job_where_it_is_surely_that():
    (sure,) = of_deaths(a_condition(When.PERMANENT), [deaths(permanent=1)])
    (unsure,) = of_deaths(a_condition(When.PERMANENT), [deaths(count=2, permanent=1)])

    assert sure.message == "Job id permanently failed"
    assert unsure.message == "a job of type echo failed for good by a permanent error within 10 min"


def test_growing_adds_up_all_types():
    found = [deaths("a", count=6), deaths("b", count=4)]

    (reading,) = of_deaths(a_condition(When.GROWING, count=10), found)

    assert (reading.subject, reading.count) == ("all", 10)
    assert of_deaths(a_condition(When.GROWING, count=11), found) == []
    assert of_deaths(a_condition(When.GROWING), []) == []


def test_more_than_can_be_counted_is_said_so():
    (reading,) = of_deaths(a_condition(When.DEAD), [deaths(count=COUNTED_AT_MOST)])

    assert reading.message.startswith("100000 jobs or more of type echo")


@pytest.mark.parametrize(
    ("oldest", "paused", "subjects"),
    [
        (None, False, []),
        (NOW - 5 * MINUTE + 1, False, []),
        (NOW - 5 * MINUTE, False, ["q"]),
        (NOW - 5 * MINUTE, True, []),
    ],
)
def test_queue_whose_oldest_due_job_waits_too_long_is_read(oldest, paused, subjects):
    queues = [a_queue(oldest=oldest, paused=paused)]

    readings = of_waiting(a_condition(When.WAITING, longer_than_ms=5 * MINUTE), queues, NOW)

    assert [one.subject for one in readings] == subjects


def test_only_the_queues_that_are_named_are_read():
    queues = [a_queue("a", oldest=NOW - HOUR), a_queue("b", oldest=NOW - HOUR)]

    readings = of_waiting(a_condition(When.WAITING, queues=("b",)), queues, NOW)

    assert [(one.subject, one.message) for one in readings] == [
        ("b", "a job on queue b has waited for 60 min")
    ]


IDLE = a_condition(When.IDLE, longer_than_ms=MINUTE)
DUE = NOW - HOUR


def idle_over(*sights: QueueSight) -> list[str]:
    """What is read of a queue that looks so at one look after the other, each half a minute later."""
    still, subjects = {}, []
    for n, sight in enumerate(sights):
        readings, still = of_idle(IDLE, [sight], still, NOW + n * 30 * SECOND)
        subjects = [one.subject for one in readings]
    return subjects


def test_queue_in_which_nothing_moves_though_jobs_are_due_is_idle():
    still = a_queue(oldest=DUE, ended=7, running=1)

    assert idle_over(still, still) == []
    assert idle_over(still, still, still) == ["q"]


@pytest.mark.parametrize(
    "moved",
    [
        a_queue(oldest=DUE + 1, ended=7, running=1),
        a_queue(oldest=DUE, ended=8, running=1),
        a_queue(oldest=DUE, ended=7, running=2),
        a_queue(oldest=DUE, ended=7, running=0),
        a_queue(oldest=DUE, ended=7, running=1, paused=True),
        a_queue(oldest=None, ended=7, running=1),
    ],
)
def test_queue_in_which_something_moves_is_not_idle(moved):
    still = a_queue(oldest=DUE, ended=7, running=1)

    assert idle_over(still, still, moved) == []
    assert idle_over(still, moved, still) == []


def test_erasing_ended_jobs_is_no_claim():
    assert idle_over(*(a_queue(oldest=DUE, ended=7 - n) for n in range(3))) == ["q"]


def test_jobs_that_are_due_only_now_are_not_idle():
    late = NOW + 30 * SECOND

    assert idle_over(*[a_queue(oldest=late)] * 3) == []


def a_schedule(**fields):
    made = put(
        None,
        "nightly",
        Timing(rule=Every(interval_ms=HOUR)),
        EnqueueRequest(type="echo", payload={}),
        version=1,
        now=NOW,
    )
    return replace(made, **fields)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({}, None),
        ({"skipped": 3, "skipped_at": NOW - MINUTE}, "schedule nightly skipped fires, 3 in all"),
        ({"skipped": 3, "skipped_at": NOW - HOUR}, None),
        ({"error": "UnknownJobType: gone"}, "schedule nightly cannot fire: UnknownJobType: gone"),
        ({"next_at": NOW - 5 * MINUTE}, "schedule nightly is late by 5 min"),
        ({"next_at": NOW - 5 * MINUTE, "paused_at": NOW - HOUR}, None),
        ({"next_at": NOW - MINUTE}, None),
    ],
)
def test_schedule_that_skipped_cannot_fire_or_is_late_is_read(fields, message):
    readings = of_schedules(a_condition(When.MISSED), [a_schedule(**fields)], NOW)

    assert [one.message for one in readings] == ([] if message is None else [message])


def test_only_the_schedules_that_are_named_are_read():
    broken = a_schedule(error="no")

    assert of_schedules(a_condition(When.MISSED, schedules=("other",)), [broken], NOW) == []


@pytest.mark.parametrize(
    ("milliseconds", "words"),
    [(0, "0 s"), (-5, "0 s"), (119_999, "119 s"), (120_000, "2 min"), (2 * HOUR, "2 h"), (48 * HOUR, "2 d")],
)
def test_spans_are_told_in_words(milliseconds, words):
    assert span(milliseconds) == words


def test_breakers_that_are_not_closed_are_read():
    breakers = [
        BreakerState(name="fine"),
        BreakerState(name="open", opened_at=NOW, until=NOW + MINUTE, in_a_row=2, error="ConnectionError"),
        BreakerState(name="probing", opened_at=NOW - HOUR, until=NOW),
    ]

    readings = of_breakers(breakers, NOW)

    assert [(one.subject, one.message, one.count) for one in readings] == [
        ("open", "breaker open is open: ConnectionError", 2),
        ("probing", "breaker probing is half-open", 1),
    ]
