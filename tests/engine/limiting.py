"""What tests of limits share: a program on one store, whose jobs are claimed and ended by hand."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from headrace import App, ManualClock
from headrace.core.job import Job
from headrace.core.outcomes import ErrorInfo, Failed, Outcome, Released, Report, Succeeded
from headrace.core.policy import ErrorClass
from headrace.engine.work import Claim, LocalWork
from headrace.upkeep.open_lanes import OpenLanes

DONE = Succeeded()
GIVEN_BACK = Released(reason="test")


def failed(retry_after_ms: int | None = None) -> Failed:
    error = ErrorInfo(
        type="ValueError", message="boom", error_class=ErrorClass.TRANSIENT, retry_after_ms=retry_after_ms
    )
    return Failed(error=error)


@dataclass
class Program:
    """An app whose worker is the test: it claims, and reports outcomes."""

    app: App
    work: LocalWork
    rng: random.Random = field(default_factory=lambda: random.Random(11))

    @classmethod
    async def of(cls, app: App) -> "Program":
        work = await app.work()
        await work.publish([one.info for one in app.registry.all()])
        await app.limit.put_into(await app.operations())
        return cls(app, work)

    @property
    def clock(self) -> ManualClock:
        assert isinstance(self.app.given_clock, ManualClock)
        return self.app.given_clock

    async def claim(
        self, limit: int = 100, *, queues: Sequence[str] = ("default",), prompt: int | None = None
    ) -> list[Job]:
        """What a worker that serves these queues gets."""
        types = frozenset(self.app.registry.names)
        asked = dict.fromkeys(queues, limit)
        claim = Claim(worker="w", queues=asked, types=types, limit=limit, lease_ms=30_000, prompt=prompt)
        return list(await self.work.claim(claim))

    async def end(self, *jobs: Job, outcome: Outcome = DONE) -> None:
        """Reports that these jobs ran, and how they ended."""
        now = self.clock.now()
        reports = [
            Report(job_id=job.id, fence=job.fence, started_at=now, ended_at=now, outcome=outcome)
            for job in jobs
        ]
        answers = await self.work.report(reports)
        assert not any(answer.lost for answer in answers)

    async def sweep(self) -> int:
        """What upkeep does for lanes; how many jobs it brought back."""
        opened = await self.app.open()
        return (await OpenLanes(opened.store, opened.clock).run_once()).done


def ns(jobs: Sequence[Job]) -> list[Any]:
    """The number in each job's payload."""
    return [int(job.facts.payload.rpartition('"n":')[2].rstrip("}")) for job in jobs]
