"""Limits that many partitions share. The lane of a key is whole, in its partition.

Slots go to where jobs wait, and so does a rate that is too small to be divided: see ``sharing``. Of a larger
rate each partition has a part.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from headrace.core.limit_names import LIMIT_LANE, OF_QUEUE, limit_of_lane
from headrace.core.limit_register import limits_of
from headrace.core.limits import Limit, Limits, Rate
from headrace.stores.known_limits import Known, KnownLimits, known_of
from headrace.stores.redis.partitions.places import key_of_lane
from headrace.stores.redis.partitions.sharing import all_lanes


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """Which partition it is, and among how many a namespace, or one of its queues, is spread."""

    number: int
    most: int = 1
    by_queue: Mapping[str, int] = field(default_factory=dict[str, int])

    def among(self, name: str) -> int:
        """Among how many partitions a limit of that name is shared."""
        if not name.startswith(OF_QUEUE):
            return self.most
        return self.by_queue.get(name.removeprefix(OF_QUEUE), self.most)


@dataclass(frozen=True, slots=True, kw_only=True)
class DividedLimits(Limits):
    """Definitions as they hold in one partition, whose slots of a shared one are the cap of the lane."""

    share: Share

    def of_lane(self, lane: str) -> Limit | None:
        limit = self.defined.get(limit_of_lane(lane)) if lane.startswith(LIMIT_LANE) else None
        if limit is None or key_of_lane(lane) is not None:
            return limit
        return divided(limit, self.share.number, self.share.among(limit.name))


def shared_lanes(limits: Limits, most: int, by_queue: Mapping[str, int]) -> list[tuple[str, int | str, int]]:
    """The lanes that partitions share: their slots, and 1 for a rate that is too small to be divided."""
    share = Share(number=0, most=most, by_queue=by_queue)
    return [(lane, *_of(limits.defined[limit_of_lane(lane)], share)) for lane in all_lanes(limits)]


def _of(limit: Limit, share: Share) -> tuple[int | str, int]:
    return "-" if limit.slots is None else limit.slots, int(_is_small(limit.rate, share.among(limit.name)))


def divided(limit: Limit, number: int, among: int) -> Limit:
    """A limit with the part of its rate that partition ``number`` has."""
    rate = limit.rate
    if among <= 1 or rate is None or _is_small(rate, among):
        return limit
    count = _part(rate.count, number, among)
    return replace(limit, rate=Rate(count=count, per_ms=rate.per_ms, burst=_part(rate.burst, number, among)))


def _is_small(rate: Rate | None, among: int) -> bool:
    return rate is not None and rate.count < among


def _part(whole: int, number: int, among: int) -> int:
    return whole // among + (number < whole % among)


class KnownDividedLimits(KnownLimits):
    """What one partition knows of the limits of each namespace."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self._number = number
        self._shares: dict[str, Share] = {}

    def share(self, namespace: str, by_queue: Mapping[str, int]) -> None:
        """Says among how many partitions the queues of a namespace are spread."""
        most = max(by_queue.values(), default=1)
        share = Share(number=self._number, most=most, by_queue=dict(by_queue))
        if self._shares.get(namespace) != share:
            self._shares[namespace] = share
            known = self.of(namespace)
            self._known[namespace] = replace(known, limits=_divided(known.limits, share))

    def learn(self, namespace: str, text: str | None, revision: int) -> Known:
        share = self._shares.get(namespace, Share(number=self._number))
        known = self._known[namespace] = known_of(_divided(limits_of(text, revision), share))
        return known


def _divided(limits: Limits, share: Share) -> Limits:
    return DividedLimits(defined=limits.defined, revision=limits.revision, share=share)
