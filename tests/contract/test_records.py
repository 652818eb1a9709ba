import pytest

from headrace.core.filters import Page
from headrace.errors import InvalidInput
from headrace.stores.protocol import Record
from tests.builders import HOUR, NAMESPACE, NOW

KIND = "file"


def a_record(key: str, *, at: int = NOW, body: str = "{}", until: int | None = None) -> Record:
    return Record(key=key, at=at, body=body, until=until)


async def append(store, *records: Record, kind: str = KIND, namespace: str = NAMESPACE) -> None:
    await store.append(namespace, kind, records)


async def listed(store, *, limit: int = 50, kind: str = KIND, namespace: str = NAMESPACE) -> list[str]:
    keys: list[str] = []
    cursor = None
    while True:
        records, cursor = await store.list_records(namespace, kind, Page(limit=limit, before=cursor))
        keys.extend(record.key for record in records)
        if cursor is None:
            return keys


async def test_record_is_read_back_to_the_letter(store):
    record = a_record("ключ", body='{"a": "\\u0000 🎛 \' --"}', until=NOW + HOUR)

    await append(store, record)

    assert await store.records(NAMESPACE, KIND, ["ключ"]) == {"ключ": record}


async def test_record_with_the_same_key_is_replaced(store):
    await append(store, a_record("a", body="1"))

    await append(store, a_record("a", at=NOW + 1, body="2"))

    assert await store.records(NAMESPACE, KIND, ["a"]) == {"a": a_record("a", at=NOW + 1, body="2")}
    assert await listed(store) == ["a"]


@pytest.mark.parametrize("others", [0, 300])
async def test_later_of_two_equal_keys_in_one_call_stays(store, others):
    between = [a_record(f"k{number}") for number in range(others)]

    await append(store, a_record("a", body="1"), a_record("a", body="2"), *between, a_record("a", body="3"))

    assert (await store.records(NAMESPACE, KIND, ["a"]))["a"].body == "3"
    assert len(await listed(store)) == others + 1


async def test_records_that_do_not_exist_are_left_out(store):
    await append(store, a_record("a"), a_record("c"))

    assert set(await store.records(NAMESPACE, KIND, ["a", "b"])) == {"a"}
    assert await store.records(NAMESPACE, KIND, []) == {}


async def test_records_of_another_kind_or_namespace_are_absent(store):
    await append(store, a_record("a"))

    assert await store.records(NAMESPACE, "other", ["a"]) == {}
    assert await store.records("other", KIND, ["a"]) == {}
    assert await listed(store, kind="other") == []
    assert await listed(store, namespace="other") == []


async def test_records_are_listed_newest_first(store):
    await append(store, a_record("b", at=NOW), a_record("c", at=NOW + 2), a_record("a", at=NOW + 1))

    assert await listed(store) == ["c", "a", "b"]


@pytest.mark.parametrize("limit", [1, 2, 3, 7])
async def test_c48_cursor_lists_each_record_once_also_when_many_are_of_one_instant(store, limit):
    keys = [f"k{number}" for number in range(7)]
    await append(store, *(a_record(key) for key in keys))

    found = await listed(store, limit=limit)

    assert sorted(found) == keys


async def test_c48_record_that_stays_is_listed_once_while_others_come(store):
    await append(store, *(a_record(f"k{number}", at=NOW + number) for number in range(4)))
    first, cursor = await store.list_records(NAMESPACE, KIND, Page(limit=2))
    await append(store, a_record("new", at=NOW + 9))
    await store.remove_records(NAMESPACE, KIND, ["k3"])

    rest, end = await store.list_records(NAMESPACE, KIND, Page(limit=10, before=cursor))

    assert [record.key for record in (*first, *rest)] == ["k3", "k2", "k1", "k0"]
    assert end is None


async def test_cursor_of_another_listing_is_refused(store):
    with pytest.raises(InvalidInput):
        await store.list_records(NAMESPACE, KIND, Page(before="nonsense"))


async def test_removed_records_are_counted_and_gone(store):
    await append(store, a_record("a"), a_record("b"), a_record("c"))

    assert await store.remove_records(NAMESPACE, KIND, ["a", "b", "nothing"]) == 2
    assert await listed(store) == ["c"]


async def test_remove_leaves_other_kinds_and_namespaces(store):
    await append(store, a_record("a"))
    await append(store, a_record("a"), kind="other")
    await append(store, a_record("a"), namespace="other")

    await store.remove_records(NAMESPACE, KIND, ["a"])

    assert await listed(store, kind="other") == await listed(store, namespace="other") == ["a"]


async def test_trim_deletes_records_whose_time_has_passed(store):
    await append(store, a_record("old", until=NOW), a_record("good", until=NOW + HOUR), a_record("forever"))

    assert await store.trim(now=NOW + 1, limit=10) == 1
    assert sorted(await listed(store)) == ["forever", "good"]


async def test_c44_trim_is_bounded_and_goes_over_all_kinds_and_namespaces(store):
    for number, (kind, namespace) in enumerate([("a", "one"), ("b", "one"), ("a", "two")]):
        await append(store, a_record(f"k{number}", until=NOW), kind=kind, namespace=namespace)

    counts = [await store.trim(now=NOW + 1, limit=2) for _ in range(3)]

    assert counts == [2, 1, 0]
