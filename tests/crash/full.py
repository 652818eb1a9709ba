"""Runs experiments at length: ``python -m tests.crash.full [E02 …] [--seed 7] [--size full] [--write]``.

Prints one line for each: what was done and how often, what was lost, what broke, what ran again and why.
"""

import argparse
import asyncio
import sys
from collections.abc import Sequence

from tests.crash import results
from tests.crash.catalogue import EXPERIMENTS
from tests.crash.kit.experiment import NotHere, Size
from tests.crash.kit.run import Report, run
from tests.crash.kit.target import EVERYWHERE, KINDS


def main(arguments: Sequence[str]) -> int:
    """Runs what is asked for; 1 if anything broke."""
    asked = _parsed(arguments)
    reports: list[Report] = []
    broken = False
    for name in asked.names or sorted(EXPERIMENTS):
        for store in asked.store or sorted(EVERYWHERE):
            try:
                report = asyncio.run(run(name, store, asked.size, seed=asked.seed))
            except NotHere as why:
                _say(f"{name} {store}: {EXPERIMENTS[name].title}; not done: {why}")
                continue
            reports.append(report)
            _say(report.line)
            for violation in report.violations:
                _say(f"    {violation}")
            if report.violations:
                broken = True
                _say(f"    repeat: {report.repeat}")
    if asked.write:
        results.write(reports)
    return 1 if broken else 0


def _parsed(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.crash.full", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="E02", help="which experiments; else all")
    parser.add_argument("--seed", type=int, help="the seed that an earlier run told")
    parser.add_argument("--size", type=Size, default=Size.FULL, choices=list(Size))
    parser.add_argument("--store", action="append", choices=sorted(KINDS))
    parser.add_argument("--write", action="store_true", help="puts the results into docs/reliability.md")
    asked = parser.parse_args(arguments)
    for name in asked.names:
        if name not in EXPERIMENTS:
            parser.error(f"no experiment {name}; there are {', '.join(sorted(EXPERIMENTS))}")
    return asked


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
