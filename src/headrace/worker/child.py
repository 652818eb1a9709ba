"""A child process that runs handlers for its worker: ``python -m headrace.worker.child``.

It imports the application; a store it opens only where a handler asks for stored files. It runs one
job at a time in its main thread, so that SIGTERM can stop a plain function; a second thread reads what
the worker says. When the worker is gone, the child goes too.
"""

import asyncio
import contextvars
import importlib
import inspect
import os
import queue
import resource
import signal
import sys
import threading
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, BinaryIO, Final

from headrace.core.flow import Parent
from headrace.core.outcomes import Outcome
from headrace.core.request import EnqueueRequest
from headrace.core.steps import Kept, Step
from headrace.engine.arguments import arguments_of
from headrace.engine.registry import Registered, Registry
from headrace.engine.work import Holder
from headrace.errors import MisuseError
from headrace.files.apart import FilesApart
from headrace.files.protocol import FileStore
from headrace.settings import Settings
from headrace.worker import endings, messages
from headrace.worker.link import Link, Said
from headrace.worker.messages import Message

DIES_FIRST: Final = "900"
MIB: Final = 1024 * 1024


class Pipe:
    """The child's end of the conversation, and the ``Outbox`` of its contexts."""

    def __init__(self, out: BinaryIO) -> None:
        self._out = out
        self._lock = threading.Lock()
        self._asked: dict[int, Said[Any]] = {}
        self._number = 0

    def send(self, message: Message) -> None:
        """Tells the worker something."""
        with self._lock:
            self._out.write(messages.dump(message))
            self._out.flush()

    def answered(self, message: Message) -> None:
        """The worker answers what was asked."""
        done = self._asked.pop(message["number"])
        if message["error"] is not None:
            done.set_exception(messages.error_in(message["error"]))
        else:
            done.set_result(messages.answer_in(message["answer"]))

    def progress(self, holder: Holder, progress: str) -> None:
        del holder
        self.send({"is": "progress", "data": progress})

    def log(self, holder: Holder, level: str, message: str, data: str | None) -> None:
        del holder
        self.send({"is": "log", "level": level, "message": message, "data": data})

    def checkpoint(self, holder: Holder, data: str, done: Said[None]) -> None:
        del holder
        self.send({"is": "checkpoint", "data": data, "number": self._ask(done)})

    def enqueue(
        self, holder: Holder, requests: Sequence[EnqueueRequest], done: Said[tuple[str, ...]]
    ) -> None:
        del holder
        out = [messages.request_out(request) for request in requests]
        self.send({"is": "enqueue", "requests": out, "number": self._ask(done)})

    def parents(self, holder: Holder, done: Said[tuple[Parent, ...]]) -> None:
        del holder
        self.send({"is": "parents", "number": self._ask(done)})

    def kept(self, holder: Holder, done: Said[Kept]) -> None:
        del holder
        self.send({"is": "kept", "number": self._ask(done)})

    def keep(self, holder: Holder, step: Step, done: Said[None]) -> None:
        del holder
        self.send({"is": "keep", "step": messages.step_out(step), "number": self._ask(done)})

    def _ask(self, done: Said[Any]) -> int:
        with self._lock:
            self._number += 1
            self._asked[self._number] = done
            return self._number


class Child:
    """Runs the jobs that come down the pipe, one after the other."""

    def __init__(self, pipe: Pipe, registry: Registry, app: object, files: FileStore | None) -> None:
        self._pipe = pipe
        self._registry = registry
        self._files = files
        self._lifespan: Callable[[], Any] | None = getattr(app, "lifespan_factory", None)
        self._deps: object = None
        self._link: Link | None = None
        self._task: asyncio.Task[Any] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self.cancel_asked = False

    def live(self, jobs: "queue.SimpleQueue[Message]") -> None:
        """Runs jobs for ever."""
        clean = contextvars.copy_context()
        with asyncio.Runner() as runner:
            self._loop = runner.get_loop()
            stack = AsyncExitStack()
            if self._lifespan is not None:
                self._deps = runner.run(stack.enter_async_context(self._lifespan()))
            self._pipe.send({"is": "ready", "types": self._registry.names})
            while True:
                message = jobs.get()
                outcome = clean.copy().run(self._run, runner, message)
                told = None if outcome is None else messages.outcome_out(outcome)
                self._pipe.send({"is": "ended", "outcome": told})

    def cancel(self) -> None:
        """The worker asks the running handler to stop; called in the reading thread."""
        self.cancel_asked = True
        link, task, loop = self._link, self._task, self._loop
        if link is not None:
            link.cancelled = True
        if task is not None and loop is not None:
            loop.call_soon_threadsafe(task.cancel)

    def _run(self, runner: asyncio.Runner, message: Message) -> Outcome | None:
        job = messages.job_in(message["job"])
        link = self._link = Link(Holder(job_id=job.id, fence=job.fence), self._pipe, time.monotonic())
        if self.cancel_asked:  # it came before the link was there
            return None
        self._pipe.send({"is": "started"})
        kind = self._registry.get(job.facts.type)
        try:
            payload = kind.payload
            arguments = arguments_of(kind, job.facts)
            if payload.context_parameter is not None:
                arguments[payload.context_parameter] = endings.context_of(
                    job, link, files=self._files, deps=self._deps, codec=kind.codec
                )
            with memory_limit(kind.memory_limit_mb):
                value = self._call(runner, kind, arguments)
            link.finish_blocking()
            return endings.succeeded(kind, value)
        except BaseException as error:  # boundary: a handler may raise anything
            if link.cancelled and endings.interrupted(error):
                return None
            return endings.raised(kind, error, message["now"])
        finally:
            self._link = None

    def _call(self, runner: asyncio.Runner, kind: Registered, arguments: dict[str, Any]) -> object:
        if not inspect.iscoroutinefunction(kind.handler):
            return kind.handler(**arguments)
        return runner.run(self._await(kind, arguments), context=contextvars.copy_context())

    async def _await(self, kind: Registered, arguments: dict[str, Any]) -> object:
        self._task = asyncio.current_task()
        try:
            return await kind.handler(**arguments)
        finally:
            self._task = None

    def terminate(self, signum: int, frame: FrameType | None) -> None:
        """SIGTERM: a plain function is interrupted where it is, an async one is cancelled."""
        del signum, frame
        if self._link is None:
            os._exit(0)
        self.cancel()
        if self._task is None:
            raise endings.Interrupted


@contextmanager
def memory_limit(megabytes: int | None) -> Generator[None]:
    """Bounds the address space while a handler runs: going beyond raises MemoryError in it."""
    if megabytes is None:
        yield
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    wanted = megabytes * MIB if hard == resource.RLIM_INFINITY else min(megabytes * MIB, hard)
    resource.setrlimit(resource.RLIMIT_AS, (wanted, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def registry_of(app: object) -> Registry:
    """The job types of an App, or a Registry itself. Raises MisuseError for anything else."""
    found = app if isinstance(app, Registry) else getattr(app, "registry", None)
    if not isinstance(found, Registry):
        msg = f"{app!r} is neither an App nor a Registry"
        raise MisuseError(msg)
    return found


def load_app(path: str) -> object:
    """What ``module:attribute`` names. Raises MisuseError if there is no such thing."""
    module, _, attribute = path.partition(":")
    target: object = importlib.import_module(module)
    for part in attribute.split("."):
        if not hasattr(target, part):
            msg = f"{module} has no {attribute!r}"
            raise MisuseError(msg)
        target = getattr(target, part)
    return target


def main() -> None:
    """Opens the conversation and runs jobs until the worker goes."""
    source, pipe = _keep_pipes()
    _die_first()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the worker's to handle
    opening = messages.load(source.readline())
    sys.path[:] = opening["path"]
    try:
        app = load_app(opening["app"])
        where: Message | None = opening["files"]
        files = None if where is None else FilesApart(Settings(**where))
        child = Child(pipe, registry_of(app), app, files)
    except Exception as error:  # boundary: importing the application may raise anything
        pipe.send({"is": "broken", "why": f"{type(error).__name__}: {error}"})
        return
    signal.signal(signal.SIGTERM, child.terminate)
    jobs: queue.SimpleQueue[Message] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(source, child, pipe, jobs), daemon=True).start()
    try:
        child.live(jobs)
    except BrokenPipeError:
        os._exit(0)  # the worker is gone, and with it the right to go on


def _listen(source: BinaryIO, child: Child, pipe: Pipe, jobs: "queue.SimpleQueue[Message]") -> None:
    for line in source:
        message = messages.load(line)
        match message["is"]:
            case "run":
                child.cancel_asked = False
                jobs.put(message)
            case "cancel":
                child.cancel()
            case _:
                pipe.answered(message)
    os._exit(0)  # the worker is gone, and with it the right to go on


def _keep_pipes() -> tuple[BinaryIO, Pipe]:
    """Takes the pipes away from stdin and stdout: handlers may print, and nobody answers their input()."""
    source = os.fdopen(os.dup(0), "rb")
    out = os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    return source, Pipe(out)


def _die_first() -> None:
    """When memory runs out the kernel takes this process before its worker."""
    try:
        Path("/proc/self/oom_score_adj").write_text(DIES_FIRST, encoding="ascii")
    except OSError:
        return  # not Linux, or not allowed: then the worker's own limits must do


if __name__ == "__main__":
    main()
