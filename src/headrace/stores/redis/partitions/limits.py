"""Limits that many partitions share: each has a part. The lane of a key is whole, in its partition."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from headrace.core.limit_names import LIMIT_LANE, OF_QUEUE, limit_of_lane
from headrace.core.limit_register import limits_of
from headrace.core.limits import MAX_PER_MS, Limit, Limits, Rate
from headrace.stores.known_limits import Known, KnownLimits, known_of
from headrace.stores.redis.partitions.places import key_of_lane

_NONE: Final[Mapping[str, int]] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """Which partition it is, and among how many a namespace, or one of its queues, is spread."""

    number: int
    most: int = 1
    by_queue: Mapping[str, int] = field(default_factory=dict[str, int])

    def among(self, name: str) -> int:
        """Among how many partitions a limit of that name is divided."""
        return (
            self.by_queue.get(name.removeprefix(OF_QUEUE), self.most)
            if name.startswith(OF_QUEUE)
            else self.most
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class DividedLimits(Limits):
    """Definitions of which a partition has its share."""

    share: Share

    def of_lane(self, lane: str) -> Limit | None:
        limit = self.defined.get(limit_of_lane(lane)) if lane.startswith(LIMIT_LANE) else None
        if limit is None or key_of_lane(lane) is not None:
            return limit
        return divided(limit, self.share.number, self.share.among(limit.name))


def divided(limit: Limit, number: int, among: int) -> Limit:
    """The part of a limit that partition ``number`` has, at least one slot and one start of what there is."""
    if among <= 1:
        return limit
    slots = limit.slots and max(1, limit.slots // among + (number < limit.slots % among))
    return replace(limit, slots=slots, rate=None if limit.rate is None else _rate(limit.rate, number, among))


def _rate(rate: Rate, number: int, among: int) -> Rate:
    """A rate too small to be divided is kept over a longer window instead."""
    burst = rate.burst // among + (number < rate.burst % among)
    if rate.count >= among:
        return Rate(count=rate.count // among, per_ms=rate.per_ms, burst=burst)
    return Rate(count=rate.count, per_ms=min(rate.per_ms * among, MAX_PER_MS), burst=burst)


class KnownDividedLimits(KnownLimits):
    """What one partition knows of the limits of each namespace."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self._number = number
        self._shares: dict[str, Share] = {}

    def share(self, namespace: str, most: int, by_queue: Mapping[str, int]) -> None:
        """Says among how many partitions a namespace and its queues are spread."""
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
