# ruff: noqa: INP001, T201 - a script that prints
"""Checks a running service from outside.

    python tools/check_http.py http://127.0.0.1:8787

Every body of the plain job API is compared with its documented shape. Prints what differs and exits
with 1; exits with 0 when nothing does. It enqueues a few jobs of a type that has no effect outside
(--type and --payload name another one).
"""

import argparse
import json
import re
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
ISO = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")
PERCENT = re.compile(r"\d+\.\d\d%")
WORDS = ("pending", "processing", "completed", "failed")
UNKNOWN_ID = "550e8400-e29b-41d4-a716-446655440000"


@dataclass
class Answer:
    """What the service answered; ``body`` is parsed if it is JSON."""

    status: int
    kind: str
    body: Any


@dataclass
class Check:
    """The service under check, and what was found to differ."""

    url: str
    job_type: str
    payload: dict[str, Any]
    patience: float
    differences: list[str] = field(default_factory=list)
    checked: int = 0

    def ask(
        self, method: str, path: str, body: object = None, raw: bytes | None = None, **headers: str
    ) -> Answer:
        """Sends one request. ``raw`` is sent as it is."""
        data = raw if raw is not None or body is None else json.dumps(body).encode()
        given = {"Content-Type": "application/json"} if data is not None else {}
        request = urllib.request.Request(self.url + path, data=data, method=method, headers=given | headers)  # noqa: S310 - the URL is the operator's
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310 - as above
                return _answer(answer.status, answer.headers, answer.read())
        except urllib.error.HTTPError as error:
            return _answer(error.code, error.headers, error.read())

    def that(self, what: str, holds: object, found: object = None) -> None:
        """Notes a difference unless it holds."""
        self.checked += 1
        if not holds:
            shown = "" if found is None else f": {json.dumps(found)[:300]}"
            self.differences.append(f"{what}{shown}")

    def equal(self, what: str, expected: object, found: object) -> None:
        """Notes a difference unless both are the same."""
        self.that(
            f"{what}: expected {json.dumps(expected)}, found {json.dumps(found)[:300]}", expected == found
        )

    def enqueue(self, **fields: object) -> str:
        """Enqueues a job and checks the answer's shape; its id."""
        body = {"type": self.job_type, "payload": self.payload, "priority": 5, "maxAttempts": 3} | fields
        answer = self.ask("POST", "/jobs", body)
        job_id = str(answer.body.get("jobId"))
        expected = {"success": True, "jobId": job_id, "message": "Job enqueued successfully"}
        self.equal("POST /jobs body", expected, answer.body)
        self.equal("POST /jobs status", 201, answer.status)
        self.that("POST /jobs jobId is a UUID", UUID.fullmatch(job_id), job_id)
        return job_id


def _answer(status: int, headers: Any, body: bytes) -> Answer:  # noqa: ANN401 - an HTTPMessage
    kind = headers.get_content_type()
    return Answer(status, kind, json.loads(body) if "json" in kind else body.decode(errors="replace"))


def check_health(check: Check) -> None:
    """Three keys first; more may follow."""
    answer = check.ask("GET", "/health")
    check.equal("GET /health status", 200, answer.status)
    check.equal("GET /health first keys", ["status", "service", "timestamp"], list(answer.body)[:3])
    check.equal("GET /health status word", "ok", answer.body.get("status"))
    check.equal("GET /health service", "queue", answer.body.get("service"))
    check.that(
        "GET /health timestamp is ISO with Z", ISO.fullmatch(str(answer.body.get("timestamp"))), answer.body
    )


def check_stats(check: Check) -> None:
    """Counts by the four words, and rates as texts."""
    answer = check.ask("GET", "/stats")
    check.equal("GET /stats keys", ["success", "stats"], list(answer.body))
    stats = answer.body["stats"]
    check.equal("GET /stats stats keys", ["total", *WORDS, "completionRate", "failureRate"], list(stats))
    check.equal("GET /stats total is the sum", stats["total"], sum(stats[word] for word in WORDS))
    for name, word in (("completionRate", "completed"), ("failureRate", "failed")):
        share = 100 * stats[word] / stats["total"] if stats["total"] else 0
        check.that(f"GET /stats {name} form", PERCENT.fullmatch(str(stats[name])), stats[name])
        check.equal(f"GET /stats {name}", f"{share:.2f}%", stats[name])


def check_waiting_job(check: Check) -> None:
    """A job before its time: shown, listed, cancelled, retried."""
    job_id = check.enqueue(delay=3600)
    job = shown_job(check, job_id)
    check.equal(
        "waiting job",
        ("pending", 0, None, None),
        tuple(job[key] for key in ("status", "attempts", "result", "completedAt")),
    )
    check.equal("waiting job maxAttempts", 3, job["maxAttempts"])
    listed = check.ask("GET", "/jobs?status=pending&limit=50")
    check.that("GET /jobs lists the newest first", job_id in [one["id"] for one in listed.body["jobs"]])
    check.equal("retry of a live job", 409, check.ask("POST", f"/jobs/{job_id}/retry").status)
    cancelled = check.ask("DELETE", f"/jobs/{job_id}")
    check.equal(
        "DELETE /jobs/:id",
        (200, {"success": True, "message": "Job cancelled"}),
        (cancelled.status, cancelled.body),
    )
    job = shown_job(check, job_id)
    check.equal("cancelled job", ("failed", "cancelled"), (job["status"], job["error"]))
    check.equal("cancel of an ended job", 409, check.ask("DELETE", f"/jobs/{job_id}").status)
    retried = check.ask("POST", f"/jobs/{job_id}/retry")
    check.equal(
        "POST /jobs/:id/retry",
        (200, {"success": True, "message": "Job retry queued"}),
        (retried.status, retried.body),
    )


def check_list(check: Check) -> None:
    """Filter, limit and count."""
    answer = check.ask("GET", "/jobs?status=failed&limit=50")
    check.that("GET /jobs keys", {"success", "count", "jobs"} <= answer.body.keys(), list(answer.body))
    check.equal("GET /jobs count", len(answer.body["jobs"]), answer.body["count"])
    check.that(
        "GET /jobs?status=failed shows failed jobs only",
        {one["status"] for one in answer.body["jobs"]} <= {"failed"},
    )
    check.that("GET /jobs?limit=1", len(check.ask("GET", "/jobs?limit=1").body["jobs"]) <= 1)


def check_completed_job(check: Check) -> None:
    """A job that a worker ran."""
    job_id = check.enqueue()
    job = _when_ended(check, job_id)
    check.equal("completed job", ("completed", 1), (job["status"], job["attempts"]))
    check.that("completed job completedAt", ISO.fullmatch(str(job["completedAt"])), job["completedAt"])
    check.that("completed job result", job["result"] is not None, job["result"])
    check.equal("retry of a completed job", 409, check.ask("POST", f"/jobs/{job_id}/retry").status)


def check_refusals(check: Check) -> None:
    """What must be refused, and how that looks."""
    good = {"type": check.job_type, "payload": check.payload}
    cases = [
        ("unknown job", 404, check.ask("GET", f"/jobs/{UNKNOWN_ID}")),
        ("unknown path", 404, check.ask("GET", "/nowhere")),
        ("unknown type", 422, check.ask("POST", "/jobs", {"type": "no-such-type", "payload": {}})),
        ("unknown field", 422, check.ask("POST", "/jobs", good | {"prority": 1})),
        ("wrong priority", 422, check.ask("POST", "/jobs", good | {"priority": "urgent"})),
        ("unknown status", 422, check.ask("GET", "/jobs?status=done")),
        ("malformed JSON", 400, check.ask("POST", "/jobs", raw=b'{"type":')),
        ("NaN", 400, check.ask("POST", "/jobs", raw=b'{"type":"x","payload":{"a":NaN}}')),
        ("plain text", 415, check.ask("POST", "/jobs", raw=b"{}", **{"Content-Type": "text/plain"})),
        ("foreign host", 421, check.ask("GET", "/health", Host="evil.example")),
        ("foreign origin", 403, check.ask("POST", "/jobs", good, Origin="https://evil.example")),
    ]
    for what, status, answer in cases:
        check.equal(f"{what}: status", status, answer.status)
        check.equal(f"{what}: content type", "application/problem+json", answer.kind)
        if isinstance(answer.body, dict):
            check.equal(f"{what}: status in the body", status, answer.body.get("status"))
            check.that(f"{what}: success is false", answer.body.get("success") is False, answer.body)
            check.that(f"{what}: error", answer.body.get("error"), answer.body)


def check_repeats(check: Check) -> None:
    """One Idempotency-Key, sent again with the same and with another body."""
    key = f'"check-{time.time_ns()}"'
    body = {"type": check.job_type, "payload": check.payload, "delay": 3600}
    first = check.ask("POST", "/jobs", body, **{"Idempotency-Key": key})
    again = check.ask("POST", "/jobs", body, **{"Idempotency-Key": key})
    other = check.ask("POST", "/jobs", body | {"priority": 9}, **{"Idempotency-Key": key})
    check.equal("same Idempotency-Key", (201, 200, 422), (first.status, again.status, other.status))
    check.equal("same Idempotency-Key: same job", first.body.get("jobId"), again.body.get("jobId"))
    check.ask("DELETE", f"/jobs/{first.body.get('jobId')}")


def shown_job(check: Check, job_id: str) -> dict[str, Any]:
    """A job, once its shape is checked."""
    answer = check.ask("GET", f"/jobs/{job_id}")
    check.equal("GET /jobs/:id keys", ["success", "job"], list(answer.body))
    job: dict[str, Any] = answer.body["job"]
    wanted = {"id", "type", "status", "attempts", "maxAttempts", "result", "createdAt", "completedAt"}
    check.equal("GET /jobs/:id missing keys", [], sorted(wanted - job.keys()))
    check.equal("GET /jobs/:id id", job_id, job["id"])
    check.that("GET /jobs/:id status", job["status"] in WORDS, job["status"])
    check.that("GET /jobs/:id createdAt", ISO.fullmatch(str(job["createdAt"])), job["createdAt"])
    return job


def _when_ended(check: Check, job_id: str) -> dict[str, Any]:
    give_up = time.monotonic() + check.patience
    while True:
        job = shown_job(check, job_id)
        if job["status"] in {"completed", "failed"} or time.monotonic() > give_up:
            return job
        time.sleep(0.05)


CHECKS: tuple[Callable[[Check], None], ...] = (
    check_health,
    check_stats,
    check_waiting_job,
    check_completed_job,
    check_repeats,
    check_list,
    check_refusals,
    check_stats,
)


def main() -> int:
    """Runs all checks and prints what differs."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("url", nargs="?", default="http://127.0.0.1:8787")
    parser.add_argument("--type", default="batch-import")
    parser.add_argument(
        "--payload", type=json.loads, default={"items": [{"name": "one"}], "namespace": "check"}
    )
    parser.add_argument("--patience", type=float, default=30.0, help="seconds a job may take to end")
    given = parser.parse_args()
    check = Check(given.url.rstrip("/"), given.type, given.payload, given.patience)
    for one in CHECKS:
        try:
            one(check)
        except (urllib.error.URLError, OSError, KeyError, TypeError, AttributeError, ValueError) as error:
            check.differences.append(f"{one.__name__} could not go on: {error!r}")
    for difference in check.differences:
        print(f"differs: {difference}", file=sys.stderr)
    print(f"{check.checked} checks, {len(check.differences)} differences")
    return 1 if check.differences else 0


if __name__ == "__main__":
    sys.exit(main())
