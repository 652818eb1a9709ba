"""Which job of a bulk was refused, and what counts as another body under one idempotency key."""

from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest

from headrace import App, DuplicateJob, IdempotencyMismatch, ManualClock, OnConflict, Settings
from headrace.core.backoff import Backoff
from headrace.core.request import EnqueueRequest
from headrace.core.unique import Unique
from headrace.engine.enqueue import new_job
from headrace.engine.registry import JobOptions, registered
from headrace.stores.values import InsertKind

KEPT_DIGEST = "5111d6804b7dd2a796680361137476d37daa7f112539de3f9aedbffd3b81b001"
PLAIN = EnqueueRequest(type="count", payload={"n": 1})


@pytest.fixture
async def app() -> AsyncIterator[App]:
    async with App("sqlite://", settings=Settings(), clock=ManualClock()) as opened:

        @opened.job()
        async def count(n: int) -> None: ...

        yield opened


def unique(key: str, on_conflict: OnConflict = OnConflict.REJECT, **fields: Any) -> EnqueueRequest:
    return EnqueueRequest(
        type="count", payload={"n": 1}, unique=Unique(key=key, on_conflict=on_conflict), **fields
    )


def keyed(key: str, n: int = 1, **fields: Any) -> EnqueueRequest:
    return EnqueueRequest(type="count", payload={"n": n}, idempotency_key=key, **fields)


@pytest.mark.parametrize(
    ("before", "bulk", "index"),
    [
        ([unique("k")], [PLAIN, unique("other"), unique("k")], 2),
        ([unique("k")], [unique("k", OnConflict.EXISTING), unique("k"), unique("k")], 1),
        ([], [PLAIN, unique("k"), PLAIN, unique("k")], 3),
        ([], [unique("k", OnConflict.EXISTING), unique("k", OnConflict.REPLACE), unique("k")], 2),
        ([unique("k")], [unique("k", idempotency_key="new"), unique("k")], None),
        ([unique("k", idempotency_key="i")], [unique("k", idempotency_key="i"), unique("k")], None),
    ],
)
async def test_duplicate_names_its_place_where_it_is_known(
    app: App, before: Sequence[EnqueueRequest], bulk: Sequence[EnqueueRequest], index: int | None
) -> None:
    if before:
        await app.enqueue_many(before)

    with pytest.raises(DuplicateJob) as caught:
        await app.enqueue_many(bulk)

    assert caught.value.index == index


@pytest.mark.parametrize(
    ("before", "bulk", "index"),
    [
        ([keyed("i")], [PLAIN, keyed("i", 2)], 1),
        ([keyed("i")], [keyed("other"), keyed("i", 2), keyed("i", 2)], 1),
        ([], [keyed("i"), keyed("i"), PLAIN, keyed("i", 2)], 3),
        ([keyed("i")], [keyed("i"), keyed("i", 2)], None),
        (
            [],
            [keyed("a", unique=Unique(key="k")), keyed("i", unique=Unique(key="k")), keyed("i", 2)],
            None,
        ),
    ],
)
async def test_mismatch_names_its_place_where_it_is_known(
    app: App, before: Sequence[EnqueueRequest], bulk: Sequence[EnqueueRequest], index: int | None
) -> None:
    if before:
        await app.enqueue_many(before)

    with pytest.raises(IdempotencyMismatch) as caught:
        await app.enqueue_many(bulk)

    assert (caught.value.key, caught.value.index) == ("i", index)


@pytest.mark.parametrize(
    "other", [{"tags": ("a",)}, {"tags": ("a", "b", "c")}, {"backoff": Backoff.fixed(7)}, {}]
)
async def test_other_tags_or_back_off_are_another_body(app: App, other: dict[str, Any]) -> None:
    said = {"tags": ("a", "b"), "backoff": Backoff.fixed(3)}
    (first,) = await app.enqueue_many([keyed("i", **said)])

    (again,) = await app.enqueue_many([keyed("i", **said | {"tags": ("b", "a")})])
    with pytest.raises(IdempotencyMismatch):
        await app.enqueue_many([keyed("i", **{"backoff": None, "tags": ()} | other)])

    assert (again.id, again.kind) == (first.id, InsertKind.EXISTING)


def test_digest_of_a_body_without_them_is_what_it_always_was() -> None:
    def count(n: int) -> None: ...

    request = keyed("k", queue="q", priority=3, delay_ms=5, max_attempts=2, timeout_ms=9)
    job = new_job(
        request,
        registered(count, JobOptions()).info,
        '{"n":1}',
        job_id="018bcfe5-6800-7113-b63c-5ab791b7584a",
        namespace="default",
        now=0,
    )

    assert job.receipt is not None
    assert job.receipt.body == KEPT_DIGEST
