"""Why a job waits parked: each kind of lane."""

import pytest

from headrace.core.breaker import BreakerState
from headrace.core.findings import Code
from headrace.core.limits import LaneState, Limit, Rate
from tests.builders import (
    MINUTE,
    NOW,
    SECOND,
    TYPE,
)
from tests.core.explaining import a_worker, on_a_lane, only, parked


def test_full_limit_names_who_holds_it():
    limit = Limit(name="gpu", slots=2)
    facts = on_a_lane("limit:gpu", limit=limit, holders=2, held_by=("job-1", "job-2"), parked=9)

    finding = only(parked("limit:gpu"), **facts)

    assert finding.code is Code.LIMIT
    assert finding.sentence == (
        "Limit 'gpu' lets 2 jobs run at once, and as many do: job-1, job-2. 9 jobs wait for it."
    )
    assert finding.jobs == ("job-1", "job-2")
    assert finding.until is None
    assert finding.advice == "`headrace limits show gpu` tells more, `headrace limits set gpu` changes it."


def test_limit_of_a_key_names_the_key():
    facts = on_a_lane("limit:per-user/42", limit=Limit(name="per-user", slots=1), holders=1, held_by=("a",))

    assert only(parked("limit:per-user/42"), **facts).sentence.startswith(
        "Limit 'per-user' for '42' lets 1 job"
    )


def test_spent_rate_says_when_the_next_may_start():
    rate = Rate(count=10, per_ms=MINUTE)
    state = LaneState(key="limit:mail", tat=(NOW + 5 * SECOND) * 1000)
    job = parked("limit:mail")
    facts = on_a_lane(
        "limit:mail", limit=Limit(name="mail", rate=rate), state=state, parked=3, first_parked=job.id
    )

    finding = only(job, **facts)

    assert finding.until is not None
    assert NOW < finding.until <= NOW + 5 * SECOND
    assert "lets 10 jobs start in 1 min: the next one may start at" in finding.sentence
    assert "(in 5 s)" in finding.sentence
    assert finding.sentence.endswith("This job comes first of those that wait for it.")


def test_limit_of_none_at_all_says_so():
    facts = on_a_lane("limit:gpu", limit=Limit(name="gpu", slots=0))

    assert "lets no job run" in only(parked("limit:gpu"), **facts).sentence


def test_limit_that_is_free_again_says_so():
    facts = on_a_lane("limit:gpu", limit=Limit(name="gpu", slots=2), holders=1)

    assert "lets a job start again" in only(parked("limit:gpu"), **facts).sentence


def test_limit_that_is_gone_says_so():
    assert "is not defined any more" in only(parked("limit:gpu"), **on_a_lane("limit:gpu")).sentence


def test_ordering_key_names_the_job_before():
    facts = on_a_lane("order:account/7", held_by=("job-1",), parked=2)

    finding = only(parked("order:account/7"), **facts)

    assert finding.code is Code.ORDER
    assert "'account/7' run one after the other, and job-1 is not done. 2 jobs wait" in finding.sentence
    assert finding.advice == "`headrace explain job-1` tells what keeps that one."


def test_ordering_key_that_is_free_says_that_the_next_one_comes():
    finding = only(parked("order:account/7"), **on_a_lane("order:account/7", first_parked="job-2"))

    assert finding.jobs == ("job-2",)
    assert "the next of them comes back within seconds" in finding.sentence


@pytest.mark.parametrize(
    ("now", "told"),
    [
        (NOW, "is open after Timeout: it lets nothing start before 2026-01-01T00:00:30Z (in 30 s)."),
        (NOW + MINUTE, "is half open after Timeout: it lets 1 job run at a time, as a probe."),
    ],
)
def test_breaker_says_how_long_it_is_open(now: int, told: str):
    state = BreakerState(name="stripe", opened_at=NOW, until=NOW + 30 * SECOND, error="Timeout")
    facts = on_a_lane("breaker:stripe", breaker=state)

    finding = only(parked("breaker:stripe"), now=now, workers=(a_worker(seen_at=now),), **facts)

    assert finding.code is Code.BREAKER
    assert told in finding.sentence
    assert finding.since == NOW


def test_breaker_that_is_closed_again_says_so():
    facts = on_a_lane("breaker:stripe", breaker=BreakerState(name="stripe"))

    assert "is closed again" in only(parked("breaker:stripe"), **facts).sentence


def test_unknown_type_is_said_once():
    finding = only(parked(f"type:{TYPE}"), workers=(a_worker(types=frozenset({"other"})),))

    assert finding.code is Code.TYPE_UNKNOWN
    assert finding.sentence == f"No worker that runs knows its type {TYPE}."


def test_unknown_version_is_said_once():
    finding = only(parked(f"type:{TYPE}@3"))

    assert finding.code is Code.VERSION_UNKNOWN
    assert "version 3 of type echo" in finding.sentence


def test_lane_that_nobody_knows_is_named():
    assert only(parked("novel:thing")).sentence == "It waits parked on novel:thing."
