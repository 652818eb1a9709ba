"""Reading a log of events in tests. Where a store makes events final later, reading waits for that."""

import asyncio
from collections.abc import Sequence

from headrace.core.events import OLDEST, Change, Event, EventFilter, EventKind, events_of
from headrace.stores.eventing import ChangePage, EventKeep
from headrace.stores.protocol import Store
from tests.builders import HOUR, NAMESPACE, a_job, enqueue

PATIENCE = 60
KEEP = EventKeep(keep_ms=HOUR, keep_count=10_000)
ALL = EventFilter()


async def read_page(
    store: Store, after: str = OLDEST, wanted: EventFilter = ALL, *, namespace: str = NAMESPACE
) -> ChangePage:
    """The next changes, or that there are none now."""
    return await store.changes(namespace, after, wanted)


async def changes(
    store: Store, after: str = OLDEST, wanted: EventFilter = ALL, *, namespace: str = NAMESPACE
) -> list[Change]:
    """All changes up to now: a job that is enqueued now is their end."""
    marker = a_job(type="marker", queue="marker", namespace=namespace)
    await enqueue(store, marker)
    found: list[Change] = []
    cursor = after
    async with asyncio.timeout(PATIENCE):
        while True:
            page = await read_page(store, cursor, ALL, namespace=namespace)
            if any(one.change.job_id == marker.facts.id for one in page.changes):
                break
            if page.at_end:
                await asyncio.sleep(0.005)
            cursor = page.cursor
    cursor = after
    while not (page := await read_page(store, cursor, wanted, namespace=namespace)).at_end:
        found += [one.change for one in page.changes if one.change.type != "marker"]
        cursor = page.cursor
    return found


async def events(
    store: Store, after: str = OLDEST, wanted: EventFilter = ALL, *, namespace: str = NAMESPACE
) -> list[Event]:
    """All events up to now."""
    found = await changes(store, after, wanted, namespace=namespace)
    return [event for change in found for event in events_of(change)]


async def kinds(store: Store, job_id: str) -> list[EventKind]:
    """The kinds of a job's events so far."""
    return [event.kind for event in await events(store, wanted=EventFilter(job_id=job_id))]


def told(found: Sequence[Event], job_id: str) -> list[EventKind]:
    return [event.kind for event in found if event.job_id == job_id]
