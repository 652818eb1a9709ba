"""E17: order and extent of claims, with a long history and a long backlog."""

from collections import defaultdict
from pathlib import Path

from headrace.clock import StoreClock
from headrace.core.filters import JobFilter
from headrace.core.job import Job
from headrace.core.policy import DAY_MS
from headrace.core.request import EnqueueRequest
from headrace.core.states import State
from headrace.stores.protocol import Store
from tests.builders import SUCCESS, claim, reported
from tests.contract.reads import everything, tallied
from tests.crash.experiments.e17_plans import planned
from tests.crash.kit.claimer import Claimed, ClaimerSpec, claims_in, queue_name, race
from tests.crash.kit.clocks import mono_ms
from tests.crash.kit.experiment import Scene, experiment
from tests.crash.kit.history import Client

BULK = 5_000
BATCH = 20
TYPES = frozenset({"on_loop"})
PENDING = JobFilter(states=frozenset({State.PENDING}))
Place = tuple[int, int, int]


@experiment(
    "E17",
    "order",
    "Jobs of random priority in many queues behind a long history: one consumer must get each queue in exact"
    " order, and of several none a later job while an earlier one was there to be had. As many jobs wait for"
    " tomorrow.",
)
async def order(scene: Scene) -> None:
    finished, pending, queues = scene.pick(smoke=(3_000, 2_000, 5), full=(1_000_000, 100_000, 50))
    async with scene.client() as (client, store):
        await _finish(client, store, finished)
        await _fill(scene, client, pending, queues, delay_ms=DAY_MS)
        await _fill(scene, client, pending, queues)
        async with planned(scene, [queue_name(number) for number in range(queues)], BATCH):
            took = await _alone(scene, store, queues)
            await _together(scene, store, queues)
        tallies = await tallied(store)
    done = sum(count for (_, _, state), count in tallies.items() if state is State.COMPLETED)
    scene.findings.demand(
        done == finished + pending, "I1", "-", f"{done} of {finished + pending} are completed"
    )
    scene.findings.demand(sum(tallies.values()) == done + pending, "I7", "-", f"tallies {dict(tallies)}")
    scene.findings.did.update(
        {"finished before": finished, "pending": pending, "scheduled": pending, "queues": queues}
    )
    scene.findings.figures["claim p50/p99"] = (
        f"{took[len(took) // 2]:.1f}/{took[len(took) * 99 // 100]:.1f} ms"
    )


async def _finish(client: Client, store: Store, count: int) -> None:
    """A history: jobs that were enqueued, claimed and completed."""
    clock = StoreClock(await store.now())
    for start in range(0, count, BULK):
        many = min(BULK, count - start)
        await client.operations.enqueue(
            [EnqueueRequest(type="on_loop", payload={"ms": 0}) for _ in range(many)]
        )
        while jobs := await claim(store, n=1_000, now=clock.now(), types=TYPES):
            now = clock.now()
            await store.apply([reported(job, SUCCESS, now=now) for job in jobs], now=now)


async def _fill(scene: Scene, client: Client, count: int, queues: int, delay_ms: int | None = None) -> None:
    rng = scene.nemesis.rng
    for start in range(0, count, BULK):
        requests = [
            EnqueueRequest(
                type="on_loop",
                payload={"ms": 0},
                queue=queue_name(rng.randrange(queues)),
                priority=rng.randint(-10, 10),
                delay_ms=delay_ms,
            )
            for _ in range(min(BULK, count - start))
        ]
        await client.operations.enqueue(requests)


async def _due(store: Store) -> list[Job]:
    now = await store.now()
    return [job for job in await everything(store, PENDING) if (job.placement.due_at or now) <= now]


async def _alone(scene: Scene, store: Store, queues: int) -> list[float]:
    """One consumer takes the first half of each queue, in steps of chance; how long each claim took."""
    waiting: dict[str, list[Job]] = defaultdict(list)
    for job in await _due(store):
        waiting[job.facts.queue].append(job)
    clock, took = StoreClock(await store.now()), []
    for number in range(queues):
        name = queue_name(number)
        expected = [job.id for job in sorted(waiting[name], key=_rank)]
        got: list[str] = []
        while len(got) < len(expected) // 2:
            asked, began = scene.nemesis.rng.randint(1, BATCH), mono_ms()
            jobs = await claim(store, n=asked, now=clock.now(), queues={name: asked}, types=TYPES)
            took.append(mono_ms() - began)
            scene.findings.did["claims of one consumer"] += 1
            await _marked_exactly(scene, store, jobs, asked)
            now = clock.now()
            await store.apply([reported(job, SUCCESS, now=now) for job in jobs], now=now)
            got += [job.id for job in jobs]
        scene.findings.demand(got == expected[: len(got)], "C39", name, "one consumer got another order")
    return sorted(took)


async def _marked_exactly(scene: Scene, store: Store, jobs: list[Job], asked: int) -> None:
    """Those that a claim returns, and no others, are running now."""
    running = sum(
        count for (_, _, state), count in (await tallied(store)).items() if state is State.PROCESSING
    )
    right = 0 < len(jobs) <= asked and running == len(jobs)
    scene.findings.demand(right, "C17", "-", f"asked for {asked}, got {len(jobs)}, {running} are running")


async def _together(scene: Scene, store: Store, queues: int) -> None:
    """Several consumers take the rest."""
    consumers = scene.pick(smoke=3, full=8 if scene.target.server else 4)
    left = {job.id for job in await _due(store)}
    log, gate = scene.folder / "claims", scene.folder / "gate"
    specs = [
        ClaimerSpec(
            url=scene.target.url,
            name=f"consumer-{number}",
            batch=BATCH,
            log=str(log),
            gate=str(gate),
            queues=queues,
        )
        for number in range(consumers)
    ]
    with scene.fleet() as fleet:
        await race(fleet, specs)
    claims = claims_in(Path(log))
    taken = [job for claim in claims for job, *_ in claim.places]
    scene.findings.demand(sorted(taken) == sorted(left), "C10", "-", f"{len(taken)} claimed of {len(left)}")
    for name, of_queue in _by_queue(claims).items():
        _overtaken(scene, name, of_queue)
    scene.findings.did["consumers together"] = consumers
    scene.findings.did["their claims"] = len(claims)


def _by_queue(claims: list[Claimed]) -> dict[str, list[tuple[Place, Claimed]]]:
    places: dict[str, list[tuple[Place, Claimed]]] = defaultdict(list)
    for one in claims:
        for _, queue, _, priority, rank, seq in one.places:
            places[queue].append(((-priority, rank, seq), one))
    return places


def _overtaken(scene: Scene, queue: str, places: list[tuple[Place, Claimed]]) -> None:
    """No job was returned before the claim of an earlier one had even been asked for."""
    latest = 0.0
    for place, one in sorted(places, key=lambda pair: pair[0]):
        scene.findings.demand(
            one.answered >= latest, "C39", queue, f"{place} was claimed before an earlier one"
        )
        latest = max(latest, one.asked)


def _rank(job: Job) -> Place:
    return (-job.placement.priority, job.placement.rank, job.seq)
