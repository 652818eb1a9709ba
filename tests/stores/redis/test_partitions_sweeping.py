"""What the sweep of a spread namespace brings right, and what it must leave as it is."""

from collections.abc import AsyncIterator, Mapping
from itertools import count
from typing import Any

import pytest
import redis

from headrace.core.limit_names import lane_of_limit
from headrace.core.unique import Unique
from headrace.errors import OutcomeUnknown, StoreUnavailable
from headrace.stores.open import open_store
from headrace.stores.redis.keys import Keys
from headrace.stores.redis.partitions.circulating import Circulation
from headrace.stores.redis.partitions.intents import Duty, Intents
from headrace.stores.redis.partitions.parts import Parts
from headrace.stores.redis.partitions.places import hashed
from headrace.stores.redis.partitions.store import PartitionedStore
from tests.builders import NAMESPACE, NOW, SECOND, a_job, settle
from tests.contract.gated import GPU, added, define, limited, slots, taken, user

P = 4
_NUMBERS = count()
SMTP = lane_of_limit("smtp")
HOME_KEYS = Keys("headrace", NAMESPACE)


@pytest.fixture
def spread_url(url: str) -> str:
    return f"{url}?partitions={P}"


@pytest.fixture
async def spread(spread_url: str) -> AsyncIterator[PartitionedStore]:
    opened = await open_store(spread_url)
    assert isinstance(opened, PartitionedStore)
    yield opened
    await opened.close()


@pytest.fixture
async def other(spread_url: str) -> AsyncIterator[PartitionedStore]:
    """The same store in another process."""
    opened = await open_store(spread_url)
    assert isinstance(opened, PartitionedStore)
    yield opened
    await opened.close()


def at(place: int) -> Unique:
    """What puts a job into a partition; another one each time."""
    return Unique(key=next(key for n in _NUMBERS if hashed(key := f"k{n}", P) == place))


async def died(*args: object) -> None:
    raise StoreUnavailable("the process died here")


# ------------------------------------------------------------ what is on its way


@pytest.mark.parametrize("dies", [False, True])
async def test_c41_sweep_gives_out_no_slot_that_is_between_two_other_partitions(
    spread, other, monkeypatch, dies
):
    await define(spread, slots("gpu", 1))
    await added(spread, *(limited(GPU, unique=at(1)) for _ in range(3)))
    (job,) = await taken(spread, 1)
    await added(spread, *(limited(GPU, unique=at(2)) for _ in range(5)))
    assert await taken(spread) == []
    done, swept = Intents._done, list[str]()

    async def stops(self: Intents, namespace: str, name: str, now: int, duty: Duty) -> list[Any] | None:
        if not name.endswith(".1"):
            return await done(self, namespace, name, now, duty)
        monkeypatch.undo()
        await other.unpark_free(now=NOW + SECOND, limit=10)
        swept.append(name)
        return await died() if dies else await done(self, namespace, name, now, duty)

    monkeypatch.setattr(Intents, "_done", stops)
    await settle(spread, job, now=NOW + SECOND)
    assert len(swept) == 1
    await other.expired(now=NOW + SECOND, limit=10)

    assert len(await taken(other, now=NOW + SECOND)) == 1


async def test_c41_sweep_gives_out_no_slot_that_leaves_the_home_while_it_looks(spread, other, monkeypatch):
    await define(spread, slots("gpu", 1))
    await added(spread, *(limited(GPU, unique=at(2)) for _ in range(5)))
    lent, left = Circulation._lent, list[bool]()

    async def late(self: Circulation, namespace: str) -> dict[str, int]:
        monkeypatch.setattr(Circulation, "_lent", lent)
        with monkeypatch.context() as patch:
            patch.setattr(Intents, "fulfil", died)
            assert await taken(spread) == []
        left.append(await other._intents.are_owed(namespace))
        return await lent(self, namespace)

    monkeypatch.setattr(Circulation, "_lent", late)
    await other.unpark_free(now=NOW, limit=10)
    assert left == [True]
    await other.expired(now=NOW, limit=10)

    assert len(await taken(other)) == 1


# ------------------------------------------------------------ what a failover has lost


def backup(client: redis.Redis) -> Mapping[str, Mapping[str, str]]:
    """What the home has of limits."""
    names = (HOME_KEYS.register("limits"), HOME_KEYS.shared, HOME_KEYS.lane(GPU))
    return {name: client.hgetall(name) for name in names}


def restore(client: redis.Redis, kept: Mapping[str, Mapping[str, str]]) -> None:
    for name, fields in kept.items():
        client.delete(name)
        if fields:
            client.hset(name, mapping=dict(fields))


@pytest.mark.parametrize("sweep", ["before", "never", "instead"])
@pytest.mark.parametrize("kept", ["nothing", "one"])
async def test_c41_definition_after_one_that_the_home_has_lost_holds_everywhere(  # noqa: PLR0917 - fixtures
    spread, other, client, monkeypatch, kept, sweep
):
    """Else it would have the revision of the lost one, which partitions and processes still know."""
    await added(spread, a_job())
    kept_by_home = backup(client)
    await define(spread, slots("gpu", 1))
    if kept == "one":
        kept_by_home = backup(client)
        await define(spread, slots("gpu", 2))
    assert len(await taken(spread)) == 1
    restore(client, kept_by_home)

    new = (slots("gpu", 2), slots("smtp", 1))
    if sweep == "before":
        await other.unpark_free(now=NOW, limit=10)
    if sweep == "instead":
        monkeypatch.setattr(Parts, "agree", died)
        with pytest.raises(OutcomeUnknown):
            await define(other, *new)
        monkeypatch.undo()
        await other.unpark_free(now=NOW, limit=10)
    else:
        await define(other, *new)

    await added(other, *(limited(SMTP) for _ in range(30)))
    running = [*await taken(spread, 40), *await taken(other, 40)]
    assert len(running) == 1


async def test_c41_lost_definition_is_forgotten_by_all_partitions_after_a_sweep(spread, other, client):
    await added(spread, a_job())
    await define(spread, slots("gpu", 3))
    kept = backup(client)
    await define(spread, slots("gpu", 3), slots("smtp", 1))
    restore(client, kept)

    await other.unpark_free(now=NOW, limit=10)

    texts = {client.hget(Keys("headrace", NAMESPACE, n).register("limits"), "v") for n in range(P)}
    assert texts == {kept[HOME_KEYS.register("limits")]["v"]}


# ------------------------------------------------------------ what is away


async def test_c41_sweep_serves_all_partitions_but_the_one_that_is_away(spread, other, monkeypatch):
    of_one_key = user(at(1).key)
    await define(spread, slots("gpu", 1), slots("per-user", 1))
    await added(spread, *(limited(of_one_key) for _ in range(2)))
    assert len(await taken(spread)) == 1
    assert await taken(spread) == []
    await define(spread, slots("gpu", 1), slots("per-user", 2))
    away = other._parts.database(P - 1)
    for name in ("look", "looks", "run", "runs", "call", "pipe", "together", "write"):
        monkeypatch.setattr(away, name, died)

    with pytest.raises(StoreUnavailable, match="died"):
        await other.unpark_free(now=NOW, limit=10)

    assert len(await taken(spread)) == 1
