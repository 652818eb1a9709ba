import random

from tests.servers.ports import PORTS, free_port


def test_processes_that_hypothesis_has_seeded_alike_get_different_ports():
    random.seed(0)
    one = {free_port() for _ in range(5)}
    random.seed(0)
    other = {free_port() for _ in range(5)}

    assert one != other
    assert one | other <= set(PORTS)
