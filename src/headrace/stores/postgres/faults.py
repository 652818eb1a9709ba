"""PostgreSQL's and the driver's errors as ours, in one place."""

from typing import Final

import asyncpg

from headrace.errors import (
    HeadraceError,
    InvalidInput,
    OutcomeUnknown,
    StoreFull,
    StoreUnavailable,
    StoreUnusable,
)

_errors = asyncpg.exceptions

REPEATABLE: Final = (
    _errors.DeadlockDetectedError,
    _errors.SerializationError,
    _errors.LockNotAvailableError,
    _errors.ActiveSQLTransactionError,
)
"""The database undid the transaction, or did not begin it, and asks for it once more."""

# What no column can hold: a lone surrogate, NUL, a number beyond 64 bits.
_UNKEEPABLE: Final = (
    UnicodeEncodeError,
    OverflowError,
    asyncpg.DataError,
    _errors.DataError,
    _errors.CharacterNotInRepertoireError,
    _errors.UntranslatableCharacterError,
)
_FULL: Final = (_errors.DiskFullError,)
_UNUSABLE: Final = (
    _errors.InvalidAuthorizationSpecificationError,
    _errors.InvalidCatalogNameError,
    _errors.InsufficientPrivilegeError,
    _errors.ClientConfigurationError,
    _errors.FeatureNotSupportedError,
    # our own statement is wrong, or does not fit this server: waiting does not mend it
    _errors.SyntaxOrAccessError,
    _errors.CardinalityViolationError,
    _errors.IntegrityConstraintViolationError,
)
_NOT_MIGRATED: Final = (
    _errors.UndefinedTableError,
    _errors.UndefinedFunctionError,
    _errors.UndefinedColumnError,
    _errors.InvalidSchemaNameError,
)
_LOST: Final = (
    OSError,
    TimeoutError,
    _errors.PostgresConnectionError,
    _errors.InterfaceError,
    _errors.InternalClientError,
    _errors.OperatorInterventionError,
    _errors.IdleInTransactionSessionTimeoutError,
)
# The server says that it did nothing, so nobody need wonder.
_REFUSED: Final = (
    _errors.CannotConnectNowError,
    _errors.TooManyConnectionsError,
    _errors.QueryCanceledError,
    _errors.ReadOnlySQLTransactionError,
    _errors.TargetServerAttributeNotMatched,
)


def translated(error: Exception, name: str, *, sent: bool) -> Exception:
    """The error a caller sees. ``sent``: a write may have reached the server before the connection broke."""
    if isinstance(error, HeadraceError):
        return error
    if isinstance(error, _UNKEEPABLE):
        return InvalidInput(f"a value cannot be kept: {error}")
    if isinstance(error, _errors.UniqueViolationError):
        return InvalidInput(f"a job with this id is in {name} already: {error}", field="id")
    if isinstance(error, _FULL):
        return StoreFull(f"no space left for {name}")
    if isinstance(error, _NOT_MIGRATED):
        return StoreUnusable(f"{name} has not the tables of this version: {error}; run `headrace migrate`")
    if isinstance(error, _UNUSABLE):
        return StoreUnusable(f"{name} cannot be used: {error}")
    if isinstance(error, _REFUSED):
        return StoreUnavailable(f"{name}: {error}")
    if isinstance(error, _LOST) and sent:
        return OutcomeUnknown(f"the reply of {name} was lost: {_reason(error)}")
    if isinstance(error, (*_LOST, asyncpg.PostgresError)):
        return StoreUnavailable(f"{name}: {_reason(error)}")
    return error


def _reason(error: Exception) -> str:
    return str(error) or type(error).__name__
