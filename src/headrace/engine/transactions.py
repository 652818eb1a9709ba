"""Jobs in the program's own transactions: what does not depend on the store."""

import re
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, Protocol, TypeVar

from headrace.core.job import Job, Transition
from headrace.core.outcomes import Report
from headrace.core.states import State
from headrace.errors import LeaseLost, MisuseError
from headrace.stores.protocol import Transactions

T = TypeVar("T")

Work = Callable[[Any], Any]
"""A function that is given the connection of an open transaction."""

Completion = Callable[[object], Report]
"""What is reported of the attempt if the function returns this value. Raises InvalidInput."""


class Style(StrEnum):
    """How a driver writes the parameters of a statement."""

    NUMERIC = "numeric"
    FORMAT = "format"
    NAMED = "named"


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """SQL with its parameters, for any driver: ``execute(statement.sql, statement.params)``.

    ``params`` is a tuple, but for ``Style.NAMED``, where it is a dictionary.
    """

    sql: str
    params: tuple[str] | dict[str, str]


class Decider(Protocol):
    """What deciding on a job needs."""

    def __call__(self, job: Job, report: Report, /) -> Transition:
        """What the report makes of the job."""
        ...


_COMMENT: Final = re.compile(r"^\s*--[^\n]*\n?", re.MULTILINE)
_FIRST: Final = "$1"


def drive(coroutine: Coroutine[Any, Any, T]) -> T:
    """Runs a coroutine that never suspends, in the calling thread and without an event loop."""
    try:
        coroutine.send(None)
    except StopIteration as done:
        return done.value
    coroutine.close()
    msg = "this would have to wait, which a synchronous connection cannot: await app.open() before"
    raise MisuseError(msg)


def styled(sql: str, jobs: str, style: Style) -> Statement:
    """The statement as a driver wants it."""
    plain = _COMMENT.sub("", sql)
    match style:
        case Style.NUMERIC:
            return Statement(sql=plain, params=(jobs,))
        case Style.FORMAT:
            return Statement(sql=plain.replace("%", "%%").replace(_FIRST, "%s"), params=(jobs,))
        case Style.NAMED:
            return Statement(sql=plain.replace(_FIRST, ":jobs"), params={"jobs": jobs})


async def completed_within(
    store: Transactions, job: Job, work: Work, *, completion: Completion, decider: Decider
) -> Any:  # noqa: ANN401 - what the handler's function returns
    """Runs a handler's function in a transaction whose last statement completes the job, if still held."""

    def decide(value: object, fresh: Job | None) -> Transition:
        current = job if fresh is None else fresh
        if current.fence != job.fence or current.state is not State.PROCESSING:
            raise LeaseLost(job.id, job.fence)
        return decider(current, completion(value))

    return await store.settle_within(work, decide)
