"""The sweep over lanes, as it is the same on every store."""

from collections.abc import Sequence
from typing import Final, Protocol

from headrace.stores.gating import Opening, Returned
from headrace.stores.lanes import BroughtBack

START: Final = ("", "")
"""Before the first lane of the first namespace."""

_PAGE: Final = 200


class Swept(Protocol):
    """What the sweep needs of a store."""

    async def open_lanes(self, namespace: str, keys: Sequence[str], *, now: int) -> BroughtBack:
        """Brings back who could start on these lanes, in one op."""
        ...

    async def lanes_waited_for(self, after: tuple[str, str], limit: int) -> list[tuple[str, str]]:
        """The next lanes, with their namespaces, on which jobs wait and of which something is kept."""
        ...


async def sweep(store: Swept, now: int, limit: int) -> BroughtBack:
    """Brings back who could start on any lane, page by page, until enough have come back."""
    after, count = START, 0
    places: set[tuple[str, str]] = set()
    openings: list[int] = []
    while count < limit:
        page = await store.lanes_waited_for(after, _PAGE)
        for namespace in sorted({namespace for namespace, _ in page}):
            keys = [key for of, key in page if of == namespace]
            back = await store.open_lanes(namespace, keys, now=now)
            count += back.count
            places |= back.places
            openings += () if back.next_opening is None else (back.next_opening,)
        if len(page) < _PAGE:
            break
        after = page[-1]
    return BroughtBack(
        count=count,
        places=frozenset(places),
        next_opening=min(openings, default=None),
        more=count >= limit,
    )


def brought_back(returned: Sequence[Returned], openings: Sequence[Opening]) -> BroughtBack:
    """What one op did."""
    return BroughtBack(
        count=len(returned),
        places=frozenset((one.namespace, one.queue) for one in returned),
        next_opening=min((one.at for one in openings), default=None),
    )
