"""What this process has just done to jobs, told to whoever in it wants to know.

Every part of the engine that changes jobs tells it here, once for each op and after its commit. Nothing may
depend on being told: a process can die between the commit and the telling, so what must happen is derived
from the rows and healed by a sweep.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Generic, TypeVar

from headrace.core.job import Job, Transition
from headrace.stores.protocol import NewJob

T = TypeVar("T")
Listener = Callable[[Sequence[T]], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Progressed:
    """A running job told how far it is, at store time ``at``."""

    job: Job
    progress: str
    at: int


class Told(Generic[T]):
    """One kind of news. Calling it tells all listeners; ``heard`` says whether there are any."""

    def __init__(self) -> None:
        self.heard = False
        self._listeners: tuple[Listener[T], ...] = ()

    def __call__(self, news: Sequence[T]) -> None:
        """Tells the listeners, in the order in which they came. One that raises disturbs nobody."""
        for listener in self._listeners:
            try:
                listener(news)
            except Exception as error:  # boundary: whoever listens must not harm the jobs
                _logger().warning("listener_failed", error=repr(error))

    def listen(self, listener: Listener[T]) -> Callable[[], None]:
        """Has ``listener`` called from now on, until what this returns is called.

        It is called in the event loop of the op that changed the jobs, and must neither wait nor take long.
        """
        self._listeners = (*self._listeners, listener)
        self.heard = True

        def stop() -> None:
            self._listeners = tuple(one for one in self._listeners if one is not listener)
            self.heard = bool(self._listeners)

        return stop


class Aftermath:
    """The news of one namespace: new jobs, claims, decided changes that were applied, progress."""

    def __init__(self, namespace: str) -> None:
        self.namespace = namespace
        self.inserted: Told[NewJob] = Told()
        self.claimed: Told[Job] = Told()
        self.settled: Told[Transition] = Told()
        self.progressed: Told[Progressed] = Told()
        self.parents: Told[str] = Told()

    def tell_of_parents(self, applied: Sequence[Transition]) -> None:
        """Tells ``parents`` the ids of those of these jobs that have ended and that others wait for."""
        ended = [one.job.id for one in applied if one.job.waited_on and one.placement.terminal]
        if ended:
            self.parents(ended)


@cache
def _logger() -> Any:  # noqa: ANN401 - structlog's loggers have no static type
    import structlog  # noqa: PLC0415 - quiet listeners never need it

    return structlog.get_logger("headrace.engine")
