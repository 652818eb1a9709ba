"""Jobs whose payload is of another version than the claiming worker knows."""

from dataclasses import replace

from headrace.core.lanes import known_version, lane_of_version
from headrace.core.outcomes import Parked
from headrace.core.unique import OnConflict, Unique
from headrace.stores.protocol import Applied, NewJob, ParkedCount
from tests.builders import (
    HOUR,
    MINUTE,
    NAMESPACE,
    NOW,
    QUEUE,
    TYPE,
    a_hello,
    a_job,
    apply,
    claim,
    enqueue,
    enqueued,
    given_back_unstarted,
    read,
)

LANE = lane_of_version(TYPE, 2)
KNOWS_ONE = frozenset({TYPE})
KNOWS_TWO = frozenset({TYPE, known_version(TYPE, 2)})


def of_version(version: int, new: NewJob) -> NewJob:
    return replace(new, facts=replace(new.facts, version=version))


async def parked(store):
    await enqueue(store, of_version(2, a_job(due_at=NOW - HOUR)))
    (job,) = await claim(store, types=KNOWS_ONE)
    assert await apply(store, given_back_unstarted(job, Parked(lane=LANE))) == Applied()
    return job


async def test_c16_job_of_a_newer_version_waits_parked_and_keeps_its_rank(store):
    job = await parked(store)

    waiting = (await read(store, job.id)).placement
    assert (waiting.due_at, waiting.parked_on, waiting.rank) == (None, LANE, NOW - HOUR)
    assert await claim(store, types=KNOWS_ONE) == []
    assert list(await store.parked(NAMESPACE)) == [ParkedCount(queue=QUEUE, lane=LANE, count=1)]
    assert (await store.history(NAMESPACE, job.id)).attempts == ()


async def test_c16_hello_of_a_worker_with_the_version_brings_its_jobs_back(store):
    job = await parked(store)

    await store.hello(a_hello("older", types=KNOWS_ONE))
    assert (await read(store, job.id)).placement.parked_on == LANE
    await store.hello(a_hello("newer", types=KNOWS_TWO))

    assert [found.id for found in await claim(store, worker="newer", types=KNOWS_TWO)] == [job.id]


async def test_c16_job_parked_just_after_the_hello_of_a_newer_worker_is_brought_back_by_the_sweep(store):
    await store.hello(a_hello("newer", types=KNOWS_TWO))
    job = await parked(store)

    assert await store.unpark_known(now=NOW + MINUTE) == 1

    assert (await read(store, job.id)).placement.parked_on is None


async def test_c16_sweep_leaves_a_version_that_no_live_worker_knows(store):
    await store.hello(a_hello("older", types=KNOWS_ONE))
    job = await parked(store)

    assert await store.unpark_known(now=NOW + MINUTE) == 0

    assert (await read(store, job.id)).placement.parked_on == LANE


async def test_c30_replacing_a_job_takes_the_version_of_the_new_payload(store):
    unique = Unique(key="draft", on_conflict=OnConflict.REPLACE)
    job = await enqueued(store, a_job(unique=unique, payload='{"old":1}'))

    await enqueue(store, of_version(2, a_job(unique=unique, payload='{"new":2}')))

    facts = (await read(store, job.id)).facts
    assert (facts.payload, facts.version) == ('{"new":2}', 2)


async def test_c30_of_two_replacing_jobs_in_one_call_the_later_gives_payload_and_version(store):
    unique = Unique(key="draft", on_conflict=OnConflict.REPLACE)
    first = a_job(unique=unique, payload='{"old":1}')

    await enqueue(store, first, of_version(2, a_job(unique=unique, payload='{"new":2}')))

    facts = (await read(store, first.facts.id)).facts
    assert (facts.payload, facts.version) == ('{"new":2}', 2)
