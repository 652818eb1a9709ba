"""Headrace: background jobs with one engine on several stores."""

from headrace.app import App
from headrace.clock import ManualClock
from headrace.core.backoff import Backoff, Jitter
from headrace.core.job import Job, Priority
from headrace.core.loop import Debounce, Idle, LoopInfo, LoopStatus, Work
from headrace.core.policy import Retention
from headrace.core.request import EnqueueRequest
from headrace.core.schedule import Fire, fired_by
from headrace.core.states import State
from headrace.core.unique import OnConflict, Unique, Until
from headrace.engine.batch import Batch
from headrace.engine.context import Context
from headrace.engine.handle import Handle
from headrace.engine.job_type import JobType
from headrace.engine.loop_type import Loop, LoopFamily
from headrace.engine.operations import Runs
from headrace.engine.registry import Retry
from headrace.errors import (
    BatchClosed,
    BatchNotFound,
    BatchSealed,
    Cancel,
    DuplicateJob,
    Exhausted,
    HeadraceError,
    IdempotencyMismatch,
    IllegalMove,
    InvalidInput,
    InvalidPayload,
    JobCancelled,
    JobFailed,
    JobNotFound,
    LeaseLost,
    Permanent,
    ScheduleNotFound,
    SignalTimeout,
    Snooze,
    StoreError,
    StoreUnavailable,
    Transient,
    UnknownJobType,
    WaitTimeout,
)
from headrace.settings import Settings

__all__ = [
    "App",
    "Backoff",
    "Batch",
    "BatchClosed",
    "BatchNotFound",
    "BatchSealed",
    "Cancel",
    "Context",
    "Debounce",
    "DuplicateJob",
    "EnqueueRequest",
    "Exhausted",
    "Fire",
    "Handle",
    "HeadraceError",
    "IdempotencyMismatch",
    "Idle",
    "IllegalMove",
    "InvalidInput",
    "InvalidPayload",
    "Jitter",
    "Job",
    "JobCancelled",
    "JobFailed",
    "JobNotFound",
    "JobType",
    "LeaseLost",
    "Loop",
    "LoopFamily",
    "LoopInfo",
    "LoopStatus",
    "ManualClock",
    "OnConflict",
    "Permanent",
    "Priority",
    "Retention",
    "Retry",
    "Runs",
    "ScheduleNotFound",
    "Settings",
    "SignalTimeout",
    "Snooze",
    "State",
    "StoreError",
    "StoreUnavailable",
    "Transient",
    "Unique",
    "UnknownJobType",
    "Until",
    "WaitTimeout",
    "Work",
    "fired_by",
]
