"""Renewals of jobs in several partitions, on connections of their own."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager

from headrace.stores.redis.connecting import Line
from headrace.stores.redis.partitions.parts import Parts, gathered
from headrace.stores.redis.renewing import ANSWER_WITHIN, ConnectedRenewer
from headrace.stores.values import Holder, Renewal


@asynccontextmanager
async def open_renewer(parts: Parts) -> "AsyncGenerator[PartsRenewer]":
    """A renewer for the running event loop."""
    location = parts.home_database.location
    parts.home_database.line()  # refuses a closed store, and one that was carried over a fork
    line = Line(location, most=1, timeout=min(location.timeout, ANSWER_WITHIN))
    try:
        yield PartsRenewer(parts, line)
    finally:
        await line.close()


class PartsRenewer:
    """Keeps ``headrace.stores.protocol.Renewer``."""

    def __init__(self, parts: Parts, line: Line) -> None:
        self._parts = parts
        self._line = line

    async def renew(self, holders: Sequence[Holder], *, now: int, lease_until: int) -> Renewal:
        """Those of jobs that this process has met in their partitions, all others in each."""
        by_place: dict[int, list[Holder]] = {}
        every = range(await self._parts.all())
        for holder in holders:
            known = self._parts.known(holder.job_id)
            for number in every if known is None else (known,):
                by_place.setdefault(number, []).append(holder)
        answers = await gathered(
            ConnectedRenewer(self._parts.database(number), self._line).renew(
                some, now=now, lease_until=lease_until
            )
            for number, some in by_place.items()
        )
        kept = {
            holder.job_id
            for some, answer in zip(by_place.values(), answers, strict=True)
            for holder in some
            if holder.job_id not in answer.lost
        }
        return Renewal(
            lost=frozenset(holder.job_id for holder in holders) - kept,
            cancel_asked=frozenset(job_id for answer in answers for job_id in answer.cancel_asked),
        )
