"""How fast jobs are taken in by the library."""

from bench.library import filled
from bench.ours import commands
from bench.peers import huey
from bench.peers.catalogue import DBOS_SQLITE
from bench.processes import ask, ours
from bench.scenario import Contender, Figures, Goal, Run, Scenario, Side, figure, ratio

RATE = "jobs/s"
ONE = "headrace, one at a time"
CONC = "headrace, 16 producers"
BULK = "headrace, 1,000 a call"
HUEY = "huey, one at a time"
DBOS = "dbos, one at a time"
DBOS_CONC = "dbos, 16 producers"
ROWS = "SQLite alone, a commit per row, FULL"
BULK_ROWS = "SQLite alone, 1,000 rows a commit, FULL"


def headrace(run: Run, what: str, full: int, quick: int) -> Figures:
    """Our producer process, nobody else on the file."""
    return commands.told(run, what, run.size(full, quick))


def dbos(run: Run, what: str) -> Figures:
    """A client of DBOS."""
    library = DBOS_SQLITE.library()
    with filled(run, library, 0) as there:
        return library.produce(there, what, run.size(library.calls, library.calls // 4))


def table(run: Run, what: str, full: int, quick: int) -> Figures:
    """SQLite without any engine."""
    return ask(run, ours("bench.limits.sqlite", what, run.size(full, quick)))


SCENARIO = Scenario(
    name="enqueue",
    question="How fast does a program enqueue?",
    method=(
        "One producer process, no worker. Every call returns when its jobs are durable (synchronous=FULL); "
        "arguments are validated. The 16 producers are tasks on one event loop, each awaiting one job after "
        "the other. SQLite alone inserts nine plain columns with one index."
    ),
    contenders=(
        Contender(name=ONE, side=Side.OURS, run=lambda run: headrace(run, "one", 6_000, 2_000)),
        Contender(
            name=HUEY,
            side=Side.PEER,
            run=lambda run: huey.told(run, "one", run.size(6_000, 2_000)),
        ),
        Contender(name=DBOS, side=Side.PEER, run=lambda run: dbos(run, "one")),
        Contender(name=DBOS_CONC, side=Side.PEER, run=lambda run: dbos(run, "conc")),
        Contender(name=ROWS, side=Side.LIMIT, run=lambda run: table(run, "one", 8_000, 3_000)),
        Contender(name=CONC, side=Side.OURS, run=lambda run: headrace(run, "conc", 30_000, 8_000)),
        Contender(name=BULK, side=Side.OURS, run=lambda run: headrace(run, "bulk", 100_000, 30_000)),
        Contender(name=BULK_ROWS, side=Side.LIMIT, run=lambda run: table(run, "bulk", 200_000, 50_000)),
    ),
    goals=(
        Goal(text="16 producers against one at a time", value=ratio(RATE, CONC, ONE), at_least=3, must=True),
        Goal(text="one at a time, jobs/s", value=figure(ONE, RATE), at_least=4_000, form="{:,.0f}"),
        Goal(text="16 producers, jobs/s", value=figure(CONC, RATE), at_least=20_000, form="{:,.0f}"),
        Goal(text="1,000 a call, jobs/s", value=figure(BULK, RATE), at_least=100_000, form="{:,.0f}"),
        Goal(text="one at a time, × huey", value=ratio(RATE, ONE, HUEY)),
        Goal(text="16 producers, × huey", value=ratio(RATE, CONC, HUEY)),
        Goal(text="one at a time, × DBOS", value=ratio(RATE, ONE, DBOS)),
        Goal(text="16 producers, × DBOS", value=ratio(RATE, CONC, DBOS_CONC)),
        Goal(text="one at a time, share of SQLite alone", value=ratio(RATE, ONE, ROWS)),
        Goal(text="1,000 a call, share of SQLite alone", value=ratio(RATE, BULK, BULK_ROWS)),
    ),
)
