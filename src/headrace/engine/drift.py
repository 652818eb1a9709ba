"""Which waiting payloads today's code would not run: known before a deployment, not after it."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from headrace.core.filters import MAX_LIMIT, JobFilter, Page
from headrace.core.job import Job
from headrace.core.states import State
from headrace.engine.arguments import arguments_of
from headrace.engine.operations import Operations
from headrace.engine.registry import Registered, Registry
from headrace.errors import HandlerSignal, HeadraceError

WAITING: Final = frozenset({State.PENDING, State.BLOCKED})
EACH_TYPE: Final = 10_000
"""So many waiting jobs of a type are looked at, the newest; the report says if there are more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Misfit:
    """Waiting jobs of one type and version that would not run. ``why``: what the first of them would say."""

    type: str
    version: int
    count: int
    job_id: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """What was found: how many payloads were looked at, and the types of which more wait than that."""

    looked_at: int
    misfits: tuple[Misfit, ...]
    cut_short: tuple[str, ...] = ()


async def payload_drift(operations: Operations, registry: Registry, *, each: int = EACH_TYPE) -> Drift:
    """Compares waiting payloads with the job types of ``registry``. Runs their upgrades, writes nothing."""
    looked_at = 0
    misfits: dict[tuple[str, int], Misfit] = {}
    cut_short: list[str] = []
    for name in await _waiting_types(operations):
        kind = registry.find(name)
        before: str | None = None
        left = each
        while left > 0:
            page = await operations.jobs(
                JobFilter(states=WAITING, types=frozenset({name})),
                Page(limit=min(left, MAX_LIMIT), before=before),
            )
            looked_at += len(page.jobs)
            left -= len(page.jobs)
            _count(misfits, ((job, why) for job in page.jobs if (why := misfit(kind, job)) is not None))
            before = page.cursor
            if before is None:
                break
        if before is not None:
            cut_short.append(name)
    found = tuple(misfits[key] for key in sorted(misfits))
    return Drift(looked_at=looked_at, misfits=found, cut_short=tuple(cut_short))


def misfit(kind: Registered | None, job: Job) -> str | None:
    """Why a job would not run with this code; None if its payload fits."""
    if kind is None:
        return "no job type of that name"
    try:
        arguments_of(kind, job.facts)
    except (HeadraceError, HandlerSignal) as error:
        return str(error)
    except Exception as error:  # boundary: validators are the program's own code
        return f"its validation raised {type(error).__name__}"
    return None


async def _waiting_types(operations: Operations) -> list[str]:
    tallies = (await operations.stats()).tallies
    return sorted({one.type for one in tallies if one.state in WAITING and one.count > 0})


def _count(misfits: dict[tuple[str, int], Misfit], found: Iterable[tuple[Job, str]]) -> None:
    for job, why in found:
        key = job.facts.type, job.facts.version
        known = misfits.get(key)
        misfits[key] = Misfit(
            type=job.facts.type,
            version=job.facts.version,
            count=1 if known is None else known.count + 1,
            job_id=job.id if known is None else known.job_id,
            why=why if known is None else known.why,
        )
