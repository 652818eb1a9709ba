"""What E15 sees of its batches: at every look while they live, and one by one at the end."""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import astuple, dataclass, field
from enum import Enum, auto
from typing import Final

from headrace.core.batch import CALLBACK_TAG, Counts, On, Phase, callback_id
from headrace.core.batch_wire import BatchView
from headrace.core.filters import JobFilter, Page
from headrace.core.job import Job
from headrace.core.states import State
from headrace.stores.protocol import Store
from tests.builders import NAMESPACE
from tests.contract.reads import everything
from tests.crash.kit.experiment import Scene
from tests.crash.kit.history import Client
from tests.crash.kit.jobs import YOUNG_TAG

PHASES: Final = tuple(Phase)
AT_A_LOOK: Final = 4


class Fate(Enum):
    """What is done to a batch."""

    RETRIED = auto()
    SEQUENTIAL = auto()
    CANCELLED = auto()
    EMPTY = auto()


@dataclass(slots=True, kw_only=True)
class Life:
    """A batch, the members that were acknowledged, and what the views have told of it so far."""

    id: str
    fate: Fate
    acked: set[str] = field(default_factory=set[str])
    most: int = 0
    reached: tuple[int, int] = (1, 0)


class Account:
    """All batches of a run."""

    def __init__(self, scene: Scene, client: Client, store: Store) -> None:
        self._scene = scene
        self._client = client
        self._store = store
        self.lives: Final[dict[str, Life]] = {}

    # ---------------------------------------------------------------- while they live

    async def look_on(self) -> None:
        """Looks at the batches, again and again."""
        while True:
            for one in self._scene.nemesis.rng.sample(list(self.lives), min(AT_A_LOOK, len(self.lives))):
                least = len(self.lives[one].acked)
                self._look(await self._client.operations.batch(one), least)
            known = {life.id: len(life.acked) for life in self.lives.values()}
            views, _ = await self._client.operations.batches(Page(limit=100))
            for view in views:
                self._look(view, known.get(view.state.id, 0))
            await asyncio.sleep(0.03)

    def _look(self, view: BatchView, least: int) -> None:
        """One view; so many members had been acknowledged before it was asked for."""
        counts, name, demand = view.counts, view.state.id, self._scene.findings.demand
        life = self.lives.get(name)
        if life is None:
            return
        self._scene.findings.did["views"] += 1
        demand(min(astuple(counts)) >= 0, "C36", name, f"a count is negative: {counts}")
        demand(counts.total >= life.most, "C36", name, f"{life.most} members, then {counts.total}")
        demand(counts.total >= least, "C36", name, f"{least} members acknowledged, then {counts.total}")
        over = view.state.phase in {Phase.CLOSING, Phase.CLOSED}
        demand(not (over and counts.live), "C37", name, f"is {view.state.phase} with {counts}")
        here = (view.state.generation, PHASES.index(view.state.phase))
        demand(here >= life.reached, "C37", name, f"went back from {life.reached} to {here}")
        life.most, life.reached = max(life.most, counts.total), max(life.reached, here)

    # ---------------------------------------------------------------- at the end

    async def recognise(self) -> None:
        """Tells the history what no client was told of by name: members that members added, callbacks, and
        who was cancelled with the whole batch."""
        jobs = await everything(self._store)
        young = [job.id for job in jobs if parent_of(job) is not None]
        callbacks = [job.id for job in jobs if any(tag.startswith(CALLBACK_TAG) for tag in job.facts.tags)]
        with self._scene.history.call("enqueue") as under:
            under.jobs = (*young, *callbacks)
        gone = {life.id for life in self.lives.values() if life.fate is Fate.CANCELLED}
        with self._scene.history.call("cancel") as under:
            under.jobs = [job.id for job in jobs if job.facts.batch_id in gone]
        did = self._scene.findings.did
        did["members"] = sum(job.facts.batch_id in self.lives for job in jobs)
        did["of these added by members"] = len(young)
        did["callbacks"] = len(callbacks)

    async def judge(self, life: Life) -> None:
        """Members listed one by one, the counts and the callbacks tell the same."""
        demand = self._scene.findings.demand
        members = await everything(self._store, JobFilter(batch_id=life.id))
        view = await self._client.operations.batch(life.id)
        states = [one.state for one in members]
        listed = Counts(**{state.value: states.count(state) for state in State})
        demand(view.counts == listed, "C36", life.id, f"counts {view.counts}, listed {listed}")
        demand(view.state.phase is Phase.CLOSED, "C37", life.id, f"is {view.state.phase} at the end")
        self._judge_members(life, members)
        await self._judge_callbacks(view)

    def _judge_members(self, life: Life, members: Sequence[Job]) -> None:
        """Those that were acknowledged and those that members added, each once, and nobody else."""
        demand = self._scene.findings.demand
        there, parents = {one.id for one in members}, [parent_of(one) for one in members]
        young = {one.id for one, parent in zip(members, parents, strict=True) if parent is not None}
        lost = life.acked - there
        demand(not lost, "I1", life.id, f"{len(lost)} members were acknowledged and are not listed")
        strangers = there - life.acked - young
        demand(not strangers, "C38", life.id, f"{len(strangers)} members that nobody added")
        for one in members:
            added, wanted = parents.count(one.id), json.loads(one.facts.payload).get("brood", 0)
            right = added == wanted if one.state is State.COMPLETED else added in {0, wanted}
            demand(right, "C38", one.id, f"is {one.state} and added {added} members of {wanted}")

    async def _judge_callbacks(self, view: BatchView) -> None:
        """Each generation has called back once, as it ended."""
        batch, demand = view.state, self._scene.findings.demand
        came = await everything(self._store, JobFilter(tag=CALLBACK_TAG + batch.id))
        due = _due(view)
        lost = [told for one, told in due.items() if one not in {job.id for job in came}]
        demand(not lost, "C37", batch.id, f"callbacks that never came: {lost}")
        extra = [job.id for job in came if job.id not in due]
        demand(not extra, "C37", batch.id, f"callbacks that were not due: {extra}")
        for job in came:
            # What this storm itself shot as often as any job may crash looks like poison.
            shot = job.state is State.FAILED and job.placement.crashes >= job.facts.max_crashes
            run = job.state is State.COMPLETED or shot
            demand(run, "C37", job.id, f"a callback is {job.state}: {job.placement.error}")
            self._scene.findings.did["callbacks shot as often as poison"] += shot
        self._scene.findings.did["generations"] += batch.generation


def parent_of(job: Job) -> str | None:
    """The member that added this one."""
    return next((tag.removeprefix(YOUNG_TAG) for tag in job.facts.tags if tag.startswith(YOUNG_TAG)), None)


def _due(view: BatchView) -> dict[str, tuple[int, On]]:
    """The callbacks that must have come, by id. Only a batch with a member that did not complete goes on to
    another generation."""
    latest = view.state.generation
    good = view.counts.completed == view.counts.total
    due = {(latest, On.COMPLETE), (latest, On.SUCCESS if good else On.FAILURE)}
    due |= {(earlier, on) for earlier in range(1, latest) for on in (On.COMPLETE, On.FAILURE)}
    return {callback_id(NAMESPACE, view.state.id, number, on): (number, on) for number, on in due}
