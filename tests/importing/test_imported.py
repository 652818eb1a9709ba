"""What becomes of a queue: every waiting job is here, in its order, with what it was added with."""

import gc
import json
import tracemalloc
from contextlib import closing

import pytest

from headrace.core.backoff import Backoff, Jitter
from headrace.core.request import EnqueueRequest
from headrace.core.schedule import Cron
from headrace.core.unique import Unique
from headrace.importing.importer import ImportRefused
from headrace.testing import drain
from tests.builders import HOUR, NOW
from tests.importing.bullmq import Bull
from tests.servers.valkey import ValkeyServer, client_of


def to(jobs):
    return [json.loads(job.facts.payload)["to"] for job in jobs]


async def test_every_job_comes_in_the_order_bullmq_would_take_them(bull: Bull, here):
    bull.add(data={"to": "third"}, priority=5)
    bull.add(data={"to": "second"})
    bull.add(data={"to": "later"}, delay=HOUR)
    bull.add(data={"to": "first"}, lifo=True)
    bull.add(data={"to": "urgent"}, priority=1)
    before = bull.everything()

    report = await here.imported()

    jobs = await here.jobs()
    ready = [job for job in jobs if job.placement.due_at == NOW]
    assert to(ready) == ["first", "second", "urgent", "third"]
    assert [job.placement.priority for job in ready] == [1001, 1001, 1000, 996]
    (later,) = (job for job in jobs if job.placement.due_at != NOW)
    assert (to([later]), later.placement.due_at) == (["later"], NOW + 3 + HOUR)
    assert (report.taken, report.total, report.verified, report.arrived) == (5, 5, True, 0)
    assert {job.facts.queue for job in jobs} == {"letters"}
    assert bull.everything() == before


async def test_imported_jobs_run(bull: Bull, here):
    bull.add(data={"to": "a", "n": 1})
    bull.add(data={"to": "b"})

    await here.imported()
    await drain(here.app)

    assert here.done == [{"to": "a", "n": 1}, {"to": "b", "n": 0}]


async def test_a_repeat_takes_in_what_is_new_and_nothing_twice(bull: Bull, here):
    bull.add(data={"to": "a"}, jobId="order-1")
    bull.add(data={"to": "b"})
    await here.imported()
    await drain(here.app)
    bull.add(data={"to": "c"})

    report = await here.imported()

    assert (report.taken, report.before, report.verified) == (1, 2, True)
    assert sorted(to(await here.jobs())) == ["a", "b", "c"]


async def test_a_page_boundary_loses_nothing(bull: Bull, here):
    bull.fill(1_203)
    for number in range(1_001):
        bull.add(data={"to": f"d{number}"}, jobId=f"d{number}", delay=2_000 - bull._added)

    report = await here.imported()

    ready = [job for job in await here.jobs() if job.placement.due_at == NOW]
    assert to(ready) == [str(number) for number in range(1, 1_204)]
    assert (report.taken, report.verified) == (2_204, True)


@pytest.mark.parametrize("version", ["5.81.5", "6.7.0"])
async def test_a_paused_queue_is_read_wherever_it_keeps_its_jobs(bull_url, file, version):
    with closing(client_of(bull_url)) as client:
        bull = Bull(client, version=version)
        bull.add(data={"to": "a"})
        bull.pause()
        bull.add(data={"to": "b"})

        report = await file.imported()

    assert (to(await file.jobs()), report.paused) == (["a", "b"], True)


async def test_options_of_a_job_are_kept(bull: Bull, file):
    backoff = {"type": "exponential", "delay": 1_000, "jitter": 0.5}
    bull.add(data={"to": "a"}, attempts=4, backoff=backoff, jobId="order-42")
    bull.add(data={"to": "b"}, attempts=3, values={"atm": 2})
    bull.add(data={"to": "c"}, values={"deid": "same"}, de={"id": "same"})
    bull.add(data={"to": "d"}, backoff={"type": "of-my-own"})

    await file.imported()

    a, b, c, d = await file.jobs()
    assert (a.facts.max_attempts, a.facts.unique_key, a.facts.tags) == (
        4,
        "mail:order-42",
        ("bullmq:order-42",),
    )
    assert Backoff.from_json(json.loads(a.facts.backoff)) == Backoff.exponential(1, jitter=Jitter.EQUAL)
    assert (b.facts.max_attempts, b.facts.unique_key, b.facts.tags) == (1, None, ("bullmq:2",))
    assert c.facts.unique_key == "mail:same"
    assert (d.facts.max_attempts, d.facts.backoff) == (7, None)
    assert {job.placement.priority for job in (a, b, c, d)} == {0}


async def test_names_are_mapped_and_a_queue_is_chosen(bull: Bull, file):
    bull.add("welcome", {"to": "a"})
    bull.add("whatever", {"to": "b"})

    report = await file.imported(types={"welcome": "send", "*": "send"}, queue="from-bull")

    assert {job.facts.queue for job in await file.jobs()} == {"from-bull"}
    assert sorted(report.found.counts) == [("wait", "welcome", "send"), ("wait", "whatever", "send")]


async def test_what_cannot_be_imported_stays_and_is_told(bull: Bull, file):
    bull.flow()
    bull.add(data={"to": "a"})
    bull.start(bull.add(data={"to": "lost"}), locked=False)
    bull.client.zadd(bull.key("completed"), {"7": NOW})
    bull.client.zadd(bull.key("failed"), {"8": NOW, "9": NOW})
    bull.client.lpush(bull.key("wait"), "of a job that was removed")

    report = await file.imported()

    assert to(await file.jobs()) == ["a"]
    assert dict(report.left + report.found.left) == {
        "active": 1,
        "waiting-children": 1,
        "completed": 1,
        "failed": 2,
        "children of flows": 1,
        "removed": 1,
    }
    assert "have lost their workers" in " ".join(report.warnings)


async def test_a_unique_key_that_another_job_holds_is_told(bull: Bull, here):
    bull.add(data={"to": "there"}, jobId="one")
    request = EnqueueRequest(type="send", payload={"to": "here"}, unique=Unique(key="mail:one"))
    await here.opened.operations.enqueue([request])

    report = await here.imported()

    assert (report.taken, report.verified, list(report.held.first)) == (0, False, ["bullmq:one"])
    assert to(await here.jobs()) == ["here"]


async def test_schedulers_become_schedules_when_asked(bull: Bull, here):
    bull.schedule("nightly", NOW + HOUR, pattern="0 3 * * *", tz="Europe/Berlin", data='{"to":"g"}')
    bull.schedule("often", NOW + 60_000, every=60_000, limit=9, data='{"to":"h"}', opts='{"attempts":2}')
    bull.schedule("odd id!", NOW + 60_000, pattern="not a pattern", data='{"to":"i"}')

    planned = await here.planned()
    told = await here.imported(schedules=True)
    again = await here.imported(schedules=True)

    made = {one.id: one for one in await here.opened.operations.schedules()}
    assert sorted(made) == ["mail:nightly", "mail:often"]
    assert made["mail:nightly"].timing.rule == Cron(expression="0 3 * * *", zone="Europe/Berlin")
    assert made["mail:often"].request.max_attempts == 2
    said = {one.name: one.said for one in told.schedules}
    assert said["nightly"] == "made"
    assert said["often"] == "made; its limit of 9 runs is not kept: give it an end"
    assert said["odd id!"].startswith("cannot be made: ")
    assert "is here already" in [one.said for one in again.schedules]
    by_hand = next(one.said for one in planned.schedules if one.name == "nightly")
    assert by_hand == (
        "by hand: headrace schedules add mail:nightly send --cron '0 3 * * *' --zone Europe/Berlin"
        " --payload …"
    )
    assert (await here.jobs(), told.found.left["next runs of schedulers"]) == ([], 3)


async def test_an_account_that_may_only_read_is_enough(file):
    with ValkeyServer.start() as server:
        with closing(server.client()) as client:
            Bull(client).add(data={"to": "a"})
        server.run("ACL", "SETUSER", "reader", "on", ">secret", "~bull:*", "+@read")
        url = server.url().replace("redis://", "redis://reader:secret@")

        report = await file.imported(url=url)

    assert (report.taken, to(await file.jobs())) == (1, ["a"])
    assert "may not list connections" in " ".join(report.warnings)
    assert "secret" not in report.source


async def test_a_longer_queue_takes_no_more_memory(bull: Bull, file):
    """Pages are let go: five times the jobs take less than another megabyte, of some two kilobytes each."""

    async def peak(**options) -> int:
        gc.collect()
        tracemalloc.start()
        await file.imported(**options)
        _, highest = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return highest

    bull.fill(1_000)
    await peak(queue="warm-up")
    bull.client.flushdb()
    bull.fill(1_000)
    short = await peak()
    bull.client.flushdb()
    bull.fill(5_000)

    assert await peak() - short < 1_000_000


async def test_jobs_that_come_while_it_imports_are_counted(bull: Bull, file):
    bull.fill(600)
    async with file.importer() as importer:

        def say(what, done, _total):
            if (what, done) == ("taking in", 600):
                bull.add(data={"to": "late"}, jobId="late-1")

        importer._say = say
        report = await importer.run()

    assert (report.taken, report.arrived) == (600, 1)
    assert (await file.imported()).taken == 1


async def test_a_broken_off_import_goes_on(bull: Bull, here):
    bull.fill(1_200)

    def stop(what, done, _total):
        if (what, done) == ("taking in", 500):
            raise KeyboardInterrupt

    async with here.importer() as importer:
        importer._say = stop
        with pytest.raises(KeyboardInterrupt):
            await importer.run()
    assert len(await here.jobs()) == 500

    report = await here.imported()

    assert (report.taken, report.before, report.verified) == (700, 500, True)
    assert to(await here.jobs()) == [str(number) for number in range(1, 1_201)]


async def test_a_bound_that_would_overflow_refuses_before_anything_is_written(bull: Bull, file):
    bull.fill(20)
    await file.opened.operations.set_queue_bound("letters", 10)

    with pytest.raises(ImportRefused, match="more than the 10"):
        await file.imported()

    assert await file.jobs() == []
