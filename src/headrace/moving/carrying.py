"""Jobs with those that they cannot come without."""

from collections.abc import Collection, Iterable, Sequence

from headrace.moving.sides import Side
from headrace.stores.adopting import Belongings, Carried


async def with_parents(source: Side, target: Side, carried: Sequence[Carried]) -> Sequence[Carried]:
    """These and the jobs that they wait for, or may ask for their results, in the order of the source.

    A parent that is at the target already is not among them.
    """
    known = {one.job.id for one in carried}
    found = list(carried)
    wanted = _parents(carried, known)
    while wanted:
        there = await target.store.get(target.namespace, sorted(wanted))
        ids = sorted(wanted - there.keys())
        jobs = await source.store.get(source.namespace, ids)
        owned = await source.store.belongings(source.namespace, ids)
        more = [Carried(job, owned.get(job.id, Belongings())) for job in jobs.values()]
        found += more
        known |= wanted
        wanted = _parents([one for one in more if one.job.placement.live], known)
    return sorted(found, key=lambda one: one.job.seq)


def _parents(carried: Iterable[Carried], known: Collection[str]) -> set[str]:
    wanted = {edge.parent for one in carried for edge in one.belongings.edges if edge.parent}
    return wanted - set(known)
