"""Flows as a program builds them: requests that wait for each other.

``fetch.request(1).then(parse.request())`` is a flow, and so is what ``gather`` and ``chain`` make. The same
request, wherever it appears in a flow, is one job; two requests that are equal are two jobs. So any graph
without circles can be said.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from heapq import heapify, heappop, heappush
from typing import Any, Protocol, overload

from headrace.core.request import EnqueueRequest
from headrace.engine.handle import Handle
from headrace.engine.portal import Portal
from headrace.errors import InvalidInput, MisuseError


class FlowSource(Protocol):
    """What a flow needs of its app."""

    @property
    def portal(self) -> Portal:
        """For the synchronous calls."""
        ...

    async def enqueue_many(
        self, requests: Sequence[EnqueueRequest], *, tx: object = None
    ) -> Sequence[Handle[Any]]:
        """Enqueues all requests or none, in order."""
        ...


class Request(EnqueueRequest):
    """A request that knows its app, for flows: what ``job_type.request(...)`` makes.

    What ``replace`` makes of one does not know it any more. No dataclass of its own, because building it is
    a good part of what an enqueue costs.
    """

    __slots__ = ("app",)
    app: FlowSource

    def then(self, *parts: "EnqueueRequest | Flow") -> "Flow":
        """The flow in which these parts, side by side, wait for this job."""
        return chain(self, gather(*parts))


class Flow:
    """Requests and who of them waits for whom. Nothing changes it: every call makes another flow.

    Made by ``chain``, ``gather`` and ``then``; requests are known by their identity.
    """

    def __init__(
        self,
        requests: Mapping[int, EnqueueRequest],
        parents: Mapping[int, tuple[int, ...]],
        ends: tuple[int, ...],
    ) -> None:
        self.ends = ends
        self._requests = requests
        self._parents = parents

    def __repr__(self) -> str:
        return f"Flow({len(self._requests)} jobs)"

    def __len__(self) -> int:
        return len(self._requests)

    def then(self, *parts: "EnqueueRequest | Flow") -> "Flow":
        """The flow in which these parts, side by side, wait for the last jobs of this one."""
        return chain(self, gather(*parts))

    @property
    def starts(self) -> Sequence[int]:
        """Those that wait for nobody in this flow."""
        return [one for one, parents in self._parents.items() if not parents]

    @property
    def waits(self) -> Mapping[int, tuple[int, ...]]:
        """For each request those that it waits for."""
        return self._parents

    @property
    def named(self) -> Mapping[int, EnqueueRequest]:
        """The requests, in the order in which they were named."""
        return self._requests

    def requests(self, *, offset: int = 0) -> Sequence[EnqueueRequest]:
        """The requests for ``app.enqueue_many``, parents before their children.

        ``offset`` is how many other requests come before them in the call. Raises InvalidInput for a flow
        that would wait for itself.
        """
        order = self._sorted()
        places = {one: place + offset for place, one in enumerate(order)}
        return [_after(self._requests[one], [places[up] for up in self._parents[one]]) for one in order]

    async def enqueue(self) -> "FlowHandle":
        """Enqueues all jobs of the flow or none; those without parents may start at once.

        Raises what ``app.enqueue_many`` raises, and InvalidInput for a flow that would wait for itself.
        """
        app = self._app
        if app is None:
            msg = "none of these requests knows its app: await app.enqueue_many(flow.requests())"
            raise MisuseError(msg)
        handles = await app.enqueue_many(self.requests())
        places = {one: place for place, one in enumerate(self._sorted())}
        return FlowHandle(handles, [handles[places[end]] for end in self.ends])

    def enqueue_sync(self) -> "FlowHandle":
        """As ``enqueue``, for callers without an event loop."""
        app = self._app
        if app is None:
            msg = "none of these requests knows its app: app.enqueue_many_sync(flow.requests())"
            raise MisuseError(msg)
        return app.portal.call(self.enqueue)

    @property
    def _app(self) -> FlowSource | None:
        apps = (getattr(one, "app", None) for one in self._requests.values())
        return next((app for app in apps if app is not None), None)

    def _sorted(self) -> Sequence[int]:
        """The requests with parents before children, else in the order in which they were named."""
        rank = {one: place for place, one in enumerate(self._requests)}
        left = {one: len(parents) for one, parents in self._parents.items()}
        children: dict[int, list[int]] = {one: [] for one in self._requests}
        for one, parents in self._parents.items():
            for parent in parents:
                children[parent].append(one)
        free = [(rank[one], one) for one, count in left.items() if not count]
        heapify(free)
        order: list[int] = []
        while free:
            _, one = heappop(free)
            order.append(one)
            for child in children[one]:
                left[child] -= 1
                if not left[child]:
                    heappush(free, (rank[child], child))
        if len(order) < len(rank):
            raise InvalidInput("this flow would wait for itself: its jobs make a circle", field="after")
        return order


class FlowHandle(Sequence[Handle[Any]]):
    """The handles of all jobs of a flow, parents before children. ``ends`` are those of its last jobs."""

    def __init__(self, handles: Sequence[Handle[Any]], ends: Sequence[Handle[Any]]) -> None:
        self._handles = tuple(handles)
        self.ends = tuple(ends)

    def __repr__(self) -> str:
        return f"FlowHandle({len(self)} jobs)"

    def __len__(self) -> int:
        return len(self._handles)

    @overload
    def __getitem__(self, index: int) -> Handle[Any]: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Handle[Any]]: ...
    def __getitem__(self, index: int | slice) -> Handle[Any] | Sequence[Handle[Any]]:
        return self._handles[index]

    async def result(self, timeout: float | None = None) -> Any:  # noqa: ANN401 - any job type may be the last
        """What the last job returned, once it has; of several last ones, that which was named last.

        ``timeout`` is in seconds. Raises JobFailed, JobCancelled, WaitTimeout.
        """
        return await self.ends[-1].result(timeout)

    def result_sync(self, timeout: float | None = None) -> Any:  # noqa: ANN401
        """As ``result``, for callers without an event loop."""
        return self.ends[-1].result_sync(timeout)


def chain(*parts: EnqueueRequest | Flow) -> Flow:
    """Each part waits for the one before it. Raises InvalidInput without any."""
    draft = _Draft()
    for part in _flows(parts):
        draft.add(part)
        for start in part.starts:
            draft.wait(start, draft.ends)
        draft.ends = dict.fromkeys(part.ends)
    return draft.flow()


def gather(*parts: EnqueueRequest | Flow) -> Flow:
    """The parts side by side; what comes ``then`` waits for all of them. Raises InvalidInput without any."""
    draft = _Draft()
    for part in _flows(parts):
        draft.add(part)
        draft.ends.update(dict.fromkeys(part.ends))
    return draft.flow()


def requests_of(parts: Iterable[EnqueueRequest | Flow]) -> list[EnqueueRequest]:
    """The requests of one call, where flows may stand among requests."""
    found: list[EnqueueRequest] = []
    for part in parts:
        if isinstance(part, Flow):
            found += part.requests(offset=len(found))
        else:
            found.append(part)
    return found


class _Draft:
    """A flow that is being put together."""

    def __init__(self) -> None:
        self.ends: dict[int, None] = {}
        self._requests: dict[int, EnqueueRequest] = {}
        self._parents: dict[int, dict[int, None]] = {}

    def add(self, flow: Flow) -> None:
        """Takes all of a flow. A request that is here already waits for its parents in both."""
        self._requests.update(flow.named)
        for one, parents in flow.waits.items():
            self.wait(one, parents)

    def wait(self, child: int, parents: Iterable[int]) -> None:
        """Has a request wait for others."""
        self._parents.setdefault(child, {}).update(dict.fromkeys(parents))

    def flow(self) -> Flow:
        """What was put together."""
        parents = {one: tuple(waits) for one, waits in self._parents.items()}
        return Flow(self._requests, parents, tuple(self.ends))


def waiting_for(parents: tuple[str, ...], requests: Sequence[EnqueueRequest]) -> Sequence[EnqueueRequest]:
    """The requests of one call, of which those without parents wait for these jobs."""
    if not parents:
        return requests
    return [one if one.after else replace(one, after=parents) for one in requests]


def _flows(parts: Sequence[EnqueueRequest | Flow]) -> Sequence[Flow]:
    if not parts:
        raise InvalidInput("a flow has at least one job", field="after")
    return [part if isinstance(part, Flow) else _alone(part) for part in parts]


def _alone(request: EnqueueRequest) -> Flow:
    return Flow({id(request): request}, {id(request): ()}, (id(request),))


def _after(request: EnqueueRequest, places: Sequence[int]) -> EnqueueRequest:
    return replace(request, after=(*request.after, *places)) if places else request
