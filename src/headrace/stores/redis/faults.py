"""The server's and the driver's errors as ours, in one place."""

import re
from typing import Final

from redis import exceptions as errors

from headrace.errors import (
    HeadraceError,
    InvalidInput,
    OutcomeUnknown,
    StoreFull,
    StoreUnavailable,
    StoreUnusable,
)

_LOST: Final = (OSError, TimeoutError, EOFError, errors.ConnectionError, errors.TimeoutError)
_UNKEEPABLE: Final = (UnicodeError, OverflowError, errors.DataError)

# The driver takes the word away with which these begin.
_CODES: Final = (
    (errors.OutOfMemoryError, "OOM"),
    (errors.ReadOnlyError, "READONLY"),
    (errors.BusyLoadingError, "LOADING"),
    (errors.MasterDownError, "MASTERDOWN"),
    (errors.ClusterDownError, "CLUSTERDOWN"),
    (errors.TryAgainError, "TRYAGAIN"),
    (errors.AskError, "MOVED"),
    (errors.ExecAbortError, "EXECABORT"),
    (errors.MaxConnectionsError, "MAXCLIENTS"),
    (errors.NoPermissionError, "NOPERM"),
    (errors.AuthenticationError, "NOAUTH"),
    (errors.AuthenticationWrongNumberOfArgsError, "NOAUTH"),
)
_CODE: Final = re.compile(r"([A-Z]+) ")
_IN_SCRIPT: Final = re.compile(r": -([A-Z]+) ")
"""How servers before 7.0 tell what a command has answered to a script."""

# The server says that it did nothing, so nobody need wonder.
_REFUSED: Final = frozenset(
    {
        "READONLY", "LOADING", "MASTERDOWN", "CLUSTERDOWN", "TRYAGAIN", "MOVED", "EXECABORT", "MAXCLIENTS",
        "BUSY", "NOREPLICAS", "UNBLOCKED", "MISCONF",
    }
)  # fmt: skip
_NO_SPACE: Final = "No space left on device"
_NO_DATABASE: Final = "Invalid Database"  # the driver's own words


def translated(error: Exception, name: str, *, sent: bool) -> Exception:
    """The error a caller sees. ``sent``: a write may have reached the server before the connection broke."""
    if isinstance(error, HeadraceError):
        return error
    if isinstance(error, _UNKEEPABLE):
        return InvalidInput(f"a value cannot be kept: {error}")
    said = str(error) or type(error).__name__
    code = _code_of(error, said)
    if code == "OOM":
        return StoreFull(f"no memory left for {name}: {said}")
    if code == "MISCONF" and _NO_SPACE in said:
        return StoreFull(f"no space left for {name}: {said}")
    if code in _REFUSED:
        return StoreUnavailable(f"{name}: {said}")
    if isinstance(error, errors.ResponseError | errors.AuthenticationError) or said == _NO_DATABASE:
        return StoreUnusable(f"{name} cannot be used: {said}")
    if isinstance(error, _LOST) and sent:
        return OutcomeUnknown(f"the reply of {name} was lost: {said}")
    if isinstance(error, (*_LOST, errors.RedisError)):
        return StoreUnavailable(f"{name}: {said}")
    return error


def _code_of(error: Exception, said: str) -> str | None:
    """The word with which a server says what kind of error it is; None if it is none of a server."""
    for kind, code in _CODES:
        if isinstance(error, kind):
            return code
    if not isinstance(error, errors.ResponseError):
        return None
    found = _IN_SCRIPT.search(said) or _CODE.match(said)
    return None if found is None else found[1]
