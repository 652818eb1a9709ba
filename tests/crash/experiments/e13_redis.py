"""E13: what can go wrong with Redis alone: its memory, its settings, its scripts, its replicas."""

from tests.crash.experiments.e13_load import under_load
from tests.crash.experiments.e13_memory import full_memory
from tests.crash.experiments.e13_scripts import only_by_scripts
from tests.crash.experiments.e13_settings import settings_told
from tests.crash.kit.experiment import Scene, experiment
from tests.crash.kit.target import REDIS


@experiment(
    "E13",
    "Redis alone",
    "Servers that evict are refused; the memory of one becomes full; scripts are forgotten all the time, the"
    " server restarts, and changes places with its replica while jobs come and run; all its clients' commands"
    " are listened to.",
    on=frozenset({REDIS.name}),
)
async def redis_alone(scene: Scene) -> None:
    await settings_told(scene)
    await full_memory(scene)
    await under_load(scene)
    await only_by_scripts(scene)
