"""Headrace: background jobs with one engine on several stores."""

from headrace.app import App
from headrace.clock import ManualClock
from headrace.core.backoff import Backoff, Jitter
from headrace.core.job import Job, Priority
from headrace.core.policy import Retention
from headrace.core.request import EnqueueRequest
from headrace.core.states import State
from headrace.core.unique import OnConflict, Unique, Until
from headrace.engine.context import Context
from headrace.engine.handle import Handle
from headrace.engine.job_type import JobType
from headrace.engine.operations import Runs
from headrace.engine.registry import Retry
from headrace.errors import (
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
    "Cancel",
    "Context",
    "DuplicateJob",
    "EnqueueRequest",
    "Exhausted",
    "Handle",
    "HeadraceError",
    "IdempotencyMismatch",
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
    "ManualClock",
    "OnConflict",
    "Permanent",
    "Priority",
    "Retention",
    "Retry",
    "Runs",
    "Settings",
    "Snooze",
    "State",
    "StoreError",
    "StoreUnavailable",
    "Transient",
    "Unique",
    "UnknownJobType",
    "Until",
    "WaitTimeout",
]
