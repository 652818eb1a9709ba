"""``headrace move``."""

import asyncio
import signal
from dataclasses import replace
from pathlib import Path

import pytest

from headrace.stores.protocol import Store
from tests.builders import NAMESPACE, a_hello, a_job, enqueue
from tests.contract.reads import everything
from tests.faces.commands import Commands, running
from tests.moving.scene import opened
from tests.servers.shared import SHARED

MANY = 4_000


@pytest.fixture
def headrace(tmp_path, monkeypatch, capsys):
    monkeypatch.delenv("HEADRACE_URL", raising=False)
    monkeypatch.chdir(tmp_path)
    return Commands(capsys)


@pytest.fixture
def urls(tmp_path: Path) -> tuple[str, str]:
    return f"sqlite:///{tmp_path / 'a.db'}", f"sqlite:///{tmp_path / 'b.db'}"


def with_jobs(url: str, count: int = 3) -> None:
    in_store(url, lambda store: enqueue(store, *(a_job(queue=f"q{n % 2}") for n in range(count))))


def in_store(url: str, work):
    async def run():
        store: Store = await opened(url)
        try:
            return await work(store)
        finally:
            await store.close()

    return asyncio.run(run())


def ids(url: str) -> list[str]:
    return [job.id for job in in_store(url, everything)]


def test_jobs_are_moved_and_counted(headrace, urls):
    source, target = urls
    with_jobs(source)

    ran = headrace("move", "--from", source, "--to", target)

    assert ran.code == 0, ran.err
    assert ["pending", "3", "3"] in ran.rows
    assert "Done." in ran.out
    assert ids(target) == ids(source)


def test_report_can_be_read_by_programs(headrace, urls):
    source, target = urls
    with_jobs(source)

    ran = headrace("move", "--from", source, "--to", target, "--json")

    assert ran.code == 0
    assert (ran.json["verified"], ran.json["moved"], ran.json["differences"]) == (True, 3, [])
    assert [(one["queue"], one["source"], one["target"]) for one in ran.json["counts"]] == [
        ("q0", 2, 2),
        ("q1", 1, 1),
    ]


def test_plan_changes_nothing(headrace, urls, tmp_path):
    source, target = urls
    with_jobs(source)

    ran = headrace("move", "--from", source, "--to", target, "--plan")

    assert ran.code == 0
    assert ["q0", "echo", "pending", "2"] in ran.rows
    assert "Stays behind: the contents of stored files" in ran.out
    assert not (tmp_path / "b.db").exists()
    assert in_store(source, lambda store: store.scan(NAMESPACE, "")) == []


def test_a_store_that_is_not_there_is_not_made(headrace, urls, tmp_path):
    source, target = urls

    ran = headrace("move", "--from", source, "--to", target)

    assert ran.code == 3
    assert list(tmp_path.glob("*.db")) == []


def test_one_url_twice_is_wrong_usage(headrace, urls):
    assert headrace("move", "--from", urls[0], "--to", urls[0]).code == 2


def test_a_refusal_says_what_is_in_the_way(headrace, urls):
    source, target = urls
    with_jobs(source)
    with_jobs(target)

    ran = headrace("move", "--from", source, "--to", target)

    assert ran.code == 1
    assert "already has 3 jobs" in ran.err


def test_a_difference_ends_with_1_and_names_the_job(headrace, urls):
    source, target = urls
    with_jobs(source)
    headrace("move", "--from", source, "--to", target)
    stranger = a_job(unique=None)
    held = a_job()
    in_store(source, lambda store: enqueue(store, _holding(held)))
    in_store(target, lambda store: enqueue(store, _holding(stranger)))

    ran = headrace("move", "--from", source, "--to", target)

    assert ran.code == 1
    assert held.facts.id in ran.out


def _holding(new):
    return replace(
        new, placement=replace(new.placement, unique_lock="k"), facts=replace(new.facts, unique_key="k")
    )


def test_tables_are_made_and_no_password_is_shown(headrace, urls, tmp_path):
    source, _ = urls
    with_jobs(source)
    folder = tmp_path / "server"
    folder.mkdir()
    url = SHARED.url(folder)
    secret = url.replace("://postgres@", "://postgres:hunter2@")

    there = headrace("move", "--from", source, "--to", secret)
    in_store(secret, lambda store: store.hello(a_hello(seen_at=2**50)))
    back = headrace("move", "--from", secret, "--to", f"sqlite:///{tmp_path / 'c.db'}")
    plan = headrace("move", "--from", secret, "--to", source, "--plan")

    assert (there.code, back.code, plan.code) == (0, 1, 0)
    assert "worker-1" in back.err
    told = "".join(ran.out + ran.err for ran in (there, back, plan))
    assert "hunter2" not in told
    assert ids(url) == ids(source)


@pytest.mark.crash
@pytest.mark.parametrize("place", ["file", "server"])
def test_a_killed_move_ends_the_same_when_it_is_run_again(headrace, urls, tmp_path, place):
    source, target = urls
    if place == "server":
        folder = tmp_path / "server"
        folder.mkdir()
        target = SHARED.url(folder)
    with_jobs(source, MANY)
    with running("move", "--from", source, "--to", target, cwd=tmp_path) as process:
        for _ in range(4):
            process.line_with(f" of {MANY}")
        process.send(signal.SIGKILL)
        process.ended()
        process.until_closed()
    half = len(ids(target))

    ran = headrace("move", "--from", source, "--to", target, "--json")

    assert 0 < half < MANY
    assert ran.code == 0, ran.out
    assert 0 < ran.json["moved"] < MANY
    assert (ran.json["compared"], ran.json["outOfOrder"]) == (MANY, 0)
    assert ids(target) == ids(source)
    in_store(target, _resumed)


async def _resumed(store: Store) -> None:
    assert {one.name: one.paused for one in await store.queues(NAMESPACE)} == {"q0": False, "q1": False}


def test_two_movers_at_once_cannot_both_run(headrace, urls, tmp_path):
    source, target = urls
    with_jobs(source, MANY)
    with running("move", "--from", source, "--to", target, cwd=tmp_path) as process:
        process.line_with("jobs ")
        ran = headrace("move", "--from", source, "--to", target)
        process.until_closed()
        first = process.ended()

    assert first == 0
    assert (ran.code, "moving these jobs right now" in ran.err) == (1, True) or "Moved before" in ran.out
    assert ids(target) == ids(source)
