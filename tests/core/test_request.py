import pytest

from headrace.core.job import MAX_PRIORITY, MIN_PRIORITY, Priority
from headrace.core.request import MAX_TAGS, EnqueueRequest, priority_named
from headrace.core.unique import Unique
from headrace.core.wire import MAX_INSTANT_MS
from headrace.errors import InvalidInput, TooLarge

DECADE_MS = 10 * 366 * 24 * 3_600_000


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"queue": "mail", "batch_id": "b-1", "tags": ("a", "b"), "idempotency_key": "order 17"},
        {"priority": MIN_PRIORITY},
        {"priority": MAX_PRIORITY},
        {"delay_ms": 0},
        {"delay_ms": DECADE_MS},
        {"due_at": MAX_INSTANT_MS},
        {"max_attempts": 1, "timeout_ms": 1},
        {"unique": Unique(key="k", period_ms=1)},
        {"unique": Unique(key="k"), "idempotency_key": "i"},
        {"tags": tuple(f"t{number}" for number in range(MAX_TAGS))},
    ],
    ids=str,
)
def test_request_is_accepted_within_the_limits(fields):
    assert EnqueueRequest(type="echo", **fields).type == "echo"


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"type": "a b"}, "type"),
        ({"queue": ""}, "queue"),
        ({"batch_id": "x" * 65}, "batchId"),
        ({"tags": ("a b",)}, "tag"),
        ({"idempotency_key": ""}, "idempotencyKey"),
        ({"priority": MAX_PRIORITY + 1}, "priority"),
        ({"priority": MIN_PRIORITY - 1}, "priority"),
        ({"max_attempts": 0}, "maxAttempts"),
        ({"max_attempts": 10_001}, "maxAttempts"),
        ({"delay_ms": -1}, "delay"),
        ({"delay_ms": 10**18}, "delay"),
        ({"timeout_ms": 0}, "timeout"),
        ({"timeout_ms": 10**18}, "timeout"),
        ({"due_at": -1}, "scheduledFor"),
        ({"due_at": MAX_INSTANT_MS + 1}, "scheduledFor"),
        ({"delay_ms": 1, "due_at": 1}, "delay"),
        ({"idempotency_key": "i", "unique": Unique(key="k", period_ms=1)}, "idempotencyKey"),
    ],
    ids=str,
)
def test_c8_request_is_refused_and_names_the_field(fields, field):
    with pytest.raises(InvalidInput) as refusal:
        EnqueueRequest(**{"type": "echo", **fields})

    assert refusal.value.field == field


def test_c8_request_is_too_large_with_too_many_tags():
    with pytest.raises(TooLarge):
        EnqueueRequest(type="echo", tags=tuple(f"t{number}" for number in range(MAX_TAGS + 1)))


@pytest.mark.parametrize("name", ["high", "HIGH", "High"])
def test_tier_is_found_by_its_name(name):
    assert priority_named(name) == Priority.HIGH


@pytest.mark.parametrize("name", ["", "urgent", "5"])
def test_tier_is_refused_when_nobody_named_it(name):
    with pytest.raises(InvalidInput) as refusal:
        priority_named(name)

    assert refusal.value.field == "priority"
