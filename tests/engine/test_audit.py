"""The audit log, on each store: what is put on record, by whom, what is found again, and for how long."""

import inspect
from collections.abc import AsyncIterator
from pathlib import Path
from typing import get_type_hints

import pytest

from headrace import App, EnqueueRequest, JobNotFound, ManualClock
from headrace.core.audit import AuditFilter
from headrace.core.filters import Page
from headrace.core.policy import DAY_MS
from headrace.engine import audit as auditing
from headrace.engine.audited import ACTIONS, NOT_ACTIONS
from headrace.engine.local import LocalOperations
from headrace.engine.operations import Operations
from headrace.errors import StoreUnavailable
from headrace.upkeep.prune import TrimRecords
from tests.builders import NOW
from tests.contract.conftest import STORES

DAY_S = DAY_MS / 1000
ALL = AuditFilter()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(NOW)


@pytest.fixture(params=STORES, ids=lambda kind: kind.name)
async def app(request: pytest.FixtureRequest, tmp_path: Path, clock: ManualClock) -> AsyncIterator[App]:
    made = App(request.param.url(tmp_path), clock=clock)

    @made.job(name="wait")
    async def wait() -> None: ...

    async with made:
        yield made


@pytest.fixture
async def memory(clock: ManualClock) -> AsyncIterator[App]:
    async with App("sqlite://", clock=clock) as made:
        made.job(name="wait")(_wait)
        yield made


async def _wait() -> None: ...


async def entries(app: App, wanted: AuditFilter = ALL, page: Page | None = None):
    return (await (await app.operations()).audit(wanted, page or Page())).entries


def names_of_operations() -> set[str]:
    return {
        name
        for part in Operations.__mro__
        if part.__module__.startswith("headrace.")
        for name in vars(part)
        if not name.startswith("_")
    }


# ------------------------------------------------------------ every operation is told apart


def test_every_operation_is_an_action_or_is_none():
    names = names_of_operations()

    assert names == ACTIONS.keys() | NOT_ACTIONS
    assert not ACTIONS.keys() & NOT_ACTIONS


@pytest.mark.parametrize("name", sorted(ACTIONS))
def test_action_names_arguments_that_its_operation_has(name):
    action = ACTIONS[name]
    parameters = inspect.signature(getattr(LocalOperations, name)).parameters

    for kept in action.kept:
        assert kept in parameters
    if action.subject is not None:
        argument, _, attribute = action.subject.partition(".")
        assert argument in parameters
        if attribute:
            hinted = get_type_hints(getattr(Operations, name))[argument]
            assert attribute in hinted.__dataclass_fields__


# ------------------------------------------------------------ what is put on record


async def test_action_is_on_record_with_actor_instant_and_object(app, clock):
    operations = await app.operations("mcp:bot")
    handle = await app.enqueue_many([_request()])
    clock.advance(5)

    await operations.cancel(handle[0].id)

    (entry,) = await entries(app)
    assert (entry.actor, entry.action, entry.entity_type, entry.entity_id) == (
        "mcp:bot",
        "job.cancel",
        "job",
        handle[0].id,
    )
    assert (entry.at, entry.error, entry.metadata) == (NOW + 5_000, None, {})


def _request():
    return EnqueueRequest(type="wait", payload={})


async def test_program_acts_as_library(memory):
    (handle,) = await memory.enqueue_many([_request()])
    await memory.signal(handle.id, "go", {"secret": "x"}, key="k")
    await handle.cancel()

    cancelled, signalled = await entries(memory)

    assert [one.actor for one in (cancelled, signalled)] == ["library"] * 2
    assert signalled.action == "job.signal"
    assert signalled.metadata == {"name": "go", "key": "k"}


async def test_refused_action_says_why(memory):
    with pytest.raises(JobNotFound):
        await (await memory.operations()).cancel("nothing")

    (entry,) = await entries(memory)
    assert entry.error == "JobNotFound: no job 'nothing'"


async def test_arguments_by_name_are_on_record_as_well(memory):
    operations = await memory.operations()

    await operations.pause(queue="email")
    await operations.keep_events()

    kept, paused = await entries(memory)
    assert (paused.action, paused.entity_id) == ("queue.pause", "email")
    assert (kept.action, kept.entity_type, kept.entity_id) == ("events.keep", "events", "")


async def test_reads_and_enqueues_are_not_on_record(memory):
    operations = await memory.operations()
    (handle,) = await memory.enqueue_many([_request()])
    await operations.job(handle.id)
    await operations.queues()
    await operations.stats()

    assert await entries(memory) == ()


async def test_reads_pass_through_as_they_are(memory):
    opened = await memory.open()

    assert (await memory.operations()).job == opened.operations.job


async def test_nothing_is_done_that_cannot_be_put_on_record(memory, monkeypatch):
    (handle,) = await memory.enqueue_many([_request()])
    store = (await memory.open()).store

    async def down(*_: object) -> None:
        raise StoreUnavailable("down")

    monkeypatch.setattr(store, "append", down)
    with pytest.raises(StoreUnavailable):
        await handle.cancel()

    assert not (await handle.job()).placement.terminal


async def test_refusal_is_told_although_the_record_is_away(memory, monkeypatch):
    store = (await memory.open()).store
    append, calls = store.append, []

    async def once(*given: object) -> None:
        calls.append(given)
        if len(calls) > 1:
            raise StoreUnavailable("down")
        await append(*given)

    monkeypatch.setattr(store, "append", once)
    with pytest.raises(JobNotFound):
        await (await memory.operations()).cancel("nothing")

    (entry,) = await entries(memory)
    assert (len(calls), entry.error) == (2, None)


# ------------------------------------------------------------ programs' own entries, found again


async def test_entries_are_found_by_what_they_say(app, clock):
    for number in range(3):
        await app.record_audit("STRIPE_WEBHOOK_PROCESSED", "webhook", f"w-{number}", {"attempt": number})
        clock.advance(1)
    await app.record_audit("SECURITY_ALERT", "file-processing", "f-1", actor="scanner")

    by_type = await entries(app, AuditFilter(entity_type="webhook"))
    by_id = await entries(app, AuditFilter(entity_id="w-1"))
    by_actor = await entries(app, AuditFilter(actor="scanner"))
    since = await entries(app, AuditFilter(since=NOW + 2_000))

    assert [one.entity_id for one in by_type] == ["w-2", "w-1", "w-0"]
    assert [one.metadata for one in by_id] == [{"attempt": 1}]
    assert [one.action for one in by_actor] == ["SECURITY_ALERT"]
    assert [one.entity_id for one in since] == ["f-1", "w-2"]


async def test_c48_pages_of_what_fits_hold_each_entry_once(app, monkeypatch):
    monkeypatch.setattr(auditing, "AT_ONCE", 3)
    monkeypatch.setattr(auditing, "LOOK", 6)
    for number in range(20):
        await app.record_audit("A" if number % 3 else "B", "thing", str(number))
    operations = await app.operations()

    found, cursor = [], None
    for _ in range(40):
        page = await operations.audit(AuditFilter(action="B"), Page(limit=2, before=cursor))
        found += [one.entity_id for one in page.entries]
        cursor = page.cursor
        if cursor is None:
            break

    assert found == ["18", "15", "12", "9", "6", "3", "0"]
    assert cursor is None


async def test_c46_another_namespace_sees_nothing(app, tmp_path):
    await app.record_audit("A", "thing", "1")
    opened = await app.open()
    other = LocalOperations(opened.store, opened.clock, namespace="other")

    assert (await other.audit(ALL, Page())).entries == ()


async def test_s1_38_entries_go_after_ninety_days_but_those_about_money(app, clock):
    for action in ("ORDER_CREATED", "PAYMENT_RECEIVED", "REFUND_INITIATED", "STRIPE_WEBHOOK_FAILED"):
        await app.record_audit(action, "order", "o-1")
    await (await app.operations()).pause("email")
    trim = TrimRecords((await app.open()).store, clock)

    clock.advance(90 * DAY_S)
    await trim.run_once()
    at_ninety_days = await entries(app)
    clock.advance(0.001)
    await trim.run_once()
    after = await entries(app)
    clock.advance(3_650 * DAY_S)
    await trim.run_once()

    assert len(at_ninety_days) == 5
    kept = {"ORDER_CREATED", "PAYMENT_RECEIVED", "REFUND_INITIATED"}
    assert {one.action for one in after} == kept
    assert {one.action for one in await entries(app)} == kept
