"""What waits for the writer thread, and how the thread sleeps until something does."""

import os
import select
import threading
from collections import deque
from collections.abc import Sequence
from typing import Final, Generic, TypeVar

T = TypeVar("T")

_READ_AT_ONCE: Final = 4_096


class Inbox(Generic[T]):
    """Filled by any thread, emptied by one, which sleeps on a pipe: so it can wait for other things too."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._items: deque[T] = deque()
        self._is_open = True
        self._asleep = False
        self._poked = False
        self._reader, self._writer = os.pipe()
        os.set_blocking(self._reader, False)
        self._poll = select.poll()
        self._poll.register(self._reader, select.POLLIN)

    @property
    def empty(self) -> bool:
        """Whether nothing waits."""
        return not self._items

    def put(self, item: T) -> bool:
        """Adds an item and wakes the sleeper; False once the inbox is shut."""
        with self._lock:
            if self._is_open:
                self._items.append(item)
                self._wake()
            return self._is_open

    def poke(self) -> None:
        """Wakes the sleeper, or keeps it from its next sleep."""
        with self._lock:
            self._poked = True
            self._wake()

    def shut(self) -> None:
        """Takes no more items; those inside stay."""
        with self._lock:
            self._is_open = False
        self.poke()

    def take(self) -> Sequence[T]:
        """All items, in the order of their arrival."""
        with self._lock:
            items = list(self._items)
            self._items.clear()
            return items

    def watch(self, descriptor: int) -> None:
        """From now on a sleep also ends when this descriptor can be read."""
        self._poll.register(descriptor, select.POLLIN)

    def sleep(self, seconds: float) -> frozenset[int]:
        """Sleeps until something arrives, a poke or the end of the time; which watched ones can be read."""
        with self._lock:
            if self._items or self._poked:
                self._poked = False
                return frozenset()
            self._asleep = True
        ready = {descriptor for descriptor, _ in self._poll.poll(seconds * 1000)}
        with self._lock:
            self._asleep = self._poked = False
        if self._reader in ready:
            os.read(self._reader, _READ_AT_ONCE)
        return frozenset(ready - {self._reader})

    def close(self) -> None:
        """After the last sleep."""
        with self._lock:
            self._asleep = False
            os.close(self._reader)
            os.close(self._writer)

    def _wake(self) -> None:
        if self._asleep:
            self._asleep = False
            os.write(self._writer, b".")
