"""Which node of a cluster takes the writes of a key, as one event loop knows it.

What is known may be outdated at any time: a node that is asked for a key that it has not says where the key
is, and what nobody answers for is asked anew of all nodes.

A slot that is on its way from one node to another (ASK) is not followed: the keys of a namespace are partly
here and partly there then, and a script would see half of them. Its ops are refused until it has arrived.
"""

import asyncio
from collections.abc import Sequence
from typing import Any, Final, cast

from redis.crc import key_slot
from redis.exceptions import ConnectionError as NoConnection
from redis.exceptions import MovedError, RedisError

from headrace.stores.redis.driving import ASK_WITHIN, connected
from headrace.stores.redis.location import Location
from headrace.stores.urls import Host

_SLOTS: Final = 16_384


class Slots:
    """The owners of all slots."""

    def __init__(self, location: Location) -> None:
        self._location = location
        self._nodes: tuple[Host, ...] = location.hosts
        self._owners: list[Host | None] = []
        self._lock = asyncio.Lock()

    async def owner(self, key: str) -> Host:
        """The node of a key. Raises ConnectionError while there is none."""
        owner = (await self._known())[key_slot(key.encode())]
        if owner is None:
            self.forget()
            raise NoConnection("the cluster serves not all slots")
        return owner

    async def primaries(self) -> Sequence[Host]:
        """All nodes that have slots, in order."""
        return sorted({one for one in await self._known() if one is not None}, key=str)

    def learn(self, moved: MovedError) -> Host:
        """Where a node says that a key is by now."""
        name, port = cast("tuple[str, int]", moved.node_addr)
        host = Host(name=name or self._location.hosts[0].name, port=port)
        if self._owners:
            self._owners[moved.slot_id] = host
        return host

    def forget(self) -> None:
        """Lets the owners be asked for anew."""
        self._owners = []

    async def _known(self) -> Sequence[Host | None]:
        async with self._lock:
            if not self._owners:
                self._owners = await self._read()
            return self._owners

    async def _read(self) -> list[Host | None]:
        why = "none answered"
        for node in dict.fromkeys((*self._nodes, *self._location.hosts)):
            try:
                async with asyncio.timeout(ASK_WITHIN):
                    found = await _asked(self._location, node)
            except (RedisError, OSError, TimeoutError) as error:
                why = f"{node}: {error}" if str(error) else f"{node} does not answer"
                continue
            owners: list[Host | None] = [None] * _SLOTS
            nodes: dict[Host, None] = {}
            for first, last, *servers in found:
                hosts = [Host(name=one[0] or node.name, port=int(one[1])) for one in servers]
                owners[int(first) : int(last) + 1] = [hosts[0]] * (int(last) - int(first) + 1)
                nodes |= dict.fromkeys(hosts)
            self._nodes = tuple(nodes) or self._nodes
            return owners
        raise NoConnection(f"no node of the cluster tells who has which keys: {why}")


async def _asked(location: Location, node: Host) -> Sequence[Any]:
    raw = await connected(location, node)
    try:
        await raw.send_command("CLUSTER", "SLOTS")
        return await raw.read_response()
    finally:
        await raw.disconnect(nowait=True)
