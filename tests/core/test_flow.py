import json
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.core.flow import (
    MAX_EDGES,
    MAX_PARENTS,
    Edge,
    FailedParent,
    OnParentFailure,
    ReadyChild,
    on_parent_failure_named,
    standing,
    verdict,
    waiting,
)
from headrace.core.flow_request import edges_of, has_parents, refuse_parents
from headrace.core.flow_view import FlowNode, FlowView, drawn, flow_to_json
from headrace.core.job import WAITED_ON, Job
from headrace.core.outcomes import CancelAsked, ParentFailed, RetryAsked, Unblocked
from headrace.core.request import EnqueueRequest
from headrace.core.scheduled import checked_request
from headrace.core.states import LIVE, TERMINAL, State
from headrace.errors import IllegalMove, InvalidInput, TooLarge
from tests.builders import (
    EXACT,
    HOUR,
    NOW,
    SUCCESS,
    a_failure,
    a_job,
    a_pending,
    a_running,
    after_transition,
    decided,
    reported,
)

ID = "01a205d5-9542-7550-8fc2-aae8ae5a79ff"
DEAD = FailedParent(id="p-dead", type="echo", state=State.FAILED, kept=True)
GONE = FailedParent(id="p-gone", type="echo", state=State.FAILED, kept=False)
CANCELLED = FailedParent(id="p-cancelled", type="echo", state=State.CANCELLED, kept=False)
CANCELLED_FOR_EVER = replace(CANCELLED, kept=True)


def a_child(policy=OnParentFailure.CANCEL, *failed, job=None):
    return ReadyChild(job=job or a_blocked(), on_parent_failure=policy, failed=failed)


def a_blocked(**columns):
    job = a_pending(**columns)
    return replace(job, placement=waiting(job.placement))


def failed(parent):
    return ParentFailed(parent_id=parent.id, parent_type=parent.type, state=parent.state)


# ------------------------------------------------------------ what becomes of a child


@pytest.mark.parametrize("policy", list(OnParentFailure))
def test_c38a_child_runs_when_all_its_parents_completed(policy):
    assert verdict(a_child(policy)) == Unblocked()


@pytest.mark.parametrize(
    ("policy", "parents", "expected"),
    [
        (OnParentFailure.CANCEL, (DEAD,), failed(DEAD)),
        (OnParentFailure.CANCEL, (CANCELLED, DEAD), failed(CANCELLED)),
        (OnParentFailure.RUN, (DEAD, GONE, CANCELLED), Unblocked()),
        (OnParentFailure.WAIT, (DEAD,), None),
        (OnParentFailure.WAIT, (GONE,), failed(GONE)),
        (OnParentFailure.WAIT, (CANCELLED,), failed(CANCELLED)),
        (OnParentFailure.WAIT, (CANCELLED_FOR_EVER,), failed(CANCELLED_FOR_EVER)),
        (OnParentFailure.WAIT, (DEAD, GONE), failed(GONE)),
    ],
)
def test_c38a_child_does_as_it_was_told_when_a_parent_failed(policy, parents, expected):
    assert verdict(a_child(policy, *parents)) == expected


def test_child_begins_blocked_and_keeps_the_time_it_was_scheduled_for():
    child = a_blocked(due_at=NOW + HOUR, rank=NOW + HOUR)

    freed = decided(child, Unblocked()).placement

    assert (child.state, child.placement.due_at) == (State.BLOCKED, None)
    assert (freed.state, freed.due_at, freed.rank) == (State.PENDING, NOW + HOUR, NOW + HOUR)


def test_child_of_a_failed_parent_is_cancelled_and_says_why():
    after = decided(a_blocked(), failed(DEAD)).placement

    assert after.state is State.CANCELLED
    assert after.erase_at == NOW + (EXACT.retention.cancelled_age_ms or 0)
    assert json.loads(after.error or "") == {
        "type": "ParentFailed",
        "message": "its parent p-dead (echo) is failed",
        "class": "permanent",
    }
    assert (after.starts, after.worker, after.due_at, after.unique_lock) == (0, None, None, None)


def test_retry_of_a_cancelled_child_runs_it_at_once_and_forgets_the_reason():
    cancelled = after_transition(decided(a_blocked(), failed(DEAD)))

    again = decided(cancelled, RetryAsked()).placement

    assert (again.state, again.due_at, again.error) == (State.PENDING, NOW, None)


@pytest.mark.parametrize("job", [a_pending(), a_running()], ids=["pending", "running"])
def test_failed_parent_touches_no_job_that_is_not_blocked(job):
    with pytest.raises(IllegalMove):
        decided(job, failed(DEAD))


def test_mark_is_part_of_the_revision_and_goes_on_with_it():
    marked = replace(a_running(), revision=WAITED_ON + 1)

    after = after_transition(reported(marked, SUCCESS))

    assert (a_running().waited_on, marked.waited_on, after.waited_on) == (False, True, True)
    assert after.revision == WAITED_ON + 2


# ------------------------------------------------------------ from requests to edges


def a_request(*after, **fields):
    return EnqueueRequest(**({"type": "echo", "payload": {}, "after": after} | fields))


def test_requests_name_earlier_ones_by_position_and_jobs_by_id():
    requests = [a_request(), a_request(0), a_request(ID, 1, 0, on_parent_failure=OnParentFailure.RUN)]

    assert edges_of(requests, ["a", "b", "c"]) == [
        Edge(child="b", parent="a", number=0),
        Edge(child="c", parent=ID, number=0, on_parent_failure=OnParentFailure.RUN),
        Edge(child="c", parent="b", number=1, on_parent_failure=OnParentFailure.RUN),
        Edge(child="c", parent="a", number=2, on_parent_failure=OnParentFailure.RUN),
    ]


@pytest.mark.parametrize("position", [1, 2, 9])
def test_request_that_names_itself_or_a_later_one_is_refused(position):
    with pytest.raises(InvalidInput, match="earlier ones only") as refused:
        edges_of([a_request(), a_request(position), a_request()], ["a", "b", "c"])

    assert (refused.value.index, refused.value.field) == (1, "after")


@pytest.mark.parametrize("after", [("no id",), (-1,), (ID, ID), (0, 0)])
def test_parents_that_cannot_be_are_refused(after):
    with pytest.raises(InvalidInput) as refused:
        a_request(*after)

    assert refused.value.field == "after"


def test_numbers_of_parents_are_bounded():
    with pytest.raises(TooLarge):
        a_request(*range(MAX_PARENTS + 1))
    wide = a_request(*range(MAX_PARENTS))
    with pytest.raises(TooLarge):
        edges_of([wide] * (MAX_EDGES // MAX_PARENTS + 1), [])


def test_policy_without_parents_is_refused():
    with pytest.raises(InvalidInput) as refused:
        edges_of([a_request(on_parent_failure=OnParentFailure.WAIT)], ["a"])

    assert (refused.value.index, refused.value.field) == (0, "onParentFailure")


def test_plain_requests_have_no_parents():
    assert not has_parents([a_request(), a_request()])
    assert has_parents([a_request(), a_request(0)])
    refuse_parents([a_request()], "no")
    with pytest.raises(InvalidInput, match="not here") as refused:
        refuse_parents([a_request(), a_request(ID)], "not here")
    assert refused.value.index == 1


def test_job_of_a_schedule_waits_for_nobody():
    with pytest.raises(InvalidInput) as refused:
        checked_request(a_request(ID))

    assert refused.value.field == "after"


def test_policies_are_known_by_their_words():
    assert on_parent_failure_named("run") is OnParentFailure.RUN
    with pytest.raises(InvalidInput, match="cancel, run, wait"):
        on_parent_failure_named("explode")


def test_edges_stand_between_the_jobs_that_were_made_and_those_that_stand_for_others():
    edges = [Edge(child="b", parent="a", number=0), Edge(child="c", parent="b", number=0)]

    assert standing(edges, {"a": "old", "b": "b", "c": "c"}, {"b", "c"}) == [
        Edge(child="b", parent="old", number=0),
        Edge(child="c", parent="b", number=0),
    ]
    assert standing(edges, {"a": "a", "b": "old", "c": "c"}, {"a", "c"}) == [
        Edge(child="c", parent="old", number=0)
    ]


# ------------------------------------------------------------ drawn


def a_node(name, state=State.PENDING):
    return FlowNode(
        id=name, type="t", queue="q", state=state, created_at=NOW, started_at=None, ended_at=None, error=None
    )


def a_view(*edges, nodes="abcd"):
    return FlowView(
        nodes=tuple(a_node(name) for name in nodes),
        edges=tuple(Edge(child=child, parent=parent, number=0) for parent, child in edges),
    )


def test_flow_is_drawn_as_a_tree_in_which_each_job_has_its_children_once():
    assert list(drawn(a_view("ab", "ac", "bd", "cd"))) == [
        "○ t a pending",
        "├─ ○ t b pending",
        "│  └─ ○ t d pending (waits for 2)",
        "└─ ○ t c pending",
        "   └─ ○ t d pending (see above)",
    ]


def test_chain_is_drawn_straight_down():
    assert list(drawn(a_view("ab", "bc", "bd"))) == [
        "○ t a pending",
        "↓ ○ t b pending",
        "├─ ○ t c pending",
        "└─ ○ t d pending",
    ]


def test_job_alone_and_an_empty_flow_are_drawn():
    assert list(drawn(a_view(nodes="a"))) == ["○ t a pending"]
    assert list(drawn(a_view(nodes=""))) == []


def test_long_chain_is_drawn_without_recursion():
    names = [f"job-{n}" for n in range(3_000)]
    view = a_view(*pairwise(names), nodes=names)

    lines = list(drawn(view))

    assert len(lines) == 3_000
    assert lines[:2] == ["○ t job-0 pending", "↓ ○ t job-1 pending"]
    assert lines[-1] == "↓ ○ t job-2999 pending"


def test_flow_as_json_names_jobs_and_edges():
    told = flow_to_json(a_view("ab", nodes="ab"))

    assert [job["id"] for job in told["jobs"]] == ["a", "b"]
    assert told["edges"] == [{"parent": "a", "child": "b", "number": 0, "onParentFailure": "cancel"}]
    assert told["whole"] is True


# ------------------------------------------------------------ random flows


@st.composite
def graphs(draw: st.DrawFn) -> list[tuple[tuple[int, ...], OnParentFailure]]:
    """Jobs with their parents, which come before them, and what they do when one fails."""
    count = draw(st.integers(1, 14))
    return [
        (
            tuple(sorted(draw(st.sets(st.integers(0, n - 1), max_size=4)))) if n else (),
            draw(st.sampled_from(list(OnParentFailure))),
        )
        for n in range(count)
    ]


class Model:
    """Jobs of a flow, decided on as an engine does, without a store."""

    def __init__(self, graph: list[tuple[tuple[int, ...], OnParentFailure]]) -> None:
        self.graph = graph
        self.jobs: list[Job] = [
            a_blocked(new=a_job(max_attempts=1)) if parents else a_pending(a_job(max_attempts=1))
            for parents, _ in graph
        ]
        self.started: list[int] = []

    def end(self, n: int, *, well: bool) -> None:
        assert self.jobs[n].state is State.PENDING
        assert all(self.jobs[parent].state in TERMINAL for parent in self.graph[n][0])
        self.started.append(n)
        running = replace(a_running(a_job(max_attempts=1)), revision=self.jobs[n].revision)
        self.jobs[n] = after_transition(reported(running, SUCCESS if well else a_failure()))

    def happen(self, n: int, event) -> None:
        self.jobs[n] = after_transition(decided(self.jobs[n], event))

    def look(self) -> None:
        """Until nothing changes any more: every blocked child whose parents have all ended."""
        changed = True
        while changed:
            changed = False
            for n, (parents, policy) in enumerate(self.graph):
                ups = [self.jobs[parent] for parent in parents]
                if self.jobs[n].state is State.BLOCKED and all(up.state in TERMINAL for up in ups):
                    event = verdict(ReadyChild(job=self.jobs[n], on_parent_failure=policy, failed=bad(ups)))
                    if event is not None:
                        self.happen(n, event)
                        changed = True

    def of(self, *states: State) -> list[int]:
        return [n for n, job in enumerate(self.jobs) if job.state in states]


def bad(ups: list[Job]) -> tuple[FailedParent, ...]:
    return tuple(
        FailedParent(id=up.id, type=up.facts.type, state=up.state, kept=up.placement.erase_at is None)
        for up in ups
        if up.state is not State.COMPLETED
    )


@given(graphs(), st.data())
def test_c38a_every_child_runs_at_most_once_after_its_parents_and_none_is_left_blocked(graph, data):
    model = Model(graph)
    while due := model.of(State.PENDING):
        n = data.draw(st.sampled_from(due))
        match data.draw(st.sampled_from(["well", "well", "badly", "cancel"])):
            case "cancel":
                model.happen(n, CancelAsked())
            case how:
                model.end(n, well=how == "well")
        model.look()

    assert len(model.started) == len(set(model.started))
    for n in model.of(State.BLOCKED):
        states = {model.jobs[parent].state for parent in graph[n][0]}
        assert states & {State.BLOCKED, State.FAILED}
        assert states & {State.BLOCKED} or graph[n][1] is OnParentFailure.WAIT
    while dead := model.of(State.FAILED):  # somebody deals with all that is left
        for n in dead:
            model.happen(n, RetryAsked())
        while due := model.of(State.PENDING):
            model.end(due[0], well=True)
            model.look()
    assert model.of(*LIVE) == []


@given(graphs())
def test_c38a_flow_in_which_all_goes_well_runs_every_job_once(graph):
    model = Model(graph)
    while due := model.of(State.PENDING):
        model.end(due[-1], well=True)
        model.look()

    assert sorted(model.started) == list(range(len(graph)))
    assert model.of(State.COMPLETED) == list(range(len(graph)))
