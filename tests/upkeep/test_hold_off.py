"""After upkeep itself has not run for long, workers get one lease to renew (C21)."""

import pytest

from headrace import clock as clock_module
from headrace.clock import StoreClock
from headrace.core.states import State
from headrace.stores.open import open_store
from headrace.upkeep.rescue import Rescue
from tests.builders import LEASE, claimed, read


class Boot:
    """A machine's time since it started, in a test's hand; the store's time goes with it."""

    def __init__(self, store, start: int) -> None:
        self._store = store
        self._start = start
        self.passed = 0

    def nanoseconds(self, _clock: int) -> int:
        return self.passed * 1_000_000

    def __getattr__(self, name: str):
        return getattr(self._store, name)

    async def now(self) -> int:
        return self._start + self.passed


@pytest.fixture
async def store():
    opened = await open_store("sqlite://")
    await opened.migrate()
    yield opened
    await opened.close()


@pytest.mark.parametrize(("asleep_ms", "held_off"), [(5_000, False), (5_001 + LEASE, True)])
async def test_after_a_sleep_of_its_own_workers_get_one_lease_to_renew(
    store, monkeypatch, asleep_ms, held_off
):
    start = await store.now()
    boot = Boot(store, start)
    monkeypatch.setattr(clock_module, "_clock_gettime_ns", boot.nanoseconds)
    monkeypatch.setattr(clock_module, "_boot_ms", lambda: boot.passed)
    rescue = Rescue(boot, StoreClock(start), every_ms=5_000, hold_off_ms=LEASE)
    await rescue.run_once()
    job = await claimed(store, now=start - 2 * LEASE)

    boot.passed += asleep_ms
    first = await rescue.run_once()
    during = await read(store, job.id)
    boot.passed += LEASE
    await rescue.run_once()

    assert ("held_off_ms" in first.details) is held_off
    assert (during.state is State.PROCESSING) is held_off
    assert (await read(store, job.id)).state is State.PENDING
