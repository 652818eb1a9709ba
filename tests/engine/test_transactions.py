"""``app.transaction`` and ``.using(tx=...)``: jobs exist if and when the transaction commits (C7)."""

from collections.abc import AsyncIterator
from contextlib import suppress

import pytest

from headrace import (
    App,
    DuplicateJob,
    IdempotencyMismatch,
    InvalidPayload,
    JobNotFound,
    OnConflict,
    Settings,
    State,
)
from headrace.errors import MisuseError
from headrace.stores.values import InsertKind
from tests.contract.conftest import STORES
from tests.engine.transacting import SQL_STORES, Inside, Program

PATIENCE = 60

on_sql = pytest.mark.parametrize("program", SQL_STORES, ids=lambda kind: kind.name, indirect=True)


@pytest.fixture(params=STORES, ids=lambda kind: kind.name)
async def program(request: pytest.FixtureRequest, tmp_path) -> AsyncIterator[Program]:
    async with App(request.param.url(tmp_path), settings=Settings()) as app:
        one = Program.on(request.param.name, app)
        await one.make_ledger()
        yield one
    app.portal.close()


@pytest.fixture
def add(program: Program):
    @program.app.job(queue="sums")
    async def add(a: int, b: int = 1) -> int:
        return a + b

    return add


class Changed(Exception):
    """Raised by a body that wants nothing of what it did."""


async def count(program: Program) -> int:
    return (await (await program.app.operations()).stats()).count()


async def test_committed_job_is_there_with_the_other_writes_and_runs(program, add):
    async def body(tx: Inside):
        await tx.note("one")
        return await tx.enqueue(add, 3)

    handle = await program.transaction(body)

    assert await program.ledger() == ["one"]
    assert (await handle.job()).facts.queue == "sums"
    async with program.app.running_worker():
        assert await handle.result(timeout=PATIENCE) == 4


async def test_undone_job_was_never_there(program, add):
    handles = []

    async def body(tx: Inside):
        await tx.note("one")
        handles.append(await tx.enqueue(add, 3))
        raise Changed

    with pytest.raises(Changed):
        await program.transaction(body)

    with pytest.raises(JobNotFound):
        await handles[0].job()
    assert (await program.ledger(), await count(program)) == ([], 0)


@on_sql
async def test_job_of_an_undone_savepoint_is_not_there_and_the_others_are(program, add):
    async def body(tx: Inside):
        await tx.enqueue(add, 1)
        await tx.sql("savepoint mine")
        await tx.enqueue(add, 2)
        await tx.note("lost")
        await tx.sql("rollback to savepoint mine")
        await tx.enqueue(add, 3)
        await tx.note("kept")

    await program.transaction(body)

    assert (await program.ledger(), await count(program)) == (["kept"], 2)


async def wakes(program: Program, monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """What happens, in order: hints among what a body notes."""
    store = (await program.app.open()).store
    happened: list[object] = []
    monkeypatch.setattr(store, "wake", lambda namespace, queues: happened.append(queues))
    return happened


async def test_waiting_workers_are_woken_after_the_commit_and_not_before(program, add, monkeypatch):
    happened = await wakes(program, monkeypatch)

    async def body(tx: Inside):
        await tx.enqueue(add, 1)
        happened.append("body ends")

    await program.transaction(body)

    assert happened == ["body ends", frozenset({"sums"})]


async def test_undone_transaction_wakes_nobody(program, add, monkeypatch):
    happened = await wakes(program, monkeypatch)

    async def body(tx: Inside):
        await tx.enqueue(add, 1)
        raise Changed

    with pytest.raises(Changed):
        await program.transaction(body)

    assert happened == []


async def test_who_commits_by_hand_can_wake_the_workers(program, monkeypatch):
    happened = await wakes(program, monkeypatch)

    await program.app.wake("sums", "letters")

    assert happened == [frozenset({"sums", "letters"})]


async def test_unique_key_counts_inside_the_same_transaction(program, add):
    async def body(tx: Inside):
        first = await tx.enqueue(add, 1, unique_key="sum")
        again = await tx.enqueue(add, 2, unique_key="sum")
        return first, again

    first, again = await program.transaction(body)

    assert (again.id, again.kind) == (first.id, InsertKind.EXISTING)
    assert await count(program) == 1


async def test_unique_key_of_an_undone_transaction_is_free(program, add):
    async def body(tx: Inside):
        await tx.enqueue(add, 1, unique_key="sum")
        raise Changed

    with pytest.raises(Changed):
        await program.transaction(body)

    assert (await add.using(unique_key="sum").enqueue(2)).kind is InsertKind.INSERTED


async def test_replacement_is_undone_with_its_transaction(program, add):
    draft = await add.using(unique_key="draft", on_conflict=OnConflict.REPLACE, delay=60).enqueue(1)

    async def body(tx: Inside):
        newer = await tx.enqueue(add, 2, unique_key="draft", on_conflict=OnConflict.REPLACE, delay=60)
        assert newer.kind is InsertKind.REPLACED
        raise Changed

    with pytest.raises(Changed):
        await program.transaction(body)

    assert (await draft.job()).facts.payload == '{"a":1}'


async def test_refused_enqueue_leaves_the_transaction_as_it_was(program, add):
    existing = await add.using(unique_key="sum").enqueue(1)

    async def body(tx: Inside):
        await tx.note("before")
        with pytest.raises(DuplicateJob) as refused:
            await tx.enqueue(add, 2, unique_key="sum", on_conflict=OnConflict.REJECT)
        with pytest.raises(InvalidPayload):
            await tx.enqueue(add, "two")
        await tx.note("after")
        await tx.enqueue(add, 3)
        return refused.value.existing_id

    assert await program.transaction(body) == existing.id
    assert (await program.ledger(), await count(program)) == (["after", "before"], 2)


async def test_idempotency_key_holds_when_its_transaction_commits_and_only_then(program, add):
    async def enqueue(tx: Inside):
        return await tx.enqueue(add, 1, idempotency_key="order-1")

    async def enqueue_in_vain(tx: Inside):
        await enqueue(tx)
        raise Changed

    async def enqueue_another(tx: Inside):
        await tx.enqueue(add, 2, idempotency_key="order-1")

    with pytest.raises(Changed):
        await program.transaction(enqueue_in_vain)
    first = await program.transaction(enqueue)
    again = await program.transaction(enqueue)
    with pytest.raises(IdempotencyMismatch) as mismatch:
        await program.transaction(enqueue_another)

    assert (first.kind, again.kind, again.id) == (InsertKind.INSERTED, InsertKind.EXISTING, first.id)
    assert (mismatch.value.key, mismatch.value.index) == ("order-1", 0)


async def test_many_jobs_at_once_in_one_transaction(program, add):
    requests = [add.request(n) for n in range(300)]

    if program.waits:

        async def work(connection):
            return await program.app.enqueue_many(requests, tx=connection)
    else:

        def work(connection):
            return program.app.enqueue_many_sync(requests, tx=connection)

    handles = await program.app.transaction(work)

    assert (await count(program), len({handle.id for handle in handles})) == (300, 300)
    assert (await (await program.app.operations()).stats()).count(State.PENDING) == 300


@on_sql
@pytest.mark.parametrize("end", ["commit", "rollback", "begin", "end; select 1", "/* now */ Commit -- it"])
async def test_function_may_not_end_the_transaction(program, add, end: str):
    async def body(tx: Inside):
        await tx.note("one")
        with pytest.raises(MisuseError, match="refused here"):
            await tx.sql(end) if program.waits is False else await tx.connection.execute(end)
        await tx.enqueue(add, 1)

    await program.transaction(body)

    assert (await program.ledger(), await count(program)) == (["one"], 1)


@on_sql
async def test_words_that_end_transactions_are_harmless_in_texts_and_names(program):
    async def body(tx: Inside):
        await tx.sql('create table "commit" ("end" text)')
        await tx.sql("insert into \"commit\" values ('it''s over; rollback')")
        return await tx.sql('select case when true then "end" end from "commit" -- ; commit\n')

    assert await program.transaction(body) == [("it's over; rollback",)]


@on_sql
async def test_connection_is_good_only_inside_the_function(program, add):
    kept = []

    async def body(tx: Inside):
        kept.append(tx)

    await program.transaction(body)

    with pytest.raises(MisuseError, match="only inside"):
        await kept[0].sql("select 1")
    with pytest.raises(MisuseError, match="only inside"):
        await kept[0].enqueue(add, 1)


async def test_function_of_the_wrong_kind_is_refused_before_anything_starts(program):
    called = []

    async def waits(connection):
        called.append(connection)

    def plain(connection):
        called.append(connection)

    with pytest.raises(MisuseError, match="def"):
        await program.app.transaction(plain if program.waits else waits)

    assert called == []


async def test_lambda_is_judged_by_what_it_returns(program):
    async def waits(connection):
        return 7

    right, wrong = (lambda c: waits([c])), (lambda c: 7)
    if not program.waits:
        right, wrong = wrong, right

    assert await program.app.transaction(right) == 7
    with pytest.raises(MisuseError):
        await program.app.transaction(wrong)


async def test_request_carries_no_transaction_and_foreign_things_are_refused(program, add):
    with pytest.raises(MisuseError, match="enqueue_many"):
        add.using(tx=object()).request(1)
    with pytest.raises(MisuseError, match="type object"):
        await add.using(tx=object()).enqueue(1)
    with pytest.raises(MisuseError, match="type object"):
        add.using(tx=object()).enqueue_sync(1)


@on_sql
async def test_failed_statement_that_is_swallowed_keeps_nothing_half(program, add):
    async def body(tx: Inside):
        await tx.enqueue(add, 1)
        with suppress(Exception):
            await tx.sql("select nothing from nowhere")
        return "went on"

    if program.waits:  # PostgreSQL gives up the whole transaction
        with pytest.raises(MisuseError, match="savepoint"):
            await program.transaction(body)
        assert await count(program) == 0
    else:
        assert await program.transaction(body) == "went on"
        assert await count(program) == 1


def test_synchronous_program_has_transactions_through_the_portal(tmp_path):
    app = App(f"sqlite:///{tmp_path}/jobs.db", settings=Settings())

    @app.job()
    def add(a: int) -> int:
        return a

    def work(connection):
        connection.execute("create table ledger (what text)")
        return add.using(tx=connection).enqueue_sync(1)

    handle = app.transaction_sync(work)

    assert app.portal.call(handle.job).state is State.PENDING
    app.portal.call(app.close)
    app.portal.close()
