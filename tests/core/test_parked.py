"""What becomes of a job whose holder cannot run it, though others can."""

from headrace.core.lanes import known_version, lane_of_type, lane_of_version
from headrace.core.outcomes import Parked
from headrace.core.states import State
from tests.builders import NOW, SECOND, a_job, a_running, after_transition, given_back_unstarted, reported

LATER = NOW + 7 * SECOND
LANE = lane_of_version("echo", 2)


def test_c16_parked_job_waits_on_its_lane_with_its_rank_and_is_charged_nothing():
    job = a_running(a_job(due_at=NOW - SECOND))

    transition = given_back_unstarted(job, Parked(lane=LANE), now=LATER)

    placed = transition.placement
    assert (placed.state, placed.due_at, placed.parked_on) == (State.PENDING, None, LANE)
    assert (placed.rank, placed.lease_until, placed.worker) == (NOW - SECOND, None, None)
    assert (placed.starts, placed.releases, placed.failures) == (1, 1, 0)
    assert after_transition(transition).attempts == 0


def test_c16_parking_is_not_listed_as_an_attempt():
    assert given_back_unstarted(a_running(), Parked(lane=LANE), now=LATER).attempt is None


def test_c26_job_that_is_to_be_cancelled_is_cancelled_and_not_parked():
    placed = reported(a_running(cancel_asked_at=NOW), Parked(lane=LANE), now=LATER).placement

    assert (placed.state, placed.parked_on) == (State.CANCELLED, None)


def test_the_lane_of_a_version_is_that_of_the_name_a_worker_says():
    assert lane_of_type(known_version("echo", 2)) == lane_of_version("echo", 2) == "type:echo@2"
