"""Group commit: all ops that wait are written in one transaction, each for itself."""

import time
from collections import Counter
from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any, Final

import apsw

from headrace.errors import StoreUnavailable
from headrace.stores.sqlite.faults import commit_failed, translated
from headrace.stores.sqlite.pace import GIVE_UP_S, Pace, busy_wait
from headrace.stores.sqlite.statements import run
from headrace.stores.sqlite.transaction import Op, Place, Slot, Write, write_moves


@dataclass(frozen=True, slots=True)
class Done:
    """An op's result, durable in the store's tier."""

    result: Any


@dataclass(frozen=True, slots=True)
class Failed:
    """Why an op was not done; nothing of it was written."""

    error: Exception


Ending = Done | Failed

_SAVEPOINT: Final = "savepoint op"
_UNDO: Final = "rollback to op"
_RELEASE: Final = "release op"


class _Broken(Exception):
    """SQLite ended the whole transaction by itself."""


class Committer:
    """Commits groups of ops on one connection.

    An op that fails is undone and does not disturb the others. A commit that fails fails them all.
    ``before_commit`` writes what the store itself has to note, in the same transaction; ``wake`` is told
    after it where ops brought jobs back.
    """

    def __init__(
        self,
        db: apsw.Connection,
        name: str,
        pace: Pace,
        before_commit: Callable[[apsw.Connection], None],
        wake: Callable[[AbstractSet[Place]], None] | None = None,
    ) -> None:
        self._db = db
        self._name = name
        self._pace = pace
        self._before_commit = before_commit
        self._wake = wake
        self._awake: set[Place] = set()

    def commit(self, ops: Sequence[Op]) -> Sequence[Ending]:
        """Runs the ops in order and commits; one ending for each."""
        self._awake.clear()
        try:
            self._begin()
        except Exception as error:  # boundary: every caller in the group must get an answer
            return [Failed(translated(error, self._name))] * len(ops)
        try:
            endings = self._run(ops)
        except Exception as error:  # boundary: every caller in the group must get an answer
            self._rollback()
            return [Failed(translated(_cause(error), self._name))] * len(ops)
        if not any(isinstance(ending, Done) for ending in endings):
            self._rollback()
            return endings
        try:
            run(self._db, "commit")
        except Exception as error:  # boundary: every caller in the group must get an answer
            self._rollback()
            return [Failed(commit_failed(error, self._name))] * len(ops)
        if self._awake and self._wake is not None:
            self._wake(self._awake)
        return endings

    def _begin(self) -> None:
        give_up = time.monotonic() + GIVE_UP_S
        while True:
            try:
                run(self._db, "begin immediate")
                return
            except apsw.BusyError as error:
                self._pace.contended()
                if time.monotonic() > give_up:
                    msg = f"{self._name} was locked by another process for {GIVE_UP_S:.0f} s"
                    raise StoreUnavailable(msg) from error
                time.sleep(busy_wait())

    def _run(self, ops: Sequence[Op]) -> Sequence[Ending]:
        moves: Counter[Slot] = Counter()
        endings = [self._alone(ops[0], moves)] if len(ops) == 1 else [self._one(op, moves) for op in ops]
        if moves:
            write_moves(self._db, moves)
        self._before_commit(self._db)
        return endings

    def _alone(self, op: Op, moves: Counter[Slot]) -> Ending:
        """An op that has the transaction for itself needs no savepoint."""
        write = Write(self._db, moves)
        result = op(write)
        self._note(write)
        return Done(result)

    def _one(self, op: Op, moves: Counter[Slot]) -> Ending:
        write = Write(self._db, Counter())
        run(self._db, _SAVEPOINT)
        try:
            result = op(write)
        except Exception as error:  # boundary: an op that fails must not disturb its neighbours
            if not self._db.in_transaction:
                raise _Broken from error
            run(self._db, _UNDO)
            run(self._db, _RELEASE)
            return Failed(translated(error, self._name))
        run(self._db, _RELEASE)
        moves.update(write.moves)
        self._note(write)
        return Done(result)

    def _note(self, write: Write) -> None:
        if write.awake is not None:
            self._awake |= write.awake

    def _rollback(self) -> None:
        if self._db.in_transaction:
            run(self._db, "rollback")


def _cause(error: Exception) -> Exception:
    cause = error.__cause__
    return cause if isinstance(error, _Broken) and isinstance(cause, Exception) else error
