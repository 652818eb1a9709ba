"""The guide's commands do what the guide says."""

import re
from contextlib import closing
from pathlib import Path

import pytest
from redis.exceptions import NoPermissionError

from headrace.stores.open import open_store
from headrace.stores.values import Record, Swap, Tier
from tests.builders import HOUR, NAMESPACE, NOW, a_hello, a_job, claim, enqueue, settle
from tests.servers.valkey import client_of

GUIDE = Path(__file__).resolve().parents[3] / "docs" / "guides" / "redis.md"
(RIGHTS,) = re.findall(r"^```text acl\n(.*?)^```", GUIDE.read_text(), re.MULTILINE | re.DOTALL)
(SETTINGS,) = re.findall(r"^```text\n(appendonly.*?)^```", GUIDE.read_text(), re.MULTILINE | re.DOTALL)


def as_user(url: str) -> str:
    """The URL with the user of the guide."""
    return url.replace("://", "://headrace:secret@")


async def test_rights_and_settings_of_the_guide_are_enough(start_valkey):
    server = start_valkey(settings=dict(line.split(" ", 1) for line in SETTINGS.splitlines()))
    server.run(*RIGHTS.split())
    store = await open_store(as_user(server.url()))

    await store.migrate()
    await enqueue(store, a_job(tags=("t",)))
    await store.hello(a_hello())
    (job,) = await claim(store)
    await settle(store, job)
    await store.set_paused(NAMESPACE, "mail", paused=True)
    await store.swap(NAMESPACE, [Swap(key="loop:a", revision=0, value="1", due_at=NOW)])
    await store.append(NAMESPACE, "file", [Record(key="f", at=NOW, body="{}", until=NOW)])
    await store.due("loop", now=NOW, limit=10)
    await store.trim(now=NOW, limit=10)
    await store.erase(now=NOW + 2 * HOUR, limit=10)
    await store.tallies(NAMESPACE)
    found = await store.check()
    await store.incarnation()
    await store.close()

    assert (found.tier, found.warnings) == (Tier.POWER_LOSS, ())
    assert found.details["wakeups"] == "listening"


@pytest.mark.parametrize(
    "command",
    [
        ("KEYS", "*"),
        ("FLUSHALL",),
        ("CONFIG", "SET", "maxmemory", "1"),
        ("SHUTDOWN", "NOSAVE"),
        ("CLIENT", "KILL", "TYPE", "normal"),
        ("SCRIPT", "FLUSH"),
        ("SET", "other", "1"),
        ("PUBLISH", "other", "1"),
    ],
)
def test_user_of_the_guide_can_harm_nobody_else(start_valkey, command):
    server = start_valkey()
    server.run(*RIGHTS.split())

    with closing(client_of(as_user(server.url()))) as client, pytest.raises(NoPermissionError):
        client.execute_command(*command)
