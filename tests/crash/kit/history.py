"""What clients asked for and what they were told, each with both clocks.

``invoke`` is written before the call; then exactly one of ``ok``, ``fail`` (nothing was done) and
``unknown`` (no reply: it may have been done). A client that dies leaves an ``invoke`` alone, which counts
as unknown.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from uuid import uuid4

from headrace.core.request import EnqueueRequest
from headrace.engine.local import LocalOperations
from headrace.errors import HeadraceError, IllegalMove, StoreError
from tests.crash.kit.clocks import mono_ms, store_ms
from tests.crash.kit.ledger import append, lines_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One call: what was asked, about which jobs, how it ended and when."""

    what: str
    ended: str
    jobs: tuple[str, ...]
    invoked_at: int
    answered_at: int | None
    took_ms: float | None
    error: str = ""


class Under:
    """A call under way."""

    def __init__(self) -> None:
        self.jobs: Sequence[str] = ()


class History:
    """The log of one client or several; it may be written by several processes at once."""

    def __init__(self, path: Path) -> None:
        self.path: Final = path

    @contextmanager
    def call(self, what: str, jobs: Sequence[str] = ()) -> Iterator[Under]:
        """Notes a call. The block's exception says how it ended."""
        key, under = uuid4().hex, Under()
        under.jobs = jobs
        self._write(key, "invoke", what, jobs)
        try:
            yield under
        except StoreError as error:
            self._write(key, "unknown", what, under.jobs, repr(error))
            raise
        except HeadraceError as error:
            self._write(key, "fail", what, under.jobs, repr(error))
            raise
        except OSError as error:
            self._write(key, "unknown", what, under.jobs, repr(error))
            raise
        else:
            self._write(key, "ok", what, under.jobs)

    def calls(self, what: str | None = None) -> list[Call]:
        """All calls in the order of asking."""
        open_calls: dict[str, Mapping[str, object]] = {}
        ended: dict[str, Mapping[str, object]] = {}
        for line in lines_of(self.path):
            (open_calls if line["phase"] == "invoke" else ended)[str(line["key"])] = line
        calls = [_call(line, ended.get(key)) for key, line in open_calls.items()]
        return [call for call in calls if what is None or call.what == what]

    def acked(self, what: str = "enqueue") -> frozenset[str]:
        """The jobs of all calls that were told to be done."""
        return frozenset(job for call in self.calls(what) if call.ended == "ok" for job in call.jobs)

    def _write(self, key: str, phase: str, what: str, jobs: Sequence[str], error: str = "") -> None:
        row = {"key": key, "phase": phase, "what": what, "jobs": list(jobs), "error": error}
        append(self.path, row | {"at": store_ms(), "mono": mono_ms()})


class Client:
    """Operations that note what they ask and what they are told."""

    def __init__(self, operations: LocalOperations, history: History) -> None:
        self.operations: Final = operations
        self.history: Final = history

    async def enqueue(self, *requests: EnqueueRequest) -> tuple[str, ...]:
        """Enqueues all or none; the ids."""
        with self.history.call("enqueue") as under:
            answers = await self.operations.enqueue(requests)
            under.jobs = tuple(answer.job_id for answer in answers)
        return tuple(under.jobs)

    async def cancel(self, job_id: str) -> bool:
        """Cancels; False if the job had ended."""
        try:
            with self.history.call("cancel", (job_id,)):
                await self.operations.cancel(job_id)
        except IllegalMove:
            return False
        return True


def _call(asked: Mapping[str, object], answer: Mapping[str, object] | None) -> Call:
    told = asked if answer is None else answer
    return Call(
        what=str(asked["what"]),
        ended="unknown" if answer is None else str(answer["phase"]),
        jobs=tuple(told["jobs"]),  # type: ignore[arg-type]
        invoked_at=int(str(asked["at"])),
        answered_at=None if answer is None else int(str(answer["at"])),
        took_ms=None if answer is None else float(str(answer["mono"])) - float(str(asked["mono"])),
        error=str(told["error"]),
    )
