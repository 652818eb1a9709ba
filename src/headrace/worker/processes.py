"""Child processes as the worker sees them: started when first needed, used again, killed when they must be.

Each is watched by a thread of the ``child`` crew, which speaks the protocol of ``messages.py``. A
child that dies costs the job that ran in it, and nobody else.
"""

import os
import select
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from queue import SimpleQueue
from typing import Any, Final

from headrace.core.outcomes import Crashed, ErrorInfo, Failed, Outcome, Released
from headrace.core.policy import ErrorClass
from headrace.engine.operations import Runs
from headrace.engine.registry import Registered
from headrace.settings import Settings
from headrace.worker import messages
from headrace.worker.held import Held, Why
from headrace.worker.link import Link
from headrace.worker.log import log
from headrace.worker.messages import Message
from headrace.worker.settings import WorkerSettings

OPENS_WITHIN: Final = 60.0
STARTS_TRIED: Final = 3
LOOK_MS: Final = 500
ENDS_WITHIN: Final = 5.0


class _Gone(Exception):
    """The child ended."""


class _ChildProcess:
    """One child process."""

    def __init__(self, app_path: str, files_at: Settings | None) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "headrace.worker.child"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        self._out: SimpleQueue[Message | None] = SimpleQueue()
        self._heard = b""
        self._says = select.poll()
        if self._process.stdout is not None:
            self._says.register(self._process.stdout, select.POLLIN)
        threading.Thread(target=self._write, name="headrace-child-writer", daemon=True).start()
        too_late = threading.Timer(OPENS_WITHIN, self.kill)
        too_late.daemon = True
        too_late.start()
        try:
            self.send(
                {"is": "open", "app": app_path, "path": sys.path, "files": messages.files_out(files_at)}
            )
            opened = self.receive()
        except _Gone:
            self.close()
            raise
        finally:
            too_late.cancel()
        self.signalled = False
        self.why_broken: str | None = opened.get("why")
        self.types = frozenset[str](opened.get("types", ()))

    @property
    def exit_code(self) -> int | None:
        """What it ended with; negative for a signal."""
        return self._process.poll()

    @property
    def reason(self) -> str:
        """What it ended with, in words."""
        code = self.exit_code
        if code is None:
            return "an unknown state"
        return f"signal {-code}" if code < 0 else f"exit code {code}"

    def send(self, message: Message) -> None:
        """Tells the child something. Never blocks."""
        self._out.put(message)

    def receive(self) -> Message:
        """Waits for what the child says. Raises _Gone when it has ended, or does not make sense any more."""
        while b"\n" not in self._heard:
            said = self._read()
            if not said:
                self._end()
                raise _Gone
            self._heard += said
        line, _, self._heard = self._heard.partition(b"\n")
        try:
            return messages.load(line)
        except ValueError as error:
            self.kill()
            self._process.wait()
            raise _Gone from error

    def _read(self) -> bytes:
        """What the child says next; nothing once it has ended.

        A process that the handler forked may keep the pipe open after that, so the child itself is
        looked at too.
        """
        while not self._says.poll(LOOK_MS):
            if self.exit_code is not None and not self._says.poll(0):
                return b""
        return b"" if self._process.stdout is None else os.read(self._process.stdout.fileno(), 65_536)

    def _end(self) -> None:
        """Waits for the end of a child that says nothing more: a handler may have closed the pipe."""
        try:
            self._process.wait(ENDS_WITHIN)
        except subprocess.TimeoutExpired:
            self.kill()
            self._process.wait()

    def terminate(self) -> None:
        """SIGTERM."""
        self.signalled = True
        self._process.terminate()

    def kill(self) -> None:
        """SIGKILL."""
        self.signalled = True
        self._process.kill()

    def close(self) -> None:
        """Ends the child and lets go of its pipes."""
        self._out.put(None)
        self._process.kill()
        self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()

    def _write(self) -> None:
        pipe = self._process.stdin
        if pipe is None:
            return
        with suppress(OSError):  # the child is gone; whoever reads from it learns that
            while (message := self._out.get()) is not None:
                pipe.write(messages.dump(message))
                pipe.flush()
        with suppress(OSError):
            pipe.close()


class Processes:
    """The children of one worker."""

    def __init__(
        self,
        settings: WorkerSettings,
        link: Callable[[Held], Link],
        time_from_now: Callable[[Held], None],
        too_late: Callable[[Held], bool],
    ) -> None:
        self._app_path = settings.app_path
        self._files_at = settings.files_at
        self._link = link
        self._time_from_now = time_from_now
        self._too_late = too_late
        self._idle: list[_ChildProcess] = []
        self._busy: dict[Held, _ChildProcess] = {}
        self._lock = threading.Lock()
        self._closed = False
        self._unknown: set[str] = set()

    def knows(self, kind: Registered) -> bool:
        """Whether a child can run this job type, as far as is known before it has tried."""
        return self._app_path is not None and kind.apart and kind.info.name not in self._unknown

    def perform(self, held: Held) -> Outcome | None:
        """Runs the job in a child and returns what became of it; None if it was stopped. Blocks."""
        if held.stopping is not None:
            held.started_at = None
            return None
        for _ in range(STARTS_TRIED):
            try:
                child = self._take(held)
            except (_Gone, OSError) as error:
                return _cannot(held, f"the child process did not start: {error!r}")
            if isinstance(child, str):
                return _cannot(held, child)
            talk = _Talk(child, self._link(held), self._time_from_now)
            try:
                # told before there was a child to tell, or waited too long for one
                if held.stopping is not None or self._too_late(held):
                    held.started_at = None
                    return None
                return talk.run(held)
            except _Gone:
                if held.stopping is not None:
                    return None
                if talk.started:
                    return _crashed(f"the child process ended with {child.reason} while it ran this job")
            except BaseException:
                child.kill()  # nobody knows what it would say next
                raise
            finally:
                self._give_back(held, child)
        return _cannot(held, "child processes end before they start the job")

    def tell(self, held: Held, why: Why) -> None:
        """Tells the child's handler to stop: by word if there is time, else by SIGTERM."""
        with self._lock:
            child = self._busy.get(held)
            if child is not None:
                child.send({"is": "cancel"})
                if why is not Why.CANCEL:
                    child.terminate()

    def force(self, held: Held) -> None:
        """The handler did not stop: SIGTERM if only words were used so far, else SIGKILL."""
        with self._lock:
            child = self._busy.get(held)
            if child is None:
                return
            if held.stopping is Why.CANCEL and held.forced == 1:
                child.terminate()
            else:
                child.kill()

    def close(self) -> None:
        """Ends all children."""
        with self._lock:
            self._closed = True
            children, self._idle = self._idle, []
            busy = list(self._busy.values())
        for child in children:
            child.close()
        for child in busy:
            child.kill()

    def _take(self, held: Held) -> "_ChildProcess | str":
        """A child that knows the job type, marked busy; or why there is none."""
        if self._app_path is None:
            return 'runs="process" needs an app that a child process can import (module:attribute)'
        with self._lock:
            child = self._idle.pop() if self._idle else None
        if child is None or child.exit_code is not None:
            child = _ChildProcess(self._app_path, self._files_at)
        if child.why_broken is not None or held.kind.info.name not in child.types:
            self._unknown.add(held.kind.info.name)
            why = child.why_broken or f"{self._app_path} has no job type {held.kind.info.name!r}"
            child.close()
            log("child_cannot_run_type", type=held.kind.info.name, why=why)
            return why
        with self._lock:
            self._busy[held] = child
        return child

    def _give_back(self, held: Held, child: _ChildProcess) -> None:
        """Keeps the child for the next job, unless it is dead or may be about to die of a signal."""
        with self._lock:
            self._busy.pop(held, None)
            keep = not (self._closed or child.signalled or child.exit_code is not None)
            if keep:
                self._idle.append(child)
        if not keep:
            child.close()


class _Talk:
    """One job's conversation with its child."""

    def __init__(self, child: _ChildProcess, link: Link, time_from_now: Callable[[Held], None]) -> None:
        self.started = False
        self._child = child
        self._link = link
        self._time_from_now = time_from_now

    def run(self, held: Held) -> Outcome | None:
        """Has the child run the job; returns what became of it. Raises _Gone."""
        self._child.send({"is": "run", "job": messages.job_out(held.job), "now": held.started_at})
        if held.stopping is not None:
            self._child.send({"is": "cancel"})
        while True:
            message = self._child.receive()
            if message["is"] == "ended":
                raw: Any = message["outcome"]
                return None if raw is None else messages.outcome_in(raw)
            self._heard(held, message)

    def _heard(self, held: Held, message: Message) -> None:
        link = self._link
        match message["is"]:
            case "started":
                self.started = True
                self._time_from_now(held)
            case "progress":
                link.progress(message["data"])
            case "log":
                link.log(message["level"], message["message"], message["data"])
            case "checkpoint":
                _answer(self._child, message["number"], link.checkpoint(message["data"]))
            case "parents":
                _answer(self._child, message["number"], link.parents())
            case "kept":
                _answer(self._child, message["number"], link.kept())
            case "keep":
                _answer(self._child, message["number"], link.keep(messages.step_in(message["step"])))
            case _:
                requests = [messages.request_in(one) for one in message["requests"]]
                _answer(self._child, message["number"], link.enqueue(requests))


def _answer(child: _ChildProcess, number: int, done: Future[Any]) -> None:
    def tell(ended: Future[Any]) -> None:
        error = ended.exception()
        told = None if error is None else messages.error_out(error)
        answer = None if error is not None else messages.answer_out(ended.result())
        child.send({"is": "answer", "number": number, "error": told, "answer": answer})

    done.add_done_callback(tell)


def _cannot(held: Held, why: str) -> Outcome:
    """No child can run the job: an error of its type, unless it was put there for safety only."""
    if held.kind.info.runs is not Runs.PROCESS:
        held.started_at = None
        return Released(reason=why)
    error = ErrorInfo(type="ChildProcessFailed", message=why, error_class=ErrorClass.TRANSIENT)
    return Failed(error=error)


def _crashed(why: str) -> Outcome:
    return Crashed(error=ErrorInfo(type="ChildProcessDied", message=why))
