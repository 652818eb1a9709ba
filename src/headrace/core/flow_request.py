"""From requests that name others as their parents to the edges between their jobs."""

from collections.abc import Sequence

from headrace.core.flow import MAX_EDGES, Edge, OnParentFailure
from headrace.core.request import EnqueueRequest
from headrace.errors import InvalidInput, TooLarge


def has_parents(requests: Sequence[EnqueueRequest]) -> bool:
    """Whether any of the requests waits for other jobs, or says what it does when one of them fails."""
    return any(one.after or one.on_parent_failure is not None for one in requests)


def edges_of(requests: Sequence[EnqueueRequest], ids: Sequence[str]) -> Sequence[Edge]:
    """Who waits for whom, where these are the ids of the requests' jobs.

    A request names earlier ones only, so the waits make no circle. Raises InvalidInput, which tells the
    request; TooLarge.
    """
    if sum(len(one.after) for one in requests) > MAX_EDGES:
        msg = f"more than {MAX_EDGES} waits in one call; put the jobs into a batch, which calls back"
        raise TooLarge(msg, field="after")
    edges: list[Edge] = []
    for index, request in enumerate(requests):
        _refuse_vain(index, request)
        on_failure = request.on_parent_failure or OnParentFailure.CANCEL
        edges += (
            Edge(
                child=ids[index],
                parent=parent if isinstance(parent, str) else _earlier(index, parent, ids),
                number=number,
                on_parent_failure=on_failure,
            )
            for number, parent in enumerate(request.after)
        )
    return edges


def refuse_parents(requests: Sequence[EnqueueRequest], why: str) -> None:
    """Raises InvalidInput, which tells the request, where one of these waits for other jobs."""
    for index, request in enumerate(requests):
        if request.after or request.on_parent_failure is not None:
            raise _at(index, InvalidInput(why, field="after"))


def _earlier(index: int, position: int, ids: Sequence[str]) -> str:
    if position >= index:
        msg = (
            f"after names request {position}, and this is request {index}: a job waits for earlier ones only"
        )
        raise _at(index, InvalidInput(msg, field="after"))
    return ids[position]


def _refuse_vain(index: int, request: EnqueueRequest) -> None:
    if request.on_parent_failure is not None and not request.after:
        msg = "on_parent_failure belongs to a job that waits for others: name them with after, or in a flow"
        raise _at(index, InvalidInput(msg, field="onParentFailure"))


def _at(index: int, error: InvalidInput) -> InvalidInput:
    error.index = index
    return error
