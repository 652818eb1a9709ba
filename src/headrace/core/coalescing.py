"""Keeps news from coming too often: of each teller at most one in a while, and that is the newest."""

from collections.abc import Collection, Mapping
from typing import Final, Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")

_MANY: Final = 1_000


class Coalescer(Generic[K, V]):
    """What each says goes out at most once in ``every`` seconds. The newest wins, the last is always told.

    Instants are seconds of any clock that does not run backwards.
    """

    def __init__(self, every: float) -> None:
        self._every = every
        self._waiting: dict[K, V] = {}
        self._went_at: dict[K, float] = {}

    @property
    def waiting(self) -> bool:
        """Whether anything has not gone out."""
        return bool(self._waiting)

    def offer(self, key: K, value: V) -> None:
        """Takes the newest of a teller; what was offered before and has not gone out is forgotten."""
        self._waiting[key] = value

    def take(self, now: float, ending: Collection[K] = ()) -> Mapping[K, V]:
        """What goes out at ``now``. Of those that are ending, everything: they say nothing more."""
        due = {key: value for key, value in self._waiting.items() if key in ending or self._is_due(key, now)}
        for key in due:
            del self._waiting[key]
            self._went_at[key] = now
        for key in ending:
            self._went_at.pop(key, None)
        self._forget_old(now)
        return due

    def take_all(self, now: float) -> Mapping[K, V]:
        """All that has not gone out."""
        return self.take(now, frozenset(self._waiting))

    def put_back(self, values: Mapping[K, V]) -> None:
        """Takes back what did not go out after all, unless there is newer."""
        for key, value in values.items():
            self._waiting.setdefault(key, value)
            self._went_at.pop(key, None)

    def clear(self) -> None:
        """Forgets everything."""
        self._waiting.clear()
        self._went_at.clear()

    def _is_due(self, key: K, now: float) -> bool:
        went_at = self._went_at.get(key)
        return went_at is None or now - went_at >= self._every

    def _forget_old(self, now: float) -> None:
        if len(self._went_at) > _MANY:
            self._went_at = {key: at for key, at in self._went_at.items() if now - at < self._every}
