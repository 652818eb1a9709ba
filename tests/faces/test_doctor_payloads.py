"""``headrace doctor --payloads``."""

NEWER = """
from headrace import App

app = App()

@app.job(name="double", version=2, upgrades={1: lambda payload: {"number": payload["n"]}})
def double(number: int, times: int = 1) -> int:
    return number + number

@app.job(name="fail", version=2)
def fail() -> None: ...
"""


def test_doctor_names_waiting_payloads_that_would_not_run(headrace, folder):
    headrace.enqueued("double", "--app", "jobs_app:app", "--payload", '{"n": 21}')
    misfit = headrace.enqueued("fail", "--app", "jobs_app:app")
    (folder / "newer_app.py").write_text(NEWER)

    ran = headrace("doctor", "--payloads", "--app", "newer_app:app", "--json")

    assert ran.code == 1
    (told,) = ran.json["payloads"]
    assert (told["type"], told["version"], told["count"], told["id"]) == ("fail", 1, 1, misfit)
    assert "no upgrade carries a payload of version 1 to 2" in told["why"]
    assert "1 waiting jobs of fail, version 1, would not run" in ran.json["wrong"]
    assert ran.json["store"]["payloadsLookedAt"] == 2


def test_doctor_finds_nothing_where_all_payloads_fit(headrace):
    headrace.enqueued("double", "--app", "jobs_app:app", "--payload", '{"n": 21}')

    ran = headrace("doctor", "--payloads", "--app", "jobs_app:app", "--json")

    assert (ran.json["payloads"], ran.json["store"]["payloadsLookedAt"]) == ([], 1)


def test_doctor_looks_at_no_payload_unless_asked(headrace):
    headrace.enqueued("double", "--app", "jobs_app:app", "--payload", '{"n": 21}')

    assert "payloadsLookedAt" not in headrace("doctor", "--json").json["store"]


def test_doctor_prints_the_misfits_as_a_table(headrace, folder):
    headrace.enqueued("fail", "--app", "jobs_app:app")
    (folder / "newer_app.py").write_text(NEWER)

    ran = headrace("doctor", "--payloads", "--app", "newer_app:app")

    assert ["type", "version", "count", "id", "why"] in ran.rows
