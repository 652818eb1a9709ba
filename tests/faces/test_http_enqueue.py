"""What POST /jobs takes, and how it answers repeats and conflicts (C28 … C31)."""

import pytest

from tests.faces.service import problem_of

MAIL = {"type": "send-email", "payload": {"to": "user@example.com"}}


async def test_all_fields_reach_the_job(service):
    job_id = await service.enqueued(
        queue="mail",
        priority=-3,
        maxAttempts=9,
        scheduledFor="2026-01-01T01:00:00+01:00",
        uniqueKey="order-42",
        batchId="b1",
        tags=["a", "b"],
        timeout=1.5,
    )

    job = await service.job(job_id)
    expected = {
        "queue": "mail",
        "priority": -3,
        "maxAttempts": 9,
        "scheduledFor": "2026-01-01T00:00:00Z",
        "uniqueKey": "order-42",
        "batchId": "b1",
        "tags": ["a", "b"],
        "payload": {"to": "user@example.com"},
        "state": "pending",
        "cancelRequested": False,
    }
    assert {name: job[name] for name in expected} == expected


async def test_type_gives_what_the_body_leaves_out(service):
    job = await service.job(await service.enqueued("echo", {"value": 1}))

    assert (job["queue"], job["priority"], job["maxAttempts"]) == ("other", 7, 3)


async def test_delay_counts_from_store_time(service):
    job = await service.job(await service.enqueued(delay=90.5))

    assert job["scheduledFor"] == "2026-01-01T00:01:30.500Z"


async def test_null_stands_for_absent(service):
    answer = await service.post(MAIL | {"queue": None, "priority": None, "uniqueKey": None, "tags": None})

    assert answer.status_code == 201


@pytest.mark.parametrize(("name", "number"), [("critical", 100), ("HIGH", 50), ("background", -100)])
async def test_priority_may_be_a_tier(service, name, number):
    assert (await service.job(await service.enqueued(priority=name)))["priority"] == number


async def test_equal_unique_key_answers_with_existing_job(service):
    first = await service.enqueued(uniqueKey="k")

    answer = await service.post(MAIL | {"uniqueKey": "k"})

    assert answer.status_code == 200
    assert answer.json() == {
        "success": True,
        "jobId": first,
        "message": "An existing job answers this request",
        "deduplicated": True,
    }


async def test_rejecting_unique_key_conflicts(service):
    first = await service.enqueued(uniqueKey="k")

    answer = await service.post(MAIL | {"uniqueKey": "k", "onConflict": "reject"})

    problem = problem_of(answer, 409)
    assert (problem["code"], problem["existingJobId"]) == ("duplicate-job", first)


async def test_replacing_unique_key_replaces_waiting_job(service):
    first = await service.enqueued(uniqueKey="k", onConflict="replace")

    answer = await service.post(
        {"type": "send-email", "payload": {"to": "new"}, "uniqueKey": "k", "onConflict": "replace"}
    )

    assert answer.status_code == 200
    assert (answer.json()["jobId"], answer.json()["replaced"]) == (first, True)
    assert (await service.job(first))["payload"] == {"to": "new"}


async def test_key_until_started_is_free_after_the_claim(service):
    await service.enqueued(uniqueKey="k", until="started")
    await service.claimed()

    answer = await service.post(MAIL | {"uniqueKey": "k"})

    assert answer.status_code == 201


async def test_key_for_a_period_outlives_its_job(service):
    first = await service.enqueued(uniqueKey="k", period=60)
    await service.settled()

    again = await service.post(MAIL | {"uniqueKey": "k", "period": 60})
    service.clock.advance(61)
    later = await service.post(MAIL | {"uniqueKey": "k", "period": 60})

    assert (again.status_code, again.json()["jobId"]) == (200, first)
    assert later.status_code == 201


@pytest.mark.parametrize(
    ("first", "second"),
    [('"order-42"', '"order-42"'), ("order-42", '"order-42"'), ('"a \\"b\\" \\\\c"', '"a \\"b\\" \\\\c"')],
)
async def test_idempotency_key_gives_the_first_answers_job(service, first, second):
    one = await service.post(MAIL, **{"Idempotency-Key": first})
    await service.settled()
    two = await service.post(MAIL, **{"Idempotency-Key": second})

    assert (one.status_code, two.status_code) == (201, 200)
    assert two.json()["jobId"] == one.json()["jobId"]
    assert two.json()["deduplicated"] is True


async def test_idempotency_key_with_another_body_is_refused(service):
    await service.post(MAIL, **{"Idempotency-Key": "k"})

    answer = await service.post(MAIL | {"priority": 1}, **{"Idempotency-Key": "k"})

    assert problem_of(answer, 422)["code"] == "idempotency-mismatch"


@pytest.mark.parametrize("key", ['"open', "", '"a" "b"', "a\x01b", '"é"'])
async def test_malformed_idempotency_key_is_refused(service, key):
    answer = await service.post(MAIL, **{"Idempotency-Key": key.encode()})

    assert problem_of(answer, 400)["code"] == "bad-request"
    assert await service.total() == 0


@pytest.mark.parametrize(
    ("fields", "pointer"),
    [
        ({"prority": 1}, "#/prority"),
        ({"a/b~c": 1}, "#/a~1b~0c"),
        ({"priority": "urgent"}, "#/priority"),
        ({"priority": 1.5}, "#/priority"),
        ({"priority": True}, "#/priority"),
        ({"priority": 2_097_153}, "#/priority"),
        ({"priority": 2**64}, "#/priority"),
        ({"maxAttempts": 0}, "#/maxAttempts"),
        ({"maxAttempts": "3"}, "#/maxAttempts"),
        ({"queue": "no spaces"}, "#/queue"),
        ({"queue": 7}, "#/queue"),
        ({"delay": -1}, "#/delay"),
        ({"delay": 1e300}, "#/delay"),
        ({"delay": 1, "scheduledFor": "2026-01-01T00:00:00Z"}, "#/delay"),
        ({"scheduledFor": "tomorrow"}, "#/scheduledFor"),
        ({"scheduledFor": "2026-01-01T00:00:00"}, "#/scheduledFor"),
        ({"scheduledFor": 1767225600000}, "#/scheduledFor"),
        ({"timeout": 0}, "#/timeout"),
        ({"uniqueKey": ""}, "#/uniqueKey"),
        ({"uniqueKey": "a\u0000"}, "#/uniqueKey"),
        ({"onConflict": "reject"}, "#/onConflict"),
        ({"uniqueKey": "k", "onConflict": "explode"}, "#/onConflict"),
        ({"uniqueKey": "k", "until": "never"}, "#/until"),
        ({"batchId": "\ud800"}, "#/batchId"),
        ({"tags": "a"}, "#/tags"),
        ({"tags": [1]}, "#/tags"),
        ({"type": "Robert'); drop table job;--"}, "#/type"),
        ({"type": None}, "#/type"),
        ({"type": "unheard-of"}, "#/type"),
        ({"payload": None}, "#/payload"),
        ({"payload": [1]}, "#/payload"),
        ({"payload": {"to": 5}}, "#/payload/to"),
        ({"payload": {"to": "a", "cc": "b"}}, "#/payload/cc"),
        ({"payload": {}}, "#/payload/to"),
        ({"payload": {"to": "\ud800"}}, "#/payload"),
    ],
)
async def test_what_cannot_be_accepted_names_its_field(service, fields, pointer):
    answer = await service.post(MAIL | fields)

    problem = problem_of(answer, 422)
    assert problem["errors"][0]["pointer"] == pointer
    assert await service.total() == 0


async def test_missing_type_is_named(service):
    problem = problem_of(await service.post({"payload": {}}), 422)

    assert problem["errors"] == [{"detail": "type is missing: the name of a job type", "pointer": "#/type"}]


async def test_unknown_type_names_the_known_ones(service):
    problem = problem_of(await service.post({"type": "send-mail", "payload": {}}), 422)

    assert problem["code"] == "unknown-job-type"
    assert "echo, send-email" in problem["detail"]


async def test_bulk_enqueues_all_in_order(service):
    answer = await service.post(
        [MAIL, MAIL | {"uniqueKey": "k"}, MAIL | {"uniqueKey": "k"}], path="/jobs/bulk"
    )

    body = answer.json()
    ids = [one["jobId"] for one in body["jobs"]]
    assert answer.status_code == 201
    assert (body["success"], body["count"], body["inserted"]) == (True, 3, 2)
    assert ids[1] == ids[2]
    assert body["jobs"][2]["deduplicated"] is True
    assert await service.total() == 2


@pytest.mark.parametrize(
    ("bad", "pointer"),
    [
        ({"type": 1}, "#/1/type"),
        ("x", "#/1"),
        (MAIL | {"nope": 1}, "#/1/nope"),
        ({"payload": {}}, "#/1/type"),
        (MAIL | {"payload": {"surprise": 1}}, "#/1/payload/to"),
    ],
)
async def test_bulk_with_one_bad_job_enqueues_nothing(service, bad, pointer):
    answer = await service.post([MAIL, bad, MAIL], path="/jobs/bulk")

    problem = problem_of(answer, 422)
    assert problem["errors"][0]["pointer"] == pointer
    assert problem["detail"].startswith("job 1: ")
    assert await service.total() == 0


async def test_bulk_with_one_duplicate_to_reject_enqueues_nothing(service):
    await service.enqueued(uniqueKey="k")

    answer = await service.post([MAIL, MAIL | {"uniqueKey": "k", "onConflict": "reject"}], path="/jobs/bulk")

    problem = problem_of(answer, 409)
    assert problem["code"] == "duplicate-job"
    assert problem["detail"].startswith("job 1: ")
    assert [one["pointer"] for one in problem["errors"]] == ["#/1/uniqueKey"]
    assert await service.total() == 1


async def test_bulk_with_one_other_body_under_a_known_key_enqueues_nothing(service):
    await service.enqueued(idempotencyKey="k")

    answer = await service.post([MAIL, MAIL | {"idempotencyKey": "k", "queue": "other"}], path="/jobs/bulk")

    problem = problem_of(answer, 422)
    assert problem["code"] == "idempotency-mismatch"
    assert problem["detail"].startswith("job 1: ")
    assert [one["pointer"] for one in problem["errors"]] == ["#/1/idempotencyKey"]
    assert await service.total() == 1


async def test_bulk_beyond_the_limit_is_too_large(service):
    answer = await service.post([MAIL] * 10_001, path="/jobs/bulk")

    problem_of(answer, 413)
    assert await service.total() == 0


async def test_bulk_takes_keys_per_job_only(service):
    refused = await service.post([MAIL], path="/jobs/bulk", **{"Idempotency-Key": "k"})
    first = await service.post([MAIL | {"idempotencyKey": "k"}], path="/jobs/bulk")
    again = await service.post([MAIL | {"idempotencyKey": "k"}], path="/jobs/bulk")

    problem_of(refused, 422)
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json()["jobs"][0]["jobId"] == again.json()["jobs"][0]["jobId"]


async def test_header_and_body_must_not_name_different_keys(service):
    answer = await service.post(MAIL | {"idempotencyKey": "a"}, **{"Idempotency-Key": "b"})

    assert problem_of(answer, 422)["errors"][0]["pointer"] == "#/idempotencyKey"
