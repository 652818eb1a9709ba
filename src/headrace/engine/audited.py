"""Operations that put on record what is done through them, and by whom. Every face composes one.

Here stands which operation is an operator's action. A test goes through all operations, so that none is
forgotten. Reads pass through as they are.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from functools import cache, partial
from inspect import Signature, signature
from typing import Any, Final, Protocol, TypeVar, cast

from headrace.core.wire import Json
from headrace.engine.audit import AuditLog
from headrace.errors import HeadraceError

E = TypeVar("E", bound="AuditedEngine")


class AuditedEngine(Protocol):
    """What can be put on record."""

    audit_log: AuditLog


@dataclass(frozen=True, slots=True)
class Action:
    """An operator's action: its name, what it is done to, which argument names that, and what else is kept.

    ``subject`` is an argument, or an attribute of one, such as ``rule.name``; None: the namespace as a whole.
    """

    name: str
    entity: str
    subject: str | None
    kept: tuple[str, ...] = ()


ACTIONS: Final[Mapping[str, Action]] = {
    "cancel": Action("job.cancel", "job", "job_id"),
    "retry": Action("job.retry", "job", "job_id"),
    "replay": Action("job.replay", "job", "job_id", ("from_step",)),
    "signal": Action("job.signal", "job", "job_id", ("name", "key")),
    "forget_steps": Action("job.forget_steps", "job", "job_id"),
    "pause": Action("queue.pause", "queue", "queue"),
    "resume": Action("queue.resume", "queue", "queue"),
    "cancel_batch": Action("batch.cancel", "batch", "batch_id"),
    "retry_batch": Action("batch.retry", "batch", "batch_id"),
    "put_schedule": Action("schedule.put", "schedule", "schedule_id", ("timing",)),
    "pause_schedule": Action("schedule.pause", "schedule", "schedule_id"),
    "resume_schedule": Action("schedule.resume", "schedule", "schedule_id"),
    "trigger_schedule": Action("schedule.trigger", "schedule", "schedule_id"),
    "remove_schedule": Action("schedule.remove", "schedule", "schedule_id"),
    "ping_loop": Action("loop.ping", "loop", "name"),
    "stop_loop": Action("loop.stop", "loop", "name"),
    "start_loop": Action("loop.start", "loop", "name"),
    "redrive": Action("job.redrive", "job", "job_id", ("priority", "delay_ms")),
    "discard": Action("job.discard", "job", "job_id", ("reason",)),
    "redrive_many": Action("dead_letters.redrive", "dead_letters", None, ("wanted", "per_second", "limit")),
    "discard_many": Action("dead_letters.discard", "dead_letters", None, ("wanted", "reason", "limit")),
    "set_dead_letter_queue": Action("queue.dead_letter_queue", "queue", "queue", ("target",)),
    "put_alert": Action("alert.put", "alert", "rule.name"),
    "remove_alert": Action("alert.remove", "alert", "name"),
    "silence_alert": Action("alert.silence", "alert", "name", ("duration_ms",)),
    "test_alert": Action("alert.test", "alert", "name"),
    "set_limit": Action("limit.set", "limit", "name", ("slots", "rate")),
    "reset_limit": Action("limit.reset", "limit", "name"),
    "open_breaker": Action("breaker.open", "breaker", "name", ("for_ms",)),
    "close_breaker": Action("breaker.close", "breaker", "name"),
    "set_queue_bound": Action("queue.bound", "queue", "queue", ("max_length", "overflow")),
    "reset_queue_bound": Action("queue.unbound", "queue", "queue"),
    "set_weight": Action("queue.weight", "queue", "queue", ("tenant", "weight")),
    "keep_events": Action("events.keep", "events", None, ("keep",)),
    "stop_events": Action("events.stop", "events", None),
}

NOT_ACTIONS: Final = frozenset(
    {
        # work itself, which the jobs show
        "enqueue",
        "create_batch",
        "add_to_batch",
        "seal_batch",
        # what a program declares when it starts
        "declare_limits",
        "declare_queues",
        # reads
        "namespace",
        "now",
        "job",
        "jobs",
        "history",
        "log_lines",
        "follow_log",
        "steps",
        "wait",
        "stats",
        "queues",
        "parked",
        "workers",
        "job_types",
        "batch",
        "batches",
        "wait_for_batch",
        "schedules",
        "schedule",
        "loops",
        "loop",
        "health",
        "dead_letters",
        "dead_letter_counts",
        "dead_letter",
        "dead_letter_queues",
        "alerts",
        "alert",
        "limits",
        "limit",
        "breakers",
        "breaker",
        "queue_bounds",
        "shares",
        "explain",
        "flow",
        "events",
        "events_kept",
        "follow_events",
        # the record
        "audit",
        "record_audit",
    }
)


def audited(operations: E, actor: str) -> E:
    """The operations, of which every action is put on record as done by ``actor``."""
    return cast("E", _Audited(operations, actor))


class _Audited:
    def __init__(self, inner: AuditedEngine, actor: str) -> None:
        self._inner = inner
        self._actor = actor

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the operations have
        found = getattr(self._inner, name)
        action = ACTIONS.get(name)
        return found if action is None else partial(self._act, action, found)

    async def _act(
        self,
        action: Action,
        do: Callable[..., Awaitable[Any]],
        *args: Any,  # noqa: ANN401 - passed on
        **kwargs: Any,  # noqa: ANN401
    ) -> Any:  # noqa: ANN401
        """Puts the action on record, then does it: nothing is done that is not on record."""
        log = self._inner.audit_log
        given = _arguments(do, args, kwargs)
        entry = await log.write(
            actor=self._actor,
            action=action.name,
            entity_type=action.entity,
            entity_id=_subject(action, given),
            metadata={name: _told(given[name]) for name in action.kept if given.get(name) is not None},
        )
        try:
            return await do(*args, **kwargs)
        except HeadraceError as error:
            await log.not_done(entry, error)
            raise


def _subject(action: Action, given: Mapping[str, Any]) -> str:
    if action.subject is None:
        return ""
    name, _, attribute = action.subject.partition(".")
    found = given[name]
    return str(getattr(found, attribute) if attribute else found)


def _arguments(do: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Mapping[str, Any]:
    """The arguments by name. Raises TypeError as the call would."""
    return _signature(getattr(do, "__func__", do)).bind(None, *args, **kwargs).arguments


@cache
def _signature(function: Callable[..., Any]) -> Signature:
    return signature(function)


def _told(value: object) -> Json:
    """An argument as it is put on record."""
    match value:
        case bool() | int() | float() | str():
            return value
        case Mapping():
            mapped = cast("Mapping[object, object]", value)
            return {str(name): _told(one) for name, one in mapped.items()}
        case _ if is_dataclass(value) and not isinstance(value, type):
            return {one.name: _told(getattr(value, one.name)) for one in fields(value)}
        case list() | tuple() | set() | frozenset():
            return [_told(one) for one in cast("Sequence[object]", value)]
        case _:
            return str(value)
