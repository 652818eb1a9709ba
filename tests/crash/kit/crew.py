"""Processes of one kind that are killed and started again, as by a supervisor."""

from collections.abc import Callable
from typing import Final

from tests.crash.kit.children import Child, Fleet
from tests.crash.kit.experiment import Scene

BEGUN: Final = ("worker_started", "ready")


class Crew:
    """So many processes that ``start`` makes; ``name`` says in the report what was killed."""

    def __init__(self, scene: Scene, name: str, count: int, start: Callable[[], Child]) -> None:
        self._scene = scene
        self._name = name
        self._start = start
        self._living = [start() for _ in range(count)]
        self.all: Final[list[Child]] = list(self._living)
        self.strikes = 0

    @property
    def begun(self) -> bool:
        """Whether all of them are at work."""
        return all(_at_work(one) for one in self._living)

    def strike(self) -> None:
        """Kills one that is at work, if any is, and starts another in its place."""
        victims = [one for one in self._living if _at_work(one)]
        if victims:
            self._scene.nemesis.one_of(victims).kill_alone()
            self._scene.findings.did[f"kills of {self._name}"] += 1
            self.strikes += 1
        self.keep_up()

    def keep_up(self) -> None:
        """Starts another one for each that has died."""
        for place, one in enumerate(self._living):
            if not one.alive:
                self._living[place] = self._start()
                self.all.append(self._living[place])

    async def stop(self, fleet: Fleet) -> None:
        """Tells all to stop; whoever was at work ends well (C20)."""
        at_work = [_at_work(one) for one in self._living]
        codes = await fleet.stop(self._living)
        for one, code, begun in zip(self._living, codes, at_work, strict=True):
            self._scene.findings.demand(code == 0 or not begun, "C20", one.name, f"ended with {code}")

    async def leave(self) -> None:
        """Waits until all have ended by themselves, and well."""
        for one in self._living:
            code = await one.ended()
            self._scene.findings.demand(code == 0, "C49", one.name, f"ended with {code}")

    def kill(self) -> None:
        """Ends all of them."""
        for one in self._living:
            one.kill()


def _at_work(child: Child) -> bool:
    return child.alive and any(word in child.said() for word in BEGUN)
