"""Records: keyed JSON texts by kind; and the receipts, which go with time like them."""

import json
from collections.abc import Mapping, Sequence
from typing import Final

from headrace.core.filters import Page, dump_cursor, load_cursor
from headrace.stores.redis.database import Database
from headrace.stores.texts import possible
from headrace.stores.values import Record

TRIM_AT_ONCE: Final = 500


class KeepsRecords:
    """Keeps ``headrace.stores.protocol.Records``."""

    _database: Database

    async def append(self, namespace: str, kind: str, records: Sequence[Record]) -> None:
        given = [(one.key, one.at, one.until, _text_of(one)) for one in records]
        if given:
            await self._database.write(self._database.keys(namespace), [("records", kind, given)])

    async def records(self, namespace: str, kind: str, keys: Sequence[str]) -> Mapping[str, Record]:
        wanted = possible(keys)
        if not wanted or not possible([kind]):
            return {}
        texts = await self._database.call("HMGET", self._database.keys(namespace).records(kind), *wanted)
        return {key: _record(key, text) for key, text in zip(wanted, texts, strict=True) if text is not None}

    async def list_records(
        self, namespace: str, kind: str, page: Page
    ) -> tuple[Sequence[Record], str | None]:
        at, key = ("", "") if page.before is None else load_cursor(page.before, (int, str))
        said = await self._database.look(
            self._database.keys(namespace), "newest_records", kind, at, key, page.limit + 1
        )
        found = [_record(key, text) for key, text in zip(said[::2], said[1::2], strict=True)]
        if len(found) <= page.limit:
            return found, None
        last = found[page.limit - 1]
        return found[: page.limit], dump_cursor(last.at, last.key)

    async def remove_records(self, namespace: str, kind: str, keys: Sequence[str]) -> int:
        wanted = possible(keys)
        if not wanted:
            return 0
        (count,) = await self._database.write(self._database.keys(namespace), [("unrecord", kind, wanted)])
        return count

    async def trim(self, *, now: int, limit: int) -> int:
        places = [self._database.keys(namespace) for namespace in await self._database.namespaces()]
        indexes = [(keys, index) for keys in places for index in (keys.records_until, keys.receipts)]
        counts = await self._database.pipe([("ZCOUNT", index, "-inf", now) for _, index in indexes])
        full = {keys.namespace: keys for (keys, _), count in zip(indexes, counts, strict=True) if count}
        left = limit
        for keys in full.values():
            while left:
                most = min(left, TRIM_AT_ONCE)
                (count,) = await self._database.write(keys, [("trim", now, most)])
                left -= count
                if count < most:
                    break
        return limit - left


def _text_of(record: Record) -> str:
    return json.dumps([record.at, record.until, record.body], ensure_ascii=False, separators=(",", ":"))


def _record(key: str, text: str) -> Record:
    at, until, body = json.loads(text)
    return Record(key=key, at=at, body=body, until=until)
