"""Headrace: background jobs with one engine on several stores."""

from headrace.app import App
from headrace.clock import ManualClock
from headrace.core.alert_wire import Alert
from headrace.core.backoff import Backoff, Jitter
from headrace.core.dead import DeadFilter, DeadLetter, DeadQueue
from headrace.core.events import Event
from headrace.core.flow import OnParentFailure
from headrace.core.job import Job, Priority
from headrace.core.loop import Debounce, Idle, LoopInfo, LoopStatus, Work
from headrace.core.policy import Retention
from headrace.core.queue_rules import Overflow
from headrace.core.request import EnqueueRequest
from headrace.core.schedule import Fire, fired_by
from headrace.core.states import State
from headrace.core.unique import OnConflict, Unique, Until
from headrace.engine.batch import Batch
from headrace.engine.breaker_type import Breaker
from headrace.engine.chunk import Chunk, Message
from headrace.engine.context import Context
from headrace.engine.flow import Flow, chain, gather
from headrace.engine.handle import Handle
from headrace.engine.job_type import JobType
from headrace.engine.limiting import OrderBy, Rate, Slots
from headrace.engine.loop_type import Loop, LoopFamily
from headrace.engine.operations import Runs
from headrace.engine.registry import Retry
from headrace.errors import (
    AlertNotFound,
    BatchClosed,
    BatchNotFound,
    BatchSealed,
    BreakerNotFound,
    Cancel,
    CursorTooOld,
    DuplicateJob,
    EventLogOff,
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
    LimitNotFound,
    NotADeadLetter,
    Permanent,
    QueueFull,
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
    "Alert",
    "AlertNotFound",
    "App",
    "Backoff",
    "Batch",
    "BatchClosed",
    "BatchNotFound",
    "BatchSealed",
    "Breaker",
    "BreakerNotFound",
    "Cancel",
    "Chunk",
    "Context",
    "CursorTooOld",
    "DeadFilter",
    "DeadLetter",
    "DeadQueue",
    "Debounce",
    "DuplicateJob",
    "EnqueueRequest",
    "Event",
    "EventLogOff",
    "Exhausted",
    "Fire",
    "Flow",
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
    "LimitNotFound",
    "Loop",
    "LoopFamily",
    "LoopInfo",
    "LoopStatus",
    "ManualClock",
    "Message",
    "NotADeadLetter",
    "OnConflict",
    "OnParentFailure",
    "OrderBy",
    "Overflow",
    "Permanent",
    "Priority",
    "QueueFull",
    "Rate",
    "Retention",
    "Retry",
    "Runs",
    "ScheduleNotFound",
    "Settings",
    "SignalTimeout",
    "Slots",
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
    "chain",
    "fired_by",
    "gather",
]
