"""The URL: what it may say, what it never tells, and that the driver is asked for what it says."""

import re
import sys

import pytest

from headrace.cli.doctor import without_password
from headrace.errors import InvalidInput, StoreUnavailable, StoreUnusable
from headrace.stores.open import open_store
from headrace.stores.redis.location import SCHEMES, Kind, Location, Login, Tls, parse
from tests.servers.ports import free_port
from tests.stores.redis.conftest import connected_by


def hosts(url: str) -> list[tuple[str, int | None]]:
    return [(host.name, host.port) for host in parse(url).hosts]


@pytest.mark.parametrize(
    ("url", "kind", "expected", "database"),
    [
        ("redis://cache.example", Kind.SERVER, [("cache.example", 6379)], 0),
        ("redis://cache.example:6380/3", Kind.SERVER, [("cache.example", 6380)], 3),
        ("redis://cache.example/3?db=4", Kind.SERVER, [("cache.example", 6379)], 4),
        ("rediss://:secret@cache.example", Kind.SERVER, [("cache.example", 6379)], 0),
        ("valkey://me:secret@[::1]:6380/1", Kind.SERVER, [("::1", 6380)], 1),
        ("valkeys://[2001:db8::7]", Kind.SERVER, [("2001:db8::7", 6379)], 0),
        ("redis://:6380", Kind.SERVER, [("localhost", 6380)], 0),
        ("redis+sentinel://a,b:26380/jobs/2", Kind.SENTINELS, [("a", 26379), ("b", 26380)], 2),
        ("rediss+sentinel://a/jobs", Kind.SENTINELS, [("a", 26379)], 0),
        ("redis+cluster://a:7000,b", Kind.CLUSTER, [("a", 7000), ("b", 6379)], 0),
        ("rediss+cluster://a", Kind.CLUSTER, [("a", 6379)], 0),
    ],
)
def test_hosts_and_database_of_a_url(url, kind, expected, database):
    location = parse(url)

    assert (location.kind, hosts(url), location.database) == (kind, expected, database)
    assert (location.tls is not None) == url.startswith(("rediss", "valkeys"))


@pytest.mark.parametrize("scheme", ["unix", "redis+unix"])
def test_socket_of_a_url(scheme):
    location = parse(f"{scheme}://me:secret@/run/redis%20one/redis.sock?db=2")

    assert (location.socket, location.hosts, location.database) == ("/run/redis one/redis.sock", (), 2)
    assert location.login == Login(username="me", password="secret")
    assert location.name == "/run/redis one/redis.sock/2"


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("redis://cache", Login()),
        ("redis://me@cache", Login(username="me")),
        ("redis://:p%40ss@cache", Login(password="p@ss")),
        ("redis://me:p%3Ass@cache", Login(username="me", password="p:ss")),
    ],
)
def test_login_of_a_url(url, expected):
    assert parse(url).login == expected


def test_sentinels_have_a_login_of_their_own():
    location = parse("redis+sentinel://me:one@a/jobs?sentinel_username=you&sentinel_password=two")

    assert location.service == "jobs"
    assert location.login == Login(username="me", password="one")
    assert location.sentinel_login == Login(username="you", password="two")


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("redis://me:secret@cache.example:6380/3?prefix=x", "cache.example:6380/3"),
        ("redis://me:secret@[::1]", "[::1]:6379/0"),
        ("redis+sentinel://:secret@a,b/jobs", "a:26379,b:26379/jobs/0"),
    ],
)
def test_name_says_server_and_database_only(url, name):
    assert parse(url).name == name


def test_defaults_and_options():
    usual = parse("redis://cache")
    told = parse(
        "redis://cache?prefix=shop:jobs&pool=3&timeout=2.5&connect_timeout=1&notify=off&allow_eviction=true"
        "&client_name=mine"
    )

    assert (usual.prefix, usual.pool, usual.timeout, usual.connect_within) == ("headrace", 10, 30.0, 10.0)
    assert (usual.notify, usual.allow_eviction, usual.client_name) == (True, False, "headrace")
    assert (told.prefix, told.pool, told.timeout, told.connect_within) == ("shop:jobs", 3, 2.5, 1.0)
    assert (told.notify, told.allow_eviction, told.client_name) == (False, True, "mine")


def test_certificates_are_checked_unless_told_otherwise():
    assert parse("rediss://cache").tls == Tls()
    assert Tls().cert_reqs == "required"
    assert Tls().check_hostname
    assert parse("rediss://cache?ssl_cert_reqs=none").tls == Tls(cert_reqs="none", check_hostname=False)
    assert parse(
        "rediss://cache?ssl_ca_certs=/ca.pem&ssl_certfile=/me.pem&ssl_keyfile=/me.key&ssl_check_hostname=false"
    ).tls == Tls(ca_certs="/ca.pem", certfile="/me.pem", keyfile="/me.key", check_hostname=False)


@pytest.mark.parametrize("url", ["redis:", "redis://", "redis:///", "redis:?prefix=x"])
def test_url_without_a_host_is_the_server_of_the_environment(url):
    there = {
        "REDIS_HOST": "cache", "REDIS_PORT": "6380", "REDIS_USERNAME": "me", "REDIS_PASSWORD": "p@ss",
        "REDIS_DB": "4",
    }  # fmt: skip

    told, usual = parse(url, there), parse(url, {})

    assert (told.name, told.login) == ("cache:6380/4", Login(username="me", password="p@ss"))
    assert (usual.name, usual.login) == ("localhost:6379/0", Login())


def test_encrypted_url_without_a_host_is_the_server_of_the_environment():
    location = parse("rediss://", {"REDIS_HOST": "cache"})

    assert (location.name, location.tls) == ("cache:6379/0", Tls())


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("http://cache", "no URL of a Redis or Valkey server"),
        ("redis:/3", "names no host"),
        ("redis+cluster://", "names no host"),
        ("redis://cache?prefx=x", "did you mean prefix?"),
        ("redis://cache?xyz=9", "there are allow_eviction, client_name, connect_timeout, db"),
        ("redis://cache?prefix=a{b}", "letters, digits"),
        ("redis://cache?prefix=" + "x" * 65, "up to 64"),
        ("redis://cache?pool=1", "between 2 and 1000"),
        ("redis://cache?timeout=nan", "between 0.1 and 3600"),
        ("redis://cache?notify=maybe", "notify='maybe' is neither on nor off"),
        ("redis://cache?allow_eviction=perhaps", "neither on nor off"),
        ("redis://cache/jobs", "is a number"),
        ("redis://cache?db=-1", "is a number"),
        ("redis://cache:99999", "between 1 and 65535"),
        ("redis://cache:x", "cannot be read"),
        ("redis://[::1", "cannot be read"),
        ("redis://a,b", "redis+sentinel://host,host/service"),
        ("redis+sentinel://a,b", "need the name of a service"),
        ("redis+cluster://a/1", "has the database 0 only"),
        ("redis://cache?sentinel_password=x", "unknown option 'sentinel_password'"),
        ("redis://cache?ssl_ca_certs=/ca.pem", "belongs to rediss:// URLs"),
        ("rediss://cache?ssl_cert_reqs=maybe", "none of none, optional, required"),
        ("rediss://cache?ssl_cert_reqs=none&ssl_check_hostname=true", "needs a certificate that is checked"),
        ("unix://run/redis.sock", "begins with a slash"),
        ("unix://", "names no socket"),
        ("redis://cache?client_name=a+b c", "no blanks"),
    ],
)
def test_url_that_cannot_be_kept_is_refused(url, said):
    with pytest.raises(InvalidInput, match=re.escape(said)) as refused:
        parse(url)

    assert refused.value.field == "url"


@pytest.mark.parametrize("odd", ["hun/ter2", "hun?ter2", "hun#ter2", "hun@ter2", "[hunter2", "hun?t=er2&x=y"])
def test_password_that_is_not_encoded_is_refused_and_never_repeated(odd):
    with pytest.raises(InvalidInput) as refused:
        parse(f"redis://me:{odd}@cache/0")

    shown = f"{refused.value}{refused.value.__cause__}"
    assert all(part not in shown for part in (odd, "hun", "ter2", "er2"))


@pytest.mark.parametrize("scheme", sorted(SCHEMES - {"unix", "redis+unix"}))
def test_password_is_in_no_representation(scheme):
    url = f"{scheme}://me:hunter2@cache/{'jobs' if 'sentinel' in scheme else ''}"
    if "sentinel" in scheme:
        url += "?sentinel_password=hunter2"
    location = parse(url)

    assert isinstance(location, Location)
    assert (
        "hunter2" not in f"{location!r} {location} {location.name} {location.login!r} {without_password(url)}"
    )


async def test_connection_that_is_refused_names_the_server_without_the_password():
    store = await open_store(f"redis://me:hunter2@127.0.0.1:{free_port()}/0?connect_timeout=2")

    with pytest.raises(StoreUnavailable) as refused:
        await store.now()
    await store.close()

    assert "127.0.0.1" in str(refused.value)
    assert "hunter2" not in str(refused.value)


async def test_unix_socket_and_options_reach_the_server(start_valkey):
    server = start_valkey()
    store = await open_store(f"{server.socket_url(db=3)}&client_name=by-socket&prefix=apart")
    await store.migrate()
    await store.now()

    (seen,) = connected_by(server, "by-socket")
    await store.close()

    assert seen["db"] == "3"
    assert "socket" in seen["laddr"] or seen["addr"].startswith("/")
    assert server.run("KEYS", "*", db=3) == [b"apart:schema"]


async def test_stores_with_different_prefixes_do_not_see_each_other(url):
    one, other = await open_store(f"{url}?prefix=one"), await open_store(f"{url}?prefix=other")
    await one.set_paused("default", "mail", paused=True)

    seen = list(await other.queues("default"))
    known = [queue.name for queue in await one.queues("default")]
    await one.close()
    await other.close()

    assert (known, seen) == (["mail"], [])


async def test_driver_that_is_missing_is_named(monkeypatch):
    for name in [name for name in sys.modules if name.startswith("headrace.stores.redis")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "redis", None)  # as Python notes a module that is not there

    with pytest.raises(StoreUnusable, match=r"pip install 'headrace\[redis\]'"):
        await open_store("redis://cache")
