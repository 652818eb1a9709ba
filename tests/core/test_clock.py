import pytest

from headrace.clock import ManualClock, StoreClock, host_now


def test_manual_clock_moves_only_when_told_to():
    clock = ManualClock(1_000)

    assert (clock.now(), clock.now()) == (1_000, 1_000)
    assert clock.advance(2.5) == 3_500
    assert clock.now() == 3_500


def test_manual_clock_refuses_to_run_backwards():
    with pytest.raises(ValueError, match="backwards"):
        ManualClock().advance(-1)


def test_c45_store_clock_starts_at_its_sample_whatever_the_host_says():
    assert 5_000 <= StoreClock(5_000).now() < 65_000


def test_c45_store_clock_jumps_forward_with_a_later_sample():
    clock = StoreClock(5_000)

    clock.anchor(900_000)

    assert clock.now() >= 900_000


def test_c45_store_clock_never_runs_backwards_when_a_sample_is_earlier():
    clock = StoreClock(900_000)
    before = clock.now()

    clock.anchor(5_000)

    assert clock.now() >= before


def test_host_clock_counts_milliseconds_since_1970():
    assert host_now() > 1_700_000_000_000
