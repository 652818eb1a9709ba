"""E14: several processes fire the same schedules; they are killed and frozen, and schedules are changed."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

from headrace.clock import StoreClock
from headrace.core.job import Job
from headrace.core.request import EnqueueRequest
from headrace.core.schedule import CatchUp, Cron, Every, Timing, fired_by
from headrace.core.scheduled import Schedule
from headrace.engine.local import LocalOperations
from headrace.stores.protocol import Store
from headrace.upkeep.fire import FireSchedules
from tests.contract.reads import everything
from tests.crash.kit.children import Child, Fleet
from tests.crash.kit.clocks import store_ms, until
from tests.crash.kit.experiment import PAUSE_MS, SAMPLE_MS, Scene, experiment
from tests.crash.kit.scheduler import MODULE

SCHEDULERS = 3
STRIKES = ("kills", "freezes")
ALL = CatchUp.of("all(1000)", window_ms=1_000)
REQUEST = EnqueueRequest(type="on_loop", payload={"ms": 0})
RULES = (
    Every(interval_ms=1_000),
    Every(interval_ms=1_700),
    Cron(expression="* * * * * *"),
    Cron(expression="*/2 * * * * *", zone="Europe/Berlin"),
    Cron(expression="1-59/3 * * * * *", zone="America/New_York"),
)


@experiment(
    "E14",
    "schedules",
    "Several schedulers fire the same schedules, are killed and frozen all the time, and all at once for a"
    " while; schedules are edited, paused and removed meanwhile: each instant must have exactly one job.",
)
async def schedules(scene: Scene) -> None:
    strikes, copies = scene.pick(smoke=(8, 2), full=(120, 20))
    async with scene.client() as (client, store):
        run = Run(scene, client.operations, store)
        await run.put(copies)
        with scene.fleet() as fleet:
            await run.storm(fleet, strikes)
        await run.finish()
        run.judge(await everything(store), {one.id: one for one in await client.operations.schedules()})


class Run:
    """The schedules of one run, and what was done to them when."""

    def __init__(self, scene: Scene, operations: LocalOperations, store: Store) -> None:
        self._scene = scene
        self._operations = operations
        self._store = store
        self._removed: dict[str, int] = {}
        self._loose: set[str] = set()

    async def put(self, copies: int) -> None:
        """Makes some of each kind: to be left alone, edited, paused, removed."""
        for copy in range(copies):
            for number, rule in enumerate(RULES):
                for fate in ("kept", "removed", "paused", "edited"):
                    timing = Timing(rule=rule, catch_up=ALL)
                    await self._operations.put_schedule(f"{fate}-{number}-{copy}", timing, REQUEST)
                    self._scene.findings.did["schedules"] += 1

    async def storm(self, fleet: Fleet, strikes: int) -> None:
        """Kills and freezes schedulers, now and then all of them, and changes schedules between the blows."""
        nemesis = self._scene.nemesis
        fates = [one.id for one in await self._operations.schedules() if not one.id.startswith("kept")]
        nemesis.rng.shuffle(fates)
        living = [await self._started(fleet) for _ in range(SCHEDULERS)]
        for strike in range(strikes):
            for name in fates[strike::strikes]:
                await self._change(name)
            await nemesis.strike_within(0.1, 1.0)
            if strike % 4 == 3:
                for child in living:
                    child.kill()
                await nemesis.strike_within(1.5, 2.5)
                living = [await self._started(fleet) for _ in range(SCHEDULERS)]
                self._scene.findings.did["times none was there"] += 1
                continue
            victim = living.pop(nemesis.rng.randrange(len(living)))
            await self._strike(victim, STRIKES[strike % len(STRIKES)])
            living.append(await self._started(fleet))
        for child in living:
            child.kill()

    async def finish(self) -> None:
        """Makes what is due by now, so that nothing is left to come but the future."""
        clock = StoreClock(await self._store.now())
        while (await FireSchedules(self._store, clock).run_once()).more:
            pass

    def judge(self, jobs: Sequence[Job], known: Mapping[str, Schedule]) -> None:
        """Every instant has one job: none is left out, none has two, none came too early or after the end."""
        demand, made = self._scene.findings.demand, defaultdict[str, list[int]](list)
        error_ms = SAMPLE_MS if self._scene.target.server is not None else PAUSE_MS
        for job in jobs:
            fire = fired_by(job.facts.tags)
            assert fire is not None
            made[fire.schedule].append(fire.at)
            early = fire.at - job.facts.created_at
            demand(early <= error_ms, "C32", job.id, f"was made {early} ms before its time")
            if (gone := self._removed.get(fire.schedule)) is not None:
                late = job.facts.created_at - gone
                demand(late <= error_ms, "C35", job.id, f"was made {late} ms after its schedule was removed")
        for name, instants in made.items():
            twice = [at for at, count in Counter(instants).items() if count > 1]
            demand(not twice, "C32", name, f"fired twice at {twice}")
        for name, one in known.items():
            self._complete(one, made[name])
        self._scene.findings.did["fires"] = len(jobs)

    def _complete(self, schedule: Schedule, made: list[int]) -> None:
        demand = self._scene.findings.demand
        demand(schedule.skipped == 0, "C33", schedule.id, f"skipped {schedule.skipped}")
        demand(schedule.fired == len(made), "C32", schedule.id, f"{schedule.fired} fires, {len(made)} jobs")
        if schedule.id in self._loose or schedule.next_at is None:
            return
        last, expected = schedule.next_at, list[int]()
        for at in schedule.timing.instants(schedule.created_at, anchor=schedule.anchor):
            if at >= last:
                break
            expected.append(at)
        lost = sorted(set(expected) - set(made))
        demand(not lost, "C33", schedule.id, f"lost {lost}")
        demand(set(made) <= set(expected), "C32", schedule.id, "fired at instants that are none")

    async def _change(self, name: str) -> None:
        """Removes, pauses or edits a schedule, as its name says."""
        match name.partition("-")[0]:
            case "removed":
                await self._operations.remove_schedule(name)
                self._removed[name] = store_ms()
            case "paused":
                self._loose.add(name)
                await self._operations.pause_schedule(name)
                await asyncio.sleep(0)
                await self._operations.resume_schedule(name)
            case _:
                self._loose.add(name)
                timing = Timing(rule=Every(interval_ms=1_300), catch_up=ALL)
                await self._operations.put_schedule(name, timing, REQUEST)
        self._scene.findings.did["changes"] += 1

    async def _strike(self, victim: Child, how: str) -> None:
        if how == "freezes":
            await victim.freeze()
            await self._scene.nemesis.strike_within(0.0, 0.3)
            victim.thaw()
            await self._scene.nemesis.strike_within(0.0, 0.1)
        victim.kill()
        self._scene.findings.did[how] += 1

    async def _started(self, fleet: Fleet) -> Child:
        child = fleet.start(MODULE, self._scene.target.url)
        await until("a scheduler is ready", lambda: "ready" in child.said() or not child.alive)
        self._scene.findings.did["schedulers"] += 1
        return child
