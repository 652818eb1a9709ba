import pytest

from tests.servers.framing import Pieces, PostgresMessages

ASKS_FOR_TLS = bytes.fromhex("0000000804d2162f")
STARTS = bytes.fromhex("0000000d00030000") + b"user\0"
QUERY = b"Q\x00\x00\x00\x0dselect 1\0"
SYNC = b"S\x00\x00\x00\x04"
SESSION = [ASKS_FOR_TLS, STARTS, QUERY, SYNC, QUERY]


@pytest.mark.parametrize("size", [1, 2, 3, 5, 7, 1000])
def test_postgres_messages_are_found_however_they_arrive(size: int):
    sent = b"".join(SESSION)
    framing = PostgresMessages()

    found = [message for at in range(0, len(sent), size) for message in framing.feed(sent[at : at + size])]

    assert found == SESSION
    assert framing.rest() == b""


def test_what_is_not_a_whole_message_is_the_rest():
    framing = PostgresMessages()

    assert framing.feed(STARTS + SYNC + b"Q\x00\x00") == [STARTS, SYNC]

    assert framing.rest() == b"Q\x00\x00"


def test_what_is_encrypted_is_not_split():
    framing = PostgresMessages()

    assert framing.feed(ASKS_FOR_TLS) == [ASKS_FOR_TLS]
    assert framing.feed(b"\x16\x03\x01\x02") == [b"\x16\x03\x01\x02"]
    assert framing.feed(QUERY[:3]) == [QUERY[:3]]


def test_pieces_are_messages_of_other_protocols():
    assert Pieces().feed(b"any") == [b"any"]
    assert Pieces().rest() == b""
