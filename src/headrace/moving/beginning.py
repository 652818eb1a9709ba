"""Whether a move may begin, and which one it is: a new one, one that was broken off, or stragglers of one."""

import uuid
from dataclasses import dataclass

from headrace.core.lanes import ALIVE_MS
from headrace.engine.published import PREFIX as TYPES
from headrace.moving import lease
from headrace.moving.registers import INTO, OUT, PREFIX, Incoming, Outgoing, Stage
from headrace.moving.sides import MoveRefused, Side, Surroundings
from headrace.stores.protocol import Register, Swap

_NAMED = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Begun:
    """A move whose right to write is held."""

    lease: lease.Lease
    outgoing: Outgoing


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """The registers of both sides as they were found."""

    out: Register | None
    into: Register | None

    @property
    def outgoing(self) -> Outgoing | None:
        """What the source says."""
        return None if self.out is None else Outgoing.loads(self.out.value)

    @property
    def incoming(self) -> Incoming | None:
        """What the target says."""
        return None if self.into is None else Incoming.loads(self.into.value)


async def standing(source: Side, target: Side) -> Standing:
    """How far a move from one to the other is; reads only. Raises MoveRefused where there can be none."""
    sources = await source.store.read(source.namespace, (OUT, INTO))
    targets = await target.store.read(target.namespace, (OUT, INTO))
    found = Standing(out=sources.get(OUT), into=targets.get(INTO))
    if OUT in sources and OUT in targets and sources[OUT] == targets[OUT]:
        raise _same(source)
    if INTO in sources and Incoming.loads(sources[INTO].value).stage is not Stage.DONE:
        raise MoveRefused(f"a move into {source.name} is not finished; finish that one first")
    _refuse_other_move(found, source, target)
    if found.into is None:
        if source.name == target.name:
            raise _same(source)
        await _refuse_if_used(target)
    return found


async def begin(source: Side, target: Side, around: Surroundings) -> Begun:
    """Begins the move or takes it up again. Raises MoveRefused."""
    found = await standing(source, target)
    outgoing = found.outgoing
    if outgoing is None:
        outgoing = await _announce(source, target)
    if found.into is not None:
        held = await lease.take(target, found.into, around)
    else:
        state = Incoming(id=outgoing.id, source=source.name, began_at=target.clock.now())
        held = await lease.begin(target, state, around)
    return Begun(lease=held, outgoing=outgoing)


async def start_over(source: Side) -> None:
    """Forgets at the source that a move has begun, so that it can be moved to another store."""
    register = (await source.store.read(source.namespace, (OUT,))).get(OUT)
    if register is not None:
        await source.store.swap(source.namespace, (Swap(key=OUT, revision=register.revision, value=None),))


async def finish_outgoing(source: Side, outgoing: Outgoing) -> None:
    """Writes at the source how the move ended. Raises MoveRefused if somebody else writes there."""
    register = (await source.store.read(source.namespace, (OUT,))).get(OUT)
    revision = 0 if register is None else register.revision
    swap = Swap(key=OUT, revision=revision, value=outgoing.dumps())
    if not await source.store.swap(source.namespace, (swap,)):
        raise MoveRefused(f"another mover wrote the register of {source.name} meanwhile")


async def living_workers(side: Side) -> list[str]:
    """The workers that are alive, as people know them."""
    alive = side.clock.now() - ALIVE_MS
    return [
        f"{one.worker} ({one.host}, pid {one.pid})"
        for one in await side.store.workers(side.namespace)
        if one.seen_at > alive
    ]


async def _announce(source: Side, target: Side) -> Outgoing:
    outgoing = Outgoing(id=uuid.uuid4().hex, to=target.name, began_at=source.clock.now())
    swap = Swap(key=OUT, revision=0, value=outgoing.dumps())
    if not await source.store.swap(source.namespace, (swap,)):
        raise MoveRefused(f"another move from {source.name} has just begun")
    # two URLs may lead to one store, and this is what tells
    mirrored = (await target.store.read(target.namespace, (OUT,))).get(OUT)
    if mirrored is not None and Outgoing.loads(mirrored.value).id == outgoing.id:
        await start_over(source)
        raise _same(source)
    return outgoing


def _refuse_other_move(found: Standing, source: Side, target: Side) -> None:
    outgoing, incoming = found.outgoing, found.incoming
    if incoming is not None and (outgoing is None or incoming.id != outgoing.id):
        raise MoveRefused(
            f"{target.name} has taken in the jobs of {incoming.source} ({incoming.stage}); a namespace is"
            " moved into once: use an empty database or another namespace"
        )
    if outgoing is None or incoming is not None:
        return
    if outgoing.done_at is not None or outgoing.to != target.name:
        done = "were moved" if outgoing.done_at is not None else "are being moved"
        raise MoveRefused(
            f"the jobs of {source.name} {done} to {outgoing.to}; to move them to {target.name} as well,"
            " which runs them twice unless the other copy is never used, add --start-over"
        )


async def _refuse_if_used(target: Side) -> None:
    jobs = sum(one.count for one in await target.store.tallies(target.namespace))
    if jobs:
        raise MoveRefused(
            f"{target.name} already has {jobs} jobs in the namespace {target.namespace!r}: use an empty"
            " database or another namespace"
        )
    keys = [
        one.key
        for one in await target.store.scan(target.namespace, "")
        if not one.key.startswith((PREFIX, TYPES))
    ]
    if keys:
        raise MoveRefused(
            f"{target.name} already has settings in the namespace {target.namespace!r}, such as"
            f" {', '.join(keys[:_NAMED])}: use an empty database or another namespace"
        )


def _same(source: Side) -> MoveRefused:
    return MoveRefused(f"source and target are the same store: {source.name}")
