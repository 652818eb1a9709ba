import pytest

from headrace.core.audit import (
    KEPT_FOR_EVER,
    AuditFilter,
    audit_entry,
    audit_to_json,
    dump_entry,
    load_entry,
)
from headrace.core.policy import DAY_MS
from headrace.errors import InvalidInput, TooLarge
from tests.builders import NOW


def an_entry(**fields):
    told = {"actor": "cli:ann", "action": "job.cancel", "entity_type": "job", "entity_id": "j-1"} | fields
    return audit_entry("e-1", NOW, **told)


def test_s1_38_entry_is_kept_for_ninety_days_and_no_longer():
    entry = an_entry()

    assert entry.keep_until is not None
    assert entry.keep_until > NOW + 90 * DAY_MS
    assert entry.keep_until <= NOW + 90 * DAY_MS + 1


@pytest.mark.parametrize("action", ["ORDER_CREATED", "PAYMENT_RECEIVED", "REFUND_INITIATED"])
def test_s1_38_actions_about_money_are_kept_for_ever(action):
    assert an_entry(action=action).keep_until is None
    assert len(KEPT_FOR_EVER) == 3


def test_entry_is_read_back():
    entry = an_entry(metadata={"queue": "a", "n": [1, None]})

    assert load_entry("e-1", NOW, dump_entry(entry)) == entry


def test_entry_is_shown_with_its_words():
    assert audit_to_json(an_entry(metadata={"n": 1})) == {
        "id": "e-1",
        "at": "2026-01-01T00:00:00Z",
        "actor": "cli:ann",
        "action": "job.cancel",
        "entityType": "job",
        "entityId": "j-1",
        "metadata": {"n": 1},
        "error": None,
    }


def test_secrets_do_not_get_into_an_entry():
    entry = an_entry(metadata={"apiKey": "abc", "url": "https://a:b@c"})

    assert entry.metadata == {"apiKey": "[redacted]", "url": "https://a:[redacted]@c"}


@pytest.mark.parametrize("field", ["actor", "action", "entity_type"])
@pytest.mark.parametrize("text", ["", "x" * 201, "a\nb", "\x1b[31m"])
def test_names_are_short_and_printable(field, text):
    with pytest.raises(InvalidInput):
        an_entry(**{field: text})


def test_id_of_any_form_can_be_put_on_record():
    assert an_entry(entity_id="a\0b\ud800" + "x" * 300).entity_id.startswith("a\\0b\\ud800x")
    assert len(an_entry(entity_id="x" * 300).entity_id) == 200


@pytest.mark.parametrize("metadata", [{"x": "y" * 20_000}, {"x": float("nan")}, {"x": object()}])
def test_metadata_that_cannot_be_kept_is_refused(metadata):
    with pytest.raises((InvalidInput, TooLarge)):
        an_entry(metadata=metadata)


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (AuditFilter(), True),
        (AuditFilter(actor="cli:ann", action="job.cancel", entity_type="job", entity_id="j-1"), True),
        (AuditFilter(actor="cli:bob"), False),
        (AuditFilter(action="job.retry"), False),
        (AuditFilter(entity_type="queue"), False),
        (AuditFilter(entity_id="j-2"), False),
        (AuditFilter(since=NOW), True),
        (AuditFilter(since=NOW + 1), False),
    ],
)
def test_filter_fits_what_it_names(wanted, expected):
    assert wanted.fits(an_entry()) is expected
