"""An engine on a store, with a clock that stands, for the tests of flows."""

from collections.abc import Sequence
from dataclasses import replace

from headrace.clock import ManualClock
from headrace.core.filters import JobFilter
from headrace.core.flow import Edge, OnParentFailure
from headrace.core.job import Job
from headrace.core.outcomes import Outcome
from headrace.core.policy import Retention
from headrace.core.request import EnqueueRequest
from headrace.core.states import State
from headrace.engine.aftermath import Aftermath
from headrace.engine.freeing import Freeing
from headrace.engine.local import LocalOperations
from headrace.engine.operations import Runs, TypeInfo
from headrace.engine.published import PublishedTypes
from headrace.stores.protocol import Applied, NewJob, Store
from headrace.upkeep.free_children import FreeChildren
from tests.builders import (
    EXACT,
    HOUR,
    NAMESPACE,
    NOW,
    QUEUE,
    SUCCESS,
    TYPE,
    a_job,
    claim,
    enqueued,
    read,
    settle,
)
from tests.contract.reads import everything

OTHER_TYPE = "sorted-out"
DYING = replace(EXACT, max_attempts=1)
SORTED_OUT = replace(DYING, retention=Retention(failed_age_ms=HOUR))
"""Of this type nobody deals with failures: they go by themselves."""


class Scene:
    """An engine on a store, with a clock that stands, and what is asked of flows."""

    def __init__(self, store: Store, clock: ManualClock) -> None:
        self.store = store
        self.clock = clock
        self.engine = LocalOperations(store, clock, namespace=NAMESPACE)
        published = PublishedTypes(store, NAMESPACE, clock)
        self.freeing = Freeing(store, clock, published=published, aftermath=Aftermath(NAMESPACE))
        self.chore = FreeChildren(store, clock)
        self._held: dict[str, Job] = {}

    async def enqueue(self, *requests: EnqueueRequest) -> list[str]:
        return [one.job_id for one in await self.engine.enqueue(requests)]

    async def claimed(self, count: int = 1000) -> list[Job]:
        types = frozenset({TYPE, OTHER_TYPE})
        return await claim(self.store, n=count, now=self.clock.now(), types=types)

    async def end(self, job: Job, outcome: Outcome = SUCCESS) -> None:
        """The job ends, and nobody looks at its children."""
        policy = DYING if job.facts.type == TYPE else SORTED_OUT
        assert await settle(self.store, job, outcome, now=self.clock.now(), policy=policy) == Applied()

    async def end_and_look(self, job: Job, outcome: Outcome = SUCCESS) -> None:
        await self.end(job, outcome)
        await self.freeing.look((job.id,))

    async def run(self, job_id: str, outcome: Outcome = SUCCESS) -> None:
        """The job, which must be due, ends, and its children are looked at. All that is due is claimed."""
        self._held |= {job.id: job for job in await self.claimed()}
        await self.end_and_look(self._held.pop(job_id), outcome)

    async def state(self, job_id: str) -> State:
        return (await read(self.store, job_id)).state

    async def states(self, ids: Sequence[str]) -> list[State]:
        found = await self.store.get(NAMESPACE, ids)
        return [found[one].state for one in ids]

    async def jobs(self) -> list[Job]:
        return (await everything(self.store, JobFilter()))[::-1]

    async def sweep(self) -> int:
        """All runs of the chore until there is nothing more to look at; how many children it settled."""
        done = 0
        while True:
            result = await self.chore.run_once()
            done += result.done
            if not result.more:
                return done


async def a_scene(store: Store) -> Scene:
    clock = ManualClock(NOW)
    infos = [
        TypeInfo(name=name, version=1, queue=QUEUE, priority=0, runs=Runs.ASYNC, policy=policy, schema={})
        for name, policy in ((TYPE, DYING), (OTHER_TYPE, SORTED_OUT))
    ]
    await PublishedTypes(store, NAMESPACE, clock).publish(infos)
    return Scene(store, clock)


def a_request(*after: str | int, **fields: object) -> EnqueueRequest:
    return EnqueueRequest(**({"type": TYPE, "payload": {"n": 1}, "after": after} | fields))


def a_child(**fields: object) -> NewJob:
    return a_job(**({"state": State.BLOCKED, "rank": NOW} | fields))


def edge(child: NewJob, parent: str, number: int = 0, policy: OnParentFailure | None = None) -> Edge:
    return Edge(
        child=child.facts.id,
        parent=parent,
        number=number,
        on_parent_failure=policy or OnParentFailure.CANCEL,
    )


async def a_running_parent(store: Store) -> Job:
    parent = await enqueued(store, a_job(max_attempts=1))
    (running,) = await claim(store)
    assert running.id == parent.id
    return running
