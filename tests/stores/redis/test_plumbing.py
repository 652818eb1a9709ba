"""Registers, records, queues and workers when there are more of them than one script looks at."""

import asyncio
import random
from dataclasses import replace

import pytest

from headrace.core.filters import Page
from headrace.core.lanes import lane_of_type
from headrace.stores.redis import queueing, records, registers, workers
from headrace.stores.values import ParkedCount, Receipt, Record, Register, Swap
from tests.builders import (
    HOUR,
    MINUTE,
    NAMESPACE,
    NOW,
    QUEUE,
    TYPE,
    a_hello,
    a_job,
    claim,
    enqueue,
    enqueued,
    read,
    settle,
)

KIND = "file"
OTHER = frozenset({"other"})


def a_swap(key: str, *, revision: int = 0, value: str | None = "1", due_at: int | None = None) -> Swap:
    return Swap(key=key, revision=revision, value=value, due_at=due_at)


# ------------------------------------------------------------ registers


async def test_scan_goes_over_several_pages_in_key_order(store):
    keys = [f"loop:{number:04}" for number in range(2 * registers.PAGE + 1)]
    shuffled = random.Random(1).sample(keys, len(keys))
    assert await store.swap(NAMESPACE, [a_swap(key) for key in shuffled])

    found = [one.key for one in await store.scan(NAMESPACE, "loop:")]
    among = await store.read(NAMESPACE, [*keys, "nothing"])

    assert found == keys
    assert set(among) == set(keys)


async def test_due_registers_of_all_namespaces_are_merged_the_earliest_first(store):
    for number, namespace in enumerate(("a", "b", "c")):
        await store.swap(namespace, [a_swap(f"loop:{n}", due_at=NOW + 10 * n + number) for n in range(4)])
    await store.swap("a", [a_swap("loop:late", due_at=NOW + HOUR), a_swap("loop:never")])
    await store.swap("a", [a_swap("loops:other", due_at=NOW)])

    found = await store.due("loop", now=NOW + MINUTE, limit=5)

    assert [(namespace, one.key, one.due_at) for namespace, one in found] == [
        ("a", "loop:0", NOW), ("b", "loop:0", NOW + 1), ("c", "loop:0", NOW + 2),
        ("a", "loop:1", NOW + 10), ("b", "loop:1", NOW + 11),
    ]  # fmt: skip


async def test_register_that_is_due_no_more_or_gone_is_not_found_due(store):
    await store.swap(NAMESPACE, [a_swap("loop:a", due_at=NOW), a_swap("loop:b", due_at=NOW)])
    both = await store.read(NAMESPACE, ["loop:a", "loop:b"])

    await store.swap(
        NAMESPACE,
        [
            a_swap("loop:a", revision=both["loop:a"].revision),
            a_swap("loop:b", revision=both["loop:b"].revision, value=None),
        ],
    )

    assert list(await store.due("loop", now=NOW + HOUR, limit=10)) == []


@pytest.mark.parametrize("value", ["", "null", '"\\u0000"', "\x00", "ü🎛", "1" * 300_000])
async def test_register_holds_any_text(store, value):
    await store.swap(NAMESPACE, [a_swap("a:b:c", value=value)])

    found = (await store.read(NAMESPACE, ["a:b:c"]))["a:b:c"]

    assert found == Register(key="a:b:c", value=value, revision=found.revision)


async def test_registers_that_are_removed_leave_only_their_highest_revision(store, client):
    await store.swap(NAMESPACE, [a_swap("a", due_at=NOW), a_swap("b")])
    both = await store.read(NAMESPACE, ["a", "b"])

    await store.swap(NAMESPACE, [a_swap(key, revision=one.revision, value=None) for key, one in both.items()])

    assert sorted(client.keys()) == ["headrace:namespaces", "headrace:schema", "headrace:{default}:rgone"]
    assert int(client.get("headrace:{default}:rgone")) == max(one.revision for one in both.values())


async def test_commits_that_want_the_same_register_are_made_one_after_the_other(store, rival):
    async def count(one) -> None:
        for _ in range(20):
            while True:
                there = (await one.read(NAMESPACE, ["n"])).get("n")
                value = str(1 + int(there.value if there else 0))
                if await one.swap(
                    NAMESPACE, [a_swap("n", revision=there.revision if there else 0, value=value)]
                ):
                    break

    await asyncio.gather(count(store), count(rival), count(store))

    assert (await store.read(NAMESPACE, ["n"]))["n"].value == "60"


# ------------------------------------------------------------ records


async def listed(store, limit: int) -> list[str]:
    keys: list[str] = []
    cursor = None
    while True:
        found, cursor = await store.list_records(NAMESPACE, KIND, Page(limit=limit, before=cursor))
        keys += [one.key for one in found]
        if cursor is None:
            return keys


async def test_records_of_one_instant_are_listed_in_the_order_of_their_bytes(store):
    keys = ["a", "Z", "ä", "zz", "z", "\U0001f39b", "\uffff", "_", "a b", "A", "é", "e"]
    await store.append(NAMESPACE, KIND, [Record(key=key, at=NOW, body="{}") for key in keys])

    for limit in (1, 2, 5, 50):
        assert await listed(store, limit) == sorted(keys, reverse=True)


@pytest.mark.parametrize("seen", range(1, 6))
async def test_c48_cursor_whose_own_record_is_gone_goes_on_where_it_was(store, seen):
    keys = [f"k{number}" for number in range(6)]
    given = [Record(key=key, at=NOW + int(key > "k2"), body="{}") for key in keys]
    await store.append(NAMESPACE, KIND, given)
    first, cursor = await store.list_records(NAMESPACE, KIND, Page(limit=seen))
    await store.remove_records(NAMESPACE, KIND, [first[-1].key])

    rest, _ = await store.list_records(NAMESPACE, KIND, Page(limit=10, before=cursor))

    assert [one.key for one in (*first, *rest)] == keys[::-1]


async def test_trim_takes_as_many_as_it_may_over_several_scripts_and_receipts_too(store):
    count = 2 * records.TRIM_AT_ONCE + 7
    old = [Record(key=f"k{number}", at=NOW, body="{}", until=NOW) for number in range(count)]
    await store.append(NAMESPACE, KIND, [*old, Record(key="good", at=NOW, body="{}", until=NOW + HOUR)])
    await enqueue(store, *(a_job(receipt=Receipt(key=f"r{n}", until=NOW)) for n in range(5)))

    counts = [await store.trim(now=NOW + 1, limit=limit) for limit in (count - 3, 5, 100, 100)]

    assert counts == [count - 3, 5, 3, 0]
    assert await listed(store, 10) == ["good"]


async def test_record_that_is_kept_longer_or_for_ever_is_not_trimmed_at_its_first_time(store):
    for until in (NOW + HOUR, None):
        await store.append(NAMESPACE, KIND, [Record(key=str(until), at=NOW, body="1", until=NOW)])
        await store.append(NAMESPACE, KIND, [Record(key=str(until), at=NOW, body="2", until=until)])

    assert await store.trim(now=NOW + 1, limit=10) == 0
    assert len(await listed(store, 10)) == 2


async def test_records_that_are_removed_leave_no_key(store, client):
    await store.append(NAMESPACE, KIND, [Record(key="a", at=NOW, body="{}", until=NOW)])
    await store.remove_records(NAMESPACE, KIND, ["a"])

    assert sorted(client.keys()) == ["headrace:namespaces", "headrace:schema"]


# ------------------------------------------------------------ queues


async def test_queues_and_their_heads_go_over_several_pages(store, monkeypatch):
    monkeypatch.setattr(queueing, "PAGE", 4)
    now = await store.now()
    names = [f"q{number:02}" for number in range(9)]
    await enqueue(store, *(a_job(queue=name, due_at=now - int(name[1:])) for name in names), now=now)

    found = await store.queues(NAMESPACE)

    assert [(one.name, one.oldest_due_at) for one in found] == [(name, now - int(name[1:])) for name in names]


async def test_head_that_became_due_since_it_was_enqueued_is_told(store):
    now = await store.now()
    await enqueue(store, a_job(due_at=now - MINUTE), now=now - HOUR)

    (queue,) = await store.queues(NAMESPACE)

    assert queue.oldest_due_at == now - MINUTE


async def test_heads_of_at_most_so_many_priorities_are_looked_at(store, monkeypatch):
    monkeypatch.setattr(queueing, "LEVELS", 3)
    now = await store.now()
    await enqueue(store, *(a_job(priority=-level, due_at=now - level - 1) for level in range(6)), now=now)

    (queue,) = await store.queues(NAMESPACE)

    assert queue.oldest_due_at == now - 3


async def test_parked_lanes_go_over_several_pages(store, monkeypatch):
    monkeypatch.setattr(queueing, "PAGE", 3)
    for number in range(7):
        await enqueue(store, a_job(type=f"t{number}"), a_job(type=f"t{number}", queue="mail"))
    await claim(store, types=OTHER, queues={QUEUE: 50, "mail": 50})

    assert set(await store.parked(NAMESPACE)) == {
        ParkedCount(queue=queue, lane=lane_of_type(f"t{number}"), count=1)
        for number in range(7)
        for queue in (QUEUE, "mail")
    }


# ------------------------------------------------------------ workers


async def test_c16_many_parked_jobs_come_back_in_pages_and_in_order(store):
    count = 3 * workers.UNPARK_IN_A_SCRIPT + 1
    jobs = [a_job(due_at=NOW - count + number) for number in range(count)]
    await enqueue(store, *jobs)
    while sum(one.count for one in await store.parked(NAMESPACE)) < count:
        await claim(store, n=100, types=OTHER)

    await store.hello(a_hello("worker-2"))
    found = []
    while some := await claim(store, n=50, worker="worker-2"):
        found += some

    assert [job.id for job in found] == [new.facts.id for new in jobs]
    assert list(await store.parked(NAMESPACE)) == []


async def test_c16_sweep_brings_back_many_in_all_namespaces(store):
    count = workers.UNPARK_IN_A_SCRIPT + 1
    for namespace in ("a", "b", "c"):
        await store.hello(a_hello("worker-2", namespace=namespace, types=frozenset({TYPE, "other"})))
        await enqueue(store, *(a_job(namespace=namespace) for _ in range(count)))
        while (
            sum(one.count for one in await store.parked(namespace)) < count
        ):  # nobody has been seen for long
            await claim(store, n=100, types=OTHER, namespace=namespace, now=NOW + HOUR)
    await store.hello(a_hello("worker-2", namespace="c", types=OTHER))

    done = await store.unpark_known(now=NOW)

    assert done == 2 * count
    assert {space: len(list(await store.parked(space))) for space in "abc"} == {"a": 0, "b": 0, "c": 1}


async def test_c16_lane_whose_name_begins_like_that_of_another_stays(store):
    await enqueue(store, a_job(type="mail"), a_job(type="mails"), a_job(type="mail.now"))
    await claim(store, types=OTHER)

    await store.hello(a_hello("worker-2", types=frozenset({"mail"})))

    assert {one.lane for one in await store.parked(NAMESPACE)} == {"type:mails", "type:mail.now"}


async def test_c16_unparked_job_is_due_now_and_changed(store):
    job = await enqueued(store, a_job(due_at=NOW - HOUR))
    await claim(store, types=OTHER)
    parked = await read(store, job.id)

    await store.hello(a_hello("worker-2", seen_at=NOW + MINUTE))
    back = await read(store, job.id)

    assert back.placement.due_at == NOW - HOUR
    assert back.revision > parked.revision
    assert back.placement.parked_on is None


async def test_worker_says_whatever_it_says(store):
    said = {"python": "3.11", "what": '"\\\x00é'}
    hello = replace(
        a_hello("wörker 1", types=frozenset({"a", "b@2"})), details=said, queues=("a",), running=3
    )

    await store.hello(hello)

    assert list(await store.workers(NAMESPACE)) == [hello]


async def test_workers_that_leave_and_jobs_that_ended_leave_their_queue_only(store, client):
    job = await enqueued(store, a_job(type=TYPE))
    await store.hello(a_hello())
    await settle(store, (await claim(store))[0])
    await store.goodbye(NAMESPACE, a_hello().worker)
    await store.erase(now=NOW + 2 * HOUR, limit=10)

    assert await store.get(NAMESPACE, [job.id]) == {}
    assert "headrace:{default}:workers" not in client.keys("*")
    assert [queue.name for queue in await store.queues(NAMESPACE)] == [QUEUE]
