import pytest

from tests.servers.resp import RespCommands

PING = b"*1\r\n$4\r\nPING\r\n"
SET = b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$7\r\na\r\n*1\r\n\r\n"
EMPTY = b"*2\r\n$4\r\nECHO\r\n$0\r\n\r\n"
TYPED = b"PING hello\r\n"
SESSION = [PING, SET, TYPED, EMPTY, PING]


@pytest.mark.parametrize("size", [1, 2, 3, 5, 7, 1000])
def test_commands_are_found_however_they_arrive(size: int):
    sent = b"".join(SESSION)
    framing = RespCommands()

    found = [command for at in range(0, len(sent), size) for command in framing.feed(sent[at : at + size])]

    assert found == SESSION
    assert framing.rest() == b""


def test_what_is_not_a_whole_command_is_the_rest():
    framing = RespCommands()

    assert framing.feed(PING + SET[:-3]) == [PING]

    assert framing.rest() == SET[:-3]
