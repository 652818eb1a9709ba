"""The one place where a process tells itself what it has done to jobs."""

from headrace.engine.aftermath import Told


def test_nobody_is_told_where_nobody_listens():
    told: Told[int] = Told()

    assert not told.heard
    told([1])


def test_listeners_are_told_in_the_order_in_which_they_came():
    told: Told[int] = Told()
    heard: list[tuple[str, int]] = []
    told.listen(lambda news: heard.extend(("first", one) for one in news))
    told.listen(lambda news: heard.extend(("second", one) for one in news))

    told([1, 2])

    assert told.heard
    assert heard == [("first", 1), ("first", 2), ("second", 1), ("second", 2)]


def test_listener_that_raises_disturbs_nobody():
    told: Told[int] = Told()
    heard: list[int] = []

    def breaks(_: object) -> None:
        raise ValueError("listener")

    told.listen(breaks)
    told.listen(heard.extend)

    told([1])

    assert heard == [1]


def test_listener_that_stopped_is_told_no_more():
    told: Told[int] = Told()
    heard: list[int] = []
    other: list[int] = []
    stop = told.listen(heard.extend)
    told.listen(other.extend)

    stop()
    told([1])

    assert (heard, other, told.heard) == ([], [1], True)


def test_last_listener_to_stop_leaves_nobody_listening():
    told: Told[int] = Told()
    stop = told.listen(lambda _: None)

    stop()
    stop()

    assert not told.heard
