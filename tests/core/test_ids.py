import random
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.core.ids import checked_name, is_id
from headrace.errors import InvalidInput
from headrace.mint import IdMint
from tests.builders import NOW


def minted_ms(text: str) -> int:
    return uuid.UUID(text).int >> 80


def test_id_is_a_uuid_of_version_7():
    minted = uuid.UUID(IdMint(random.Random(1)).mint(NOW))

    assert (minted.version, minted.variant) == (7, uuid.RFC_4122)


def test_id_holds_the_store_time_it_was_minted_at():
    assert minted_ms(IdMint(random.Random(1)).mint(NOW)) == NOW


def test_id_is_recognised_and_other_texts_are_not():
    minted = IdMint(random.Random(1)).mint(NOW)

    assert is_id(minted)
    assert not any(
        is_id(text) for text in ("", "x", minted[:-1], minted + "0", minted.upper(), minted + "\n")
    )


@given(st.lists(st.integers(0, 3), max_size=50), st.integers())
def test_c45_ids_increase_even_when_the_clock_stands_still_or_steps_back(steps, seed):
    mint = IdMint(random.Random(seed))

    minted = [mint.mint(NOW + step - 1) for step in steps]

    assert minted == sorted(set(minted))


def test_ids_increase_when_ten_thousand_fall_into_one_millisecond():
    mint = IdMint(random.Random(1))

    minted = [mint.mint(NOW) for _ in range(10_000)]

    assert minted == sorted(set(minted))
    assert minted_ms(minted[-1]) - NOW <= 5


def test_ids_are_distinct_when_threads_share_a_mint():
    mint = IdMint(random.Random(1))

    with ThreadPoolExecutor(4) as pool:
        minted = list(pool.map(lambda _: mint.mint(NOW), range(4_000)))

    assert len(set(minted)) == 4_000


def test_ids_of_two_processes_differ_in_the_same_millisecond():
    assert IdMint(random.Random(1)).mint(NOW) != IdMint(random.Random(2)).mint(NOW)


@pytest.mark.parametrize("name", ["a", "file-processing", "Mail.send_2:eu", "x" * 64])
def test_name_is_accepted_when_it_is_plain(name):
    assert checked_name(name, "queue") == name


@pytest.mark.parametrize("name", ["", "x" * 65, "a b", "a/b", "é", "a\n", "\0", "*"], ids=ascii)
def test_c8_name_is_refused_when_it_is_not_plain(name):
    with pytest.raises(InvalidInput) as refusal:
        checked_name(name, "queue")

    assert refusal.value.field == "queue"
