"""Steps that jobs keep, and signals sent to them."""

from collections.abc import Sequence

import apsw

from headrace.core.steps import Kept, Signal, Step
from headrace.errors import JobNotFound
from headrace.stores.sqlite.statements import first, queries, rows, write, write_rows
from headrace.stores.sqlite.transaction import Write
from headrace.stores.stepping import signal_of, step_columns, step_of
from headrace.stores.texts import possible

_SQL = queries("steps")


def write_steps(db: apsw.Connection, seq: int, steps: Sequence[Step]) -> None:
    """Keeps steps of a job, or writes them over those of the same number."""
    write_rows(db, _SQL["write_step"], [(seq, *step_columns(step)) for step in steps])


def adopt(db: apsw.Connection, namespace: str, job_id: str, steps: Sequence[Step]) -> None:
    """Gives a job that was just inserted the steps it begins with."""
    seq = _seq(db, namespace, job_id)
    if seq is not None:
        write_steps(db, seq, steps)


def write_signal(at: Write, namespace: str, job_id: str, signal: Signal) -> None:
    """Writes a signal to a job, if there is one."""
    seq = _seq(at.db, namespace, job_id)
    if seq is not None:
        given = {
            "seq": seq,
            "id": signal.id,
            "name": signal.name,
            "at": signal.at,
            "payload": signal.payload,
        }
        write(at.db, _SQL["write_signal"], given)


def kept(db: apsw.Connection, namespace: str, job_id: str, now: int) -> Kept:
    """All that a job has kept."""
    seq = _seq(db, namespace, job_id)
    if seq is None:
        raise JobNotFound(job_id)
    return Kept(
        now=now,
        steps=tuple(map(step_of, rows(db, _SQL["steps_of"], {"seq": seq}))),
        signals=tuple(map(signal_of, rows(db, _SQL["signals_of"], {"seq": seq}))),
    )


def forget(at: Write, namespace: str, job_id: str, revision: int) -> int | None:
    """Removes the steps of a job that has ended and is as it was seen; returns how many there were."""
    given = {"id": job_id, "namespace": namespace, "revision": revision}
    found = first(at.db, _SQL["ended_seq_of"], given) if possible([job_id]) else None
    return None if found is None else write(at.db, _SQL["forget_steps"], {"seq": found[0]})


def _seq(db: apsw.Connection, namespace: str, job_id: str) -> int | None:
    if not possible([job_id]):
        return None
    (seq,) = first(db, _SQL["seq_of"], {"id": job_id, "namespace": namespace}) or (None,)
    return seq
