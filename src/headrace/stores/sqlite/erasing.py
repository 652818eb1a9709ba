"""Ended jobs leave, with all that belongs to them."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import apsw

from headrace.core.job import WAITED_ON
from headrace.core.states import State
from headrace.stores.sqlite.statements import first, integers, queries, rows, write
from headrace.stores.sqlite.transaction import Write

_JOBS = queries("jobs")
_SQL = queries("notes")
_MARK: Final = {"waited_on": WAITED_ON}
_TABLES: Final = (
    "delete_job",
    "delete_body",
    "delete_note",
    "delete_line",
    "delete_trail",
    "delete_step",
    "delete_signal",
    "delete_edge",
)


def erase(at: Write, now: int, limit: int) -> int:
    """Deletes jobs whose ``erase_at`` has come; returns how many."""
    return _delete(at, rows(at.db, _SQL["erasable"], {"now": now, "limit": limit, **_MARK}))


@dataclass(frozen=True, slots=True, kw_only=True)
class Surplus:
    """The ended jobs of a type and state that are older than the newest ``keep``."""

    namespace: str
    type: str
    state: State
    keep: int
    limit: int

    def __call__(self, write: Write) -> int:
        """Deletes the oldest of them; returns how many."""
        which: dict[str, str | int] = {"namespace": self.namespace, "type": self.type, "state": self.state}
        before = _NEWEST if self.keep == 0 else self._oldest_kept(write.db, which)
        if before is None:
            return 0
        return _delete(
            write, rows(write.db, _SQL["beyond"], which | {"before": before, "limit": self.limit} | _MARK)
        )

    def _oldest_kept(self, db: apsw.Connection, which: dict[str, str | int]) -> int | None:
        (seq,) = first(db, _SQL["kept_oldest"], which | {"keep": self.keep}) or (None,)
        return seq


_NEWEST: Final = 2**63 - 1


def _delete(at: Write, found: Sequence[tuple[Any, ...]]) -> int:
    if not found:
        return 0
    for seq, namespace, queue, job_type, state, tags in found:
        at.count(namespace, queue, job_type, state, -1)
        for tag in () if tags is None else json.loads(tags):
            write(at.db, _JOBS["delete_tags"], {"namespace": namespace, "tag": tag, "seq": seq})
    seqs = [row[0] for row in found]
    for query in _TABLES:
        write(at.db, _SQL[query], {"seqs": integers(seqs)})
    write(at.db, _SQL["raise_seq"], {"seq": max(seqs)})
    return len(found)
