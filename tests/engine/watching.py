"""What tests of alert rules share: jobs that die, and looks at the rules."""

import json
from typing import Any

from headrace import Alert, App, ManualClock
from headrace.core.alerts import EVERY_MS, AlertState
from headrace.core.filters import JobFilter, Page
from headrace.core.job import Job
from headrace.core.policy import ErrorClass
from headrace.engine.alert_type import rule_of
from headrace.stores.protocol import Store
from headrace.upkeep.alerts import WatchAlerts
from tests.builders import a_failure, a_job, claim, enqueue, settle


def clock(app: App) -> ManualClock:
    assert isinstance(app.given_clock, ManualClock)
    return app.given_clock


async def the_store(app: App) -> Store:
    return (await app.open()).store


async def died(app: App, count: int = 1, *, job_type: str = "echo", permanent: bool = False) -> list[str]:
    """Jobs of a type fail for good, now."""
    store, now = await the_store(app), clock(app).now()
    error_class = ErrorClass.PERMANENT if permanent else ErrorClass.TRANSIENT
    new = [a_job(type=job_type, max_attempts=1, created_at=now) for _ in range(count)]
    await enqueue(store, *new, now=now)
    jobs: list[Job] = []
    while found := await claim(store, n=1000, now=now, types=frozenset({job_type})):
        jobs += found
    for job in jobs:
        await settle(store, job, a_failure("boom", error_class=error_class), now=now)
    return [job.id for job in jobs]


async def put(app: App, name: str, when: str, **options: Any) -> AlertState:
    return await (await app.operations()).put_alert(rule_of(name, when, **options))


class Watching:
    """The chore that looks at rules, with a function that notes what it is told."""

    def __init__(self, app: App, store: Store) -> None:
        self.told: list[Alert] = []
        self._app = app
        self.chore = WatchAlerts(store, clock(app), namespace="default", functions=[self._note])

    async def look(self, after: float = EVERY_MS / 1000) -> list[tuple[str, str]]:
        """What is told by a look so many seconds later."""
        clock(self._app).advance(after)
        before = len(self.told)
        await self.chore.run_once()
        return [(one.status, one.subject) for one in self.told[before:]]

    async def _note(self, alert: Alert) -> None:
        self.told.append(alert)


async def deliveries(app: App, job_type: str) -> list[dict[str, Any]]:
    """The payloads of the jobs that tell targets, the oldest first."""
    page = await (await app.operations()).jobs(JobFilter(types=frozenset({job_type})), Page())
    return [json.loads(job.facts.payload) for job in page.jobs[::-1]]


async def a_pager(alert: dict[str, Any]) -> None: ...
