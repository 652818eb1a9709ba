"""What a child's handler learns of its parents."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar, overload

from headrace.core.flow import Parent
from headrace.core.states import State
from headrace.core.wire import Json
from headrace.engine.codec import PayloadCodec, plain_result
from headrace.errors import JobCancelled, JobFailed, JobNotFound

R_co = TypeVar("R_co", covariant=True)


class ReturnsResults(Protocol[R_co]):
    """What a job type tells of the results of its jobs."""

    @property
    def name(self) -> str:
        """The name under which it is stored."""
        ...

    def read_result(self, text: str | None) -> R_co:
        """What the handler returned."""
        ...


@dataclass(frozen=True, slots=True)
class ParentJob:
    """A parent that has ended. ``id``, ``type`` and ``state`` are None for one that has been erased since."""

    parent: Parent
    codec: PayloadCodec | None = field(default=None, repr=False)

    @property
    def id(self) -> str | None:
        """Its id."""
        return self.parent.id

    @property
    def type(self) -> str | None:
        """The name of its job type."""
        return self.parent.type

    @property
    def state(self) -> State | None:
        """The state in which it ended."""
        return self.parent.state

    @property
    def error(self) -> str | None:
        """The message of its last error; None for one that completed."""
        if self.parent.state is State.COMPLETED or self.parent.error is None:
            return None
        kept: dict[str, str] = json.loads(self.parent.error)
        return f"{kept.get('type', 'unknown')}: {kept.get('message', '')}"

    @property
    def result(self) -> Json:
        """What it returned, as JSON. Raises JobFailed or JobCancelled; JobNotFound, Undecodable."""
        text = self.text()
        if text is None or self.codec is None or self.parent.type is None:
            return None if text is None else json.loads(text)
        return json.loads(plain_result(self.codec, self.parent.type, text))

    def text(self) -> str | None:
        """The stored result. Raises JobFailed or JobCancelled where there is none; JobNotFound."""
        parent = self.parent
        match parent.state:
            case State.COMPLETED:
                return parent.result
            case State.CANCELLED:
                raise JobCancelled(parent.id or "")
            case None:
                raise JobNotFound(f"parent {parent.number}, which has been erased")
            case State.FAILED:
                kept: dict[str, str] = json.loads(parent.error or "{}")
                raise JobFailed(parent.id or "", kept.get("type", "unknown"), kept.get("message", "unknown"))
            case State.BLOCKED | State.PENDING | State.PROCESSING:
                raise JobFailed(parent.id or "", "RunsAgain", "it was retried after this job was let go")


class Parents(Sequence[ParentJob]):
    """The parents of a job, in the order in which it named them."""

    def __init__(self, parents: Sequence[ParentJob]) -> None:
        self._parents = tuple(parents)

    def __repr__(self) -> str:
        return f"Parents({list(self._parents)})"

    def __len__(self) -> int:
        return len(self._parents)

    @overload
    def __getitem__(self, index: int) -> ParentJob: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[ParentJob]: ...
    def __getitem__(self, index: int | slice) -> ParentJob | Sequence[ParentJob]:
        return self._parents[index]

    def of(self, job_type: ReturnsResults[R_co]) -> list[R_co]:
        """What the parents of one job type returned, in its annotated type.

        Raises JobFailed or JobCancelled if one of them did not return; JobNotFound, Undecodable.
        """
        return [job_type.read_result(one.text()) for one in self._parents if one.type == job_type.name]

    @property
    def failed(self) -> Sequence[ParentJob]:
        """Those that did not complete."""
        return [one for one in self._parents if one.state is not State.COMPLETED]


def results_of_parents(parents: Parents) -> list[Any]:
    """What they returned, as JSON. Raises JobFailed or JobCancelled if one of them did not."""
    return [one.result for one in parents]
