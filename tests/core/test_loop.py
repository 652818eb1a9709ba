"""What becomes of a loop, decided without a store."""

import math
import random
from dataclasses import replace

import pytest

from headrace.core.job import AttemptOutcome, Isolation, Job
from headrace.core.loop import (
    Debounce,
    Idle,
    LoopConfig,
    LoopDefinition,
    LoopError,
    LoopState,
    LoopStatus,
    shown,
    unique_key,
)
from headrace.core.loop_moves import (
    Act,
    asleep,
    begun,
    broken,
    finished,
    forgiven,
    on_ping,
    on_start,
    on_stop,
    on_sweep,
    redefined,
    relieved,
    resting,
    resumed,
    touched,
    troubled,
    wait_ms,
    woken,
)
from headrace.core.states import State
from headrace.core.unique import Unique
from headrace.errors import InvalidInput
from tests.builders import HOUR, NOW, SECOND, a_job, a_pending, a_running

DEFINITION = LoopDefinition(type="loop.events", queue="default", config=LoopConfig(debounce_ms=100))


def a_state(status: LoopStatus = LoopStatus.IDLE, **fields: object) -> LoopState:
    state = LoopState(name="events", definition=DEFINITION, status=status, generation=3, job_id="one")
    return replace(state, **fields)  # type: ignore[arg-type]


def a_loop_job(**columns: object) -> Job:
    return a_pending(a_job(unique=Unique(key=unique_key("events"))), **columns)


def a_dead_job(state: State = State.COMPLETED) -> Job:
    return a_loop_job(state=state, due_at=None, unique_lock=None)


# ------------------------------------------------------------ ping


@pytest.mark.parametrize("job", [None, a_dead_job()])
def test_ping_of_an_idle_loop_without_a_job_makes_one_after_the_debounce(job):
    step = on_ping(a_state(), job, NOW)

    assert (step.act, step.due_at, step.state.status) == (Act.CREATE, NOW + 100, LoopStatus.RUNNING)
    assert step.state.restarts == 0


def test_ping_brings_a_far_sleep_forward():
    step = on_ping(a_state(), a_loop_job(due_at=NOW + HOUR), NOW)

    assert (step.act, step.due_at) == (Act.WAKE, NOW + 100)


@pytest.mark.parametrize("due_at", [NOW - 5, NOW, NOW + SECOND])
def test_ping_leaves_a_sleep_that_ends_soon(due_at):
    assert on_ping(a_state(), a_loop_job(due_at=due_at), NOW).act is Act.LEAVE


def test_ping_within_a_long_debounce_never_puts_the_run_off():
    state = a_state(definition=replace(DEFINITION, config=LoopConfig(debounce_ms=5_000)))

    assert on_ping(state, a_loop_job(due_at=NOW + 4_000), NOW).act is Act.LEAVE


def test_ping_touches_the_run_that_is_about_to_rest():
    assert on_ping(a_state(), a_running(), NOW).act is Act.TOUCH


@pytest.mark.parametrize("job", [a_running(), a_loop_job(due_at=NOW + HOUR)])
def test_ping_changes_nothing_while_running(job):
    state = a_state(LoopStatus.RUNNING)

    step = on_ping(state, job, NOW)

    assert (step.act, step.state) == (Act.LEAVE, state)


@pytest.mark.parametrize("job", [None, a_running(), a_loop_job(), a_dead_job()])
def test_ping_changes_nothing_while_stopped(job):
    state = a_state(LoopStatus.STOPPED)

    step = on_ping(state, job, NOW)

    assert (step.act, step.state) == (Act.LEAVE, state)


def test_ping_restarts_a_loop_whose_job_is_gone_although_it_counts_as_running():
    step = on_ping(a_state(LoopStatus.RUNNING), a_dead_job(State.CANCELLED), NOW)

    assert (step.act, step.due_at, step.state.restarts) == (Act.CREATE, NOW, 1)


def test_ping_leaves_a_job_that_is_parked():
    assert on_ping(a_state(), a_loop_job(due_at=None, parked_on="type:x"), NOW).act is Act.LEAVE


# ------------------------------------------------------------ start, stop, sweep


def test_stop_ends_the_job_and_raises_the_generation():
    step = on_stop(a_state(LoopStatus.RUNNING), a_running(), NOW)

    assert (step.act, step.state.status, step.state.generation) == (Act.CANCEL, LoopStatus.STOPPED, 4)


def test_stop_of_a_loop_that_rests_has_no_job_to_end():
    assert on_stop(a_state(), a_dead_job(), NOW).act is Act.LEAVE


def test_stop_again_raises_nothing_but_ends_a_job_that_a_crash_left():
    stopped = a_state(LoopStatus.STOPPED)

    assert on_stop(stopped, a_dead_job(), NOW).state == stopped
    assert on_stop(stopped, a_running(), NOW).act is Act.CANCEL
    assert on_stop(stopped, a_running(cancel_asked_at=NOW), NOW).act is Act.LEAVE


def test_start_makes_a_job_for_a_stopped_loop_only():
    assert on_start(a_state(LoopStatus.STOPPED), a_dead_job(State.CANCELLED), NOW).act is Act.CREATE
    assert on_start(a_state(), None, NOW).act is Act.LEAVE
    assert on_start(a_state(LoopStatus.RUNNING), a_running(), NOW).act is Act.LEAVE


def test_start_waits_for_the_batch_that_was_told_to_stop():
    step = on_start(a_state(LoopStatus.STOPPED), a_running(cancel_asked_at=NOW), NOW)

    assert (step.act, step.state.status) == (Act.LEAVE, LoopStatus.RUNNING)


def test_sweep_restarts_a_dead_loop_at_once_but_waits_after_a_job_that_failed_for_good():
    running = a_state(LoopStatus.RUNNING)

    at_once = on_sweep(running, a_dead_job(State.CANCELLED), NOW)
    later = on_sweep(running, a_dead_job(State.FAILED), NOW)

    assert (at_once.act, at_once.due_at, at_once.state.restarts) == (Act.CREATE, NOW, 1)
    assert (later.act, later.due_at) == (Act.CREATE, NOW + 60_000)


@pytest.mark.parametrize(
    ("status", "job"),
    [
        (LoopStatus.IDLE, a_dead_job()),
        (LoopStatus.IDLE, a_loop_job(due_at=NOW + HOUR)),
        (LoopStatus.RUNNING, a_running()),
        (LoopStatus.RUNNING, a_loop_job()),
        (LoopStatus.STOPPED, a_dead_job(State.CANCELLED)),
    ],
)
def test_sweep_leaves_what_is_well(status, job):
    assert on_sweep(a_state(status), job, NOW).act is Act.LEAVE


# ------------------------------------------------------------ a run


def test_run_opens_a_generation_and_counts_a_restart_after_a_failed_one():
    fresh = begun(a_state(), a_running())
    again = begun(a_state(), a_running(failures=1))

    assert fresh is not None
    assert again is not None
    assert (fresh.status, fresh.generation, fresh.restarts) == (LoopStatus.RUNNING, 4, 0)
    assert (again.generation, again.restarts) == (4, 1)
    assert begun(a_state(LoopStatus.STOPPED), a_running()) is None


def test_rest_resume_and_fault_change_the_status_and_nothing_of_the_generation():
    error = LoopError(type="ValueError", message="boom", at=NOW + 1)

    rested = resting(a_state(LoopStatus.RUNNING), NOW)
    failed = broken(rested, error)

    assert (rested.status, rested.last_run_at) == (LoopStatus.IDLE, NOW)
    assert resumed(rested).status is LoopStatus.RUNNING
    assert (failed.status, failed.last_error, failed.last_run_at) == (LoopStatus.RUNNING, error, NOW + 1)
    assert {rested.generation, failed.generation} == {3}


CONFIG = LoopConfig(poll_ms=200, cooldown_ms=2_000)


@pytest.mark.parametrize(
    ("answer", "passed", "expected"),
    [
        (Idle(), 0, 200),
        (Idle(), 1_900, 100),
        (Idle(), 2_000, None),
        (Idle(cooldown=10, poll_interval=0.25), 9_000, 250),
        (Idle(cooldown=0), 0, None),
        (Idle(cooldown=0, timeout=60), 0, None),
        (Idle(cooldown=0, timeout=1), 0, 1_000),
        (Idle(cooldown=0, timeout=1.001), 0, None),
        (Idle(cooldown=0, timeout=3, poll_interval=5), 0, 3_000),
        (Idle(timeout=0.05), 0, 50),
        (Idle(timeout=0), 0, 10),
        (Idle(poll_interval=0), 0, 10),
    ],
)
def test_loop_that_found_nothing_polls_through_the_cool_down_and_then_rests(answer, passed, expected):
    assert wait_ms(answer, CONFIG, NOW, NOW + passed) == expected


def test_sleep_keeps_the_key_and_charges_nothing():
    after = asleep(a_running(a_job(unique=Unique(key="loop:events"))), NOW + HOUR, NOW + 5)

    placement = after.placement
    assert (placement.state, placement.due_at, placement.unique_lock) == (
        State.PENDING,
        NOW + HOUR,
        "loop:events",
    )
    assert (placement.failures, placement.crashes, placement.releases) == (0, 0, 1)
    assert after.attempt is not None
    assert after.attempt.outcome is AttemptOutcome.SNOOZED


def test_end_frees_the_key_and_is_a_success():
    placement = finished(a_running(a_job(unique=Unique(key="loop:events"))), NOW + 5).placement

    assert (placement.state, placement.unique_lock, placement.outcome) == (
        State.COMPLETED,
        None,
        AttemptOutcome.SUCCEEDED,
    )
    assert placement.erase_at == NOW + 5 + HOUR


def test_wake_moves_the_due_time_and_a_touch_moves_nothing():
    job = a_loop_job(due_at=NOW + HOUR)

    assert (woken(job, NOW).placement.due_at, woken(job, NOW).placement.rank) == (NOW, NOW)
    assert touched(job).placement == job.placement


def test_run_that_went_well_forgets_earlier_crashes_as_a_retry_by_an_operator_would():
    job = a_running(starts=9, failures=5, crashes=2, releases=1, isolation=Isolation.CHILD)

    placement = forgiven(job).placement
    back = relieved(job, NOW + 5)

    assert troubled(job)
    assert not troubled(replace(job, placement=placement))
    assert (placement.generation, placement.starts, placement.failures, placement.crashes) == (2, 1, 0, 0)
    assert (back.placement.state, back.placement.due_at, back.placement.isolation) == (
        State.PENDING,
        NOW + 5,
        Isolation.NONE,
    )
    assert (back.job.fence, back.job.revision) == (job.fence, job.revision)


# ------------------------------------------------------------ what is kept and shown


def test_state_survives_its_text_and_passes_over_settings_of_a_newer_version():
    state = a_state(last_error=LoopError(type="X", message="y", at=1), restarts=2, last_run_at=NOW)

    assert LoopState.loads(state.dumps()) == state
    assert LoopState.loads(state.dumps().replace('"poll_ms"', '"later": 1, "poll_ms"')) == state


def test_definition_is_taken_over_where_it_has_changed():
    changed = replace(DEFINITION, config=LoopConfig(debounce_ms=500))

    assert redefined(a_state(), None) == a_state()
    assert redefined(a_state(), DEFINITION) is not None
    assert redefined(a_state(), changed).definition == changed


@pytest.mark.parametrize(
    ("status", "job", "expected"),
    [
        (LoopStatus.IDLE, None, LoopStatus.IDLE),
        (LoopStatus.IDLE, a_loop_job(due_at=NOW + HOUR), LoopStatus.IDLE),
        (LoopStatus.IDLE, a_loop_job(due_at=NOW + 500), LoopStatus.RUNNING),
        (LoopStatus.IDLE, a_running(), LoopStatus.RUNNING),
        (LoopStatus.RUNNING, a_loop_job(due_at=NOW + HOUR), LoopStatus.RUNNING),
        (LoopStatus.STOPPED, a_running(), LoopStatus.STOPPED),
    ],
)
def test_loop_that_sleeps_reads_idle_and_one_that_runs_soon_reads_running(status, job, expected):
    assert shown(a_state(status), job, NOW).status is expected


def test_loop_that_is_processed_at_this_moment_is_in_hand():
    assert shown(a_state(LoopStatus.STOPPED), a_running(), NOW).in_hand
    assert not shown(a_state(), a_loop_job(), NOW).in_hand


@pytest.mark.parametrize(
    "make",
    [
        lambda: Idle(timeout=-1),
        lambda: Idle(cooldown=math.nan),
        lambda: Debounce(math.inf),
        lambda: LoopConfig(monitor_lag_ms=9_999),
        lambda: LoopConfig(poll_ms=1),
    ],
)
def test_durations_that_make_no_sense_are_refused(make):
    with pytest.raises(InvalidInput):
        make()


def test_monitor_lag_is_a_minute_unless_set_and_bounds_every_wait_after_an_error():
    config = LoopConfig()
    rng = random.Random(1)

    assert config.monitor_lag_ms == 60_000
    assert [config.backoff.delay_ms(n, rng) for n in (1, 2, 7, 50)] == [1_000, 2_000, 60_000, 60_000]


def test_error_whose_text_cannot_be_made_is_still_kept():
    class Mute(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    assert LoopError.of(Mute(), NOW) == LoopError(type="Mute", message="", at=NOW)
