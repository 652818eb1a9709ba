"""``python -m headrace.demo``."""

import argparse
import asyncio
import sys

from headrace.demo.story import ROWS, Plan, play


def main() -> int:
    """Runs the demonstration as the command line says."""
    parser = argparse.ArgumentParser(prog="python -m headrace.demo", description=__doc__)
    parser.add_argument("--rows", type=int, default=ROWS, help="how many orders")
    parser.add_argument("--serve", action="store_true", help="leave the service up until Ctrl-C")
    parser.add_argument(
        "--storm", type=float, default=0.0, metavar="SECONDS", help="kill workers at random for so long"
    )
    parser.add_argument("--seed", type=int, default=1, help="which random moments")
    given = parser.parse_args()
    plan = Plan(rows=given.rows, serve=given.serve, storm=given.storm, seed=given.seed)
    try:
        return asyncio.run(play(plan))
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
