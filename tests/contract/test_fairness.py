"""Fair queues: in which order the jobs of several tenants start."""

import asyncio
import json

from headrace.clock import ManualClock
from headrace.core.fairness import LINE_KEPT_MS, LINES, QUEUES, TAGS_BELOW
from headrace.core.lanes import lane_of_type
from headrace.core.outcomes import Parked, Released, RetryAsked, Snoozed, Unblocked
from headrace.core.policy import ErrorClass
from headrace.core.states import State
from headrace.core.unique import OnConflict, Unique
from headrace.stores.protocol import Applied, InsertKind, Swap
from headrace.upkeep.queues import ForgetLines, PutInLine
from tests.builders import (
    HOUR,
    MINUTE,
    NAMESPACE,
    NOW,
    QUEUE,
    SECOND,
    a_failure,
    a_hello,
    a_job,
    apply,
    claim,
    enqueue,
    enqueued,
    given_back_unstarted,
    happen,
    read,
    settle,
)
from tests.contract.conftest import opened_store
from tests.contract.fair import of, shares, tenants, weighted

FLOOD = 3_000


async def put_in_line(store, now: int) -> int:
    return (await PutInLine(store, ManualClock(now)).run_once()).done


async def flood(store, tenant: str, count: int = FLOOD, **columns) -> None:
    for start in range(0, count, 1_000):
        await enqueue(store, *(of(tenant, **columns) for _ in range(min(1_000, count - start))))


async def test_job_of_another_tenant_starts_next_after_a_flood(store):
    await flood(store, "a")
    await claim(store, n=1_000)

    await enqueue(store, of("b"))

    started = [*await claim(store, n=1), *await claim(store, n=1), *await claim(store, n=1)]
    assert "b" in tenants(started)


async def test_tenants_share_alike_whoever_came_first(store):
    await flood(store, "a", 400)
    await flood(store, "b", 400)

    found = shares(await claim(store, n=200))

    assert abs(found["a"] - found["b"]) <= 2


async def test_tenants_share_by_their_weights(store):
    await weighted(store, {"b": 3})
    await flood(store, "a", 400)
    await flood(store, "b", 400)

    found = shares(await claim(store, n=200))

    assert abs(found["b"] - 3 * found["a"]) <= 6


async def test_weight_that_changes_counts_for_the_jobs_that_come_after_it(store):
    await flood(store, "a", 100)
    await flood(store, "b", 100)
    key = f"{QUEUES}:{QUEUE}"
    register = (await store.read(NAMESPACE, [key]))[key]
    changed = json.loads(register.value) | {"given": {"b": 4}}
    swap = Swap(key=key, revision=register.revision, value=json.dumps(changed), due_at=NOW)
    assert await store.swap(NAMESPACE, (swap,))
    await claim(store, n=200)
    await flood(store, "a", 100)
    await flood(store, "b", 100)

    found = shares(await claim(store, n=100))

    assert found["b"] >= 3 * found["a"]


async def test_producers_at_once_give_each_job_of_a_tenant_a_tag_of_its_own(store):
    await asyncio.gather(*(enqueue(store, *(of("a") for _ in range(5))) for _ in range(20)))

    ranks = [job.placement.rank for job in await claim(store, n=200)]

    assert sorted(ranks) == list(range(100))


async def test_producers_at_once_for_several_tenants_do_not_stand_in_each_others_way(store):
    bulks = [[of(tenant) for tenant in order] for order in ("abc", "bca", "cab", "acb") * 5]

    answers = await asyncio.gather(*(enqueue(store, *bulk) for bulk in bulks))

    assert all(answer.kind is InsertKind.INSERTED for bulk in answers for answer in bulk)
    assert shares(await claim(store, n=30)) == {"a": 10, "b": 10, "c": 10}


async def test_priority_comes_before_shares(store):
    await flood(store, "a", 10, priority=5)
    await enqueue(store, of("b"))

    assert tenants(await claim(store, n=11)) == ["a"] * 10 + ["b"]


async def test_flood_of_one_priority_costs_nothing_in_another(store):
    await flood(store, "a", 500, priority=-5)
    await enqueue(store, of("b"), of("b"), of("a"))

    assert tenants(await claim(store, n=2)) == ["b", "a"]


async def test_rank_is_kept_when_a_job_is_given_back(store):
    await flood(store, "a", 20)
    job = (await claim(store, n=10))[9]

    await apply(store, given_back_unstarted(job, Released(reason="pause")))

    assert (await read(store, job.id)).placement.rank == job.placement.rank == 9


async def test_rank_is_kept_while_a_job_is_parked_and_due_again_when_it_comes_back(store):
    await flood(store, "a", 5)
    job = (await claim(store, n=5))[4]
    await apply(store, given_back_unstarted(job, Parked(lane=lane_of_type("later"))))
    assert (await read(store, job.id)).placement.rank == 4

    await store.hello(a_hello(types=frozenset({"later"}), seen_at=NOW + MINUTE))

    back = await read(store, job.id)
    assert (back.placement.rank, back.placement.due_at) == (4, NOW + MINUTE)
    (queue,) = await store.queues(NAMESPACE)
    assert queue.oldest_due_at is None or queue.oldest_due_at >= NOW


async def test_retry_waits_out_of_line_and_then_comes_behind_nobody_elses_flood(store):
    await flood(store, "a", 400)
    await flood(store, "b", 400)
    (job, *_) = await claim(store, n=100)
    await settle(store, job, a_failure())
    due = NOW + 10 * SECOND
    assert (await read(store, job.id)).placement.rank == due

    assert await put_in_line(store, due - 1) == 0
    assert await put_in_line(store, due) == 1

    head = await claim(store, n=4, now=due)
    assert job.id in [one.id for one in head]


async def test_retries_of_a_tenant_do_not_jump_the_others(store):
    await flood(store, "a", 100)
    failed = await claim(store, n=100)
    for job in failed:
        await settle(store, job, a_failure())
    due = NOW + 10 * SECOND
    await enqueue(store, *(of("b") for _ in range(100)), now=NOW)
    await put_in_line(store, due)

    found = shares(await claim(store, n=100, now=due))

    assert abs(found["a"] - found["b"]) <= 4


async def test_delayed_jobs_come_in_line_when_they_are_due(store):
    await enqueue(store, *(of("a", due_at=NOW + HOUR) for _ in range(200)))
    assert await claim(store, n=10, now=NOW + HOUR - 1) == []
    await enqueue(store, *(of("b") for _ in range(200)))

    await put_in_line(store, NOW + HOUR)

    found = shares(await claim(store, n=100, now=NOW + HOUR))
    assert abs(found["a"] - found["b"]) <= 4


async def test_job_without_a_tenant_in_a_fair_queue_is_not_left_behind(store):
    await flood(store, "a", 100)
    plain = await enqueued(store, a_job())
    await claim(store, n=50)
    await flood(store, "a", 100)
    await put_in_line(store, NOW)

    assert plain.id in [job.id for job in await claim(store, n=2)]


async def test_jobs_that_an_operator_runs_again_come_in_line(store):
    await flood(store, "a", 50)
    (job, *_) = await claim(store, n=1)
    await settle(store, job, a_failure(error_class=ErrorClass.PERMANENT))
    await happen(store, await read(store, job.id), RetryAsked(), now=NOW + HOUR)

    assert await put_in_line(store, NOW + HOUR) == 1

    assert (await read(store, job.id)).placement.rank < TAGS_BELOW


async def test_snoozed_job_is_ranked_by_its_due_time_until_that_has_come(store):
    await flood(store, "a", 3)
    (job, *_) = await claim(store, n=1)
    await settle(store, job, Snoozed(delay_ms=MINUTE))

    assert (await read(store, job.id)).placement.rank == NOW + MINUTE
    assert await put_in_line(store, NOW + MINUTE) == 1


async def test_unblocked_job_comes_in_line(store):
    await enqueue(store, of("a"))
    blocked = await enqueued(store, of("b", state=State.BLOCKED))

    assert await happen(store, blocked, Unblocked()) == Applied()

    assert await put_in_line(store, NOW) == 1
    assert (await read(store, blocked.id)).placement.rank < TAGS_BELOW


async def test_parked_jobs_that_have_no_tag_get_one_too(store):
    await flood(store, "a", 10)
    job = (await claim(store, n=1))[0]
    await settle(store, job, a_failure())
    due = NOW + 10 * SECOND
    (again,) = [one for one in await claim(store, n=20, now=due) if one.id == job.id]
    await apply(store, given_back_unstarted(again, Parked(lane="limit:x"), now=due), now=due)

    assert await put_in_line(store, due) == 1

    parked = await read(store, job.id)
    assert (parked.placement.parked_on, parked.placement.due_at) == ("limit:x", None)
    assert parked.placement.rank < TAGS_BELOW


async def test_flood_that_waits_parked_on_a_shared_lane_does_not_hold_newcomers_back(store):
    lane = "limit:queue:default"
    await flood(store, "a", 300)
    for job in await claim(store, n=300):
        await apply(store, given_back_unstarted(job, Parked(lane=lane)))

    assert await store.heads(NAMESPACE, [(QUEUE, 0)], [lane]) == {(QUEUE, 0): 0}
    assert await store.heads(NAMESPACE, [(QUEUE, 0)], []) == {}
    newcomer = await enqueued(store, of("b"))
    assert newcomer.placement.rank == 0


async def test_heads_are_those_of_the_queue_and_priority_asked_for(store):
    await flood(store, "a", 3, queue="q", priority=2)
    await claim(store, n=1, queues={"q": 1})
    await enqueue(store, a_job(queue="plain"))

    found = await store.heads(NAMESPACE, [("q", 2), ("q", 1), ("plain", 0), ("nothing", 0)], ["limit:all"])

    assert found == {("q", 2): 1}
    assert await store.heads("other", [("q", 2)], []) == {}


async def test_replaced_job_comes_in_line_anew(store):
    key = Unique(key="k", on_conflict=OnConflict.REPLACE)
    first = await enqueued(store, of("a", unique=key))
    assert first.placement.rank < TAGS_BELOW

    (answer,) = await enqueue(store, of("a", unique=key))

    assert answer.kind is InsertKind.REPLACED
    assert await put_in_line(store, NOW) == 1
    assert (await read(store, first.id)).placement.rank < TAGS_BELOW


async def test_namespaces_do_not_share(store):
    await flood(store, "a", 100)

    other = await enqueued(store, of("a", namespace="other"))

    assert other.placement.rank == 0


async def test_plain_queues_keep_no_registers(store):
    await enqueue(store, a_job(), a_job())

    assert await put_in_line(store, NOW) == 0
    assert await store.due(QUEUES, now=NOW + HOUR, limit=10) == []


async def test_two_who_put_in_line_at_once_do_it_once(store):
    await enqueue(store, of("a"))
    await enqueue(store, *(of("a", due_at=NOW + 1) for _ in range(50)))

    done = await asyncio.gather(*(put_in_line(store, NOW + 1) for _ in range(4)))

    jobs = await claim(store, n=60, now=NOW + 1)
    assert sum(done) >= 50
    assert len(jobs) == 51
    assert len({(job.placement.rank, job.seq) for job in jobs}) == 51


async def test_line_of_a_tenant_is_forgotten_once_the_others_have_passed_it(store):
    await flood(store, "a", 10)
    await claim(store, n=10)
    await flood(store, "b", 200)
    await claim(store, n=150)
    await flood(store, "b", 1)
    later = NOW + LINE_KEPT_MS
    assert (await ForgetLines(store, ManualClock(later - 1)).run_once()).done == 0

    done = (await ForgetLines(store, ManualClock(later)).run_once()).done

    kept = [one.key for one in await store.scan(NAMESPACE, f"{LINES}:")]
    assert done == 1
    assert kept == [f"{LINES}:default/0/first/b"]


async def test_newcomer_of_another_process_starts_among_the_next(persistent_url):
    here, elsewhere = await opened_store(persistent_url), await opened_store(persistent_url)
    await flood(here, "a")
    for _ in range(40):
        await claim(here, n=20)

    await enqueue(elsewhere, of("b"))

    started = [job for _ in range(25) for job in await claim(here, n=1)]
    assert "b" in tenants(started)
    await here.close()
    await elsewhere.close()
