"""``headrace doctor``: what is in effect, how the store is, and what needs looking at."""

import platform
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from typing import Annotated, Final

from cyclopts import Parameter

from headrace.api.views import worker_to_json
from headrace.app import App
from headrace.cli.exits import Exit, one_line
from headrace.cli.opening import Missing, app_for, settings_for, wait_for, what_is_missing
from headrace.cli.options import AppPath, AsJson, Url
from headrace.cli.show import print_facts, print_json, print_line, print_table
from headrace.core.wire import Json, to_iso
from headrace.engine.drift import EACH_TYPE, payload_drift
from headrace.engine.operations import Operations
from headrace.errors import HeadraceError
from headrace.files.open import files_folder
from headrace.settings import Settings
from headrace.stores.protocol import Health, WorkerHello

_PASSWORD: Final = re.compile(r"(?<=://)([^/@:]*):.*@")
Payloads = Annotated[
    bool,
    Parameter(
        name="--payloads",
        negative="",
        help="Also check waiting payloads against the job types of --app.",
        show_default=False,
    ),
]
SILENT_MS: Final = 60_000
"""A worker that has not said hello for so long is taken for gone."""


@dataclass(slots=True)
class Report:
    """What the doctor found. ``wrong`` decides the exit code."""

    settings: Mapping[str, Json]
    versions: Mapping[str, Json]
    store: Mapping[str, Json] = field(default_factory=dict[str, Json])
    warnings: list[str] = field(default_factory=list[str])
    parked: list[Mapping[str, Json]] = field(default_factory=list[Mapping[str, Json]])
    workers: list[Mapping[str, Json]] = field(default_factory=list[Mapping[str, Json]])
    payloads: list[Mapping[str, Json]] = field(default_factory=list[Mapping[str, Json]])
    wrong: list[str] = field(default_factory=list[str])


def doctor(
    *, url: Url = None, payloads: Payloads = False, app: AppPath = None, as_json: AsJson = False
) -> int:
    """Show settings (without secrets), the store's health, and what needs looking at.

    Exits with 1 if something does.
    """
    examined = app_for(app, url) if payloads else App(settings=settings_for(url))
    settings = examined.settings
    report = Report(settings=shown_settings(settings), versions=versions())

    async def run() -> None:
        try:
            missing = await what_is_missing(settings.url)
            if missing is not None:
                examine_missing(missing, report)
                return
            async with examined:
                await examine(await examined.operations(), report)
                if payloads:
                    await examine_payloads(examined, report)
        except HeadraceError as error:
            report.wrong.append(one_line(error))

    wait_for(run)
    if as_json:
        print_json({name: getattr(report, name) for name in Report.__slots__})
    else:
        _print(report)
    return Exit.REFUSED if report.wrong else Exit.DONE


def examine_missing(missing: Missing, report: Report) -> None:
    """Adds what there is to say of a store in which nothing can be looked at yet."""
    if missing.health is None:
        report.wrong.append(missing.why)
        return
    _tell_health(missing.health, report)
    report.warnings.append(missing.why)


async def examine(engine: Operations, report: Report) -> None:
    """Adds what the store says of itself, and what it holds that waits in vain."""
    _tell_health(await engine.health(), report)
    now = engine.now()
    workers = await engine.workers()
    report.workers.extend(worker_to_json(one) | {"alive": _alive(one, now)} for one in workers)
    report.wrong.extend(
        f"worker {one.worker} has been silent since {to_iso(one.seen_at)}"
        for one in workers
        if not _alive(one, now)
    )
    for parked in await engine.parked():
        report.parked.append({"queue": parked.queue, "lane": parked.lane, "count": parked.count})
        if parked.lane.startswith("type:"):
            name = parked.lane.removeprefix("type:")
            report.wrong.append(f"{parked.count} jobs wait in queue {parked.queue}: no worker knows {name}")
    living = [one for one in workers if _alive(one, now)]
    for queue in await engine.queues():
        served = any(one.queues is None or queue.name in one.queues for one in living)
        if queue.paused:
            report.warnings.append(f"queue {queue.name} is paused")
        elif queue.oldest_due_at is not None and not served:
            since = to_iso(queue.oldest_due_at)
            report.wrong.append(f"queue {queue.name} has had due jobs since {since}, and no worker serves it")


async def examine_payloads(app: App, report: Report) -> None:
    """Adds the waiting jobs that would not run with the app's code as it is."""
    drift = await payload_drift(await app.operations(), app.registry)
    report.store = {**report.store, "payloadsLookedAt": drift.looked_at}
    report.warnings.extend(
        f"more jobs of {name} wait than were looked at: only the newest {EACH_TYPE}"
        for name in drift.cut_short
    )
    for one in drift.misfits:
        report.payloads.append(
            {"type": one.type, "version": one.version, "count": one.count, "id": one.job_id, "why": one.why}
        )
        report.wrong.append(f"{one.count} waiting jobs of {one.type}, version {one.version}, would not run")


def shown_settings(settings: Settings) -> dict[str, Json]:
    """The settings in effect, passwords and secrets left out."""
    folder = files_folder(settings)
    return {
        "url": without_password(settings.url),
        "namespace": settings.namespace,
        "files": "a temporary folder" if folder is None else str(folder),
        "smtpUrl": None if settings.smtp_url is None else without_password(settings.smtp_url),
        "mailFrom": settings.mail_from,
        "outboundAllow": list(settings.outbound_allow),
        "webhookSecrets": f"{len(settings.webhook_secrets)} set",
        "lease": settings.lease,
    }


def without_password(url: str) -> str:
    """The URL with its password, and the values of its query, left out."""
    address, mark, query = url.partition("?")
    if "@" in query and "@" not in address:  # what looks like a query may be half of the password
        return f"{address.partition('://')[0]}://***"
    return _PASSWORD.sub(r"\1:***@", address) + (f"{mark}***" if mark else "")


def versions() -> dict[str, Json]:
    """The versions that matter in a report of a fault."""
    return {
        "headrace": version("headrace"),
        "python": platform.python_version(),
        "apsw": version("apsw"),
        "asyncpg": _version_if_there("asyncpg"),
        "redis": _version_if_there("redis"),
        "pydantic": version("pydantic"),
        "system": platform.platform(),
    }


def _version_if_there(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _tell_health(health: Health, report: Report) -> None:
    report.store = {
        "store": health.store,
        "version": health.version,
        "schema": health.schema,
        "durability": health.tier.value,
        **health.details,
    }
    report.warnings.extend(health.warnings)


def _alive(worker: WorkerHello, now: int) -> bool:
    return now - worker.seen_at <= SILENT_MS


def _print(report: Report) -> None:
    print_facts({**report.settings, **report.versions, **report.store})
    if report.parked:
        print_line("")
        print_table(("queue", "lane", "count"), [list(one.values()) for one in report.parked])
    if report.payloads:
        print_line("")
        print_table(
            ("type", "version", "count", "id", "why"), [list(one.values()) for one in report.payloads]
        )
    if report.workers:
        print_line("")
        columns = ("id", "alive", "queues", "running", "seenAt")
        print_table(columns, [[one[column] for column in columns] for one in report.workers])
    print_line("")
    for warning in report.warnings:
        print_line(f"warning\t{warning}")
    for wrong in report.wrong:
        print_line(f"wrong\t{wrong}")
    if not report.wrong:
        print_line("all is well")
