"""A namespace with something of everything in it, and all that can be seen of one."""

from dataclasses import replace
from typing import Any

from headrace.clock import ManualClock
from headrace.core.batch_request import NewBatch
from headrace.core.filters import JobFilter, Page
from headrace.core.flow import Edge
from headrace.core.job import Job
from headrace.core.outcomes import Succeeded
from headrace.core.request import EnqueueRequest
from headrace.core.schedule import Cron, Timing
from headrace.core.states import State
from headrace.core.steps import Signal, Step, StepKind
from headrace.core.unique import Unique
from headrace.engine.local import LocalOperations
from headrace.engine.operations import Runs, TypeInfo
from headrace.engine.published import PublishedTypes
from headrace.moving.mover import Wishes, move
from headrace.moving.report import Report
from headrace.moving.sides import MovableStore, Side, Surroundings, side_of
from headrace.stores.open import open_store
from headrace.stores.protocol import LogLine, Receipt, Record, Store
from headrace.stores.redis.partitions.sharing import is_shared
from tests.builders import (
    EXACT,
    HOUR,
    NAMESPACE,
    NOW,
    QUEUE,
    TYPE,
    a_failure,
    a_job,
    claim,
    enqueue,
    enqueued,
    note,
    settle,
)
from tests.contract.batching import a_member
from tests.contract.gated import define, limited, ordered, rate, user
from tests.contract.reads import everything

PLAIN = 530
"""More than one page."""


async def filled(store: Store, clock: ManualClock, *, plain: int = PLAIN) -> dict[str, str]:
    """Fills a namespace; the ids of the jobs that tests speak of, by name."""
    ids: dict[str, str] = {}
    engine = LocalOperations(store, clock, namespace=NAMESPACE)
    info = TypeInfo(name=TYPE, version=1, queue=QUEUE, priority=0, runs=Runs.ASYNC, policy=EXACT, schema={})
    await PublishedTypes(store, NAMESPACE, clock).publish([info])
    await _jobs_that_ran(store, ids)
    await _flow(store, ids)
    await _batches(store, engine, ids)
    await _lanes(store, ids)
    many = [
        a_job(queue="plain", payload=f'{{"n":{n}}}', priority=n % 3, tags=(f"t{n % 7}",))
        for n in range(plain)
    ]
    await enqueue(store, *many)
    ids["unique"] = (await enqueued(store, a_job(unique=Unique(key="only"), queue="plain"))).id
    ids["received"] = (
        await enqueued(
            store,
            a_job(receipt=Receipt(key="idempotency:a", until=NOW + HOUR, body="digest"), queue="plain"),
        )
    ).id
    await enqueued(store, a_job(receipt=Receipt(key="idempotency:old", until=NOW - 1), queue="plain"))
    await engine.put_schedule(
        "nightly", Timing(rule=Cron(expression="0 3 * * *")), EnqueueRequest(type=TYPE, payload={})
    )
    await store.append(NAMESPACE, "audit", [Record(key=f"a{n}", at=NOW + n, body="{}") for n in range(3)])
    await store.set_paused(NAMESPACE, "plain", paused=True)
    await store.set_paused(NAMESPACE, "later", paused=False)
    return ids


async def _jobs_that_ran(store: Store, ids: dict[str, str]) -> None:
    job = await _claimed(store, a_job(max_attempts=5))
    steps = (
        Step(number=1, kind=StepKind.STEP, name="fetch", occurrence=1, at=NOW, ended_at=NOW, value="1"),
        Step(
            number=2, kind=StepKind.WAIT, name="paid", occurrence=1, at=NOW, until=NOW + HOUR, fence=job.fence
        ),
    )
    lines = tuple(LogLine(at=NOW + n, level="info", message=f"line {n} é", data='{"a":1}') for n in range(3))
    await note(store, job, progress='{"done":1}', checkpoint='{"at":2}', steps=steps, lines=lines)
    await settle(store, job, a_failure())
    await store.signal(NAMESPACE, job.id, Signal(id="s2", name="paid", at=NOW, payload="2"))
    await store.signal(NAMESPACE, job.id, Signal(id="s1", name="paid", at=NOW + 1, payload="1"))
    ids["retrying"] = job.id
    for name, policy in (("dead", replace(EXACT, max_attempts=1)),):
        dying = await _claimed(store, a_job(max_attempts=1))
        await settle(store, dying, a_failure("no more"), policy=policy)
        ids[name] = dying.id
    over = await _claimed(store, a_job())
    await settle(store, over, Succeeded(result='{"ok":1}'))
    ids["completed"] = over.id


async def _claimed(store: Store, new: Any) -> Job:
    await enqueue(store, new)
    (job,) = await claim(store, n=1)
    assert job.id == new.facts.id
    return job


async def _flow(store: Store, ids: dict[str, str]) -> None:
    first = await _claimed(store, a_job())
    await settle(store, first, Succeeded(result='{"n":1}'))
    second = await enqueued(store, a_job(queue="plain"))
    child = a_job(state=State.BLOCKED, rank=NOW, queue="plain")
    edges = [
        Edge(child=child.facts.id, parent=one, number=number)
        for number, one in enumerate((first.id, second.id))
    ]
    await store.insert(NAMESPACE, [child], now=NOW, edges=edges)
    ids |= {"first parent": first.id, "second parent": second.id, "child": child.facts.id}


async def _batches(store: Store, engine: LocalOperations, ids: dict[str, str]) -> None:
    made = await engine.create_batch(NewBatch(on_complete=EnqueueRequest(type=TYPE, payload={"over": 1})))
    members = [one.job_id for one in await engine.add_to_batch(made.state.id, [a_member() for _ in range(3)])]
    (running,) = await claim(store, n=1)
    await settle(store, running)
    ids |= {"batch": made.state.id, "ended member": running.id}
    assert running.id in members


async def _lanes(store: Store, ids: dict[str, str]) -> None:
    await define(store, rate("per-user", 1, per_ms=HOUR))
    jobs = [limited(user("7"), queue="lanes") for _ in range(3)]
    await enqueue(store, *jobs)
    taken = await claim(store, n=1, queues={"lanes": 1})
    await claim(store, n=5, queues={"lanes": 5})
    assert len(taken) == 1
    await settle(store, taken[0])
    held = [ordered("7", queue="order", max_attempts=3) for _ in range(3)]
    await enqueue(store, *held)
    (started,) = await claim(store, n=5, queues={"order": 5})
    await settle(store, started, a_failure())
    ids |= {"holds the key": started.id, "waits for the key": held[1].facts.id}
    await enqueue(store, a_job(type="unknown", queue="lanes"))
    await claim(store, n=5, queues={"lanes": 5})


async def seen(store: MovableStore, ids: list[str] | None = None) -> dict[str, Any]:
    """All that can be seen of jobs that are moved, in their order, without what is each store's own."""
    jobs = sorted(await everything(store, JobFilter()), key=lambda job: job.seq)
    found: dict[str, Any] = {}
    for job in jobs:
        if ids is not None and job.id not in ids:
            continue
        kept = await store.kept(NAMESPACE, job.id, now=NOW)
        parents = await store.parents(NAMESPACE, job.id, after=-1, limit=100)
        found[job.id] = (
            job.facts,
            job.placement,
            (job.fence, job.progress, job.checkpoint, job.timed_out_at, job.waited_on),
            await store.history(NAMESPACE, job.id),
            (kept.steps, kept.signals),
            tuple(await store.log_lines(NAMESPACE, job.id)),
            tuple(parents) if job.placement.live else (),
        )
    return found


async def settings(store: MovableStore) -> dict[str, Any]:
    """Registers, records, receipts that are good, lanes.

    Not those of limits of which nothing is kept: partitions have one for each limit that they share.
    """
    registers = await store.scan(NAMESPACE, "")
    receipts, _ = await store.kept_receipts(NAMESPACE, after=None, limit=100)
    audit, _ = await store.list_records(NAMESPACE, "audit", Page(limit=100))
    return {
        "registers": {
            one.key: (one.value, one.due_at) for one in registers if not one.key.startswith("move:")
        },
        "receipts": sorted(
            (one.receipt.key, one.job_id, one.receipt.body) for one in receipts if one.receipt.until > NOW
        ),
        "lanes": [
            one
            for one in await store.kept_lanes(NAMESPACE, after="", limit=100)
            if one.tat is not None or not is_shared(one.key)
        ],
        "audit": list(audit),
    }


async def paused(store: Store) -> dict[str, bool]:
    return {one.name: one.paused for one in await store.queues(NAMESPACE)}


async def moved(source: Store, target: Store, clock: ManualClock, **wishes: bool) -> Report:
    """Moves, on one clock that time passes on only while the move waits."""
    here, there = await a_side(source, clock), await a_side(target, clock)
    return await move(here, there, Wishes(**wishes), surroundings(clock))


def surroundings(clock: ManualClock, mover: str = "mover") -> Surroundings:
    async def pause(seconds: float) -> None:
        clock.advance(seconds)

    return Surroundings(pause=pause, mover=mover)


async def a_side(store: Store, clock: ManualClock, name: str | None = None) -> Side:
    side = await side_of(store, NAMESPACE, clock=clock)
    return replace(side, name=name or f"{side.name} #{id(store)}")


async def opened(url: str) -> MovableStore:
    store = await open_store(url)
    await store.migrate()
    return (await side_of(store, NAMESPACE)).store
