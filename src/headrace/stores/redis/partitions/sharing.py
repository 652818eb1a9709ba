"""Limits that partitions share: what each has of the slots, who has the rate, and what goes where next.

All of a limit is at the home until it is lent, so there is never more of it than was defined, however many
partitions there are. Slots that nobody needs go to where jobs wait. Where jobs wait in more partitions than
there is enough for, each has its turn.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from headrace.core.limit_names import LIMIT_LANE, OF_QUEUE, OF_TYPE, lane_of_limit, limit_of_lane
from headrace.core.limits import Limit, Limits
from headrace.stores.redis.partitions.places import key_of_lane

TURN_MS: Final = 500
"""So long a partition may use what others wait for, too."""

_MICROS: Final = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """What one partition has of a lane, and what goes on there.

    ``slots`` are for its jobs, None where the limit has none; they are below 0 at a home that has lent more
    than there are by now. ``leaving`` are to go when they are free, ``recalled`` is when that was said last.
    ``rate`` is 1 where the rate is, None if it is not in one place. ``since`` and ``tat_then``: when, and at
    which ``tat``, anything came last.
    """

    number: int
    version: str | None = None
    tat: int | None = None
    slots: int | None = None
    rate: int | None = None
    leaving: int = 0
    recalled: int = 0
    since: int = 0
    tat_then: int | None = None
    holders: int = 0
    waiting: int = 0

    @property
    def idle(self) -> int:
        """Slots that no job holds."""
        return 0 if self.slots is None else max(0, self.slots + self.leaving - self.holders)

    @property
    def is_full(self) -> bool:
        """Whether no job could start for want of slots."""
        return self.slots is not None and self.slots <= self.holders

    @property
    def lack(self) -> int:
        """How many more jobs could start if there were slots for them."""
        return 0 if self.slots is None else max(0, self.waiting - max(0, self.slots - self.holders))

    @property
    def spare(self) -> int:
        """Slots that help nobody there: fewer jobs wait, or the rate is elsewhere."""
        return self.idle if self.rate == 0 else max(0, self.idle - self.waiting)


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """Slots, and the rate if it is 1, go from one partition to another."""

    source: Share
    target: Share
    slots: int = 0
    rate: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Recall:
    """So many slots of a partition are to leave it; as many fewer if it is negative."""

    source: Share
    slots: int


Step = Move | Recall


def all_lanes(limits: Limits) -> list[str]:
    """The lanes that partitions share."""
    return [lane_of_limit(name) for name, one in limits.defined.items() if one.limits and "@" not in name]


def lanes_of(limits: Limits, queues: Collection[str], types: Collection[str]) -> list[str]:
    """Those on which jobs of these queues and types may wait."""
    return [lane for lane in all_lanes(limits) if _concerns(limit_of_lane(lane), queues, types)]


def _concerns(name: str, queues: Collection[str], types: Collection[str]) -> bool:
    if name.startswith(OF_QUEUE):
        return name.removeprefix(OF_QUEUE) in queues
    return not name.startswith(OF_TYPE) or name.removeprefix(OF_TYPE) in types


def is_shared(lane: str) -> bool:
    """Whether a lane is of a limit that no key belongs to."""
    return lane.startswith(LIMIT_LANE) and key_of_lane(lane) is None


def next_step(shares: Sequence[Share], limit: Limit | None, *, now: int) -> Step | None:
    """What is to be done next with a limit, of which these are all shares; the first is the home's."""
    if len(shares) == 1:
        return None
    return (
        repaid(shares)
        or next(_left(shares), None)
        or next(_slots(shares, now), None)
        or next(_rate(shares, limit, now), None)
    )


def repaid(shares: Sequence[Share]) -> Step | None:
    """What has been lent goes back where it is more than there is by now, or what runs at home without."""
    _, *others = shares
    debt, home = _debt(shares), shares[0]
    if debt <= 0 or not others:
        return None
    source = max(others, key=_idle)
    if source.idle:
        return Move(source=source, target=home, slots=min(source.idle, debt))
    source = max(others, key=_number)
    recalled = min(debt - sum(one.leaving for one in others), _number(source))
    return Recall(source=source, slots=recalled) if recalled > 0 else None


def _debt(shares: Sequence[Share]) -> int:
    """How many more the home has lent, or runs, than there are by now."""
    home = shares[0]
    return 0 if home.slots is None else home.holders - home.slots - home.leaving


def _left(shares: Sequence[Share]) -> Iterator[Step]:
    """Slots that are to leave, and are free now, go to who needs them most.

    They stay where jobs wait, if by now nobody would ask for them: a long job may hold them for hours, and a
    partition from which some are to leave gets no others.
    """
    for one in shares:
        if not one.leaving:
            continue
        targets = [wanting for wanting in _wanting(shares) if wanting is not one]
        if one.idle and targets:
            yield _move(one, targets[0], 1)
        elif one.waiting and _debt(shares) <= 0 and not any(_is_due(one, target) for target in targets):
            yield Recall(source=one, slots=-one.leaving)


def _slots(shares: Sequence[Share], now: int) -> Iterator[Step]:
    """Slots that nobody uses go to where jobs wait; in turn those that are used."""
    whole = sum(max(0, one.slots or 0) + one.leaving for one in shares)
    for target in _wanting(shares):
        source = max((one for one in shares if one is not target), key=_spare)
        if source.spare:
            yield _move(source, target, min(source.spare, target.lack, max(1, whole // len(shares))))
        elif target.is_full and not any(_is_leaving_soon(one, now) for one in shares):
            yield from _in_turn(shares, target, now)


def _in_turn(shares: Sequence[Share], target: Share, now: int) -> Iterator[Step]:
    """From the partition with most slots that has had its turn to one with none, or with far fewer.

    One from which some are to leave already has only long jobs: the first that ends is enough.
    """
    for source in sorted(shares, key=lambda one: (-(one.slots or 0), one.since)):
        more = 0 if source is target or source.leaving else _more(source.slots or 0, target)
        if more > 0 and now - source.since >= TURN_MS:
            slots = max(1, more // 2)
            idle = min(slots, source.idle)
            yield _move(source, target, idle) if idle else Recall(source=source, slots=slots)


def _more(slots: int, target: Share) -> int:
    """How many more so many slots are than another partition has; 0 where it asks for none in turn."""
    has = max(0, target.slots or 0)
    more = slots - has
    return more if more >= (1 if has == 0 else 2) else 0


def _is_due(one: Share, target: Share) -> bool:
    """Whether another partition may ask, in turn, for what is to leave one."""
    return _more((one.slots or 0) + one.leaving, target) > 0


def _is_leaving_soon(one: Share, now: int) -> bool:
    """Whether slots were recalled so lately that others need not be. A job may hold them for hours."""
    return one.leaving > 0 and 0 <= now - one.recalled < TURN_MS


def _rate(shares: Sequence[Share], limit: Limit | None, now: int) -> Iterator[Step]:
    """The rate goes to where jobs wait for it: at once if it helps nobody where it is, else in turn."""
    wanting = [one for one in shares if one.waiting and one.rate == 0 and not one.is_full]
    for source in shares:
        if source.rate == 1 and (not source.waiting or source.is_full or _had_turn(source, limit, now)):
            for target in sorted(wanting, key=_longest):
                yield Move(source=source, target=target, rate=1)


def _had_turn(share: Share, limit: Limit | None, now: int) -> bool:
    """Whether a job has started by the rate since it came, or could have for long enough."""
    opened = share.since
    rate = None if limit is None else limit.rate
    if rate is not None and share.tat is not None and share.tat == share.tat_then:
        opened = max(opened, (share.tat - rate.tolerance) // _MICROS)
    return now - opened >= TURN_MS


def _move(source: Share, target: Share, slots: int) -> Move:
    """The rate goes along with the last slot."""
    last = source.rate == 1 and source.slots is not None and source.slots + source.leaving <= slots
    return Move(source=source, target=target, slots=slots, rate=1 if last else 0)


def _wanting(shares: Sequence[Share]) -> list[Share]:
    """Where slots are lacking and none are to leave, who has least first."""
    return sorted((one for one in shares if one.lack and not one.leaving), key=_longest)


def _longest(share: Share) -> tuple[int, int, int]:
    return max(0, share.slots or 0), share.since, share.number


def _idle(share: Share) -> int:
    return share.idle


def _spare(share: Share) -> int:
    return share.spare


def _number(share: Share) -> int:
    return share.slots or 0
