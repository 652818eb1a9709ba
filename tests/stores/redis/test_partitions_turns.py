"""What partitions share of a limit where jobs hold it for long, and where a limit is lowered."""

from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
import redis

from headrace.core.job import Job
from headrace.core.unique import Unique
from headrace.errors import OutcomeUnknown
from headrace.stores.open import open_store
from headrace.stores.redis.keys import Keys
from headrace.stores.redis.partitions.circulating import Circulation
from headrace.stores.redis.partitions.places import hashed, partition_of
from headrace.stores.redis.partitions.sharing import TURN_MS, Recall, Share, Step, next_step, repaid
from headrace.stores.redis.partitions.store import PartitionedStore
from tests.builders import NAMESPACE, NOW, settle
from tests.contract.gated import GPU, added, define, limited, slots, taken

P = 4


@pytest.fixture
async def spread(url: str) -> AsyncIterator[PartitionedStore]:
    opened = await open_store(f"{url}?partitions={P}")
    assert isinstance(opened, PartitionedStore)
    yield opened
    await opened.close()


def in_partition(place: int, count: int) -> list[Any]:
    """Jobs of the limit that are in one partition."""
    keys = [key for n in range(10_000) if hashed(key := f"k{n}", P) == place]
    return [limited(GPU, unique=Unique(key=key)) for key in keys[:count]]


def leaving(client: redis.Redis) -> int:
    """How many slots are to leave their partitions."""
    found = (client.hget(Keys("headrace", NAMESPACE, n).shares, f"l {GPU}") for n in range(P))
    return sum(int(number or 0) for number in found)


# ------------------------------------------------------------ long jobs


async def test_c41_slot_that_a_long_job_holds_keeps_nobody_from_a_turn(spread):
    await define(spread, slots("gpu", 2))
    first, *others = in_partition(1, 3)
    await added(spread, first)
    (long,) = await taken(spread, 1)
    await added(spread, *in_partition(2, 60))
    (short,) = await taken(spread, 1)
    await added(spread, *others, *in_partition(3, 60))
    assert [partition_of(job) for job in (long, short)] == [1, 2]

    starts: list[int] = []
    now = NOW
    for _ in range(40):
        now += TURN_MS // 2
        await spread.unpark_free(now=now, limit=10)
        await settle(spread, short, now=now)
        (short,) = await taken(spread, now=now)
        starts.append(partition_of(short))

    assert 10 <= Counter(starts)[2] <= 30
    assert 10 <= Counter(starts)[3] <= 30


async def test_c41_slot_asked_back_of_a_long_job_leaves_idle_ones_to_its_partition(spread, client):
    await define(spread, slots("gpu", 2))
    first, *others = in_partition(1, 3)
    await added(spread, first)
    (_,) = await taken(spread, 1)
    await added(spread, *in_partition(2, 1))
    (short,) = await taken(spread, 1)
    await added(spread, *others, *in_partition(3, 1))
    now = NOW + 2 * TURN_MS
    assert await taken(spread, now=now) == []
    assert leaving(client) == 1
    await settle(spread, short, now=now)
    (turn,) = await taken(spread, now=now)
    await settle(spread, turn, now=now)

    (last,) = await taken(spread, now=now)

    assert [partition_of(job) for job in (short, turn, last)] == [2, 3, 1]


def full(number: int, **fields: Any) -> Share:
    """A share of a partition where jobs wait."""
    return Share(number=number, **{"waiting": 5, "rate": None, **fields})


HOME = Share(number=0, slots=0)
LONG = full(1, slots=0, leaving=1, holders=1)
SHORT = full(2, slots=1, holders=1)
NEEDY = full(3, slots=0)


def test_slots_are_recalled_one_after_the_other():
    shares = [HOME, replace(LONG, recalled=NOW - TURN_MS + 1), SHORT, NEEDY]

    assert next_step(shares, None, now=NOW) is None


def test_slots_of_another_partition_are_recalled_if_the_first_have_not_come_in_time():
    shares = [HOME, replace(LONG, recalled=NOW - TURN_MS), SHORT, NEEDY]

    assert next_step(shares, None, now=NOW) == Recall(source=SHORT, slots=1)


def test_slots_of_a_partition_are_not_recalled_again_before_any_has_left():
    long = replace(LONG, slots=3, leaving=2, holders=5)

    assert next_step([HOME, long, NEEDY], None, now=NOW) is None


@pytest.mark.parametrize("others", [[], [full(2, slots=1, holders=1)]])
def test_recall_that_helps_nobody_any_more_is_taken_back(others):
    assert next_step([HOME, LONG, *others], None, now=NOW) == Recall(source=LONG, slots=-1)


def test_recall_for_a_lowered_limit_is_not_taken_back():
    assert next_step([Share(number=0, slots=-1), LONG], None, now=NOW) is None


@pytest.mark.parametrize("decide", [repaid, lambda shares: next_step(shares, None, now=NOW)])
def test_partition_that_is_the_only_one_shares_nothing(decide: Callable[[Sequence[Share]], Step | None]):
    assert decide([full(0, slots=-1, holders=3, rate=1)]) is None


# ------------------------------------------------------------ lowered limits


async def six_running(spread: PartitionedStore) -> list[Job]:
    """Jobs in several partitions that hold all six slots; others wait."""
    await define(spread, slots("gpu", 6))
    await added(spread, *(limited(GPU) for _ in range(40)))
    running: list[Job] = []
    while len(running) < 6:
        running += await taken(spread, 1)
        await spread.unpark_free(now=NOW, limit=10)  # lends what is idle
    assert {partition_of(job) for job in running} - {0}
    return running


async def test_c41_lowered_limit_is_not_acknowledged_while_what_is_lent_cannot_be_recalled(
    spread, monkeypatch
):
    await six_running(spread)

    async def overtaken(*args: object) -> None:
        del args

    monkeypatch.setattr(Circulation, "_done", overtaken)
    with pytest.raises(OutcomeUnknown, match="changes too fast"):
        await define(spread, slots("gpu", 2))


async def test_c41_lowered_limit_is_recalled_however_busy_its_lane_is(spread, client, monkeypatch):
    await six_running(spread)
    done, touched = Circulation._done, list[int]()

    async def touching(self: Circulation, namespace: str, lane: str, step: Step, now: int) -> int | None:
        touched.append(step.source.number)
        client.hset(Keys("headrace", namespace, step.source.number).lane(lane), "v", f"t{len(touched)}")
        return await done(self, namespace, lane, step, now)

    monkeypatch.setattr(Circulation, "_done", touching)
    before = leaving(client)
    await define(spread, slots("gpu", 1))

    assert touched
    assert leaving(client) > before
