"""For tests of programs that use Headrace: jobs without a worker, time that passes, what was enqueued."""

from headrace.clock import ManualClock
from headrace.testing.context import FakeContext, Line, a_parent
from headrace.testing.draining import advance, advance_sync, drain, drain_sync
from headrace.testing.driver import Ran
from headrace.testing.idempotency import NotIdempotent, check_idempotent
from headrace.testing.inline import inline
from headrace.testing.isolated import isolated
from headrace.testing.looking import (
    Enqueued,
    assert_enqueued,
    assert_enqueued_sync,
    enqueued,
    enqueued_sync,
)
from headrace.testing.running import run_job, run_job_sync

__all__ = [
    "Enqueued",
    "FakeContext",
    "Line",
    "ManualClock",
    "NotIdempotent",
    "Ran",
    "a_parent",
    "advance",
    "advance_sync",
    "assert_enqueued",
    "assert_enqueued_sync",
    "check_idempotent",
    "drain",
    "drain_sync",
    "enqueued",
    "enqueued_sync",
    "inline",
    "isolated",
    "run_job",
    "run_job_sync",
]
