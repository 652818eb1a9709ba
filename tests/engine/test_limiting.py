"""What a program may say of limits, and what is refused where it is written."""

from typing import Any

import pytest

from headrace import App, InvalidInput, OrderBy, Rate, Settings, Slots
from headrace.core.limits import Limit
from headrace.core.limits import Rate as Numbers
from headrace.errors import MisuseError


@pytest.fixture
def app() -> App:
    return App("sqlite://", settings=Settings())


def test_rate_and_slots_of_one_key_are_one_limit(app: App) -> None:
    @app.job(rate=Rate(10, per=1, key="a"), concurrency=(Slots(2, key="a"), Slots(9)))
    async def send(a: int) -> None: ...

    limits = {one.name: one for one in send.registered.limiting.limits}
    rules = send.registered.info.keys

    assert limits == {
        "type:send@a": Limit(name="type:send@a", slots=2, rate=Numbers(count=10, per_ms=1_000)),
        "type:send": Limit(name="type:send", slots=9),
    }
    assert rules is not None
    assert [rule.name for rule in rules.limits] == ["type:send@a"]


def test_type_without_keys_gives_its_jobs_nothing_to_keep(app: App) -> None:
    @app.job(rate=Rate(10, per=1), concurrency=Slots(2))
    async def send(a: int) -> None: ...

    assert send.registered.info.keys is None


def test_types_that_define_one_name_alike_share_it(app: App) -> None:
    @app.job(concurrency=Slots(2, name="gpu"))
    async def one() -> None: ...

    @app.job(concurrency=Slots(2, name="gpu"))
    async def other() -> None: ...

    app.limit("gpu", slots=2)

    assert set(app.registry.limits) == {Limit(name="gpu", slots=2)}


def test_types_that_define_one_name_differently_are_refused(app: App) -> None:
    @app.job(concurrency=Slots(2, name="gpu"))
    async def one() -> None: ...

    with pytest.raises(MisuseError, match="other: the limit 'gpu' is defined elsewhere with other numbers"):

        @app.job(concurrency=Slots(3, name="gpu"))
        async def other() -> None: ...

    with pytest.raises(MisuseError, match="'gpu' is defined elsewhere"):
        app.limit("gpu", slots=3)
    assert app.registry.names == ("one",)


def test_declared_limit_takes_no_key(app: App) -> None:
    with pytest.raises(MisuseError, match="where the job type is declared"):
        app.limit("queue:a", rate=Rate(1, per=1, key="x"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"concurrency": (Slots(1), Slots(2))}, "'type:send' is given twice"),
        ({"rate": (Rate(1, per=1), Rate(1, per=2))}, "'type:send' is given twice"),
        ({"concurrency": Slots(1, key="b")}, "key 'b' is no part of the payload; its parts: a"),
        ({"order_by": "b.c"}, r"key 'b\.c' is no part of the payload"),
        ({"concurrency": Slots(1, key=len)}, "a function computes needs a name"),
        ({"order_by": len}, "a function computes needs a name"),
        ({"concurrency": Slots(1, key="a", name="x"), "rate": Rate(1, per=1, name="x")}, "'x' has two keys"),
        (
            {"concurrency": Slots(1, key=len, name="x"), "order_by": OrderBy(max, name="x")},
            "two functions compute the key of 'x'",
        ),
    ],
)
def test_limits_that_contradict_themselves_are_refused_where_they_are_written(
    app: App, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(MisuseError, match=message):

        @app.job(**options)
        async def send(a: int) -> None: ...


@pytest.mark.parametrize(
    "make",
    [
        lambda: Rate(0, per=1),
        lambda: Rate(1, per=0),
        lambda: Rate(1, per=float("nan")),
        lambda: Rate(1, per=32 * 86_400),
        lambda: Rate(1, per=1, burst=-1),
        lambda: Slots(-1),
        lambda: Slots(1, name="all"),
        lambda: Slots(1, name="queue:x"),
        lambda: Slots(1, name="a/b"),
        lambda: Slots(1, key="a..b"),
        lambda: Slots(1, key=""),
        lambda: OrderBy("a", on_retry="drop"),
        lambda: OrderBy("a", name="b c"),
    ],
)
def test_numbers_and_names_out_of_bounds_are_refused_where_they_are_written(make: Any) -> None:
    with pytest.raises(InvalidInput):
        make()


def test_order_of_one_call_must_name_a_part_of_the_payload(app: App) -> None:
    @app.job()
    async def send(a: int) -> None: ...

    with pytest.raises(MisuseError, match="key 'b' is no part of the payload"):
        send.using(order_by="b").request(a=1)
