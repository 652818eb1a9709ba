"""Swaps of several sessions at the same moment."""

import asyncio

from headrace.stores.postgres import database
from headrace.stores.protocol import Swap
from tests.builders import NAMESPACE
from tests.stores.postgres import alongside


async def value(store, key: str) -> str | None:
    one = (await store.read(NAMESPACE, [key])).get(key)
    return None if one is None else one.value


async def test_register_that_another_makes_first_undoes_all_swaps_of_the_call(store, url):
    async with alongside.session(url) as other:
        await other.execute(
            "insert into headrace.register (namespace, key, value) values ($1, 'b', 'other')", NAMESPACE
        )
        swapping = asyncio.create_task(
            store.swap(NAMESPACE, [Swap(key=key, revision=0, value="ours") for key in "ab"])
        )
        await alongside.until_waiting(url)

        await other.execute("commit")
        done = await swapping

    assert done is False
    assert (await value(store, "a"), await value(store, "b")) == (None, "other")


async def test_register_that_another_changes_first_is_stale(store, url):
    await store.swap(NAMESPACE, [Swap(key="a", revision=0, value="1")])
    revision = (await store.read(NAMESPACE, ["a"]))["a"].revision
    async with alongside.session(url) as other:
        await other.execute("update headrace.register set value = 'other', revision = revision + 1")
        swapping = asyncio.create_task(
            store.swap(NAMESPACE, [Swap(key="a", revision=revision, value="ours")])
        )
        await alongside.until_waiting(url)

        await other.execute("commit")
        done = await swapping

    assert (done, await value(store, "a")) == (False, "other")


async def test_register_that_another_removes_and_makes_again_is_stale(store, rival, url):
    await store.swap(NAMESPACE, [Swap(key="a", revision=0, value="1")])
    revision = (await store.read(NAMESPACE, ["a"]))["a"].revision
    async with alongside.session(url) as other:
        await other.execute("delete from headrace.register")
        await other.execute(
            "insert into headrace.register (namespace, key, value) values ($1, 'a', '2')", NAMESPACE
        )
        by_old = asyncio.create_task(store.swap(NAMESPACE, [Swap(key="a", revision=revision, value="ours")]))
        as_new = asyncio.create_task(rival.swap(NAMESPACE, [Swap(key="a", revision=0, value="ours")]))
        await alongside.until_waiting(url, 2)

        await other.execute("commit")
        done = await asyncio.gather(by_old, as_new)

    assert (done, await value(store, "a")) == ([False, False], "2")


async def test_swaps_of_the_same_keys_in_opposite_orders_do_not_lock_each_other_out(
    store, rival, monkeypatch
):
    monkeypatch.setattr(database, "_TRIES", 1)
    keys = [f"key-{number}" for number in range(20)]
    await store.swap(NAMESPACE, [Swap(key=key, revision=0, value="0") for key in keys[::2]])

    async def increment(one, order) -> bool:
        known = await one.read(NAMESPACE, order)
        return await one.swap(
            NAMESPACE,
            [Swap(key=key, revision=known[key].revision if key in known else 0, value="1") for key in order],
        )

    won = await asyncio.gather(
        *(increment(one, order) for _ in range(10) for one, order in ((store, keys), (rival, keys[::-1])))
    )

    assert any(won)
    assert len(await store.read(NAMESPACE, keys)) == 20


async def test_revisions_only_grow_even_over_removals(store):
    seen = []
    for number in range(6):
        known = (await store.read(NAMESPACE, ["a"])).get("a")
        change = Swap(key="a", revision=0 if known is None else known.revision, value=str(number))
        if number == 3:
            change = Swap(key="a", revision=known.revision, value=None)
        assert await store.swap(NAMESPACE, [change])
        seen += [one.revision for one in (await store.read(NAMESPACE, ["a"])).values()]

    assert seen == sorted(set(seen))
    assert len(seen) == 5
