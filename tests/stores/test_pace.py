from headrace.stores.sqlite.pace import BURST_S, CONTENDED_S, GAP_S, Pace


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


def paced():
    clock = Clock()
    return clock, Pace(clock)


def test_lone_process_does_not_wait_between_short_bursts():
    clock, pace = paced()
    clock.now += BURST_S / 2

    assert pace.gap() == 0


def test_lock_is_left_alone_after_a_long_burst():
    clock, pace = paced()
    clock.now += BURST_S * 1.1

    assert pace.gap() == GAP_S


def test_idle_moment_ends_a_burst():
    clock, pace = paced()
    clock.now += BURST_S
    pace.idle()

    assert pace.gap() == 0


def test_lock_is_left_alone_after_every_commit_while_others_want_it():
    clock, pace = paced()
    pace.contended()

    assert pace.gap() == GAP_S
    clock.now += CONTENDED_S
    pace.idle()
    assert pace.gap() == 0
