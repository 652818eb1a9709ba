"""Ports for servers that go down and come back."""

import random
import socket

# Below those that Linux gives to outgoing connections, which could take a port while its server is down.
PORTS = range(20_000, 32_000)

# Python's own is seeded by Hypothesis: processes that begin an example at once would take the same port.
CHANCE = random.SystemRandom()


def free_port() -> int:
    """A port on 127.0.0.1 that nobody listens on now."""
    for port in CHANCE.sample(PORTS, k=200):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise OSError("found no free port")
