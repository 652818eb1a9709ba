"""Other processes on the same file, for tests: ``python -m tests.stores.child <what> <url> …``."""

import asyncio
import json
import subprocess
import sys
from pathlib import Path
from uuid import uuid4

from headrace.stores.open import open_store
from tests.builders import NOW, a_job, claim, enqueue, settle

ROOT = Path(__file__).resolve().parents[2]


def started(what: str, url: str, *more: str) -> subprocess.Popen[str]:
    """A child at work; what it prints at the end is JSON."""
    command = [sys.executable, "-m", "tests.stores.child", what, url, *more]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True)


def answer(child: subprocess.Popen[str], *, timeout: float = 60) -> object:
    """What a child printed, once it has ended well."""
    out, _ = child.communicate(timeout=timeout)
    assert child.returncode == 0
    return json.loads(out)


async def insert(url: str) -> object:
    """Inserts one job; its id."""
    store = await open_store(url)
    (inserted,) = await enqueue(store, a_job(id=str(uuid4())))
    await store.close()
    return inserted.job_id


async def work(url: str, worker: str, count: str) -> object:
    """Inserts so many jobs one by one, then claims and completes until nothing is left; the ids."""
    store = await open_store(url)
    for _ in range(int(count)):
        await enqueue(store, a_job(id=str(uuid4())), now=NOW)
    done: list[str] = []
    while jobs := await claim(store, worker=worker, n=7):
        for job in jobs:
            await settle(store, job)
        done.extend(job.id for job in jobs)
    await store.close()
    return done


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    commands = {"insert": insert, "work": work}
    sys.stdout.write(json.dumps(asyncio.run(commands[sys.argv[1]](*sys.argv[2:]))))
