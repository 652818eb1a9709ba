"""Whoever holds a job names no namespace: where it is looked for."""

from collections.abc import Sequence

from headrace.core.ids import is_id
from headrace.stores.redis.database import Database
from headrace.stores.values import Holder


async def by_namespace(database: Database, holders: Sequence[Holder]) -> dict[str, list[int]]:
    """Indexes of holders by the namespaces to look in: where this process claimed the job, else in all."""
    found: dict[str, list[int]] = {}
    strangers: list[int] = []
    for index, holder in enumerate(holders):
        namespace = database.whereabouts.of(holder.job_id)
        if namespace is not None:
            found.setdefault(namespace, []).append(index)
        elif is_id(holder.job_id):
            strangers.append(index)
    if strangers:
        for namespace in await database.namespaces():
            found.setdefault(namespace, []).extend(strangers)
    return found
