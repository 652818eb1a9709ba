"""What E16 sees of its keys: at every look while clients ask for them, and from all answers at the end."""

import asyncio
from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Final

from headrace.core.filters import JobFilter, Page
from headrace.core.job import Job
from headrace.core.states import State
from headrace.stores.protocol import InsertKind, Store
from tests.builders import NAMESPACE
from tests.crash.kit.clocks import mono_ms
from tests.crash.kit.experiment import PAUSE_MS, SAMPLE_MS, Scene
from tests.crash.kit.keyed import (
    FINISHED,
    IDEMPOTENT,
    NO_ANSWER,
    OTHER_BODY,
    PERIOD,
    PERIOD_MS,
    STARTED,
    Answer,
    answers_in,
)
from tests.crash.kit.ledger import Phase

AT_A_LOOK: Final = 500
NEVER: Final = float("inf")


class Account:
    """The jobs seen under each key, and since when a key was seen to be free of them."""

    def __init__(self, scene: Scene, store: Store, log: Path) -> None:
        self._scene = scene
        self._store = store
        self._log = log
        self._demand = scene.findings.demand
        self._seen: dict[str, Job] = {}
        self._freed: dict[str, float] = {}
        self.count: Final = scene.pick(smoke=2, full=4)
        self.keys: Final = [
            f"{kind}-{number}" for kind in (FINISHED, STARTED) for number in range(self.count)
        ]
        own = [f"{kind}-own" for kind in (FINISHED, STARTED)]
        self._looked_at = [*self.keys, *own, *(f"{PERIOD}-{number}" for number in range(self.count))]

    async def look_on(self) -> None:
        """Looks at the holders of all keys, again and again."""
        while True:
            for key in self._looked_at:
                await self._look(key)
            await asyncio.sleep(0.02)

    async def _look(self, key: str) -> None:
        page = await self._store.find(NAMESPACE, JobFilter(unique_key=key), Page(limit=AT_A_LOOK))
        holders = [job.id for job in page.jobs if job.placement.unique_lock is not None]
        self._demand(len(holders) <= 1, "C28", key, f"is held by {len(holders)} jobs at once")
        live = [job.id for job in page.jobs if job.placement.live]
        allowed = len(live) if key.startswith(STARTED) else 1
        self._demand(len(live) <= allowed, "C28", key, f"has {len(live)} live jobs")
        now = mono_ms()
        for job in page.jobs:
            self._seen[job.id] = job
            if job.placement.unique_lock is None:
                self._freed.setdefault(job.id, now)
        self._scene.findings.did["looks"] += 1

    async def judge(self) -> None:
        """Compares all answers with each other, with what was seen and with what handlers did."""
        answers = answers_in(self._log)
        did = self._scene.findings.did
        did["calls"] = len(answers)
        for answer in answers:
            for told in answer.told:
                did[told] += 1
        by_key = defaultdict[str, list[Answer]](list)
        for answer in answers:
            by_key[answer.key].append(answer)
        for key, of_key in by_key.items():
            match of_key[0].kind:
                case kind if kind == IDEMPOTENT:
                    self._one_job(key, of_key)
                case kind if kind == PERIOD:
                    self._far_apart(key, of_key)
                case _:
                    self._never_held_by_the_dead(key, of_key)
        self._no_lives_overlap(answers)
        self._no_starts_overlap()
        await self._nothing_lost(answers)

    def winners(self) -> Mapping[str, tuple[str, str]]:
        """By idempotency key, the body that came first and the job it made."""
        won = {}
        for answer in answers_in(self._log):
            if answer.kind == IDEMPOTENT and _stands(answer):
                won[answer.key] = (answer.body, answer.jobs[0])
        return won

    def _one_job(self, key: str, answers: Sequence[Answer]) -> None:
        """One body and one job, whoever asks and however often (C31)."""
        stood = [answer for answer in answers if _stands(answer)]
        jobs, bodies = {answer.jobs[0] for answer in stood}, {answer.body for answer in stood}
        self._demand(len(jobs) <= 1, "C31", key, f"stands for {len(jobs)} jobs")
        self._demand(len(bodies) <= 1, "C31", key, f"took the bodies {sorted(bodies)}")
        refused = [answer for answer in answers if answer.told == (OTHER_BODY,)]
        wrong = [answer for answer in refused if answer.body in bodies]
        self._demand(not wrong, "C31", key, f"refused its own body {len(wrong)} times")
        others = {answer.jobs[0] for answer in refused} - jobs if jobs else set()
        self._demand(not others, "C31", key, "named another job when it refused a body")

    def _far_apart(self, key: str, answers: Sequence[Answer]) -> None:
        """Within a period there is one job (C29)."""
        made = sorted(_minted_at(answer.jobs[0]) for answer in answers if _inserted(answer))
        gaps = [later - earlier for earlier, later in pairwise(made)]
        soonest = min(gaps, default=PERIOD_MS)
        self._demand(soonest >= PERIOD_MS, "C29", key, f"two jobs within {soonest} of {PERIOD_MS} ms")

    def _never_held_by_the_dead(self, key: str, answers: Sequence[Answer]) -> None:
        """Who was told of a holder was told of one that held the key when asked (C29, C30)."""
        for answer in answers:
            self._demand(len(set(answer.jobs)) <= 1, "C30", key, f"two jobs for one key: {answer.jobs}")
            if answer.told[0] in {InsertKind.INSERTED, NO_ANSWER}:
                continue
            holder = answer.jobs[0]
            late = answer.invoked - self._freed.get(holder, NEVER)
            self._demand(late <= 0, "C29", holder, f"held {key} {late:.0f} ms after it was seen to be free")
            known = self._seen.get(holder)
            self._demand(known is None or known.facts.unique_key == key, "C30", holder, f"is not of {key}")

    def _no_lives_overlap(self, answers: Sequence[Answer]) -> None:
        """Nobody was told of a new job before the one before it had ended (C28)."""
        told_at = {answer.jobs[0]: answer.at for answer in answers if _inserted(answer)}
        error_ms = SAMPLE_MS if self._scene.target.server is not None else PAUSE_MS
        ended: dict[str, int] = {}
        for job in sorted(self._seen.values(), key=lambda one: one.seq):
            key = job.facts.unique_key or ""
            if key.startswith(FINISHED) and job.id in told_at and key in ended:
                early = ended[key] - told_at[job.id]
                self._demand(early <= error_ms, "C28", job.id, f"was made {early} ms before {key} was free")
            ended[key] = max(ended.get(key, 0), job.placement.ended_at or 0)
        self._scene.findings.did["lives under unique keys seen"] = len(self._seen)

    def _no_starts_overlap(self) -> None:
        """No job of a key runs again once another has begun under it; idempotency keys run one job only."""
        last: dict[str, str] = {}
        over: set[str] = set()
        for row in sorted(self._scene.ledger.rows(Phase.START), key=lambda one: one.mono):
            kind = row.note.rpartition("-")[0]
            if kind not in {FINISHED, IDEMPOTENT} or last.get(row.note) == row.job:
                continue
            if row.note in last:
                over.add(last[row.note])
                self._demand(kind == FINISHED, "C31", row.job, f"ran for {row.note} as another job did")
            self._demand(row.job not in over, "C28", row.job, f"ran again after another job of {row.note}")
            last[row.note] = row.job

    async def _nothing_lost(self, answers: Sequence[Answer]) -> None:
        """Every job that was made did its work, was cancelled, or is there as a dead letter."""
        made = {answer.jobs[0] for answer in answers if _inserted(answer)} | self._scene.history.acked()
        done = {row.job for row in self._scene.ledger.rows(Phase.EFFECT)}
        cancels = [call for call in self._scene.history.calls("cancel") if call.ended != "fail"]
        open_ends = sorted(made - done - {job for call in cancels for job in call.jobs})
        there = await self._store.get(NAMESPACE, open_ends)
        for job_id in open_ends:
            failed = job_id in there and there[job_id].state is State.FAILED
            seen = self._seen.get(job_id)
            known = "never seen" if seen is None else f"seen {seen.state} under {seen.facts.unique_key}"
            self._demand(failed, "I1", job_id, f"was acknowledged, did not run and is not there; {known}")
        self._scene.findings.did["jobs"] = len(made)


def _inserted(answer: Answer) -> bool:
    return answer.told[0] == InsertKind.INSERTED


def _stands(answer: Answer) -> bool:
    return answer.told[0] in {InsertKind.INSERTED, InsertKind.EXISTING}


def _minted_at(job_id: str) -> int:
    """The store time at which a client made the job: the first 48 bits of its id."""
    return int(job_id.replace("-", "")[:12], 16)
