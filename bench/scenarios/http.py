"""How fast jobs are taken in over HTTP."""

import json
import socket
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager

from bench.ours.commands import APP
from bench.processes import BrokenRunError, Command, Started, ask, ours, script, started
from bench.scenario import Contender, Figures, Goal, Run, Scenario, Side, figure, ratio

BODY = json.dumps({"type": "noop", "data": {"n": 1}})
PACED = "serve without worker, 1,000/s paced"
PACED_WORKER = "serve with worker, 1,000/s paced"
FLAT = "serve without worker, flat out"
FLAT_WORKER = "serve with worker, flat out"
FASTAPI = "FastAPI alone, flat out"
BARE = "uvicorn alone, flat out"


def headrace(run: Run, *, paced: bool, worker: bool) -> Figures:
    """``headrace serve`` on a fresh file."""
    port = _free_port()
    command = [script("headrace"), "serve", "--app", APP, "--port", str(port)]
    with _serving(run, command if worker else [*command, "--no-worker"], port) as those:
        found = _load(run, port, paced=paced)
        return {**found, "MB": those[0].pss_mb()}


def framework(run: Run, app: str) -> Figures:
    """A service that stores nothing."""
    port = _free_port()
    command = [sys.executable, "-m", "uvicorn", f"bench.limits.http_apps:{app}", "--port", str(port)]
    with _serving(run, [*command, "--log-level", "error", "--no-access-log"], port) as those:
        found = _load(run, port, paced=False)
        return {**found, "MB": those[0].pss_mb()}


def _load(run: Run, port: int, *, paced: bool) -> Figures:
    seconds = run.size(6, 3)
    connections, rate = (16, 1000) if paced else (32, 0)
    _client(run, port, connections, 1, rate)
    return _client(run, port, connections, seconds, rate)


def _client(run: Run, port: int, connections: int, seconds: int, rate: int) -> Figures:
    return ask(run, ours("bench.http_client", port, "/jobs", BODY, connections, seconds, rate))


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


def _contender(name: str, *, paced: bool, worker: bool) -> Contender:
    return Contender(name=name, side=Side.OURS, run=lambda run: headrace(run, paced=paced, worker=worker))


SCENARIO = Scenario(
    name="http",
    question="How fast does the service take in jobs?",
    method=(
        "`POST /jobs` to one `headrace serve` process on loopback; an answer means the job is durable "
        "(synchronous=FULL). Paced: 16 connections share 1,000 requests/s at fixed instants. Flat out: 32 "
        "connections, each sends as soon as it is answered. The client is a process of its own on the same "
        "cores. After a warm-up of 1 s."
    ),
    contenders=(
        _contender(PACED, paced=True, worker=False),
        _contender(PACED_WORKER, paced=True, worker=True),
        _contender(FLAT, paced=False, worker=False),
        Contender(name=FASTAPI, side=Side.LIMIT, run=lambda run: framework(run, "fastapi")),
        _contender(FLAT_WORKER, paced=False, worker=True),
        Contender(name=BARE, side=Side.LIMIT, run=lambda run: framework(run, "bare")),
    ),
    goals=(
        Goal(text="p95 at 1,000/s, ms", value=figure(PACED, "p95 ms"), at_most=10, must=True),
        Goal(text="p95 at 1,000/s with the worker, ms", value=figure(PACED_WORKER, "p95 ms"), at_most=10),
        Goal(text="flat out, jobs/s", value=figure(FLAT, "req/s"), at_least=4_000, form="{:,.0f}"),
        Goal(text="flat out with the worker, jobs/s", value=figure(FLAT_WORKER, "req/s"), form="{:,.0f}"),
        Goal(text="share of FastAPI without a store", value=ratio("req/s", FLAT, FASTAPI)),
        Goal(text="share of uvicorn without a framework", value=ratio("req/s", FLAT, BARE)),
    ),
)
