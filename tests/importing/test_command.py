"""``headrace import-bullmq``."""

from contextlib import closing

import pytest

from tests.faces.commands import Commands
from tests.importing.bullmq import Bull
from tests.servers.shared_valkey import SHARED_VALKEY
from tests.servers.valkey import client_of

PROGRAM = '''
from headrace import App

app = App()

@app.job(name="send")
async def send(to: str) -> None:
    """Sends a letter."""
'''


@pytest.fixture
def headrace(tmp_path, monkeypatch, capsys):
    monkeypatch.delenv("HEADRACE_URL", raising=False)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "letters.py").write_text(PROGRAM)
    return Commands(capsys)


@pytest.fixture
def arguments(bull_url, tmp_path) -> list[str]:
    to = f"sqlite:///{tmp_path / 'jobs.db'}"
    return ["import-bullmq", "--from", bull_url, "--queue", "mail", "--to", to, "--app", "letters:app"]


def test_a_queue_is_imported_and_counted(bull: Bull, headrace, arguments, tmp_path):
    bull.add("welcome", {"to": "a"})
    bull.add("welcome", {"to": "b"}, delay=60_000)

    ran = headrace(*arguments, "--map", "welcome=send")
    again = headrace(*arguments, "--map", "welcome=send", "--json")

    assert ran.code == 0, ran.err
    assert ["wait", "welcome", "send", "1"] in ran.rows
    assert ["delayed", "welcome", "send", "1"] in ran.rows
    assert "2 jobs imported, of 2 that fit" in ran.out
    assert ran.err.splitlines() == [
        f"{step} {done} of 2" for step in ("looking at", "taking in") for done in (1, 2)
    ]
    assert (again.code, again.json["taken"], again.json["takenBefore"]) == (0, 0, 2)
    audit = headrace("audit", "--url", f"sqlite:///{tmp_path / 'jobs.db'}", "--json")
    assert "import.bullmq" in audit.out


def test_a_plan_writes_nothing(bull: Bull, headrace, arguments, tmp_path):
    bull.add(data={"to": "a"})
    bull.add(raw="[]", jobId="odd")
    before = bull.everything()

    ran = headrace(*arguments, "--plan")

    assert ran.code == 1
    assert "Does not fit: odd: " in ran.out
    assert "1 jobs would be imported. Nothing was written." in ran.out
    assert not (tmp_path / "jobs.db").exists()
    assert bull.everything() == before


def test_a_plan_writes_nothing_to_a_server_that_nobody_has_used_yet(bull: Bull, headrace, bull_url, tmp_path):
    bull.add(data={"to": "a"})
    target = SHARED_VALKEY.fresh_url()

    ran = headrace(
        "import-bullmq",
        "--from",
        bull_url,
        "--queue",
        "mail",
        "--to",
        target,
        "--app",
        "letters:app",
        "--plan",
    )

    assert "1 jobs would be imported" in ran.out
    with closing(client_of(target)) as client:
        assert client.dbsize() == 0


def test_unknown_names_are_wrong_usage(bull: Bull, headrace, arguments):
    bull.add("welcome", {"to": "a"})

    ran = headrace(*arguments)

    assert ran.code == 2
    assert "--map NAME=TYPE" in ran.err


@pytest.mark.parametrize("given", ["welcome", "=send", "welcome=not a type"])
def test_a_mapping_that_cannot_be_read_is_wrong_usage(bull: Bull, headrace, arguments, given):
    assert headrace(*arguments, "--map", given).code == 2


def test_an_empty_queue_is_no_error(headrace, arguments, bull_url):
    with closing(client_of(bull_url)) as client:
        assert client.dbsize() == 0

    ran = headrace(*arguments, "--json")

    assert (ran.code, ran.json["total"]) == (0, 0)
