"""How a job becomes fields of its hash and members of indexes, and how a script's reply becomes a job."""

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import lru_cache
from operator import attrgetter
from typing import Any, Final

from headrace.core.job import Facts, Job, Placement, Transition
from headrace.core.place import CLAIMED
from headrace.errors import InvalidInput
from headrace.stores.gating import gate_of
from headrace.stores.redis.partitions.ticks import Ticked
from headrace.stores.redis.session import Write
from headrace.stores.rows import ISOLATIONS, OUTCOMES, STATES
from headrace.stores.values import NewJob

Row = Sequence[Any]

_EXACT: Final = 2**53
_TOP: Final = 4_194_304
_ABOVE: Final = 2_097_152
_MAX_RANK: Final = 10**16 - 1
_PRIORITY_CHARS: Final = 7
_RANK_CHARS: Final = 16
_SEQ_CHARS: Final = 16
_ID_CHARS: Final = 36
_PLACE_CHARS: Final = _PRIORITY_CHARS + _RANK_CHARS
_HEAD_CHARS: Final = _PLACE_CHARS + _SEQ_CHARS + 1

# What is the same for many jobs comes first, so that it is written and read once for all of them.
_facts: Final[Callable[[Facts], tuple[object, ...]]] = attrgetter(
    "type", "version", "queue", "max_attempts", "max_crashes", "timeout_ms", "backoff", "unique_key",
    "lock_after_claim", "lane", "batch_id", "parent_id", "tags",
)  # fmt: skip
_placement: Final[Callable[[Placement], tuple[object, ...]]] = attrgetter(
    "erase_at", "cancel_asked_at", "timeout_ms", "isolation", "generation", "starts", "failures", "crashes",
    "releases", "snoozes", "worker", "ended_at", "outcome",
)  # fmt: skip
_KNOWN: Final = 4_096
_SHORT: Final = 300
_dumps: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), check_circular=False).encode


def facts_text(facts: Facts) -> str:
    """The field ``f``: what is fixed."""
    return f'{facts_head(facts)}{facts.id}"]'


def facts_head(facts: Facts) -> str:
    """The field ``f`` up to the id."""
    return f'{_head(_facts(facts))},{facts.created_at},"'


def placement_text(placement: Placement) -> str:
    """The field ``l``: what of a placement hardly any script looks at."""
    return (
        f"{_head(_placement(placement))},{_text(placement.error)},{_text(placement.result)},"
        f"{_text(placement.started_at)},{placement.priority},{placement.rank}]"
    )


@lru_cache(maxsize=_KNOWN)
def _head(values: tuple[object, ...]) -> str:
    return _dumps(values)[:-1]


def _text(value: object) -> str:
    return "null" if value is None else _dumps(value)


def _read(head: str) -> Sequence[Any]:
    return _read_short(head) if len(head) < _SHORT else json.loads(head + "]")


@lru_cache(maxsize=_KNOWN)
def _read_short(head: str) -> Sequence[Any]:
    return json.loads(head + "]")


def place_text(priority: int, rank: int) -> str:
    """The field ``z``: sorts by priority, higher first, then by rank."""
    return f"{_TOP - (priority + _ABOVE):07d}{min(max(rank, 0), _MAX_RANK):016d}"


def priority_rank(member: str) -> tuple[int, int]:
    """Priority and rank of a member."""
    return _TOP - _ABOVE - int(member[:_PRIORITY_CHARS]), int(member[_PRIORITY_CHARS:_PLACE_CHARS])


def seq_of(member: str) -> int:
    """The seq of a member."""
    return int(member[_PLACE_CHARS : _PLACE_CHARS + _SEQ_CHARS])


def type_of(member: str) -> str:
    """The type of a member."""
    return member[_HEAD_CHARS : -_ID_CHARS - 1]


def id_of(member: str) -> str:
    """The id of a member."""
    return member[-_ID_CHARS:]


def stamp(worker: str, now: int) -> str:
    """The field ``c``: who has claimed a job, and when. While it is there the placement is as claimed."""
    return _dumps((worker, now))


def insert_row(new: NewJob) -> list[object]:
    """A job as the write ``insert`` takes it."""
    facts, placement = new.facts, new.placement
    row: list[object] = [
        facts.id,
        facts.queue,
        facts.type,
        facts_text(facts),
        facts.payload,
        placement.state,
        placement_text(placement),
        place_text(placement.priority, placement.rank),
        given(placement.due_at),
        _more(facts, placement) or False,
        placement.cancel_asked_at is not None,
        given(placement.lease_until),
    ]
    if isinstance(new, Ticked):
        row.append(new.tick)
    return row


def _more(facts: Facts, placement: Placement) -> dict[str, object]:
    """Fields that most jobs have not."""
    gate, order = gate_of(facts.lane)
    lock = placement.unique_lock
    found = {
        "x": placement.parked_on,
        "k": lock,
        "y": placement.slot_key,
        "a": facts.lock_after_claim,
        "b": facts.batch_id,
        "g": gate,
        "o": order,
        "u": facts.unique_key,
        "w": _dumps(facts.tags) if facts.tags else None,
    }
    return {name: value for name, value in found.items() if value is not None}


def move_write(transition: Transition, now: int, trail: str | None = None) -> Write:
    """The write ``move``. ``trail`` is the whole trail with the attempt that has ended, if one has."""
    job, placement = transition.job, transition.placement
    return (
        "move",
        job.facts.id,
        job.fence,
        job.revision,
        given(transition.expired_before),
        now,
        placement.state,
        placement_text(placement),
        place_text(placement.priority, placement.rank),
        given(placement.due_at),
        placement.parked_on or False,
        placement.unique_lock or False,
        placement.slot_key or False,
        given(placement.lease_until),
        given(placement.erase_at),
        given(placement.ended_at),
        placement.cancel_asked_at is not None,
        trail or False,
    )


def replace_write(holder: Job, new: NewJob, now: int) -> Write:
    """The write ``replace``: what a newer enqueue changes of a waiting job."""
    facts = replace(holder.facts, payload=new.facts.payload, version=new.facts.version, tags=new.facts.tags)
    wanted = new.placement
    placement = replace(
        holder.placement, priority=wanted.priority, rank=wanted.rank, due_at=wanted.due_at, parked_on=None
    )
    return (
        "replace",
        facts.id,
        holder.revision,
        now,
        facts_text(facts),
        facts.payload,
        placement_text(placement),
        place_text(placement.priority, placement.rank),
        given(placement.due_at),
        _dumps(facts.tags) if facts.tags else False,
    )


def job_of(namespace: str, row: Row) -> Job:
    """The job of a row as ``rows.of`` answers it."""
    return jobs_of(namespace, [row])[0]


def jobs_of(namespace: str, rows: Sequence[Row | None]) -> list[Job]:
    """The jobs of rows; one that is not there is left out."""
    return [_job(namespace, row) for row in rows if row]


def claimed_jobs(
    namespace: str, rows: Sequence[Row], *, worker: str, now: int, lease_until: int
) -> list[Job]:
    """The jobs of rows as ``taking.claim`` answers them, as ``core.place.claimed`` leaves them."""
    found: list[Job] = []
    alike: dict[tuple[str, str | None, str | None], Placement] = {}
    for facts_read, placed, payload, seq, fence, revision, slot, progress, checkpoint in rows:
        facts = _facts_of(namespace, facts_read, payload)
        place = (placed, facts.lock_after_claim, slot)
        placement = alike.get(place)
        if placement is None:
            placement = alike[place] = _claimed(*place, worker=worker, now=now, lease_until=lease_until)
        job = Job(
            facts=facts, placement=placement, seq=int(seq), fence=fence, revision=revision, progress=progress,
            checkpoint=checkpoint,
        )  # fmt: skip
        found.append(job)
    return found


def _claimed(  # noqa: PLR0913 - what a claim says, and what was there
    placed: str, lock: str | None, slot: str | None, *, worker: str, now: int, lease_until: int
) -> Placement:
    """A placement as claimed, of what was kept of it."""
    head, priority, rank = placed.rsplit(",", 2)
    (
        _, _, timeout_ms, isolation, generation, starts, failures, crashes, releases, snoozes, *_,
    ) = _read(head)  # fmt: skip
    return Placement(
        state=CLAIMED, priority=int(priority), rank=int(rank[:-1]), lease_until=lease_until,
        unique_lock=lock, slot_key=slot, timeout_ms=timeout_ms, isolation=ISOLATIONS[isolation],
        generation=generation, starts=starts + 1, failures=failures, crashes=crashes, releases=releases,
        snoozes=snoozes, worker=worker, started_at=now,
    )  # fmt: skip


def _facts_of(namespace: str, text: str, payload: str) -> Facts:
    head, created_at, id_ = text.rsplit(",", 2)
    (
        type_, version, queue, max_attempts, max_crashes, timeout_ms, backoff, unique_key, lock_after_claim,
        lane, batch_id, parent_id, tags,
    ) = _read(head)  # fmt: skip
    return Facts(
        id=id_[1:-2], namespace=namespace, type=type_, version=version, queue=queue, payload=payload,
        created_at=int(created_at), max_attempts=max_attempts, max_crashes=max_crashes, timeout_ms=timeout_ms,
        backoff=backoff, unique_key=unique_key, lock_after_claim=lock_after_claim, lane=lane,
        batch_id=batch_id, parent_id=parent_id, tags=tuple(tags),
    )  # fmt: skip


def _job(namespace: str, row: Row) -> Job:
    (
        facts, placed, payload, seq, fence, revision, state, due_at, parked_on, lock, slot, claim, lease,
        *noted,
    ) = row  # fmt: skip
    (
        erase_at, cancel_asked_at, timeout_ms, isolation, generation, starts, failures, crashes, releases,
        snoozes, worker, ended_at, outcome, error, result, started_at, priority, rank,
    ) = json.loads(placed)  # fmt: skip
    if claim:
        worker, started_at = json.loads(claim)
        starts += 1
        erase_at = cancel_asked_at = ended_at = outcome = error = result = None
    progress, checkpoint, timed_out_at = noted or (None, None, None)
    return Job(
        facts=_facts_of(namespace, facts, payload),
        placement=Placement(
            state=STATES[state], priority=priority, rank=rank, due_at=_number(due_at),
            lease_until=_number(lease), unique_lock=lock or None, slot_key=slot or None,
            parked_on=parked_on or None, erase_at=erase_at, cancel_asked_at=cancel_asked_at,
            timeout_ms=timeout_ms, isolation=ISOLATIONS[isolation], generation=generation, starts=starts,
            failures=failures, crashes=crashes, releases=releases, snoozes=snoozes, worker=worker,
            started_at=started_at, ended_at=ended_at, outcome=None if outcome is None else OUTCOMES[outcome],
            error=error, result=result,
        ),
        seq=int(seq), fence=int(fence), revision=int(revision),
        progress=progress, checkpoint=checkpoint, timed_out_at=_number(timed_out_at),
    )  # fmt: skip


def given(instant: int | None) -> int | bool:
    """An instant as writes have it: in Lua null would be true, and larger numbers would not be exact."""
    if instant is None:
        return False
    if not -_EXACT <= instant <= _EXACT:
        raise InvalidInput(f"{instant} cannot be kept as an instant")
    return instant


def _number(text: str | None) -> int | None:
    return int(text) if text else None
