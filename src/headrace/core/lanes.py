"""Lanes on which jobs wait parked, out of the claim's way, until what refused them has gone."""

from typing import Final

TYPE_LANE: Final = "type:"
"""Jobs of a type that no live worker knows are parked on ``type:<name>``."""

ALIVE_MS: Final = 60_000
"""For so long after its last hello a worker counts as alive, and the types it knows as known."""

PARK_AT_ONCE: Final = 1_000
UNPARK_AT_ONCE: Final = 10_000


def lane_of_type(name: str) -> str:
    """Where jobs of a type wait that nobody knows."""
    return TYPE_LANE + name
