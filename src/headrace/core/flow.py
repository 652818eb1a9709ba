"""Flows: jobs that wait for others. Their rules, without any I/O.

A child is blocked until all its parents have ended. Then it runs if all of them completed; if any did not,
it does what it was told to do in that case. Edges are given when a child is inserted and never change, and
a parent is always there before its child, so no job can wait for itself.

That somebody waits for a job is told by its revision (``core.job.WAITED_ON``): inserting a child raises
that of its parents, so whoever was about to end one of them under the old revision decides again, and then
knows that there are children to be looked at. Nothing is counted; whether a child may run follows from
what its parents are.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from headrace.core.job import Job, Placement
from headrace.core.outcomes import ParentFailed, Unblocked
from headrace.core.states import State
from headrace.errors import InvalidInput

MAX_PARENTS: Final = 10_000
"""So many jobs one child may wait for."""

MAX_EDGES: Final = 50_000
"""So many waits may be inserted in one call."""

MAX_SHOWN: Final = 1_000
"""So many jobs of a flow are shown."""

MAX_RESULTS_BYTES: Final = 16 * 1024 * 1024
"""The results of all parents of a job together, as its handler may ask for them."""


class OnParentFailure(StrEnum):
    """What a child does when all its parents have ended and not all of them completed.

    A parent that was cancelled counts as failed. ``WAIT``: it waits on while a failed parent is a dead
    letter that nobody has dealt with. If that one is retried and completes, the child runs; dealt with in
    any other way it stays failed, and the child is cancelled.
    """

    CANCEL = "cancel"
    RUN = "run"
    WAIT = "wait"


@dataclass(frozen=True, slots=True, kw_only=True)
class Edge:
    """That a child waits for a parent, which is its parent number ``number``, from 0. Both by their ids."""

    child: str
    parent: str
    number: int
    on_parent_failure: OnParentFailure = OnParentFailure.CANCEL


@dataclass(frozen=True, slots=True, kw_only=True)
class FailedParent:
    """A parent that has ended and not completed. ``kept``: it stays until somebody deals with it."""

    id: str
    type: str
    state: State
    kept: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadyChild:
    """A blocked job whose parents have all ended.

    ``failed`` are those that did not complete; of many that are alike, one stands for all.
    """

    job: Job
    on_parent_failure: OnParentFailure
    failed: tuple[FailedParent, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Parent:
    """A parent as its child may know it. One that has been erased since has only its number.

    ``result`` and ``error`` are the JSON texts that are stored.
    """

    number: int
    id: str | None = None
    type: str | None = None
    state: State | None = None
    result: str | None = None
    error: str | None = None


def on_parent_failure_named(text: str) -> OnParentFailure:
    """What a word such as ``run`` stands for. Raises InvalidInput."""
    try:
        return OnParentFailure(text)
    except ValueError as error:
        names = ", ".join(OnParentFailure)
        msg = f"unknown on_parent_failure {text[:40]!r}; use one of {names}"
        raise InvalidInput(msg, field="onParentFailure") from error


def verdict(child: ReadyChild) -> Unblocked | ParentFailed | None:
    """What happens to a child whose parents have all ended; None while it waits on (C38a)."""
    if not child.failed:
        return Unblocked()
    match child.on_parent_failure:
        case OnParentFailure.RUN:
            return Unblocked()
        case OnParentFailure.CANCEL:
            return _failed(child.failed[0])
        case OnParentFailure.WAIT:
            final = next((one for one in child.failed if not _may_be_mended(one)), None)
            return None if final is None else _failed(final)


def waiting(placement: Placement) -> Placement:
    """Where a child begins: blocked, with the instant it was scheduled for as its rank."""
    return replace(placement, state=State.BLOCKED, due_at=None)


def standing(
    edges: Sequence[Edge], stand_ins: Mapping[str, str], inserted: Collection[str]
) -> Sequence[Edge]:
    """The edges as they are to be written, where some of the jobs of an insertion were not made.

    ``stand_ins`` names for each of its jobs the one that now stands for it: another one where a unique key
    or an idempotency key was known. Only jobs that were ``inserted`` wait.
    """
    return [
        replace(edge, parent=stand_ins.get(edge.parent, edge.parent))
        for edge in edges
        if edge.child in inserted
    ]


def _failed(parent: FailedParent) -> ParentFailed:
    return ParentFailed(parent_id=parent.id, parent_type=parent.type, state=parent.state)


def _may_be_mended(parent: FailedParent) -> bool:
    return parent.state is State.FAILED and parent.kept
