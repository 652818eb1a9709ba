"""A small model of a store: dictionaries, and the rules of docs/contract.md in plain sentences.

What becomes of a job is decided by ``core.decide`` here as there; what the model has of its own is
the order of claims, uniqueness, receipts, leases, guards, pause and erasure.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from headrace.core import history, place
from headrace.core.job import AttemptOutcome, Job, Transition
from headrace.core.states import State
from headrace.core.unique import OnConflict
from headrace.stores.protocol import (
    Already,
    Applied,
    ApplyAnswer,
    ClaimRequest,
    Conflict,
    Holder,
    Inserted,
    InsertKind,
    Lost,
    NewJob,
    Stale,
)

ALIVE_MS = 60_000


class Refused(Exception):
    """The model would refuse the whole insertion."""


@dataclass
class Model:
    """All jobs of one namespace, and all that stands beside them."""

    jobs: dict[str, Job] = field(default_factory=dict)
    trails: dict[str, str] = field(default_factory=dict)
    told: dict[tuple[str, int], AttemptOutcome | None] = field(default_factory=dict)
    receipts: dict[str, tuple[str, str | None, int]] = field(default_factory=dict)
    paused: set[str] = field(default_factory=set)
    workers: dict[str, tuple[frozenset[str], int]] = field(default_factory=dict)
    inserted: int = 0

    # -------------------------------------------------------- insert

    def insert(self, new_jobs: Sequence[NewJob], now: int) -> list[Inserted]:
        """The answers, once all is written; raises Refused with nothing written."""
        before = dict(self.jobs), dict(self.receipts), self.inserted
        try:
            answers = [self._insert_one(new, now) for new in new_jobs]
        except Refused:
            self.jobs, self.receipts, self.inserted = before
            raise
        for job_id, old in before[0].items():  # one op changes a job once, however many replace it
            self.jobs[job_id] = replace(
                self.jobs[job_id], revision=min(self.jobs[job_id].revision, old.revision + 1)
            )
        return answers

    def _insert_one(self, new: NewJob, now: int) -> Inserted:
        receipt = new.receipt
        if receipt is not None and receipt.key in self.receipts:
            job_id, body, until = self.receipts[receipt.key]
            if until > now:
                if receipt.body is None and new.on_conflict is OnConflict.REJECT:
                    raise Refused
                if None not in (body, receipt.body) and body != receipt.body:
                    raise Refused
                return Inserted(kind=InsertKind.EXISTING, job_id=job_id)
        answer = self._by_key(new)
        if receipt is not None:
            self.receipts[receipt.key] = (answer.job_id, receipt.body, receipt.until)
        return answer

    def _by_key(self, new: NewJob) -> Inserted:
        standing = self.holder_of(new.placement.unique_lock)
        if standing is None:
            self.inserted += 1
            self.jobs[new.facts.id] = Job(facts=new.facts, placement=new.placement, seq=self.inserted)
            return Inserted(kind=InsertKind.INSERTED, job_id=new.facts.id)
        if new.on_conflict is OnConflict.REJECT:
            raise Refused
        alike = standing.state is State.PENDING and standing.facts.type == new.facts.type
        if new.on_conflict is OnConflict.REPLACE and alike:
            self._replace(standing, new)
            return Inserted(kind=InsertKind.REPLACED, job_id=standing.id)
        return Inserted(kind=InsertKind.EXISTING, job_id=standing.id)

    def _replace(self, old: Job, new: NewJob) -> None:
        wanted = new.placement
        self.jobs[old.id] = replace(
            old,
            facts=replace(old.facts, payload=new.facts.payload, tags=new.facts.tags),
            placement=replace(
                old.placement,
                priority=wanted.priority,
                rank=wanted.rank,
                due_at=wanted.due_at,
                parked_on=None,
            ),
            revision=old.revision + 1,
        )

    def holder_of(self, lock: str | None) -> Job | None:
        """The job that holds a unique key."""
        holders = [
            job for job in self.jobs.values() if lock is not None and job.placement.unique_lock == lock
        ]
        assert len(holders) <= 1
        return holders[0] if holders else None

    # -------------------------------------------------------- claim

    def claimable(self, queue: str, types: frozenset[str], now: int) -> list[Job]:
        """The due jobs of a queue that a worker with these types may start, in order."""
        if queue in self.paused:
            return []
        due = [job for job in self.jobs.values() if _is_due(job, now) and job.facts.queue == queue]
        known = [job for job in due if job.facts.type in types]
        return sorted(known, key=lambda job: (-job.placement.priority, job.placement.rank, job.seq))

    def claim(self, request: ClaimRequest, found: Iterable[str]) -> list[Job]:
        """Hands out the jobs that the store chose, once the choice is checked."""
        chosen = list(found)
        orders = {queue: self.claimable(queue, request.types, request.now) for queue in request.queues}
        expected = sum(min(most, len(orders[queue])) for queue, most in request.queues.items())
        assert len(chosen) == min(request.limit, expected)
        for queue, order in orders.items():
            here = [job_id for job_id in chosen if self.jobs[job_id].facts.queue == queue]
            assert here == [job.id for job in order[: len(here)]]
            assert len(here) <= request.queues[queue]
        return [self._start(job_id, request) for job_id in chosen]

    def _start(self, job_id: str, request: ClaimRequest) -> Job:
        job = place.claimed(
            self.jobs[job_id], worker=request.worker, now=request.now, lease_until=request.lease_until
        )
        self.jobs[job_id] = job
        return job

    def park(self, job_id: str, seen: Job, request: ClaimRequest) -> None:
        """Accepts that a claim parked a job, if it was allowed to."""
        job = self.jobs[job_id]
        assert _is_due(job, request.now)
        assert job.facts.queue in request.queues
        assert job.facts.type not in request.types | self.known_types(request.now)
        parked = replace(job.placement, due_at=None, parked_on=f"type:{job.facts.type}")
        assert seen.placement == parked
        self.jobs[job_id] = replace(job, placement=parked, revision=job.revision + 1)

    def known_types(self, now: int) -> frozenset[str]:
        """The types that some live worker knows."""
        alive = (types for types, seen_at in self.workers.values() if seen_at >= now - ALIVE_MS)
        return frozenset().union(*alive)

    def unpark(self, types: frozenset[str], now: int) -> None:
        """Brings back the jobs that waited for one of these types."""
        for job in list(self.jobs.values()):
            if job.placement.parked_on is not None and job.facts.type in types:
                back = replace(job.placement, parked_on=None, due_at=min(job.placement.rank, now))
                self.jobs[job.id] = replace(job, placement=back, revision=job.revision + 1)

    # -------------------------------------------------------- apply

    def apply(self, transition: Transition) -> ApplyAnswer:
        """The answer to one transition, once it is written if it may be."""
        decided = transition.job
        current = self.jobs.get(decided.id)
        if current is None:
            return Lost()
        if self._guard_holds(transition, current):
            return self._write(transition, current)
        if not _ends_attempt(transition):
            return Stale(current)
        outcome = self.told.get((decided.id, decided.fence))
        if outcome is not None:
            return Already(outcome)
        open_still = current.fence == decided.fence and current.state is State.PROCESSING
        return Stale(current) if open_still else Lost()

    def _guard_holds(self, transition: Transition, current: Job) -> bool:
        decided, before = transition.job, transition.expired_before
        if (current.fence, current.revision) != (decided.fence, decided.revision):
            return False
        lease = current.placement.lease_until
        return before is None or (lease is not None and lease < before)

    def _write(self, transition: Transition, current: Job) -> ApplyAnswer:
        lock = transition.placement.unique_lock
        other = self.holder_of(lock)
        if other is not None and other.id != current.id:
            return Conflict(other.id)
        if transition.attempt is not None:
            self.trails[current.id] = history.append(self.trails.get(current.id), transition.attempt)
        if _ends_attempt(transition):
            self.told[current.id, current.fence] = _told_by_holder(transition)
        self.jobs[current.id] = replace(
            current, placement=transition.placement, revision=current.revision + 1
        )
        return Applied()

    # -------------------------------------------------------- holders

    def holds(self, holder: Holder) -> bool:
        """Whether a fence still holds."""
        job = self.jobs.get(holder.job_id)
        return job is not None and job.fence == holder.fence and job.state is State.PROCESSING

    def renew(self, holder: Holder, lease_until: int) -> None:
        """Moves a lease that still holds."""
        job = self.jobs[holder.job_id]
        self.jobs[job.id] = replace(job, placement=replace(job.placement, lease_until=lease_until))

    def expired(self, now: int) -> list[str]:
        """Ids of the running jobs whose lease has ended, longest expired first."""
        leases = [(job.placement.lease_until, job.seq, job.id) for job in self.jobs.values()]
        return [
            job_id
            for lease, _, job_id in sorted(leases, key=lambda one: (one[0] or 0, one[1]))
            if lease and lease < now
        ]

    # -------------------------------------------------------- the rest

    def erase(self, left: Mapping[str, Job], now: int, limit: int) -> int:
        """Accepts what the store erased, if it was the oldest of what may go; returns how many."""
        ripe = {job.id: job.placement.erase_at or 0 for job in self.jobs.values() if _is_ripe(job, now)}
        gone = self.jobs.keys() - left.keys()
        stay = ripe.keys() - gone
        assert gone <= ripe.keys()
        assert len(gone) == min(limit, len(ripe))
        assert not gone or not stay or max(ripe[i] for i in gone) <= min(ripe[i] for i in stay)
        for job_id in gone:
            del self.jobs[job_id]
            self.trails.pop(job_id, None)
        return len(gone)

    def tallies(self) -> Counter[tuple[str, str, State]]:
        """How many jobs there are by queue, type and state."""
        return Counter((job.facts.queue, job.facts.type, job.state) for job in self.jobs.values())


def _is_due(job: Job, now: int) -> bool:
    return job.placement.due_at is not None and job.placement.due_at <= now


def _is_ripe(job: Job, now: int) -> bool:
    return job.placement.erase_at is not None and job.placement.erase_at <= now


def _ends_attempt(transition: Transition) -> bool:
    return transition.job.state is State.PROCESSING and transition.placement.state is not State.PROCESSING


def _told_by_holder(transition: Transition) -> AttemptOutcome | None:
    """What the holder of the ended attempt is told when it reports again; None: its lease is lost."""
    attempt = transition.attempt
    outcome = transition.placement.outcome if attempt is None else attempt.outcome
    return None if outcome is AttemptOutcome.RESCUED else outcome
