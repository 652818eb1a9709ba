"""``headrace batches``."""

import asyncio

import pytest

from headrace import App
from headrace.cli import batches, show
from headrace.core.batch import BatchState, Counts, Phase
from headrace.core.batch_wire import BatchView


@pytest.fixture
def made(folder) -> str:
    """The id of a sealed batch of three in the folder's store."""

    async def make() -> str:
        app = App("sqlite:///headrace.db")

        @app.job(name="act")
        async def act(n: int) -> None: ...

        async with app, app.batch(on_complete=act.request(0)) as batch:
            await batch.add(*(act.request(n) for n in range(3)))
        return batch.id

    return asyncio.run(make())


def test_batches_are_listed_with_their_numbers(headrace, made):
    header, row = headrace("batches", "list").rows
    told = headrace("batches", "list", "--json").json

    assert dict(zip(header, row, strict=True)) == {
        "id": made, "phase": "sealed", "generation": "1", "total": "3", "blocked": "0", "pending": "3",
        "processing": "0", "completed": "0", "failed": "0", "cancelled": "0",
    }  # fmt: skip
    assert (told["count"], told["nextCursor"], told["batches"][0]["id"]) == (1, None, made)


def test_batch_is_shown(headrace, made):
    told = headrace("batches", "show", made, "--json").json
    facts = dict(headrace("batches", "show", made).rows)

    assert (told["total"], told["pending"], told["callbacks"]) == (3, 3, {"on_complete": "act"})
    assert (facts["id"], facts["phase"]) == (made, "sealed")


def test_cancelled_batch_is_closed_with_its_callback(headrace, made):
    ran = headrace("batches", "cancel", made)
    again = headrace("batches", "cancel", made)

    assert (ran.code, ran.out) == (0, f"{made}\t3 cancelled or asked to stop\n")
    assert (again.code, "nothing left to cancel" in again.err) == (1, True)
    assert headrace("batches", "show", made, "--json").json["phase"] == "closed"
    assert headrace("jobs", "--tag", f"callback:{made}", "--json").json["count"] == 1


def test_retry_tells_how_many_run_again(headrace, made):
    assert headrace("batches", "retry", made, "--json").json == {"batchId": made, "members": 0}


@pytest.mark.parametrize("command", ["show", "cancel", "retry"])
def test_unknown_batch_is_not_found(headrace, made, command):
    ran = headrace("batches", command, "batch_1_0123456789abcdef")

    assert (ran.code, ran.out) == (3, "")
    assert "no batch" in ran.err


def test_progress_is_drawn_on_a_terminal(headrace, made, monkeypatch):
    monkeypatch.setattr(batches, "on_terminal", lambda: True)
    monkeypatch.setattr(show, "on_terminal", lambda: True)

    assert "0 %  0 of 3 ended" in headrace("batches", "show", made).out


@pytest.mark.parametrize(
    ("counts", "phase", "full", "said"),
    [
        (Counts(completed=1, failed=1, pending=2), Phase.SEALED, 20, "50 %  2 of 4 ended"),
        (Counts(completed=4), Phase.CLOSED, 40, "100 %  4 of 4 ended"),
        (Counts(), Phase.CLOSED, 40, "100 %  0 of 0 ended"),
        (Counts(pending=1), Phase.OPEN, 0, "0 %  0 of 1 ended"),
    ],
)
def test_progress_bar_is_as_long_as_the_share_that_has_ended(counts, phase, full, said):
    bar = batches.progress_bar(BatchView(state=BatchState(id="b", created_at=0, phase=phase), counts=counts))

    assert bar == "█" * full + "░" * (40 - full) + f" {said}"
