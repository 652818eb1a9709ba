"""The event log on Redis: what it costs while it is off, and what is left of it."""

from headrace.core.events import OLDEST, EventKind
from headrace.stores.eventing import EventKeep
from headrace.stores.redis.keys import Keys
from tests.builders import HOUR, NAMESPACE, NOW, a_failure, a_job, claimed, enqueue, note, settle
from tests.contract.following import KEEP, changes, kinds, read_page

KEYS = Keys("headrace", NAMESPACE)


async def test_namespace_without_a_log_has_no_keys_of_one(store, client):
    job = await claimed(store)
    await note(store, job, progress="1")
    await settle(store, job)

    assert client.exists(KEYS.log, KEYS.changes) == 0


async def test_log_that_was_switched_off_leaves_its_numbers_and_nothing_else(store, client):
    await store.keep_events(NAMESPACE, KEEP)
    await enqueue(store, *(a_job() for _ in range(5)))
    await store.keep_events(NAMESPACE, None)
    await store.trim_events(now=NOW, limit=100)

    assert client.exists(KEYS.changes) == 0
    assert int(client.hget(KEYS.log, "number")) > 0


async def test_numbers_go_on_after_the_log_was_emptied(store):
    await store.keep_events(NAMESPACE, KEEP)
    await enqueue(store, a_job())
    cursor = (await read_page(store, OLDEST)).cursor
    await store.trim_events(now=NOW + 2 * HOUR, limit=100)

    await enqueue(store, a_job(type="second"))

    assert [one.change.type for one in (await read_page(store, cursor)).changes] == ["second"]


async def test_log_that_is_longer_than_a_page_is_read_and_trimmed_to_its_end(store):
    await store.keep_events(NAMESPACE, EventKeep(keep_ms=HOUR, keep_count=10))
    new = [a_job() for _ in range(1_200)]
    await enqueue(store, *new)

    found = await changes(store)
    trimmed = await store.trim_events(now=NOW, limit=5_000)

    assert [one.job_id for one in found] == [job.facts.id for job in new]
    assert trimmed == 1_200 + 1 - 10  # the marker that ``changes`` has enqueued


async def test_progress_that_is_told_again_is_no_change(store):
    await store.keep_events(NAMESPACE, KEEP)
    job = await claimed(store)
    for text in ("1", "1", "2"):
        await note(store, job, progress=text)

    assert (await kinds(store, job.id)).count(EventKind.PROGRESS) == 2


async def test_texts_that_no_script_should_trip_over(store):
    await store.keep_events(NAMESPACE, KEEP)
    job = await claimed(store, a_job(type="ty pe|é", queue="q:{x}"))
    await settle(store, job, a_failure('"quoted" / \\ \x7f é 😀 \n' * 50))

    (failed,) = [one for one in await changes(store) if one.error is not None]

    assert failed.job_id == job.id
    assert (failed.type, failed.queue) == ("ty pe|é", "q:{x}")
    assert "😀" in failed.error or "\\ud83d" in failed.error
