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


@contextmanager
def on_signals(stop: Callable[[], None], hurry: Callable[[], None]) -> Generator[None]:
    """While this is open, signals take these steps instead of Python's own."""
    loop = asyncio.get_running_loop()
    steps = Steps(stop, hurry)
    for number in SIGNALS:
        loop.add_signal_handler(number, steps.received)
    try:
        yield
    finally:
        for number in SIGNALS:
            loop.remove_signal_handler(number)
