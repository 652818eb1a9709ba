"""Runs one job as a pipeline: arguments, context, handler, outcome.

Async handlers run as tasks, one a job, each with context variables of its own. Plain functions run
the same pipeline in a thread. Time limits are kept by one sweep for all jobs (``limits.py``).
"""

import asyncio
import contextvars
import math
from collections.abc import Callable
from functools import partial
from typing import Any

from headrace.core.limits import LATE_MS
from headrace.core.outcomes import Outcome, Report
from headrace.engine.arguments import arguments_of
from headrace.engine.work import Work, WorkSource
from headrace.worker import endings
from headrace.worker.events import OnEvent, Started
from headrace.worker.held import Held, Why
from headrace.worker.link import Link, Outbox, Said, Transactor
from headrace.worker.settings import WorkerSettings


class Runner:
    """Runs handlers and hands on what became of them."""

    def __init__(
        self, work: WorkSource, settings: WorkerSettings, outbox: Outbox, on_event: OnEvent | None
    ) -> None:
        self._clock = work.clock
        self._outbox = outbox
        self._files = settings.files
        self._on_event = on_event
        self._loop = asyncio.get_running_loop()
        self._clean = contextvars.copy_context()
        self.deps: object = None
        self.transactor: Transactor | None = None

    def start(self, held: Held, ended: Callable[[Held, Report], None]) -> None:
        """Starts an async handler as a task."""
        self._announce(held)
        held.task = self._loop.create_task(self._run(held, ended), context=self._clean.copy())

    def begin(self, held: Held) -> None:
        """Notes the start of what runs elsewhere."""
        held.started_at = self._clock.now()
        self._announce(held)

    def _announce(self, held: Held) -> None:
        if held.job.placement.timeout_ms is not None:
            held.deadline = math.inf
        if self._on_event is not None:
            self._on_event(Started(held.job))

    def time_from_now(self, held: Held) -> None:
        """The handler is about to run: its time limit runs from here, in whatever thread that is.

        A thread or child process that is slow to start does not use up the handler's time.
        """
        limit = held.job.placement.timeout_ms
        if limit is not None:
            held.deadline = self._loop.time() + limit / 1000

    def report(self, held: Held, outcome: Outcome) -> Report:
        """What is told of an attempt that ended."""
        return Report(
            job_id=held.job.facts.id,
            fence=held.job.fence,
            started_at=held.started_at,
            ended_at=self._clock.now(),
            outcome=outcome,
        )

    async def _run(self, held: Held, ended: Callable[[Held, Report], None]) -> None:
        held.begun = True
        outcome: Outcome | None = None
        try:
            if self._must_not_start(held):
                held.started_at = None
            else:
                self.time_from_now(held)
                value = await held.kind.handler(**self.arguments(held))
                if held.link is not None:
                    await held.link.finish()
                outcome = endings.succeeded(held.kind, value)
        except BaseException as error:  # boundary: a handler may raise anything
            if held.stopping is None or not endings.interrupted(error):
                outcome = endings.raised(held.kind, error, self._clock.now())
        if outcome is None or held.stopping is not None:
            outcome = endings.settled(held, outcome)
        ended(held, self.report(held, outcome))

    def _must_not_start(self, held: Held) -> bool:
        """Whether it was told to stop, or its turn came too late for its lease or rate; else it starts now.

        A blocked loop, or an interpreter held in C, can outlast the lease of a job that waits behind it:
        others may have run it to its end by now.
        """
        if held.stopping is None:
            now = self._clock.now()
            if now >= held.lease_until:
                held.stopping = Why.LAPSED
            elif held.job.placement.slot_key is None or not self.too_late(held):
                held.started_at = now
                return False
        return True

    def too_late(self, held: Held) -> bool:
        """Whether its rate has no room for it any more, because the token was taken too long ago (C42).

        It is then told to stop: given back, it costs no attempt and is claimed again under a fresh token.
        """
        if not held.prompt or self._clock.now() <= (held.job.placement.started_at or 0) + LATE_MS:
            return False
        held.stopping = Why.LATE
        return True

    def run_here(self, held: Held) -> Outcome | None:
        """Runs a plain function in the calling thread; None if it ended by being interrupted."""
        return self._clean.copy().run(self._run_here, held)

    def _run_here(self, held: Held) -> Outcome | None:
        if self._must_not_start(held):
            held.started_at = None
            return None
        self.time_from_now(held)
        try:
            value = held.kind.handler(**self.arguments(held))
            if held.link is not None:
                held.link.finish_blocking()
            return endings.succeeded(held.kind, value)
        except BaseException as error:  # boundary: a handler may raise anything
            if held.stopping is not None and endings.interrupted(error):
                return None
            return endings.raised(held.kind, error, self._clock.now())

    def arguments(self, held: Held) -> dict[str, Any]:
        """The handler's keyword arguments. Raises as ``arguments_of`` does."""
        arguments = arguments_of(held.kind, held.job.facts)
        context_parameter = held.kind.payload.context_parameter
        if context_parameter is not None:
            arguments[context_parameter] = endings.context_of(
                held.job, self.link(held), files=self._files, deps=self.deps, codec=held.kind.codec
            )
        return arguments

    def link(self, held: Held) -> Link:
        """The link of this attempt."""
        if held.link is None:
            transact = None if self.transactor is None else partial(self._transact, self.transactor, held)
            held.link = Link(held.holder, self._outbox, held.renewed_at, transact)
            if held.stopping is not None:  # never set to False: it may be told to stop at this very moment
                held.link.cancelled = True
        return held.link

    def _transact(self, transactor: Transactor, held: Held, work: Work, done: Said[object]) -> None:
        def completion(value: object) -> Report:
            return self.report(held, endings.succeeded(held.kind, value))

        transactor.transact(held.holder, work, completion, done)
