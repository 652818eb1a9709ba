"""Runs a scenario: every contender once per round, in turn, so that what disturbs one disturbs all."""

import statistics
import sys
import time
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field

from bench.places import kept_folder, workspace
from bench.scenario import Contender, Figures, Run, Scenario


@dataclass(slots=True, kw_only=True)
class Measured:
    """All turns of one contender."""

    contender: Contender
    turns: list[Figures] = field(default_factory=list)
    broken: str = ""

    @property
    def medians(self) -> dict[str, float]:
        """The median of each figure."""
        return {name: statistics.median(turn[name] for turn in self.turns) for name in self.names}

    @property
    def ranges(self) -> dict[str, tuple[float, float]]:
        """The smallest and the largest of each figure."""
        found = {name: [turn[name] for turn in self.turns] for name in self.names}
        return {name: (min(values), max(values)) for name, values in found.items()}

    @property
    def names(self) -> tuple[str, ...]:
        """The figures it has."""
        return tuple(self.turns[0]) if self.turns else ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """A scenario with everything measured."""

    scenario: Scenario
    measured: Sequence[Measured]
    rounds: int
    seconds: float
    server: str = ""

    @property
    def medians(self) -> dict[str, dict[str, float]]:
        """Medians by contender."""
        return {one.contender.name: one.medians for one in self.measured if one.turns}


def run_scenario(scenario: Scenario, *, rounds: int, quick: bool) -> Outcome:
    """Runs all contenders ``rounds`` times, interleaved. What breaks is reported and left out."""
    start = time.monotonic()
    measured = [Measured(contender=one) for one in scenario.contenders]
    with kept_folder() as kept, scenario.server() if scenario.server else nullcontext() as databases:
        if scenario.prepare is not None:
            with workspace(kept) as space:
                _say(f"{scenario.name}: preparing")
                scenario.prepare(Run(space=space, quick=quick, databases=databases))
        for turn in range(rounds):
            for one in measured:
                if one.broken or (turn and one.contender.once):
                    continue
                with workspace(kept) as space:
                    _turn(scenario, one, Run(space=space, quick=quick, databases=databases), turn)
        about = databases.about() if databases else ""
    return Outcome(
        scenario=scenario,
        measured=measured,
        rounds=rounds,
        seconds=time.monotonic() - start,
        server=about,
    )


def _turn(scenario: Scenario, one: Measured, run: Run, turn: int) -> None:
    _say(f"{scenario.name}: round {turn + 1}, {one.contender.name}")
    try:
        one.turns.append(one.contender.run(run))
    except Exception as error:  # boundary: what breaks one contender must not end the run of all
        one.broken = f"{type(error).__name__}: {error}"
        _say(f"{scenario.name}: {one.contender.name} broke")


def _say(text: str) -> None:
    sys.stderr.write(f"\r\x1b[K{text}" if sys.stderr.isatty() else f"{text}\n")
    sys.stderr.flush()
