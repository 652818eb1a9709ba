"""Steps that jobs keep, and signals sent to them."""

from collections.abc import Mapping, Sequence

from headrace.core.steps import Kept, Signal, Step
from headrace.errors import JobNotFound
from headrace.stores.postgres.rows import arrays
from headrace.stores.postgres.session import Session
from headrace.stores.stepping import signal_of, step_columns, step_of
from headrace.stores.texts import possible


async def write_steps(session: Session, steps: Mapping[int, Sequence[Step]]) -> None:
    """Keeps steps of the jobs of these seqs, or writes them over those of the same number."""
    last = {(seq, step.number): step for seq, of_job in steps.items() for step in of_job}
    if last:
        rows = [(seq, *step_columns(step)) for (seq, _), step in sorted(last.items(), key=lambda one: one[0])]
        await session.run("write_steps", *arrays(rows))


async def adopt(session: Session, namespace: str, ids: Sequence[str], steps: Sequence[Step]) -> None:
    """Gives jobs that were just inserted the steps they begin with."""
    found = await session.rows("seqs_of", namespace, ids)
    await write_steps(session, {row[0]: steps for row in found})


async def write_signal(session: Session, namespace: str, job_id: str, signal: Signal) -> None:
    """Writes a signal to a job, if there is one."""
    if possible([job_id]):
        given = (signal.id, signal.name, signal.at, signal.payload)
        await session.run("write_signal", namespace, job_id, *given)


async def forget(session: Session, namespace: str, job_id: str, revision: int) -> int | None:
    """Removes the steps of a job that has ended and is as it was seen; returns how many there were."""
    found = await session.row("forget_steps", namespace, job_id, revision) if possible([job_id]) else None
    return None if found is None else found[0]


async def kept(session: Session, namespace: str, job_id: str, now: int) -> Kept:
    """All that a job has kept."""
    found = await session.rows("steps_of", namespace, job_id) if possible([job_id]) else []
    if not found:
        raise JobNotFound(job_id)
    signals = await session.rows("signals_of", found[0][0])
    return Kept(
        now=now,
        steps=tuple(step_of(columns) for _, *columns in found if columns[0] is not None),
        signals=tuple(map(signal_of, signals)),
    )
