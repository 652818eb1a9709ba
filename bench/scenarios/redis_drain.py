"""How fast jobs that wait in Redis are done, side by side with peers."""

from bench import redis
from bench.library import Library
from bench.limits.runs import Alone
from bench.measures import drain
from bench.ours.commands import OURS
from bench.peers.on_redis import ON_REDIS
from bench.scenario import Contender, Goal, Scenario, Side, figure, ratio, ratio_to_best

RATE = "jobs/s"
TWO = ", 2 processes"
BULLMQ = "bullmq"
LIBRARIES = (OURS, *(peer.library() for peer in ON_REDIS))
PEERS = tuple(one.name for one in LIBRARIES if one.side is Side.PEER)
PYTHON = tuple(one.name for one in LIBRARIES if one.side is Side.PEER and one.python)
PEERS_TWO = tuple(name + TWO for name in PEERS)
DELETING = "minimal engine, jobs deleted"
KEEPING = "minimal engine, jobs kept"
TABLE = "Redis alone, 100 a claim, jobs kept"
ALONE = Alone("redis")


def _contender(library: Library, workers: int) -> Contender:
    name = library.name + ("" if workers == 1 else TWO)
    return Contender(name=name, side=library.side, run=lambda run: drain(run, library, workers))


SCENARIO = Scenario(
    name="redis-drain",
    question="How fast are waiting no-op jobs done on Redis, by one worker process and by two?",
    method=(
        'Jobs `{"n": i}` wait in an emptied server, enqueued by the library itself, then the worker starts. '
        "Tier none: the server keeps nothing on the disk, as peers are usually measured. `jobs/s` counts "
        "from the first handler's start to the last handler's end, `jobs/s settled` to the moment when the "
        "store holds no job that has not ended well. Every call of a handler is counted. Fast libraries "
        "drain 60,000 or 40,000 jobs, slow ones 1,000 to 15,000 (quick: a fifth), so that each takes a "
        "second or more. Headrace keeps history, results, fences and attempts; peers drop what has ended, "
        "but for repid and taskiq, whose streams keep it, and huey and Celery acknowledge before they run. "
        "Server and workers share the cores."
    ),
    server=redis.plain,
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
            at_least=2.5,
            must=True,
        ),
        Goal(text="× BullMQ on Node", value=ratio(RATE, OURS.name, BULLMQ), at_least=1.5, must=True),
        Goal(text="× the fastest Python peer", value=ratio_to_best(RATE, OURS.name, PYTHON), at_least=4),
        Goal(text="× BullMQ on Node", value=ratio(RATE, OURS.name, BULLMQ), at_least=2),
        Goal(text="2 processes against 1", value=ratio(RATE, OURS.name + TWO, OURS.name), at_least=1),
        Goal(
            text="2 processes, × the fastest peer with 2",
            value=ratio_to_best(RATE, OURS.name + TWO, PEERS_TWO),
        ),
        Goal(text=f"share of the {DELETING}", value=ratio(RATE, OURS.name, DELETING), at_least=0.4),
        Goal(text=f"share of the {KEEPING}", value=ratio(RATE, OURS.name, KEEPING)),
        Goal(text="worker after a drain, MB", value=figure(OURS.name, "MB"), at_most=50, form="{:.0f}"),
    ),
)
