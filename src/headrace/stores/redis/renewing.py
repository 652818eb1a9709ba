"""Renewals, on a connection of their own: they wait for no free connection."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from itertools import chain
from typing import Final

from headrace.stores.redis.connecting import Line
from headrace.stores.redis.database import Database
from headrace.stores.redis.faults import translated
from headrace.stores.redis.holders import by_namespace
from headrace.stores.redis.reading import pages
from headrace.stores.redis.session import evaluated
from headrace.stores.values import Holder, Renewal

ANSWER_WITHIN: Final = 5.0
AT_ONCE: Final = 100


@asynccontextmanager
async def open_renewer(database: Database) -> "AsyncGenerator[ConnectedRenewer]":
    """A renewer for the running event loop."""
    database.line()  # refuses a closed store, and one that was carried over a fork
    line = Line(database.location, most=1, timeout=min(database.location.timeout, ANSWER_WITHIN))
    try:
        yield ConnectedRenewer(database, line)
    finally:
        await line.close()


class ConnectedRenewer:
    """Keeps ``headrace.stores.protocol.Renewer``."""

    def __init__(self, database: Database, line: Line) -> None:
        self._database = database
        self._line = line

    async def renew(self, holders: Sequence[Holder], *, now: int, lease_until: int) -> Renewal:
        """Moves the leases of those who still hold their jobs."""
        del now
        answers: dict[int, int] = {}
        for namespace, indexes in (await by_namespace(self._database, holders)).items():
            for index, answer in zip(
                indexes, await self._renewed(namespace, holders, indexes, lease_until), strict=True
            ):
                answers[index] = max(answer, answers.get(index, 0))
        told = [(one.job_id, answers.get(index, 0)) for index, one in enumerate(holders)]
        kept = {job_id for job_id, answer in told if answer}
        return Renewal(
            lost=frozenset(job_id for job_id, _ in told if job_id not in kept),
            cancel_asked=frozenset(job_id for job_id, answer in told if answer == 2),  # noqa: PLR2004 - as the script says
        )

    async def _renewed(
        self, namespace: str, holders: Sequence[Holder], indexes: Sequence[int], lease_until: int
    ) -> list[int]:
        keys = self._database.keys(namespace)
        given = [
            (
                lease_until,
                *chain.from_iterable((holders[index].job_id, holders[index].fence) for index in part),
            )
            for part in pages(indexes, AT_ONCE)
        ]
        try:
            async with self._line.connection(keys.root) as connection:
                replies = await evaluated(connection, keys, "renew", given)
        except Exception as error:  # boundary: the driver's errors become ours
            # A renewal that was done without our knowing may be done again, so nobody need wonder.
            raise translated(error, self._database.location.name, sent=False) from error
        return [answer for reply in replies for answer in reply]
