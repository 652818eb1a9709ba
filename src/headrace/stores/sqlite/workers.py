"""Workers that are alive, and the jobs that waited for what they know."""

import json
from collections.abc import Sequence

import apsw

from headrace.core.lanes import ALIVE_MS, TYPE_LANE, UNPARK_AT_ONCE, lane_of_type
from headrace.stores.sqlite.statements import queries, rows, texts, write
from headrace.stores.sqlite.transaction import Write
from headrace.stores.values import WorkerHello

_SQL = queries("plumbing")
_CLAIM = queries("claim")


def hello(at: Write, hello: WorkerHello) -> int:
    """Notes a worker as alive; returns how many jobs came back for it, at most ``UNPARK_AT_ONCE``."""
    write(
        at.db,
        _SQL["write_worker"],
        {
            "namespace": hello.namespace,
            "name": hello.worker,
            "host": hello.host,
            "pid": hello.pid,
            "queues": None if hello.queues is None else json.dumps(hello.queues),
            "types": json.dumps(sorted(hello.types)),
            "started_at": hello.started_at,
            "seen_at": hello.seen_at,
            "running": hello.running,
            "details": json.dumps(dict(hello.details)),
        },
    )
    if not hello.types:
        return 0
    lanes = texts([lane_of_type(name) for name in sorted(hello.types)])
    given = {"namespace": hello.namespace, "lanes": lanes, "now": hello.seen_at, "limit": UNPARK_AT_ONCE}
    return write(at.db, _CLAIM["unpark_types"], given)


def goodbye(at: Write, namespace: str, worker: str) -> None:
    """Forgets a worker."""
    write(at.db, _SQL["remove_worker"], {"namespace": namespace, "name": worker})


def unpark_known(at: Write, now: int) -> int:
    """Brings back jobs parked for a type that a live worker knows, at most ``UNPARK_AT_ONCE``."""
    given = {"now": now, "since": now - ALIVE_MS, "lane_prefix": TYPE_LANE, "limit": UNPARK_AT_ONCE}
    return write(at.db, _CLAIM["unpark_known"], given)


def workers(db: apsw.Connection, namespace: str) -> Sequence[WorkerHello]:
    """The workers that said hello and not goodbye, latest first."""
    return [
        WorkerHello(
            namespace=namespace,
            worker=name,
            host=host,
            pid=pid,
            queues=None if queues_ is None else tuple(json.loads(queues_)),
            types=frozenset(json.loads(types)),
            started_at=started_at,
            seen_at=seen_at,
            running=running,
            details=json.loads(details),
        )
        for name, host, pid, queues_, types, started_at, seen_at, running, details in rows(
            db, _SQL["workers"], {"namespace": namespace}
        )
    ]
