"""Nothing is half imported: what is in the way is told before anything is written."""

from contextlib import closing

import pytest

from headrace.errors import InvalidInput, StoreError
from headrace.importing.importer import ImportRefused
from tests.builders import NOW
from tests.importing.bullmq import Bull
from tests.servers.ports import free_port
from tests.servers.valkey import client_of


async def test_unknown_names_are_refused_with_the_list(bull: Bull, file):
    bull.add("welcome", {"to": "a"})
    bull.add("welcome", {"to": "b"})
    bull.add("reset", {"to": "c"})
    bull.add(data={"to": "d"})

    with pytest.raises(InvalidInput, match=r"'welcome' \(2\), 'reset' \(1\): map each.*Known types: send"):
        await file.imported()

    assert await file.jobs() == []


async def test_jobs_that_do_not_fit_are_told_one_by_one(bull: Bull, file):
    bull.add(data={"to": "fits"})
    bull.add(raw='"just text"', jobId="text")
    bull.add(data={"nobody": 1}, jobId="nobody")
    bull.add(raw='{"to":"\\ud800"}', jobId="half")
    bull.add(data={"to": "odd"}, values={"opts": "["}, jobId="opts")

    plan = await file.planned()
    with pytest.raises(ImportRefused, match="4 jobs do not fit"):
        await file.imported()

    assert sorted(plan.found.unfit.first) == ["half", "nobody", "opts", "text"]
    assert "JSON object" in plan.found.unfit.first["text"]
    assert (plan.planned, plan.verified) == (True, False)
    assert await file.jobs() == []


async def test_the_others_are_imported_when_asked(bull: Bull, file):
    bull.add(raw="17", jobId="number")
    bull.add(data={"to": "fits"})

    report = await file.imported(leave_unfit=True)

    assert (report.taken, report.verified, list(report.found.unfit.first)) == (1, True, ["number"])
    assert len(await file.jobs()) == 1


async def test_running_jobs_refuse_unless_live(bull: Bull, file):
    bull.start(bull.add(data={"to": "runs"}))
    bull.add(data={"to": "waits"})

    with pytest.raises(ImportRefused, match="run 1 of its jobs, such as 1; what they take would run twice"):
        await file.imported()
    assert await file.jobs() == []
    report = await file.imported(live=True)

    assert (report.taken, report.left["active"]) == (1, 1)


@pytest.mark.parametrize("suffix", ["", ":w:one"])
async def test_a_worker_that_waits_refuses_unless_the_queue_is_paused(bull: Bull, file, bull_url, suffix):
    bull.add(data={"to": "a"})
    with closing(client_of(bull_url)) as worker:
        connection = worker.connection_pool.get_connection()
        connection.send_command("CLIENT", "SETNAME", bull.client_name + suffix)
        connection.read_response()

        with pytest.raises(ImportRefused, match="1 workers of BullMQ wait for its jobs"):
            await file.imported()
        bull.pause()
        report = await file.imported()

    assert report.taken == 1


async def test_other_queues_and_prefixes_are_not_touched(bull: Bull, file, bull_url):
    bull.add(data={"to": "a"})
    with closing(client_of(bull_url)) as client:
        Bull(client, prefix="{shop}").add(data={"to": "b"})

        report = await file.imported(prefix="{shop}")

    assert report.taken == 1


async def test_the_same_number_in_a_queue_that_was_emptied_is_another_job(bull: Bull, file):
    bull.add(data={"to": "a"})
    await file.imported()
    bull.client.flushdb()
    bull.add(data={"to": "b"})
    bull.client.hset(bull.key("1"), "timestamp", NOW + 99)

    report = await file.imported()

    assert (report.taken, report.before) == (1, 0)


async def test_a_server_that_is_not_there_is_told_without_its_password(file):
    with pytest.raises(StoreError) as caught:
        await file.imported(url=f"redis://:hunter2@127.0.0.1:{free_port()}/0")

    assert "hunter2" not in str(caught.value)
