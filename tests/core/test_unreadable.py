"""Schedules that only another version can read are shown as far as they can be."""

import pytest

from headrace.core.request import EnqueueRequest
from headrace.core.schedule import Every, Timing, Unknown
from headrace.core.scheduled import Schedule, dumps
from headrace.core.unreadable import shown
from headrace.errors import InvalidInput
from tests.builders import NOW

KNOWN = Schedule(
    id="s",
    timing=Timing(rule=Every(interval_ms=60_000)),
    request=EnqueueRequest(type="report", payload="{}", encoded=True),
    version=2,
    anchor=NOW,
    next_at=NOW + 60_000,
    created_at=NOW,
    changed_at=NOW + 1,
    fired=3,
)


def test_rule_of_a_newer_version_is_shown_as_unknown_with_what_else_is_plain():
    found = shown("s", dumps(KNOWN).replace('"every_ms":', '"tide":'))

    assert isinstance(found.timing.rule, Unknown)
    assert (found.id, found.request.type, found.version) == ("s", "report", 2)
    assert (found.next_at, found.created_at, found.fired) == (NOW + 60_000, NOW, 3)
    assert found.next_fires(5) == (found.next_at,)
    with pytest.raises(InvalidInput, match="only another version"):
        dumps(found)


@pytest.mark.parametrize(
    "text", ["", "[]", "1", '{"request":[],"version":"x"}', '{"request":{"type":"!\\n"}}']
)
def test_what_is_no_schedule_at_all_is_shown_as_unknown(text):
    found = shown("s", text)

    assert isinstance(found.timing.rule, Unknown)
    assert (found.id, found.request.type, found.version, found.next_at) == ("s", "unknown", 0, None)


def test_what_can_be_read_is_shown_as_it_is():
    assert shown("s", dumps(KNOWN)) == KNOWN
