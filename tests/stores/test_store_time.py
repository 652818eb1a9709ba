import apsw
import pytest

from headrace.stores.sqlite import migrating
from headrace.stores.sqlite.store_time import HONOURED_MS, WRITE_EVERY_MS, StoreTime

START = 1_767_225_600_000


class Host:
    def __init__(self, now=START):
        self.now = now

    def __call__(self):
        return self.now


@pytest.fixture
def db():
    db = apsw.Connection(":memory:")
    migrating.migrate(db, ":memory:")
    yield db
    db.close()


def mark(db):
    return next(iter(db.execute("select value from meta where name = 'clock'")), (None,))[0]


def test_time_is_the_hosts():
    host = Host()
    time = StoreTime(host)

    assert time.now() == START
    host.now += 5
    assert time.now() == START + 5


def test_time_stands_still_while_the_hosts_clock_is_behind():
    host = Host()
    time = StoreTime(host)
    time.now()
    host.now -= 1_000

    assert time.now() == START
    host.now += 1_001
    assert time.now() == START + 1


@pytest.mark.parametrize("ahead", [1, HONOURED_MS])
def test_mark_of_another_process_is_honoured(db, ahead):
    StoreTime(Host(START + ahead)).write_mark(db)
    time = StoreTime(Host())

    time.read_mark(db)

    assert time.now() == START + ahead


def test_mark_that_is_more_than_five_minutes_ahead_is_dropped_and_replaced(db):
    StoreTime(Host(START + HONOURED_MS + 1)).write_mark(db)
    time = StoreTime(Host())

    time.read_mark(db)
    time.write_mark(db)

    assert time.now() == START
    assert mark(db) == START


def test_mark_is_written_at_most_once_a_second(db):
    host = Host()
    time = StoreTime(host)

    time.write_mark(db)
    host.now += WRITE_EVERY_MS - 1
    time.write_mark(db)
    assert mark(db) == START
    host.now += 1
    time.write_mark(db)

    assert mark(db) == START + WRITE_EVERY_MS


def test_mark_of_a_process_ahead_is_not_lowered(db):
    StoreTime(Host(START + 1_000)).write_mark(db)

    StoreTime(Host()).write_mark(db)

    assert mark(db) == START + 1_000
