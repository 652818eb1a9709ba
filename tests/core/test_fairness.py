import heapq
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.core.fairness import (
    STEP,
    TAGS_BELOW,
    FairQueue,
    Level,
    Line,
    LineLook,
    Place,
    Turn,
    checked_tenant,
    checked_weight,
    is_rested,
    look_of,
)
from headrace.errors import InvalidInput
from tests.builders import NOW

QUEUE = "emails"


class Served:
    """A queue of the given weights, as inserts and claims would see it: one register a tenant, one queue."""

    def __init__(self, weights: dict[str, float] | None = None) -> None:
        self.queue = FairQueue().with_declared(weights or {})
        self.finished: dict[str, int] = {}
        self.waiting: list[tuple[int, int, str]] = []
        self.seq = 0

    def add(self, *tenants: str, turn: Turn = Turn.FIRST) -> list[int]:
        heads = {0: self.waiting[0][0]} if self.waiting else {}
        line = Line(self.queue, heads=heads, finished=self.finished)
        tags = []
        for tenant in tenants:
            tags.append(line.tag(Place(queue=QUEUE, priority=0, tenant=tenant, turn=turn)))
            self.seq += 1
            heapq.heappush(self.waiting, (tags[-1], self.seq, tenant))
        self.finished, self.queue = line.finished, line.queue
        return tags

    def serve(self, count: int) -> list[str]:
        return [heapq.heappop(self.waiting)[2] for _ in range(min(count, len(self.waiting)))]


def test_one_tenant_alone_is_served_in_the_order_of_insertion():
    line = Served()

    assert line.add("a", "a", "a") == [0, 1, 2]


def test_newcomer_starts_next_after_another_tenants_flood():
    line = Served()
    line.add(*["a"] * 100_000)
    line.serve(40_000)

    line.add("b")

    assert "b" in line.serve(2)


def test_newcomer_has_no_credit_for_the_time_it_was_away():
    line = Served()
    line.add(*["a"] * 1_000)
    line.serve(500)
    line.add(*["b"] * 1_000)

    shares = Counter(line.serve(200))

    assert abs(shares["a"] - shares["b"]) <= 2


def test_tenants_share_by_their_weights():
    line = Served({"b": 3})
    line.add(*["a"] * 1_000)
    line.add(*["b"] * 1_000)

    shares = Counter(line.serve(400))

    assert abs(shares["b"] - 3 * shares["a"]) <= 6


def test_weights_lose_nothing_by_rounding():
    line = Served({"b": 7, "c": 0.3})
    line.add(*["a"] * 3_000, *["b"] * 21_000, *["c"] * 900)

    shares = Counter(line.serve(8_300))

    assert shares["a"] == pytest.approx(1_000, abs=5)
    assert shares["b"] == pytest.approx(7_000, abs=10)
    assert shares["c"] == pytest.approx(300, abs=5)


def test_past_use_is_forgotten_once_all_is_served():
    line = Served()
    line.add(*["a"] * 10_000)
    line.serve(10_000)
    line.add(*["a"] * 1_000)
    line.add(*["b"] * 1_000)

    shares = Counter(line.serve(1_000))

    assert abs(shares["a"] - shares["b"]) <= 2 * STEP


def test_job_that_comes_back_is_neither_behind_its_tenants_flood_nor_before_the_others():
    line = Served()
    line.add(*["a"] * 1_000)
    line.add(*["b"] * 1_000)
    line.serve(200)

    (tag,) = line.add("a", turn=Turn.AGAIN)

    ahead = [waiting for waiting in line.waiting if waiting[0] < tag]
    assert ahead == []
    assert len([waiting for waiting in line.waiting if waiting[0] == tag]) <= 4


def test_tenant_whose_jobs_all_come_back_gets_no_more_than_twice_its_share():
    line = Served()
    line.add(*["a"] * 1_000)
    line.add(*["b"] * 1_000)
    line.add(*["a"] * 1_000, turn=Turn.AGAIN)

    shares = Counter(line.serve(300))

    assert shares["b"] >= 95


def test_virtual_time_never_goes_back_when_an_old_tag_comes_up_again():
    queue = FairQueue(levels={0: Level(floor=500, top=900)})

    line = Line(queue, heads={0: 3}, finished={})

    assert line.tag(Place(queue=QUEUE, priority=0, tenant="b")) == 500


def test_each_priority_is_a_line_of_its_own():
    line = Line(FairQueue(), heads={0: 100, 5: 7}, finished={})

    assert line.tag(Place(queue=QUEUE, priority=0, tenant="a")) == 100
    assert line.tag(Place(queue=QUEUE, priority=5, tenant="a")) == 7


def test_marks_are_written_only_when_they_are_far_off():
    line = Served()
    before = line.queue
    line.add(*["a"] * STEP)
    assert line.queue is before

    line.add("a", "a")

    assert line.queue.levels[0].top == STEP + 1


def test_tags_stay_below_every_due_time():
    line = Line(FairQueue(), heads={}, finished={Place(queue=QUEUE, priority=0, tenant="a").line: 10**30})

    assert line.tag(Place(queue=QUEUE, priority=0, tenant="a")) == TAGS_BELOW - 1
    assert TAGS_BELOW < NOW


def test_register_of_a_line_tells_its_queue_and_priority():
    place = Place(queue="a:b", priority=-7, tenant="x/y", turn=Turn.AGAIN)

    assert look_of(place.line) == LineLook(queue="a:b", priority=-7)


def test_line_rests_once_the_others_have_passed_it():
    queue = FairQueue(levels={0: Level(floor=10, top=20)})
    look = LineLook(queue=QUEUE, priority=0)

    assert is_rested(queue, look, None, 20_000_000)
    assert not is_rested(queue, look, 15, 20_000_000)
    assert is_rested(queue, look, 15, 15_000_000)


def test_weight_of_an_operator_wins_until_it_is_taken_back():
    queue = FairQueue().with_declared({"a": 2, "b": 5}).with_weight("a", 7)

    assert queue.weights == {"a": 7, "b": 5}
    assert queue.with_weight("a", None).weights == {"a": 2, "b": 5}


def test_queue_is_read_back_as_it_was_kept():
    queue = FairQueue(declared={"a": 2.0}, given={"é": 0.5}, levels={-3: Level(floor=4, top=70)})

    assert FairQueue.loads(queue.dumps()) == queue
    assert FairQueue.loads(None) == FairQueue()


@pytest.mark.parametrize("weight", [0, -1, 0.001, 1e9, float("nan"), float("inf")])
def test_weight_out_of_bounds_is_refused(weight):
    with pytest.raises(InvalidInput):
        checked_weight("a", weight)


@pytest.mark.parametrize("tenant", ["", "x" * 201, "a\nb"])
def test_tenant_that_cannot_be_one_is_refused(tenant):
    with pytest.raises(InvalidInput):
        checked_tenant(tenant)


WEIGHTS = st.sampled_from([0.25, 0.5, 1, 2, 3, 8])


@given(
    weights=st.lists(WEIGHTS, min_size=2, max_size=5),
    order=st.permutations(range(5)),
    served_before=st.integers(0, 200),
)
def test_tenants_that_all_wait_are_served_within_a_job_or_two_of_their_weights(weights, order, served_before):
    names = [f"t{n}" for n in range(len(weights))]
    line = Served(dict(zip(names, weights, strict=True)))
    for n in order:
        if n < len(names):
            line.add(*[names[n]] * 4_000)
    line.serve(served_before)
    counts = Counter(line.serve(400))

    for a, weight_a in zip(names, weights, strict=True):
        for b, weight_b in zip(names, weights, strict=True):
            ahead = counts[a] / weight_a - counts[b] / weight_b
            assert ahead <= 2 / weight_a + 2 / weight_b + 2


@given(
    steps=st.lists(
        st.tuples(st.sampled_from("abc"), st.integers(1, 30), st.integers(0, 40)), min_size=1, max_size=40
    )
)
def test_whoever_waits_alone_behind_others_is_served_before_their_next_round_is_over(steps):
    line = Served()
    for tenant, jobs, served in steps:
        line.add(*[tenant] * jobs)
        line.serve(served)

    line.add("new")
    ahead = line.serve(len(line.waiting)).index("new")

    assert ahead <= 3 * (1 + STEP)
