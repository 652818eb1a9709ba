"""The commands that enqueue, show and change jobs."""

import io
import subprocess
import sys

import pytest

from headrace import cli
from headrace.errors import StoreUnavailable

DOUBLE = ("double", "--app", "jobs_app:app", "--payload", '{"n": 21}')
UNKNOWN = "0199b0c4-8a00-7c3e-9f5b-0d6c5b7d2a11"


def test_enqueued_job_is_shown(headrace):
    job_id = headrace.enqueued(*DOUBLE, "--priority", "high", "--delay", "60", "--tag", "a", "--tag", "b")

    job = headrace("job", job_id, "--json").json["job"]

    assert (job["type"], job["payload"], job["priority"], job["tags"]) == (
        "double",
        {"n": 21},
        50,
        ["a", "b"],
    )


def test_enqueue_makes_the_store(headrace, folder):
    headrace.enqueued(*DOUBLE)

    assert (folder / "headrace.db").is_file()


@pytest.mark.parametrize(
    "arguments",
    [("jobs",), ("job", UNKNOWN), ("cancel", UNKNOWN), ("retry", UNKNOWN), ("queues",), ("files", "list")],
)
def test_reading_makes_no_store(headrace, folder, arguments):
    ran = headrace(*arguments)

    assert (ran.code, ran.out) == (3, "")
    assert "there is no store at sqlite:///headrace.db" in ran.err
    assert list(folder.glob("*.db*")) == []


def test_payload_comes_from_a_file_or_stdin(headrace, folder, monkeypatch):
    (folder / "payload.json").write_text('{"n": 5}')
    monkeypatch.setattr(sys, "stdin", io.StringIO('{"n": 6}'))

    from_file = headrace.enqueued("double", "--app", "jobs_app:app", "--payload", "@payload.json")
    from_stdin = headrace.enqueued("double", "--app", "jobs_app:app", "--payload", "-")

    payloads = [headrace("job", one, "--json").json["job"]["payload"] for one in (from_file, from_stdin)]
    assert payloads == [{"n": 5}, {"n": 6}]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("double", "--payload", "{"), "payload is not valid JSON"),
        (("double", "--payload", '{"n": NaN}'), "payload is not valid JSON"),
        (("double", "--payload", '{"n": "x"}'), "/n: "),
        (("double", "--payload", "[]"), "payload must be a JSON object"),
        (("double", "--payload", '{"n": 1}', "--priority", "urgent"), "unknown priority"),
        (("double", "--payload", '{"n": 1}', "--until", "started"), "until needs a uniqueKey"),
        (
            ("double", "--payload", '{"n": 1}', "--delay", "1", "--scheduled-for", "2026-01-01T00:00:00Z"),
            "not both",
        ),
        (("unheard-of",), "unknown job type 'unheard-of'"),
        (("a\x1b[31mb",), "type 'a\\x1b[31mb' must be"),
    ],
)
def test_what_cannot_be_enqueued_is_told_in_one_line(headrace, arguments, said):
    ran = headrace("enqueue", *arguments, "--app", "jobs_app:app")

    assert (ran.code, ran.out) == (2, "")
    assert said in ran.err
    assert ran.err.count("\n") == 1


def test_missing_payload_file_is_told(headrace):
    ran = headrace("enqueue", "double", "--app", "jobs_app:app", "--payload", "@nowhere.json")

    assert (ran.code, ran.out) == (2, "")
    assert "nowhere.json" in ran.err


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("jobs_app", "must be module:attribute"),
        ("nowhere:app", "there is no module 'nowhere'"),
        ("jobs_app:nothing", "no attribute 'nothing'"),
        ("jobs_app:Context", "not an App"),
    ],
)
def test_app_that_is_not_there_is_told(headrace, path, said):
    ran = headrace("enqueue", "double", "--app", path)

    assert ran.code == 2
    assert said in ran.err


def test_equal_unique_key_prints_the_existing_job(headrace):
    first = headrace.enqueued(*DOUBLE, "--unique-key", "k")

    again = headrace("enqueue", *DOUBLE, "--unique-key", "k")
    rejected = headrace("enqueue", *DOUBLE, "--unique-key", "k", "--on-conflict", "reject")

    assert (again.code, again.out.strip()) == (0, first)
    assert "existing" in again.err
    assert (rejected.code, rejected.out) == (1, "")


def test_jobs_are_tab_separated_in_a_pipe(headrace):
    job_ids = [headrace.enqueued(*DOUBLE) for _ in range(2)]

    header, *rows = headrace("jobs", "--status", "pending", "--type", "double").rows

    assert header[:4] == ["id", "type", "state", "queue"]
    assert [row[:4] for row in rows] == [[one, "double", "pending", "default"] for one in job_ids[::-1]]


def test_jobs_as_json_go_on_with_the_cursor(headrace):
    job_ids = [headrace.enqueued(*DOUBLE) for _ in range(3)]

    first = headrace("jobs", "--limit", "2", "--json").json
    second = headrace("jobs", "--limit", "2", "--json", "--cursor", first["nextCursor"]).json

    assert [job["id"] for page in (first, second) for job in page["jobs"]] == job_ids[::-1]
    assert second["nextCursor"] is None


def test_watch_needs_a_terminal(headrace):
    ran = headrace("jobs", "--watch")

    assert ran.code == 2
    assert "terminal" in ran.err


def test_cancel_and_retry_tell_each_job(headrace):
    first, second = headrace.enqueued(*DOUBLE), headrace.enqueued(*DOUBLE)

    cancelled = headrace("cancel", first, second)
    again = headrace("cancel", first)
    retried = headrace("retry", first)

    assert (cancelled.code, cancelled.rows) == (0, [[first, "cancelled"], [second, "cancelled"]])
    assert (again.code, again.out) == (1, "")
    assert "cannot cancel" in again.err
    assert (retried.code, retried.rows) == (0, [[first, "retry queued"]])


def test_cancel_goes_on_after_a_job_that_is_not_there(headrace):
    job_id = headrace.enqueued(*DOUBLE)

    ran = headrace("cancel", UNKNOWN, job_id)

    assert (ran.code, ran.rows) == (3, [[job_id, "cancelled"]])
    assert f"no job '{UNKNOWN}'" in ran.err


def test_low_priority_may_be_a_number(headrace):
    job_id = headrace.enqueued(*DOUBLE, "--priority", "-7")

    assert headrace("job", job_id, "--json").json["job"]["priority"] == -7


@pytest.mark.parametrize("command", ["cancel", "retry"])
def test_change_needs_a_job(headrace, command):
    assert headrace(command).code == 2


def test_unknown_job_is_not_found(headrace):
    headrace.enqueued(*DOUBLE)

    ran = headrace("job", UNKNOWN)

    assert (ran.code, ran.out, ran.err) == (3, "", f"headrace: no job '{UNKNOWN}'\n")


def test_queues_are_paused_and_resumed(headrace):
    headrace.enqueued(*DOUBLE)

    paused = headrace("queues", "--pause", "default")
    resumed = headrace("queues", "--resume", "default", "--json").json

    assert paused.rows[1][:4] == ["default", "yes", "0", "1"]
    assert resumed["queues"][0]["paused"] is False


def test_doctor_tells_what_waits_in_vain(headrace):
    headrace.enqueued(*DOUBLE)

    ran = headrace("doctor")

    facts = dict(row for row in ran.rows if len(row) == 2)
    assert ran.code == 1
    assert facts["durability"] == "survives power loss"
    assert facts["wrong"].startswith("queue default has had due jobs since")


def test_doctor_is_content_with_a_quiet_store(headrace):
    headrace("cancel", headrace.enqueued(*DOUBLE))

    ran = headrace("doctor", "--json")

    assert (ran.code, ran.json["wrong"]) == (0, [])
    assert ran.json["store"]["schema"] >= 1


def test_doctor_tells_of_a_missing_store(headrace, folder):
    ran = headrace("doctor")

    assert ran.code == 1
    assert "there is no store at sqlite:///headrace.db yet" in ran.out
    assert list(folder.glob("*.db*")) == []


def test_doctor_shows_no_secret(headrace, monkeypatch):
    monkeypatch.setenv("HEADRACE_SMTP_URL", "smtp://me:hunter2@mail.example:587")
    monkeypatch.setenv("HEADRACE_WEBHOOK_SECRETS", "whsec_aHVudGVyMg==")

    ran = headrace("doctor", "--url", "postgresql://me:hunter2@db/x?password=hunter2")

    assert "hunter2" not in ran.out + ran.err
    assert "aHVudGVyMg" not in ran.out + ran.err
    assert "smtp://me:***@mail.example:587" in ran.out


@pytest.mark.parametrize("url", ["mysql://x", "nonsense", "https://example.com"])
def test_store_of_no_known_kind_is_told(headrace, url):
    ran = headrace("jobs", "--url", url)

    assert ran.code == 2
    assert "no store for" in ran.err


def test_file_that_is_no_database_is_told(headrace, folder):
    (folder / "headrace.db").write_bytes(b"not a database at all" * 100)

    ran = headrace("jobs")

    assert ran.code == 4
    assert ran.err.count("\n") == 1


def test_store_that_is_not_available_is_4(headrace, monkeypatch):
    async def unavailable(_url: str) -> None:
        raise StoreUnavailable("locked")

    monkeypatch.setattr("headrace.stores.open.open_store", unavailable)

    ran = headrace("enqueue", *DOUBLE)

    assert (ran.code, ran.err) == (4, "headrace: locked\n")


def test_interrupt_is_130(monkeypatch):
    def interrupted(*_args: object, **_kwargs: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("cyclopts.App.__call__", interrupted)

    assert cli.run(["jobs"]) == 130


def test_files_go_in_and_out(headrace, folder):
    content = bytes(range(256)) * 5000
    (folder / "a b.bin").write_bytes(content)
    headrace.enqueued(*DOUBLE)

    stored = headrace("files", "put", "a b.bin", "--json").json
    got = headrace("files", "get", stored["id"], "--output", "out.bin")
    listed = headrace("files", "list").rows

    assert (stored["size"], stored["name"]) == (len(content), "a b.bin")
    assert got.code == 0
    assert (folder / "out.bin").read_bytes() == content
    assert listed[1][0] == stored["id"]


def test_files_go_through_pipes(folder):
    content = bytes(range(256)) * 100
    command = [sys.executable, "-m", "headrace.cli", "files"]

    put = subprocess.run(
        [*command, "put", "-", "--name", "a.bin"], input=content, capture_output=True, check=True, cwd=folder
    )
    got = subprocess.run(
        [*command, "get", put.stdout.decode().strip()], capture_output=True, check=True, cwd=folder
    )

    assert (got.stdout, got.stderr) == (content, b"")


def test_file_that_is_not_there_leaves_nothing(headrace, folder):
    headrace.enqueued(*DOUBLE)

    missing = headrace("files", "get", UNKNOWN, "--output", "out.bin")
    no_source = headrace("files", "put", "nowhere.bin")

    assert (missing.code, no_source.code) == (3, 2)
    assert not (folder / "out.bin").exists()
