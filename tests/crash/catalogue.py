"""All experiments, by number. Importing a module of experiments registers them."""

from typing import Final

from tests.crash.experiments import (
    e02_claim_race,
    e03_kill_storm,
    e04_crash_points,
    e05_zombie,
    e06_blocked_loop,
    e07_shutdown,
    e08_store_outage,
    e09_pooler,
    e10_wakeup_load,
    e11_sqlite_contention,
    e12_disk,
    e13_redis,
    e14_schedules,
    e15_batches,
    e16_uniqueness,
    e17_order,
    e18_limits,
    e19_retention,
    e29_old_snapshot,
    e30_flows,
    e31_failover,
)
from tests.crash.kit.experiment import EXPERIMENTS

MODULES: Final = (
    e02_claim_race,
    e03_kill_storm,
    e04_crash_points,
    e05_zombie,
    e06_blocked_loop,
    e07_shutdown,
    e08_store_outage,
    e09_pooler,
    e10_wakeup_load,
    e11_sqlite_contention,
    e12_disk,
    e13_redis,
    e14_schedules,
    e15_batches,
    e16_uniqueness,
    e17_order,
    e18_limits,
    e19_retention,
    e29_old_snapshot,
    e30_flows,
    e31_failover,
)

__all__ = ["EXPERIMENTS", "MODULES"]
