"""Waiting jobs that give way to newer ones, because their queue is full."""

import json
from dataclasses import replace

import pytest

from headrace.core.outcomes import Dropped
from headrace.core.states import State
from headrace.core.unique import Unique
from headrace.errors import IllegalMove
from tests.builders import HOUR, NOW, a_job, a_pending, a_running, decided


def test_waiting_job_is_cancelled_and_says_why():
    job = a_pending(a_job(queue="emails", unique=Unique(key="k")), failures=1, starts=1)

    after = decided(job, Dropped(), now=NOW + 5).placement

    assert (after.state, after.ended_at, after.erase_at) == (State.CANCELLED, NOW + 5, NOW + 5 + HOUR)
    assert (after.due_at, after.unique_lock, after.failures, after.starts) == (None, None, 1, 1)
    assert json.loads(after.error)["message"] == "dropped for a newer job: queue 'emails' was full"


def test_parked_job_is_cancelled_too():
    after = decided(a_pending(due_at=None, parked_on="limit:x"), Dropped()).placement

    assert (after.state, after.parked_on) == (State.CANCELLED, None)


def test_running_job_does_not_give_way():
    with pytest.raises(IllegalMove):
        decided(a_running(), Dropped())


@pytest.mark.parametrize("state", [one for one in State if one not in {State.PENDING, State.PROCESSING}])
def test_job_that_waits_for_nothing_does_not_give_way(state):
    job = a_pending()

    with pytest.raises(IllegalMove):
        decided(replace(job, placement=replace(job.placement, state=state)), Dropped())
