"""How fast jobs are taken in over HTTP."""

import json
import socket
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from bench.ours.commands import APP
from bench.processes import BrokenRunError, Command, Started, ask, ours, script, started
from bench.scenario import Contender, Figures, Goal, Run, Scenario, Side, figure, ratio

JOB = {"type": "noop", "payload": {"n": 1}}
BULK_SIZE = 500
PACED = "serve without worker, 1,000/s paced"
PACED_WORKER = "serve with worker, 1,000/s paced"
FLAT = "serve without worker, flat out"
FLAT_WORKER = "serve with worker, flat out"
FASTAPI = "FastAPI alone, flat out"
BARE = "uvicorn alone, flat out"
BULK = f"serve without worker, {BULK_SIZE} jobs a call"


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What the client does: ``rate`` 0 means as fast as it is answered."""

    connections: int
    rate: int = 0
    path: str = "/jobs"
    jobs: int = 1

    def of(self, run: Run, port: int) -> Figures:
        """Warms the service up, then measures."""
        body = run.space.disk / "body.json"
        body.write_text(json.dumps(JOB if self.jobs == 1 else [JOB] * self.jobs), encoding="utf-8")
        for seconds in (1, run.size(6, 3)):
            command = ours("bench.http_client", port, self.path, body, self.connections, seconds, self.rate)
            found = ask(run, command)
        return {"jobs/s": found.pop("req/s") * self.jobs, **found}


PACE = Load(connections=16, rate=1000)
FULL = Load(connections=32)
LISTS = Load(connections=4, path="/jobs/bulk", jobs=BULK_SIZE)


def headrace(run: Run, load: Load, *, worker: bool) -> Figures:
    """``headrace serve`` on a fresh file."""
    port = _free_port()
    command = [script("headrace"), "serve", "--app", APP, "--port", str(port)]
    with _serving(run, command if worker else [*command, "--no-worker"], port) as those:
        found = load.of(run, port)
        return {**found, "MB": those[0].pss_mb()}


def framework(run: Run, app: str) -> Figures:
    """A service that stores nothing."""
    port = _free_port()
    command = [sys.executable, "-m", "uvicorn", f"bench.limits.http_apps:{app}", "--port", str(port)]
    with _serving(run, [*command, "--log-level", "error", "--no-access-log"], port) as those:
        found = FULL.of(run, port)
        return {**found, "MB": those[0].pss_mb()}


@contextmanager
def _serving(run: Run, command: Command, port: int) -> Iterator[list[Started]]:
    with started(run, command) as those:
        until = time.monotonic() + 20
        while not _answers(port):
            if time.monotonic() > until or not those[0].alive:
                raise BrokenRunError(f"the service did not start:\n{those[0].told()}")
            time.sleep(0.05)
        yield those


def _answers(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=2):
            return True
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def _contender(name: str, load: Load, *, worker: bool) -> Contender:
    return Contender(name=name, side=Side.OURS, run=lambda run: headrace(run, load, worker=worker))


SCENARIO = Scenario(
    name="http",
    question="How fast does the service take in jobs?",
    method=(
        "`POST /jobs` to one `headrace serve` process on loopback; an answer means the job is durable "
        "(synchronous=FULL). Paced: 16 connections share 1,000 requests/s at fixed instants. Flat out: 32 "
        "connections, each sends as soon as it is answered. Bulk: 4 "
        "connections. The client is a process of its own on the same cores. After a warm-up of 1 s."
    ),
    contenders=(
        _contender(PACED, PACE, worker=False),
        _contender(PACED_WORKER, PACE, worker=True),
        _contender(FLAT, FULL, worker=False),
        Contender(name=FASTAPI, side=Side.LIMIT, run=lambda run: framework(run, "fastapi")),
        _contender(FLAT_WORKER, FULL, worker=True),
        _contender(BULK, LISTS, worker=False),
        Contender(name=BARE, side=Side.LIMIT, run=lambda run: framework(run, "bare")),
    ),
    goals=(
        Goal(text="p95 at 1,000/s, ms", value=figure(PACED, "p95 ms"), at_most=10, must=True),
        Goal(text="p95 at 1,000/s with the worker, ms", value=figure(PACED_WORKER, "p95 ms"), at_most=10),
        Goal(text="flat out, jobs/s", value=figure(FLAT, "jobs/s"), at_least=4_000, form="{:,.0f}"),
        Goal(text="flat out with the worker, jobs/s", value=figure(FLAT_WORKER, "jobs/s"), form="{:,.0f}"),
        Goal(text="in bulk, jobs/s", value=figure(BULK, "jobs/s"), at_least=40_000, form="{:,.0f}"),
        Goal(text="share of FastAPI without a store", value=ratio("jobs/s", FLAT, FASTAPI)),
        Goal(text="share of uvicorn without a framework", value=ratio("jobs/s", FLAT, BARE)),
    ),
)
