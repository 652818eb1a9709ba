"""How the writer thread sleeps, and what wakes it."""

import asyncio
import threading

import pytest

from headrace.stores.open import open_store
from headrace.stores.sqlite import database
from headrace.stores.sqlite.alarm import alarm_on
from headrace.stores.sqlite.inbox import Inbox
from tests.builders import NAMESPACE, QUEUE
from tests.stores import child

LONG = 60.0


@pytest.fixture
def inbox():
    inbox = Inbox()
    yield inbox
    inbox.close()


@pytest.fixture
def rings(tmp_path, inbox):
    path = tmp_path / "file"
    path.write_bytes(b"")
    alarm = alarm_on(path)
    if alarm is None:
        pytest.skip("this system tells nothing about writes")
    inbox.watch(alarm.descriptor)
    yield path, alarm
    alarm.close()


def append_to(path):
    with path.open("ab") as file:
        file.write(b"x")


def test_items_are_taken_in_order(inbox):
    assert all(inbox.put(number) for number in range(3))

    assert list(inbox.take()) == [0, 1, 2]
    assert inbox.empty


def test_sleeper_is_woken_by_an_item_from_another_thread(inbox):
    thread = threading.Timer(0.005, inbox.put, ["x"])
    thread.start()

    while inbox.empty:
        inbox.sleep(LONG)

    assert list(inbox.take()) == ["x"]
    thread.join()


def test_nobody_sleeps_beside_an_item_or_after_a_poke(inbox):
    inbox.poke()
    inbox.sleep(LONG)
    inbox.put("x")

    assert inbox.sleep(LONG) == frozenset()


def test_sleep_ends_with_its_time(inbox):
    assert inbox.sleep(0.001) == frozenset()


def test_shut_inbox_takes_nothing_more_and_keeps_what_it_has(inbox):
    inbox.put("in time")
    inbox.shut()

    assert not inbox.put("late")
    assert list(inbox.take()) == ["in time"]


def test_alarm_rings_at_the_next_write_and_once(inbox, rings):
    path, alarm = rings
    assert alarm.set()
    append_to(path)

    assert inbox.sleep(LONG) == {alarm.descriptor}
    alarm.clear()
    append_to(path)
    assert inbox.sleep(0.001) == frozenset()


def test_alarm_can_be_set_again(inbox, rings):
    path, alarm = rings
    for _ in range(3):
        alarm.set()
        append_to(path)
        assert inbox.sleep(LONG) == {alarm.descriptor}
        alarm.clear()


def test_alarm_on_a_file_that_is_gone_cannot_be_set(rings):
    path, alarm = rings
    path.unlink()

    assert not alarm.set()


async def test_other_process_is_noticed_without_an_alarm(tmp_path, monkeypatch):
    monkeypatch.setattr(database, "alarm_on", lambda _: None)
    url = f"sqlite:///{tmp_path / 'jobs.db'}"
    store = await open_store(url)
    waiting = asyncio.ensure_future(store.woken(NAMESPACE, frozenset({QUEUE}), timeout_ms=60_000))

    await asyncio.to_thread(child.answer, child.started("insert", url))

    assert await waiting
    await store.close()
