import asyncio
import json

import pytest

from headrace.core.filters import JobFilter
from headrace.core.outcomes import CancelAsked, Succeeded
from headrace.core.states import State
from headrace.core.unique import OnConflict, Unique
from headrace.errors import DuplicateJob, InvalidInput, LeaseLost, StaleRegister
from headrace.stores.protocol import Holder, Inserted, InsertKind, LogLine, Swap
from tests.builders import (
    HOUR,
    NAMESPACE,
    NOW,
    a_job,
    claim,
    claimed,
    enqueue,
    enqueued,
    happen,
    holder,
    note,
    read,
    rescue,
    settle,
)
from tests.contract.reads import everything, ids_of, recounted, tallied

BROKEN_LINE = LogLine(at=NOW, level="info", message="\ud800")


async def test_c5_insert_answers_each_job_with_its_id_in_order(store):
    jobs = [a_job() for _ in range(3)]

    answers = await enqueue(store, *jobs)

    assert list(answers) == [Inserted(kind=InsertKind.INSERTED, job_id=job.facts.id) for job in jobs]


async def test_c6_bulk_keeps_its_order(store):
    jobs = [a_job() for _ in range(50)]

    await enqueue(store, *jobs)

    by_seq = sorted(await everything(store), key=lambda job: job.seq)
    assert [job.id for job in by_seq] == [job.facts.id for job in jobs]


async def test_c6_order_goes_on_over_calls(store):
    first, second = await enqueued(store), await enqueued(store)

    assert first.seq < second.seq


async def test_c6_bulk_of_ten_thousand_is_one_op(store):
    await enqueue(store, *(a_job() for _ in range(10_000)))

    assert (await tallied(store)).total() == 10_000


async def test_c6_empty_bulk_does_nothing(store):
    assert list(await store.insert(NAMESPACE, [], now=NOW)) == []


async def test_c6_bulk_is_refused_whole_when_one_job_is(store):
    await enqueued(store, a_job(unique=Unique(key="k")))
    refused = a_job(unique=Unique(key="k", on_conflict=OnConflict.REJECT))

    with pytest.raises(DuplicateJob):
        await enqueue(store, a_job(), refused, a_job())

    assert len(await everything(store)) == 1
    assert (await tallied(store)).total() == 1


async def test_c9_every_fact_is_read_back(store):
    new = a_job(
        type="send.mail",
        queue="mail",
        payload='{"a":[1,2.5,null,true]}',
        created_at=NOW - 5,
        due_at=NOW + HOUR,
        rank=NOW + 7,
        priority=-3,
        unique=Unique(key="ключ 🎛"),
        max_attempts=9,
        max_crashes=4,
        timeout_ms=5_000,
        backoff='{"shape":"fixed","base_ms":5}',
        batch_id="batch-1",
        parent_id="parent-1",
        tags=("b", "a"),
    )

    job = await enqueued(store, new)

    assert job.facts == new.facts
    assert job.placement == new.placement
    assert (job.fence, job.progress, job.checkpoint, job.timed_out_at) == (0, None, None, None)


async def test_c9_blocked_job_is_read_back(store):
    new = a_job(state=State.BLOCKED)

    assert (await enqueued(store, new)).placement == new.placement


@pytest.mark.parametrize(
    "payload",
    [
        "null",
        '""',
        '{ "spaces" :\t1 }',
        '{"big":18446744073709551617,"exp":1e300,"neg":-0.0}',
        json.dumps({"nul": "a\0b", "quotes": "'\"\\", "sep": "\u2028\u2029"}, ensure_ascii=True),
        json.dumps({"planes": "é中🎛", "bidi": "\u202e", "bom": "\ufeff"}, ensure_ascii=False),
        '{"sql":"\'; drop table job; --","percent":"%s %(x)s ? :x $1"}',
        '"' + "x" * 1_000_000 + '"',
        "[" * 64 + "]" * 64,
    ],
    ids=lambda payload: payload[:20],
)
async def test_c9_payload_is_kept_to_the_letter(store, payload):
    job = await enqueued(store, a_job(payload=payload))

    assert job.facts.payload == payload


async def test_c9_result_and_error_are_kept_to_the_letter(store):
    result = '{"é": "\\u0000 🎛", "n": 1e300 }'
    job = await claimed(store)

    await settle(store, job, Succeeded(result=result))

    assert (await read(store, job.id)).placement.result == result


async def test_c38_child_is_inserted_while_the_parents_lease_holds(store):
    parent = await claimed(store)

    await store.insert(NAMESPACE, [a_job(parent_id=parent.id)], now=NOW, parent=holder(parent))

    assert len(await everything(store)) == 2


async def test_c12_child_is_refused_when_the_parent_was_rescued(store):
    parent = await claimed(store)
    await rescue(store, now=NOW + HOUR)

    with pytest.raises(LeaseLost):
        await store.insert(NAMESPACE, [a_job()], now=NOW + HOUR, parent=holder(parent))

    assert await ids_of(store) == [parent.id]


async def test_c12_child_is_refused_when_another_holds_the_parent(store):
    parent = await claimed(store)
    await rescue(store, now=NOW + HOUR)
    (taken,) = await claim(store, now=NOW + 2 * HOUR, worker="worker-2")

    with pytest.raises(LeaseLost) as refusal:
        await store.insert(NAMESPACE, [a_job()], now=NOW + 2 * HOUR, parent=holder(parent))

    assert (refusal.value.job_id, refusal.value.fence) == (parent.id, parent.fence)
    assert taken.fence > parent.fence


async def test_c12_child_is_refused_when_the_parent_has_ended(store):
    parent = await claimed(store)
    await settle(store, parent)

    with pytest.raises(LeaseLost):
        await store.insert(NAMESPACE, [a_job()], now=NOW, parent=holder(parent))


@pytest.mark.parametrize("fence", [0, 2])
async def test_c12_child_is_refused_when_the_fence_is_not_the_parents(store, fence):
    parent = await claimed(store)

    with pytest.raises(LeaseLost):
        await store.insert(NAMESPACE, [a_job()], now=NOW, parent=Holder(job_id=parent.id, fence=fence))


async def test_c12_child_is_refused_when_the_parent_only_waits(store):
    parent = await enqueued(store)

    with pytest.raises(LeaseLost):
        await store.insert(NAMESPACE, [a_job()], now=NOW, parent=holder(parent))


async def test_c13_child_is_inserted_when_the_parents_lease_expired_but_nobody_rescued(store):
    parent = await claimed(store)

    await store.insert(NAMESPACE, [a_job()], now=NOW + HOUR, parent=holder(parent))

    assert len(await everything(store)) == 2


async def test_child_is_inserted_when_a_cancel_of_the_parent_was_asked(store):
    parent = await claimed(store)
    await happen(store, parent, CancelAsked())

    await store.insert(NAMESPACE, [a_job()], now=NOW, parent=holder(parent))

    assert len(await everything(store)) == 2


async def test_insert_makes_its_swaps(store):
    await store.insert(
        NAMESPACE, [a_job()], now=NOW, swaps=[Swap(key="fire:1", revision=0, value="1", due_at=NOW)]
    )

    register = (await store.read(NAMESPACE, ["fire:1"]))["fire:1"]
    assert (register.value, register.due_at) == ("1", NOW)


async def test_insert_and_all_swaps_are_refused_when_one_swap_is_stale(store):
    await store.swap(NAMESPACE, [Swap(key="fire:1", revision=0, value="1")])
    swaps = [Swap(key="other", revision=0, value="x"), Swap(key="fire:1", revision=0, value="2")]

    with pytest.raises(StaleRegister) as refusal:
        await store.insert(NAMESPACE, [a_job()], now=NOW, swaps=swaps)

    assert refusal.value.key == "fire:1"
    assert await everything(store) == []
    assert {key: one.value for key, one in (await store.read(NAMESPACE, ["fire:1", "other"])).items()} == {
        "fire:1": "1"
    }


async def test_swaps_are_not_made_when_a_job_is_refused(store):
    await enqueued(store, a_job(unique=Unique(key="k")))
    refused = a_job(unique=Unique(key="k", on_conflict=OnConflict.REJECT))

    with pytest.raises(DuplicateJob):
        await store.insert(NAMESPACE, [refused], now=NOW, swaps=[Swap(key="fire:1", revision=0, value="1")])

    assert await store.read(NAMESPACE, ["fire:1"]) == {}


async def test_swaps_are_not_made_when_the_parents_lease_is_lost(store):
    parent = await enqueued(store)

    with pytest.raises(LeaseLost):
        await store.insert(
            NAMESPACE, [a_job()], now=NOW, parent=holder(parent), swaps=[Swap(key="x", revision=0, value="1")]
        )

    assert await store.read(NAMESPACE, ["x"]) == {}


async def test_c32_of_many_that_fire_the_same_instant_at_once_one_inserts_its_job(store):
    await store.swap(NAMESPACE, [Swap(key="schedule", revision=0, value="09:00")])
    revision = (await store.read(NAMESPACE, ["schedule"]))["schedule"].revision
    advance = Swap(key="schedule", revision=revision, value="10:00")

    fires = await asyncio.gather(
        *(store.insert(NAMESPACE, [a_job()], now=NOW, swaps=[advance]) for _ in range(12)),
        return_exceptions=True,
    )

    assert sum(isinstance(fire, StaleRegister) for fire in fires) == 11
    assert len(await everything(store)) == 1


async def test_swaps_are_made_without_any_job(store):
    await store.insert(NAMESPACE, [], now=NOW, swaps=[Swap(key="x", revision=0, value="1")])

    assert set(await store.read(NAMESPACE, ["x"])) == {"x"}


async def test_c6_refused_bulk_leaves_nothing_when_others_are_written_in_the_same_moment(store):
    await enqueued(store, a_job(unique=Unique(key="k")))

    async def refused(number: int) -> None:
        rejected = a_job(unique=Unique(key="k", on_conflict=OnConflict.REJECT))
        swap = Swap(key=f"swap-{number}", revision=0, value="1")
        with pytest.raises(DuplicateJob):
            await store.insert(NAMESPACE, [a_job(tags=("refused",)), rejected], now=NOW, swaps=[swap])

    await asyncio.gather(*(work for n in range(10) for work in (enqueue(store, a_job()), refused(n))))

    assert len(await everything(store)) == 11
    assert await store.scan(NAMESPACE, "swap-") == []
    assert await ids_of(store, JobFilter(tag="refused")) == []
    assert await tallied(store) == await recounted(store)


@pytest.mark.parametrize(
    "bad", [{"payload": '"\ud800"'}, {"tags": ("\ud800",)}, {"due_at": 2**70}], ids=ascii
)
async def test_c9_what_no_store_can_keep_is_refused_whole_and_disturbs_nobody(store, bad):
    refused = store.insert(NAMESPACE, [a_job(), a_job(**bad)], now=NOW)

    beside, error, _ = await asyncio.gather(
        enqueue(store, a_job()), refused, enqueue(store, a_job()), return_exceptions=True
    )

    assert isinstance(error, InvalidInput)
    assert beside[0].kind is InsertKind.INSERTED
    assert (await tallied(store)).total() == len(await everything(store)) == 2


@pytest.mark.parametrize(
    "fields", [{"progress": '"\ud800"'}, {"lines": (BROKEN_LINE,)}], ids=["progress", "line"]
)
async def test_c9_note_that_no_store_can_keep_is_refused(store, fields):
    job = await claimed(store)

    with pytest.raises(InvalidInput):
        await note(store, job, **fields)

    assert (await read(store, job.id)).progress is None
