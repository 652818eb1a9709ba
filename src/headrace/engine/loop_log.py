"""What loops log: their starts, rests and failures, by level. One line a batch only where debug is asked."""

import logging
from functools import cache
from typing import Any, Final

LEVELS: Final = logging.getLevelNamesMapping()


class LoopLog:
    """The log of one loop. What is below ``level`` is left out."""

    def __init__(self, name: str, level: str) -> None:
        self._name = name
        self._level = LEVELS[level.upper()]

    def debug(self, event: str, **fields: object) -> None:
        """One batch."""
        self._say("debug", event, fields)

    def info(self, event: str, **fields: object) -> None:
        """A start or a rest."""
        self._say("info", event, fields)

    def warning(self, event: str, **fields: object) -> None:
        """Something to look at."""
        self._say("warning", event, fields)

    def _say(self, level: str, event: str, fields: dict[str, object]) -> None:
        if LEVELS[level.upper()] >= self._level:
            said(level, event, loop=self._name, **fields)


def said(level: str, event: str, **fields: object) -> None:
    """Writes one event about a loop."""
    getattr(_logger(), level)(event, **fields)


@cache
def _logger() -> Any:  # noqa: ANN401 - structlog's loggers have no static type
    import structlog  # noqa: PLC0415 - takes a while to import, and a program without loops never needs it

    return structlog.get_logger("headrace.loop")
