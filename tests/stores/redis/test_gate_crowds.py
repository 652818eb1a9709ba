"""Gates where many wait, or many claim."""

import asyncio
from functools import partial

from tests.builders import a_job, settle
from tests.contract.gated import (
    GPU,
    added,
    define,
    drained,
    ids,
    limited,
    ordered,
    slots,
    taken,
    user,
)

OTHER = "other"
OTHERS = partial(taken, queues={OTHER: 10})
ROOT = "headrace:{default}"


async def test_c41_twelve_claimers_never_hold_more_than_the_slots(store, rival, client):
    await define(store, slots("gpu", 3))
    jobs = await added(store, *(limited(GPU) for _ in range(150)))
    counted: list[int] = []
    ended: set[str] = set()

    async def claimer(number: int) -> None:
        mine = (store, rival)[number % 2]
        while len(ended) < len(jobs):
            found = await taken(mine, 5, worker=f"w{number}")
            counted.append(client.zcard(f"{ROOT}:slots:{GPU}"))
            for job in found:
                await settle(mine, job)
                ended.add(job.id)

    await asyncio.gather(*(claimer(number) for number in range(12)))

    assert max(counted) <= 3
    assert client.keys(f"{ROOT}:slots:*") == []


async def test_c40_c41_ten_thousand_jobs_behind_a_full_lane_cost_other_claims_nothing(store, client):
    await define(store, slots("per-user", 1))
    for _ in range(10):
        await added(store, *(limited(user("a")) for _ in range(500)), *(ordered() for _ in range(500)))
    held = await taken(store, 100)
    while await taken(store, 100):
        pass
    plain = await added(store, *(a_job() for _ in range(5)))
    (other,) = await added(store, limited(user("b")))
    client.config_resetstat()

    assert ids(await taken(store, 5)) == plain

    assert scripts_run(client) == 1
    assert ids(await taken(store)) == [other]
    assert client.zcard(f"{ROOT}:q:default:ready") == 0
    assert len(held) == 2


async def test_c41_parked_jobs_come_one_after_the_other_whoever_ends_them(store, rival):
    await define(store, slots("gpu", 1))
    jobs = await added(store, *(limited(GPU) for _ in range(20)))
    found = []
    for number in range(20):
        (job,) = await taken((store, rival)[number % 2])
        found.append(job.id)
        await settle((rival, store)[number % 2], job)

    assert found == jobs
    assert await drained(store) == []


def scripts_run(client) -> int:
    """How many scripts the server has run since its counts were set back."""
    stats = client.info("commandstats")
    return sum(stats.get(f"cmdstat_{name}", {"calls": 0})["calls"] for name in ("evalsha", "eval"))
