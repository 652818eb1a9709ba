"""Batches: jobs that are counted, watched and finished together. Their rules, without any I/O.

A batch goes from open (anybody may add members) to sealed (only running members may add more), and when
its last member has ended through closing to closed. Closing is two steps, so that a process that dies
between them leaves a batch that any other one can finish. A member that somebody retries takes a closed
batch back to sealed in a new generation, whose callbacks come again.

A batch is one register. Every op that makes a member live also writes that register, and so raises its
revision: whoever looked at the members before cannot close the batch any more. What the members are is
never counted here; it is asked of the jobs themselves.
"""

import hashlib
import random
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final, TypeGuard

from headrace.core import place
from headrace.core.job import Facts, Job, Placement, Transition
from headrace.core.states import LIVE, State
from headrace.errors import BatchClosed, BatchSealed

PREFIX: Final = "batch:"
"""Of the register of a batch, and of the lane on which members wait that were retried out of turn."""

CALLBACK_TAG: Final = "callback:"
"""A callback carries the tag ``callback:<batch id>``: it belongs to the batch and is no member of it."""

RECHECK_MS: Final = 10_000
"""So often the sweep looks at a batch with work to be done, should nobody have told of a member's end."""

OPEN_RECHECK_MS: Final = 3_600_000
"""An open batch has nothing to be done; that it is looked at says that its members are still needed."""

_ID: Final = re.compile(r"batch_[0-9]{1,15}_[0-9a-f]{16}")
_ENTROPY_BITS: Final = 64


class Phase(StrEnum):
    """Where a batch is in its life."""

    OPEN = "open"
    SEALED = "sealed"
    CLOSING = "closing"
    CLOSED = "closed"


class On(StrEnum):
    """When a callback is due: always, only if all members completed, only if any did not."""

    COMPLETE = "on_complete"
    SUCCESS = "on_success"
    FAILURE = "on_failure"


@dataclass(frozen=True, slots=True, kw_only=True)
class Callback:
    """A job to insert when the batch closes, with all that its type had to say when the batch was made.

    So whoever closes the batch needs to know neither the type nor its code. ``delay_ms`` counts from the
    closing; ``due_at`` is the instant before which it may not start.
    """

    on: On
    type: str
    version: int
    queue: str
    payload: str
    priority: int
    max_attempts: int
    max_crashes: int
    timeout_ms: int | None = None
    backoff: str | None = None
    delay_ms: int = 0
    due_at: int = 0
    lane: str | None = None
    tags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """How many members of a batch there are, and in which state. All of one snapshot (C36)."""

    blocked: int = 0
    pending: int = 0
    processing: int = 0
    completed: int = 0
    failed: int = 0
    cancelled: int = 0

    @classmethod
    def of(cls, states: Mapping[State, int]) -> "Counts":
        """The counts by name."""
        return cls(**{state.value: states.get(state, 0) for state in State})

    @property
    def total(self) -> int:
        """How many members there are."""
        return self.live + self.ended

    @property
    def live(self) -> int:
        """How many are blocked, pending or processing."""
        return self.blocked + self.pending + self.processing

    @property
    def ended(self) -> int:
        """How many have ended, in whichever way."""
        return self.completed + self.failed + self.cancelled


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchState:
    """A batch as its register keeps it.

    ``turn`` is the member of a sequential batch that runs or may run now. ``due`` are the callbacks that
    a closing decided on. ``reopened_at`` is when the present generation began, None in the first one.
    """

    id: str
    created_at: int
    phase: Phase = Phase.OPEN
    generation: int = 1
    sequential: bool = False
    callbacks: tuple[Callback, ...] = ()
    due: tuple[On, ...] = ()
    turn: str | None = None
    reopened_at: int | None = None
    closed_at: int | None = None
    cancelled_at: int | None = None

    @property
    def lane(self) -> str:
        """Where retried members of a sequential batch wait for their turn."""
        return PREFIX + self.id

    @property
    def is_over(self) -> bool:
        """Whether all its members have ended, and none has been retried since."""
        return self.phase in {Phase.CLOSING, Phase.CLOSED}

    def next_look(self, now: int) -> int | None:
        """When the sweep looks at it again. None: it is closed, and nothing needs its members any more."""
        match self.phase:
            case Phase.OPEN:
                return now + (RECHECK_MS if self.sequential else OPEN_RECHECK_MS)
            case Phase.SEALED | Phase.CLOSING:
                return now + RECHECK_MS
            case Phase.CLOSED:
                return None

    def refuse_member(self, *, by_member: bool) -> None:
        """Raises BatchSealed where no member may be added (C38).

        ``by_member``: a running member adds it. Whether its fence holds is asked by the op that inserts.
        """
        if self.cancelled_at is not None:
            raise BatchSealed(f"batch {self.id} was cancelled: make another one")
        match self.phase:
            case Phase.OPEN:
                return
            case Phase.SEALED:
                if not by_member:
                    raise BatchSealed(f"batch {self.id} is sealed: only its running members may add more")
            case Phase.CLOSING | Phase.CLOSED:
                raise BatchSealed(f"batch {self.id} is closed: all its members have ended")

    def sealed(self) -> "BatchState":
        """The batch with all its members, but for those that running members add."""
        return replace(self, phase=Phase.SEALED) if self.phase is Phase.OPEN else self

    def cancelled(self, now: int) -> "BatchState":
        """The batch to which nothing is added and in which nobody gets a turn any more.

        Raises BatchClosed if all its members have ended.
        """
        if self.is_over:
            raise BatchClosed(f"batch {self.id} is {self.phase}: there is nothing left to cancel")
        first = now if self.cancelled_at is None else self.cancelled_at
        return replace(self, phase=Phase.SEALED, cancelled_at=first)

    def with_turn(self, job_id: str) -> "BatchState":
        """The sequential batch in which this member runs, or may run."""
        return replace(self, turn=job_id)

    def closing(self, counts: Counts, *, anything_ended: bool) -> "BatchState":
        """The batch whose members have all ended, with the callbacks that are due for it (C37).

        ``anything_ended``: whether a member has ended in this generation. The first one calls back in any
        case: an empty batch is finished as soon as it is sealed. Later ones may be empty, where a retry was
        announced and then not made; they close in silence.
        """
        silent = self.reopened_at is not None and not anything_ended
        due = () if silent else tuple(one.on for one in self.callbacks if _is_due(one.on, counts))
        return replace(self, phase=Phase.CLOSING, due=due, turn=None)

    def closed(self, now: int) -> "BatchState":
        """The batch whose callbacks are inserted."""
        return replace(self, phase=Phase.CLOSED, due=(), closed_at=now)

    def reopened(self, now: int) -> "BatchState":
        """The batch with a member that runs again: a new generation if it was closed.

        One that is closing must be closed first, or the callbacks it owes would be lost: raises BatchClosed.
        """
        match self.phase:
            case Phase.OPEN | Phase.SEALED:
                return replace(self, cancelled_at=None)
            case Phase.CLOSING:
                raise BatchClosed(f"batch {self.id} is closing: finish that first")
            case Phase.CLOSED:
                return replace(
                    self,
                    phase=Phase.SEALED,
                    generation=self.generation + 1,
                    reopened_at=now,
                    closed_at=None,
                    cancelled_at=None,
                )

    def callback_jobs(self, namespace: str, now: int) -> tuple[tuple[Facts, Placement], ...]:
        """The callbacks that are due, as jobs. They are the same jobs however often this is asked."""
        return tuple(_callback_job(self, one, namespace, now) for one in self.callbacks if one.on in self.due)


def batch_id(now: int, rng: random.Random) -> str:
    """A new id: ``batch_<milliseconds>_<entropy>``."""
    return f"batch_{now}_{rng.getrandbits(_ENTROPY_BITS):016x}"


def is_batch_id(text: str | None) -> TypeGuard[str]:
    """Whether a job with this batch id is a member of a batch; else it only carries a label."""
    return text is not None and _ID.fullmatch(text) is not None


def callback_id(namespace: str, batch: str, generation: int, on: On) -> str:
    """The id of the job that a callback is in one generation (a UUID, version 8)."""
    digest = hashlib.sha256(f"{namespace}\n{batch}\n{generation}\n{on}".encode()).hexdigest()
    return f"{digest[:8]}-{digest[8:12]}-8{digest[13:16]}-a{digest[17:20]}-{digest[20:32]}"


def in_line(placement: Placement) -> Placement:
    """Where a new member of a sequential batch begins: it waits for its turn."""
    return replace(placement, state=State.BLOCKED, due_at=None)


def back_in_line(transition: Transition, batch: BatchState) -> Transition:
    """A retry of a member of a sequential batch: it waits for its turn, parked on the batch's lane."""
    placement = replace(transition.placement, due_at=None, parked_on=batch.lane)
    return replace(transition, placement=placement)


def waits_for_turn(job: Job, batch: BatchState) -> bool:
    """Whether a member of a sequential batch waits for the ones before it."""
    return job.state is State.BLOCKED or job.placement.parked_on == batch.lane


def given_turn(job: Job, now: int) -> Transition:
    """The member that waited for its turn may start now, or when it was scheduled for."""
    if job.state is State.BLOCKED:
        return place.unblocked(job, now)
    due = max(now, job.placement.rank)
    return Transition(job=job, placement=replace(job.placement, due_at=due, rank=due, parked_on=None))


def turn_is_over(job: Job | None) -> bool:
    """Whether the member that had the turn has ended, or is gone."""
    return job is None or job.state not in LIVE


def _is_due(on: On, counts: Counts) -> bool:
    match on:
        case On.COMPLETE:
            return True
        case On.SUCCESS:
            return counts.completed == counts.total
        case On.FAILURE:
            return counts.completed != counts.total


def _callback_job(batch: BatchState, callback: Callback, namespace: str, now: int) -> tuple[Facts, Placement]:
    due = max(now + callback.delay_ms, callback.due_at)
    facts = Facts(
        id=callback_id(namespace, batch.id, batch.generation, callback.on),
        namespace=namespace,
        type=callback.type,
        version=callback.version,
        queue=callback.queue,
        payload=callback.payload,
        created_at=now,
        max_attempts=callback.max_attempts,
        max_crashes=callback.max_crashes,
        timeout_ms=callback.timeout_ms,
        backoff=callback.backoff,
        lane=callback.lane,
        tags=(*callback.tags, CALLBACK_TAG + batch.id),
    )
    placement = Placement(
        state=State.PENDING, priority=callback.priority, rank=due, due_at=due, timeout_ms=callback.timeout_ms
    )
    return facts, placement
