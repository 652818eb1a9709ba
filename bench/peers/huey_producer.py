"""Enqueues with huey: ``huey_producer fill|one|lat N``. It runs in huey's environment."""

import json
import os
import random
import sys
import time
from pathlib import Path

from bench import probe
from bench.peers.huey_jobs import noop, stamp


def one(count: int) -> dict[str, float]:
    """One job after the other."""
    noop(-1)
    start = time.monotonic()
    for number in range(count):
        noop(number)
    return {"jobs/s": count / (time.monotonic() - start)}


def fill(count: int) -> dict[str, float]:
    """Puts exactly ``count`` jobs into the file."""
    for number in range(count):
        noop(number)
    return {}


def lat(count: int) -> dict[str, float]:
    """One job at a time; the pause is longer than the consumer's poll, so samples fall anywhere in it."""
    folder = Path(os.environ[probe.FOLDER])
    calls, before = [], probe.count(folder)
    for number in range(count):
        start = time.monotonic()
        stamp(start)
        calls.append((time.monotonic() - start) * 1000)
        while probe.count(folder) <= before + number:
            if time.monotonic() - start > 20:
                raise SystemExit("a job was not picked up within 20 s")
            time.sleep(0.002)
        time.sleep(random.uniform(0.005, 0.3))
    return {"call ms": sorted(calls)[len(calls) // 2]}


if __name__ == "__main__":
    found = {"fill": fill, "one": one, "lat": lat}[sys.argv[1]](int(sys.argv[2]))
    print("RESULT " + json.dumps(found), flush=True)
