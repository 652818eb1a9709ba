"""SIGINT and SIGTERM, in two steps: the first asks to stop, the second does not wait."""

import asyncio
import signal
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Final

SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def on_signals(stop: Callable[[], None], hurry: Callable[[], None]) -> Generator[None]:
    """Calls ``stop`` at the first signal and ``hurry`` at each further one."""
    loop = asyncio.get_running_loop()
    seen: list[bool] = []

    def arrived() -> None:
        act = hurry if seen else stop
        seen.append(True)
        act()

    for one in SIGNALS:
        loop.add_signal_handler(one, arrived)
    try:
        yield
    finally:
        for one in SIGNALS:
            loop.remove_signal_handler(one)
