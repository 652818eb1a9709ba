"""Several processes on one file."""

import asyncio
import subprocess
import sys

from headrace.core.states import State
from headrace.stores.open import open_store
from tests.builders import NAMESPACE, QUEUE, a_job, enqueue
from tests.stores import child
from tests.stores.child import ROOT


async def test_no_job_is_done_twice_or_lost_by_processes_that_share_a_file(tmp_path):
    url = f"sqlite:///{tmp_path / 'jobs.db'}"

    workers = [child.started("work", url, f"worker-{n}", "150") for n in range(3)]
    done = [job_id for one in workers for job_id in await asyncio.to_thread(child.answer, one)]

    store = await open_store(url)
    (tally,) = [one for one in await store.tallies(NAMESPACE) if one.count]
    assert (tally.state, tally.count) == (State.COMPLETED, 450)
    assert len(done) == len(set(done)) == 450
    await store.close()


async def test_insert_by_another_process_wakes_whoever_waits(tmp_path):
    url = f"sqlite:///{tmp_path / 'jobs.db'}"
    store = await open_store(url)
    waiting = asyncio.ensure_future(store.woken(NAMESPACE, frozenset({QUEUE}), timeout_ms=60_000))

    await asyncio.to_thread(child.answer, child.started("insert", url))

    assert await waiting
    await store.close()


async def test_insert_by_another_process_between_two_waits_is_not_lost(tmp_path):
    url = f"sqlite:///{tmp_path / 'jobs.db'}"
    store = await open_store(url)
    assert not await store.woken(NAMESPACE, None, timeout_ms=1)

    await asyncio.to_thread(child.answer, child.started("insert", url))

    assert await store.woken(NAMESPACE, None, timeout_ms=60_000)
    await store.close()


async def test_own_writes_wake_nobody_by_themselves(tmp_path):
    store = await open_store(f"sqlite:///{tmp_path / 'jobs.db'}")
    waiting = asyncio.ensure_future(store.woken(NAMESPACE, None, timeout_ms=100))

    for _ in range(20):
        await enqueue(store, a_job())

    assert not await waiting
    await store.close()


async def test_second_store_on_the_file_in_this_process_is_woken_too(tmp_path):
    url = f"sqlite:///{tmp_path / 'jobs.db'}"
    first, second = await open_store(url), await open_store(url)
    waiting = asyncio.ensure_future(second.woken(NAMESPACE, None, timeout_ms=60_000))
    await asyncio.sleep(0)

    await enqueue(first, a_job())

    assert await waiting
    await first.close()
    await second.close()


FORKING = """
import asyncio, os, sys
from headrace.errors import UsedAfterFork
from headrace.stores.open import open_store
from tests.builders import NAMESPACE, NOW, a_job, claim, enqueue, a_hello

async def child(store):
    for work in (
        lambda: enqueue(store, a_job()), lambda: claim(store), lambda: store.get(NAMESPACE, ["x"]),
        lambda: store.check(), lambda: store.now(), lambda: store.close(),
        lambda: store.woken(NAMESPACE, None, timeout_ms=1),
    ):
        try:
            await work()
        except UsedAfterFork:
            continue
        return 1
    try:
        store.wake(NAMESPACE, frozenset({"q"}))
    except UsedAfterFork:
        return 0
    return 1

async def opened():
    store = await open_store(sys.argv[1])
    await enqueue(store, a_job())
    return store

loop = asyncio.new_event_loop()
store = loop.run_until_complete(opened())
pid = os.fork()
if pid == 0:
    os._exit(asyncio.new_event_loop().run_until_complete(child(store)))
_, status = os.waitpid(pid, 0)
loop.run_until_complete(enqueue(store, a_job()))
loop.run_until_complete(store.close())
sys.exit(os.waitstatus_to_exitcode(status))
"""


async def test_store_carried_into_a_forked_child_is_refused_there_and_goes_on_in_the_parent(tmp_path):
    url = f"sqlite:///{tmp_path / 'jobs.db'}"
    command = [sys.executable, "-c", FORKING, url]

    done = await asyncio.to_thread(subprocess.run, command, cwd=ROOT, timeout=60, check=False)

    assert done.returncode == 0
    store = await open_store(url)
    assert sum(one.count for one in await store.tallies(NAMESPACE)) == 2
    await store.close()
