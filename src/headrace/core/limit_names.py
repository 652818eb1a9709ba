"""What limits, their lanes and their keys are called.

A limit is named ``all``, ``queue:<queue>``, ``type:<type>``, ``type:<type>@<part of the payload>``, or as its
program likes. Its lane is ``limit:<name>``, or ``limit:<name>/<key>`` for each key that jobs bring to it; the
lane of an ordering key is ``order:<name>/<key>``. A lane's key is also what its parked jobs are parked on.
"""

import re
from typing import Final

from headrace.core.ids import checked_name
from headrace.errors import InvalidInput

LIMIT_LANE: Final = "limit:"
ORDER_LANE: Final = "order:"

ALL: Final = "all"
OF_QUEUE: Final = "queue:"
OF_TYPE: Final = "type:"

MAX_LANE_CHARS: Final = 360
MAX_KEY_CHARS: Final = 200

_OWN: Final = re.compile(r"[A-Za-z0-9_.:-]{1,140}")
_PATH: Final = re.compile(r"(?=.{1,64}\Z)[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*")


def lane_of_limit(name: str, key: str | None = None) -> str:
    """The lane of a limit, or of one key of it. Raises InvalidInput for a key that is no good one."""
    return LIMIT_LANE + (name if key is None else f"{name}/{checked_lane_key(key)}")


def limit_of_lane(lane: str) -> str:
    """The name of the limit that a lane belongs to."""
    return lane.removeprefix(LIMIT_LANE).partition("/")[0]


def lane_of_order(name: str, key: str) -> str:
    """The lane of an ordering key. Raises InvalidInput for a key that is no good one."""
    return f"{ORDER_LANE}{name}/{checked_lane_key(key)}"


def checked_lane_key(key: str) -> str:
    """The key if it is 1 to 200 printable characters. Raises InvalidInput."""
    if not 1 <= len(key) <= MAX_KEY_CHARS or not key.isprintable():
        msg = f"the key of a limit or an order must be 1 to {MAX_KEY_CHARS} printable characters"
        raise InvalidInput(msg, field="key")
    return key


def name_of_type(job_type: str, path: str | None = None) -> str:
    """The name of a job type's own limit; with a path, of the one with a lane for each value found there."""
    return OF_TYPE + job_type if path is None else f"{OF_TYPE}{job_type}@{path}"


def type_of_limit(name: str) -> str | None:
    """The job type whose own limit has this name; None for any other limit."""
    return name.removeprefix(OF_TYPE).partition("@")[0] if name.startswith(OF_TYPE) else None


def checked_limit(name: str) -> str:
    """The name if a limit may have it. Raises InvalidInput.

    ``all``, ``queue:<queue>``, ``type:<type>``, ``type:<type>@<part of the payload>``, or one's own.
    """
    if name.startswith(OF_QUEUE):
        checked_name(name.removeprefix(OF_QUEUE), "limit")
        return name
    if (job_type := type_of_limit(name)) is not None:
        checked_name(job_type, "limit")
        if "@" in name:
            checked_path(name.partition("@")[2])
        return name
    return name if name == ALL else checked_own(name)


def checked_path(path: str) -> str:
    """The path if it can name a part of a payload, such as ``user_id`` or ``order.customer``.

    Raises InvalidInput.
    """
    if _PATH.fullmatch(path) is None:
        msg = f"{path[:80]!r} names no part of a payload; write such as user_id, or order.customer"
        raise InvalidInput(msg, field="key")
    return path


def checked_own(name: str) -> str:
    """The name if one's own limit or order may have it. Raises InvalidInput."""
    if _OWN.fullmatch(name) is None:
        msg = f"limit {name[:80]!r} must be 1 to 140 characters out of A-Z a-z 0-9 _ . : -"
        raise InvalidInput(msg, field="limit")
    if name == ALL or name.startswith((OF_QUEUE, OF_TYPE)):
        msg = f"the name {name[:80]!r} is taken: all, queue: and type: name limits of their own"
        raise InvalidInput(msg, field="limit")
    return name
