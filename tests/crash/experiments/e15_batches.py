"""E15: batches whose members fail, are retried and cancelled and add others, while workers are killed."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

from headrace.core.batch_request import NewBatch
from headrace.core.filters import JobFilter, Page
from headrace.core.job import AttemptOutcome
from headrace.core.request import EnqueueRequest
from headrace.core.states import LIVE, State
from headrace.errors import BatchClosed, BatchSealed, WaitTimeout
from tests.crash.experiments.e15_account import Account, Fate, Life
from tests.crash.kit.beside import meanwhile
from tests.crash.kit.children import Fleet
from tests.crash.kit.crew import Crew
from tests.crash.kit.dump import Dump
from tests.crash.kit.experiment import Scene, experiment
from tests.crash.kit.history import Client
from tests.crash.kit.worker import WorkerSpec, start_worker

HOPELESS = 4
"""Fails at so many claims: at all attempts of the first generation, and once more."""

CALLBACK = EnqueueRequest(type="on_loop", payload={"ms": 0})
CALLBACKS = NewBatch(on_complete=CALLBACK, on_success=CALLBACK, on_failure=CALLBACK)
FATES = (Fate.RETRIED, Fate.SEQUENTIAL, Fate.CANCELLED, Fate.RETRIED)
CANCELLED_SHARE = 0.05
CLOSED_WITHIN_MS = 300_000


@experiment(
    "E15",
    "batches",
    "Members of many batches fail, run again, are cancelled and add others; some are retried by hand after"
    " the end; workers are killed all the time. At every look the numbers must be right, and each generation"
    " calls back once.",
)
async def batches(scene: Scene) -> None:
    count, members = scene.pick(smoke=(4, 12), full=(50, 200))
    async with scene.client() as (client, store):
        account = Account(scene, client, store)
        with scene.fleet() as fleet:
            await Storm(scene, client, account, fleet).rage(count, members)
        await account.recognise()
        dump = await scene.check(store)
        for life in account.lives.values():
            await account.judge(life)
    _again(scene, dump)


class Storm:
    """Takes batches through their lives while workers are killed."""

    def __init__(self, scene: Scene, client: Client, account: Account, fleet: Fleet) -> None:
        self._scene = scene
        self._client = client
        self._operations = client.operations
        self._account = account
        self._fleet = fleet
        self._did = scene.findings.did
        self._rng = scene.nemesis.rng
        spec = WorkerSpec(url=scene.target.url, lease_ms=scene.pick(smoke=1_000, full=3_000))
        workers = scene.pick(smoke=2, full=4)
        self._crew = Crew(scene, "workers", workers, lambda: start_worker(fleet, spec))

    async def rage(self, count: int, members: int) -> None:
        """Returns when all batches have closed for the last time and all callbacks have run."""
        fates = [FATES[number % len(FATES)] for number in range(count)]
        fates += [Fate.EMPTY] * max(1, count // 10)
        async with meanwhile(self._account.look_on):
            living = asyncio.create_task(self._live_all(fates, members))
            try:
                await self._strike_while(living)
            finally:
                living.cancel()
        while (await self._operations.stats()).count(*LIVE):
            self._crew.keep_up()
            await asyncio.sleep(0.02)
        await self._crew.stop(self._fleet)

    async def _strike_while(self, living: "asyncio.Task[None]") -> None:
        """Kills until all have lived, or often enough for a few seconds."""
        pauses, most = self._scene.pick(smoke=((0.3, 0.7), 4), full=((1.0, 3.0), 100_000))
        while not living.done() and self._crew.strikes < most:
            await self._scene.nemesis.strike_within(*pauses)
            self._crew.strike()
        while not living.done():
            self._crew.keep_up()
            await asyncio.sleep(0.02)
        await living

    async def _live_all(self, fates: Sequence[Fate], members: int) -> None:
        async with asyncio.TaskGroup() as lives:
            for fate in fates:
                lives.create_task(self._live(fate, members))

    async def _live(self, fate: Fate, members: int) -> None:
        """One batch from its making to the end of its last generation."""
        in_turn = fate is Fate.SEQUENTIAL
        made = await self._operations.create_batch(replace(CALLBACKS, sequential=in_turn))
        life = Life(id=made.state.id, fate=fate)
        self._account.lives[life.id] = life
        self._did["batches"] += 1
        # in turn there are fewer: a killed holder costs all those behind it a lease
        if fate is not Fate.EMPTY:
            await self._fill(life, self._scene.pick(smoke=3, full=20) if in_turn else members)
        await self._operations.seal_batch(life.id)
        if fate is Fate.CANCELLED:
            await self._cancel_all(life)
        await self._closed(life)
        await self._refused(life)
        if await self._operations.retry_batch(life.id):
            self._did["batches retried"] += 1
            await self._closed(life)
        if await self._retry_one(life):
            await self._closed(life)

    async def _fill(self, life: Life, members: int) -> None:
        """Adds members in several calls, with a blow after each, and cancels some of them."""
        parts = self._scene.pick(smoke=2, full=8)
        for part in range(parts):
            before = self._crew.strikes
            added = await self._add(life, [self._member(number) for number in range(part, members, parts)])
            for job_id in added:
                if self._rng.random() < CANCELLED_SHARE:
                    self._did["cancels"] += await self._client.cancel(job_id)
            if life.fate is Fate.CANCELLED and part == parts - 1:
                return
            while self._crew.strikes == before:
                await asyncio.sleep(0.02)

    def _member(self, number: int) -> EnqueueRequest:
        ms = self._rng.randrange(*self._scene.pick(smoke=(20, 150), full=(5, 100)))
        failures = HOPELESS if number % 6 == 1 else self._rng.choice((0, 0, 0, 1, 2))
        brood = self._rng.randint(1, 3) if number % 5 == 0 else 0
        return EnqueueRequest(type="member", payload={"ms": ms, "failures": failures, "brood": brood})

    async def _add(self, life: Life, requests: Sequence[EnqueueRequest]) -> Sequence[str]:
        with self._scene.history.call("enqueue") as under:
            answers = await self._operations.add_to_batch(life.id, requests)
            under.jobs = tuple(answer.job_id for answer in answers)
        life.acked.update(under.jobs)
        return under.jobs

    async def _cancel_all(self, life: Life) -> None:
        try:
            self._did["cancelled with their batch"] += await self._operations.cancel_batch(life.id)
        except BatchClosed:
            self._did["batches cancelled too late"] += 1

    async def _retry_one(self, life: Life) -> bool:
        """Runs a member again that was cancelled, if there is one."""
        cancelled = JobFilter(batch_id=life.id, states=frozenset({State.CANCELLED}))
        page = await self._operations.jobs(cancelled, Page(limit=1))
        for one in page.jobs:
            await self._operations.retry(one.id)
            self._did["members retried by hand"] += 1
        return bool(page.jobs)

    async def _refused(self, life: Life) -> None:
        """Nobody adds to a batch that is closed (C38)."""
        try:
            await self._operations.add_to_batch(life.id, [self._member(0)])
        except BatchSealed:
            self._did["additions refused"] += 1
        else:
            self._scene.findings.demand(False, "C38", life.id, "took a member after it had closed")

    async def _closed(self, life: Life) -> None:
        try:
            await self._operations.wait_for_batch(life.id, timeout_ms=CLOSED_WITHIN_MS)
        except WaitTimeout as late:
            self._scene.findings.demand(False, "C37", life.id, str(late))


REASONS = {
    AttemptOutcome.RESCUED: "after the holder was killed",
    AttemptOutcome.CRASHED: "after its child was killed",
    AttemptOutcome.ERRORED: "after an error",
}


def _again(scene: Scene, dump: Dump) -> None:
    """How often a handler ran once more, by the outcome of the attempt before."""
    for history in dump.histories.values():
        for attempt in history.attempts[:-1]:
            if attempt.outcome is not None:
                scene.findings.again[REASONS.get(attempt.outcome, f"after {attempt.outcome}")] += 1
