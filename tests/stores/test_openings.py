"""Lanes that open by the clock: who is told, and when it is forgotten."""

import asyncio

import pytest

from headrace.stores.gating import Opening
from headrace.stores.openings import HORIZON_MS, Openings
from tests.builders import NAMESPACE, NOW


@pytest.fixture
def woken():
    return asyncio.Queue()


@pytest.fixture
def openings(woken):
    return Openings(lambda namespace, queues: woken.put_nowait((namespace, queues)))


def an_opening(at: int, *, lane: str = "limit:a", queues: tuple[str, ...] = ("q",)) -> Opening:
    return Opening(lane=lane, queues=frozenset(queues), at=at)


async def test_claim_learns_of_a_lane_once_it_has_opened_and_only_once(openings):
    openings.remember(NAMESPACE, [an_opening(NOW + 10)], NOW)

    assert openings.due(NAMESPACE, ["q"], NOW + 9) == []
    assert openings.due(NAMESPACE, ["other"], NOW + 10) == []
    assert openings.due("other", ["q"], NOW + 10) == []
    assert openings.due(NAMESPACE, ["q", "other"], NOW + 10) == ["limit:a"]
    assert openings.due(NAMESPACE, ["q"], NOW + 10) == []


async def test_latest_word_on_a_lane_counts_for_all_its_queues(openings):
    openings.remember(NAMESPACE, [an_opening(NOW + 10)], NOW)
    openings.remember(NAMESPACE, [an_opening(NOW + 20, queues=("r",))], NOW)

    assert openings.due(NAMESPACE, ["q"], NOW + 10) == []
    assert openings.due(NAMESPACE, ["q"], NOW + 20) == ["limit:a"]


async def test_who_waits_is_woken_when_a_lane_opens(openings, woken):
    openings.remember(NAMESPACE, [an_opening(NOW + 1), an_opening(NOW, lane="limit:b", queues=("r",))], NOW)
    openings.arm(NOW)

    async with asyncio.timeout(20):
        told = {await woken.get(), await woken.get()}

    assert told == {(NAMESPACE, frozenset({"q"})), (NAMESPACE, frozenset({"r"}))}


async def test_what_a_claim_has_met_before_wakes_nobody(openings, woken):
    openings.remember(NAMESPACE, [an_opening(NOW)], NOW)
    openings.due(NAMESPACE, ["q"], NOW)
    openings.arm(NOW)
    openings.remember(NAMESPACE, [an_opening(NOW, lane="limit:b", queues=("r",))], NOW)
    openings.arm(NOW)

    async with asyncio.timeout(20):
        assert await woken.get() == (NAMESPACE, frozenset({"r"}))
    assert woken.empty()


async def test_nobody_is_woken_after_the_end(openings, woken):
    openings.remember(NAMESPACE, [an_opening(NOW)], NOW)
    openings.arm(NOW)
    openings.close()
    passed = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().call_later(0, passed.set_result, None)
    await passed

    assert woken.empty()


async def test_what_opens_late_is_left_to_the_sweep(openings):
    openings.remember(NAMESPACE, [an_opening(NOW + HORIZON_MS + 1)], NOW)

    assert openings.due(NAMESPACE, ["q"], NOW + HORIZON_MS + 1) == []
