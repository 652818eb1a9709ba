"""What a cluster and partitions cost and give: the same drain over one, two and three primaries."""

from collections.abc import Callable

from bench import redis
from bench.library import drained
from bench.ours.commands import OURS
from bench.scenario import Contender, Figures, Goal, Run, Scenario, Side, ratio
from tests.servers.valkey_cluster import ValkeyCluster

RATE = "jobs/s"
WORKERS = 2
PARTITIONS = 6
WHOLE = "one server"
SPREAD = f"one server, {PARTITIONS} partitions"
ONE, TWO, THREE = (f"{n} primar{'y' if n == 1 else 'ies'}, {PARTITIONS} partitions" for n in (1, 2, 3))


def _server(partitions: int) -> Callable[[Run], Figures]:
    def run(run: Run) -> Figures:
        assert run.databases is not None
        with run.databases.empty() as url:
            return _drain(run, url + ("" if partitions == 1 else f"?partitions={partitions}"))

    return run


def _cluster(primaries: int) -> Callable[[Run], Figures]:
    def run(run: Run) -> Figures:
        with ValkeyCluster.start(primaries=primaries, replicas=0, settings=redis.DEFAULTS) as cluster:
            hosts = ",".join(f"{host}:{port}" for host, port in cluster.hosts())
            return _drain(run, f"redis+cluster://{hosts}/?partitions={PARTITIONS}")

    return run


def _drain(run: Run, url: str) -> Figures:
    jobs = run.size(OURS.jobs, OURS.jobs // 5)
    there = run.at(url)
    OURS.produce(there, "prepare", 0)
    filled = OURS.produce(there, "fill", jobs)
    done = drained(there, OURS, jobs, workers=WORKERS)
    return {**done, **{f"enqueued {name}": value for name, value in filled.items() if name == RATE}}


SCENARIO = Scenario(
    name="redis-cluster",
    question="How fast are waiting jobs done on a cluster of one, two and three primaries?",
    method=(
        f"As redis-drain, by {WORKERS} worker processes, in a queue of {PARTITIONS} partitions. Primaries"
        " have no replicas and keep nothing on the disk. Servers, workers and producer share the cores of"
        " this machine: with two of them the workers are the bound, and more primaries show only their cost."
    ),
    server=redis.own,
    contenders=(
        Contender(name=WHOLE, side=Side.OURS, run=_server(1)),
        Contender(name=SPREAD, side=Side.OURS, run=_server(PARTITIONS)),
        Contender(name=ONE, side=Side.OURS, run=_cluster(1)),
        Contender(name=TWO, side=Side.OURS, run=_cluster(2)),
        Contender(name=THREE, side=Side.OURS, run=_cluster(3)),
    ),
    goals=(
        Goal(text="partitions on one server against none", value=ratio(RATE, SPREAD, WHOLE)),
        Goal(text="2 primaries against 1", value=ratio(RATE, TWO, ONE)),
        Goal(text="3 primaries against 1", value=ratio(RATE, THREE, ONE)),
    ),
)
