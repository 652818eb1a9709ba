"""The worker's own log: changes of its state and warnings, never a line per job."""

from functools import cache
from typing import Any


def log(event: str, **fields: Any) -> None:  # noqa: ANN401 - whatever describes the event
    """Writes one warning event."""
    _logger().warning(event, **fields)


def tell(event: str, **fields: Any) -> None:  # noqa: ANN401 - whatever describes the event
    """Writes one event about the worker's state."""
    _logger().info(event, **fields)


@cache
def _logger() -> Any:  # noqa: ANN401 - structlog's loggers have no static type
    import structlog  # noqa: PLC0415 - takes a while to import, and a quiet worker never needs it

    return structlog.get_logger("headrace.worker")
