from hypothesis import given
from hypothesis import strategies as st

from headrace.core.coalescing import Coalescer

EVERY = 0.5


def test_first_goes_at_once():
    told: Coalescer[str, int] = Coalescer(EVERY)
    told.offer("a", 1)

    assert told.waiting
    assert told.take(0.0) == {"a": 1}
    assert not told.waiting


def test_newest_wins_and_waits_for_its_time():
    told: Coalescer[str, int] = Coalescer(EVERY)
    told.offer("a", 1)
    told.take(0.0)
    told.offer("a", 2)
    told.offer("a", 3)

    assert told.take(0.4) == {}
    assert told.take(0.5) == {"a": 3}


def test_tellers_do_not_wait_for_each_other():
    told: Coalescer[str, int] = Coalescer(EVERY)
    told.offer("a", 1)
    told.take(0.0)
    told.offer("a", 2)
    told.offer("b", 1)

    assert told.take(0.1) == {"b": 1}


def test_last_of_one_that_ends_is_told_at_once():
    told: Coalescer[str, int] = Coalescer(EVERY)
    told.offer("a", 1)
    told.take(0.0)
    told.offer("a", 2)

    assert told.take(0.1, {"a"}) == {"a": 2}


def test_what_did_not_go_out_is_taken_back_unless_there_is_newer():
    told: Coalescer[str, int] = Coalescer(EVERY)
    told.offer("a", 1)
    told.offer("b", 1)
    gone = told.take(0.0)
    told.offer("a", 2)

    told.put_back(gone)

    assert told.take(0.0) == {"a": 2, "b": 1}


def test_take_all_and_clear_leave_nothing():
    told: Coalescer[str, int] = Coalescer(EVERY)
    told.offer("a", 1)
    told.take(0.0)
    told.offer("a", 2)

    assert told.take_all(0.1) == {"a": 2}
    told.offer("a", 3)
    told.clear()
    assert (told.waiting, told.take(9.0)) == (False, {})


def test_tellers_of_long_ago_are_forgotten():
    told: Coalescer[int, int] = Coalescer(EVERY)
    for number in range(3_000):
        told.offer(number, number)
        told.take(number)

    assert len(told._went_at) <= 1_001


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("offer"), st.sampled_from("ab"), st.integers()),
        st.tuples(st.just("take"), st.floats(0, 1), st.frozensets(st.sampled_from("ab"))),
    ),
    max_size=60,
)


@given(STEPS)
def test_any_history_is_paced_tells_the_newest_and_never_forgets_the_last(steps):
    told: Coalescer[str, int] = Coalescer(EVERY)
    now = 0.0
    newest: dict[str, int] = {}
    untold: set[str] = set()
    went_at: dict[str, float] = {}
    for what, first, second in steps:
        if what == "offer":
            told.offer(first, second)
            newest[first] = second
            untold.add(first)
            continue
        now += first
        gone = told.take(now, second)
        assert all(newest[key] == value for key, value in gone.items())
        for key in gone:
            assert key in second or now - went_at.get(key, -1.0) >= EVERY
            went_at[key] = now
        for key in second:
            went_at.pop(key, None)
        untold -= set(gone)

    assert set(told.take(now + 2 * EVERY)) == untold
