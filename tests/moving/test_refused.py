"""What a move refuses, and that nothing is written then."""

from dataclasses import replace

import pytest

from headrace.errors import StoreUnavailable, StoreUnusable
from headrace.moving.beginning import start_over
from headrace.moving.lease import Lease
from headrace.moving.mover import Wishes, move
from headrace.moving.registers import INTO, LEASE_MS, OUT, Incoming, Outgoing
from headrace.moving.sides import MoveRefused, side_of
from headrace.stores.adopting import Adoption
from headrace.stores.protocol import Health, Swap, Tier
from tests.builders import MINUTE, NAMESPACE, NOW, a_hello, a_job, claim, claimed, enqueue, read
from tests.moving.faulty import Fault, faulty
from tests.moving.scene import a_side, moved, opened, paused, seen, surroundings


async def test_the_same_store_under_two_urls_is_refused(files, clock):
    other = await opened(files.source_url)
    await enqueue(files.source, a_job())
    try:
        with pytest.raises(MoveRefused, match="already has 1 jobs"):
            await moved(files.source, other, clock)
    finally:
        await other.close()

    assert await files.source.scan(NAMESPACE, "move:") == []
    assert await paused(files.source) == {"default": False}


async def test_the_same_empty_store_under_two_urls_is_refused(files, clock):
    other = await opened(files.source_url)
    try:
        with pytest.raises(MoveRefused, match="same store"):
            await moved(files.source, other, clock)
    finally:
        await other.close()

    assert await files.source.scan(NAMESPACE, "move:") == []


async def test_a_target_with_jobs_is_refused(files, clock):
    await enqueue(files.source, a_job())
    await enqueue(files.target, a_job())

    with pytest.raises(MoveRefused, match="already has 1 jobs"):
        await moved(files.source, files.target, clock)

    assert await paused(files.source) == {"default": False}


async def test_a_target_with_settings_is_refused(files, clock):
    await files.target.swap(NAMESPACE, [Swap(key="schedule:x", revision=0, value="{}")])

    with pytest.raises(MoveRefused, match="schedule:x"):
        await moved(files.source, files.target, clock)


async def test_jobs_of_another_namespace_are_no_hindrance(files, clock):
    await enqueue(files.target, a_job(namespace="other"))
    await enqueue(files.source, a_job())

    assert (await moved(files.source, files.target, clock)).verified


@pytest.mark.parametrize("end", ["source", "target"])
async def test_a_living_worker_is_named(files, clock, end):
    await enqueue(files.source, a_job())
    await getattr(files, end).hello(a_hello("w-7"))

    with pytest.raises(MoveRefused, match=r"w-7 \(host, pid 1\)"):
        await moved(files.source, files.target, clock)

    assert await paused(files.source) == {"default": False}
    assert await files.target.scan(NAMESPACE, "") == []


async def test_a_worker_that_has_gone_silent_is_no_hindrance(files, clock):
    await enqueue(files.source, a_job())
    await files.source.hello(a_hello("w-7"))
    clock.advance(61)

    assert (await moved(files.source, files.target, clock)).verified


async def test_a_running_job_is_named(files, clock):
    job = await claimed(files.source)

    with pytest.raises(MoveRefused, match=job.id):
        await moved(files.source, files.target, clock)


async def test_waiting_pauses_first_and_ends_when_the_worker_has_gone(files, clock):
    await claimed(files.source)
    await files.source.hello(a_hello("w-7"))
    said: list[str] = []
    during: list[bool] = []
    around = replace(surroundings(clock), say=lambda one: said.append(one.text))
    wait = around.pause

    async def pause(seconds: float) -> None:
        during.append((await paused(files.source))["default"])
        await wait(seconds)

    here, there = await a_side(files.source, clock), await a_side(files.target, clock)
    report = await move(here, there, Wishes(wait=True), replace(around, pause=pause))

    assert report.verified
    assert report.rescued == 1
    assert all(during)
    assert any("worker w-7" in text for text in said)


async def test_c14_a_lost_holder_is_fenced_at_the_source_before_its_job_is_moved(files, clock):
    job = await claimed(files.source)
    clock.advance(31)

    report = await moved(files.source, files.target, clock)

    here, there = await read(files.source, job.id), await read(files.target, job.id)
    assert report.rescued == 1
    assert here.placement.crashes == there.placement.crashes == 1
    assert here.placement.lease_until is None
    assert there.placement == here.placement


async def test_moving_to_a_second_target_is_refused_until_it_is_asked_for(files, clock, tmp_path):
    await enqueue(files.source, a_job())
    await moved(files.source, files.target, clock)
    third = await opened(f"sqlite:///{tmp_path / 'third.db'}")
    try:
        with pytest.raises(MoveRefused, match="--start-over"):
            await moved(files.source, third, clock)
        await start_over(await a_side(files.source, clock))
        report = await moved(files.source, third, clock)
        assert report.verified
        assert list(await seen(third)) == list(await seen(files.source))
    finally:
        await third.close()


async def test_jobs_are_not_moved_out_of_a_target_whose_move_is_not_finished(files, clock, tmp_path):
    await enqueue(files.source, a_job())
    here, there = await a_side(files.source, clock), await a_side(files.target, clock)
    fault = Fault(at=25, lost=False)
    with pytest.raises(StoreUnavailable):
        await move(faulty(here, fault), faulty(there, fault), Wishes(), surroundings(clock))
    third = await opened(f"sqlite:///{tmp_path / 'third.db'}")
    try:
        with pytest.raises(MoveRefused, match="not finished"):
            await moved(files.target, third, clock)
    finally:
        await third.close()


async def test_another_mover_that_goes_on_is_let_alone(files, clock):
    await enqueue(files.source, a_job())
    outgoing = Outgoing(id="m", to="there", began_at=NOW)
    state = Incoming(id="m", source="here", began_at=NOW, mover="first", until=NOW + LEASE_MS)
    await files.source.swap(NAMESPACE, [Swap(key=OUT, revision=0, value=outgoing.dumps())])
    await files.target.swap(NAMESPACE, [Swap(key=INTO, revision=0, value=state.dumps())])
    there = await a_side(files.target, clock)
    first = Lease(there, state, (await files.target.read(NAMESPACE, [INTO]))[INTO].revision)
    around = surroundings(clock, "second")

    async def pause(seconds: float) -> None:
        clock.advance(seconds)
        await first.write(first.state)

    with pytest.raises(MoveRefused, match="first is moving these jobs"):
        await move(await a_side(files.source, clock), there, Wishes(), replace(around, pause=pause))


async def test_a_mover_that_was_taken_over_from_writes_nothing_more(files, clock):
    there = await a_side(files.target, clock)
    state = Incoming(id="m", source="here", began_at=NOW, mover="first", until=NOW)
    await files.target.swap(NAMESPACE, [Swap(key=INTO, revision=0, value=state.dumps())])
    revision = (await files.target.read(NAMESPACE, [INTO]))[INTO].revision
    first, second = Lease(there, state, revision), Lease(there, replace(state, mover="second"), revision)
    await second.keep()

    with pytest.raises(MoveRefused, match="taken over"):
        await first.adopt(Adoption(jobs=()))
    with pytest.raises(MoveRefused, match="taken over"):
        await first.keep()

    assert Incoming.loads((await files.target.read(NAMESPACE, [INTO]))[INTO].value).mover == "second"


async def test_nothing_is_claimed_at_the_source_after_the_move(files, clock):
    await enqueue(files.source, a_job())
    await moved(files.source, files.target, clock)

    assert await claim(files.source, now=NOW + MINUTE) == []
    assert len(await claim(files.target, now=NOW + MINUTE)) == 1


class Plain:
    """A store that keeps all but what a move needs."""

    async def check(self) -> Health:
        return Health(store="plain", version="1", schema=1, tier=Tier.NOTHING, details={"server": "here:1"})


async def test_a_store_that_takes_no_jobs_in_is_refused(clock):
    with pytest.raises(StoreUnusable, match="plain here:1"):
        await side_of(Plain(), NAMESPACE, clock=clock)
