"""Everything a store says of its jobs at the end of a run."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from headrace.core.job import History, Job
from headrace.core.states import State
from headrace.stores.protocol import Store
from tests.builders import NAMESPACE
from tests.contract.reads import everything, tallied

Numbers = Mapping[tuple[str, str, State], int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Dump:
    """Jobs and histories by id, and the tallies as the store keeps them."""

    jobs: Mapping[str, Job]
    histories: Mapping[str, History]
    tallies: Numbers

    @property
    def recounted(self) -> Numbers:
        """The tallies as the jobs themselves give them."""
        return Counter((job.facts.queue, job.facts.type, job.state) for job in self.jobs.values())

    def in_state(self, *states: State) -> list[Job]:
        """The jobs in these states."""
        return [job for job in self.jobs.values() if job.state in states]


async def dumped(store: Store) -> Dump:
    """Reads it all. Nothing may run on the store meanwhile."""
    jobs = {job.id: job for job in await everything(store)}
    histories = {job_id: await store.history(NAMESPACE, job_id) for job_id in jobs}
    return Dump(jobs=jobs, histories=histories, tallies=await tallied(store))
