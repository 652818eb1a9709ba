"""Where handlers run: as tasks of the loop, in threads, in child processes; and how each is stopped."""

from collections.abc import Callable, Sequence

from headrace.core.outcomes import Outcome, Report
from headrace.engine.operations import Runs
from headrace.engine.registry import Registered
from headrace.worker import endings
from headrace.worker.held import Held, Why
from headrace.worker.processes import Processes
from headrace.worker.runner import Runner
from headrace.worker.settings import WorkerSettings
from headrace.worker.threads import Crew, Performed

Ended = Callable[[Held, Report], None]


class Pools:
    """Starts and stops handlers of all kinds."""

    def __init__(self, runner: Runner, settings: WorkerSettings, ended: Ended) -> None:
        self._runner = runner
        self._ended = ended
        self._threads = Crew("handler", settings.threads, runner.run_here, self._performed)
        self._processes = Processes(settings, runner.link, runner.time_from_now, runner.too_late)
        self._watchers = Crew("child", settings.processes, self._processes.perform, self._performed)

    def start(self, held: Held) -> None:
        """Starts the handler; its slot is free already."""
        match held.runs:
            case Runs.ASYNC:
                self._runner.start(held, self._ended)
            case Runs.THREAD:
                self._runner.begin(held)
                self._threads.put(held)
            case Runs.PROCESS:
                self._runner.begin(held)
                self._watchers.put(held)

    def can_isolate(self, kind: Registered) -> bool:
        """Whether a child process can run this job type."""
        return self._processes.knows(kind)

    def tell(self, held: Held, why: Why) -> None:
        """Tells a running handler to stop. ``ctx.cancelled`` is true by now."""
        match held.runs:
            case Runs.ASYNC:
                self._cancel(held)
            case Runs.THREAD:
                pass  # a thread looks at ctx.cancelled; what does not is forced later
            case Runs.PROCESS:
                self._processes.tell(held, why)

    def force(self, held: Held) -> None:
        """The handler did not stop in time: with more force, ``held.forced`` times by now."""
        match held.runs:
            case Runs.ASYNC:
                self._cancel(held)
            case Runs.THREAD:
                if held.forced == 1:
                    self._threads.interrupt(held)
            case Runs.PROCESS:
                self._processes.force(held)

    def close(self) -> None:
        """Lets threads and child processes go."""
        self._threads.close()
        self._watchers.close()
        self._processes.close()

    def _cancel(self, held: Held) -> None:
        # a task that has not begun would end without a word; it looks at ``stopping`` when it begins
        if held.task is not None and held.begun:
            held.task.cancel()

    def _performed(self, batch: Sequence[Performed]) -> None:
        for held, outcome in batch:
            self._ended(held, self._runner.report(held, self._outcome(held, outcome)))

    def _outcome(self, held: Held, outcome: Outcome | None) -> Outcome:
        if outcome is None or held.stopping is not None:
            return endings.settled(held, outcome)
        return outcome
