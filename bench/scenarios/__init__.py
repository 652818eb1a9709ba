"""The scenarios by name, in the order in which they run."""

from bench.scenario import Scenario
from bench.scenarios import (
    backlog,
    drain,
    enqueue,
    http,
    limits,
    memory,
    pg_backlog,
    pg_drain,
    pg_enqueue,
    pg_idle,
    pg_pickup,
    pickup,
    redis_backlog,
    redis_cluster,
    redis_drain,
    redis_durable,
    redis_enqueue,
    redis_idle,
    redis_memory,
    redis_pickup,
    start,
)

SCENARIOS: dict[str, Scenario] = {
    one.name: one
    for one in (
        drain.SCENARIO,
        enqueue.SCENARIO,
        pickup.SCENARIO,
        http.SCENARIO,
        backlog.SCENARIO,
        memory.SCENARIO,
        start.SCENARIO,
        limits.ON_SQLITE,
        pg_drain.SCENARIO,
        pg_enqueue.SCENARIO,
        pg_pickup.SCENARIO,
        pg_backlog.SCENARIO,
        pg_idle.SCENARIO,
        limits.ON_POSTGRES,
        redis_drain.SCENARIO,
        redis_durable.SCENARIO,
        redis_enqueue.SCENARIO,
        redis_pickup.SCENARIO,
        redis_backlog.SCENARIO,
        redis_idle.SCENARIO,
        redis_memory.SCENARIO,
        redis_cluster.SCENARIO,
        limits.ON_REDIS,
    )
}
