"""The connection that a program's function is given while it runs inside a transaction of ours."""

import re
from collections.abc import Callable
from typing import Any, Final

from headrace.errors import MisuseError

_REFUSED: Final = frozenset(
    {
        "add_listener",
        "add_log_listener",
        "add_query_logger",
        "add_termination_listener",
        "close",
        "reload_schema_state",
        "remove_listener",
        "reset",
        "reset_type_codec",
        "set_builtin_type_codec",
        "set_type_codec",
        "terminate",
    }
)
_SENT: Final = frozenset(
    {"cursor", "execute", "executemany", "fetch", "fetchmany", "fetchrow", "fetchval", "prepare"}
)

_MAY_END: Final = re.compile(r"\b(?:abort|begin|commit|end|prepare|rollback|start)\b", re.IGNORECASE)
_QUOTED: Final = re.compile(
    r"""
    [eE]'(?:[^'\\]|\\.|'')*' | '(?:[^']|'')*' | "(?:[^"]|"")*" | (\$\w*\$).*?\1 | --[^\n]* | /\*.*?\*/
    """,
    re.DOTALL | re.VERBOSE,
)
_ENDS: Final = re.compile(
    r"\s*(?:abort|begin|commit|end|start\s+transaction|prepare\s+transaction"
    r"|rollback(?!\s+(?:(?:work|transaction)\s+)?to\b))\b",
    re.IGNORECASE,
)


class TransactionConnection:
    """An asyncpg connection inside its transaction, for as long as the function runs.

    It does all that asyncpg's does; its ``transaction()`` is a savepoint. What would end the transaction,
    or change the connection for those who use it next, is refused.
    """

    def __init__(self, connection: Any) -> None:  # noqa: ANN401 - the driver has no types
        self._connection = connection
        self._open = True
        self.after_commit: list[Callable[[], None]] = []

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - the driver has no types
        connection = self.driver_connection()
        if name in _REFUSED:
            msg = f"{name} is refused here: others use this connection after the transaction"
            raise MisuseError(msg)
        found = getattr(connection, name)
        return _checked(found) if name in _SENT else found

    def driver_connection(self) -> Any:  # noqa: ANN401 - the driver has no types
        """The driver's own connection. Raises MisuseError once the function has ended."""
        if not self._open:
            raise MisuseError("this connection was good only inside the function that it was given to")
        return self._connection

    def close_guard(self) -> None:
        """After the function has ended."""
        self._open = False


def refuse_end(query: str) -> None:
    """Raises MisuseError for a statement that would begin or end a transaction."""
    if not _MAY_END.search(query):
        return
    for statement in _QUOTED.sub(" ", query).split(";"):
        if found := _ENDS.match(statement):
            raise MisuseError(
                f"{found[0].strip()} is refused here: the transaction commits when the function returns, and "
                "is undone when it raises. For a part of it: async with connection.transaction()"
            )


def _checked(send: Callable[..., Any]) -> Callable[..., Any]:
    def checked(query: str, *arguments: Any, **options: Any) -> Any:  # noqa: ANN401 - the driver has no types
        refuse_end(query)
        return send(query, *arguments, **options)

    return checked
