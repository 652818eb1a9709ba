"""The command line and ``/health`` on a Redis or Valkey server."""

from contextlib import closing
from urllib.parse import urlsplit

import httpx2
import pytest

from headrace.api.app import create_app
from headrace.stores.redis.schema import NEWEST
from tests.faces.commands import running
from tests.faces.service import BASE, an_app
from tests.servers.shared_valkey import SHARED_VALKEY
from tests.servers.valkey import client_of


@pytest.fixture
def url() -> str:
    return SHARED_VALKEY.fresh_url()


def keys_in(url: str) -> list[str]:
    with closing(client_of(url, decode_responses=True)) as client:
        return client.keys()


def test_doctor_shows_the_server_its_room_and_no_password(headrace, url):
    secret = url.replace("://", "://default:hunter2@")  # a server without passwords takes any
    headrace("migrate", "--url", secret)

    ran = headrace("doctor", "--url", secret)

    facts = dict(row for row in ran.rows if len(row) == 2)
    assert ran.code == 0
    assert facts["store"] in {"valkey", "redis"}
    assert facts["server"] == f"{urlsplit(url).netloc}{urlsplit(url).path}"
    assert facts["durability"] == "lost with the process"
    assert int(facts["usedMemory"]) > 0
    assert facts["maxMemory"] == "unbounded"
    assert int(facts["connectedClients"]) < int(facts["maxClients"])
    assert facts["wakeups"] == "listening"
    assert "warning\tappendonly is no: when the server stops, all jobs are lost" in ran.out
    assert "nothing of Headrace" not in ran.out
    assert "hunter2" not in ran.out + ran.err


def test_doctor_examines_a_server_that_nobody_has_used_yet_and_leaves_it_so(headrace, url):
    ran = headrace("doctor", "--url", url)

    facts = dict(row for row in ran.rows if len(row) == 2)
    assert ran.code == 0
    assert facts["durability"] == "lost with the process"
    assert "warning\tappendonly is no: when the server stops, all jobs are lost" in ran.out
    assert "warning\tnothing of Headrace is in the store yet: `headrace serve`" in ran.out
    assert "all is well" in ran.out
    assert facts["keys"] == "0"
    assert not keys_in(url)


def test_doctor_refuses_a_server_that_nobody_has_used_yet_but_that_evicts(headrace, start_valkey):
    server = start_valkey(settings={"maxmemory": "50mb", "maxmemory-policy": "allkeys-lru"})

    ran = headrace("doctor", "--url", server.url())

    (wrong,) = [row[1] for row in ran.rows if row[0] == "wrong"]
    assert ran.code == 1
    assert "maxmemory-policy allkeys-lru" in wrong


@pytest.mark.parametrize("arguments", [["jobs"], ["queues"], ["job", "x"], ["files", "list"]])
def test_reading_what_nobody_has_used_yet_says_so_and_writes_nothing(headrace, url, arguments):
    ran = headrace(*arguments, "--url", url)

    assert ran.code == 3
    assert ran.err.startswith("headrace: nothing of Headrace is in the store yet: `headrace serve`")
    assert not keys_in(url)


def test_migrate_marks_the_layout_once(headrace, url):
    plan = headrace("migrate", "--plan", "--url", url)
    first, second = headrace("migrate", "--url", url), headrace("migrate", "--url", url)

    assert (plan.code, plan.out) == (0, f'SET headrace:schema "{NEWEST} 1" NX\n')
    assert (first.code, first.out) == (0, f"The schema has number {NEWEST} now.\n")
    assert (second.code, second.out) == (0, f"The schema is up to date: {NEWEST}.\n")


def test_server_that_the_environment_names_is_used(headrace, url, monkeypatch):
    parts = urlsplit(url)
    monkeypatch.setenv("HEADRACE_URL", "redis:?prefix=apart")
    monkeypatch.setenv("REDIS_HOST", parts.hostname)
    monkeypatch.setenv("REDIS_PORT", str(parts.port))
    monkeypatch.setenv("REDIS_DB", parts.path.removeprefix("/"))

    headrace("migrate")
    ran = headrace("doctor")

    facts = dict(row for row in ran.rows if len(row) == 2)
    assert ran.code == 0
    assert facts["server"] == f"{parts.netloc}{parts.path}"
    assert facts["prefix"] == "apart"


def test_server_that_does_not_answer_is_4(headrace):
    ran = headrace("migrate", "--url", "redis://me:hunter2@127.0.0.1:1/0?connect_timeout=2")

    assert ran.code == 4
    assert ran.err.startswith("headrace: 127.0.0.1:1/0: ")
    assert "hunter2" not in ran.err


@pytest.mark.parametrize(
    "url",
    ["redis://me:hun/ter2@cache/0", "redis://me:hun#ter2@cache/0", "redis+sentinel://:hun?ter2@a,b/jobs"],
)
def test_password_that_is_not_encoded_is_not_shown(headrace, url):
    for command in ("doctor", "migrate", "jobs"):
        ran = headrace(command, "--url", url)

        assert ran.code != 0
        assert "ter2" not in ran.out + ran.err


@pytest.mark.parametrize(
    ("option", "said"),
    [("", "listening; polling every 1 s besides"), ("?notify=off", "polling every 1 s (notify=off)")],
)
def test_serve_says_which_wake_ups_it_uses(folder, url, option, said):
    with running("serve", "--port", "0", "--url", f"{url}{option}", cwd=folder) as service:
        line = service.line_with("wake-ups: ")
        service.line_with("listening on")
        service.send(2)

        assert service.ended() == 0
    assert said in line


async def test_health_tells_tier_and_warnings_and_503_when_the_server_is_gone(start_valkey):
    server = start_valkey()
    app = an_app(server.url())
    async with app:
        opened = await app.open()
        transport = httpx2.ASGITransport(create_app(opened.operations))
        async with httpx2.AsyncClient(transport=transport, base_url=BASE) as client:
            well = await client.get("/health")
            server.kill()
            unwell = await client.get("/health")
            server.restart()
            again = await client.get("/health")

    make = server.info("server").get("server_name", "redis")
    assert (well.status_code, well.json()["store"], well.json()["schema"]) == (200, make, NEWEST)
    assert well.json()["tier"] == "lost with the process"
    assert well.json()["warnings"] == ["appendonly is no: when the server stops, all jobs are lost"]
    assert (unwell.status_code, unwell.json()["status"]) == (503, "unavailable")
    assert again.status_code == 200
