"""Alert rules over a store: put, silenced, looked at by compare-and-set; and the jobs that tell of them.

What a look tells by jobs is inserted in the op that notes that it was told, so of several processes that
look at one rule only one tells. Log lines and functions follow that op: should the process die just then,
they do not come.
"""

import json
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Final

from headrace.core import alerts
from headrace.core.alert_wire import Alert, alert_of, dumps, loads
from headrace.core.alerts import (
    EVERY_MS,
    KIND,
    Active,
    AlertRule,
    AlertState,
    Notice,
    Status,
    Target,
    To,
    When,
)
from headrace.core.dead import KeptError
from headrace.core.job import Job
from headrace.core.policy import MAX_DURATION_MS
from headrace.core.request import EnqueueRequest
from headrace.core.wire import Json
from headrace.engine.alert_delivery import log, payload_text, request_for
from headrace.engine.alert_looking import Looks
from headrace.engine.enqueue import new_job
from headrace.engine.keys import lane_if_known
from headrace.engine.preparing import Preparing
from headrace.engine.published import PublishedTypes
from headrace.engine.registry import Registry
from headrace.errors import AlertNotFound, InvalidInput, StaleRegister, StoreUnavailable, UnknownJobType
from headrace.mint import IdMint
from headrace.stores.protocol import NewJob, Register, Store, Swap

_TRIES: Final = 20
_ERROR_CHARS: Final = 500


class Alerts:
    """The alert rules of one namespace."""

    def __init__(
        self, engine: Preparing, store: Store, published: PublishedTypes, registry: Registry
    ) -> None:
        self._engine = engine
        self._store = store
        self._published = published
        self._registry = registry
        self._namespace = engine.namespace
        self._looks = Looks(store, engine.namespace)
        self._ids = IdMint(random.Random())

    async def all(self) -> Sequence[AlertState]:
        """All rules, by name."""
        return [loads(one.value) for one in await self._store.scan(self._namespace, f"{KIND}:")]

    async def get(self, name: str) -> AlertState:
        """One rule. Raises AlertNotFound."""
        return loads((await self._register(name)).value)

    async def put(self, rule: AlertRule) -> AlertState:
        """Makes a rule, or changes it. Raises InvalidInput for a target that cannot be told."""
        await self._check_targets(rule)

        def after(known: AlertState | None) -> AlertState:
            return alerts.put(known, rule, self._engine.now())

        return await self._change(rule.name, after)

    async def silence(self, name: str, duration_ms: int) -> AlertState:
        """Has a rule tell nothing for so long. Raises AlertNotFound, InvalidInput."""
        if not 0 <= duration_ms <= MAX_DURATION_MS:
            raise InvalidInput("a silence lasts from 0 seconds to 1,000 years", field="duration")

        def after(known: AlertState | None) -> AlertState:
            if known is None:
                raise AlertNotFound(name)
            return alerts.silenced(known, self._engine.now() + duration_ms if duration_ms else None)

        return await self._change(name, after)

    async def remove(self, name: str) -> None:
        """Removes a rule. Raises AlertNotFound."""
        for _ in range(_TRIES):
            register = await self._register(name)
            gone = Swap(key=register.key, revision=register.revision, value=None)
            if await self._store.swap(self._namespace, (gone,)):
                return
        raise _too_fast(name)

    async def test(self, name: str) -> Sequence[str]:
        """Tells the targets of a rule that this is a test. Raises AlertNotFound."""
        rule = (await self.get(name)).rule
        now = self._engine.now()
        message = f"This is a test of alert rule {name}"
        active = Active(since=now, seen_at=now, told_at=None, count=0, message=message)
        told = (alert_of(rule, Notice(status=Status.TEST, subject=name, active=active), {}, now),)
        jobs, missing = await self._jobs(rule, told, now)
        if missing is not None:
            raise InvalidInput(missing, field="to")
        if jobs:
            await self._store.insert(self._namespace, jobs, now=now)
            self._wake(jobs)
        if any(one.to is To.LOG for one in rule.to):
            log(told)
        return [one.shown for one in rule.to if one.to is not To.FUNCTION]

    async def look(self, register: Register) -> tuple[AlertRule, Sequence[Alert]] | None:
        """Looks at a rule and tells what is to be told by jobs; None if somebody else has looked meanwhile.

        Returns the rule and its alerts, for who tells the log and the functions.
        """
        state = loads(register.value)
        now = self._engine.now()
        readings, still = await self._looks.readings(state, now)
        after, notices = alerts.looked(replace(state, still=still), readings, now)
        told = [alert_of(state.rule, one, await self._details(state.rule, one), now) for one in notices]
        jobs, missing = await self._jobs(state.rule, told, now)
        if missing is not None:
            after = replace(after, error=missing)
        swap = _swap(register, after, due_at=now + EVERY_MS)
        try:
            await self._store.insert(self._namespace, jobs, now=now, swaps=(swap,))
        except StaleRegister:
            return None
        self._wake(jobs)
        return state.rule, told

    async def put_off(self, register: Register, error: Exception) -> None:
        """Notes why a rule could not be looked at; it is tried again as usual."""
        value = register.value
        try:
            told = f"{type(error).__name__}: {error}"[:_ERROR_CHARS]
            value = dumps(replace(loads(value), error=told))
        except Exception:  # boundary: what another version wrote stays as it is
            value = register.value
        due = self._engine.now() + EVERY_MS
        swap = Swap(key=register.key, revision=register.revision, value=value, due_at=due)
        await self._store.swap(self._namespace, (swap,))

    async def _details(self, rule: AlertRule, notice: Notice) -> Mapping[str, Json]:
        """Facts of the job that an alert names."""
        job_id = notice.active.job_id
        job = None
        if job_id is not None and notice.status is not Status.RESOLVED:
            job = (await self._store.get(self._namespace, (job_id,))).get(job_id)
        if job is None:
            return _place(rule, notice.subject)
        return job_details(job, with_payload=rule.with_payload)

    async def _check_targets(self, rule: AlertRule) -> None:
        """Raises InvalidInput for a target whose job would be refused, before anything is written."""
        now = self._engine.now()
        active = Active(since=now, seen_at=now, told_at=None, count=0, message="a test")
        sample = Notice(status=Status.TEST, subject=rule.name, active=active)
        told = (alert_of(rule, sample, {}, now),)
        for target in rule.to:
            request = request_for(target, told)
            if request is None:
                continue
            try:
                await self._engine.prepared((request,), now)
            except UnknownJobType as error:
                raise InvalidInput(_nobody_tells(target, request.type), field="to") from error
            if (known := self._registry.find(request.type)) is not None:
                # so that whoever looks at the rule can make jobs of it without the code
                await self._published.publish((known.info,))

    async def _jobs(
        self, rule: AlertRule, told: Sequence[Alert], now: int
    ) -> tuple[list[NewJob], str | None]:
        """The jobs that tell the targets; and what is missing to tell the others, if anything is."""
        jobs: list[NewJob] = []
        missing: str | None = None
        for target in rule.to if told else ():
            request = request_for(target, told)
            try:
                jobs += [] if request is None else [await self._job(request, now)]
            except UnknownJobType as error:
                missing = str(error)[:_ERROR_CHARS]
        return jobs, missing

    async def _job(self, request: EnqueueRequest, now: int) -> NewJob:
        known = self._registry.find(request.type)
        info = known.info if known is not None else await self._published.latest(request.type)
        if info is None:
            raise UnknownJobType(request.type)
        text = payload_text(request.payload)
        job_id = self._ids.mint(now)
        lane = lane_if_known(request, info, text)
        return new_job(request, info, text, job_id=job_id, namespace=self._namespace, now=now, lane=lane)

    async def _change(self, name: str, change: Callable[[AlertState | None], AlertState]) -> AlertState:
        key = f"{KIND}:{name}"
        for _ in range(_TRIES):
            found = (await self._store.read(self._namespace, (key,))).get(key)
            known = None if found is None else loads(found.value)
            after = change(known)
            if after == known:
                return after
            now = self._engine.now()
            register = Register(key=key, value="", revision=0) if found is None else found
            if await self._store.swap(self._namespace, (_swap(register, after, due_at=now),)):
                return after
        raise _too_fast(name)

    async def _register(self, name: str) -> Register:
        key = f"{KIND}:{name}"
        found = (await self._store.read(self._namespace, (key,))).get(key)
        if found is None:
            raise AlertNotFound(name)
        return found

    def _wake(self, jobs: Sequence[NewJob]) -> None:
        if jobs:
            self._store.wake(self._namespace, frozenset(job.facts.queue for job in jobs))


def _nobody_tells(target: Target, job_type: str) -> str:
    """What to do about a target whose job type is not known."""
    where = f"{target.shown} is told by jobs of the type {job_type!r}, which no program has published"
    if target.to is To.JOB:
        return f"{where}: start a worker that has it, or name another one"
    return f"{where}: add it by app.include(headrace.handlers.job_types(app.settings))"


def job_details(job: Job, *, with_payload: bool) -> Mapping[str, Json]:
    """What an alert tells of a failed job."""
    error = KeptError.of(job)
    details: dict[str, Json] = {
        "jobId": job.id,
        "queue": job.facts.queue,
        "type": job.facts.type,
        "error": f"{error.type}: {error.message}"[:_ERROR_CHARS],
        "errorClass": error.error_class.value,
        "attempts": job.attempts,
    }
    return details | {"jobData": json.loads(job.facts.payload)} if with_payload else details


def needs_function(rule: AlertRule) -> bool:
    """Whether one of the targets is a function of a program."""
    return any(one.to is To.FUNCTION for one in rule.to)


def logs(rule: AlertRule) -> bool:
    """Whether one of the targets is the log."""
    return Target(to=To.LOG) in rule.to


def _place(rule: AlertRule, subject: str) -> Mapping[str, Json]:
    match rule.condition.when:
        case When.DEAD | When.PERMANENT:
            return {"type": subject}
        case When.WAITING | When.IDLE:
            return {"queue": subject}
        case When.MISSED:
            return {"schedule": subject}
        case When.BREAKER:
            return {"breaker": subject}
        case When.GROWING:
            return {}


def _swap(register: Register, state: AlertState, *, due_at: int) -> Swap:
    return Swap(key=register.key, revision=register.revision, value=dumps(state), due_at=due_at)


def _too_fast(name: str) -> StoreUnavailable:
    return StoreUnavailable(f"alert rule {name!r} changes too fast to decide on; try again")
