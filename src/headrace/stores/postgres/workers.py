"""Workers that are alive, and the jobs that waited for what they know."""

import json
from collections.abc import Sequence

from headrace.core.lanes import ALIVE_MS, TYPE_LANE, UNPARK_AT_ONCE, lane_of_type
from headrace.stores.postgres.session import Session
from headrace.stores.values import WorkerHello


async def greet(session: Session, hello: WorkerHello) -> None:
    """Notes a worker as alive."""
    await session.run(
        "write_worker",
        hello.namespace,
        hello.worker,
        hello.host,
        hello.pid,
        None if hello.queues is None else list(hello.queues),
        sorted(hello.types),
        hello.started_at,
        hello.seen_at,
        hello.running,
        json.dumps(dict(hello.details)),
    )


async def unpark_for(session: Session, hello: WorkerHello) -> int:
    """Brings back jobs that waited for a type that this worker knows, at most ``UNPARK_AT_ONCE``."""
    lanes = [lane_of_type(name) for name in sorted(hello.types)]
    return await session.run("unpark_lanes", hello.seen_at, hello.namespace, lanes, UNPARK_AT_ONCE)


async def goodbye(session: Session, namespace: str, worker: str) -> None:
    """Forgets a worker."""
    await session.run("remove_worker", namespace, worker)


async def unpark_known(session: Session, now: int) -> int:
    """Brings back jobs parked for a type that a live worker knows, at most ``UNPARK_AT_ONCE``."""
    return await session.run("unpark_known", now, now - ALIVE_MS, TYPE_LANE, UNPARK_AT_ONCE)


async def workers(session: Session, namespace: str) -> Sequence[WorkerHello]:
    """The workers that said hello and not goodbye, latest first."""
    return [
        WorkerHello(
            namespace=namespace,
            worker=name,
            host=host,
            pid=pid,
            queues=None if queues is None else tuple(queues),
            types=frozenset(types),
            started_at=started_at,
            seen_at=seen_at,
            running=running,
            details=json.loads(details),
        )
        for name, host, pid, queues, types, started_at, seen_at, running, details in await session.rows(
            "workers", namespace
        )
    ]
