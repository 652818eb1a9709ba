import asyncio

from headrace.stores.protocol import Swap
from tests.builders import NAMESPACE, NOW


async def swapped(store, *swaps: Swap, namespace: str = NAMESPACE) -> bool:
    return await store.swap(namespace, swaps)


async def register(store, key: str, *, namespace: str = NAMESPACE):
    return (await store.read(namespace, [key])).get(key)


async def created(store, key: str, value: str = "1", *, due_at: int | None = None):
    assert await swapped(store, Swap(key=key, revision=0, value=value, due_at=due_at))
    return await register(store, key)


async def test_absent_register_is_created_by_revision_zero(store):
    one = await created(store, "a", '{"x":1}', due_at=NOW)

    assert (one.key, one.value, one.due_at) == ("a", '{"x":1}', NOW)
    assert one.revision > 0


async def test_existing_register_is_not_created_again(store):
    one = await created(store, "a")

    assert not await swapped(store, Swap(key="a", revision=0, value="2"))
    assert await register(store, "a") == one


async def test_register_is_changed_by_its_own_revision(store):
    one = await created(store, "a", due_at=NOW)

    assert await swapped(store, Swap(key="a", revision=one.revision, value="2"))

    changed = await register(store, "a")
    assert (changed.value, changed.due_at) == ("2", None)
    assert changed.revision > one.revision


async def test_register_is_not_changed_by_an_old_revision(store):
    one = await created(store, "a")
    await swapped(store, Swap(key="a", revision=one.revision, value="2"))
    changed = await register(store, "a")

    assert not await swapped(store, Swap(key="a", revision=one.revision, value="3"))
    assert await register(store, "a") == changed


async def test_absent_register_is_not_changed_by_any_other_revision(store):
    assert not await swapped(store, Swap(key="a", revision=1, value="1"))
    assert await register(store, "a") is None


async def test_register_is_removed_by_no_value(store):
    one = await created(store, "a")

    assert await swapped(store, Swap(key="a", revision=one.revision, value=None))
    assert await register(store, "a") is None


async def test_removed_register_can_be_created_again(store):
    one = await created(store, "a")
    await swapped(store, Swap(key="a", revision=one.revision, value=None))

    again = await created(store, "a", "2")

    assert again.value == "2"


async def test_swap_of_a_removed_register_does_not_hit_the_one_made_after_it(store):
    one = await created(store, "a")
    await swapped(store, Swap(key="a", revision=one.revision, value=None))
    await created(store, "a", "2")

    assert not await swapped(store, Swap(key="a", revision=one.revision, value="late"))
    assert (await register(store, "a")).value == "2"


async def test_swaps_happen_all_or_not_at_all(store):
    one = await created(store, "a")

    done = await swapped(
        store,
        Swap(key="b", revision=0, value="1"),
        Swap(key="a", revision=one.revision, value=None),
        Swap(key="c", revision=7, value="1"),
    )

    assert not done
    assert await store.read(NAMESPACE, ["a", "b", "c"]) == {"a": one}


async def test_several_registers_are_swapped_at_once(store):
    one = await created(store, "a")

    assert await swapped(
        store, Swap(key="a", revision=one.revision, value=None), Swap(key="b", revision=0, value="2")
    )

    assert set(await store.read(NAMESPACE, ["a", "b"])) == {"b"}


async def test_no_swaps_succeed(store):
    assert await swapped(store)


async def test_read_leaves_out_what_does_not_exist(store):
    await created(store, "a")

    assert set(await store.read(NAMESPACE, ["a", "nothing"])) == {"a"}
    assert await store.read(NAMESPACE, []) == {}


async def test_scan_gives_registers_by_prefix_in_key_order(store):
    for key in ("type:b", "type:a", "typo:c", "loop:d", "type", "type:é"):
        await created(store, key)

    assert [one.key for one in await store.scan(NAMESPACE, "type:")] == ["type:a", "type:b", "type:é"]


async def test_scan_takes_the_prefix_to_the_letter(store):
    for key in ("a%b", "a_b", "axb", "A%b", "a*b", "a%"):
        await created(store, key)

    assert [one.key for one in await store.scan(NAMESPACE, "a%")] == ["a%", "a%b"]
    assert [one.key for one in await store.scan(NAMESPACE, "a_")] == ["a_b"]
    assert [one.key for one in await store.scan(NAMESPACE, "a*")] == ["a*b"]


async def test_scan_of_an_empty_prefix_gives_all(store):
    for key in ("b", "a", "\U0010ffff"):
        await created(store, key)

    assert [one.key for one in await store.scan(NAMESPACE, "")] == ["a", "b", "\U0010ffff"]


async def test_scanned_registers_are_whole(store):
    one = await created(store, "a", "1", due_at=NOW)

    assert list(await store.scan(NAMESPACE, "a")) == [one]


async def test_c46_registers_of_another_namespace_are_absent(store):
    await created(store, "a")

    assert await register(store, "a", namespace="other") is None
    assert list(await store.scan("other", "")) == []
    assert await swapped(store, Swap(key="a", revision=0, value="x"), namespace="other")
    assert (await register(store, "a")).value == "1"


async def test_only_one_of_many_that_swap_at_once_wins(store):
    one = await created(store, "a")

    won = await asyncio.gather(
        *(swapped(store, Swap(key="a", revision=one.revision, value=str(number))) for number in range(16))
    )

    assert won.count(True) == 1
    assert (await register(store, "a")).value == str(won.index(True))


async def test_swap_of_a_register_that_an_earlier_one_of_the_call_has_made_is_stale(store):
    done = await swapped(
        store, Swap(key="a", revision=0, value="1"), Swap(key="b", revision=0, value="1"),
        Swap(key="a", revision=0, value="2"),
    )  # fmt: skip

    assert not done
    assert await store.read(NAMESPACE, ["a", "b"]) == {}


async def test_register_can_be_removed_and_made_again_in_one_call(store):
    one = await created(store, "a")

    assert await swapped(
        store, Swap(key="a", revision=one.revision, value=None), Swap(key="a", revision=0, value="2")
    )

    again = await register(store, "a")
    assert again.value == "2"
    assert again.revision > one.revision
