import asyncio
from collections.abc import AsyncIterator

import pytest

from tests.servers.behaviours import (
    BlackHole,
    CutAfter,
    CutAfterBytes,
    Delay,
    Direction,
    Pass,
    Reset,
    numbered,
    saying,
)
from tests.servers.echo import GONE, Echo, Rig, a_rig
from tests.servers.framing import Pieces
from tests.servers.proxy import Proxy

LONG = 3_600


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    async with a_rig() as rig:
        yield rig


async def test_everything_passes_at_first(rig):
    client = await rig.talking(1)
    large = b"x" * 1_000 + b"\n"
    for _ in range(300):
        client.send(large)

    assert [await client.hear() for _ in range(300)] == [large] * 300


async def test_end_of_a_client_arrives_and_is_answered(rig):
    client = await rig.talking(1)

    client.send(b"last\n")
    client.writer.write_eof()

    assert await client.hear() == b"last\n"
    assert await client.reader.read() == b""
    await rig.echo.until(left=1)


async def test_connections_are_numbered_and_known_by_what_they_said_first(rig):
    await rig.talking(1)
    await (await rig.talking(2)).ask(b"more\n")

    assert [(sight.number, sight.opening) for sight in rig.proxy.connections] == [
        (1, b"hello\n"),
        (2, b"hello\nmore\n"),
    ]


def test_url_goes_through_the_proxy():
    proxy = Proxy("postgresql://me:word@localhost:5433/jobs?application_name=x")

    assert proxy.url == f"postgresql://me:word@127.0.0.1:{proxy.port}/jobs?application_name=x"
    assert proxy.through("postgresql://a@b:1/c") == f"postgresql://a@127.0.0.1:{proxy.port}/c"


async def test_refused_clients_are_told_and_the_others_go_on(rig):
    old = await rig.talking(1)

    rig.proxy.refuse()

    with pytest.raises(ConnectionRefusedError):
        await rig.client()
    assert await old.ask(b"still\n") == b"still\n"
    rig.proxy.listen()
    await rig.talking(2)


async def test_reset_ends_open_connections_on_both_sides_and_lets_new_ones_in(rig):
    clients = [await rig.talking(1), await rig.talking(2)]

    assert rig.proxy.reset() == 2

    for client in clients:
        await client.sees_its_end()
    await rig.echo.until(left=2)
    assert rig.proxy.connections == []
    await rig.talking(3)


async def test_reset_chooses(rig):
    one, other = await rig.talking(1), await rig.talking(2)

    assert rig.proxy.reset(numbered(2)) == 1

    await other.sees_its_end()
    assert await one.ask(b"still\n") == b"still\n"


async def test_reset_may_be_how_connections_are_treated(rig):
    old = await rig.talking(1)

    rig.proxy.set(Reset())

    await old.sees_its_end()
    with pytest.raises(GONE):
        await (await rig.client()).ask(b"new\n")
    rig.proxy.set(Pass())
    await rig.talking(3)


async def test_server_that_has_died_and_come_back(rig):
    old = await rig.talking(1)

    rig.proxy.down()

    await old.sees_its_end()
    with pytest.raises(ConnectionRefusedError):
        await rig.client()
    rig.proxy.up()
    await rig.talking(2)


async def test_server_that_is_not_there_resets_the_client():
    async with a_rig() as rig:
        pass
    with Proxy(rig.proxy.through(f"tcp://x:{rig.proxy.port}"), framing=Pieces) as proxy:
        rig = Rig(Echo(), proxy)
        with pytest.raises(GONE):
            await (await rig.client()).ask(b"anyone\n")
        rig.leave()


@pytest.mark.parametrize("directions", [frozenset(Direction), frozenset({Direction.TO_SERVER})], ids=len)
async def test_nothing_reaches_the_server_through_a_black_hole_until_it_is_over(rig, directions):
    lost, fine = await rig.talking(1), await rig.talking(2)

    rig.proxy.set(BlackHole(directions=directions), numbered(1))
    for line in (b"one\n", b"two\n"):
        lost.send(line)
    await rig.proxy_has_read(b"one\n", number=1)

    assert await fine.ask(b"fine\n") == b"fine\n"
    assert rig.echo.heard == [b"hello\n", b"hello\n", b"fine\n"]
    rig.proxy.set(Pass())
    assert [await lost.hear(), await lost.hear()] == [b"one\n", b"two\n"]


async def test_answers_alone_may_vanish(rig):
    lost, fine = await rig.talking(1), await rig.talking(2)

    rig.proxy.set(BlackHole(directions=frozenset({Direction.TO_CLIENT})), numbered(1))
    lost.send(b"asked\n")
    await rig.echo.until(heard=3)
    answer = asyncio.create_task(lost.hear())

    assert await fine.ask(b"fine\n") == b"fine\n"
    assert not answer.done()
    rig.proxy.set(Pass())
    assert await answer == b"asked\n"


@pytest.mark.parametrize("how", ["closed", "reset"])
@pytest.mark.parametrize("directions", [frozenset(Direction), frozenset({Direction.TO_SERVER})], ids=len)
async def test_that_a_client_is_gone_does_not_come_through_a_black_hole(rig, directions, how: str):
    leaving, fine = await rig.talking(1), await rig.talking(2)

    rig.proxy.set(BlackHole(directions=directions), numbered(1))
    leaving.writer.close() if how == "closed" else leaving.reset()
    for _ in range(3):
        rig.echo.clients[0].write(b"anyone\n")
        assert await fine.ask(b"fine\n") == b"fine\n"

    assert rig.echo.left == 0
    rig.proxy.set(Pass())
    await rig.echo.until(left=1)


async def test_new_connection_into_a_black_hole_is_accepted_and_hears_nothing(rig):
    rig.proxy.set(BlackHole(), numbered(1))
    lost = await rig.client()
    lost.send(b"one\n")
    await rig.talking(2)

    assert rig.echo.heard == [b"hello\n"]
    assert len(rig.echo.clients) == 1
    rig.proxy.set(Pass())
    assert await lost.hear() == b"one\n"


async def test_black_hole_begins_with_what_a_client_says(rig):
    rig.proxy.set(BlackHole(), saying(b"LISTEN"))
    quiet, loud = await rig.talking(1), await rig.talking(2)
    loud.send(b"LISTEN\n")
    await rig.proxy_has_read(b"LISTEN", number=2)

    assert await quiet.ask(b"fine\n") == b"fine\n"
    assert b"LISTEN\n" not in rig.echo.heard


async def test_delayed_connection_is_slower_than_the_others(rig):
    slow, fine = await rig.talking(1), await rig.talking(2)

    rig.proxy.set(Delay(seconds=LONG), numbered(1))
    slow.send(b"late\n")
    await rig.proxy_has_read(b"late\n", number=1)

    assert await fine.ask(b"fine\n") == b"fine\n"
    assert b"late\n" not in rig.echo.heard


async def test_delayed_bytes_arrive(rig):
    rig.proxy.set(Delay(seconds=0.001))
    client = await rig.talking(1)

    assert [await client.ask(b"%d\n" % n) for n in range(5)] == [b"%d\n" % n for n in range(5)]


async def test_connection_breaks_when_a_message_has_arrived_and_before_its_answer(rig):
    client = await rig.talking(1)

    rig.proxy.set(CutAfter(messages=3))
    assert await client.ask(b"one\n") == b"one\n"
    assert await client.ask(b"two\n") == b"two\n"
    client.send(b"three\n")

    await client.sees_its_end()
    await rig.echo.until(left=1)
    assert rig.echo.heard == [b"hello\n", b"one\n", b"two\n", b"three\n"]


async def test_connection_breaks_before_a_message_arrives(rig):
    client = await rig.talking(1)

    rig.proxy.set(CutAfter(messages=2, delivered=False))
    assert await client.ask(b"one\n") == b"one\n"
    client.send(b"two\n")

    await client.sees_its_end()
    await rig.echo.until(left=1)
    assert rig.echo.heard == [b"hello\n", b"one\n"]


async def test_connection_breaks_at_a_message_of_a_kind(rig):
    client = await rig.talking(1)

    rig.proxy.set(CutAfter(messages=2, counts=lambda message: b"commit" in message))
    for line in (b"commit 1\n", b"other\n"):
        assert await client.ask(line) == line
    client.send(b"commit 2\n")

    await client.sees_its_end()
    await rig.echo.until(left=1)
    assert rig.echo.heard[-1] == b"commit 2\n"


async def test_each_connection_is_counted_from_when_the_cut_was_set(rig):
    old = await rig.talking(1)
    for n in range(5):
        await old.ask(b"%d\n" % n)

    rig.proxy.set(CutAfter(messages=2))
    assert await old.ask(b"old 0\n") == b"old 0\n"
    rig.proxy.set(CutAfter(messages=2))
    new = await rig.talking(2)

    assert await old.ask(b"old 1\n") == b"old 1\n"
    for client, line in ((old, b"old 2\n"), (new, b"new 2\n")):
        client.send(line)
        await client.sees_its_end()


async def test_connection_breaks_inside_a_message(rig):
    client = await rig.talking(1)

    rig.proxy.set(CutAfterBytes(count=6))
    client.send(b"one\n")
    assert await client.hear() == b"one\n"
    client.send(b"two\n")

    await client.sees_its_end()
    await rig.echo.until(left=1)
    assert rig.echo.heard == [b"hello\n", b"one\n", b"tw"]


async def test_client_does_not_see_that_it_has_lost_its_server(rig):
    lost, fine = await rig.talking(1), await rig.talking(2)

    assert rig.proxy.lose_server(numbered(1)) == 1
    await rig.echo.until(left=1)
    lost.send(b"anyone\n")
    silence = asyncio.create_task(lost.reader.read(1))

    assert await fine.ask(b"fine\n") == b"fine\n"
    rig.proxy.up()
    assert await fine.ask(b"fine\n") == b"fine\n"
    assert not silence.done()
    rig.proxy.reset(numbered(1))
    with pytest.raises(ConnectionResetError):
        await silence


async def test_server_does_not_see_that_it_has_lost_its_client(rig):
    lost, fine = await rig.talking(1), await rig.talking(2)

    assert rig.proxy.lose_client(numbered(1)) == 1

    await lost.sees_its_end()
    assert await fine.ask(b"fine\n") == b"fine\n"
    assert rig.echo.left == 0
    rig.proxy.reset()
    await rig.echo.until(left=2)


async def test_newest_selection_wins_and_one_for_all_ends_the_others(rig):
    clients = [await rig.talking(1), await rig.talking(2)]
    rig.proxy.set(Reset(), numbered(3))
    rig.proxy.set(BlackHole(), numbered(1, 2))

    rig.proxy.set(Pass(), numbered(1))
    assert await clients[0].ask(b"one\n") == b"one\n"
    clients[1].send(b"two\n")
    await rig.proxy_has_read(b"two\n", number=2)
    assert b"two\n" not in rig.echo.heard

    rig.proxy.set(Pass())
    assert await clients[1].hear() == b"two\n"
    await rig.talking(3)
