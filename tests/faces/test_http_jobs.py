"""Listing, filtering, paging; history and log; queues and workers."""

import pytest

from headrace.stores.protocol import LogLine
from tests.builders import a_failure, a_hello, note
from tests.faces.service import problem_of

UNKNOWN = "0199b0c4-8a00-7c3e-9f5b-0d6c5b7d2a11"


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ("", 3),
        ("type=echo", 1),
        ("type=echo&type=send-email", 3),
        ("queue=default", 2),
        ("tag=red", 1),
        ("batchId=b1", 1),
        ("uniqueKey=k", 1),
        ("status=pending", 3),
        ("status=completed&status=pending", 3),
        ("status=completed", 0),
        ("status=pending&queue=other&type=echo", 1),
        ("queue=other&tag=red", 0),
        ("limit=2", 2),
    ],
)
async def test_filters_must_all_fit(service, query, count):
    await service.enqueued(tags=["red"], uniqueKey="k")
    await service.enqueued(batchId="b1")
    await service.enqueued("echo")

    body = (await service.client.get(f"/jobs?{query}")).json()

    assert (body["count"], len(body["jobs"])) == (count, count)


async def test_pages_show_each_job_once(service):
    job_ids = [await service.enqueued() for _ in range(5)]

    seen, path = [], "/jobs?limit=2"
    for _ in range(3):
        body = (await service.client.get(path)).json()
        seen += [job["id"] for job in body["jobs"]]
        path = f"/jobs?limit=2&cursor={body['nextCursor']}"

    assert seen == job_ids[::-1]
    assert body["nextCursor"] is None


@pytest.mark.parametrize(
    ("query", "pointer"),
    [
        ("status=done", "#/status"),
        ("limit=0", "#/limit"),
        ("limit=1001", "#/limit"),
        ("limit=many", "#/limit"),
        ("cursor=x", "#/cursor"),
        ("cursor=WyJhIl0", "#/cursor"),
        ("queu=default", "#/queu"),
    ],
)
async def test_query_that_cannot_be_accepted_is_named(service, query, pointer):
    problem = problem_of(await service.client.get(f"/jobs?{query}"), 422)

    assert problem["errors"][0]["pointer"] == pointer


@pytest.mark.parametrize("job_id", [UNKNOWN, "x", "%00", "..", "0199B0C4", "%F0%9F%92%A5", "a" * 5000])
@pytest.mark.parametrize(
    ("method", "suffix"),
    [("GET", ""), ("DELETE", ""), ("POST", "/retry"), ("GET", "/history"), ("GET", "/log")],
)
async def test_unknown_job_is_not_found(service, method, suffix, job_id):
    answer = await service.client.request(method, f"/jobs/{job_id}{suffix}")

    assert problem_of(answer, 404)["code"] in {"job-not-found", "not-found"}


async def test_history_shows_each_attempt(service):
    job_id = await service.enqueued(maxAttempts=2)
    await service.settled(a_failure("first"))
    service.clock.advance(10_000)
    await service.settled()

    body = (await service.client.get(f"/jobs/{job_id}/history")).json()

    assert body["success"] is True
    assert [one["outcome"] for one in body["attempts"]] == ["errored", "succeeded"]
    assert body["attempts"][0]["error"]["message"] == "first"
    assert body["attempts"][0]["startedAt"] == "2026-01-01T00:00:00Z"
    assert body["folded"] == {}


async def test_log_shows_lines_in_order(service):
    job_id = await service.enqueued()
    job = await service.claimed()
    now = service.clock.now()
    lines = (
        LogLine(at=now, level="info", message="one", data='{"n":1}'),
        LogLine(at=now + 1, level="error", message="\x1b[31mtwo"),
    )
    await note(service.store, job, lines=lines)

    body = (await service.client.get(f"/jobs/{job_id}/log")).json()

    assert body == {
        "success": True,
        "count": 2,
        "lines": [
            {"at": "2026-01-01T00:00:00Z", "level": "info", "message": "one", "data": {"n": 1}},
            {"at": "2026-01-01T00:00:00.001Z", "level": "error", "message": "\x1b[31mtwo", "data": None},
        ],
    }


async def test_queues_show_depth_and_pause(service):
    await service.enqueued()
    paused = await service.client.post("/queues/default/pause")

    (queue,) = [
        one for one in (await service.client.get("/queues")).json()["queues"] if one["name"] == "default"
    ]

    assert paused.json() == {"success": True, "message": "Queue paused"}
    assert (queue["paused"], queue["counts"]["pending"]) == (True, 1)
    assert set(queue["counts"]) == {"blocked", "pending", "processing", "completed", "failed", "cancelled"}


async def test_paused_queue_takes_jobs_and_resumes(service):
    await service.client.post("/queues/default/pause")
    await service.enqueued()
    resumed = await service.client.post("/queues/default/resume")

    assert resumed.json() == {"success": True, "message": "Queue resumed"}
    assert (await service.claimed()).facts.type == "send-email"


@pytest.mark.parametrize("verb", ["pause", "resume"])
async def test_queue_name_must_be_a_name(service, verb):
    problem_of(await service.client.post(f"/queues/no%20spaces/{verb}"), 422)


async def test_workers_are_shown_as_they_said_hello(service):
    await service.store.hello(a_hello("w1", seen_at=service.clock.now()))

    body = (await service.client.get("/workers")).json()

    assert (body["success"], body["count"]) == (True, 1)
    (worker,) = body["workers"]
    assert (worker["id"], worker["queues"], worker["seenAt"]) == ("w1", None, "2026-01-01T00:00:00Z")


@pytest.mark.parametrize(
    "path", ["/jobs", "/stats", "/health", "/job-types", "/queues", "/workers", "/openapi.json"]
)
async def test_reading_changes_nothing(service, path):
    await service.enqueued()
    before = await service.client.get("/jobs")

    await service.client.get(path)

    assert (await service.client.get("/jobs")).content == before.content
