"""Brings what partitions share of limits to where jobs wait: see ``sharing``.

What goes from one partition to another is taken from the one in the commit that owes it to the other. So it
is never in two places, and whatever happens to who moves it, it arrives.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, Final
from uuid import uuid4

from headrace.core.limit_names import limit_of_lane
from headrace.core.limits import Limit
from headrace.errors import StoreError, StoreUnavailable
from headrace.stores.redis.database import Again
from headrace.stores.redis.partitions.intents import Duty, Intent, Intents
from headrace.stores.redis.partitions.parts import Parts, gathered
from headrace.stores.redis.partitions.places import HOME
from headrace.stores.redis.partitions.sharing import Move, Recall, Share, Step, next_step, repaid
from headrace.stores.redis.session import Write

_LANES_AT_ONCE: Final = 200
_STEPS: Final = 4
"""So many steps for each partition one call does; the next one goes on."""

Decide = Callable[[Sequence[Share], Limit | None], Step | None]

Came = dict[int, set[str]]
"""To which partitions something came, of which lanes."""

Looked = tuple[bool, list[Share | None], list[tuple[int, int]]]
"""Whether a partition owes anything; its shares of some lanes; and the numbers that it keeps of these."""


class Circulation:
    """Moves shares for one process."""

    def __init__(self, parts: Parts, intents: Intents) -> None:
        self._parts = parts
        self._intents = intents

    async def bring(self, namespace: str, lanes: Sequence[str], now: int) -> set[int]:
        """As ``circulate``, and brings back who may start by it; the partitions to which something came.

        What cannot be done just now is left to the sweep.
        """
        came: Came = {}
        with suppress(StoreError):
            await self._circulated(namespace, lanes, now, came)
            for number, some in came.items():
                await self._parts.store(number).open_lanes_ahead(namespace, sorted(some), now=now)
        return set(came)

    async def circulate(self, namespace: str, lanes: Sequence[str], now: int) -> None:
        """Does what is to be done with limits. What others change meanwhile is left to them."""
        await self._circulated(namespace, lanes, now, {})

    async def _circulated(self, namespace: str, lanes: Sequence[str], now: int, came: Came) -> None:
        for some in await self._pages(namespace, lanes):
            await self._run(namespace, some, partial(next_step, now=now), now, came)

    async def repay(self, namespace: str, lanes: Sequence[str]) -> None:
        """Takes back what is lent beyond what there is, of limits that were just lowered.

        Raises StoreUnavailable where others change it faster than that.
        """
        pages = await self._pages(namespace, lanes)
        now = await self._parts.home.now() if pages else 0
        for some in pages:
            if left := await self._run(namespace, some, _repaid, now, {}):
                raise StoreUnavailable(f"what is lent of {', '.join(left)} changes too fast; try again")

    async def reconcile(self, namespace: str, lanes: Sequence[str]) -> None:
        """Has partitions own what the home says that it has lent to them.

        They differ only where a server has lost what it had acknowledged, and while anything is on its way:
        then one partition still owes it, be it to the home or to a third one, and nothing is changed.
        """
        for some in await self._pages(namespace, lanes):
            numbers = range(1, await self._parts.counts.widest(namespace))
            looks = await gathered(self._look(namespace, number, some) for number in numbers)
            lent = await self._lent(namespace)  # after these looks: what is lent since changes a version
            wrong = [
                one
                for number, look in zip(numbers, looks, strict=True)
                for one in _wrong(number, some, look, lent)
            ]
            # last of all: what has arrived since then has changed a version, and all else is still owed
            if wrong and not await self._intents.are_owed(namespace):
                for one in wrong:
                    await self._right(namespace, one)

    async def _pages(self, namespace: str, lanes: Sequence[str]) -> Sequence[Sequence[str]]:
        """The lanes in parts; none where there is only one partition."""
        one = await self._parts.counts.widest(namespace) == 1
        return () if one else [lanes[n : n + _LANES_AT_ONCE] for n in range(0, len(lanes), _LANES_AT_ONCE)]

    async def _run(
        self, namespace: str, lanes: Sequence[str], decide: Decide, now: int, came: Came
    ) -> Sequence[str]:
        """Does what is to be done with lanes; those with which something still was at the end."""
        count = await self._parts.counts.widest(namespace)
        for _ in range(_STEPS * count):
            steps = await self._steps(namespace, lanes, count, decide, came)
            for lane, step in steps:
                if (target := await self._done(namespace, lane, step, now)) is not None:
                    came.setdefault(target, set()).add(lane)
            lanes = [lane for lane, _ in steps]
            if not lanes:
                break
        return lanes

    async def _steps(
        self, namespace: str, lanes: Sequence[str], count: int, decide: Decide, came: Came
    ) -> list[tuple[str, Step]]:
        """What is to be done with each lane; of one at rest, where jobs wait beside free slots."""
        looks = await gathered(self._look(namespace, number, lanes) for number in range(count))
        defined = self._parts.known_limits(namespace).defined
        found: list[tuple[str, Step]] = []
        for lane, *some in zip(lanes, *(shares for _, shares, _ in looks), strict=True):
            shares = [share for share in some if share is not None]
            limit = defined.get(limit_of_lane(lane))
            step = decide(shares, limit) if len(shares) == count else None
            if step is not None:
                found.append((lane, step))
            elif limit is not None and limit.rate is None:
                for share in shares:
                    if share.waiting and not share.is_full:
                        came.setdefault(share.number, set()).add(lane)
        return found

    async def _done(self, namespace: str, lane: str, step: Step, now: int) -> int | None:
        """Does a step, unless anything has changed; where something came."""
        database = self._parts.database(step.source.number)
        with suppress(Again):
            match step:
                case Recall():
                    recall: Write = ("recall", lane, step.slots, step.source.leaving, now)
                    await database.write(database.keys(namespace), [recall])
                case Move():
                    unchanged: Write = ("lanes_are", [(lane, step.source.version)])
                    intent = _intent_of(lane, step, now)
                    leaves: Write = ("may_leave", lane, step.slots, step.rate, _tat(step))
                    writes = [unchanged, leaves, *_taken(lane, step, now), intent.write]
                    await database.write(database.keys(namespace), writes)
                    await self._intents.fulfil(namespace, step.source.number, intent)
                    return step.target.number
        return None

    async def _look(self, namespace: str, number: int, lanes: Sequence[str]) -> Looked:
        owes, rows = await self._parts.reader(number, namespace).look("look_at_shares", list(lanes))
        shares = [None if row is None else _share(number, row) for row in rows]
        return bool(owes), shares, [(0, 0) if row is None else (int(row[9]), int(row[10])) for row in rows]

    async def _lent(self, namespace: str) -> dict[str, int]:
        """What the home has lent, by field."""
        home = self._parts.home_database
        said = await home.call("HGETALL", home.keys(namespace).shares)
        pairs = zip(said[::2], said[1::2], strict=True)
        return {field: int(number) for field, number in pairs if field.startswith(("s ", "r "))}

    async def _right(self, namespace: str, wrong: "_Wrong") -> None:
        database = self._parts.database(wrong.share.number)
        unchanged: Write = ("lanes_are", [(wrong.lane, wrong.share.version)])
        own: Write = ("own", wrong.lane, wrong.slots, wrong.rate, "", 0)
        with suppress(Again):
            await database.write(database.keys(namespace), [unchanged, ("owes_nothing",), own])


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wrong:
    """What a partition has too little of a lane."""

    lane: str
    share: Share
    slots: int
    rate: int


def _wrong(number: int, lanes: Sequence[str], look: Looked, lent: Mapping[str, int]) -> Iterator[_Wrong]:
    """Where a partition that owed nothing has something else than what was lent to it."""
    owed, shares, kept = look
    for lane, share, (slots, rate) in zip(lanes, shares, kept, strict=True):
        more = lent.get(f"s {lane} {number}", 0) - slots
        rates = lent.get(f"r {lane} {number}", 0) - rate
        if share is not None and not owed and (more or rates):
            yield _Wrong(lane=lane, share=share, slots=more, rate=rates)


def _share(number: int, row: Sequence[Any]) -> Share:
    version, tat, slots, rate, leaving, since, at, holders, waiting, _, _, recalled = row
    return Share(
        number=number,
        version=version,
        tat=int(tat) if tat else None,
        slots=slots,
        rate=rate,
        leaving=leaving,
        recalled=int(recalled or 0),
        since=int(since or 0),
        tat_then=int(at) if at else None,
        holders=holders,
        waiting=waiting,
    )


def _taken(lane: str, move: Move, now: int) -> Iterable[Write]:
    """How a partition gives something away: the home lends it, others own less."""
    if move.source.number == HOME:
        return [_lend(lane, move, now)]
    return [("own", lane, -move.slots, -move.rate, "", now)]


def _intent_of(lane: str, move: Move, now: int) -> Intent:
    """What the others owe then."""
    duties: list[Duty] = []
    if move.source.number != HOME:
        duties.append(Duty(partition=HOME, writes=[_lend(lane, move, now)]))
    if move.target.number != HOME:
        came: Write = ("own", lane, move.slots, move.rate, _tat(move), now)
        duties.append(Duty(partition=move.target.number, writes=[came]))
    return Intent(id=uuid4().hex, now=now, duties=duties)


def _lend(lane: str, move: Move, now: int) -> Write:
    return "lend", lane, move.source.number, move.target.number, move.slots, move.rate, _tat(move), now


def _tat(move: Move) -> str:
    return str(move.source.tat) if move.rate and move.source.tat is not None else ""


def _repaid(shares: Sequence[Share], limit: Limit | None) -> Step | None:
    del limit
    return repaid(shares)
