"""Which addresses may be reached for a stranger's URL: public ones, and those the operator names."""

import ipaddress
import re
from collections.abc import Iterator
from typing import Final

from headrace.errors import InvalidInput

MAX_PORT: Final = 65_535
_PAIR: Final = re.compile(r"([A-Za-z0-9_.-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\]):([0-9]{1,5})")

IPv4 = ipaddress.IPv4Address
IPv6 = ipaddress.IPv6Address

_LAST_32_BITS: Final = (
    ipaddress.IPv6Network("::ffff:0:0/96"),  # IPv4-mapped
    ipaddress.IPv6Network("::ffff:0:0:0/96"),  # IPv4-translated
    ipaddress.IPv6Network("64:ff9b::/96"),  # NAT64
)
_COMPATIBLE: Final = ipaddress.IPv6Network("::/96")
_SIX_TO_FOUR: Final = ipaddress.IPv6Network("2002::/16")
_TEREDO: Final = ipaddress.IPv6Network("2001::/32")
_GLOBAL_UNICAST: Final = ipaddress.IPv6Network("2000::/3")
_ISATAP: Final = frozenset({0x0000_5EFE, 0x0200_5EFE})

# Special-purpose blocks that some versions of ``ipaddress`` call global, in part or as a whole.
_SPECIAL_V4: Final = (
    ipaddress.IPv4Network("192.0.0.0/24"),
    ipaddress.IPv4Network("192.88.99.0/24"),
)
_SPECIAL_V6: Final = (
    ipaddress.IPv6Network("2001::/23"),
    ipaddress.IPv6Network("3fff::/20"),
)


def allowed_pair(text: str) -> tuple[str, int]:
    """Host and port of ``host:port``, an IPv6 address in brackets. Raises InvalidInput."""
    found = _PAIR.fullmatch(text)
    if found is None or not 1 <= int(found[2]) <= MAX_PORT:
        msg = f"HEADRACE_OUTBOUND_ALLOW holds {text!r}, which is not host:port"
        raise InvalidInput(msg, field="HEADRACE_OUTBOUND_ALLOW")
    return found[1].lower().strip("[]"), int(found[2])


def is_public(text: str) -> bool:
    """Whether an address is globally routable unicast, and so is every IPv4 address hidden in it."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return False
    if isinstance(address, IPv4):
        return _is_public_v4(address)
    if address.scope_id is not None:
        return False
    hidden = tuple(_hidden_v4(address))
    return all(map(_is_public_v4, hidden)) and (_is_only_a_wrapper(address) or _is_public_v6(address))


def _hidden_v4(address: IPv6) -> Iterator[IPv4]:
    """Every IPv4 address that a gateway could take out of this IPv6 address."""
    value = int(address)
    last = IPv4(value & 0xFFFF_FFFF)
    if any(address in network for network in (*_LAST_32_BITS, _COMPATIBLE)):
        yield last
    if address in _SIX_TO_FOUR:
        yield IPv4(value >> 80 & 0xFFFF_FFFF)
    if address in _TEREDO:
        yield IPv4(value >> 64 & 0xFFFF_FFFF)
        yield IPv4(~value & 0xFFFF_FFFF)
    if value >> 32 & 0xFFFF_FFFF in _ISATAP:
        yield last


def _is_only_a_wrapper(address: IPv6) -> bool:
    return any(address in network for network in (*_LAST_32_BITS, _SIX_TO_FOUR, _TEREDO))


def _is_public_v6(address: IPv6) -> bool:
    special = any(address in network for network in _SPECIAL_V6)
    return address in _GLOBAL_UNICAST and address.is_global and not special


def _is_public_v4(address: IPv4) -> bool:
    return (
        address.is_global
        and not address.is_multicast
        and not address.is_reserved
        and not any(address in network for network in _SPECIAL_V4)
    )
