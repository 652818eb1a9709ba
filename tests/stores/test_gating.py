"""What a gate asks the store for, and what it makes of an admission."""

from dataclasses import replace

from headrace.core.limit_register import Definitions
from headrace.core.limits import Limit, Limits, Rate, Standing
from headrace.core.wishes import Wishes
from headrace.stores.gating import Alike, Opening, Pick, gate, gate_of, left_of
from headrace.stores.known_limits import KnownLimits
from tests.builders import NAMESPACE, NOW
from tests.contract.gated import GPU, account, rate, slots, user

KEY = account("7")


def limits(*defined: Limit) -> Limits:
    return Limits(defined={one.name: one for one in defined})


def pick(seq: int, wishes: Wishes | None = None, *, queue: str = "q") -> Pick:
    wished = None if wishes is None else wishes.dumps()
    return Pick(seq=seq, queue=queue, type="t", priority=0, rank=seq, wished=wished)


def gpu(seq: int, **fields: str) -> Pick:
    return pick(seq, Wishes(lanes=(GPU,)), **fields)


def defined(*some: Limit) -> str:
    return Definitions(code={one.name: one for one in some}).dumps()


def decided(picks, defined, looks=(), *, prompt=10, states=None, orders=None):
    at = gate(picks, defined, NOW)
    return at.decide(states or {}, looks, orders or {}, prompt=prompt)


def test_lanes_are_locked_in_the_order_of_their_keys_and_made_where_a_definition_governs_them():
    wishes = Wishes(lanes=("breaker:x", GPU, user("b")), order=KEY)
    at = gate([pick(1, wishes)], limits(slots("gpu", 1), rate("per-user", 1)), NOW)

    assert at.keys == ["breaker:x", GPU, user("b"), KEY]
    assert at.missing([GPU]) == [user("b"), KEY]
    assert at.counted({}) == [False, True, False]


def test_only_wishes_for_lanes_and_order_are_the_business_of_the_gate():
    lanes, order, fair = Wishes(lanes=(GPU,)).dumps(), Wishes(order=KEY).dumps(), Wishes(fair="t").dumps()

    assert gate_of(None) == (None, None)
    assert gate_of(lanes) == (lanes, None)
    assert gate_of(order) == (order, KEY)
    assert gate_of(fair) == (None, None)


def test_what_wishes_the_same_as_one_that_a_full_lane_refused_is_parked_with_it():
    verdict = decided([gpu(1), gpu(2), gpu(3)], limits(slots("gpu", 1)), [(GPU, 0, None, None, None, None)])

    wished = Wishes(lanes=(GPU,)).dumps()
    assert verdict.admission.admitted == (1,)
    assert verdict.alike == (Alike(queue="q", type="t", wished=wished, lane=GPU),)
    assert 1 in verdict.spared
    assert verdict.moved


def test_jobs_that_a_free_lane_refused_for_others_park_nobody_with_them():
    waiting = [(GPU, 0, "q", 1, 0, 99)]
    verdict = decided([gpu(1)], limits(slots("gpu", 2)), waiting)

    assert verdict.admission.parked == ((1, GPU),)
    assert verdict.alike == ()
    assert verdict.room == {GPU: 2}


def test_jobs_left_due_for_want_of_promptness_come_before_the_parked_ones():
    quick = limits(Limit(name="gpu", rate=Rate(count=100, per_ms=1_000, burst=9)))
    waiting = [(GPU, 0, "other", 0, 0, 99)]

    verdict = decided([gpu(1), gpu(2)], quick, waiting, prompt=0)

    assert verdict.admission.admitted == ()
    assert not verdict.admission.parked
    assert verdict.room[GPU] == verdict.admission.room[GPU] - 2


def test_opening_of_a_rate_is_told_for_the_queues_whose_jobs_wait():
    verdict = decided(
        [gpu(1), gpu(2), gpu(3, queue="r")], limits(rate("gpu", 1)), [(GPU, 0, None, None, None, None)]
    )

    (opening,) = verdict.openings
    assert opening == Opening(lane=GPU, queues=frozenset({"q", "r"}), at=opening.at)
    assert opening.at > NOW


def test_places_in_line_are_given_away_to_who_comes_before():
    assert left_of(None, 10, 3) == 7
    assert left_of(5, 10, 3) == 2
    assert left_of(2, 10, 3) == 0


def test_picks_sort_as_a_claim_does():
    late, early, urgent = pick(2), pick(1), replace(pick(3), priority=1)

    assert sorted([late, early, urgent], key=lambda one: one.order) == [urgent, early, late]
    assert early.order == Standing(priority=0, rank=1, seq=1).order


def test_known_limits_say_which_plain_jobs_pass_the_gate():
    kept = KnownLimits()
    assert kept.of(NAMESPACE).plain

    known = kept.learn(NAMESPACE, defined(slots("queue:a", 1), slots("type:b", 1), Limit(name="queue:c")), 7)

    assert (known.limits.revision, known.plain) == (7, False)
    assert known.gates("a", "x")
    assert known.gates("x", "b")
    assert not known.gates("c", "x")
    assert known.gated_queues(["a", "c"]) == ["a"]
    assert kept.learn(NAMESPACE, defined(slots("all", 1)), 8).gated_queues(["z"]) == ["z"]
    assert kept.learn(NAMESPACE, None, 0).plain
