"""Who may start and who is parked: the decision of the gate, without any store."""

from collections.abc import Mapping

from hypothesis import given
from hypothesis import strategies as st

from headrace.core.admission import Admission, Candidate, OrderLane, admit, next_in_turn
from headrace.core.limits import Lane, LaneState, Limit, Rate, Standing
from tests.builders import NOW

A, B = "limit:a", "limit:b"
ORDER = "order:account/7"
MANY = 1_000


def a_candidate(
    seq: int, *lanes: str, queue: str = "q", priority: int = 0, rank: int = NOW, order: str | None = None
) -> Candidate:
    standing = Standing(priority=priority, rank=rank, seq=seq)
    return Candidate(standing=standing, queue=queue, lanes=lanes, order=order)


def a_lane(
    key: str,
    slots: int | None = None,
    *,
    holders: int = 0,
    rate: Rate | None = None,
    waiting: Mapping[str, Standing] | None = None,
) -> Lane:
    return Lane(
        state=LaneState(key=key),
        limit=Limit(name=key.removeprefix("limit:"), slots=slots, rate=rate),
        holders=holders,
        waiting=waiting or {},
    )


def gate(
    *candidates: Candidate, lanes: tuple[Lane, ...] = (), order: OrderLane | None = None, prompt: int = MANY
) -> Admission:
    orders = {} if order is None else {order.key: order}
    return admit(candidates, {lane.key: lane for lane in lanes}, orders, NOW, prompt=prompt)


def test_c41_as_many_are_admitted_as_slots_are_free_and_the_rest_is_parked():
    told = gate(*(a_candidate(seq, A) for seq in range(1, 6)), lanes=(a_lane(A, 3, holders=1),))

    assert told.admitted == (1, 2)
    assert told.slots == ((1, A), (2, A))
    assert told.parked == ((3, A), (4, A), (5, A))
    assert told.closed == {A}


def test_jobs_without_lanes_pass_beside_a_full_one():
    told = gate(a_candidate(1, A), a_candidate(2), lanes=(a_lane(A, 1, holders=1),))

    assert told.admitted == (2,)
    assert told.parked == ((1, A),)


def test_c42_refusal_delays_no_other_key():
    told = gate(a_candidate(1, A), a_candidate(2, B), a_candidate(3, A), lanes=(a_lane(A, 0), a_lane(B, 1)))

    assert told.admitted == (2,)
    assert told.parked == ((1, A), (3, A))


def test_nothing_is_taken_from_a_lane_unless_all_lanes_admit():
    rate = Rate(count=1, per_ms=1_000)
    told = gate(a_candidate(1, A, B), a_candidate(2, A), lanes=(a_lane(A, 1, rate=rate), a_lane(B, 0)))

    assert told.parked == ((1, B),)
    assert told.admitted == (2,)
    assert [state.key for state in told.states] == [A]


def test_job_is_parked_on_the_first_lane_in_key_order_that_refuses_it():
    told = gate(a_candidate(1, B, A), lanes=(a_lane(B, 0), a_lane(A, 0)))

    assert told.parked == ((1, A),)


def test_candidate_ranked_behind_a_parked_job_of_its_lane_and_queue_is_parked_and_the_parked_one_comes_back():
    parked = Standing(priority=0, rank=NOW - 5, seq=9)
    lane = a_lane(A, 1, waiting={"q": parked})

    told = gate(a_candidate(10, A), lanes=(lane,))

    assert told.admitted == ()
    assert told.parked == ((10, A),)
    assert told.room == {A: 1}
    assert told.closed == frozenset()


def test_candidate_ranked_before_the_parked_ones_or_of_another_queue_starts():
    lane = a_lane(A, 2, waiting={"q": Standing(priority=0, rank=NOW, seq=9)})

    told = gate(a_candidate(10, A, priority=1), a_candidate(11, A, queue="other"), lanes=(lane,))

    assert told.admitted == (10, 11)
    assert told.room == {}


def test_candidate_behind_one_that_was_just_parked_is_parked_too():
    """A lane of two refuses the first for its other lane; the second, behind it, must not overtake there."""
    lanes = (a_lane(A, 0), a_lane(B, 5))
    told = gate(a_candidate(1, A, B), a_candidate(2, A), a_candidate(3, B), lanes=lanes)

    assert told.parked == ((1, A), (2, A))
    assert told.admitted == (3,)


def test_c42_rated_jobs_are_admitted_only_while_they_can_start_at_once_and_stay_due_beyond():
    rate = Rate(count=100, per_ms=1_000, burst=50)
    candidates = [a_candidate(seq, A) for seq in range(1, 6)] + [a_candidate(6), a_candidate(7, B)]

    told = gate(*candidates, lanes=(a_lane(A, rate=rate), a_lane(B, 9)), prompt=2)

    assert told.admitted == (1, 2, 6, 7)
    assert told.parked == ()
    assert told.rated == {1, 2}


def test_c42_tokens_of_one_claim_are_counted_down():
    rate = Rate(count=10, per_ms=1_000, burst=2)

    told = gate(*(a_candidate(seq, A) for seq in range(1, 9)), lanes=(a_lane(A, rate=rate),))

    assert told.admitted == (1, 2, 3)
    assert len(told.parked) == 5
    assert told.slots == ()
    (state,) = told.states
    assert state.tat == NOW * 1_000 + 3 * rate.spacing


def test_c40_one_of_a_key_starts_and_it_is_the_one_enqueued_first_whatever_its_priority():
    first, second = a_candidate(5, priority=0, order=ORDER), a_candidate(6, priority=9, order=ORDER)

    told = gate(second, first, order=OrderLane(key=ORDER))

    assert told.admitted == (5,)
    assert told.parked == ((6, ORDER),)
    assert told.closed == {ORDER}


def test_c40_running_job_of_the_key_keeps_all_others_waiting():
    told = gate(a_candidate(5, order=ORDER), order=OrderLane(key=ORDER, running=True, first=5))

    assert told.parked == ((5, ORDER),)
    assert told.turns == {}


def test_c40_job_that_waits_for_a_retry_holds_the_key_and_may_go_on_itself():
    order = OrderLane(key=ORDER, begun=3, first=2)

    others = gate(a_candidate(2, order=ORDER), a_candidate(5, order=ORDER), order=order)
    itself = gate(a_candidate(3, order=ORDER), order=order)

    assert others.parked == ((2, ORDER), (5, ORDER))
    assert others.turns == {ORDER: 3}
    assert itself.admitted == (3,)


def test_c40_first_of_the_key_that_is_parked_or_due_elsewhere_keeps_its_turn():
    told = gate(a_candidate(5, order=ORDER), order=OrderLane(key=ORDER, first=4))

    assert told.parked == ((5, ORDER),)
    assert told.turns == {ORDER: 4}
    assert told.closed == frozenset()


def test_c40_first_of_the_key_that_a_limit_refuses_keeps_its_turn():
    told = gate(
        a_candidate(4, A, order=ORDER), a_candidate(5, order=ORDER), lanes=(a_lane(A, 0),),
        order=OrderLane(key=ORDER),
    )  # fmt: skip

    assert told.parked == ((4, A), (5, ORDER))
    assert told.turns == {}


def test_next_in_turn_is_who_has_begun_then_who_is_first():
    assert next_in_turn(OrderLane(key=ORDER, begun=3, first=2)) == 3
    assert next_in_turn(OrderLane(key=ORDER, first=2)) == 2
    assert next_in_turn(OrderLane(key=ORDER)) is None
    assert next_in_turn(OrderLane(key=ORDER, running=True, begun=3)) is None


lane_keys = st.sampled_from([A, B, "limit:c"])
candidates = st.builds(
    a_candidate,
    st.just(0),
    queue=st.sampled_from(["q", "r"]),
    priority=st.integers(0, 2),
    order=st.none() | st.sampled_from([ORDER, "order:account/8"]),
)


@st.composite
def scenes(draw: st.DrawFn) -> tuple[list[Candidate], dict[str, Lane], dict[str, OrderLane], int]:
    number = draw(st.integers(1, 12))
    found = [
        a_candidate(
            seq,
            *sorted(draw(st.sets(lane_keys))),
            queue=draw(st.sampled_from(["q", "r"])),
            priority=draw(st.integers(0, 2)),
            order=draw(st.none() | st.sampled_from([ORDER, "order:account/8"])),
        )
        for seq in range(1, number + 1)
    ]
    found.sort(key=lambda one: one.standing.order)
    lanes = {
        key: a_lane(
            key,
            draw(st.none() | st.integers(0, 4)),
            holders=draw(st.integers(0, 3)),
            rate=draw(
                st.none()
                | st.builds(Rate, count=st.integers(1, 5), per_ms=st.just(1_000), burst=st.integers(0, 3))
            ),
        )
        for key in (A, B, "limit:c")
    }
    orders = {
        key: OrderLane(key=key, running=draw(st.booleans()), begun=draw(st.none() | st.integers(1, 12)))
        for key in (ORDER, "order:account/8")
    }
    return found, lanes, orders, draw(st.integers(0, 12))


@given(scene=scenes())
def test_no_lane_is_over_its_cap_no_key_runs_twice_and_who_is_refused_has_a_reason(scene):
    found, lanes, orders, prompt = scene

    told = admit(found, lanes, orders, NOW, prompt=prompt)

    by_seq = {one.seq: one for one in found}
    admitted = [by_seq[seq] for seq in told.admitted]
    for key, lane in lanes.items():
        taken = sum(key in one.lanes for one in admitted)
        if lane.cap is not None and taken:
            assert lane.holders + taken <= lane.cap
            assert sum(one == key for _, one in told.slots) == taken
        if lane.rate is not None:
            assert taken <= lane.rate.burst + 1
    for key, order in orders.items():
        assert sum(one.order == key for one in admitted) <= (0 if order.running else 1)
    assert not set(told.admitted) & {seq for seq, _ in told.parked}
    for seq, key in told.parked:
        assert key in (*by_seq[seq].lanes, by_seq[seq].order)
    assert len(told.rated) <= prompt
    left = set(by_seq) - set(told.admitted) - {seq for seq, _ in told.parked}
    assert all(any(lanes[key].rate for key in by_seq[seq].lanes) for seq in left)
    assert not left or len(told.rated) == prompt


@given(scene=scenes())
def test_c39_of_one_lane_and_queue_nobody_starts_who_ranks_behind_one_parked_on_it(scene):
    found, lanes, orders, prompt = scene

    told = admit(found, lanes, orders, NOW, prompt=prompt)

    by_seq = {one.seq: one for one in found}
    for seq, key in told.parked:
        parked = by_seq[seq]
        if key == parked.order:
            continue
        behind = [
            one for one in found
            if key in one.lanes and one.queue == parked.queue and one.standing.order > parked.standing.order
        ]  # fmt: skip
        assert not {one.seq for one in behind} & set(told.admitted)
