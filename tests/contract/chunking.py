"""What tests of chunks share: their messages, and a claim of a chunk."""

from headrace.stores.chunking import ChunkRequest
from tests.builders import LEASE, NAMESPACE, NOW, QUEUE, SECOND, TYPE, WORKER, a_job, enqueue

WAIT = 30 * SECOND


def a_chunk(
    *,
    size: int = 5,
    now: int = NOW,
    wait: int = WAIT,
    worker: str = WORKER,
    queues: tuple[str, ...] = (QUEUE,),
) -> ChunkRequest:
    return ChunkRequest(
        namespace=NAMESPACE,
        worker=worker,
        queues=queues,
        type=TYPE,
        most=size,
        at_least=size,
        or_oldest_before=now - wait,
        now=now,
        lease_until=now + LEASE,
    )


async def messages(store, count, **fields):
    jobs = [a_job(**fields) for _ in range(count)]
    await enqueue(store, *jobs, now=fields.get("created_at", NOW))
    return [job.facts.id for job in jobs]
