"""The OpenAPI document: complete, readable, and true."""

import json
import re

import pytest
from fastapi.routing import iter_route_contexts

from headrace.api import shapes
from headrace.api.app import create_app
from headrace.api.fields import FIELDS
from headrace.api.guard import Guard
from headrace.stores.protocol import LogLine
from tests.builders import a_hello, note
from tests.faces.test_http_refusals import Failing

OPERATIONS = {
    "POST /jobs",
    "POST /jobs/bulk",
    "GET /jobs",
    "GET /jobs/{job_id}",
    "DELETE /jobs/{job_id}",
    "POST /jobs/{job_id}/retry",
    "GET /jobs/{job_id}/history",
    "GET /jobs/{job_id}/log",
    "GET /stats",
    "GET /health",
    "GET /job-types",
    "GET /queues",
    "POST /queues/{name}/pause",
    "POST /queues/{name}/resume",
    "GET /workers",
}


@pytest.fixture(scope="module")
def document():
    return create_app(Failing(ValueError())).openapi()


@pytest.fixture(scope="module")
def operations(document):
    return {
        f"{method.upper()} {path}": operation
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    }


def test_document_is_openapi_3_1_and_names_every_operation(document, operations):
    assert document["openapi"].startswith("3.1")
    assert set(operations) == OPERATIONS


@pytest.mark.parametrize("name", sorted(OPERATIONS))
def test_operation_is_described_with_an_example(operations, name):
    operation = operations[name]
    good = [
        operation["responses"][status] for status in ("200", "201", "202") if status in operation["responses"]
    ]

    assert operation["summary"]
    assert operation["description"]
    assert good
    for response in good:
        assert response["description"]
        assert response["content"]["application/json"]["example"]


@pytest.mark.parametrize("name", sorted(OPERATIONS))
def test_examples_fit_their_shapes(operations, name):
    for response in operations[name]["responses"].values():
        for media in response["content"].values():
            if "example" in media:
                model = getattr(shapes, media["schema"]["$ref"].rpartition("/")[2])
                model.model_validate_json(json.dumps(media["example"]), strict=True)


def test_problems_have_their_own_media_type(operations):
    for name, operation in operations.items():
        for status, response in operation["responses"].items():
            if status[0] in "45" and name != "GET /health":
                assert list(response["content"]) == ["application/problem+json"]


def test_document_names_no_other_host(document):
    assert re.findall(r"https?://[^\s\"]+", json.dumps(document)) == []


def test_documented_fields_are_those_that_are_read():
    assert {field.alias for field in shapes.JobBody.model_fields.values()} == set(FIELDS)


def test_every_served_route_is_documented():
    app = create_app(Failing(ValueError()))
    served = {
        f"{method} {route.path}"
        for route in iter_route_contexts(app.routes)
        for method in (route.methods or ()) - {"HEAD"}
        if route.path != "/openapi.json"
    }

    assert served == OPERATIONS


def test_guard_is_the_outermost_layer():
    assert create_app(Failing(ValueError())).user_middleware[0].cls is Guard


async def test_document_is_served(service):
    answer = await service.client.get("/openapi.json")

    assert answer.json()["info"]["title"] == "Headrace"


@pytest.mark.parametrize(
    ("path", "model"),
    [
        ("/jobs", shapes.JobsAnswer),
        ("/jobs/{id}", shapes.JobAnswer),
        ("/jobs/{id}/history", shapes.HistoryAnswer),
        ("/jobs/{id}/log", shapes.LogAnswer),
        ("/stats", shapes.StatsAnswer),
        ("/health", shapes.HealthAnswer),
        ("/job-types", shapes.TypesAnswer),
        ("/queues", shapes.QueuesAnswer),
        ("/workers", shapes.WorkersAnswer),
    ],
)
async def test_answers_fit_their_shapes(service, path, model):
    job_id = await service.enqueued(uniqueKey="k", batchId="b", tags=["t"])
    line = LogLine(at=service.clock.now(), level="info", message="m", data="{}")
    await note(service.store, await service.claimed(), progress='{"percentage":1}', lines=(line,))
    await service.store.hello(a_hello())

    answer = await service.client.get(path.format(id=job_id))

    assert answer.status_code == 200
    model.model_validate_json(answer.content, strict=True)
