"""Adding up: what was acknowledged against what arrived, and a reason for everything that came twice."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from headrace.core.job import AttemptOutcome
from headrace.core.states import State
from headrace.demo.post_office import PostOffice
from headrace.demo.receiver import Receiver
from headrace.demo.service import JobJson, Service

ANSWER_LOST: Final = "the receiver took it and the answer was lost"
WORKER_KILLED: Final = "its worker was killed before it could report"
BOTH: Final = "an answer was lost, and a worker was killed"
UNEXPLAINED: Final = "no reason found"
_GONE: Final = frozenset({AttemptOutcome.RESCUED.value, AttemptOutcome.CRASHED.value})


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One thing that was promised: how many were acknowledged, how many arrived, how often in all."""

    what: str
    acknowledged: int
    arrived: int
    deliveries: int
    strangers: int = 0

    @property
    def adds_up(self) -> bool:
        """Whether all of it arrived and nothing that was never promised."""
        return self.acknowledged == self.arrived and self.strangers == 0

    @property
    def repeats(self) -> int:
        """How many deliveries were repetitions."""
        return self.deliveries - self.arrived


@dataclass(frozen=True, slots=True, kw_only=True)
class Repeat:
    """A job whose effect came more than once."""

    job_id: str
    what: str
    times: int
    starts: int
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """The whole of it."""

    lines: Sequence[Line]
    repeats: Sequence[Repeat]
    wrong: Sequence[str] = field(default_factory=tuple[str, ...])

    @property
    def adds_up(self) -> bool:
        """Whether nothing is lost, nothing is doubled in the store, and each repetition has its reason."""
        explained = all(repeat.why != UNEXPLAINED for repeat in self.repeats)
        return not self.wrong and explained and all(line.adds_up for line in self.lines)

    def reasons(self) -> Mapping[str, int]:
        """How many jobs were repeated, by reason."""
        return Counter(repeat.why for repeat in self.repeats)


@dataclass(frozen=True, slots=True, kw_only=True)
class Promised:
    """What was asked for: the imports that were acknowledged, the orders in them, those that are refused."""

    import_ids: Sequence[str]
    orders: frozenset[int]
    refused: int


async def settle(service: Service, promised: Promised, receiver: Receiver, office: PostOffice) -> Account:
    """Reads all jobs back through the service and compares them with what arrived outside."""
    imports = [await service.job(job_id) for job_id in promised.import_ids]
    orders = await service.jobs(type="order")
    mails = await service.jobs(type="send-email")
    hooks = await service.jobs(type="webhook-delivery")
    checks = await service.jobs(type="process-file")
    wanted = promised.orders
    lines = (
        _rows(imports, promised),
        _jobs("order jobs", orders, wanted, [job["payload"]["orderId"] for job in orders]),
        _received("mails", mails, wanted, office.orders, office.taken),
        _received("webhooks", hooks, wanted, receiver.orders, receiver.taken),
        _jobs("checksums", checks, wanted, [job["id"] for job in checks if _checked(job)]),
    )
    counts = await service.counts()
    jobs = len(imports) + 4 * len(wanted)
    wrong = [
        *([f"{counts.total} jobs in the store instead of {jobs}"] if counts.total != jobs else []),
        *([f"{counts.failed} jobs failed"] if counts.failed else []),
        *([f"{counts.open} jobs are still open"] if counts.open else []),
        *([f"{receiver.badly_signed} webhooks with a wrong signature"] if receiver.badly_signed else []),
    ]
    repeats = [
        *await _repeats(service, "mail", office.taken, office.answers_lost),
        *await _repeats(service, "webhook", receiver.taken, receiver.answers_lost),
    ]
    return Account(lines=lines, repeats=repeats, wrong=wrong)


def _rows(imports: Sequence[JobJson], promised: Promised) -> Line:
    results: list[Mapping[str, Any]] = [job["result"] for job in imports if job["result"] is not None]
    enqueued = sum(int(result["enqueued"]) for result in results)
    refused = sum(int(result["errors"]) for result in results)
    return Line(
        what="rows of the import",
        acknowledged=len(promised.orders),
        arrived=enqueued,
        deliveries=enqueued,
        strangers=abs(refused - promised.refused),
    )


def _jobs(what: str, jobs: Sequence[JobJson], wanted: Collection[int], done: Sequence[Any]) -> Line:
    """Jobs of one type: as many as there are orders, no two for the same, and all completed."""
    completed = sum(job["state"] == State.COMPLETED.value for job in jobs)
    return Line(
        what=what,
        acknowledged=len(wanted),
        arrived=min(completed, len(set(done))),
        deliveries=min(completed, len(set(done))),
        strangers=len(jobs) - len(set(done)),
    )


def _received(
    what: str,
    jobs: Sequence[JobJson],
    wanted: Collection[int],
    orders: Mapping[int, set[str]],
    taken: Counter[str],
) -> Line:
    """What arrived outside: something for each order, by one job each that the store knows as completed."""
    known = {job["id"] for job in jobs if job["state"] == State.COMPLETED.value}
    arrived = [order for order in wanted if orders.get(order)]
    seen = set[str]().union(*orders.values())
    return Line(
        what=what,
        acknowledged=len(wanted),
        arrived=len(arrived),
        deliveries=taken.total(),
        strangers=len(seen - known) + len(seen) - len(arrived),
    )


def _checked(job: JobJson) -> bool:
    result, payload = job["result"], job["payload"]
    return result is not None and result["checksums"]["sha256"] == payload["expected"]["sha256"]


async def _repeats(
    service: Service, what: str, taken: Counter[str], answers_lost: Collection[str]
) -> list[Repeat]:
    found: list[Repeat] = []
    for job_id, times in taken.items():
        if times == 1:
            continue
        attempts = await service.attempts(job_id)
        gone = sum(attempt["outcome"] in _GONE for attempt in attempts)
        why = _why(times, len(attempts), gone, lost=int(job_id in answers_lost))
        found.append(Repeat(job_id=job_id, what=what, times=times, starts=len(attempts), why=why))
    return found


def _why(times: int, starts: int, gone: int, *, lost: int) -> str:
    """Each repetition needs a start of its own, behind a lost answer or a lost worker."""
    if times > starts or times > 1 + gone + lost:
        return UNEXPLAINED
    if lost and times > 1 + lost:
        return BOTH
    return ANSWER_LOST if lost else WORKER_KILLED
