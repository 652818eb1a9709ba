"""The import: everything is looked at first; then it is taken in, page by page, and read back."""

from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

from headrace.core.states import State
from headrace.engine.local import LocalOperations
from headrace.errors import InvalidInput, Refused, UnknownJobType
from headrace.importing.activity import activity
from headrace.importing.bull import BullJob, Entry, Part
from headrace.importing.reading import BullReader
from headrace.importing.report import Found, Report
from headrace.importing.schedulers import Schedulers
from headrace.importing.translating import Translation
from headrace.stores.protocol import Inserted, InsertKind, NewJob, Store

# its words for jobs that have ended are ours
_NOT_WAITING: Final = ("active", "waiting-children", State.COMPLETED.value, State.FAILED.value)
_WAITING: Final = tuple(part.value for part in Part)
_NAMED: Final = 20


class ImportRefused(Refused):
    """The import cannot begin as things are; the message says what is in the way. Nothing was written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Where jobs go. ``checks`` are the types whose code is here, so that payloads are held against them."""

    store: Store
    operations: LocalOperations
    checks: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """What is asked for.

    ``live``: although workers are at work. ``leave_unfit``: without the jobs that do not fit. ``schedules``:
    schedulers become schedules, in ``zone`` where they name none.
    """

    live: bool = False
    leave_unfit: bool = False
    schedules: bool = False
    zone: str = "UTC"


Say = Callable[[str, int, int], None]


class Importer:
    """One import of one queue."""

    def __init__(
        self, reader: BullReader, target: Target, translation: Translation, wishes: Wishes, say: Say
    ) -> None:
        self._reader = reader
        self._target = target
        self._translation = translation
        self._wishes = wishes
        self._say = say
        self._began = target.operations.now()
        self._expected = 0
        self._schedulers = Schedulers(reader, target.operations, translation, wishes.zone)

    async def plan(self) -> Report:
        """What an import would do. Raises InvalidInput for names that no type is known for; StoreError."""
        report, why = await self._look_around()
        if why is not None:
            report.warnings.append(f"not to be imported now: {why}")
        await self._look(report)
        report.schedules = await self._schedulers.find()
        return report

    async def run(self) -> Report:
        """Imports. Raises ImportRefused and InvalidInput before anything is written; StoreError."""
        report, why = await self._look_around()
        if why is not None and not self._wishes.live:
            raise ImportRefused(
                f"{why}; what they take would run twice. Stop them, or pause the queue, or say --live"
            )
        await self._look(report)
        await self._refuse(report)
        report.planned = False
        report.found = Found()
        async for page in self._pages():
            jobs = await self._fitting(page, report)
            await self._take(jobs, report)
            self._say("taking in", report.found.seen, self._expected)
        make = self._schedulers.make if self._wishes.schedules else self._schedulers.find
        report.schedules = await make()
        await self._look_back(report)
        return report

    async def _look_around(self) -> tuple[Report, str | None]:
        """A report with what is to be said beforehand, and why nothing should be imported now."""
        report = Report(
            source=self._reader.where, queue=self._reader.queue.name, leave_unfit=self._wishes.leave_unfit
        )
        running = await activity(self._reader)
        counts = await self._reader.count(*_WAITING, *_NOT_WAITING)
        self._expected = sum(counts[part] for part in _WAITING)
        report.paused = running.paused
        report.left.update({part: counts[part] for part in _NOT_WAITING if counts[part]})
        if running.workers is None:
            report.warnings.append(
                "this account may not list connections: workers that wait for jobs are not seen"
            )
        if lost := running.active - len(running.locked):
            report.warnings.append(
                f"{lost} jobs in active have lost their workers: a worker of BullMQ puts them back within a"
                " minute, and then they can be imported"
            )
        report.prioritized = await self._are_prioritized()
        return report, running.in_the_way

    async def _look(self, report: Report) -> None:
        """The first pass: counts what fits, and names what does not."""
        async for page in self._pages():
            await self._fitting(page, report)
            self._say("looking at", report.found.seen, self._expected)
        if report.found.unknown:
            known = [one.name for one in await self._target.operations.job_types()]
            raise _unknown(report.found.unknown, known)
        types = {kind for _, _, kind in report.found.counts}
        report.unchecked = tuple(sorted(types - self._target.checks))

    async def _are_prioritized(self) -> bool:
        """Whether any job has a priority, also a delayed one: then those without any come first here too."""
        if (await self._reader.count(Part.PRIORITIZED))[Part.PRIORITIZED]:
            return True
        async for page in self._reader.scored(Part.DELAYED):
            keys = [self._reader.queue.key(one) for one, _ in page]
            found = await self._reader.hashes(keys, ("priority",))
            if any((one["priority"] or "0") != "0" for one in found):
                return True
        return False

    async def _pages(self) -> AsyncIterator[list[tuple[Entry, Sequence[str | None]]]]:
        async for entries in self._reader.waiting():
            found = await self._reader.jobs([one.id for one in entries])
            yield list(zip(entries, found, strict=True))

    async def _fitting(
        self, page: Sequence[tuple[Entry, Sequence[str | None]]], report: Report
    ) -> Sequence[NewJob]:
        """The jobs of a page as they are to be inserted. All are counted, and what does not fit is named."""
        fitting: list[NewJob] = []
        found = report.found
        found.seen += len(page)
        for entry, values in page:
            try:
                job = BullJob.of(entry, values)
                if (reason := _reason(job)) is not None or job is None:
                    found.left[reason or ""] += 1
                    continue
                fitting.append(await self._new(job, prioritized=report.prioritized))
            except UnknownJobType:
                found.unknown[values[0] or ""] += 1
            except InvalidInput as error:
                found.unfit.add(entry.id, str(error))
            else:
                found.counts[entry.part, job.name, self._translation.type_of(job.name)] += 1
        return fitting

    async def _new(self, job: BullJob, *, prioritized: bool) -> NewJob:
        """The job as it is to be inserted. Raises InvalidInput."""
        request = self._translation.request(job, prioritized=prioritized)
        (new,) = await self._target.operations.prepared((request,), self._began)
        return replace(new, receipt=self._translation.receipt(job, self._began))

    async def _refuse(self, report: Report) -> None:
        unfit = report.found.unfit
        if unfit.count and not self._wishes.leave_unfit:
            one, why = next(iter(unfit.first.items()))
            raise ImportRefused(
                f"{unfit.count} jobs do not fit, such as {one}: {why}. Nothing was written; --plan names"
                " them, --leave-unfit imports the others"
            )
        await self._refuse_what_overflows(report)

    async def _refuse_what_overflows(self, report: Report) -> None:
        bounds = {
            one.queue: one.bound.max_length
            for one in await self._target.operations.queue_engine.bounds()
            if one.bound is not None
        }
        if not bounds:
            return
        types = {one.name: one.queue for one in await self._target.operations.job_types()}
        coming: Counter[str] = Counter()
        for (_, _, kind), count in report.found.counts.items():
            coming[self._translation.queue or types[kind]] += count
        for queue, count in coming.items():
            if queue in bounds and count > bounds[queue]:
                raise ImportRefused(
                    f"{count} jobs are more than the {bounds[queue]} that may wait in queue {queue!r}:"
                    " raise its bound, or reset it"
                )

    async def _take(self, jobs: Sequence[NewJob], report: Report) -> None:
        if not jobs:
            return
        store, operations = self._target.store, self._target.operations
        insert = partial(store.insert, operations.namespace, jobs, now=operations.now())
        answers = await operations.queue_engine.insert(jobs, insert)
        await self._read_back(jobs, answers, report)
        store.wake(operations.namespace, frozenset(job.facts.queue for job in jobs))

    async def _read_back(self, jobs: Sequence[NewJob], answers: Sequence[Inserted], report: Report) -> None:
        """Looks at the page in the store, and counts what is there."""
        ids = [one.job_id for one in answers]
        there = await self._target.store.get(self._target.operations.namespace, ids)
        for new, answer in zip(jobs, answers, strict=True):
            found = there.get(answer.job_id)
            if answer.kind is InsertKind.INSERTED:
                report.taken += 1
                if found is None or found.facts != new.facts:
                    report.missing.add(answer.job_id, "was written and cannot be read as it was")
            elif found is None or new.facts.tags[0] in found.facts.tags:
                report.before += 1  # one that has ended since may be erased
            else:
                key = new.facts.unique_key
                report.held.add(new.facts.tags[0], f"job {found.id} here holds its unique key {key!r}")

    async def _look_back(self, report: Report) -> None:
        """Says what has changed there meanwhile."""
        counts = await self._reader.count(*_WAITING)
        report.arrived = max(0, sum(counts.values()) - self._expected)
        found = await activity(self._reader)
        if (why := found.in_the_way) is not None and not self._wishes.live:
            report.warnings.append(f"{why} by now: what they take runs twice")


def _reason(job: BullJob | None) -> str | None:
    """Why a job is not for an import, as people are told; None if it is."""
    if job is None:
        return "removed"
    if job.is_child:
        return "children of flows"
    if job.is_next_run:
        return "next runs of schedulers"
    return None


def _unknown(names: Counter[str], known: Sequence[str]) -> InvalidInput:
    listed = ", ".join(f"{name!r} ({count})" for name, count in names.most_common(_NAMED))
    return InvalidInput(
        f"no job type is known for {listed}: map each with --map NAME=TYPE, or all others with --map"
        f" '*=TYPE'. Known types: {', '.join(known) or 'none; name your program with --app'}",
        field="map",
    )
