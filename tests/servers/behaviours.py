"""How a proxy treats a connection."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto


class Direction(Enum):
    TO_SERVER = auto()
    TO_CLIENT = auto()


BOTH = frozenset(Direction)


def anything(_: bytes) -> bool:
    return True


@dataclass(frozen=True, slots=True, kw_only=True)
class Pass:
    """Everything arrives."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Delay:
    """Everything arrives, each piece so much later."""

    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class BlackHole:
    """Nothing arrives, not even that a side has closed; new connections are accepted and hear nothing.

    As on a broken line, bytes are late and not lost: they arrive when this is over.
    """

    directions: frozenset[Direction] = BOTH


@dataclass(frozen=True, slots=True, kw_only=True)
class CutAfter:
    """The connection breaks at the client's n-th message from now on.

    If that is ``delivered``, the server reads it, and its answer is lost; else it is lost itself. The
    server then sees the client leave, and the client sees a reset. Only messages that ``counts`` picks
    are counted; the others pass.
    """

    messages: int = 1
    delivered: bool = True
    counts: Callable[[bytes], bool] = anything


@dataclass(frozen=True, slots=True, kw_only=True)
class CutAfterBytes:
    """The connection breaks, even inside a message, when so many of the client's bytes have arrived."""

    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Reset:
    """The connection is reset on both sides at once; a new one as soon as it is accepted."""


Behaviour = Pass | Delay | BlackHole | CutAfter | CutAfterBytes | Reset


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """What is known of a connection: its number, from one, and the first bytes its client has sent so far."""

    number: int
    opening: bytes


Selection = Callable[[Sight], bool]


def every(_: Sight) -> bool:
    return True


def numbered(*numbers: int) -> Selection:
    """The n-th connections that the proxy has accepted."""
    return lambda sight: sight.number in numbers


def saying(text: bytes) -> Selection:
    """Connections whose client has said this among its first bytes, from that moment on."""
    return lambda sight: text in sight.opening
