"""What a producer is told over HTTP whose queue is full (C8)."""

from tests.faces.service import problem_of

MAIL = {"type": "send-email", "payload": {"to": "user@example.com", "subject": "Test", "body": "Hello!"}}


async def test_c8_full_queue_answers_429_and_when_to_try_again(service):
    await (await service.app.operations()).set_queue_bound("default", 1)
    assert (await service.post(MAIL)).status_code == 201

    answer = await service.post(MAIL)

    problem = problem_of(answer, 429)
    assert problem["code"] == "queue-full"
    assert "at most 1 waiting jobs" in problem["detail"]
    assert answer.headers["retry-after"] == "1"
    assert await service.total() == 1


async def test_c8_bulk_into_a_full_queue_is_refused_whole(service):
    await (await service.app.operations()).set_queue_bound("default", 1)

    answer = await service.post([MAIL, MAIL], path="/jobs/bulk")

    assert problem_of(answer, 429)["code"] == "queue-full"
    assert await service.total() == 0
