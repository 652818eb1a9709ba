"""The scenarios by name, in the order in which they run."""

from bench.scenario import Scenario
from bench.scenarios import backlog, drain, enqueue, http, memory, pickup, start

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
    )
}
