"""Plain jobs are written by a script of their own: what it leaves is what a commit would have left."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from typing import Any

import pytest
import redis

from headrace.core.states import State
from headrace.core.unique import Unique
from headrace.core.wishes import Wishes
from headrace.errors import InvalidInput
from headrace.stores.known_limits import KnownLimits
from headrace.stores.protocol import NewJob
from headrace.stores.redis.database import Database
from headrace.stores.redis.inserting import Inserter, insert_write
from headrace.stores.redis.keys import Keys
from headrace.stores.redis.location import parse
from headrace.stores.redis.partitions.ticks import Ticked
from headrace.stores.redis.plain_inserting import insert_plain
from tests.builders import HOUR, NOW, SECOND, a_job

PLAIN, COMMITTED = Keys("headrace", "plain"), Keys("headrace", "committed")
LATER = NOW + HOUR
OF_A_PARTITION = Keys("headrace", "plain", 3), Keys("headrace", "committed", 3)
LONG_AGO = 7
"""An instant that makes numbers with fewer digits than the index has room for."""


@pytest.fixture
async def database(url: str) -> AsyncIterator[Database]:
    opened = Database(parse(url))
    yield opened
    await opened.close()


def ticked(new: NewJob, tick: int) -> Ticked:
    return Ticked(
        facts=new.facts,
        placement=new.placement,
        on_conflict=new.on_conflict,
        receipt=new.receipt,
        tick=tick,
    )


def with_facts(**changes: object) -> NewJob:
    new = a_job()
    return replace(new, facts=replace(new.facts, **changes))


def placed(**changes: object) -> NewJob:
    new = a_job()
    return replace(new, placement=replace(new.placement, **changes))


ALIKE = [a_job(payload=f'{{"n":{n}}}') for n in range(3)]
MANY_KINDS = [
    a_job(),
    a_job(type="other"),
    a_job(queue="other"),
    a_job(queue="other"),
    a_job(priority=5),
    a_job(priority=-5),
    a_job(due_at=LATER),
    a_job(due_at=NOW + 1),
    a_job(due_at=LATER, rank=NOW - SECOND),
    a_job(rank=LATER),
    a_job(due_at=NOW - SECOND),
    a_job(created_at=NOW - SECOND),
    a_job(timeout_ms=1, max_attempts=9, max_crashes=1, backoff="{}"),
    a_job(payload='"é ∀ \\u0000 \\""'),
    a_job(),
]
TICKED = [ticked(a_job(), NOW * 32 + 7), a_job(), ticked(a_job(), NOW * 32 + 3), ticked(a_job(), NOW * 64)]


@pytest.mark.parametrize("keys", [(PLAIN, COMMITTED), OF_A_PARTITION], ids=["home", "partition"])
@pytest.mark.parametrize(
    ("jobs", "now"),
    [
        ([a_job()], NOW),
        (ALIKE, NOW),
        (MANY_KINDS, NOW),
        (TICKED, NOW),
        ([a_job(created_at=LONG_AGO) for _ in range(2)], LONG_AGO),
    ],
    ids=["one", "alike", "many-kinds", "ticked", "long-ago"],
)
async def test_plain_jobs_are_kept_as_a_commit_would_keep_them(database, client, keys, jobs, now):
    plain, committed = keys
    first = a_job(type="first")
    for each in keys:
        await database.write(each, [insert_write([first], now), ("pause", "other", 1)])

    was_done = await insert_plain(database, plain, jobs, now)
    await database.write(committed, [insert_write(jobs, now)])

    assert was_done
    assert len(kept(client, plain)) > len(jobs)
    assert kept(client, plain) == kept(client, committed)


async def test_plain_jobs_are_told_in_the_log_as_a_commit_would_tell_them(database, client):
    jobs = [a_job(), a_job(due_at=LATER), a_job(created_at=NOW - SECOND, type="other")]
    for keys in (PLAIN, COMMITTED):
        await database.write(keys, [("keep_events", HOUR, 100)])

    await insert_plain(database, PLAIN, jobs, NOW)
    await database.write(COMMITTED, [insert_write(jobs, NOW)])

    assert [fields["job"] for _, fields in client.xrange(PLAIN.changes)] == [new.facts.id for new in jobs]
    assert kept(client, PLAIN) == kept(client, COMMITTED)


@pytest.mark.parametrize(
    "other",
    [
        a_job(unique=Unique(key="key")),
        a_job(batch_id="batch"),
        a_job(tags=("tag",)),
        a_job(state=State.BLOCKED),
        with_facts(lane=Wishes(lanes=("lane",)).dumps()),
        with_facts(unique_key="key"),
        with_facts(lock_after_claim="key"),
        placed(unique_lock="key"),
        placed(slot_key="slot"),
        placed(parked_on="lane"),
        placed(due_at=None, parked_on="lane"),
        placed(due_at=None),
        placed(cancel_asked_at=NOW),
        placed(lease_until=LATER),
        placed(state=State.CANCELLED, due_at=None, ended_at=NOW),
    ],
)
async def test_bulk_with_a_job_on_which_something_hangs_is_left_to_a_commit(database, client, other):
    was_done = await insert_plain(database, PLAIN, [a_job(), other], NOW)

    assert not was_done
    assert kept(client, PLAIN) == {}


async def test_bulk_with_any_job_is_one_op(database, client):
    jobs = [a_job(), a_job(tags=("tag",)), a_job()]

    await Inserter(database, KnownLimits()).insert("plain", jobs, NOW)
    await database.write(COMMITTED, [insert_write(jobs, NOW)])

    assert kept(client, PLAIN) == kept(client, COMMITTED)


@pytest.mark.parametrize("place", [0, 1_000, 2_499])
async def test_c6_id_that_is_there_refuses_every_plain_job(database, client, place):
    jobs = [a_job() for _ in range(2_500)]
    await database.write(PLAIN, [insert_write([jobs[place]], NOW)])
    before = kept(client, PLAIN)

    with pytest.raises(InvalidInput, match=jobs[place].facts.id) as refused:
        await insert_plain(database, PLAIN, jobs, NOW)

    assert refused.value.field == "id"
    assert kept(client, PLAIN) == before


async def test_c6_id_that_is_there_refuses_the_whole_of_any_bulk(database, client):
    there = a_job()
    await database.write(PLAIN, [insert_write([there], NOW)])
    before = kept(client, PLAIN)

    with pytest.raises(InvalidInput, match=there.facts.id):
        await Inserter(database, KnownLimits()).insert("plain", [a_job(tags=("tag",)), there], NOW)

    assert kept(client, PLAIN) == before


async def test_c6_value_that_cannot_be_kept_refuses_every_plain_job(database, client):
    for unkeepable in (a_job(payload='"\ud800"'), a_job(due_at=2**53 + 1)):
        with pytest.raises(InvalidInput):
            await insert_plain(database, PLAIN, [a_job(), unkeepable], NOW)

    assert kept(client, PLAIN) == {}


def kept(client: redis.Redis, keys: Keys) -> Mapping[str, Any]:
    """All that is kept under a root, by what follows it."""
    names: list[str] = sorted(client.scan_iter(f"{keys.root}:*"))
    return {name.removeprefix(keys.root): _value(client, name) for name in names}


def _value(client: redis.Redis, name: str) -> object:
    match client.type(name):
        case "hash":
            return client.hgetall(name)
        case "zset":
            return client.zrange(name, 0, -1, withscores=True)
        case "stream":
            return client.xrange(name)
        case "set":
            return client.smembers(name)
        case _:
            return client.get(name)
