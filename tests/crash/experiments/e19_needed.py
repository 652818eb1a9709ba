"""What E19 must keep, for as long as it is needed and no longer."""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from headrace.core.backoff import Backoff
from headrace.core.batch_request import NewBatch
from headrace.core.dead import is_dead_letter
from headrace.core.job import Job
from headrace.core.request import EnqueueRequest
from headrace.core.states import State
from headrace.errors import IdempotencyMismatch
from headrace.stores.protocol import InsertKind, Store
from tests.builders import NAMESPACE
from tests.crash.kit.clocks import PATIENCE
from tests.crash.kit.experiment import Scene
from tests.crash.kit.history import Client
from tests.crash.kit.jobs import COUNTED

HOUR_MS: Final = 3_600_000
LONG_MS: Final = 600_000
NEVER: Final = 99
"""Fails at so many claims: at all attempts."""

OF_EACH: Final = 4
QUEUE: Final = "steady"
RELEASED: Final = ("members of an open batch", "parents", "children", "running")


class Needed:
    """The jobs that must stay, by what they are needed for."""

    def __init__(self, scene: Scene, client: Client, store: Store) -> None:
        self._scene = scene
        self._client = client
        self._operations = client.operations
        self._store = store
        self._demand = scene.findings.demand
        self._kept: dict[str, tuple[str, ...]] = {}
        self._gone: set[str] = set()
        self._batch = ""
        self._receipts: dict[str, str] = {}

    @property
    def ids(self) -> frozenset[str]:
        """All that is needed now."""
        return frozenset(job_id for ids in self._kept.values() for job_id in ids)

    async def make(self) -> None:
        """Makes them and waits until each is as it is to stay."""
        hour = Backoff.fixed(HOUR_MS / 1000)
        await self._keep("scheduled", _waiting, _job(delay_ms=HOUR_MS))
        await self._keep("retrying", _failed_once, _job(failures=NEVER, backoff=hour))
        await self._keep("running", _running, _job(ms=LONG_MS))
        await self._keep("dead letters", _failed, _job(failures=NEVER, max_attempts=1))
        self._batch = (await self._operations.create_batch(NewBatch())).state.id
        await self._keep("members of an open batch", _completed, _job(batch_id=self._batch))
        await self._keep("parents", _completed, _job())
        first, second = self._kept["parents"][0], self._kept["running"][0]
        await self._keep("children", _blocked, _job(after=(first, second)))
        self._kept["parents"] = (first,)
        for number in range(OF_EACH):
            key = f"receipt-{number}"
            (self._receipts[key],) = await self._client.enqueue(_job(idempotency_key=key))
        self._scene.findings.did["jobs that must stay"] = len(self.ids)

    async def look_on(self) -> None:
        """Looks again and again whether all of them are there."""
        while True:
            await self._look()
            await asyncio.sleep(0.02)

    async def judge(self) -> None:
        """They are as they were made; of the receipts the jobs are gone, and nothing else."""
        await self._look()
        found = await self._store.get(NAMESPACE, list(self._receipts.values()))
        self._demand(not found, "C44", "-", f"{len(found)} jobs stay although only their receipts are needed")
        for key, job_id in self._receipts.items():
            (answer,) = await self._operations.enqueue([_job(idempotency_key=key)])
            same = (answer.kind, answer.job_id) == (InsertKind.EXISTING, job_id)
            self._demand(same, "C31", key, f"was {answer.kind}, {answer.job_id}, after {job_id} was erased")
            try:
                await self._operations.enqueue([_job(ms=1, idempotency_key=key)])
            except IdempotencyMismatch:
                self._scene.findings.did["receipts that outlived their job"] += 1
            else:
                self._demand(False, "C31", key, "took another body after its job was erased")

    async def release(self) -> None:
        """The batch closes and the running jobs are cancelled: they and who waited on them are not needed."""
        released = {name: self._kept.pop(name) for name in RELEASED}
        await self._operations.seal_batch(self._batch)
        for job_id in released["running"]:
            await self._client.cancel(job_id)
        with self._scene.history.call("cancel", released["children"]):
            pass  # they go with the running job that they wait for
        self._scene.findings.did["jobs that had to stay for a while"] = sum(map(len, released.values()))

    async def _look(self) -> None:
        wanted = self.ids
        found = await self._store.get(NAMESPACE, list(wanted))
        for name, ids in self._kept.items():
            for job_id in set(ids) - found.keys() - self._gone:
                self._gone.add(job_id)
                self._demand(False, "C44", job_id, f"was erased, but is one of the {name}")
        self._scene.findings.did["looks"] += 1

    async def _keep(self, name: str, ready: Callable[[Job], bool], request: EnqueueRequest) -> None:
        ids = await self._client.enqueue(*[request] * OF_EACH)
        async with asyncio.timeout(PATIENCE):
            while sum(map(ready, (await self._store.get(NAMESPACE, ids)).values())) < len(ids):
                await asyncio.sleep(0.02)
        self._kept[name] = ids


def left_over(jobs: Iterable[Job], needed: frozenset[str]) -> Sequence[Job]:
    """Of these jobs those that are to be erased sooner or later: by age, or because there are newer ones."""
    free = [job for job in jobs if job.id not in needed]
    aged = [job for job in free if job.facts.type == "fleeting" and not is_dead_letter(job)]
    counted = sorted((job for job in free if job.facts.type == "counted"), key=lambda one: -one.seq)
    return [*aged, *counted[COUNTED.completed_count :]]


def _job(
    *,
    ms: int = 0,
    failures: int = 0,
    delay_ms: int | None = None,
    backoff: Backoff | None = None,
    max_attempts: int | None = None,
    batch_id: str | None = None,
    after: tuple[str | int, ...] = (),
    idempotency_key: str | None = None,
) -> EnqueueRequest:
    return EnqueueRequest(
        type="fleeting",
        payload={"ms": ms, "failures": failures},
        queue=QUEUE,
        delay_ms=delay_ms,
        backoff=backoff,
        max_attempts=max_attempts,
        batch_id=batch_id,
        after=after,
        idempotency_key=idempotency_key,
    )


def _waiting(job: Job) -> bool:
    return job.state is State.PENDING


def _failed_once(job: Job) -> bool:
    return job.state is State.PENDING and job.placement.failures == 1


def _running(job: Job) -> bool:
    return job.state is State.PROCESSING


def _completed(job: Job) -> bool:
    return job.state is State.COMPLETED


def _blocked(job: Job) -> bool:
    return job.state is State.BLOCKED


def _failed(job: Job) -> bool:
    return job.state is State.FAILED
