import asyncio
from urllib.parse import urlsplit

import asyncpg
import pytest

from tests.servers.behaviours import BlackHole, CutAfter, Direction, Pass, saying
from tests.servers.databases import Copies
from tests.servers.processes import until
from tests.servers.proxy import Proxy
from tests.servers.shared import SHARED

GONE = (asyncpg.PostgresConnectionError, ConnectionError)


@pytest.fixture
def url(tmp_path):
    copies = Copies(SHARED.databases, a_table)
    yield copies.url(tmp_path)
    copies.close()


async def a_table(url: str) -> None:
    connection = await asyncpg.connect(url)
    await connection.execute("create table kept (n int)")
    await connection.close()


async def numbers(url: str) -> list[int]:
    connection = await asyncpg.connect(url)
    rows = await connection.fetch("select n from kept order by n")
    await connection.close()
    return [row["n"] for row in rows]


def ends_a_request(message: bytes) -> bool:
    return message.startswith(b"S")


@pytest.mark.parametrize(("delivered", "kept"), [(True, [7]), (False, [])])
async def test_client_cannot_know_whether_its_write_was_done(url: str, delivered: bool, kept: list[int]):
    with Proxy(url) as proxy:
        connection = await asyncpg.connect(proxy.url)
        statement = await connection.prepare("insert into kept values ($1)")
        proxy.set(CutAfter(counts=ends_a_request, delivered=delivered))

        with pytest.raises(GONE):
            await statement.fetch(7)
        connection.terminate()

        await asyncio.to_thread(until, lambda: backends(url) == 0, what="the server has seen the end")
    assert await numbers(url) == kept


def backends(url: str) -> int:
    sql = "select count(*) as n from pg_stat_activity where datname = $1"
    return SHARED.databases.run_sql("postgres", sql, urlsplit(url).path[1:])[0]["n"]


async def test_listening_connection_alone_goes_deaf(url: str):
    with Proxy(url) as proxy:
        listener, other = await asyncpg.connect(proxy.url), await asyncpg.connect(proxy.url)
        heard: asyncio.Queue[str] = asyncio.Queue()
        await listener.add_listener("news", lambda *event: heard.put_nowait(event[3]))
        await other.execute("select pg_notify('news', '1')")
        assert await heard.get() == "1"

        proxy.set(BlackHole(directions=frozenset({Direction.TO_CLIENT})), saying(b'LISTEN "news"'))
        await other.execute("select pg_notify('news', '2')")
        assert await other.fetchval("select 1") == 1
        assert heard.empty()

        proxy.set(Pass())
        assert await heard.get() == "2"
        listener.terminate()
        other.terminate()


async def test_outage_and_return(url: str):
    with Proxy(url) as proxy:
        pool = await asyncpg.create_pool(proxy.url, min_size=1, max_size=2)
        await pool.execute("insert into kept values (1)")

        proxy.down()
        with pytest.raises(GONE):
            await pool.execute("insert into kept values (2)")

        proxy.up()
        await pool.execute("insert into kept values (3)")
        await pool.close()
    assert await numbers(url) == [1, 3]
