"""Alerts on every store: whom they tell, and that they tell it once, whoever looks."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
import structlog

from headrace import Alert, App, InvalidInput, ManualClock, Retry, Settings
from headrace.core.alerts import EVERY_MS
from headrace.core.policy import HOUR_MS
from headrace.handlers import job_types
from headrace.stores.protocol import Swap
from headrace.testing import advance, drain
from headrace.upkeep.alerts import PATIENCE_MS, WatchAlerts
from tests.builders import HOUR, NOW
from tests.contract.conftest import STORES, Kind
from tests.engine.watching import Watching, a_pager, clock, deliveries, died, put, the_store
from tests.handlers.loopback import Receiver, answering, receiver, status
from tests.handlers.post_office import post_office

ONCE = Retry(attempts=1)


@pytest.fixture(params=STORES, ids=lambda kind: kind.name)
async def app(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[App]:
    kind: Kind = request.param
    async with App(kind.url(tmp_path), settings=Settings(), clock=ManualClock(NOW)) as opened:
        yield opened


@pytest.fixture
async def watching(app: App) -> Watching:
    return Watching(app, await the_store(app))


async def test_of_several_processes_one_tells(app):
    app.job(name="page")(a_pager)
    await put(app, "dead", "dead", to=("function", "job:page"))
    await died(app, 3)
    store = await the_store(app)
    several = [Watching(app, store) for _ in range(5)]
    clock(app).advance(EVERY_MS / 1000)

    await asyncio.gather(*(one.chore.run_once() for one in several))

    assert sum(len(one.told) for one in several) == 1
    assert len(await deliveries(app, "page")) == 1


async def test_rule_that_calls_functions_is_left_to_a_process_that_has_some(app, watching):
    await put(app, "dead", "dead", to="function")
    await died(app)
    bare = WatchAlerts(await the_store(app), clock(app), namespace="default")
    clock(app).advance(EVERY_MS / 1000)

    left = await bare.run_once()
    told = await watching.look(0)

    assert left.done == 0
    assert told == [("raised", "echo")]


async def test_rule_that_nobody_with_functions_looks_at_is_looked_at_all_the_same(app):
    await put(app, "dead", "dead", to=("function", "log"))
    await died(app)
    bare = WatchAlerts(await the_store(app), clock(app), namespace="default")
    clock(app).advance(PATIENCE_MS / 1000)

    assert (await bare.run_once()).done == 1


async def test_function_that_raises_or_hangs_disturbs_nobody(app, monkeypatch):
    monkeypatch.setattr("headrace.engine.alert_delivery.CALL_SECONDS", 0.01)
    told: list[Alert] = []

    def broken(alert: Alert) -> None:
        raise ValueError(alert.rule)

    async def hanging(alert: Alert) -> None:
        await asyncio.Event().wait()

    await put(app, "dead", "dead", to="function")
    await died(app)
    functions = [broken, hanging, told.append]
    chore = WatchAlerts(await the_store(app), clock(app), namespace="default", functions=functions)
    clock(app).advance(EVERY_MS / 1000)

    with structlog.testing.capture_logs() as logs:
        result = await chore.run_once()

    assert (result.done, len(told)) == (1, 1)
    assert [one["event"] for one in logs] == ["alert_function_failed"] * 2


async def test_log_is_told_of_what_begins_and_of_what_is_over(app, watching):
    await put(app, "dead", "dead", within=60, clear_after=0)
    (job_id,) = await died(app)

    with structlog.testing.capture_logs() as logs:
        await watching.look()
        await watching.look(120)

    raised, resolved = logs
    assert (raised["event"], raised["log_level"], raised["details_jobId"]) == (
        "alert_raised",
        "warning",
        job_id,
    )
    assert (resolved["event"], resolved["log_level"]) == ("alert_resolved", "info")


@pytest.mark.parametrize(
    "target", ["webhook:https://example.com/x", "mail:a@example.com", "job:nobody-knows"]
)
async def test_target_that_nobody_can_tell_is_refused(app, target):
    with pytest.raises(InvalidInput, match="which no program has published"):
        await put(app, "dead", "dead", to=target)

    assert await (await app.operations()).alerts() == []


@pytest.mark.parametrize("target", ["webhook:ftp://example.com", "mail:not an address"])
async def test_address_that_cannot_be_one_is_refused(app, target):
    app.include(job_types(app.settings))

    with pytest.raises(InvalidInput):
        await put(app, "dead", "dead", to=target)


async def test_target_whose_job_type_is_gone_is_said_so_and_the_others_are_told(app, watching):
    app.job(name="page")(a_pager)
    await put(app, "dead", "dead", to=("job:page", "function"))
    store = await the_store(app)
    types = await store.scan("default", "type/")
    await store.swap("default", [Swap(key=one.key, revision=one.revision, value=None) for one in types])
    await died(app)

    told = await watching.look()

    state = await (await app.operations()).alert("dead")
    assert told == [("raised", "echo")]
    assert "unknown job type 'page'" in str(state.error)


@pytest.fixture
async def hook() -> AsyncIterator[Receiver]:
    async with receiver(answering(status(200))) as made:
        yield made


async def test_webhook_is_told_through_the_guarded_way_of_all_alerts_of_a_look_together(app, watching, hook):
    app.include(job_types(replace(app.settings, outbound_allow=(hook.pair,))))
    await put(app, "dead", "dead", to=f"webhook:{hook.url()}")
    await died(app, job_type="a")
    await died(app, 3, job_type="b")

    await watching.look()
    await drain(app)

    (request,) = hook.requests
    body = json.loads(request.body)
    assert request.headers["x-webhook-event"] == "alert.raised"
    assert body["rule"] == "dead"
    assert [(one["type"], one["subject"], one["count"]) for one in body["alerts"]] == [
        ("job-failure", "a", 1),
        ("job-failure", "b", 3),
    ]


async def test_webhook_that_the_guard_refuses_is_not_told(app, watching, hook):
    app.include(job_types(app.settings))
    await put(app, "dead", "dead", to=f"webhook:{hook.url()}")
    await died(app)

    await watching.look()
    await drain(app)

    assert hook.requests == []


async def test_mail_is_sent_as_a_job(app, watching):
    async with post_office() as office:
        app.include(job_types(replace(app.settings, smtp_url=office.url, mail_from="jobs@example.com")))
        await put(app, "dead", "dead", to="mail:ops@example.com")
        (job_id,) = await died(app)
        await watching.look()
        await drain(app)

    (mail,) = office.mails
    assert mail.recipients == ["ops@example.com"]
    assert mail.message["subject"] == f"Alert: Job {job_id} permanently failed"
    assert "error: ValueError: boom" in mail.part("plain")


async def test_test_alert_reaches_the_targets_without_anything_having_happened(app):
    app.job(name="page")(a_pager)
    await put(app, "dead", "dead", to=("log", "job:page", "function"))

    with structlog.testing.capture_logs() as logs:
        told = await (await app.operations()).test_alert("dead")

    assert list(told) == ["log", "job:page"]
    assert [one["event"] for one in logs] == ["alert_test"]
    ((payload,),) = [await deliveries(app, "page")]
    assert payload["alert"]["alerts"][0]["status"] == "test"


async def test_rules_of_a_program_are_put_when_its_worker_starts(app):
    @app.on_alert
    async def page(alert: Alert) -> None: ...

    app.alert("dead", "dead", to=["log", "function"], again_after=None)
    async with app.running_worker():
        (state,) = await (await app.operations()).alerts()

    assert [one.text for one in state.rule.to] == ["log", "function"]
    assert state.rule.again_after_ms is None
    assert list(app.alert.functions) == [page]


async def test_rule_put_again_with_the_same_condition_forgets_nothing(app, watching):
    await put(app, "dead", "dead", to="function")
    await died(app)
    first = await watching.look()
    await put(app, "dead", "dead", to="function", again_after=2 * HOUR_MS / 1000)

    assert (first, await watching.look()) == ([("raised", "echo")], [])


async def test_time_can_pass_in_tests_although_rules_are_looked_at_for_ever(app):
    app.alert("dead", "dead")

    assert await advance(app, 24 * 3600) == []
    assert clock(app).now() == NOW + 24 * HOUR
