"""Records: keyed JSON texts by kind; and the receipts, which go with time like them."""

from collections.abc import Mapping, Sequence
from typing import Final

import apsw

from headrace.core.filters import Page, dump_cursor, load_cursor
from headrace.stores.sqlite.statements import queries, rows, texts, write, write_rows
from headrace.stores.sqlite.transaction import Write
from headrace.stores.values import Record

_SQL = queries("plumbing")
_NEWEST: Final = 2**63 - 1


def append(at: Write, namespace: str, kind: str, records: Sequence[Record]) -> None:
    """Writes the records; one with the same key is replaced."""
    given = [(namespace, kind, one.key, one.at, one.body, one.until) for one in records]
    write_rows(at.db, _SQL["write_record"], given)


def read_records(db: apsw.Connection, namespace: str, kind: str, keys: Sequence[str]) -> Mapping[str, Record]:
    """The records that exist, by key."""
    if not keys:
        return {}
    given = {"namespace": namespace, "kind": kind, "keys": texts(keys)}
    found = rows(db, _SQL["records"], given)
    return {key: Record(key=key, at=at, body=body, until=until) for key, at, body, until in found}


def newest(db: apsw.Connection, namespace: str, kind: str, page: Page) -> tuple[Sequence[Record], str | None]:
    """A page of records, newest first, and the next cursor."""
    at, key = (_NEWEST, "") if page.before is None else load_cursor(page.before, (int, str))
    given = {"namespace": namespace, "kind": kind, "at": at, "key": key, "limit": page.limit + 1}
    found = [
        Record(key=k, at=a, body=body, until=until)
        for k, a, body, until in rows(db, _SQL["newest_records"], given)
    ]
    if len(found) <= page.limit:
        return found, None
    last = found[page.limit - 1]
    return found[: page.limit], dump_cursor(last.at, last.key)


def remove(at: Write, namespace: str, kind: str, keys: Sequence[str]) -> int:
    """Removes the records named; returns how many there were."""
    if not keys:
        return 0
    return write(at.db, _SQL["remove_records"], {"namespace": namespace, "kind": kind, "keys": texts(keys)})


def trim(at: Write, now: int, limit: int) -> int:
    """Deletes records and receipts whose time has passed; returns how many."""
    records = write(at.db, _SQL["trim_records"], {"now": now, "limit": limit})
    return records + write(at.db, _SQL["trim_receipts"], {"now": now, "limit": limit - records})
