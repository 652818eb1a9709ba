"""Hints that the engine gives beside those about queues."""

from typing import Final

ENDED_HINT: Final = "@ended"
"""Who waits for jobs or batches to end listens for this."""
