"""``headrace limits``."""

import asyncio

import pytest

from headrace import App, Rate, Settings, Slots


def made(url: str) -> None:
    """A store in which a program has declared limits, and three jobs of one user wait."""

    async def make() -> None:
        async with App(url, settings=Settings()) as app:

            @app.job(name="send", concurrency=Slots(1, key="user_id", name="per-user"), rate=Rate(5, per=900))
            async def send(user_id: int) -> None: ...

            operations = await app.operations()
            work = await app.work()
            await work.publish([send.registered.info])
            await app.limit.put_into(operations)
            await send.enqueue(user_id=7)

    asyncio.run(make())


@pytest.fixture
def url(tmp_path, headrace) -> str:
    del headrace
    address = f"sqlite:///{tmp_path / 'limits.db'}"
    made(address)
    return address


def test_limits_are_listed_with_who_set_them(headrace, url):
    header, *rows = headrace("limits", "list", "--url", url).rows

    assert header == ["limit", "slots", "rate", "burst", "setBy", "code", "parked"]
    assert [row[:5] for row in rows] == [
        ["per-user", "1", "", "", "code"],
        ["type:send", "", "5/15m", "0", "code"],
    ]


def test_limit_is_set_and_reset_part_by_part(headrace, url):
    wider = headrace("limits", "set", "per-user", "--slots", "3", "--url", url, "--json").json
    rated = headrace(
        "limits", "set", "per-user", "--rate", "10/0.5s", "--burst", "4", "--url", url, "--json"
    ).json
    lifted = headrace("limits", "set", "per-user", "--slots", "none", "--url", url, "--json").json
    left = headrace("limits", "reset", "per-user", "--url", url, "--json").json

    assert (wider["slots"], wider["rate"], wider["setBy"]) == (3, None, "operator")
    assert (rated["slots"], rated["rate"]) == (3, {"count": 10, "perMs": 500, "burst": 4})
    assert (lifted["slots"], lifted["code"]) == (None, {"slots": 1, "rate": None})
    assert (left["slots"], left["rate"], left["setBy"]) == (1, None, "code")


def test_limit_of_a_queue_that_only_an_operator_set_is_gone_after_its_reset(headrace, url):
    headrace("limits", "set", "queue:mail", "--slots", "0", "--url", url)

    told = headrace("limits", "reset", "queue:mail", "--url", url)
    names = [one["name"] for one in headrace("limits", "list", "--url", url, "--json").json["limits"]]

    assert told.rows == [["queue:mail", "no limit any more"]]
    assert names == ["per-user", "type:send"]


def test_limit_is_shown_with_its_lanes(headrace, url):
    ran = headrace("limits", "show", "per-user", "--url", url)
    told = headrace("limits", "show", "per-user", "--url", url, "--json").json

    assert ran.code == 0
    assert ran.rows[2] == ["lane", "holders", "parked", "opens"]
    assert (told["name"], told["parked"], told["lanesParked"]) == ("per-user", 0, 0)
    assert [one["lane"] for one in told["lanes"]] == ["limit:per-user"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("set", "per-user"), "give --slots, --rate or both"),
        (("set", "per-user", "--burst", "3"), "--burst goes with --rate"),
        (("set", "per-user", "--slots", "-1"), "must be a number"),
        (("set", "per-user", "--slots", "many"), "must be a number"),
        (("set", "per-user", "--rate", "10"), "must be such as 10/s"),
        (("set", "per-user", "--rate", "0/s"), "count must lie between"),
        (("set", "per-user", "--rate", "1/99d"), "window must lie between"),
        (("set", "per-usr", "--slots", "1"), "no job type names a limit"),
        (("set", "a/b", "--slots", "1"), "must be 1 to 140 characters"),
    ],
)
def test_what_cannot_be_set_is_refused_in_one_line(headrace, url, arguments, said):
    ran = headrace("limits", *arguments, "--url", url)

    assert ran.code == 2
    assert said in ran.err
    assert len(ran.err.splitlines()) == 1


@pytest.mark.parametrize("command", ["show", "reset"])
def test_limit_that_nobody_defined_is_not_found(headrace, url, command):
    ran = headrace("limits", command, "nothing", "--url", url)

    assert ran.code == 3
    assert "no limit 'nothing' is defined" in ran.err
