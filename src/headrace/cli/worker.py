"""``headrace worker``: a composition root. It may import everything."""

import asyncio
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Annotated

from cyclopts import Parameter

from headrace.app import App
from headrace.cli.logs import log_to_stderr
from headrace.cli.opening import app_for, run_long
from headrace.cli.options import AppPath, Url
from headrace.cli.supervise import Supervisor, supervisor_gone
from headrace.core.ids import checked_name
from headrace.errors import InvalidInput, StoreError
from headrace.files.open import kept_files, opened_files
from headrace.settings import checked_lease
from headrace.signals import taking_signals
from headrace.upkeep.upkeep import Upkeep, usual_chores
from headrace.worker.settings import WorkerSettings
from headrace.worker.signals import leave, run_alone
from headrace.worker.worker import Worker

MAX_PROCESSES = 256
MAX_GRACE_SECONDS = 86_400
BUILTIN = "headrace.handlers.builtin:registry"


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerPlan:
    """What the command line says of a worker."""

    app_path: str | None = None
    queues: str | None = None
    concurrency: int = 100
    lease: float | None = None
    grace: float = 25.0


def worker(  # noqa: PLR0913 - one parameter per option
    *,
    app: AppPath = None,
    queues: Annotated[
        str | None,
        Parameter(help="Which queues, and how many jobs of each at once: email=5,default. Else all."),
    ] = None,
    concurrency: Annotated[int, Parameter(help="How many jobs run at once in a process.")] = 100,
    processes: Annotated[int, Parameter(help="How many worker processes.")] = 1,
    lease: Annotated[float | None, Parameter(help="Seconds a lease lasts; else HEADRACE_LEASE.")] = None,
    grace: Annotated[float, Parameter(help="Seconds that running jobs get when the worker stops.")] = 25.0,
    url: Url = None,
    supervised: Annotated[bool, Parameter(show=False, negative="")] = False,
) -> int:
    """Run a worker, with upkeep, until SIGINT or SIGTERM. A second signal does not wait for running jobs."""
    plan = WorkerPlan(app_path=app, queues=queues, concurrency=concurrency, lease=lease, grace=grace)
    if not 1 <= processes <= MAX_PROCESSES:
        raise InvalidInput(f"--processes must lie between 1 and {MAX_PROCESSES}", field="processes")
    if lease is not None:
        checked_lease(lease, "--lease")
    if not 0 <= grace <= MAX_GRACE_SECONDS:
        raise InvalidInput(f"--grace must lie between 0 and {MAX_GRACE_SECONDS} seconds", field="grace")
    log_to_stderr()
    if processes == 1:
        return run_long(lambda: _work(plan, url, supervised=supervised))
    slots_of(plan.queues, plan.concurrency)
    app_for(app, url)
    return asyncio.run(_supervise(_arguments(plan, url), processes))


@asynccontextmanager
async def made_worker(app: App, plan: WorkerPlan) -> AsyncGenerator[Worker]:
    """A worker over an opened App, with its file store."""
    opened = await app.open()
    async with opened_files(app.settings, opened.store, opened.clock) as files:
        settings = WorkerSettings(
            queues=slots_of(plan.queues, plan.concurrency),
            concurrency=plan.concurrency,
            lease_ms=lease_ms(app, plan),
            grace_ms=round(plan.grace * 1000),
            files=files,
            files_at=app.settings,
            lifespan=app.lifespan_factory,
            app_path=plan.app_path or BUILTIN,
        )
        yield Worker(await app.work(), app.registry, settings)


async def made_upkeep(app: App, plan: WorkerPlan) -> Upkeep:
    """The chores over an opened App, whose schedules are put. Several processes may do them at once."""
    opened = await app.open()
    await app.limit.put_into(opened.operations)
    await app.queue.put_into(opened.operations)
    await app.schedule.put_into(opened.operations)
    await app.alert.put_into(opened.operations)
    chores = usual_chores(
        opened.store,
        opened.clock,
        namespace=app.settings.namespace,
        lease_ms=lease_ms(app, plan),
        files=kept_files(app.settings, opened.store, opened.clock),
        aftermath=opened.operations.aftermath,
        alert_functions=app.alert.functions,
    )
    return Upkeep(chores)


async def say_wakeups(app: App, one: Worker) -> None:
    """Says on stderr how the worker learns of jobs, where the store has several ways."""
    try:
        wakeups = (await (await app.operations()).health()).details.get("wakeups")
    except StoreError:
        return  # the worker waits for the store, and says so itself
    if wakeups is None:
        return
    way, _, why = wakeups.partition(": ")
    every = f"{one.settings.poll_ms / 1000:g} s"
    said = f"polling every {every} ({why})" if way == "polling" else f"{way}; polling every {every} besides"
    sys.stderr.write(f"headrace: wake-ups: {said}\n")
    sys.stderr.flush()


def lease_ms(app: App, plan: WorkerPlan) -> int:
    """How long a lease lasts: what the command line says, else the settings."""
    return round((app.settings.lease if plan.lease is None else plan.lease) * 1000)


def slots_of(text: str | None, concurrency: int) -> dict[str, int] | None:
    """The queues of ``email=5,default`` with how many jobs of each may run at once. Raises InvalidInput."""
    if text is None:
        return None
    slots: dict[str, int] = {}
    for part in text.split(","):
        name, equals, number = part.strip().partition("=")
        if equals and not (number.isascii() and number.isdigit() and int(number) > 0):
            raise InvalidInput(f"--queues {part.strip()!r} must be a name, or name=slots", field="queues")
        slots[checked_name(name, "queue")] = int(number) if equals else concurrency
    return slots


async def _work(plan: WorkerPlan, url: str | None, *, supervised: bool) -> int:
    app = app_for(plan.app_path, url)
    with taking_signals() as take:
        async with app, await made_upkeep(app, plan), made_worker(app, plan) as one:
            await say_wakeups(app, one)
            watching = asyncio.create_task(_stop_when_alone(one)) if supervised else None
            take(one.request_stop, one.interrupt)
            code = await run_alone(one)
            if watching is not None:
                watching.cancel()
        leave(one, code)
    return code


async def _stop_when_alone(one: Worker) -> None:
    await supervisor_gone()
    one.request_stop()


async def _supervise(arguments: list[str], processes: int) -> int:
    return await Supervisor(arguments, processes).run()


def _arguments(plan: WorkerPlan, url: str | None) -> list[str]:
    options = {
        "--app": plan.app_path,
        "--queues": plan.queues,
        "--concurrency": plan.concurrency,
        "--lease": plan.lease,
        "--grace": plan.grace,
        "--url": url,
    }
    given = [f"{name}={value}" for name, value in options.items() if value is not None]
    return ["worker", *given]
