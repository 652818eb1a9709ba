import asyncio

import pytest

from headrace.core.events import NOW as FROM_NOW
from headrace.core.events import OLDEST, EventFilter, EventKind, dump_position
from headrace.errors import CursorTooOld, InvalidInput, JobNotFound
from headrace.stores.eventing import EventKeep
from headrace.stores.protocol import LogLine
from tests.builders import (
    HOUR,
    NAMESPACE,
    NOW,
    a_failure,
    a_job,
    claim,
    claimed,
    enqueue,
    enqueued,
    note,
    reported,
    settle,
)
from tests.contract.conftest import opened_store
from tests.contract.following import KEEP, changes, kinds, read_page


@pytest.fixture
async def logging(store):
    """The store, keeping a log of the namespace."""
    await store.keep_events(NAMESPACE, KEEP)
    return store


# ------------------------------------------------------------ reading


async def test_reading_goes_on_after_a_cursor(logging):
    jobs = [await enqueued(logging) for _ in range(5)]
    await changes(logging)
    page = await read_page(logging)

    rest = await changes(logging, page.changes[1].cursor)

    assert [one.job_id for one in rest] == [job.id for job in jobs[2:]]


async def test_now_gives_what_comes_from_now_on(logging):
    await enqueued(logging)
    await changes(logging)

    page = await read_page(logging, FROM_NOW)
    new = await enqueued(logging, a_job(queue="new"))

    assert (page.changes, page.at_end) == ((), True)
    assert [one.job_id for one in await changes(logging, page.cursor)] == [new.id]


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (EventFilter(queue="a"), [0]),
        (EventFilter(type="y"), [1, 2]),
        (EventFilter(queue="b", type="y"), [1]),
        (EventFilter(queue="nothing"), []),
        (EventFilter(queue="a\0"), []),
    ],
)
async def test_only_what_is_asked_for_is_read(logging, wanted, expected):
    new = [a_job(queue="a", type="x"), a_job(queue="b", type="y"), a_job(queue="c", type="y")]
    await enqueue(logging, *new)

    found = await changes(logging, wanted=wanted)

    assert [one.job_id for one in found] == [new[index].facts.id for index in expected]


async def test_cursor_moves_on_over_what_is_not_asked_for(logging):
    await enqueue(logging, *(a_job(queue="a") for _ in range(3)))
    await changes(logging)

    page = await read_page(logging, wanted=EventFilter(queue="nothing"))

    assert (page.changes, page.at_end) == ((), False)
    assert await changes(logging, page.cursor) == []


@pytest.mark.parametrize("cursor", ["nonsense", "", "WyJhIiwgMSwgMV0"])
async def test_what_is_no_cursor_is_refused(logging, cursor):
    with pytest.raises(InvalidInput):
        await read_page(logging, cursor)


async def test_cursor_of_another_store_is_refused(logging):
    with pytest.raises(InvalidInput, match="another store"):
        await read_page(logging, dump_position(1, 2**62, 1))


async def test_changes_of_one_op_come_in_the_order_of_the_jobs(logging):
    new = [a_job() for _ in range(300)]
    await enqueue(logging, *new)
    got = await claim(logging, n=300)
    await logging.apply([reported(job, a_failure()) for job in got], now=NOW)

    found = await changes(logging)

    ids = [job.facts.id for job in new]
    assert [one.job_id for one in found] == ids * 3


# ------------------------------------------------------------ trimming


async def test_c44_changes_are_trimmed_by_age(logging):
    old = await enqueued(logging)
    await changes(logging)
    start = (await read_page(logging, OLDEST)).cursor
    new = await enqueued(logging, a_job(created_at=NOW + HOUR))
    await changes(logging)

    await logging.trim_events(now=NOW + HOUR + 1, limit=100)

    assert old.id not in {one.job_id for one in await changes(logging)}
    assert new.id in {one.job_id for one in await changes(logging)}
    assert [one.job_id for one in await changes(logging, start)] == [new.id]


async def test_c44_only_the_newest_are_kept(logging):
    await logging.keep_events(NAMESPACE, EventKeep(keep_ms=HOUR, keep_count=3))
    jobs = [await enqueued(logging) for _ in range(6)]
    found = (await read_page_when(logging, 6)).changes

    trimmed = await logging.trim_events(now=NOW, limit=100)

    assert trimmed == 3
    page = await read_page(logging)
    assert [one.change.job_id for one in page.changes] == [job.id for job in jobs[3:]]
    with pytest.raises(CursorTooOld):
        await read_page(logging, found[1].cursor)
    assert (await read_page(logging, found[2].cursor)).changes == page.changes


async def test_c44_trimming_is_bounded(logging):
    await logging.keep_events(NAMESPACE, EventKeep(keep_ms=HOUR, keep_count=1))
    await enqueue(logging, *(a_job() for _ in range(5)))
    await read_page_when(logging, 5)

    counts = [await logging.trim_events(now=NOW, limit=3) for _ in range(3)]

    assert counts == [3, 1, 0]


async def test_log_that_was_switched_off_is_emptied(logging):
    await enqueue(logging, *(a_job() for _ in range(5)))
    await read_page_when(logging, 5)
    await logging.keep_events(NAMESPACE, None)

    assert await logging.trim_events(now=NOW, limit=100) == 5
    assert await logging.trim_events(now=NOW, limit=100) == 0


async def test_erased_job_leaves_its_events(logging):
    job = await claimed(logging)
    await settle(logging, job)

    await logging.erase(now=NOW + 10 * HOUR, limit=10)

    assert await kinds(logging, job.id) == [EventKind.ENQUEUED, EventKind.ACTIVE, EventKind.COMPLETED]


async def read_page_when(store, count):
    """The first page once it holds so many changes."""
    async with asyncio.timeout(60):
        while len((page := await read_page(store)).changes) < count:
            await asyncio.sleep(0.005)
    return page


# ------------------------------------------------------------ the tail of a job's own log


def a_line(number: int) -> LogLine:
    return LogLine(at=NOW + number, level="info", message=str(number), data='{"n":1}' if number % 2 else None)


async def test_tail_of_a_log_goes_on_where_it_was(store):
    job = await claimed(store)
    await note(store, job, lines=tuple(a_line(n) for n in range(5)))

    latest = await store.log_tail(NAMESPACE, job.id, after=None, limit=2)
    await note(store, job, lines=(a_line(5), a_line(6), a_line(7)))
    more = await store.log_tail(NAMESPACE, job.id, after=latest.number, limit=2)
    rest = await store.log_tail(NAMESPACE, job.id, after=more.number, limit=2)
    end = await store.log_tail(NAMESPACE, job.id, after=rest.number, limit=2)

    assert [one.message for one in latest.lines] == ["3", "4"]
    assert more.lines == (a_line(5), a_line(6))
    assert rest.lines == (a_line(7),)
    assert (end.lines, end.number) == ((), rest.number)


async def test_tail_of_an_empty_log_finds_the_first_line_later(store):
    job = await claimed(store)

    nothing = await store.log_tail(NAMESPACE, job.id, after=None, limit=10)
    await note(store, job, lines=(a_line(0),))
    more = await store.log_tail(NAMESPACE, job.id, after=nothing.number, limit=10)

    assert nothing.lines == ()
    assert more.lines == (a_line(0),)


async def test_tail_of_no_job_is_not_found(store):
    for job_id, namespace in (
        ("nothing", NAMESPACE),
        ("a\0", NAMESPACE),
        ((await claimed(store)).id, "other"),
    ):
        with pytest.raises(JobNotFound):
            await store.log_tail(namespace, job_id, after=None, limit=10)


async def test_c48_reader_beside_two_programs_that_write_gets_each_change_once_and_in_order(persistent_url):
    stores = [await opened_store(persistent_url) for _ in range(3)]
    reader, *writers = stores
    await reader.keep_events(NAMESPACE, KEEP)
    new = [[a_job(queue=f"q{number}") for _ in range(20)] for number in range(2)]
    wanted = {job.facts.id for jobs in new for job in jobs}

    async def write(store, jobs) -> None:
        for job in jobs:
            await enqueue(store, job)

    writing = asyncio.gather(*(write(store, jobs) for store, jobs in zip(writers, new, strict=True)))
    found: list[str] = []
    cursor = OLDEST
    async with asyncio.timeout(60):
        while not wanted <= set(found):
            page = await read_page(reader, cursor)
            found += [one.change.job_id for one in page.changes]
            cursor = page.cursor
            if page.at_end:
                await asyncio.sleep(0.005)
    await writing
    await asyncio.gather(*(store.close() for store in stores))

    assert sorted(found) == sorted(wanted)
    for jobs in new:
        ids = [job.facts.id for job in jobs]
        assert [one for one in found if one in ids] == ids
