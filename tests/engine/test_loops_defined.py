"""What a program defines a loop by: its functions, its options; and pings that share a look."""

import asyncio
import threading

import pytest

from headrace import App, Debounce, Idle, InvalidInput, Settings
from headrace.engine.loop_calls import Call
from headrace.engine.loop_type import Gathered
from headrace.errors import MisuseError, StoreUnavailable
from headrace.worker.processes import Processes
from headrace.worker.settings import WorkerSettings
from tests.engine.scenes import PATIENCE, arrives


async def test_plain_function_under_way_is_waited_for_however_often_its_run_is_told_to_stop():
    inside, gate, ended = asyncio.Event(), threading.Event(), []
    loop = asyncio.get_running_loop()

    def blocks(batch: int) -> None:
        loop.call_soon_threadsafe(inside.set)
        assert gate.wait(PATIENCE)
        ended.append(batch)

    async def held() -> bool:
        return True

    running = asyncio.create_task(Call("process", blocks, ("batch",), least=1)(None, held, 7))
    await arrives(inside)
    for _ in range(3):
        running.cancel()
        await asyncio.sleep(0)
    before = running.done()
    gate.set()
    with pytest.raises(asyncio.CancelledError):
        await running

    assert (before, ended) == (False, [7])


async def test_plain_function_that_never_ends_is_not_waited_for_once_its_job_is_gone():
    gate, asked = threading.Event(), []

    def blocks() -> None:
        gate.wait()

    async def gone() -> bool:
        asked.append(1)
        raise StoreUnavailable("closed")

    running = asyncio.create_task(Call("fetch", blocks, (), least=0)(None, gone))
    await asyncio.sleep(0)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    gate.set()

    assert asked == [1]


async def test_hundred_pings_at_once_look_once_and_after_the_last_of_them():
    looked: list[int] = []
    asked: list[int] = []

    async def look() -> None:
        looked.append(len(asked))

    gathered = Gathered(look, 0.0)

    async def ping() -> None:
        asked.append(1)
        await gathered.call()

    await asyncio.gather(*(ping() for _ in range(100)))
    await ping()

    assert looked == [100, 101]


async def test_ping_that_comes_while_a_look_is_under_way_has_a_look_of_its_own():
    begun, go_on, looks = asyncio.Event(), asyncio.Event(), []

    async def look() -> None:
        looks.append(1)
        begun.set()
        await go_on.wait()

    gathered = Gathered(look, 0.0)
    first = asyncio.create_task(gathered.call())
    await arrives(begun)
    second = asyncio.create_task(gathered.call())
    go_on.set()
    await asyncio.gather(first, second)

    assert len(looks) == 2


async def test_ping_hears_of_its_fault_and_one_that_went_away_disturbs_nobody():
    async def look() -> None:
        raise ConnectionError("gone")

    gathered = Gathered(look, 0.0)
    gone, stays = (asyncio.create_task(gathered.call()) for _ in range(2))
    await asyncio.sleep(0)
    gone.cancel()

    with pytest.raises(ConnectionError):
        await stays
    assert gone.cancelled()


async def fetches() -> Idle:
    return Idle()


async def processes(batch: int) -> Debounce | None: ...


@pytest.mark.parametrize(
    ("fetch", "process", "message"),
    [
        (lambda name, more: Idle(), processes, "fetch of loop 'events' must take perhaps the loop's name"),
        (lambda *names: Idle(), processes, "parameter 'names' must be an ordinary named parameter"),
        (fetches, lambda: None, "process of loop 'events' must take the batch and perhaps the loop's name"),
        (fetches, lambda a, b, c: None, "process of loop 'events' must take the batch"),
    ],
)
async def test_functions_that_cannot_be_called_are_refused_when_they_are_defined(fetch, process, message):
    app = App("sqlite://", settings=Settings())

    with pytest.raises(MisuseError, match=message):
        app.loop("events", fetch=fetch, process=process)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("two words", {}),
        ("events", {"monitor_lag": 9.9}),
        ("events", {"debounce": -1}),
        ("events", {"poll_interval": 0.001}),
        ("events", {"log_level": "loud"}),
    ],
)
async def test_options_that_make_no_sense_are_refused_when_they_are_defined(name, options):
    app = App("sqlite://", settings=Settings())

    with pytest.raises(InvalidInput):
        app.loop(name, fetch=fetches, process=processes, **options)


async def test_two_loops_of_one_name_with_other_functions_are_refused():
    app = App("sqlite://", settings=Settings())
    app.loop("events", fetch=fetches, process=processes)

    with pytest.raises(MisuseError, match="two handlers are named"):
        app.loop("events", fetch=fetches, process=processes)


def test_log_level_is_read_from_the_environment_and_told_to_children():
    loud = Settings.from_environment({"HEADRACE_LOG_LEVEL": "WARNING"})

    assert loud.log_level == "warning"
    assert loud.environment()["HEADRACE_LOG_LEVEL"] == "warning"
    assert Settings.from_environment({}).log_level == "info"
    with pytest.raises(InvalidInput, match="HEADRACE_LOG_LEVEL"):
        Settings.from_environment({"HEADRACE_LOG_LEVEL": "loud"})


def test_c22_loop_that_must_be_isolated_runs_alone_in_its_worker_and_never_in_a_child():
    app = App("sqlite://", settings=Settings())
    app.loop("events", fetch=fetches, process=processes)

    @app.job()
    def plain() -> None: ...

    children = Processes(WorkerSettings(app_path="module:app"), print, print, bool)

    assert children.knows(app.registry.get("plain"))
    assert not children.knows(app.registry.get("loop.events"))
