"""Which layout of keys a server has, and whether this version of the program may use it.

The layout is a number, kept beside the oldest number whose programs can work with it: while programs are
exchanged one by one, the old ones go on with the layout of the new ones (C50).
"""

from dataclasses import dataclass
from typing import Final

from headrace.errors import SchemaTooNew, StoreUnusable
from headrace.stores.redis.location import Location

NEWEST: Final = 1
"""The number of this version's layout."""
_OLDEST: Final = 1
MARK: Final = f"{NEWEST} {_OLDEST}"


@dataclass(frozen=True, slots=True)
class Present:
    """What was found. ``number`` is 0 where nothing has been written yet."""

    number: int = 0
    oldest: int = 0


def present_in(mark: str | None, location: Location) -> Present:
    """Reads the mark. Raises StoreUnusable for one that another program has left."""
    if mark is None:
        return Present()
    numbers = mark.split(" ")
    if len(numbers) != len(MARK.split(" ")) or not all(one.isascii() and one.isdigit() for one in numbers):
        msg = (
            f"the key {location.prefix}:schema of {location.name} was written by another program;"
            " Headrace wants a prefix of its own: name one with ?prefix="
        )
        raise StoreUnusable(msg)
    return Present(*map(int, numbers))


def refuse_newer(present: Present, location: Location) -> None:
    """Raises SchemaTooNew for the layout of a newer version that this one cannot work with."""
    if present.oldest > NEWEST:
        msg = (
            f"the keys of {location.name} with prefix {location.prefix!r} have layout {present.number},"
            f" this Headrace knows {NEWEST}: upgrade this program"
        )
        raise SchemaTooNew(msg)
