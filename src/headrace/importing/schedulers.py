"""Job schedulers of BullMQ, and the schedules they become."""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from headrace.core.backoff import Backoff
from headrace.core.request import EnqueueRequest
from headrace.core.schedule import UTC_ZONE, Cron, Every, Timing, checked_id
from headrace.core.unique import body_digest
from headrace.core.wire import from_iso, to_iso
from headrace.engine.declared import timing_of
from headrace.engine.local import LocalOperations
from headrace.errors import InvalidInput
from headrace.importing.bull import options_of
from headrace.importing.reading import BullReader
from headrace.importing.report import FoundSchedule
from headrace.importing.translating import Translation, attempts_of, backoff_of, payload_of

_FIELDS: Final = ("name", "pattern", "tz", "every", "startDate", "endDate", "limit", "data", "opts")
_MS: Final = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class _Made:
    """A scheduler as a schedule."""

    schedule_id: str
    timing: Timing
    request: EnqueueRequest


class Schedulers:
    """The schedulers of a queue. ``zone`` is that of patterns which name none."""

    def __init__(
        self, reader: BullReader, operations: LocalOperations, translation: Translation, zone: str
    ) -> None:
        self._reader = reader
        self._operations = operations
        self._translation = translation
        self._zone = zone

    async def find(self) -> list[FoundSchedule]:
        """All of them, and how to make each by hand."""
        return [self._told(name, found) for name, found in await self._read()]

    async def make(self) -> list[FoundSchedule]:
        """Makes them. One whose id is taken here is left as it is. Raises StoreError."""
        there = {one.id for one in await self._operations.schedules()}
        told: list[FoundSchedule] = []
        for name, found in await self._read():
            kind = self._translation.type_of(found["name"] or "")
            try:
                made = self._made(name, found)
                if made.schedule_id in there:
                    said = "is here already"
                else:
                    await self._operations.put_schedule(made.schedule_id, made.timing, made.request)
                    said = "made" + _lost(found)
            except InvalidInput as error:
                said = f"cannot be made: {error}"
            told.append(
                FoundSchedule(name=name, schedule_id=self._id(name), type=kind, rule=_rule(found), said=said)
            )
        return told

    async def _read(self) -> list[tuple[str, Mapping[str, str | None]]]:
        all_of_them: list[tuple[str, Mapping[str, str | None]]] = []
        async for page in self._reader.scored("repeat"):
            names = [name for name, _ in page]
            keys = [self._reader.queue.key(f"repeat:{name}") for name in names]
            all_of_them += zip(names, await self._reader.hashes(keys, _FIELDS), strict=True)
        return all_of_them

    def _told(self, name: str, found: Mapping[str, str | None]) -> FoundSchedule:
        kind = self._translation.type_of(found["name"] or "")
        try:
            said = f"by hand: {_command(self._made(name, found))}{_lost(found)}"
        except InvalidInput as error:
            said = f"cannot be made: {error}"
        return FoundSchedule(name=name, schedule_id=self._id(name), type=kind, rule=_rule(found), said=said)

    def _made(self, name: str, found: Mapping[str, str | None]) -> _Made:
        """Raises InvalidInput for what cannot be one."""
        if found["name"] is None:
            raise InvalidInput("it is of a kind that BullMQ kept before version 5; make it by hand")
        options = options_of(found["opts"])
        start, end = _instant(found["startDate"], "startDate"), _instant(found["endDate"], "endDate")
        if found["pattern"] is not None:
            zone = found["tz"] or self._zone
            timing = timing_of(cron=found["pattern"], zone=zone, start=start, end=end)
        else:
            timing = timing_of(every=_seconds(found["every"]), start=start, end=end)
        request = EnqueueRequest(
            type=self._translation.type_of(found["name"]),
            payload=payload_of(found["data"] or "{}"),
            queue=self._translation.queue,
            max_attempts=attempts_of(options, 0),
            backoff=_backoff(options.get("backoff")),
        )
        return _Made(schedule_id=self._id(name), timing=timing, request=request)

    def _id(self, name: str) -> str:
        """The id here: the queue and the name, or a digest of a name that cannot be one."""
        try:
            return checked_id(f"{self._reader.queue.name}:{name}")
        except InvalidInput:
            return f"bullmq:{body_digest(self._reader.queue.name, name)[:24]}"


def _backoff(given: object) -> Backoff | None:
    return backoff_of(given)  # pyright: ignore[reportArgumentType] - a JSON value, as options are


def _rule(found: Mapping[str, str | None]) -> str:
    if found["pattern"] is not None:
        return f"cron {found['pattern']}" + (f" {found['tz']}" if found["tz"] else "")
    return f"every {found['every']} ms"


def _lost(found: Mapping[str, str | None]) -> str:
    """What a schedule does not keep, and what was assumed."""
    notes: list[str] = []
    if found["limit"] is not None:
        notes.append(f"its limit of {found['limit']} runs is not kept: give it an end")
    if found["pattern"] is not None and found["tz"] is None:
        notes.append("it names no zone: BullMQ takes that of its Node process, see --zone")
    return "".join(f"; {one}" for one in notes)


def _command(made: _Made) -> str:
    words = ["headrace", "schedules", "add", made.schedule_id, made.request.type]
    match made.timing.rule:
        case Cron(expression=expression, zone=zone):
            words += ["--cron", expression]
            words += [] if zone == UTC_ZONE else ["--zone", zone]
        case Every(interval_ms=interval):
            words += ["--every", f"{interval / _MS:g}"]
        case _:
            pass
    for option, instant in (("--start", made.timing.start), ("--end", made.timing.end)):
        if instant is not None:
            words += [option, str(to_iso(instant))]
    return shlex.join(words) + " --payload …"


def _instant(text: str | None, what: str) -> int | None:
    if text is None:
        return None
    try:
        return round(float(text))
    except ValueError:
        return from_iso(text.strip('"'), what=what)


def _seconds(text: str | None) -> float:
    try:
        return float(text or "") / _MS
    except ValueError as error:
        raise InvalidInput("it has neither a pattern nor an interval", field="every") from error
