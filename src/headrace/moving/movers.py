"""Who moves, by a name that tells others whether he still does."""

import os
import re
import secrets
import socket
from typing import Final

_NAME: Final = re.compile(r"pid (\d+) on (\S+) \([0-9a-f]+\)")


def mover_name() -> str:
    """A name for this process that no other has."""
    return f"pid {os.getpid()} on {socket.gethostname()} ({secrets.token_hex(4)})"


def has_gone(name: str) -> bool:
    """Whether a mover is known to have died: its process was on this host and is no more.

    A wrong answer costs a move that must be run again, and no job: the register is a fence.
    """
    found = _NAME.fullmatch(name)
    if found is None or found[2] != socket.gethostname():
        return False
    try:
        os.kill(int(found[1]), 0)
    except ProcessLookupError:
        return True
    except (PermissionError, OverflowError):
        return False
    return False
