"""How a file is locked and journalled while the store works on it."""

import apsw
import pytest

from headrace.stores.open import open_store


@pytest.fixture
async def path(tmp_path):
    return tmp_path / "jobs.db"


@pytest.fixture
async def store(path):
    opened = await open_store(f"sqlite:///{path}")
    yield opened
    await opened.close()


async def test_op_holds_the_write_lock_before_it_reads(store, path):
    def whether_another_may_write(_) -> bool:
        other = apsw.Connection(str(path))
        try:
            other.execute("begin immediate")
        except apsw.BusyError:
            return False
        finally:
            other.close()
        return True

    assert await store._database.write(whether_another_may_write) is False


async def test_reader_goes_on_beside_an_open_write(store, path):
    def what_a_reader_sees(at) -> int:
        at.db.execute("insert into meta (name, value) values ('test', 1)")
        other = apsw.Connection(str(path))
        try:
            return other.execute("select count(*) from meta where name = 'test'").fetchall()[0][0]
        finally:
            other.close()

    assert await store._database.write(what_a_reader_sees) == 0
    assert (await store.check()).details["journal"] == "wal"
