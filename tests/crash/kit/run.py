"""Runs one experiment on one store and reports."""

import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.crash.catalogue import EXPERIMENTS
from tests.crash.kit.checker import Violation
from tests.crash.kit.experiment import Experiment, Findings, NotHere, Scene, Size
from tests.crash.kit.nemesis import Nemesis
from tests.crash.kit.target import KINDS, Kind

SHOWN = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What came out of one run."""

    name: str
    title: str
    store: str
    size: Size
    seed: int
    seconds: float
    did: Mapping[str, int]
    again: Mapping[str, int]
    figures: Mapping[str, str]
    violations: tuple[Violation, ...]
    lost: int
    left_out: tuple[str, ...]

    @property
    def line(self) -> str:
        """The run in one line."""
        parts = [
            f"{self.name} {self.store}: {self.title}",
            counted(self.did),
            f"lost {self.lost}",
            f"broken {len(self.violations)}",
            f"run again {counted(self.again) if self.again else 0}",
            *(f"{name} {value}" for name, value in self.figures.items()),
            *(f"left out: {why}" for why in self.left_out),
            f"seed {self.seed}",
            f"{self.seconds:.0f} s",
        ]
        return "; ".join(parts)

    @property
    def repeat(self) -> str:
        """The command that does the same again."""
        return again(self.name, self.store, self.size, self.seed)

    def demand_nothing_broken(self) -> None:
        """Raises AssertionError, which names the violations and how to repeat the run."""
        shown = [str(violation) for violation in self.violations[:SHOWN]]
        assert not self.violations, "\n".join(
            [f"{len(self.violations)} violations (repeat: {self.repeat})", *shown]
        )


async def run(
    name: str, store: str, size: Size, *, seed: int | None = None, folder: Path | None = None
) -> Report:
    """Runs an experiment in a folder of its own. Raises NotHere where it cannot be done."""
    one, kind, nemesis = EXPERIMENTS[name], KINDS[store], Nemesis(seed)
    _refuse(one, kind)
    findings, began = Findings(), time.monotonic()
    with (
        tempfile.TemporaryDirectory(prefix="headrace-", dir=folder) as place,
        kind.opened(Path(place)) as target,
    ):
        scene = Scene(target=target, folder=Path(place), size=size, nemesis=nemesis, findings=findings)
        try:
            await one.body(scene)
        except BaseException as error:
            error.add_note(f"repeat: {again(name, store, size, nemesis.seed)}")
            raise
    return Report(
        name=name,
        title=one.title,
        store=store,
        size=size,
        seed=nemesis.seed,
        seconds=time.monotonic() - began,
        did=dict(findings.did),
        again=dict(findings.again),
        figures=findings.figures,
        violations=tuple(findings.violations),
        lost=findings.lost,
        left_out=tuple(findings.left_out),
    )


def again(name: str, store: str, size: Size, seed: int) -> str:
    """The command that does a run again."""
    return f"python -m tests.crash.full {name} --store {store} --size {size} --seed {seed}"


def counted(numbers: Mapping[str, int]) -> str:
    """Numbers with their names."""
    return ", ".join(f"{count:,} {name}" for name, count in numbers.items())


def _refuse(one: Experiment, kind: Kind) -> None:
    if kind.store not in one.on:
        raise NotHere(f"is for {', '.join(sorted(one.on))}")
