"""In which namespace a job is: who holds it tells only its id."""

from collections.abc import Iterable
from typing import Final

_KEPT: Final = 100_000


class Whereabouts:
    """What this process knows of the jobs it has claimed. Usable from all threads."""

    def __init__(self) -> None:
        self._known: dict[str, str] = {}

    def learn(self, namespace: str, ids: Iterable[str]) -> None:
        """Notes where jobs are."""
        if len(self._known) > _KEPT:
            self._known = {}
        self._known.update(dict.fromkeys(ids, namespace))

    def of(self, job_id: str) -> str | None:
        """The namespace of a job, if it is known."""
        return self._known.get(job_id)

    def forget(self, ids: Iterable[str]) -> None:
        """Drops what is known of jobs."""
        for job_id in ids:
            self._known.pop(job_id, None)
