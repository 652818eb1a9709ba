"""``headrace dead``."""

import asyncio
import sys

import pytest

from headrace import App, Permanent, Retry, Settings
from headrace.testing import drain

URL = "sqlite:///headrace.db"


class Answer:
    """A terminal on which somebody has typed a line."""

    def __init__(self, line: str) -> None:
        self._line = line

    def isatty(self) -> bool:
        return True

    def readline(self) -> str:
        return self._line


@pytest.fixture
def dead(folder) -> list[str]:
    """Ids of three failed jobs: two of the type ``upload``, then one of ``charge``."""

    async def die() -> list[str]:
        async with App(URL, settings=Settings()) as app:

            @app.job(name="upload", retry=Retry(attempts=1))
            async def upload(n: int) -> None:
                raise ValueError("disk full")

            @app.job(name="charge", queue="money", retry=Retry(attempts=3))
            async def charge(n: int) -> None:
                raise Permanent("card refused")

            ids = []
            for request in (upload.request(1), upload.request(2), charge.request(3)):
                (handle,) = await app.enqueue_many((request,))
                await drain(app)
                ids.append(handle.id)
            return ids

    return asyncio.run(die())


def test_dead_letters_are_listed_with_why_they_died(headrace, dead):
    ran = headrace("dead", "list")
    told = headrace("dead", "list", "--json").json

    assert ran.code == 0, ran.err
    assert ran.rows[0][:4] == ["id", "type", "queue", "why"]
    assert [row[:4] for row in ran.rows[1:]] == [
        [dead[2], "charge", "money", "permanent"],
        [dead[1], "upload", "default", "attempts used up"],
        [dead[0], "upload", "default", "attempts used up"],
    ]
    assert (told["count"], told["nextCursor"]) == (3, None)
    assert told["deadLetters"][0]["error"] == "card refused"


@pytest.mark.parametrize(
    ("options", "numbers"),
    [
        (("--type", "upload"), [1, 0]),
        (("--queue", "money"), [2]),
        (("--error-class", "permanent"), [2]),
        (("--error-type", "ValueError", "--limit", "1"), [1]),
        (("--text", "CARD"), [2]),
        (("--older-than", "3600"), []),
        (("--newer-than", "3600"), [2, 1, 0]),
    ],
)
def test_dead_letters_are_chosen_by_options(headrace, dead, options, numbers):
    told = headrace("dead", "list", *options, "--json").json

    assert [one["id"] for one in told["deadLetters"]] == [dead[n] for n in numbers]


def test_pages_go_on_at_the_cursor(headrace, dead):
    first = headrace("dead", "list", "--limit", "2", "--json").json
    second = headrace("dead", "list", "--limit", "2", "--cursor", first["nextCursor"], "--json").json

    assert [one["id"] for page in (first, second) for one in page["deadLetters"]] == dead[::-1]


def test_dead_letters_are_counted(headrace, dead):
    ran = headrace("dead", "list", "--counts")
    told = headrace("dead", "list", "--counts", "--json").json

    assert [row[:4] for row in ran.rows[1:]] == [
        ["charge", "money", "1", "1"],
        ["upload", "default", "2", "0"],
    ]
    assert told["counts"][1]["newestId"] == dead[1]


def test_dead_letter_is_shown_with_its_errors(headrace, dead):
    told = headrace("dead", "show", dead[2], "--json").json
    ran = headrace("dead", "show", dead[2])

    assert (told["why"], told["waits"], told["payload"], told["replacedBy"]) == (
        "permanent",
        True,
        {"n": 3},
        [],
    )
    assert [one["error"]["message"] for one in told["attempts"]] == ["card refused"]
    assert ["why", "permanent"] in ran.rows
    assert "card refused" in ran.out


def test_one_is_redriven_as_it_is_and_one_with_another_payload(headrace, dead):
    same = headrace("dead", "redrive", dead[0], "--priority", "high", "--delay", "60", "--json").json
    other = headrace("dead", "redrive", dead[1], "--payload", '{"n": 9}', "--json").json

    (again,), (new,) = same, other
    assert (again["result"], again["runsAs"]) == ("queued again", dead[0])
    assert new["runsAs"] not in dead
    assert headrace("job", new["runsAs"], "--json").json["job"]["payload"] == {"n": 9}
    assert headrace("job", dead[0], "--json").json["job"]["priority"] == 50
    assert headrace("dead", "show", dead[1], "--json").json["replacedBy"] == [new["runsAs"]]
    assert headrace("dead", "list", "--json").json["count"] == 1


def test_many_are_redriven_once_it_is_confirmed(headrace, dead):
    unsure = headrace("dead", "redrive", "--type", "upload")
    tried = headrace("dead", "redrive", "--type", "upload", "--dry-run", "--json").json
    before = headrace("dead", "list", "--json").json["count"]
    sure = headrace("dead", "redrive", "--type", "upload", "--per-second", "5", "--yes")

    assert (unsure.code, unsure.out) == (2, "")
    assert "2 dead letters would be queued again: say --yes" in unsure.err
    assert (tried["count"], [one["id"] for one in tried["sample"]]) == (2, dead[1::-1])
    assert before == 3
    assert (sure.code, sure.out) == (0, "2 queued again\n")
    assert headrace("dead", "list", "--json").json["count"] == 1


@pytest.mark.parametrize("answered", [("y\n", 0, 0), ("\n", 2, 3)], ids=["yes", "no"])
def test_who_sits_at_a_terminal_is_asked(headrace, dead, monkeypatch, answered):
    line, code, left = answered
    monkeypatch.setattr("headrace.cli.redrive.on_terminal", lambda: True)
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdin", Answer(line))
        ran = headrace("dead", "discard", "--all")

    assert ran.code == code
    assert "3 dead letters will be discarded. Go on? [y/N]" in ran.err
    assert headrace("dead", "list", "--json").json["count"] == left


def test_dead_letters_are_discarded_with_a_reason(headrace, dead):
    one = headrace("dead", "discard", dead[0], "--reason", "a test order")
    many = headrace("dead", "discard", "--all", "--reason", "old", "--yes", "--json").json

    told = headrace("dead", "show", dead[0], "--json").json
    assert one.rows == [[dead[0], "discarded"]]
    assert many == {"done": 2, "refused": {}}
    assert (told["reason"], told["waits"]) == ("a test order", False)


def test_nothing_to_do_needs_no_confirmation(headrace, dead):
    ran = headrace("dead", "redrive", "--type", "nothing")

    assert (ran.code, ran.out) == (0, "0 queued again\n")


def test_bulk_says_which_were_refused(headrace, folder):
    async def die() -> str:
        async with App(URL, settings=Settings()) as app:

            @app.job(name="upload", retry=Retry(attempts=1))
            async def upload() -> None:
                raise ValueError("disk full")

            first = await upload.using(unique_key="k").enqueue()
            await drain(app)
            await upload.using(unique_key="k", delay=3600).enqueue()
            return first.id

    job_id = asyncio.run(die())

    ran = headrace("dead", "redrive", "--all", "--yes")

    assert (ran.code, ran.out) == (1, "0 queued again\n")
    assert f"job {job_id}: its unique key is held by job" in ran.err


@pytest.mark.parametrize(
    "options",
    [
        ("redrive",),
        ("redrive", "--all", "--type", "upload"),
        ("discard", "an-id", "--all"),
        ("redrive", "--all", "--payload", "{}"),
        ("redrive", "--all", "--delay", "5"),
        ("redrive", "--all", "--yes", "--per-second", "0"),
        ("list", "--error-class", "bad"),
        ("list", "--counts", "--type", "x"),
        ("list", "--cursor", "nonsense"),
        ("queues", "default"),
        ("queues", "--none"),
        ("queues", "default", "--to", "a b"),
        ("redrive", "an-id", "--priority", "urgent"),
    ],
)
def test_what_cannot_be_meant_is_refused(headrace, dead, options):
    ran = headrace("dead", *options)

    assert (ran.code, ran.out) == (2, "")
    assert headrace("dead", "list", "--json").json["count"] == 3


def test_each_id_that_is_none_is_told(headrace, dead):
    headrace("dead", "discard", dead[0])

    ran = headrace("dead", "redrive", dead[0], "nobody", dead[1])

    assert ran.code == 1
    assert [row[:2] for row in ran.rows] == [[dead[1], "queued again"]]
    assert f"job {dead[0]} is no dead letter" in ran.err
    assert "no job 'nobody'" in ran.err


def test_ids_are_only_told_of_in_a_dry_run(headrace, dead):
    headrace("dead", "discard", dead[0])

    ran = headrace("dead", "discard", "--dry-run", dead[0], dead[1])

    assert ran.rows == [[dead[0], "no dead letter"], [dead[1], "a dead letter"]]
    assert headrace("dead", "list", "--json").json["count"] == 2


def test_dead_letter_queues_are_set_listed_and_taken_away(headrace, dead):
    set_up = headrace("dead", "queues", "money", "--to", "money-dead", "--type", "review")
    listed = headrace("dead", "queues", "--json").json
    gone = headrace("dead", "queues", "money", "--none", "--json").json

    assert set_up.rows[1:] == [["money", "money-dead", "review"]]
    assert listed["queues"] == [{"queue": "money", "deadLetterQueue": "money-dead", "type": "review"}]
    assert gone["count"] == 0
