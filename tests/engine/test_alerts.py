"""Alert rules on every store: what they see, and when they tell of it."""

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from headrace import Alert, App, Breaker, InvalidInput, ManualClock, Permanent, Retry, Settings
from headrace.core.alerts import EVERY_MS, KIND
from headrace.core.request import EnqueueRequest
from headrace.core.scheduled import key_of
from headrace.engine.alert_type import AlertRules, rule_of
from headrace.errors import AlertNotFound, MisuseError
from headrace.stores.protocol import Swap
from headrace.testing import advance, drain
from tests.builders import HOUR, MINUTE, NOW, SECOND, a_job, claim, enqueue
from tests.contract.conftest import STORES, Kind
from tests.engine.watching import Watching, clock, died, put, the_store

ONCE = Retry(attempts=1)


@pytest.fixture(params=STORES, ids=lambda kind: kind.name)
async def app(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[App]:
    kind: Kind = request.param
    async with App(kind.url(tmp_path), settings=Settings(), clock=ManualClock(NOW)) as opened:
        yield opened


@pytest.fixture
async def watching(app: App) -> Watching:
    return Watching(app, await the_store(app))


async def test_s1_46_burst_of_dead_jobs_is_one_alert_with_its_count(app, watching):
    await put(app, "dead", "dead", to="function")
    ids = await died(app, 500)

    first = await watching.look()
    later = [await watching.look() for _ in range(5)]

    (alert,) = watching.told
    assert first == [("raised", "echo")]
    assert later == [[]] * 5
    assert (alert.type, alert.count, alert.rule) == ("job-failure", 500, "dead")
    assert alert.message == "500 jobs of type echo failed for good within 10 min"
    assert alert.details["jobId"] in ids
    assert alert.details["error"] == "ValueError: boom"
    assert "jobData" not in alert.details


async def test_s1_46_alert_of_one_job_names_it_and_carries_its_data_where_asked(app, watching):
    await put(app, "dead", "dead", to="function", with_payload=True)
    (job_id,) = await died(app)

    await watching.look()

    (alert,) = watching.told
    assert alert.message == f"Job {job_id} permanently failed"
    assert alert.details["jobData"] == {"n": 1}
    assert (alert.details["queue"], alert.details["error"]) == ("default", "ValueError: boom")


async def test_s2_42_permanent_error_is_told_apart(app, watching):
    await put(app, "permanent", "permanent", to="function")
    await died(app)
    nothing = await watching.look()
    await died(app, job_type="strict", permanent=True)

    assert nothing == []
    assert await watching.look() == [("raised", "strict")]


async def test_s2_42_permanent_error_of_a_handler_fails_at_once_and_alerts(app):
    told: list[Alert] = []
    app.on_alert(told.append)
    app.alert("permanent", "permanent", to="function")

    @app.job(retry=Retry(attempts=5))
    async def charge(n: int) -> None:
        raise Permanent("card refused")

    handle = await charge.enqueue(1)
    await advance(app, 60)

    (alert,) = told
    assert alert.message == f"Job {handle.id} permanently failed"
    assert (alert.details["errorClass"], alert.details["attempts"]) == ("permanent", 1)


async def test_dead_letters_that_grow_are_told_of_together(app, watching):
    await put(app, "growing", "growing", to="function", count=5, within=60)
    await died(app, 2, job_type="a")
    await died(app, 2, job_type="b")
    four = await watching.look(10)
    await died(app, 1, job_type="c")
    five = await watching.look(10)
    gone = await watching.look(61)

    assert four == []
    assert five == [("raised", "all")]
    assert watching.told[0].count == 5
    assert gone == [("resolved", "all")]


async def test_alert_is_resolved_once_no_more_jobs_die(app, watching):
    await put(app, "dead", "dead", to="function", within=60, clear_after=30)
    await died(app)

    answers = [await watching.look(seconds) for seconds in (10, 50, 20, 9, 1)]

    assert answers == [[("raised", "echo")], [], [], [], [("resolved", "echo")]]
    assert watching.told[-1].message.startswith("Resolved: Job")


async def test_job_that_waits_too_long_is_told_by_queue(app, watching):
    await put(app, "late", "waiting", to="function", longer_than=60, queues=("slow",))
    store = await the_store(app)
    await enqueue(store, a_job(queue="slow"), a_job(queue="other"))

    early, late = await watching.look(50), await watching.look(20)

    assert (early, late) == ([], [("raised", "slow")])
    assert watching.told[0].details == {"queue": "slow"}


async def test_paused_queue_waits_on_purpose(app, watching):
    await put(app, "late", "waiting", to="function", longer_than=60)
    await enqueue(await the_store(app), a_job())
    await (await app.operations()).pause("default")

    assert await watching.look(HOUR / 1000) == []


async def test_queue_of_which_nothing_is_claimed_is_told(app, watching):
    await put(app, "idle", "idle", to="function", longer_than=60)
    store = await the_store(app)
    await enqueue(store, *(a_job() for _ in range(9)))

    answers = []
    for _ in range(5):
        answers.append(await watching.look(20))
        await claim(store, n=1, now=clock(app).now())
    still = [await watching.look(20) for _ in range(5)]

    assert answers == [[]] * 5
    assert [("raised", "default")] in still
    assert sum(map(len, still)) == 1


async def test_missed_fires_of_a_schedule_are_told(app, watching):
    engine = await app.operations()
    app.job(name="report")(a_handler)
    app.schedule("nightly", every=60, job=EnqueueRequest(type="report", payload={}), missed="skip")
    await app.schedule.put_into(engine)
    await drain(app)
    clock(app).advance(HOUR / 1000)
    await drain(app)  # a scheduler is there again
    await put(app, "missed", "missed", to="function", within=600)

    assert await watching.look() == [("raised", "nightly")]
    assert watching.told[0].type == "schedule-missed"


async def a_handler() -> None: ...


async def test_schedule_that_another_version_wrote_hinders_no_look(app, watching):
    await put(app, "missed", "missed", to="function")
    store = await the_store(app)
    await store.swap("default", [Swap(key=key_of("strange"), revision=0, value='{"tide":"high"}')])

    assert await watching.look() == []
    assert (await (await app.operations()).alert("missed")).error is None


async def test_silenced_rule_tells_nothing_until_the_silence_is_over(app, watching):
    await put(app, "dead", "dead", to="function", within=600)
    engine = await app.operations()
    await engine.silence_alert("dead", 5 * MINUTE)
    await died(app)

    during, after = await watching.look(60), await watching.look(250)

    assert (during, after) == ([], [("raised", "echo")])
    assert (await engine.silence_alert("dead", 0)).silenced_until is None


async def test_rule_is_told_again_after_the_time_it_says(app, watching):
    await put(app, "late", "waiting", to="function", longer_than=60, again_after=600)
    await enqueue(await the_store(app), a_job())

    answers = [await watching.look(300) for _ in range(5)]

    assert answers == [[("raised", "default")], [], [("again", "default")], [], [("again", "default")]]


async def test_rule_that_was_removed_is_looked_at_no_more(app, watching):
    engine = await app.operations()
    await put(app, "dead", "dead", to="function")
    await engine.remove_alert("dead")
    await died(app)

    assert await watching.look() == []
    assert await engine.alerts() == []
    for act in (engine.alert, engine.remove_alert, engine.test_alert):
        with pytest.raises(AlertNotFound):
            await act("dead")
    with pytest.raises(AlertNotFound):
        await engine.silence_alert("dead", 1)


async def test_rules_of_all_namespaces_are_looked_at(app, watching):
    other = replace(app.settings, namespace="other")
    store = await the_store(app)
    from headrace.engine.local import LocalOperations  # noqa: PLC0415

    elsewhere = LocalOperations(store, clock(app), namespace=other.namespace)
    await elsewhere.put_alert(rule_of("dead", "dead"))

    await watching.look()

    assert (await elsewhere.alert("dead")).looked_at == clock(app).now()


async def test_register_that_another_version_wrote_is_put_off_as_it_is(app, watching):
    store = await the_store(app)
    strange = json.dumps({"rule": {"when": "the moon is full"}})
    await store.swap("default", [Swap(key=f"{KIND}:strange", revision=0, value=strange, due_at=NOW)])
    await put(app, "dead", "dead", to="function")
    await died(app)

    told = await watching.look()

    kept = (await store.read("default", [f"{KIND}:strange"]))[f"{KIND}:strange"]
    assert told == [("raised", "echo")]
    assert (kept.value, kept.due_at) == (strange, clock(app).now() + EVERY_MS)


async def test_rule_that_cannot_be_looked_at_says_why_and_goes_on(app, watching, monkeypatch):
    await put(app, "dead", "dead", to="function")
    await died(app)
    store = await the_store(app)

    async def broken(*_: object) -> None:
        raise ValueError("what is this")

    with monkeypatch.context() as patch:
        patch.setattr(store, "deaths_since", broken)
        nothing = await watching.look()
        error = (await (await app.operations()).alert("dead")).error

    assert (nothing, error) == ([], "ValueError: what is this")
    assert await watching.look() == [("raised", "echo")]
    assert (await (await app.operations()).alert("dead")).error is None


def test_two_rules_of_one_name_are_refused():
    rules = AlertRules()
    rules("dead", "dead")
    rules("dead", "dead")

    with pytest.raises(MisuseError, match="two alert rules are named 'dead'"):
        rules("dead", "dead", count=2)


@pytest.mark.parametrize(
    "options",
    [
        {"when": "full moon"},
        {"to": "sms:1"},
        {"to": []},
        {"within": float("nan")},
        {"longer_than": 1},
        {"again_after": SECOND / 1000},
        {"types": ["a b"]},
    ],
)
def test_rule_that_makes_no_sense_is_refused_where_it_is_declared(options):
    with pytest.raises(InvalidInput):
        AlertRules()(**({"name": "rule", "when": "dead"} | options))


async def test_breaker_that_opened_is_told_until_it_is_closed(app, watching):
    app.job(name="charge", breaker=Breaker("stripe"))(a_handler)
    await (await app.work()).publish([one.info for one in app.registry.all()])
    await put(app, "breakers", "breaker", to="function", clear_after=0)
    engine = await app.operations()
    await engine.open_breaker("stripe")

    opened = await watching.look()
    await engine.close_breaker("stripe")

    assert opened == [("raised", "stripe")]
    assert watching.told[0].details == {"breaker": "stripe"}
    assert await watching.look() == [("resolved", "stripe")]
