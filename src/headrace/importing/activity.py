"""Whether workers of BullMQ are at work on a queue."""

from dataclasses import dataclass
from typing import Final

from headrace.errors import StoreUnusable
from headrace.importing.reading import PAGE, BullReader

_NAMED: Final = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Activity:
    """What runs: jobs in ``active``, those of them whose workers hold locks, and workers that wait for more.

    ``workers`` is None where the account may not list connections.
    """

    active: int
    locked: tuple[str, ...]
    workers: tuple[str, ...] | None
    paused: bool

    @property
    def in_the_way(self) -> str | None:
        """Why jobs cannot be taken in now, as they might run twice; None if nothing is."""
        if self.locked:
            named = ", ".join(self.locked[:_NAMED])
            return f"workers of BullMQ run {len(self.locked)} of its jobs, such as {named}"
        if self.workers and not self.paused:
            named = ", ".join(self.workers[:_NAMED])
            return f"{len(self.workers)} workers of BullMQ wait for its jobs: {named}"
        return None


async def activity(reader: BullReader) -> Activity:
    """Looks at locks, connections, and whether the queue is paused."""
    queue = reader.queue
    locked: list[str] = []
    active, first = 0, 0
    while ids := await reader.ask("LRANGE", queue.key("active"), first, first + PAGE - 1):
        held = await reader.ask_all([("EXISTS", queue.key(f"{one}:lock")) for one in ids])
        locked += [one for one, is_held in zip(ids, held, strict=True) if is_held]
        active, first = active + len(ids), first + PAGE
    paused = await reader.ask("HGET", queue.key("meta"), "paused")
    return Activity(
        active=active, locked=tuple(locked), workers=await _workers(reader), paused=paused is not None
    )


async def _workers(reader: BullReader) -> tuple[str, ...] | None:
    """The connections on which workers of the queue wait, by address and name."""
    try:
        listed: str = await reader.ask("CLIENT", "LIST")
    except StoreUnusable:
        return None
    unnamed = reader.queue.client_name
    found: list[str] = []
    for line in listed.splitlines():
        fields: dict[str, str] = {}
        for part in line.split(" "):
            key, _, value = part.partition("=")
            fields[key] = value
        name = fields.get("name", "")
        if name == unnamed or name.startswith(f"{unnamed}:w:"):
            own = name.removeprefix(unnamed).removeprefix(":w:")
            found.append(f"{own} at {fields.get('addr')}" if own else f"{fields.get('addr')}")
    return tuple(found)
