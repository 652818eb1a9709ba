from contextlib import closing
from urllib.parse import urlsplit

import pytest

from tests.servers import shared_valkey, valkey_binaries
from tests.servers.shared_valkey import SHARED_VALKEY, SharedValkey, Worker
from tests.servers.valkey import client_of


@pytest.fixture
def elsewhere(start_valkey, monkeypatch) -> str:
    """The URL of a server that the environment names, with three databases for this worker alone."""
    server = start_valkey(settings={"databases": "4"})
    monkeypatch.setenv(shared_valkey.ELSEWHERE, server.url())
    monkeypatch.setenv("PYTEST_XDIST_WORKER", "gw0")
    monkeypatch.setenv("PYTEST_XDIST_WORKER_COUNT", "1")
    return server.url()


def test_each_url_is_an_empty_database_of_its_own():
    one, other = SHARED_VALKEY.fresh_url(), SHARED_VALKEY.fresh_url()

    with closing(client_of(one)) as client:
        client.set("kept", "1")

    with closing(client_of(other)) as client:
        assert client.dbsize() == 0
    assert one != other


def test_databases_are_emptied_and_taken_back(elsewhere):
    shared = SharedValkey()
    url = shared.fresh_url()
    with closing(client_of(url)) as client:
        client.set("kept", "1")

        shared.drop()

        assert client.dbsize() == 0
    assert url in [shared.fresh_url() for _ in range(3)]


def test_server_of_a_named_program_is_started_whatever_the_environment_says(elsewhere):
    shared = SharedValkey(valkey_binaries.bundled())

    try:
        assert urlsplit(shared.fresh_url()).port != urlsplit(elsewhere).port
    finally:
        shared.close()


def test_first_database_of_another_server_is_left_alone(elsewhere):
    with closing(client_of(elsewhere)) as client:
        client.set("kept", "1")
        shared = SharedValkey()

        urls = [shared.fresh_url() for _ in range(3)]
        with pytest.raises(LookupError, match="raise its setting"):
            shared.fresh_url()
        shared.drop()

        assert client.dbsize() == 1
    assert elsewhere not in urls


def test_another_server_need_not_tell_how_many_databases_it_has(elsewhere):
    with closing(client_of(elsewhere)) as client:
        client.acl_setuser("default", commands=["-config"], enabled=True)

        assert SharedValkey().fresh_url().endswith("/1")


def test_workers_have_different_databases():
    shares = [Worker(number=number, count=3).share(16) for number in range(3)]

    assert sorted(number for share in shares for number in share) == list(range(1, 16))


def test_worker_is_known_by_the_environment(monkeypatch):
    monkeypatch.setenv("PYTEST_XDIST_WORKER", "gw2")
    monkeypatch.setenv("PYTEST_XDIST_WORKER_COUNT", "4")
    assert Worker.this() == Worker(number=2, count=4)

    monkeypatch.delenv("PYTEST_XDIST_WORKER")
    monkeypatch.delenv("PYTEST_XDIST_WORKER_COUNT")
    assert Worker.this() == Worker(number=0, count=1)
