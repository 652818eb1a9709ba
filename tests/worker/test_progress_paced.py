"""Progress of one job is written at most twice a second, however busy its worker is with others."""

import asyncio
from collections.abc import Sequence

import pytest

from headrace.core.steps import Step, StepKind
from headrace.engine.context import Context
from headrace.engine.work import Holder, LocalWork, Note
from headrace.errors import StoreUnavailable
from headrace.worker.link import Said
from headrace.worker.notes import PACE, Notes
from tests.worker.doubles import Unreliable
from tests.worker.rig import PATIENCE, Rig, organs_of, until

ONE, OTHER = Holder(job_id="one", fence=1), Holder(job_id="other", fence=1)


class StillLoop:
    """The running loop, with a time that stands still until it is moved."""

    def __init__(self) -> None:
        self.at = 100.0
        self._loop = asyncio.get_running_loop()

    def time(self) -> float:
        return self.at

    def __getattr__(self, name: str) -> object:
        return getattr(self._loop, name)


class Written:
    """Keeps what is written; ``down`` makes the next write fail."""

    def __init__(self, inner: LocalWork) -> None:
        self.clock = inner.clock
        self.notes: list[Note] = []
        self.down = False

    async def note(self, notes: Sequence[Note]) -> frozenset[str]:
        if self.down:
            raise StoreUnavailable("down")
        self.notes += notes
        return frozenset()

    def progress(self, holder: Holder) -> list[str]:
        return [one.progress for one in self.notes if one.holder == holder and one.progress is not None]


class Scene:
    def __init__(self, rig: Rig) -> None:
        self.written = Written(rig.work())
        self.notes = Notes(self.written, lambda _: None)  # type: ignore[arg-type]
        self.loop = StillLoop()
        self.notes._loop = self.loop  # type: ignore[assignment]


@pytest.fixture
async def scene(rig: Rig) -> Scene:
    return Scene(rig)


async def test_progress_waits_for_its_time_while_others_are_settled(scene):
    for number in range(5):
        scene.notes.progress(ONE, str(number))
        await scene.notes.flush_paced([OTHER])
    assert scene.written.progress(ONE) == ["0"]
    assert scene.notes.waiting

    scene.loop.at += PACE
    await scene.notes.flush_paced()

    assert scene.written.progress(ONE) == ["0", "4"]
    assert not scene.notes.waiting


async def test_last_progress_is_written_before_the_outcome(scene):
    scene.notes.progress(ONE, "99")
    await scene.notes.flush_paced()
    scene.notes.progress(ONE, "100")

    await scene.notes.flush_paced([ONE])

    assert scene.written.progress(ONE) == ["99", "100"]


async def test_checkpoint_goes_at_once_and_does_not_take_progress_along(scene):
    scene.notes.progress(ONE, "1")
    await scene.notes.flush_paced()
    scene.notes.progress(ONE, "2")
    done = Said[None]()
    scene.notes.checkpoint(ONE, "[1]", done)

    await scene.notes.flush_paced()

    assert done.succeeded
    assert scene.written.progress(ONE) == ["1"]
    assert [one.checkpoint for one in scene.written.notes] == [None, "[1]"]


async def test_step_and_log_lines_are_not_held_up_by_the_pace(scene):
    scene.notes.progress(ONE, "1")
    await scene.notes.flush_paced()
    scene.notes.progress(ONE, "2")
    scene.notes.log(ONE, "info", "a line", None)
    step = Step(number=1, kind=StepKind.WAIT, name="x", occurrence=1, at=0, ended_at=0)
    scene.notes.keep(ONE, step, Said[None]())

    await scene.notes.flush_paced()

    last = scene.written.notes[-1]
    assert ([line.message for line in last.lines], len(last.steps), last.progress) == (["a line"], 1, None)


async def test_progress_that_could_not_be_written_is_written_later_unless_there_is_newer(scene):
    scene.notes.progress(ONE, "1")
    scene.notes.progress(OTHER, "1")
    scene.written.down = True
    with pytest.raises(StoreUnavailable):
        await scene.notes.flush_paced()
    scene.notes.progress(ONE, "2")
    scene.written.down = False

    await scene.notes.flush_paced()

    assert (scene.written.progress(ONE), scene.written.progress(OTHER)) == (["2"], ["1"])


async def test_everything_is_written_when_the_worker_stops(scene):
    scene.notes.progress(ONE, "1")
    await scene.notes.flush_paced()
    scene.notes.progress(ONE, "2")

    await scene.notes.flush()

    assert scene.written.progress(ONE) == ["1", "2"]


async def test_what_is_being_written_is_waited_for_before_an_outcome(rig: Rig):
    """On a store that writes over several connections the outcome could else overtake the note."""
    work = Unreliable(rig.work())
    work.hold_notes = asyncio.Event()
    heard = asyncio.Event()

    @rig.job(name="tells")
    async def tells(ctx: Context) -> None:
        ctx.log("a line")
        await heard.wait()

    job_id = await rig.enqueue("tells")
    async with rig.worker(work=work) as (worker, watch), asyncio.timeout(PATIENCE):
        await until(organs_of(worker).notes._writing.locked)
        heard.set()
        await until(lambda: organs_of(worker).settler.unsettled > 0)
        assert work.reported == []
        work.hold_notes.set()
        await watch.finished(job_id)

    assert [line.message for line in await rig.operations.log_lines(job_id)] == ["a line"]
