"""What a store needs to write a program's own rows and its jobs together."""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from headrace.stores.lining import Room
from headrace.stores.transactions import Decide, Work
from headrace.stores.values import Inserted, NewJob


class Caller(Protocol):
    """A transaction that the program has open, to insert jobs into (C7)."""

    @property
    def suspends(self) -> bool:
        """Whether inserts must be awaited in the connection's loop. Else they block, and never suspend."""
        ...

    async def insert(
        self, namespace: str, jobs: Sequence[NewJob], *, now: int, room: Room | None = None
    ) -> Sequence[Inserted]:
        """As ``JobStore.insert``: the jobs are there if and when that transaction commits.

        An insert that raises leaves the transaction as it was before. A unique key that another open
        transaction has taken makes this one wait for its end. With ``room`` it raises QueueFull where the
        committed jobs leave none; two open transactions do not see each other.
        """
        ...

    def after_commit(self, call: Callable[[], None]) -> bool:
        """Has ``call`` called after the commit; False where nobody tells when that is."""
        ...


class Transactions(Protocol):
    """Writes of the program and of its jobs that commit together."""

    def caller(self, connection: object) -> Caller:
        """The transaction that is open on a connection of the program, of any library that is supported.

        Raises MisuseError for a connection that cannot take jobs of this store, or where it can be seen
        that no transaction is open.
        """
        ...

    def insert_statement(self, jobs: Sequence[NewJob]) -> tuple[str, str]:
        """A statement that inserts the jobs by any driver, and its one parameter, $1.

        A unique key that is held makes it fail. Raises MisuseError where the store has no such statement.
        """
        ...

    async def transact(self, work: Work) -> Any:  # noqa: ANN401 - what the program's function returns
        """Runs ``work`` with the connection of a transaction that commits when it returns.

        SQLite: a plain function on the thread that writes, for a second at most. Else an async one, in this
        task. Raises what ``work`` raises, after undoing everything; MisuseError for the wrong kind.
        """
        ...

    async def settle_within(self, work: Work, decide: Decide) -> Any:  # noqa: ANN401
        """As ``transact``; the last that is written is the transition that ``decide`` makes of its value.

        ``decide`` is asked again with the fresh job where it has changed meanwhile. Nothing is kept of a
        ``work`` whose job is lost: raises LeaseLost. No lock is held on the job before the last statement.
        """
        ...
