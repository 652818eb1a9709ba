"""SIGTERM and SIGINT in three steps: stop with grace, stop now, end at once."""

import asyncio
import os
import signal
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Final

SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)
EXIT_HARD: Final = 130


class Steps:
    """Counts the signals: the first calls ``stop``, the second ``hurry``, the third ends the process."""

    def __init__(self, stop: Callable[[], None], hurry: Callable[[], None]) -> None:
        self._left = iter((stop, hurry))

    def received(self) -> None:
        """One more signal came."""
        step = next(self._left, None)
        if step is None:
            os._exit(EXIT_HARD)
        else:
            step()


Take = Callable[[Callable[[], None], Callable[[], None]], None]
"""Says what ``stop`` and ``hurry`` are; signals take these steps from then on."""


@contextmanager
def taking_signals() -> Generator[Take]:
    """Gives ``take``. From its call to the end of the block signals take its steps, not Python's own.

    So what is opened inside this block is also closed in peace: Python's own way breaks off the closing.
    """
    loop = asyncio.get_running_loop()

    def take(stop: Callable[[], None], hurry: Callable[[], None]) -> None:
        steps = Steps(stop, hurry)
        for number in SIGNALS:
            loop.add_signal_handler(number, steps.received)

    try:
        yield take
    finally:
        for number in SIGNALS:
            loop.remove_signal_handler(number)


@contextmanager
def on_signals(stop: Callable[[], None], hurry: Callable[[], None]) -> Generator[None]:
    """While this is open, signals take these steps instead of Python's own."""
    with taking_signals() as take:
        take(stop, hurry)
        yield
