"""Records: keyed JSON texts by kind; and the receipts, which go with time like them."""

from collections.abc import Mapping, Sequence
from typing import Final

from headrace.core.filters import Page, dump_cursor, load_cursor
from headrace.stores.postgres.rows import arrays
from headrace.stores.postgres.session import Session
from headrace.stores.texts import possible
from headrace.stores.values import Record

_NEWEST: Final = 2**63 - 1


async def append(session: Session, namespace: str, kind: str, records: Sequence[Record]) -> None:
    """Writes the records; one with the same key is replaced, also by a later one of the same call."""
    last = {one.key: one for one in records}
    if last:
        columns = arrays([(one.key, one.at, one.body, one.until) for one in last.values()])
        await session.run("write_records", namespace, kind, *columns)


async def read_records(
    session: Session, namespace: str, kind: str, keys: Sequence[str]
) -> Mapping[str, Record]:
    """The records that exist, by key."""
    found = await session.rows("records", namespace, kind, possible(keys))
    return {key: Record(key=key, at=at, body=body, until=until) for key, at, body, until in found}


async def newest(
    session: Session, namespace: str, kind: str, page: Page
) -> tuple[Sequence[Record], str | None]:
    """A page of records, newest first, and the next cursor."""
    at, key = (_NEWEST, "") if page.before is None else load_cursor(page.before, (int, str))
    found = [
        Record(key=k, at=a, body=body, until=until)
        for k, a, body, until in await session.rows(
            "newest_records", namespace, kind, at, key, page.limit + 1
        )
    ]
    if len(found) <= page.limit:
        return found, None
    last = found[page.limit - 1]
    return found[: page.limit], dump_cursor(last.at, last.key)


async def remove(session: Session, namespace: str, kind: str, keys: Sequence[str]) -> int:
    """Removes the records named; returns how many there were."""
    return await session.run("remove_records", namespace, kind, possible(keys))


async def trim(session: Session, now: int, limit: int) -> int:
    """Deletes records and receipts whose time has passed; returns how many."""
    (count,) = await session.row("trim", now, limit) or (0,)
    return count
