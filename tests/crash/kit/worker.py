"""A worker process: ``python -m tests.crash.kit.worker '<WorkerSpec as JSON>'``."""

import asyncio
import dataclasses
import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from headrace.cli.logs import log_to_stderr
from headrace.clock import StoreClock
from headrace.engine.local import LocalOperations
from headrace.engine.work import LocalWork
from headrace.stores.open import open_store
from headrace.upkeep.upkeep import Upkeep, usual_chores
from headrace.worker.settings import WorkerSettings
from headrace.worker.signals import leave, run_until_signalled
from headrace.worker.worker import Worker
from tests.crash.kit.children import Child, Fleet, tie_to_parent
from tests.crash.kit.ledger import WORKER

MODULE = "tests.crash.kit.worker"
APP_PATH = "tests.crash.kit.stubborn:registry"


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerSpec:
    """How a worker process is set up. ``children`` lets it run handlers in child processes."""

    url: str
    lease_ms: int = 1_500
    concurrency: int = 8
    threads: int = 4
    processes: int = 2
    grace_ms: int = 10_000
    stop_after_ms: int = 500
    batch: int = 500
    poll_ms: int = 50
    children: bool = True
    upkeep: bool = True
    queues: Mapping[str, int] | None = None

    def dumps(self) -> str:
        return json.dumps(dataclasses.asdict(self))


def start_worker(fleet: Fleet, spec: WorkerSpec, name: str | None = None) -> Child:
    """Starts one; its name goes into every line of the ledger."""
    name = name or f"worker-{len(fleet.all) + 1}"
    return fleet.start(MODULE, spec.dumps(), name=name, env={WORKER: name})


async def main(spec: WorkerSpec) -> int:
    from tests.crash.kit.stubborn import registry  # noqa: PLC0415 - after the parent is tied

    store = await open_store(spec.url)
    clock = StoreClock(await store.now())
    work = LocalWork(store, clock, LocalOperations(store, clock, registry=registry))
    settings = WorkerSettings(
        queues=spec.queues,
        concurrency=spec.concurrency,
        threads=spec.threads,
        processes=spec.processes,
        lease_ms=spec.lease_ms,
        renew_every_ms=spec.lease_ms // 4,
        poll_ms=spec.poll_ms,
        batch=spec.batch,
        grace_ms=spec.grace_ms,
        stop_after_ms=spec.stop_after_ms,
        app_path=APP_PATH if spec.children else None,
    )
    worker = Worker(work, registry, settings)
    chores = usual_chores(store, clock, namespace="default", lease_ms=spec.lease_ms)
    async with Upkeep(chores if spec.upkeep else ()):
        code = await run_until_signalled(worker)
    await store.close()
    leave(worker, code)
    return code


def run_child(make: Callable[[WorkerSpec], object]) -> None:
    """The whole life of a worker process."""
    tie_to_parent()
    log_to_stderr()
    sys.exit(asyncio.run(make(WorkerSpec(**json.loads(sys.argv[1])))))  # type: ignore[arg-type]


if __name__ == "__main__":
    run_child(main)
