"""Brings the copy of a job that has changed at its source since up to date, by ordinary ops."""

from collections.abc import Sequence
from dataclasses import fields
from typing import Final

from headrace.core.history import current_attempt
from headrace.core.job import Placement, Transition
from headrace.core.states import State
from headrace.core.unique import OnConflict
from headrace.errors import Refused
from headrace.moving.sides import Side
from headrace.stores.adopting import Carried
from headrace.stores.protocol import Applied, NewJob

_REPLACEABLE: Final = frozenset({"payload", "version", "tags"})
_PLACED: Final = frozenset(one.name for one in fields(Placement))


async def mend(target: Side, origin: Carried, copy: Carried, names: Sequence[str]) -> bool:
    """Writes what differs; True if all of it could be written.

    While nothing is claimed, a job changes only by its users: they cancel, retry, deal with a dead letter,
    send signals, and replace what waits under a unique key.
    """
    left = set(names)
    if left & _REPLACEABLE and await _replace(target, origin):
        return True  # its revision is another now: what else differs is seen by the next pass
    if "signals" in left and await _send(target, origin, copy):
        left.discard("signals")
    if left & {*_PLACED, "trail"} and await _place(target, origin, copy):
        left -= {*_PLACED, "trail"}
    return not left


async def _replace(target: Side, origin: Carried) -> bool:
    job = origin.job
    if job.state is not State.PENDING or job.placement.unique_lock is None:
        return False
    new = NewJob(facts=job.facts, placement=job.placement, on_conflict=OnConflict.REPLACE)
    try:
        (answer,) = await target.store.insert(target.namespace, (new,), now=target.clock.now())
    except Refused:
        return False
    return answer.job_id == job.id


async def _send(target: Side, origin: Carried, copy: Carried) -> bool:
    there = {signal.id for signal in copy.belongings.signals}
    for signal in origin.belongings.signals:
        if signal.id not in there:
            await target.store.signal(target.namespace, origin.job.id, signal)
    return there <= {signal.id for signal in origin.belongings.signals}


async def _place(target: Side, origin: Carried, copy: Carried) -> bool:
    differs = origin.belongings.trail != copy.belongings.trail
    attempt = current_attempt(copy.job) if differs else None
    if differs and attempt is None:
        return False
    transition = Transition(job=copy.job, placement=origin.job.placement, attempt=attempt)
    (answer,) = await target.store.apply((transition,), now=target.clock.now())
    return isinstance(answer, Applied)
