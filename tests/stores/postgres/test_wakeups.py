"""Wake-ups over PostgreSQL's own notices, beside what every server does."""

import asyncio
import json

import pytest

from headrace.stores.coalescing import Coalescer
from headrace.stores.notice import read
from tests.stores.hearing import AT_ONCE_MS, LONG_MS, NAMESPACE, ONE, ManualTiming, hears, sent
from tests.stores.postgres.hearing import overheard, wakeups

# ------------------------------------------------------------ who hears what


async def test_other_schema_of_the_same_database_hears_nothing(url):
    async with wakeups(url) as here, overheard(f"{url}?schema=other") as heard:
        here.wake(NAMESPACE, ONE)
        await sent(here)

        assert await heard() == []


# ------------------------------------------------------------ how often is sent


async def test_queues_that_wait_for_their_turn_go_together(url):
    timing = ManualTiming()
    names = frozenset(f"queue-{number}" for number in range(10))
    async with wakeups(url, timing=timing) as here, overheard(url) as heard:
        here.wake(NAMESPACE, names)
        await sent(here)
        for name in names:
            here.wake(NAMESPACE, frozenset({name}))
        timing.advance(0.05)
        await sent(here)

        payloads = await heard()

    assert [read(payload).places for payload in payloads] == [{(NAMESPACE, name) for name in names}] * 2


async def test_queue_that_was_quiet_does_not_wait_for_a_busy_one(url):
    timing = ManualTiming()
    async with wakeups(url, timing=timing) as here, overheard(url) as heard:
        here.wake(NAMESPACE, frozenset({"busy"}))
        await sent(here)
        timing.advance(0.001)
        here.wake(NAMESPACE, frozenset({"busy", "quiet"}))
        await sent(here)

        payloads = await heard()

    assert [read(payload).places for payload in payloads] == [{(NAMESPACE, "busy")}, {(NAMESPACE, "quiet")}]


def test_coalescer_takes_each_place_once_in_its_gap():
    coalescer = Coalescer()
    coalescer.add([("a", "x"), ("a", "y"), ("a", "x")], 10.0)

    first = coalescer.take(10.0)
    coalescer.add([("a", "x"), ("b", "x")], 10.002)
    second = coalescer.take(10.002)

    assert first == {("a", "x"), ("a", "y")}
    assert second == {("b", "x")}
    assert coalescer.next_at() == pytest.approx(10.005)
    assert coalescer.take(10.006) == {("a", "x")}
    assert coalescer.next_at() is None
    assert coalescer.take_all() == frozenset()


def sent_at(every: int, *, until: int) -> list[int]:
    """When a place is sent that has work so often; all in milliseconds."""
    coalescer, sent = Coalescer(), []
    for millisecond in range(until):
        now = millisecond / 1000
        if millisecond % every == 0:
            coalescer.add([("a", "x")], now)
        if coalescer.take(now):
            sent.append(millisecond)
    return sent


def test_flood_is_announced_less_and_less_often():
    assert sent_at(1, until=300) == pytest.approx([0, 5, 15, 35, 75, 125, 175, 225, 275], abs=5)


def test_work_that_comes_now_and_then_is_announced_at_once():
    assert sent_at(16, until=200) == list(range(0, 200, 16))


def test_queue_that_was_flooded_is_quick_again_after_a_pause():
    coalescer = Coalescer()
    for millisecond in range(200):
        coalescer.add([("a", "x")], millisecond / 1000)
        coalescer.take(millisecond / 1000)

    coalescer.take(1.0)
    coalescer.add([("a", "x")], 2.0)
    coalescer.take(2.0)
    coalescer.add([("a", "x")], 2.001)

    assert coalescer.next_at() == pytest.approx(2.005)


# ------------------------------------------------------------ what is said


async def test_long_notice_wakes_everybody(url):
    async with wakeups(url) as here, wakeups(url) as there:
        await hears(there)
        assert await there.woken(NAMESPACE, ONE, AT_ONCE_MS) is False
        waiting = asyncio.create_task(there.woken(NAMESPACE, ONE, LONG_MS))
        await asyncio.sleep(0)

        here.wake(NAMESPACE, frozenset(f"{'q' * 60}-{number}" for number in range(200)))

        assert await waiting is True


# ------------------------------------------------------------ switched off


@pytest.mark.parametrize(
    ("option", "reason"),
    [
        ("notify=off", "notify=off"),
        ("listen=off", "listen=off"),
        ("pooler=transaction", "a pooler forgets who listens, and no listen= names the server itself"),
    ],
)
async def test_who_does_not_listen_polls_and_says_why(url, run_sql, option, reason):
    async with wakeups(f"{url}?{option}&application_name=quiet") as here:
        assert await here.woken(NAMESPACE, ONE, 1) is False
        assert await here.described() == f"polling: {reason}"
        assert here.heard is False
    assert run_sql(url, "select 1 from pg_stat_activity where application_name = 'quiet'") == []


async def test_server_without_the_channel_for_us_is_a_reason_to_poll(url):
    async with wakeups(f"{url}?listen=postgresql://nobody@127.0.0.1:1/x") as here:
        said = await here.described()

        assert said.startswith("polling: ")
        assert "127.0.0.1" in said


async def test_hint_from_a_thread_without_a_loop_stays_in_the_process(url):
    async with wakeups(url) as here, overheard(url) as heard:
        waiting = asyncio.create_task(here.woken(NAMESPACE, ONE, LONG_MS))
        await asyncio.sleep(0)

        await asyncio.to_thread(here.wake, NAMESPACE, ONE)

        assert await waiting is True
        assert [json.loads(said).get("to") for said in await heard()] in ([], [None])
