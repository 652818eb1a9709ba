"""Where the long-running commands log: stderr, readable on a terminal, JSON lines in a pipe."""

import logging
import sys

import structlog

from headrace.settings import Settings


def log_to_stderr() -> None:
    """Sends our events to stderr, from HEADRACE_LOG_LEVEL on. Stderr is looked up at each of them."""
    level = logging.getLevelNamesMapping()[Settings.from_environment().log_level.upper()]
    rendered = (
        [structlog.dev.ConsoleRenderer()]
        if sys.stderr.isatty()
        else [structlog.processors.dict_tracebacks, structlog.processors.JSONRenderer()]
    )
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            *rendered,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=lambda *_: structlog.PrintLogger(sys.stderr),
        cache_logger_on_first_use=False,
    )
