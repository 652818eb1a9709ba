"""SQLite's errors as ours, in one place."""

import apsw

from headrace.errors import (
    HeadraceError,
    InvalidInput,
    OutcomeUnknown,
    StoreFull,
    StoreUnavailable,
    StoreUnusable,
)

_FULL = (apsw.FullError,)
# What apsw raises for a value that no column can hold: a lone surrogate, a number beyond 64 bits.
UNKEEPABLE = (UnicodeEncodeError, OverflowError)
_BUSY = (apsw.BusyError, apsw.LockedError)
_UNUSABLE = (
    apsw.ReadOnlyError,
    apsw.CantOpenError,
    apsw.PermissionsError,
    apsw.AuthError,
    apsw.NotADBError,
    apsw.CorruptError,
    apsw.FormatError,
)


def translated(error: Exception, path: str) -> Exception:
    """The error a caller sees. What is not SQLite's own stays as it is."""
    if isinstance(error, UNKEEPABLE):
        return InvalidInput(f"a value cannot be kept: {error}")
    if isinstance(error, HeadraceError) or not isinstance(error, apsw.Error):
        return error
    if isinstance(error, _FULL):
        return StoreFull(f"no space left for {path}")
    if isinstance(error, apsw.ConstraintError):
        return InvalidInput(f"a job with this id is in {path} already: {error}", field="id")
    if isinstance(error, _BUSY):
        return StoreUnavailable(f"{path} is busy with other writers: {error}")
    if isinstance(error, _UNUSABLE):
        return StoreUnusable(f"{path} cannot be used: {_reason(error)}")
    return StoreUnavailable(f"{path}: {error}")


def commit_failed(error: Exception, path: str) -> Exception:
    """The error of those whose work was in a commit that failed.

    After an I/O error nobody knows what reached the disk.
    """
    if isinstance(error, apsw.IOError):
        return OutcomeUnknown(f"the commit to {path} failed: {error}")
    return translated(error, path)


def _reason(error: apsw.Error) -> str:
    match error:
        case apsw.ReadOnlyError():
            return "the file, or the folder for its -wal and -shm files, is not writable"
        case apsw.CantOpenError():
            return "it cannot be opened; does its folder exist, and is it writable?"
        case apsw.NotADBError() | apsw.FormatError():
            return "it is not a SQLite database"
        case _:
            return str(error)
