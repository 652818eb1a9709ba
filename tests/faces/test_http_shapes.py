"""The bodies of the plain job API, literally as documented in docs/guides/http.md."""

import re

import pytest

from headrace.api.views import rate
from tests.builders import a_failure, settle
from tests.faces.service import problem_of

UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


async def test_enqueue_answers_with_the_id(service):
    answer = await service.post(
        {
            "type": "send-email",
            "payload": {"to": "user@example.com", "subject": "Test", "body": "Hello!"},
            "priority": 5,
            "maxAttempts": 3,
        }
    )

    body = answer.json()
    assert answer.status_code == 201
    assert UUID.fullmatch(body["jobId"])
    assert body == {"success": True, "jobId": body["jobId"], "message": "Job enqueued successfully"}
    assert answer.headers["location"] == f"/jobs/{body['jobId']}"


async def test_completed_job_is_shown(service):
    job_id = await service.enqueued(priority=5, maxAttempts=3)
    job = await service.claimed()
    service.clock.advance(5)
    await settle(service.store, job, now=service.clock.now())

    answer = await service.client.get(f"/jobs/{job_id}")

    body = answer.json()
    assert answer.status_code == 200
    assert body["success"] is True
    expected = {
        "id": job_id,
        "type": "send-email",
        "status": "completed",
        "attempts": 1,
        "maxAttempts": 3,
        "result": {"ok": True},
        "createdAt": "2026-01-01T00:00:00Z",
        "completedAt": "2026-01-01T00:00:05Z",
    }
    assert {name: body["job"][name] for name in expected} == expected


async def test_waiting_job_shows_pending_without_result(service):
    job = await service.job(await service.enqueued())

    assert (job["status"], job["attempts"], job["result"], job["completedAt"]) == ("pending", 0, None, None)


async def test_list_counts_what_it_shows(service):
    job_ids = [await service.enqueued() for _ in range(3)]

    body = (await service.client.get("/jobs?status=pending&limit=50")).json()

    assert set(body) == {"success", "count", "jobs", "nextCursor"}
    assert (body["success"], body["count"], body["nextCursor"]) == (True, 3, None)
    assert [job["id"] for job in body["jobs"]] == job_ids[::-1]


async def test_list_of_failed_shows_failed_and_cancelled_only(service):
    failed = await service.enqueued(maxAttempts=1)
    await service.settled(a_failure())
    cancelled = await service.enqueued()
    await service.client.delete(f"/jobs/{cancelled}")
    await service.enqueued()

    body = (await service.client.get("/jobs?status=failed&limit=50")).json()

    assert {job["id"]: job["error"] for job in body["jobs"]} == {failed: "boom", cancelled: "cancelled"}
    assert {job["status"] for job in body["jobs"]} == {"failed"}


async def test_retry_of_failed_job_is_queued(service):
    job_id = await service.enqueued(maxAttempts=1)
    await service.settled(a_failure())

    answer = await service.client.post(f"/jobs/{job_id}/retry")

    assert (answer.status_code, answer.json()) == (200, {"success": True, "message": "Job retry queued"})
    assert (await service.job(job_id))["status"] == "pending"


async def test_retry_of_cancelled_job_is_queued(service):
    job_id = await service.enqueued()
    await service.client.delete(f"/jobs/{job_id}")

    answer = await service.client.post(f"/jobs/{job_id}/retry")

    assert (answer.status_code, answer.json()) == (200, {"success": True, "message": "Job retry queued"})


async def test_cancel_of_waiting_job_ends_it(service):
    job_id = await service.enqueued()

    answer = await service.client.delete(f"/jobs/{job_id}")

    assert (answer.status_code, answer.json()) == (200, {"success": True, "message": "Job cancelled"})
    job = await service.job(job_id)
    assert (job["status"], job["state"], job["error"]) == ("failed", "cancelled", "cancelled")


async def test_cancel_of_running_job_is_requested(service):
    job_id = await service.enqueued()
    await service.claimed()

    answer = await service.client.delete(f"/jobs/{job_id}")

    assert answer.status_code == 202
    assert answer.json() == {"success": True, "message": "Job cancellation requested"}
    job = await service.job(job_id)
    assert (job["status"], job["cancelRequested"]) == ("processing", True)


@pytest.mark.parametrize("settle_it", [True, False])
async def test_cancel_of_ended_job_conflicts(service, settle_it):
    job_id = await service.enqueued()
    if settle_it:
        await service.settled()
    else:
        await service.client.delete(f"/jobs/{job_id}")

    problem = problem_of(await service.client.delete(f"/jobs/{job_id}"), 409)

    assert problem["code"] == "illegal-move"


@pytest.mark.parametrize("complete", [True, False])
async def test_retry_of_live_or_completed_job_conflicts(service, complete):
    job_id = await service.enqueued()
    if complete:
        await service.settled()

    problem = problem_of(await service.client.post(f"/jobs/{job_id}/retry"), 409)

    assert problem["code"] == "illegal-move"


async def test_stats_of_nothing_have_zero_rates(service):
    body = (await service.client.get("/stats")).json()

    assert body == {
        "success": True,
        "stats": {
            "total": 0,
            "pending": 0,
            "processing": 0,
            "completed": 0,
            "failed": 0,
            "completionRate": "0.00%",
            "failureRate": "0.00%",
        },
    }


async def test_stats_project_onto_four_words(service):
    for _ in range(2):
        await service.enqueued()
        await service.settled()
    await service.enqueued(maxAttempts=1)
    await service.settled(a_failure())
    await service.client.delete(f"/jobs/{await service.enqueued()}")
    await service.enqueued()
    await service.claimed()
    await service.enqueued()

    stats = (await service.client.get("/stats")).json()["stats"]

    assert stats == {
        "total": 6,
        "pending": 1,
        "processing": 1,
        "completed": 2,
        "failed": 2,
        "completionRate": "33.33%",
        "failureRate": "33.33%",
    }


@pytest.mark.parametrize(
    ("part", "total", "expected"),
    [(920, 1000, "92.00%"), (20, 1000, "2.00%"), (0, 0, "0.00%"), (1, 3, "33.33%"), (5, 5, "100.00%")],
)
def test_rate_is_a_share_of_the_total(part, total, expected):
    assert rate(part, total) == expected


async def test_health_begins_with_status_service_timestamp(service):
    answer = await service.client.get("/health")

    body = answer.json()
    assert answer.status_code == 200
    assert list(body)[:3] == ["status", "service", "timestamp"]
    assert (body["status"], body["service"], body["timestamp"]) == ("ok", "queue", "2026-01-01T00:00:00Z")
    assert body["tier"] == "lost with the process"
    assert isinstance(body["schema"], int)


async def test_job_types_bring_their_schema(service):
    body = (await service.client.get("/job-types")).json()

    echo, mail = body["jobTypes"]
    assert (body["success"], body["count"]) == (True, 2)
    assert {name: echo[name] for name in ("name", "version", "queue", "priority", "runs", "timeout")} == {
        "name": "echo",
        "version": 2,
        "queue": "other",
        "priority": 7,
        "runs": "async",
        "timeout": 30.0,
    }
    assert mail["description"] == "Sends a mail."
    assert mail["schema"]["required"] == ["to"]
    assert mail["schema"]["additionalProperties"] is False
