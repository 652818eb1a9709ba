"""What processes tell each other, as text."""

import pytest

from headrace.stores.notice import MOST_BYTES, Notice, read, written
from tests.stores.hearing import NAMESPACE


@pytest.mark.parametrize(
    "notice",
    [
        Notice(sender="me"),
        Notice(sender="me", places=frozenset()),
        Notice(sender="me", places=frozenset({("a", "x"), ("a", "@ended"), ("ü\x00", '"')})),
        Notice(sender="me", places=frozenset(), beat=7),
    ],
)
def test_notice_is_read_as_it_was_written(notice):
    assert read(written(notice)) == notice


def test_notice_that_would_be_too_long_means_anywhere():
    places = frozenset((NAMESPACE, f"{'q' * 60}-{number}") for number in range(200))

    payload = written(Notice(sender="me", places=places))

    assert len(payload.encode()) <= MOST_BYTES
    assert read(payload) == Notice(sender="me")


@pytest.mark.parametrize(
    "payload", ["", "x", "1", "[]", "{}", '{"from":"x","to":5}', '{"from":"x","beat":[]}']
)
def test_notice_that_nobody_understands_means_anywhere(payload):
    assert read(payload) == Notice(sender="")
