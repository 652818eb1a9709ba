import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.core import place
from headrace.core.unique import MAX_KEY_CHARS, OnConflict, Unique, Until, body_digest, checked_key
from headrace.errors import InvalidInput
from tests.builders import LEASE, NOW, WORKER, a_job, a_pending


def lock_after_claim_of(unique: Unique) -> str | None:
    job = a_pending(a_job(unique=unique))
    return place.claimed(job, worker=WORKER, now=NOW, lease_until=NOW + LEASE).placement.unique_lock


def test_c28_key_until_finished_is_kept_by_the_claim():
    assert lock_after_claim_of(Unique(key="k", until=Until.FINISHED)) == "k"


def test_c29_key_until_started_is_freed_by_the_claim():
    assert lock_after_claim_of(Unique(key="k", until=Until.STARTED)) is None


def test_c30_replace_implies_until_started():
    assert lock_after_claim_of(Unique(key="k", on_conflict=OnConflict.REPLACE)) is None


@pytest.mark.parametrize("key", ["k", "é中", "a b", "x" * MAX_KEY_CHARS])
def test_key_is_accepted_when_it_is_printable(key):
    assert checked_key(key, "uniqueKey") == key


@pytest.mark.parametrize(
    "key", ["", "x" * (MAX_KEY_CHARS + 1), "a\nb", "a\0b", "\ud800", "a\u2028b"], ids=ascii
)
def test_c8_key_is_refused_when_it_is_empty_long_or_unprintable(key):
    with pytest.raises(InvalidInput) as refusal:
        Unique(key=key)

    assert refusal.value.field == "uniqueKey"


@pytest.mark.parametrize("period", [0, -1])
def test_period_is_refused_when_it_is_not_positive(period):
    with pytest.raises(InvalidInput):
        Unique(key="k", period_ms=period)


def test_period_is_refused_with_replace():
    with pytest.raises(InvalidInput) as refusal:
        Unique(key="k", period_ms=1, on_conflict=OnConflict.REPLACE)

    assert refusal.value.field == "onConflict"


@given(st.lists(st.text(max_size=4), max_size=4), st.lists(st.text(max_size=4), max_size=4))
def test_c31_digest_tells_bodies_apart_and_only_them(one, other):
    assert (body_digest(*one) == body_digest(*other)) == (one == other)


def test_c31_digest_sees_where_one_part_ends():
    assert body_digest("ab", "c") != body_digest("a", "bc")
