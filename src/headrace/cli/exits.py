"""What a command's exit code says, and an error in one line."""

from enum import IntEnum
from typing import Final

from headrace.errors import HeadraceError, InvalidInput, NotFound, StoreError


class Exit(IntEnum):
    """How a command ended."""

    DONE = 0
    REFUSED = 1
    USAGE = 2
    NOT_FOUND = 3
    STORE = 4
    INTERRUPTED = 130


EXTRAS: Final = {
    "fastapi": "server",
    "starlette": "server",
    "uvicorn": "server",
    "httpx2": "client",
    "aiosmtplib": "email",
    "standardwebhooks": "webhook",
    "cryptography": "crypto",
    "redis": "redis",
}


def exit_of(error: BaseException) -> Exit | None:
    """The exit code of an error that one line explains; None for a fault of ours."""
    match error:
        case InvalidInput():
            return Exit.USAGE
        case NotFound():
            return Exit.NOT_FOUND
        case StoreError():
            return Exit.STORE
        case HeadraceError():
            return Exit.REFUSED
        case OSError():
            return Exit.REFUSED
        case ModuleNotFoundError(name=str(name)) if name.partition(".")[0] in EXTRAS:
            return Exit.USAGE
        case _:
            return None


def leaf(error: BaseException) -> BaseException:
    """The one error that a group of tasks ended with; the group where there are several."""
    match error:
        case BaseExceptionGroup(exceptions=(BaseException() as only,)):
            return leaf(only)
        case _:
            return error


def one_line(error: BaseException) -> str:
    """What is wrong and what helps, without control characters."""
    if isinstance(error, ModuleNotFoundError) and error.name is not None:
        extra = EXTRAS.get(error.name.partition(".")[0], "all")
        return f"{error.name} is not installed; install headrace[{extra}]"
    if isinstance(error, OSError) and error.strerror and error.filename is not None:
        return shown(f"{error.filename}: {error.strerror}")
    if isinstance(error, OSError) and error.strerror:
        return shown(error.strerror)
    return shown(str(error) or type(error).__name__)


def shown(text: str) -> str:
    """The text with everything a terminal could take as a command spelled out."""
    return "".join(char if char.isprintable() else _spelled(char) for char in text)


def _spelled(char: str) -> str:
    return char.encode("unicode_escape", errors="backslashreplace").decode()
