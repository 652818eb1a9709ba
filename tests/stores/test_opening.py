"""What is opened, what is refused, and with which words."""

import asyncio

import apsw
import pytest

from headrace.errors import InvalidInput, NetworkFilesystem, SchemaTooNew, StoreUnusable
from headrace.stores.open import open_store
from headrace.stores.protocol import Tier
from headrace.stores.sqlite import migrating, mounts
from headrace.stores.sqlite.location import Synchronous, parse
from tests.builders import NAMESPACE, a_job, enqueue


def changed(path, *pragmas):
    db = apsw.Connection(str(path))
    for name, value in pragmas:
        db.pragma(name, value)
    db.close()


async def made(path):
    store = await open_store(f"sqlite:///{path}")
    await store.close()
    return path


@pytest.mark.parametrize(
    "url",
    [
        "", "jobs.db", "mysql://host/db", "mongodb://h", "sqlite:jobs.db", "sqlite:/jobs.db", "sqlite://host/jobs.db",
        "sqlite3:///jobs.db", "sqlite:///jobs.db?synchronous=off", "sqlite:///jobs.db?mode=ro", "sqlite:///x#y",
        "sqlite:///jobs.db?broken",
    ],
)  # fmt: skip
async def test_url_that_names_no_store_is_refused_with_an_example(url):
    with pytest.raises(InvalidInput) as refusal:
        await open_store(url)

    assert refusal.value.field == "url"
    assert any(word in str(refusal.value) for word in ("sqlite://", "synchronous", "option"))


def test_path_of_a_url(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    assert parse("sqlite:////var/lib/jobs.db").path.as_posix() == "/var/lib/jobs.db"
    assert parse("sqlite:///jobs.db").path == tmp_path / "jobs.db"
    assert parse("sqlite:///my%20jobs.db").path == tmp_path / "my jobs.db"
    assert parse("sqlite://").path is parse("sqlite:///:memory:").path is None


def test_options_of_a_url():
    assert parse("sqlite:///jobs.db").synchronous is Synchronous.FULL
    assert parse("sqlite:///jobs.db?synchronous=NORMAL").synchronous is Synchronous.NORMAL
    assert parse("sqlite:///jobs.db?force=1").force
    assert not parse("sqlite:///jobs.db").force


@pytest.mark.parametrize(
    ("query", "tier"),
    [("", Tier.POWER_LOSS), ("?synchronous=normal", Tier.PROCESS_DEATH)],
    ids=["full", "normal"],
)
async def test_tier_is_read_from_the_live_connection(tmp_path, query, tier):
    store = await open_store(f"sqlite:///{tmp_path / 'jobs.db'}{query}")

    assert (await store.check()).tier is tier
    store._database._db.pragma("synchronous", "off")
    assert (await store.check()).tier is not Tier.POWER_LOSS
    await store.close()


async def test_memory_keeps_nothing_and_says_so():
    store = await open_store("sqlite://")
    await enqueue(store, a_job())

    assert (await store.check()).tier is Tier.NOTHING
    await store.close()


async def test_schema_of_a_newer_version_is_refused(tmp_path):
    path = await made(tmp_path / "jobs.db")
    changed(path, ("user_version", migrating.newest() + 1))

    with pytest.raises(SchemaTooNew, match="upgrade"):
        await open_store(f"sqlite:///{path}")


async def test_database_of_another_program_is_refused(tmp_path):
    path = tmp_path / "theirs.db"
    changed(path, ("application_id", 42))

    with pytest.raises(StoreUnusable, match="another program"):
        await open_store(f"sqlite:///{path}")


async def test_database_with_a_table_of_our_name_is_refused_and_left_alone(tmp_path):
    path = tmp_path / "theirs.db"
    db = apsw.Connection(str(path))
    db.execute("create table job (mine)")
    db.close()

    with pytest.raises(StoreUnusable, match="another program"):
        await open_store(f"sqlite:///{path}")
    assert apsw.Connection(str(path)).pragma("journal_mode") == "delete"


async def test_file_that_is_no_database_is_refused(tmp_path):
    path = tmp_path / "letter.txt"
    path.write_text("Dear reader, " * 100)

    with pytest.raises(StoreUnusable, match="not a SQLite database"):
        await open_store(f"sqlite:///{path}")


async def test_folder_that_does_not_exist_is_named(tmp_path):
    with pytest.raises(StoreUnusable, match="folder"):
        await open_store(f"sqlite:///{tmp_path / 'nowhere' / 'jobs.db'}")


async def test_read_only_file_is_refused(tmp_path, monkeypatch):
    path = await made(tmp_path / "jobs.db")
    # Root may write to everything, so the mode of the file would not stop this test's user.
    connect = apsw.Connection
    monkeypatch.setattr(apsw, "Connection", lambda name: connect(name, flags=apsw.SQLITE_OPEN_READONLY))

    with pytest.raises(StoreUnusable, match="not writable"):
        await open_store(f"sqlite:///{path}")


async def test_many_may_open_a_new_file_at_once(tmp_path):
    url = f"sqlite:///{tmp_path / 'jobs.db'}"

    stores = await asyncio.gather(*(open_store(url) for _ in range(8)))

    await asyncio.gather(*(enqueue(store, a_job()) for store in stores))
    assert sum(one.count for one in await stores[0].tallies(NAMESPACE)) == 8
    await asyncio.gather(*(store.close() for store in stores))


async def test_file_knows_whose_it_is(tmp_path):
    db = apsw.Connection(str(await made(tmp_path / "jobs.db")))

    assert db.pragma("application_id") == migrating.APPLICATION_ID
    assert db.pragma("user_version") == migrating.newest()
    db.close()


MOUNTS = """\
/dev/vda / ext4 rw 0 0
server:/export /mnt/share nfs4 rw 0 0
//server/share /mnt/with\\040space cifs rw 0 0
ssh /mnt/ssh fuse.sshfs rw 0 0
overlay /mnt/rootless fuse.fuse-overlayfs rw 0 0
/dev/vdb /mnt/share/local xfs rw 0 0
/dev/vdc /mnt/hidden nfs rw 0 0
/dev/vdc /mnt/hidden ext4 rw 0 0
"""


@pytest.mark.parametrize("folder", ["/mnt/share", "/mnt/share/deep/er", "/mnt/with space", "/mnt/ssh"])
def test_network_file_system_is_refused(folder, tmp_path):
    path = parse(f"sqlite:///{folder}/jobs.db").path

    with pytest.raises(NetworkFilesystem, match="force=1"):
        mounts.refuse_network(path, MOUNTS)


@pytest.mark.parametrize(
    "folder", ["/", "/home/me", "/mnt", "/mnt/shared", "/mnt/share/local", "/mnt/hidden", "/mnt/rootless"]
)
def test_local_file_system_is_accepted(folder):
    mounts.refuse_network(parse(f"sqlite:///{folder}/jobs.db").path, MOUNTS)


async def test_network_file_system_can_be_forced(tmp_path, monkeypatch):
    monkeypatch.setattr(mounts, "_read_mounts", lambda: "server:/export / nfs4 rw 0 0\n")
    url = f"sqlite:///{tmp_path / 'jobs.db'}"

    with pytest.raises(NetworkFilesystem):
        await open_store(url)
    await (await open_store(f"{url}?force=1")).close()
