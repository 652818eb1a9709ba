"""``headrace job ID`` with steps and signals."""

import asyncio

import pytest

from headrace import App, Context, Retry

DOUBLE = ("double", "--app", "jobs_app:app", "--payload", '{"n": 21}', "--delay", "60")
UNKNOWN = "0199b0c4-8a00-7c3e-9f5b-0d6c5b7d2a11"


@pytest.fixture
def stepped(folder):
    """The id of a job that failed behind its steps."""
    app = App()

    @app.job(name="order", retry=Retry(attempts=1))
    async def order(ctx: Context) -> None:
        await ctx.step("load", dict, rows=3)
        for page in range(2):
            await ctx.step("page", str, page)
        await ctx.wait_for("approved", timeout=3600)
        raise ValueError("\x1b[31mred")

    async def run() -> str:
        async with app:
            handle = await order.enqueue()
            await app.signal(handle.id, "approved", {"by": "\x1b[2JAnn"})
            async with app.running_worker():
                await (await app.operations()).wait(handle.id, timeout_ms=60_000)
        app.portal.close()
        return handle.id

    return asyncio.run(run())


def test_steps_and_signals_are_shown(headrace, stepped):
    ran = headrace("job", stepped)

    steps = [row[:3] for row in ran.rows if row[0] in {"1", "2", "3", "4"} and row[1] in {"step", "wait"}]
    assert steps == [
        ["1", "step", "load"],
        ["2", "step", "page"],
        ["3", "step", "page#2"],
        ["4", "wait", "approved"],
    ]
    assert "\x1b" not in ran.out
    assert '{"rows": 3}' in ran.out


def test_steps_and_signals_are_in_the_json(headrace, stepped):
    shown = headrace("job", stepped, "--json").json

    assert [(one["step"], one["value"]) for one in shown["steps"]] == [
        ("load", {"rows": 3}),
        ("page", "0"),
        ("page#2", "1"),
        ("approved", {"by": "\x1b[2JAnn"}),
    ]
    assert [(one["name"], one["payload"]) for one in shown["signals"]] == [("approved", {"by": "\x1b[2JAnn"})]
    assert shown["steps"][3]["signal"] == shown["signals"][0]["id"]


def test_signal_is_sent_once_under_its_key(headrace):
    job_id = headrace.enqueued(*DOUBLE)

    for payload in ('{"by": "Ann"}', "2"):
        ran = headrace("job", job_id, "signal", "approved", payload, "--key", "delivery-1")
        assert (ran.code, ran.rows) == (0, [[job_id, "signal sent"]])
    headrace("job", job_id, "signal", "approved")

    signals = headrace("job", job_id, "--json").json["signals"]
    assert [one["payload"] for one in signals] == [{"by": "Ann"}, None]


def test_replay_prints_the_new_job(headrace, stepped):
    ran = headrace("job", stepped, "replay", "--from", "page#2", "--json")

    assert ran.code == 0, ran.err
    shown = headrace("job", ran.json["jobId"], "--json").json
    assert shown["job"]["tags"] == [f"replay-of:{stepped}"]
    assert [one["step"] for one in shown["steps"]] == ["load", "page"]
    found = headrace("jobs", "--tag", f"replay-of:{stepped}", "--json").json["jobs"]
    assert [one["id"] for one in found] == [ran.json["jobId"]]


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("replay",), 1, "replay"),
        (("signal",), 2, "signal NAME"),
        (("nothing",), 2, "signal NAME"),
        (("signal", "approved", "{not json"), 2, "not valid JSON"),
        (("signal", "approved", "--from", "load"), 2, "--from belongs to"),
        (("replay", "--key", "k"), 2, "--key belongs to"),
        (("--key", "k"), 2, "--key belongs to"),
    ],
)
def test_what_cannot_be_done_is_told_in_one_line(headrace, words, code, said):
    job_id = headrace.enqueued(*DOUBLE)

    ran = headrace("job", job_id, *words)

    assert (ran.code, ran.out) == (code, "")
    assert said in ran.err
    assert len(ran.err.splitlines()) == 1


def test_signal_to_a_job_that_has_ended_is_refused(headrace):
    job_id = headrace.enqueued(*DOUBLE)
    headrace("cancel", job_id)

    ran = headrace("job", job_id, "signal", "approved")

    assert ran.code == 1
    assert job_id in ran.err


def test_signal_to_a_job_that_is_not_there_is_not_found(headrace):
    headrace.enqueued(*DOUBLE)

    assert headrace("job", UNKNOWN, "signal", "approved").code == 3


@pytest.mark.parametrize(("options", "left"), [((), 4), (("--afresh",), 0)])
def test_retry_keeps_the_steps_unless_told_otherwise(headrace, stepped, options, left):
    ran = headrace("retry", stepped, *options)

    assert (ran.code, ran.rows) == (0, [[stepped, "retry queued"]])
    assert len(headrace("job", stepped, "--json").json["steps"]) == left
