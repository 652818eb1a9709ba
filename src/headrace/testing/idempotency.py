"""Whether a job does its work once, however often it is begun.

The job is run through once, and then again and again in a world made anew, losing its worker at another place
each time: before and after every checkpoint and step, and after its last word. What it has done in the end
must be the same.
"""

import difflib
import pprint
from collections.abc import Callable, Collection, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from secrets import token_hex
from typing import Any, Final, cast

from headrace.app import App
from headrace.core.flow import Parent
from headrace.core.job import Job
from headrace.core.request import EnqueueRequest
from headrace.core.states import State
from headrace.core.steps import Kept, Step
from headrace.engine.job_type import JobType
from headrace.engine.work import Holder
from headrace.errors import MisuseError
from headrace.testing.driver import Driver, driving
from headrace.worker.link import Outbox, Said

MAX_POINTS: Final = 1_000
_JOB: Final = "<the job's id>"


class SimulatedCrash(BaseException):
    """Stands for the end of the process: what catches all errors of a handler must not catch it."""


class NotIdempotent(AssertionError):
    """A repeated job has done something else than one that ran once."""


@dataclass(frozen=True, slots=True)
class _Seen:
    """What one life of the job has done, and the places at which it could have been lost."""

    effects: object
    places: tuple[str, ...]


async def check_idempotent(
    app: App,
    job_type: JobType[..., Any],
    *args: object,
    effects: Callable[[], object],
    reset: Callable[[], object],
    **kwargs: object,
) -> tuple[str, ...]:
    """Asserts that the job leaves the same ``effects()`` behind wherever its worker is lost.

    ``effects`` tells what the job has done outside the store (mails sent, rows written); ``reset`` undoes
    all of it, and is called before each life of the job. Each life has a job id of its own, which counts as
    equal in texts. Time passes by itself. Returns the places at which a worker was lost. Raises
    NotIdempotent, which names the place and what differs; MisuseError for a job that does not complete.
    """
    once = await _life(app, job_type, args, kwargs, effects=effects, reset=reset, lost_at=None)
    for number, place in enumerate(once.places):
        again = await _life(app, job_type, args, kwargs, effects=effects, reset=reset, lost_at=number)
        if again.effects != once.effects:
            raise NotIdempotent(_difference(job_type.name, place, once.effects, again.effects))
    return once.places


class LosesWorker:
    """An ``Outbox`` laid over another one: at one place the worker is lost."""

    def __init__(self, inner: Outbox, lost_at: int | None) -> None:
        self.places: list[str] = []
        self.lost = False
        self._inner = inner
        self._lost_at = lost_at
        self._another_worker = False

    def progress(self, holder: Holder, progress: str) -> None:
        self._inner.progress(holder, progress)

    def log(self, holder: Holder, level: str, message: str, data: str | None) -> None:
        self._inner.log(holder, level, message, data)

    def enqueue(
        self, holder: Holder, requests: Sequence[EnqueueRequest], done: Said[tuple[str, ...]]
    ) -> None:
        self._inner.enqueue(holder, requests, done)

    def parents(self, holder: Holder, done: Said[tuple[Parent, ...]]) -> None:
        self._inner.parents(holder, done)

    def kept(self, holder: Holder, done: Said[Kept]) -> None:
        self._inner.kept(holder, done)

    def checkpoint(self, holder: Holder, data: str, done: Said[None]) -> None:
        number = 1 + sum(place.startswith("before checkpoint") for place in self.places)
        self._written(f"checkpoint {number}", lambda own: self._inner.checkpoint(holder, data, own), done)

    def keep(self, holder: Holder, step: Step, done: Said[None]) -> None:
        what = f"{step.kind.value} {step.label!r} was kept"
        self._written(what, lambda own: self._inner.keep(holder, step, own), done)

    def reached(self, place: str) -> bool:
        """Notes a place; whether the worker is lost here, or was before."""
        if self._another_worker:
            return False
        if not self.lost:
            self.lost = len(self.places) == self._lost_at
            self.places.append(place)
        return self.lost

    def hand_over(self) -> None:
        """Another worker goes on, and is not lost any more."""
        self._another_worker = True

    def _written(self, what: str, write: Callable[[Said[None]], None], done: Said[None]) -> None:
        if self.reached(f"before {what}"):
            raise SimulatedCrash
        own = Said[None]()

        def written(_: object) -> None:
            if (error := own.exception()) is not None:
                done.set_exception(error)
            elif self.reached(f"after {what}"):
                done.set_exception(SimulatedCrash())
            else:
                done.set_result(None)

        own.add_done_callback(written)
        write(own)


async def _life(  # noqa: PLR0913 - what makes one life of a job
    app: App,
    job_type: JobType[..., Any],
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    *,
    effects: Callable[[], object],
    reset: Callable[[], object],
    lost_at: int | None,
) -> _Seen:
    """One job from its enqueue to its end; its worker is lost once, at that place."""
    reset()
    queue = f"idempotency-{token_hex(8)}"  # so that nobody else's jobs are met here
    handle = await job_type.using(queue=queue).enqueue(*args, **kwargs)
    layers: list[LosesWorker] = []

    def over(inner: Outbox) -> Outbox:
        layers.append(LosesWorker(inner, lost_at))
        return layers[0]

    async with driving(app, outbox=over) as driver:
        await _until_ended(driver, queue, layers[0])
        job = await handle.job()
    if job.state is not State.COMPLETED:
        raise MisuseError(_not_completed(job, layers[0], lost_at))
    return _Seen(_without_id(deepcopy(effects()), job.id), tuple(layers[0].places))


async def _until_ended(driver: Driver, queue: str, layer: LosesWorker) -> None:
    lost = False
    attempts = 0
    while (job := await driver.claim(queue)) is not None and attempts < MAX_POINTS:
        attempts += 1
        if lost:
            await driver.run(job)
        else:
            report = await driver.perform(driver.held(job))
            lost = layer.reached("after its last word")
            if lost:
                await driver.abandon(job)
                layer.hand_over()
            else:
                await driver.settle(report, job)
        await driver.pass_time(job.id)


def _not_completed(job: Job, layer: LosesWorker, lost_at: int | None) -> str:
    where = "" if lost_at is None else f" when its worker was lost {layer.places[lost_at]}"
    error = job.placement.error or "no error"
    return f"{job.facts.type} does not complete{where}: it is {job.state.value}, {error}"


def _without_id(value: object, job_id: str) -> object:
    """The value with the job's id replaced in texts: each life of the job has another one."""
    match value:
        case str():
            return value.replace(job_id, _JOB)
        case dict():
            held = cast("dict[object, object]", value)
            return {_without_id(key, job_id): _without_id(inner, job_id) for key, inner in held.items()}
        case list():
            return [_without_id(one, job_id) for one in cast("list[object]", value)]
        case tuple():
            return tuple(_without_id(one, job_id) for one in cast("tuple[object, ...]", value))
        case set() | frozenset():
            return {_without_id(one, job_id) for one in cast("Collection[object]", value)}
        case _:
            return value


def _difference(name: str, place: str, once: object, again: object) -> str:
    lines = difflib.unified_diff(
        pprint.pformat(once).splitlines(),
        pprint.pformat(again).splitlines(),
        "run once",
        "repeated",
        lineterm="",
    )
    return (
        f"{name} is not idempotent: its worker was lost {place}, and the repeated job has done\n"
        + "\n".join(lines)
    )
