"""``headrace flow``."""

import asyncio

import pytest

from headrace import App, gather

UNKNOWN = "0199b0c4-8a00-7c3e-9f5b-0d6c5b7d2a11"


@pytest.fixture
def ids(folder):
    """The ids of a flow: two jobs side by side, one that waits for both, and one behind that."""
    app = App()

    @app.job(name="act")
    async def act(n: int) -> int:
        return n

    async def run() -> list[str]:
        async with app:
            flow = gather(act.request(1), act.request(2)).then(act.request(3)).then(act.request(4))
            handles = await flow.enqueue()
        app.portal.close()
        return [one.id for one in handles]

    return asyncio.run(run())


def test_flow_is_drawn_from_any_of_its_jobs(headrace, ids):
    a, b, c, d = ids

    for one in ids:
        assert headrace("flow", one).out.splitlines() == [
            f"○ act {a} pending",
            f"└─ · act {c} blocked (waits for 2)",
            f"   ↓ · act {d} blocked",
            f"○ act {b} pending",
            f"└─ · act {c} blocked (see above)",
        ]


def test_flow_as_json(headrace, ids):
    told = headrace("flow", ids[3], "--json").json

    assert [job["id"] for job in told["jobs"]] == ids
    assert [job["state"] for job in told["jobs"]] == ["pending", "pending", "blocked", "blocked"]
    assert {(edge["parent"], edge["child"], edge["number"]) for edge in told["edges"]} == {
        (ids[0], ids[2], 0),
        (ids[1], ids[2], 1),
        (ids[2], ids[3], 0),
    }
    assert {edge["onParentFailure"] for edge in told["edges"]} == {"cancel"}
    assert told["whole"] is True


def test_larger_flow_is_cut_and_says_so(headrace, ids):
    ran = headrace("flow", ids[0], "--limit", "2")

    assert ran.out.splitlines()[-1] == "… the flow has more jobs; 2 are shown"
    assert headrace("flow", ids[0], "--limit", "2", "--json").json["whole"] is False


def test_unknown_job_and_senseless_limit(headrace, ids):
    assert headrace("flow", UNKNOWN).code == 3
    assert headrace("flow", ids[0], "--limit", "0").code == 2


def test_job_outside_of_a_flow_is_alone(headrace, folder):
    enqueued = headrace("enqueue", "double", "--app", "jobs_app:app", "--payload", '{"n": 21}', "--json").json

    ran = headrace("flow", enqueued["jobId"])

    assert ran.out == f"○ double {enqueued['jobId']} pending\n"
