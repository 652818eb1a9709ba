"""What a move would do: what is there to be moved, and what stays behind. Reads only."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from headrace.core.states import LIVE, State
from headrace.core.wire import Json
from headrace.moving.jobs import Kind
from headrace.moving.quiet import what_runs
from headrace.moving.sides import Side
from headrace.moving.things import family, registers_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is at the source. ``runs`` is what must end before the move can begin."""

    source: str
    counts: Mapping[Kind, int]
    dead_letters: int
    settings: Mapping[str, int]
    runs: tuple[str, ...]
    stays: tuple[str, ...]

    @property
    def expected(self) -> int:
        """About how many jobs are moved."""
        living = sum(count for (_, _, state), count in self.counts.items() if State(state) in LIVE)
        return living + self.dead_letters

    def to_json(self) -> dict[str, Json]:
        """As JSON."""
        counts: list[Json] = [
            {"queue": queue, "type": kind, "state": state, "count": count}
            for (queue, kind, state), count in sorted(self.counts.items())
        ]
        return {
            "source": self.source,
            "counts": counts,
            "deadLetters": self.dead_letters,
            "settings": dict(self.settings),
            "running": list(self.runs),
            "stays": list(self.stays),
        }


async def plan(source: Side, *, ended: bool) -> Plan:
    """Looks at the source."""
    tallies = await source.store.tallies(source.namespace)
    counts = Counter({(one.queue, one.type, one.state.value): one.count for one in tallies if one.count})
    settings = Counter(family(key) for key in await registers_of(source))
    return Plan(
        source=source.name,
        counts=counts,
        dead_letters=sum(one.count for one in await source.store.dead_counts(source.namespace)),
        settings=dict(sorted(settings.items())),
        runs=tuple(await what_runs(source)),
        stays=await what_stays(source, counts, ended=ended),
    )


async def what_stays(source: Side, counts: Mapping[Kind, int], *, ended: bool) -> tuple[str, ...]:
    """What is not moved, as people read it."""
    found: list[str] = []
    over = sum(count for (_, _, state), count in counts.items() if State(state) not in LIVE)
    if over and not ended:
        found.append(
            f"the {over} jobs that have ended, except dead letters, members of batches that are open and"
            " parents of jobs that live (--ended moves them all)"
        )
    if await source.store.events_kept(source.namespace) is not None:
        found.append("the log of events; the target begins a new one")
    found.append("the contents of stored files, which lie in a folder beside the store")
    return tuple(found)
