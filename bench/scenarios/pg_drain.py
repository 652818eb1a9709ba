"""How fast jobs that wait in PostgreSQL are done, side by side with peers."""

from bench import postgres
from bench.library import Library
from bench.limits.runs import Alone
from bench.measures import drain
from bench.ours.commands import OURS
from bench.peers.catalogue import ON_POSTGRES
from bench.scenario import Contender, Goal, Scenario, Side, figure, ratio, ratio_to_best

RATE = "jobs/s"
TWO = ", 2 processes"
LIBRARIES = (OURS, *(peer.library() for peer in ON_POSTGRES))
PEERS = tuple(one.name for one in LIBRARIES if one.side is Side.PEER)
PYTHON = tuple(one.name for one in LIBRARIES if one.side is Side.PEER and one.python)
PEERS_TWO = tuple(name + TWO for name in PEERS)
DELETING = "minimal engine, rows deleted"
KEEPING = "minimal engine, rows kept"
TABLE = "PostgreSQL alone, 500 a commit, rows kept"
ALONE = Alone("postgres")


def _contender(library: Library, workers: int) -> Contender:
    name = library.name + ("" if workers == 1 else TWO)
    return Contender(name=name, side=library.side, run=lambda run: drain(run, library, workers))


SCENARIO = Scenario(
    name="pg-drain",
    question="How fast are waiting no-op jobs done on PostgreSQL, by one worker process and by two?",
    method=(
        'Jobs `{"n": i}` wait in a database of their own, vacuumed, analysed and checkpointed, then the '
        "worker starts. `jobs/s` counts from the first handler's start to the last handler's end, `jobs/s "
        "settled` to the moment when the store holds no job that has not ended well. Every call of a handler "
        "is counted. Fast libraries drain 60,000 jobs, slow ones 3,000 or 10,000 (quick: a fifth), so that "
        "each takes a second or more. Headrace keeps history, results, fences and attempts; graphile-worker "
        "and SAQ delete the row, PgQueuer moves it to a log, the others keep it. Server and workers share "
        "the cores."
    ),
    server=postgres.plain,
    contenders=(
        *(_contender(library, 1) for library in LIBRARIES),
        *(_contender(library, 2) for library in LIBRARIES),
        Contender(name=DELETING, side=Side.LIMIT, run=lambda run: ALONE.engine(run, "delete")),
        Contender(name=KEEPING, side=Side.LIMIT, run=lambda run: ALONE.engine(run, "keep")),
        Contender(name=TABLE, side=Side.LIMIT, run=lambda run: ALONE.table(run, "claim", 60_000)),
    ),
    goals=(
        Goal(
            text="× the fastest Python peer",
            value=ratio_to_best(RATE, OURS.name, PYTHON),
            at_least=2,
            must=True,
        ),
        Goal(
            text="× the fastest peer in any language",
            value=ratio_to_best(RATE, OURS.name, PEERS),
            at_least=1,
            must=True,
        ),
        Goal(text="× the fastest Python peer", value=ratio_to_best(RATE, OURS.name, PYTHON), at_least=2.5),
        Goal(
            text="× the fastest peer in any language",
            value=ratio_to_best(RATE, OURS.name, PEERS),
            at_least=1.25,
        ),
        Goal(text="2 processes against 1", value=ratio(RATE, OURS.name + TWO, OURS.name), at_least=1),
        Goal(
            text="2 processes, × the fastest peer with 2",
            value=ratio_to_best(RATE, OURS.name + TWO, PEERS_TWO),
        ),
        Goal(text=f"share of the {DELETING}", value=ratio(RATE, OURS.name, DELETING), at_least=0.5),
        Goal(text=f"share of the {KEEPING}", value=ratio(RATE, OURS.name, KEEPING)),
        Goal(text="worker after a drain, MB", value=figure(OURS.name, "MB"), at_most=50, form="{:.0f}"),
    ),
)
