"""Lanes on which jobs wait parked, out of the claim's way, until what refused them has gone."""

from typing import Final

TYPE_LANE: Final = "type:"
"""Jobs of a type that no live worker knows are parked on ``type:<name>``, those of a newer version than
the worker that claimed them knows on ``type:<name>@<version>``."""

ALIVE_MS: Final = 60_000
"""For so long after its last hello a worker counts as alive, and the types it knows as known."""

PARK_AT_ONCE: Final = 1_000
UNPARK_AT_ONCE: Final = 10_000


def lane_of_type(name: str) -> str:
    """Where jobs of a type wait that nobody knows."""
    return TYPE_LANE + name


def known_version(name: str, version: int) -> str:
    """A version of a type, as a worker that runs it says it in its hello beside the types it knows.

    No type has an @ in its name, so the lane of a version is one that no type has.
    """
    return f"{name}@{version}"


def lane_of_version(name: str, version: int) -> str:
    """Where jobs wait whose payload is of a version that the workers who met them do not know."""
    return lane_of_type(known_version(name, version))
