"""What is turned away before the engine sees it, and what every answer carries."""

import httpx2
import pytest

from headrace import errors
from headrace.api.app import create_app
from headrace.api.problems import TABLE
from tests.faces.service import BASE, problem_of

MAIL = {"type": "send-email", "payload": {"to": "user@example.com"}}


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:8787", "127.0.0.1.evil.example", "localhost.evil:80", "0.0.0.0", ""],
)
async def test_foreign_host_is_misdirected(service, host):
    answer = await service.post(MAIL, Host=host)

    assert problem_of(answer, 421)["code"] == "unknown-host"
    assert await service.total() == 0


@pytest.mark.parametrize(
    "host", ["localhost", "localhost:8787", "LOCALHOST:1", "127.0.0.1:8787", "[::1]:8787", "[::1]"]
)
async def test_loopback_host_is_served(service, host):
    assert (await service.client.get("/health", headers={"Host": host})).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://localhost:9999"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "same-origin", "Origin": "https://evil.example"},
    ],
)
@pytest.mark.parametrize("path", ["/jobs", "/jobs/bulk", "/queues/default/pause"])
async def test_change_from_another_site_is_refused(service, headers, path):
    answer = await service.post(MAIL, path=path, **headers)

    assert problem_of(answer, 403)["code"] == "cross-site"
    assert await service.total() == 0


@pytest.mark.parametrize(
    "headers",
    [{}, {"Sec-Fetch-Site": "none"}, {"Sec-Fetch-Site": "same-origin", "Origin": BASE}, {"Origin": BASE}],
)
async def test_change_from_here_is_served(service, headers):
    assert (await service.post(MAIL, **headers)).status_code == 201


async def test_reading_from_another_site_gives_no_cors_header(service):
    answer = await service.client.get("/jobs", headers={"Origin": "https://evil.example"})

    assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize(
    "kind",
    [
        "text/plain",
        "application/x-www-form-urlencoded",
        "application/json; charset=latin-1",
        "application/jsonx",
        "",
    ],
)
async def test_body_must_be_announced_as_json(service, kind):
    answer = await service.client.post("/jobs", content=b"{}", headers={"Content-Type": kind})

    assert problem_of(answer, 415)["code"] == "not-json"


@pytest.mark.parametrize(
    "kind", ["application/json", "Application/JSON", 'application/json; charset="UTF-8"']
)
async def test_json_content_types_are_taken(service, kind):
    body = b'{"type":"send-email","payload":{"to":"a"}}'

    answer = await service.client.post("/jobs", content=body, headers={"Content-Type": kind})

    assert answer.status_code == 201


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PUT", "/jobs", "GET, POST"),
        ("DELETE", "/jobs", "GET, POST"),
        ("POST", "/stats", "GET"),
        ("GET", "/jobs/x/retry", "POST"),
        ("PATCH", "/jobs/x", "DELETE, GET"),
    ],
)
async def test_method_that_is_not_offered_is_405(service, method, path, allowed):
    answer = await service.client.request(method, path)

    problem_of(answer, 405)
    assert answer.headers["allow"] == allowed


@pytest.mark.parametrize("path", ["/", "/docs", "/redoc", "/jobs/", "/admin", "/jobs/a/b/c"])
async def test_path_that_is_not_there_is_404(service, path):
    assert problem_of(await service.client.get(path), 404)["code"] == "not-found"


async def test_every_answer_carries_the_safe_headers(service):
    answers = [
        await service.client.get("/health"),
        await service.post(MAIL),
        await service.post(MAIL, Host="evil.example"),
        await service.client.get("/nowhere"),
    ]

    for answer in answers:
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "no-store"
        assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]


class Failing:
    """Operations that cannot be done, for one given reason."""

    namespace = "default"

    def __init__(self, error: Exception) -> None:
        self._error = error

    def now(self) -> int:
        return 0

    async def fail(self, *_args: object) -> None:
        raise self._error

    enqueue = job = jobs = cancel = stats = health = fail


ERRORS = {
    errors.InvalidInput("x", field="queue"): 422,
    errors.UnknownJobType("x"): 422,
    errors.TooLarge("x"): 413,
    errors.DuplicateJob("k", "id"): 409,
    errors.IdempotencyMismatch("k", "id"): 422,
    errors.IllegalMove("id", "ended", "cancel"): 409,
    errors.StaleRegister("k"): 409,
    errors.JobNotFound("id"): 404,
    errors.FileNotFound("id"): 404,
    errors.LeaseLost("id", 1): 409,
    errors.StoreUnavailable("/var/lib/secret.db is locked"): 503,
    errors.OutcomeUnknown("/var/lib/secret.db"): 504,
    errors.StoreFull("/var/lib/secret.db"): 507,
    errors.SchemaTooNew("/var/lib/secret.db"): 503,
    errors.StoreError("/var/lib/secret.db"): 500,
    errors.MisuseError("/var/lib/secret.db"): 500,
    ValueError("/var/lib/secret.db"): 500,
}


@pytest.mark.parametrize(("error", "status"), ERRORS.items(), ids=lambda one: repr(one)[:30])
@pytest.mark.parametrize(("method", "path"), [("POST", "/jobs"), ("GET", "/jobs"), ("GET", "/stats")])
async def test_errors_become_problems_without_insides(error, status, method, path):
    transport = httpx2.ASGITransport(create_app(Failing(error)))
    async with httpx2.AsyncClient(transport=transport, base_url=BASE) as client:
        answer = await client.request(method, path, json=MAIL if method == "POST" else None)

    problem = problem_of(answer, status)
    assert "secret" not in answer.text
    assert problem["code"]
    assert ("retry-after" in answer.headers) == isinstance(
        error, errors.StoreUnavailable | errors.OutcomeUnknown
    )


@pytest.mark.parametrize("error", [errors.StoreUnavailable("/secret"), errors.StoreUnusable("/secret")])
async def test_health_of_a_store_that_cannot_serve_is_503(error):
    transport = httpx2.ASGITransport(create_app(Failing(error)))
    async with httpx2.AsyncClient(transport=transport, base_url=BASE) as client:
        answer = await client.get("/health")

    body = answer.json()
    assert answer.status_code == 503
    assert list(body)[:3] == ["status", "service", "timestamp"]
    assert (body["status"], body["service"], body["success"]) == ("unavailable", "queue", False)
    assert "secret" not in answer.text


def test_every_error_a_caller_can_meet_has_a_status():
    internal = {
        errors.MisuseError,
        errors.WaitTimeout,
        errors.SignalTimeout,
        errors.JobEnded,
        errors.HeadraceError,
    }
    kinds = {
        kind
        for kind in vars(errors).values()
        if isinstance(kind, type) and issubclass(kind, errors.HeadraceError)
    }

    unanswered = {
        kind
        for kind in kinds - internal
        if not issubclass(kind, errors.JobEnded) and not set(kind.__mro__) & set(TABLE)
    }

    assert unanswered == set()
