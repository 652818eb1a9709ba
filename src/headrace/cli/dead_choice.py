"""The options by which commands choose dead letters."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from cyclopts import Parameter

from headrace.core.dead import DeadFilter
from headrace.core.policy import ErrorClass
from headrace.errors import InvalidInput


@Parameter(name="*")
@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """Which dead letters. Ages count from when they are looked for."""

    job_type: Annotated[
        tuple[str, ...],
        Parameter(
            name="--type", negative="", show_default=False, help="Only this job type. May be repeated."
        ),
    ] = ()
    queue: Annotated[
        tuple[str, ...],
        Parameter(name="--queue", negative="", show_default=False, help="Only this queue. May be repeated."),
    ] = ()
    batch_id: Annotated[str | None, Parameter(name="--batch-id", help="Only members of this batch.")] = None
    error_type: Annotated[
        str | None, Parameter(name="--error-type", help="Only errors of this type, such as ValueError.")
    ] = None
    error_class: Annotated[
        str | None,
        Parameter(name="--error-class", help="Only permanent, transient, resource or timeout errors."),
    ] = None
    text: Annotated[
        str | None, Parameter(name="--text", help="Only with this in the error's type or message.")
    ] = None
    older_than: Annotated[
        float | None, Parameter(name="--older-than", help="Only those that failed so many seconds ago.")
    ] = None
    newer_than: Annotated[
        float | None, Parameter(name="--newer-than", help="Only those that failed since so many seconds.")
    ] = None

    def at(self, now: int) -> DeadFilter:
        """The filter of this instant. Raises InvalidInput."""
        wanted = DeadFilter(
            types=frozenset(self.job_type),
            queues=frozenset(self.queue),
            batch_id=self.batch_id,
            error_type=self.error_type,
            error_class=None if self.error_class is None else _error_class(self.error_class),
            text=self.text,
        )
        if self.older_than is not None:
            wanted = wanted.before(now - round(self.older_than * 1000))
        if self.newer_than is not None:
            wanted = wanted.after(now - round(self.newer_than * 1000))
        return wanted


def one_way(choice: Choice | None, job_ids: Sequence[str], *, every: bool) -> Choice:
    """The choice. Raises InvalidInput unless it is said in one way which ones: by ids, by options, or all."""
    chosen = choice or Choice()
    chosen.at(0)
    if sum((bool(job_ids), chosen != Choice(), every)) != 1:
        raise InvalidInput("say which ones: by ids, by options such as --type, or by --all")
    return chosen


def _error_class(word: str) -> ErrorClass:
    try:
        return ErrorClass(word)
    except ValueError as error:
        msg = f"--error-class {word[:40]!r} must be one of {', '.join(ErrorClass)}"
        raise InvalidInput(msg, field="errorClass") from error
