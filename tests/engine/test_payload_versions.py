"""Payloads that were enqueued by older and newer programs than the one that runs them."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from headrace import App, JobFailed, ManualClock, Retry, Settings, State
from headrace.engine.drift import payload_drift
from headrace.errors import MisuseError
from headrace.testing import drain

Programs = Callable[[], App]


@pytest.fixture
async def programs(tmp_path: Path, anyio_backend: str) -> AsyncIterator[Programs]:
    """Programs that share one store, as an old and a new release do during a deployment."""
    made: list[App] = []
    clock = ManualClock()

    def program() -> App:
        made.append(App(f"sqlite:///{tmp_path / 'jobs.db'}", settings=Settings(), clock=clock))
        return made[-1]

    yield program
    for app in made:
        await app.close()


def first_release(app: App):
    @app.job(name="greet")
    async def greet(name: str) -> str:
        return f"hello {name}"

    return greet


def split(payload: dict[str, Any]) -> dict[str, Any]:
    first, _, last = payload["name"].partition(" ")
    return {"first": first, "last": last}


def polite(payload: dict[str, Any]) -> dict[str, Any]:
    return {**payload, "title": "Dr"}


def third_release(app: App, upgrades: dict[int, Any] | None = None):
    @app.job(
        name="greet",
        version=3,
        upgrades={1: split, 2: polite} if upgrades is None else upgrades,
        retry=Retry(attempts=3),
    )
    async def greet(first: str, last: str, title: str) -> str:
        return f"hello {title} {first} {last}"

    return greet


async def test_payload_of_an_older_version_is_carried_forward_step_by_step(programs: Programs) -> None:
    old, new = programs(), programs()
    handle = await first_release(old).enqueue("Ada Lovelace")
    third_release(new)

    (ran,) = await drain(new)

    assert ran.state is State.COMPLETED
    assert await (await new.handle(handle.id)).result(timeout=5) == "hello Dr Ada Lovelace"


async def test_job_keeps_the_version_and_payload_it_was_enqueued_with(programs: Programs) -> None:
    old, new = programs(), programs()
    handle = await first_release(old).enqueue("Ada Lovelace")
    third_release(new)

    await drain(new)

    facts = (await handle.job()).facts
    assert (facts.version, facts.payload) == (1, '{"name":"Ada Lovelace"}')


async def test_missing_upgrade_fails_the_job_at_once_and_says_what_to_add(programs: Programs) -> None:
    old, new = programs(), programs()
    handle = await first_release(old).enqueue("Ada")
    third_release(new, upgrades={2: polite})

    (ran,) = await drain(new)

    assert ran.state is State.FAILED
    with pytest.raises(JobFailed, match="no upgrade carries a payload of version 1 to 2") as told:
        await handle.result(timeout=5)
    assert told.value.error_type == "Permanent"


@pytest.mark.parametrize(
    ("upgrade", "why"),
    [
        (lambda payload: payload["surname"], "KeyError: 'surname'"),
        (list, "it returned list, not a payload"),
        (lambda _: {"first": object()}, "cannot be kept as JSON"),
    ],
)
async def test_failing_upgrade_fails_the_job_at_once_and_says_why(
    programs: Programs, upgrade: Any, why: str
) -> None:
    old, new = programs(), programs()
    handle = await first_release(old).enqueue("Ada")
    third_release(new, upgrades={1: upgrade, 2: polite})

    (ran,) = await drain(new)

    assert ran.state is State.FAILED
    with pytest.raises(JobFailed, match="the upgrade from version 1 failed") as told:
        await handle.result(timeout=5)
    assert why in told.value.error_message


async def test_upgraded_payload_is_validated_as_any_other(programs: Programs) -> None:
    old, new = programs(), programs()
    handle = await first_release(old).enqueue("Ada")
    third_release(new, upgrades={1: lambda _: {"first": 1, "last": "x"}, 2: polite})

    await drain(new)

    with pytest.raises(JobFailed, match="/first: Input should be a valid string"):
        await handle.result(timeout=5)


async def test_newer_version_is_neither_run_nor_failed_and_waits_for_a_newer_program(
    programs: Programs,
) -> None:
    old, new = programs(), programs()
    first_release(old)
    handle = await third_release(new).enqueue("Ada", "Lovelace", "Dr")

    assert await drain(old) == []
    waiting = await handle.job()
    assert (waiting.state, waiting.placement.parked_on) == (State.PENDING, "type:greet@3")

    (ran,) = await drain(new)
    assert (ran.attempt, ran.state) == (1, State.COMPLETED)


@pytest.mark.parametrize("upgrades", [{1: split}, {2: polite, 3: polite}, {0: split, 1: split, 2: polite}])
def test_upgrades_with_a_gap_are_refused_when_the_type_is_registered(upgrades: dict[int, Any]) -> None:
    with pytest.raises(MisuseError, match="without a gap to version 3"):
        third_release(App("sqlite://", settings=Settings()), upgrades)


def test_version_below_one_is_refused() -> None:
    app = App("sqlite://", settings=Settings())

    with pytest.raises(MisuseError, match="versions count from 1"):
        app.job(name="nothing", version=0)(dict)


async def test_drift_names_the_waiting_payloads_that_would_not_run(programs: Programs) -> None:
    old, new = programs(), programs()
    greet = first_release(old)
    await greet.enqueue("Ada Lovelace")
    bad = [await greet.enqueue(str(number)) for number in range(2)]

    @old.job()
    def gone() -> None: ...

    await gone.enqueue()
    done = await greet.enqueue("never looked at")
    await done.cancel()
    third_release(new, upgrades={1: only_full_names, 2: polite})

    drift = await payload_drift(await new.operations(), new.registry)

    assert drift.looked_at == 4
    assert [(one.type, one.version, one.count) for one in drift.misfits] == [("gone", 1, 1), ("greet", 1, 2)]
    assert drift.misfits[1].job_id == bad[1].id  # the newest comes first
    assert "not enough values" in drift.misfits[1].why
    assert drift.cut_short == ()


async def test_drift_looks_at_no_more_than_it_is_told_and_says_so(programs: Programs) -> None:
    app = programs()
    greet = first_release(app)
    await app.enqueue_many([greet.request(str(number)) for number in range(5)])

    drift = await payload_drift(await app.operations(), app.registry, each=3)

    assert (drift.looked_at, drift.cut_short, drift.misfits) == (3, ("greet",), ())


def only_full_names(payload: dict[str, Any]) -> dict[str, Any]:
    first, last = payload["name"].split(" ")
    return {"first": first, "last": last}
