"""Flows as they are built, before anything is enqueued."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace import App, EnqueueRequest, Flow, InvalidInput, Settings, chain, gather
from headrace.core.flow import OnParentFailure
from headrace.core.request import MAX_BULK
from headrace.errors import MisuseError
from headrace.worker.messages import request_in, request_out


@pytest.fixture
def app():
    return App("sqlite://", settings=Settings())


@pytest.fixture
def act(app):
    @app.job()
    async def act(n: int) -> int:
        return n

    return act


def seen(flow: Flow, *, offset: int = 0) -> list[tuple[str, tuple[str | int, ...]]]:
    return [(str(one.payload), one.after) for one in flow.requests(offset=offset)]


def payload(n: int) -> str:
    return f'{{"n":{n}}}'


def test_chain_waits_step_by_step(act):
    one, two, three = (act.request(n) for n in range(3))

    expected = [(payload(0), ()), (payload(1), (0,)), (payload(2), (1,))]
    assert seen(one.then(two).then(three)) == expected
    assert seen(chain(one, two, three)) == expected
    assert seen(one.then(two.then(three))) == expected


def test_group_runs_side_by_side_and_what_follows_waits_for_all(act):
    flow = gather(act.request(0), act.request(1)).then(act.request(2))

    assert seen(flow) == [(payload(0), ()), (payload(1), ()), (payload(2), (0, 1))]


def test_several_parts_of_one_then_stand_side_by_side(act):
    flow = act.request(0).then(act.request(1), act.request(2)).then(act.request(3))

    assert [after for _, after in seen(flow)] == [(), (0,), (0,), (1, 2)]


def test_flow_follows_a_flow_from_its_ends_to_its_starts(act):
    first = gather(act.request(0), act.request(1))
    second = gather(act.request(2), act.request(3).then(act.request(4)))

    flow = first.then(second).then(act.request(5))

    assert [after for _, after in seen(flow)] == [(), (), (0, 1), (0, 1), (3,), (2, 4)]


def test_same_request_is_one_job_wherever_it_stands(act):
    x, y = act.request(1), act.request(2)

    flow = gather(x.then(act.request(3)), gather(x, y).then(act.request(4)))

    assert len(flow) == 4
    assert seen(flow) == [(payload(1), ()), (payload(3), (0,)), (payload(2), ()), (payload(4), (0, 2))]


def test_equal_requests_are_two_jobs(act):
    assert len(gather(act.request(1), act.request(1))) == 2


def test_flow_that_would_wait_for_itself_is_refused(act):
    x, y = act.request(1), act.request(2)

    for flow in (gather(x.then(y), y.then(x)), x.then(x), chain(x, y, x)):
        with pytest.raises(InvalidInput, match="circle"):
            flow.requests()


def test_nothing_is_no_flow(act):
    for empty in (gather, chain):
        with pytest.raises(InvalidInput, match="at least one"):
            empty()


def test_parts_are_not_changed_by_the_flows_that_are_made_of_them(act):
    x = act.request(1)
    flow = x.then(act.request(2))

    flow.then(act.request(3))
    gather(flow, act.request(4))

    assert len(flow) == 2
    assert x.after == ()


def test_positions_count_from_where_the_flow_begins_in_its_call(act):
    flow = act.request(0).then(act.request(1))

    assert [after for _, after in seen(flow, offset=5)] == [(), (5,)]


def test_jobs_that_are_there_already_come_beside_those_of_the_flow(act):
    known = "01a205d5-9542-7550-8fc2-aae8ae5a79ff"
    flow = act.request(0).then(act.using(after=[known], on_parent_failure="run").request(1))

    assert flow.requests()[1].after == (known, 0)
    assert flow.requests()[1].on_parent_failure is OnParentFailure.RUN


def test_unknown_policy_is_refused_where_it_is_said(act):
    with pytest.raises(InvalidInput, match="cancel, run, wait"):
        act.using(on_parent_failure="explode")


async def test_flow_of_requests_without_an_app_says_how_to_enqueue_it(app):
    plain = EnqueueRequest(type="act", payload={})

    with pytest.raises(MisuseError, match="enqueue_many"):
        await gather(plain, plain).enqueue()
    with pytest.raises(MisuseError, match="enqueue_many_sync"):
        gather(plain).enqueue_sync()


def test_request_of_a_flow_crosses_to_another_process_without_its_app(act):
    request = act.using(after=["01a205d5-9542-7550-8fc2-aae8ae5a79ff"], on_parent_failure="wait").request(1)

    came = request_in(request_out(request))

    assert came.after == request.after
    assert came.on_parent_failure is OnParentFailure.WAIT
    assert (came.type, came.payload) == (request.type, request.payload)


def test_wide_and_long_flows_are_built_in_reasonable_steps(act):
    requests = [act.request(n) for n in range(MAX_BULK)]

    assert [one.after for one in chain(*requests).requests()[-2:]] == [(MAX_BULK - 3,), (MAX_BULK - 2,)]
    assert len(gather(*requests[:-1]).then(requests[-1]).requests()[-1].after) == MAX_BULK - 1


@given(st.data())
def test_any_graph_can_be_said_and_parents_come_before_their_children(data):
    app = App("sqlite://", settings=Settings())

    @app.job()
    async def act(n: int) -> int:
        return n

    count = data.draw(st.integers(1, 10))
    requests = [act.request(n) for n in range(count)]
    pairs = st.tuples(st.integers(0, count - 1), st.integers(0, count - 1)).filter(
        lambda pair: pair[0] < pair[1]
    )
    edges = data.draw(st.sets(pairs, max_size=20)) if count > 1 else set()
    said = data.draw(st.permutations([*requests, *(requests[a].then(requests[b]) for a, b in edges)]))

    made = gather(*said).requests()

    order = [int(str(one.payload)[5:-1]) for one in made]
    assert sorted(order) == list(range(count))
    found = {(order[parent], order[place]) for place, one in enumerate(made) for parent in one.after}
    assert found == edges
    assert all(parent < place for place, one in enumerate(made) for parent in one.after)
