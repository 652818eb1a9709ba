"""A connection left inside a transaction: nothing is acknowledged that would be undone with it."""

from headrace.stores.postgres.database import Database
from headrace.stores.postgres.location import parse
from headrace.stores.postgres.session import Session


async def test_write_inside_an_open_transaction_is_undone_and_done_again(url, run_sql, run_script):
    run_script(url, "create table written (number integer)")
    database, tries = Database(parse(url)), [0]

    async def write(session: Session) -> int:
        tries[0] += 1
        if tries[0] == 1:
            await session.connection.execute("begin")
        await session.connection.execute("insert into written values ($1)", tries[0])
        return tries[0]

    answer = await database.alone(write)
    await database.close()

    assert answer == 2
    assert [row[0] for row in run_sql(url, "select number from written")] == [2]


async def test_read_that_finds_a_transaction_under_way_is_asked_again_elsewhere(url):
    database, servers = Database(parse(url)), list[int]()

    async def read(session: Session) -> None:
        servers.append(await session.connection.fetchval("select pg_backend_pid()"))
        if len(servers) == 1:
            await session.connection.execute("set transaction isolation level serializable")

    await database.snapshot(read)
    await database.close()

    assert len(set(servers)) == 2
