"""A flow as every door shows it, and drawn as text."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from headrace.core.flow import Edge
from headrace.core.job import Job
from headrace.core.states import State
from headrace.core.wire import Json, error_text, to_iso

_MARKS: Final = {
    State.BLOCKED: "·",
    State.PENDING: "○",
    State.PROCESSING: "▶",
    State.COMPLETED: "✓",
    State.FAILED: "✗",
    State.CANCELLED: "–",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowNode:
    """A job of a flow, without its payload and result."""

    id: str
    type: str
    queue: str
    state: State
    created_at: int
    started_at: int | None
    ended_at: int | None
    error: str | None

    @classmethod
    def of(cls, job: Job) -> "FlowNode":
        """What is shown of a job."""
        return cls(
            id=job.id,
            type=job.facts.type,
            queue=job.facts.queue,
            state=job.state,
            created_at=job.facts.created_at,
            started_at=job.placement.started_at,
            ended_at=job.placement.ended_at,
            error=error_text(job),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowView:
    """All jobs that are connected by waiting for each other, in the order of their insertion.

    A job outside of any flow is alone in it. ``whole`` is False where the flow has more jobs than are shown.
    """

    nodes: tuple[FlowNode, ...]
    edges: tuple[Edge, ...] = ()
    whole: bool = True


def flow_to_json(view: FlowView) -> dict[str, Json]:
    """A flow as JSON."""
    return {
        "jobs": [_node_to_json(node) for node in view.nodes],
        "edges": [
            {
                "parent": edge.parent,
                "child": edge.child,
                "number": edge.number,
                "onParentFailure": edge.on_parent_failure.value,
            }
            for edge in view.edges
        ],
        "whole": view.whole,
    }


def drawn(view: FlowView) -> Iterator[str]:
    """The flow as lines of text: each job with its children below it, a chain straight down.

    A job that has several parents is named below each of them, with its own children below the first.
    """
    children = _children(view)
    nodes = {node.id: node for node in view.nodes}
    parents = Counter(edge.child for edge in view.edges)
    shown: set[str] = set()
    # a stack instead of recursion: a flow may be a chain of a thousand jobs
    stack = [(node.id, "", "", "") for node in reversed(view.nodes) if not parents[node.id]]
    while stack:
        job_id, before, branch, further = stack.pop()
        again = job_id in shown
        shown.add(job_id)
        yield f"{before}{branch}{_line(nodes[job_id], parents[job_id], again=again)}"
        if again:
            continue
        below = children.get(job_id, ())
        inner = before + further
        if len(below) == 1 and parents[below[0]] == 1:
            stack.append((below[0], inner, "↓ ", ""))
            continue
        for place, child in reversed(list(enumerate(below))):
            last = place == len(below) - 1
            stack.append((child, inner, "└─ " if last else "├─ ", "   " if last else "│  "))


def _children(view: FlowView) -> Mapping[str, Sequence[str]]:
    order = {node.id: place for place, node in enumerate(view.nodes)}
    found: dict[str, dict[str, None]] = {}
    for edge in sorted(view.edges, key=lambda one: order[one.child]):
        found.setdefault(edge.parent, {})[edge.child] = None
    return {parent: tuple(children) for parent, children in found.items()}


def _line(node: FlowNode, parents: int, *, again: bool) -> str:
    told = f"{_MARKS[node.state]} {node.type} {node.id} {node.state.value}"
    if again:
        return f"{told} (see above)"
    return f"{told} (waits for {parents})" if parents > 1 else told


def _node_to_json(node: FlowNode) -> dict[str, Json]:
    return {
        "id": node.id,
        "type": node.type,
        "queue": node.queue,
        "state": node.state.value,
        "createdAt": to_iso(node.created_at),
        "startedAt": to_iso(node.started_at),
        "completedAt": to_iso(node.ended_at),
        "error": node.error,
    }
