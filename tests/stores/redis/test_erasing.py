"""Erasing: what is left of a job, what is needed is passed over, and several that erase at once."""

import asyncio

from headrace.core.filters import JobFilter
from headrace.core.outcomes import CancelAsked, DealtWith, RetryAsked
from headrace.core.states import State
from headrace.core.steps import Signal, Step, StepKind
from headrace.core.unique import Unique
from headrace.stores.protocol import LogLine, Swap
from tests.builders import (
    HOUR,
    NAMESPACE,
    NOW,
    SECOND,
    TYPE,
    a_failure,
    a_job,
    claim,
    claimed,
    enqueue,
    enqueued,
    happen,
    note,
    read,
    rescue,
    settle,
)
from tests.contract.flowing import a_child, edge
from tests.contract.gated import define, ordered, slots, taken
from tests.contract.reads import everything, ids_of, recounted, tallied

LATER = NOW + 10_000 * HOUR
ROOT = "headrace:{default}:"
STAYS = frozenset({"seq", "queues", "versions", "rs"})
"""Counters, settings of queues, and which registers there are."""

A_STEP = Step(number=1, kind=StepKind.STEP, name="s", occurrence=1, at=NOW, ended_at=NOW, value="1")
A_LINE = LogLine(at=NOW, level="info", message="x")


async def completed(store, count: int):
    await enqueue(store, *(a_job(tags=("a", "b")) for _ in range(count)))
    jobs = await claim(store, n=count)
    for job in jobs:
        await settle(store, job)
    return jobs


async def a_full_life(store) -> None:
    """A job that has all that a job may own."""
    new = a_job(tags=("a", 'b"\\é'), unique=Unique(key="k"), batch_id="b", timeout_ms=5)
    job = await claimed(store, new)
    await note(store, job, progress="1", checkpoint="2", lines=(A_LINE,) * 3, steps=(A_STEP,))
    await store.signal(NAMESPACE, job.id, Signal(id="s", name="go", at=NOW, payload="1"))
    await settle(store, job, a_failure())
    (again,) = await claim(store, now=NOW + HOUR)
    await note(store, again, timed_out_at=NOW + HOUR)
    await settle(store, again, now=NOW + HOUR)


async def lives_of_all_kinds(store) -> None:
    """Jobs that were cancelled, lost, failed, dealt with, retried, and a flow."""
    await happen(store, await enqueued(store, a_job(state=State.BLOCKED, tags=("x",))), CancelAsked())
    await happen(store, await enqueued(store, a_job(due_at=NOW + HOUR)), CancelAsked())
    lost = await claimed(store, a_job(max_attempts=1, unique=Unique(key="l")))
    await rescue(store, now=NOW + HOUR)
    await happen(store, await read(store, lost.id), CancelAsked())
    failed = await claimed(store, a_job(max_attempts=1))
    await settle(store, failed, a_failure())
    await happen(store, await read(store, failed.id), RetryAsked())
    (failed,) = await claim(store)
    await settle(store, failed, a_failure())
    await happen(store, await read(store, failed.id), DealtWith())
    parent, child = a_job(), a_child()
    await store.insert(NAMESPACE, [parent, child], now=NOW, edges=[edge(child, parent.facts.id)])
    await settle(store, (await claim(store))[0])
    await happen(store, await read(store, child.facts.id), CancelAsked())


async def lives_behind_lanes(store) -> None:
    """Jobs of an ordering key that hold slots of a limit, and that waited for both."""
    await define(store, slots("gpu", 1))
    await enqueue(store, *(ordered(lanes=("limit:gpu",)) for _ in range(3)))
    for n in range(3):
        (job,) = await taken(store, now=NOW + n * SECOND)
        await settle(store, job, now=NOW + n * SECOND)


async def test_c44_nothing_but_counters_and_registers_is_left_once_all_jobs_are_erased(store, client):
    await a_full_life(store)
    await lives_of_all_kinds(store)
    before = {name.removeprefix(ROOT).partition(":")[0] for name in client.keys(f"{ROOT}*")}

    while await store.erase(now=LATER, limit=100):
        pass

    assert await everything(store) == []
    left = {name.removeprefix(ROOT) for name in client.keys(f"{ROOT}*")}
    assert before >= {
        "j",
        "note",
        "lines",
        "steps",
        "signals",
        "up",
        "down",
        "tag",
        "ukey",
        "batch",
        "tally",
        "died",
    }
    assert left <= STAYS
    assert await tallied(store) == {}


async def test_c44_nothing_of_jobs_behind_lanes_is_left_once_they_are_erased(store, client):
    await lives_behind_lanes(store)

    assert await store.erase(now=LATER, limit=100) == 3

    left = {name.removeprefix(ROOT).partition(":")[0] for name in client.keys(f"{ROOT}*")}
    assert left <= STAYS | {"r", "lane", "lanes"}


async def test_c44_erased_job_leaves_the_neighbours_in_its_indexes(store, client):
    await a_full_life(store)
    other = await enqueued(store, a_job(tags=("a",), unique=Unique(key="k"), batch_id="b"))

    assert await store.erase(now=LATER, limit=10) == 1

    for wanted in (JobFilter(tag="a"), JobFilter(unique_key="k"), JobFilter(batch_id="b")):
        assert await ids_of(store, wanted) == [other.id]
    assert client.get(f"{ROOT}u:k") == other.id


async def test_erasers_share_the_work_and_count_each_job_once(store, rival):
    await completed(store, 40)

    counts = await asyncio.gather(
        *(one.erase(now=LATER, limit=7) for _ in range(5) for one in (store, rival))
    )
    counts.append(await store.erase(now=LATER, limit=100))

    assert sum(counts) == 40
    assert await everything(store) == []
    assert await tallied(store) == await recounted(store) == {}


async def test_c44_newest_are_kept_by_many_erasers_at_once(store, rival):
    jobs = await completed(store, 30)

    counts = await asyncio.gather(
        *(
            one.erase_beyond(NAMESPACE, TYPE, State.COMPLETED, keep=4, limit=5)
            for _ in range(4)
            for one in (store, rival)
        )
    )
    while count := await store.erase_beyond(NAMESPACE, TYPE, State.COMPLETED, keep=4, limit=5):
        counts.append(count)

    assert sum(counts) == 26
    assert {job.id for job in await everything(store)} == {job.id for job in jobs[-4:]}
    assert await tallied(store) == await recounted(store)


async def test_c44_members_of_an_open_batch_are_passed_over_however_many_they_are(store):
    await store.swap(NAMESPACE, [Swap(key="batch:open", revision=0, value="{}", due_at=LATER)])
    members = [a_job(batch_id="open", state=State.BLOCKED) for _ in range(700)]
    others = [a_job(batch_id="gone", state=State.BLOCKED) for _ in range(3)]
    await enqueue(store, *members, *others)
    cancelled = (await everything(store))[::-1]
    for first in range(0, len(cancelled), 100):
        await cancel_all(store, cancelled[first : first + 100])

    assert await store.erase(now=LATER, limit=100) == 3
    assert await store.erase_beyond(NAMESPACE, TYPE, State.CANCELLED, keep=0, limit=100) == 0
    register = (await store.read(NAMESPACE, ["batch:open"]))["batch:open"]
    await store.swap(NAMESPACE, [Swap(key="batch:open", revision=register.revision, value="{}")])
    assert await store.erase(now=LATER, limit=1000) == 700


async def test_c44_parent_of_a_thousand_children_stays_until_the_last_has_ended(store):
    parent = await claimed(store)
    children = [a_child() for _ in range(1_200)]
    await store.insert(NAMESPACE, children, now=NOW, edges=[edge(one, parent.id) for one in children])
    await settle(store, await read(store, parent.id))
    jobs = list((await store.get(NAMESPACE, [one.facts.id for one in children])).values())
    await cancel_all(store, jobs[1:])

    while_one_lives = await store.erase(now=LATER, limit=2_000)
    there = set(await store.get(NAMESPACE, [parent.id, jobs[0].id]))
    await cancel_all(store, jobs[:1])

    assert while_one_lives == 1_199
    assert there == {parent.id, jobs[0].id}
    assert await store.erase(now=LATER, limit=10) == 2


async def cancel_all(store, jobs) -> None:
    for job in jobs:
        await happen(store, job, CancelAsked())
