"""Steps that jobs keep, and signals sent to them."""

import json
from collections.abc import Sequence
from operator import itemgetter

from headrace.core.steps import Kept, Signal, Step
from headrace.errors import JobNotFound
from headrace.stores.redis.database import Database
from headrace.stores.redis.session import Session
from headrace.stores.stepping import signal_of, step_columns, step_of
from headrace.stores.texts import possible


def step_values(steps: Sequence[Step]) -> list[int | str]:
    """Steps as a script writes them: the number and the JSON text of each."""
    return [one for step in steps for one in (step.number, json.dumps(step_columns(step)))]


def adopt(session: Session, ids: Sequence[str], steps: Sequence[Step]) -> None:
    """Gives jobs that the commit inserts the steps they begin with."""
    if ids and steps:
        session.add(("adopt", ids, step_values(steps)))


class KeepsSteps:
    """Keeps ``headrace.stores.stepping.StepStore``, as part of the store."""

    _database: Database

    async def kept(self, namespace: str, job_id: str, *, now: int) -> Kept:
        keys = self._database.keys(namespace)
        found = await self._database.look(keys, "kept", job_id) if possible([job_id]) else None
        if found is None:
            raise JobNotFound(job_id)
        steps, signals = found
        return Kept(
            now=now,
            steps=tuple(sorted(map(step_of, map(json.loads, steps)), key=lambda step: step.number)),
            signals=tuple(signals_of(signals)),
        )

    async def signal(self, namespace: str, job_id: str, signal: Signal) -> None:
        if possible([job_id]):
            write = ("signal", job_id, signal.id, signal_text(signal))
            await self._database.write(self._database.keys(namespace), [write])

    async def forget_steps(self, namespace: str, job_id: str, *, revision: int) -> int | None:
        if not possible([job_id]):
            return None
        write = ("forget_steps", job_id, revision)
        (count,) = await self._database.write(self._database.keys(namespace), [write])
        return count


def signal_text(signal: Signal) -> str:
    """A signal as the hash of a job's signals holds it, behind its number."""
    return json.dumps((signal.id, signal.name, signal.at, signal.payload))


def signals_of(flat: Sequence[str]) -> Sequence[Signal]:
    """The signals of a hash, in the order in which they came."""
    numbered = [(int(number), text) for number, _, text in (one.partition(" ") for one in flat[1::2])]
    return [signal_of(json.loads(text)) for _, text in sorted(numbered, key=itemgetter(0))]
