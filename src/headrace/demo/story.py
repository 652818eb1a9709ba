"""The demonstration itself, from an empty folder to the final account."""

import asyncio
import base64
import random
import secrets
import signal
import tempfile
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from headrace.app import App
from headrace.core.states import State
from headrace.demo.account import Promised, settle
from headrace.demo.children import Children, children
from headrace.demo.orders import (
    ARTWORKS,
    MAPPING,
    Artwork,
    artwork,
    good_orders,
    is_wrong,
    orders_csv,
)
from headrace.demo.post_office import PostOffice, post_office
from headrace.demo.receiver import Receiver, receiving
from headrace.demo.screen import Meter, Screen
from headrace.demo.service import Counts, Service, service_at
from headrace.errors import HeadraceError
from headrace.files.disk import DiskFiles
from headrace.files.open import opened_files
from headrace.settings import Settings

ROWS: Final = 3_000
LEASE_SECONDS: Final = 3.0
LOOK_SECONDS: Final = 0.25
DRAIN_SECONDS: Final = 300.0
STORM_ROWS: Final = 250
STORM_WORKERS: Final = 2
STORM_PAUSE: Final = (0.3, 2.5)
RETRY_ROUNDS: Final = 5
TERMINATED: Final = 143


class StillOpen(HeadraceError):
    """Jobs did not end in time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How much is shown. ``storm`` seconds of killing workers at random moments, instead of one kill."""

    rows: int = ROWS
    serve: bool = False
    storm: float = 0.0
    seed: int = 1


@dataclass(slots=True, kw_only=True)
class Stage:
    """Everything that is up while the demonstration runs."""

    screen: Screen
    family: Children
    service: Service
    receiver: Receiver
    office: PostOffice
    files: DiskFiles
    artworks: Sequence[Artwork]
    import_ids: list[str]
    posted: int = 0

    async def post_orders(self, count: int) -> None:
        """Stores the next orders as a CSV file and posts its import over HTTP."""
        numbers = range(self.posted + 1, self.posted + count + 1)
        stored = await self.files.put(
            _once(orders_csv(numbers, self.artworks)), name="orders.csv", content_type="text/csv"
        )
        payload = {
            "fileId": stored.id,
            "format": "csv",
            "rowType": "order",
            "mapping": MAPPING,
            "constants": {"hook": self.receiver.url},
            "namespace": "demo",
        }
        self.import_ids.append(await self.service.enqueue("batch-import", payload))
        self.posted += count

    @property
    def promised(self) -> Promised:
        """What has been acknowledged so far."""
        numbers = range(1, self.posted + 1)
        return Promised(
            import_ids=tuple(self.import_ids),
            orders=frozenset(good_orders(numbers)),
            refused=sum(map(is_wrong, numbers)),
        )


async def play(plan: Plan) -> int:
    """Runs the demonstration; 0 if everything adds up. Leaves no process and no file behind."""
    screen = Screen()
    loop = asyncio.get_running_loop()
    acting = asyncio.ensure_future(_play(screen, plan))
    asked: list[bool] = []

    def terminate() -> None:
        asked.append(True)
        acting.cancel()

    loop.add_signal_handler(signal.SIGTERM, terminate)
    try:
        return await acting
    except HeadraceError as error:
        screen.say(f"The demonstration failed: {error}")
        return 1
    except asyncio.CancelledError:
        if asked:
            return TERMINATED
        raise
    finally:
        loop.remove_signal_handler(signal.SIGTERM)


async def _play(screen: Screen, plan: Plan) -> int:
    async with _stage(screen) as stage:
        return await _act(stage, plan)


@asynccontextmanager
async def _stage(screen: Screen) -> AsyncGenerator[Stage]:
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="headrace-demo-")))
        office = await stack.enter_async_context(post_office())
        old, new = (_secret(), _secret())
        receiver = await stack.enter_async_context(receiving(old))
        settings = Settings(
            url=f"sqlite:///{folder}/demo.db",
            smtp_url=office.url,
            mail_from="Headrace demo <demo@example.com>",
            outbound_allow=(receiver.pair,),
            webhook_secrets=(new, old),
            lease=LEASE_SECONDS,
        )
        screen.say(f"Store: an SQLite file in {folder}; mail server {office.url}; receiver {receiver.url}")
        app = await stack.enter_async_context(App(settings=settings))
        opened = await app.open()
        files = await stack.enter_async_context(opened_files(settings, opened.store, opened.clock))
        artworks = [await _artwork(files, number) for number in range(ARTWORKS)]
        family = await stack.enter_async_context(children(folder, settings.environment()))
        child, url = await family.service()
        screen.say(f"Service: process {child.pid} at {url}")
        yield Stage(
            screen=screen,
            family=family,
            service=await stack.enter_async_context(service_at(url)),
            receiver=receiver,
            office=office,
            files=files,
            artworks=artworks,
            import_ids=[],
        )


async def _act(stage: Stage, plan: Plan) -> int:
    started = time.monotonic()
    if plan.storm:
        await _storm(stage, plan)
    else:
        await _one_kill(stage, plan)
    stage.screen.say(f"All jobs have ended after {time.monotonic() - started:.1f} s.")
    account = await settle(stage.service, stage.promised, stage.receiver, stage.office)
    stage.screen.account(account)
    faults = ", ".join(f"{count} x {fault.value}" for fault, count in stage.receiver.faults.items())
    stage.screen.say(
        f"Faults on the way: {len(stage.family.killed)} workers killed; receiver: {faults};"
        f" mail server: {stage.office.put_off} x 451, {len(stage.office.answers_lost)} answers lost."
    )
    stage.screen.say(
        f"{stage.receiver.taken.total()} signatures verified by an independent implementation,"
        f" {stage.receiver.badly_signed} refused."
    )
    if account.adds_up:
        stage.screen.say("Nothing was lost, and every repetition has its reason.")
    if plan.serve:
        await _serve(stage)
    return 0 if account.adds_up else 1


async def _one_kill(stage: Stage, plan: Plan) -> None:
    worker = await stage.family.worker()
    stage.screen.say(f"Worker: process {worker.pid}")
    await stage.post_orders(plan.rows)
    orders = len(stage.promised.orders)
    stage.screen.say(
        f"Posted one import of {plan.rows} rows over HTTP: {orders} orders, {plan.rows - orders} spoiled"
        " rows; each order sends a mail and a signed webhook and checks a file."
    )
    with stage.screen.meter(_totals(stage)) as meter:
        while _arrived(stage) < orders:
            await _look(stage, meter)
        await stage.family.kill(worker)
        stage.screen.say(f"Half-way: worker {worker.pid} is killed by SIGKILL, in the middle of its work.")
        worker = await stage.family.worker()
        stage.screen.say(f"Another worker: process {worker.pid}")
        await _drain(stage, meter)


async def _storm(stage: Stage, plan: Plan) -> None:
    rng = random.Random(plan.seed)
    workers = [await stage.family.worker() for _ in range(STORM_WORKERS)]
    end = time.monotonic() + plan.storm
    while time.monotonic() < end:
        if (await stage.service.counts()).open < STORM_ROWS:
            await stage.post_orders(STORM_ROWS)
        await asyncio.sleep(rng.uniform(*STORM_PAUSE))
        victim = workers.pop(rng.randrange(len(workers)))
        await stage.family.kill(victim)
        workers.append(await stage.family.worker())
    stage.screen.say(
        f"{len(stage.family.killed)} workers were killed in {plan.storm:g} s; now all jobs may end."
    )
    with stage.screen.meter(_totals(stage)) as meter:
        await _drain(stage, meter)
        await _retry_failed(stage, meter)


async def _serve(stage: Stage) -> None:
    stage.screen.say(f"The service stays at {stage.service.client.base_url} until Ctrl-C.")
    while True:
        stage.family.check()
        await asyncio.sleep(LOOK_SECONDS)


def _totals(stage: Stage) -> dict[str, int]:
    orders = len(stage.promised.orders)
    return {"mails": orders, "webhooks": orders, "jobs": 4 * orders + len(stage.import_ids)}


def _arrived(stage: Stage) -> int:
    return len(stage.office.orders) + len(stage.receiver.orders)


async def _look(stage: Stage, meter: Meter) -> Counts:
    """One look at everything, shown. Raises ChildFailed if a process has ended by itself."""
    stage.family.check()
    counts = await stage.service.counts()
    meter.show(
        {"mails": len(stage.office.orders), "webhooks": len(stage.receiver.orders), "jobs": counts.completed}
    )
    await asyncio.sleep(LOOK_SECONDS)
    return counts


async def _drain(stage: Stage, meter: Meter) -> None:
    """Waits until no job is open. Raises StillOpen if that takes too long."""
    try:
        async with asyncio.timeout(DRAIN_SECONDS):
            while (await _look(stage, meter)).open:
                pass
    except TimeoutError as error:
        msg = f"jobs are still open after {DRAIN_SECONDS:g} s"
        raise StillOpen(msg) from error


async def _retry_failed(stage: Stage, meter: Meter) -> None:
    """Runs failed jobs again, as an operator would: so many kills can take a job's last crash."""
    for _ in range(RETRY_ROUNDS):
        failed = await stage.service.jobs(status=State.FAILED.value)
        if not failed:
            return
        stage.screen.say(f"{len(failed)} jobs failed and are retried by hand:")
        for job in failed:
            stage.screen.say(f"  {job['type']} {job['id']}: {job['error']}")
            await stage.service.retry(job["id"])
        await _drain(stage, meter)


async def _artwork(files: DiskFiles, number: int) -> Artwork:
    content = artwork(number)
    stored = await files.put(_once(content), name=f"artwork-{number}.bin")
    return Artwork(file_id=stored.id, sha256=stored.sha256)


async def _once(content: bytes) -> AsyncGenerator[bytes]:
    yield content


def _secret() -> str:
    return "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()
