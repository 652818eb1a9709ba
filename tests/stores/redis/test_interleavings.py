"""Two ops that meet: each decides on what the other has left behind, never on what it saw before."""

import asyncio
from functools import partial

import pytest

from headrace.core.outcomes import RetryAsked
from headrace.core.states import State
from headrace.core.unique import OnConflict, Unique
from headrace.errors import DuplicateJob, InvalidInput, LeaseLost, StaleRegister, StoreUnavailable
from headrace.stores.protocol import Conflict, InsertKind, Receipt, Swap
from tests.builders import (
    HOUR,
    LEASE,
    MINUTE,
    NAMESPACE,
    NOW,
    a_failure,
    a_job,
    apply,
    claim,
    claimed,
    decided,
    enqueue,
    enqueued,
    holder,
    read,
    reported,
    rescue,
    settle,
)
from tests.contract.reads import everything
from tests.stores.redis.meanwhile import Meanwhile

LATE = NOW + LEASE + 1
KEY = Unique(key="key")
LATEST = Unique(key="key", on_conflict=OnConflict.REPLACE)
STRICT = Unique(key="key", on_conflict=OnConflict.REJECT)


@pytest.fixture
def meanwhile(monkeypatch: pytest.MonkeyPatch) -> Meanwhile:
    return Meanwhile(monkeypatch)


def a_receipt(body: str | None = "body") -> Receipt:
    return Receipt(key="order", body=body, until=NOW + HOUR)


# ------------------------------------------------------------ a zombie's child


async def test_c12_child_of_a_parent_that_is_rescued_meanwhile_is_refused(store, rival, meanwhile):
    parent = await claimed(store)
    meanwhile(partial(rescue, rival, now=LATE))

    with pytest.raises(LeaseLost):
        await store.insert(NAMESPACE, [a_job()], now=NOW, parent=holder(parent))

    assert meanwhile.done
    assert [job.id for job in await everything(store)] == [parent.id]


# ------------------------------------------------------------ keys


async def test_c28_latest_wins_does_not_change_a_job_that_starts_meanwhile(store, rival, meanwhile):
    first = await enqueued(store, a_job(unique=LATEST, payload="1"))
    await enqueue(store, a_job(unique=Unique(key="other")))
    later = a_job(unique=LATEST, payload="2")
    meanwhile(partial(claim, rival))

    (answer,) = await enqueue(store, later)

    assert meanwhile.done
    assert answer.kind is InsertKind.INSERTED  # the key of the one that runs is free again
    assert (await read(store, first.id)).facts.payload == "1"
    assert (await read(store, answer.job_id)).facts.payload == "2"


async def test_c28_latest_wins_goes_over_another_latest(store, rival, meanwhile):
    first = await enqueued(store, a_job(unique=LATEST, payload="1", due_at=NOW + HOUR, tags=("a",)))
    meanwhile(partial(enqueue, rival, a_job(unique=LATEST, payload="2", due_at=NOW + MINUTE, tags=("b",))))

    (answer,) = await enqueue(store, a_job(unique=LATEST, payload="3", due_at=NOW, tags=("c",)))

    assert (answer.kind, answer.job_id) == (InsertKind.REPLACED, first.id)
    assert meanwhile.commits == 3  # this one, the other one, and this one again
    left = await read(store, first.id)
    assert (left.facts.payload, left.facts.tags, left.placement.due_at) == ("3", ("c",), NOW)
    assert (left.revision, [job.id for job in await claim(store)]) == (2, [first.id])


async def test_c28_key_that_comes_free_meanwhile_is_taken(store, rival, meanwhile):
    running = await claimed(store, a_job(unique=KEY))
    swap = Swap(key="x", revision=0, value="1")
    meanwhile(partial(settle, rival, running))

    new = a_job(unique=LATEST)
    (answer,) = await store.insert(NAMESPACE, [new], now=NOW, swaps=[swap])

    # it was held when it was looked for, and that is the answer: nothing had to be written for it
    assert (answer.kind, answer.job_id) == (InsertKind.EXISTING, running.id)
    assert [job.id for job in await everything(store)] == [running.id]


async def test_c28_key_that_is_taken_meanwhile_is_respected(store, rival, meanwhile):
    swap = Swap(key="x", revision=0, value="1")
    other = a_job(unique=KEY)
    meanwhile(partial(enqueue, rival, other))

    answers = await store.insert(NAMESPACE, [a_job(), a_job(unique=KEY)], now=NOW, swaps=[swap])

    assert [answer.kind for answer in answers] == [InsertKind.INSERTED, InsertKind.EXISTING]
    assert answers[1].job_id == other.facts.id
    assert len(await everything(store)) == 2
    assert (await store.read(NAMESPACE, ["x"]))["x"].value == "1"


async def test_c30_key_that_is_taken_meanwhile_refuses_the_whole_bulk(store, rival, meanwhile):
    swap = Swap(key="x", revision=0, value="1")
    meanwhile(partial(enqueue, rival, a_job(unique=KEY)))

    with pytest.raises(DuplicateJob):
        await store.insert(NAMESPACE, [a_job(), a_job(unique=STRICT)], now=NOW, swaps=[swap])

    assert len(await everything(store)) == 1
    assert await store.read(NAMESPACE, ["x"]) == {}


async def test_c31_receipt_that_is_written_meanwhile_answers(store, rival, meanwhile):
    swap = Swap(key="x", revision=0, value="1")
    first = a_job(receipt=a_receipt())
    meanwhile(partial(enqueue, rival, first))

    (answer,) = await store.insert(NAMESPACE, [a_job(receipt=a_receipt())], now=NOW, swaps=[swap])

    assert (answer.kind, answer.job_id) == (InsertKind.EXISTING, first.facts.id)
    assert len(await everything(store)) == 1


async def test_c31_sixteen_with_one_receipt_are_one_job(store, rival):
    new = [a_job(receipt=a_receipt()) for _ in range(16)]

    told = await asyncio.gather(*(enqueue(to, one) for one, to in zip(new, (store, rival) * 8, strict=True)))

    assert len({answer.job_id for (answer,) in told}) == 1
    assert [answer.kind for (answer,) in told].count(InsertKind.INSERTED) == 1
    assert len(await everything(store)) == 1


async def test_c6_id_that_is_there_refuses_the_whole_bulk(store):
    first = await enqueued(store)

    with pytest.raises(InvalidInput) as refused:
        await enqueue(store, a_job(), a_job(id=first.id))

    assert refused.value.field == "id"
    assert [job.id for job in await everything(store)] == [first.id]


# ------------------------------------------------------------ registers


async def test_register_that_changes_meanwhile_refuses_the_insert(store, rival, meanwhile):
    swap = Swap(key="x", revision=0, value="1")
    meanwhile(partial(rival.swap, NAMESPACE, [Swap(key="x", revision=0, value="2")]))

    with pytest.raises(StaleRegister):
        await store.insert(NAMESPACE, [a_job()], now=NOW, swaps=[swap])

    assert await everything(store) == []


# ------------------------------------------------------------ moves


async def test_c3_move_that_meets_a_rescue_writes_no_trail(store, rival, meanwhile):
    job = await claimed(store)
    retried = reported(job, a_failure())
    meanwhile(partial(rescue, rival, now=LATE))
    swap = Swap(key="x", revision=0, value="1")

    await store.apply([retried], now=NOW, swaps=[swap])

    assert meanwhile.done
    attempts = (await store.history(NAMESPACE, job.id)).attempts
    assert [(one.fence, one.outcome) for one in attempts] == [(1, "rescued")]


async def test_c28_job_that_runs_again_meets_who_took_its_key_meanwhile(store, rival):
    job = await enqueued(store, a_job(unique=KEY, max_attempts=1))
    (running,) = await claim(store)
    await settle(store, running, a_failure())
    dead = await read(store, job.id)
    again = decided(dead, RetryAsked())
    other = await enqueued(rival, a_job(unique=KEY))

    assert await apply(store, again) == Conflict(other.id)

    assert (await read(store, job.id)).state is State.FAILED


# ------------------------------------------------------------ too many others


async def test_who_meets_others_again_and_again_is_told_to_try_later(store, rival, meanwhile):
    first = await enqueued(store, a_job(unique=LATEST, due_at=NOW + HOUR))
    seen = (await read(store, first.id)).revision

    async def move_away() -> None:
        current = await read(rival, first.id)
        keys = rival._database.keys(NAMESPACE)
        await rival._database.call("HSET", keys.job(first.id), "r", current.revision + 1)

    meanwhile(*[move_away] * 30)

    with pytest.raises(StoreUnavailable, match="busy"):
        await enqueue(store, a_job(unique=LATEST, payload="2", due_at=NOW + HOUR))

    left = await read(store, first.id)
    assert (left.facts.payload, left.revision) == ('{"n":1}', seen + 30)


async def test_who_was_cancelled_leaves_nothing_watched_behind(store, rival, monkeypatch):
    await enqueued(store, a_job(unique=LATEST))
    started = asyncio.Event()

    async def never(_: object) -> None:
        started.set()
        await asyncio.Event().wait()

    with monkeypatch.context() as patched:
        patched.setattr("headrace.stores.redis.session.Session.commit", never)
        waiting = asyncio.create_task(enqueue(store, a_job(unique=LATEST)))
        await started.wait()
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
    await happen_to_all(rival)

    (answer,) = await enqueue(store, a_job(unique=LATEST))

    assert answer.kind is InsertKind.INSERTED


async def happen_to_all(store) -> None:
    for job in await claim(store):
        await settle(store, job)
