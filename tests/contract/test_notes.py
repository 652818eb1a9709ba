import pytest

from headrace.core.outcomes import CancelAsked
from headrace.errors import JobNotFound
from headrace.stores.protocol import Applied, LogLine, Note
from headrace.stores.values import LINE_CHARS, LINES_KEPT
from tests.builders import (
    HOUR,
    NAMESPACE,
    NOW,
    a_failure,
    a_job,
    apply,
    claim,
    claimed,
    enqueue,
    enqueued,
    happen,
    holder,
    note,
    read,
    reported,
    settle,
)


def a_line(message: str, *, at: int = NOW, data: str | None = None) -> LogLine:
    return LogLine(at=at, level="info", message=message, data=data)


async def test_progress_and_checkpoint_are_kept(store):
    job = await claimed(store)

    lost = await note(store, job, progress='{"percentage":45}', checkpoint='{"at":7}', timed_out_at=NOW + 1)

    after = await read(store, job.id)
    assert lost == frozenset()
    assert (after.progress, after.checkpoint, after.timed_out_at) == (
        '{"percentage":45}',
        '{"at":7}',
        NOW + 1,
    )


async def test_field_that_is_not_noted_stays(store):
    job = await claimed(store)
    await note(store, job, progress="1", checkpoint="2", timed_out_at=3)

    await note(store, job, progress="4")
    await note(store, job, checkpoint="5")

    after = await read(store, job.id)
    assert (after.progress, after.checkpoint, after.timed_out_at) == ("4", "5", 3)


async def test_note_changes_neither_revision_nor_placement(store):
    job = await claimed(store)

    await note(store, job, progress="1", checkpoint="2", lines=(a_line("x"),))

    after = await read(store, job.id)
    assert (after.revision, after.fence, after.placement) == (job.revision, job.fence, job.placement)


async def test_outcome_decided_before_a_note_is_still_applied(store):
    job = await claimed(store)
    transition = reported(job, a_failure())
    await note(store, job, progress="1", checkpoint="2")

    assert await apply(store, transition) == Applied()
    assert (await read(store, job.id)).checkpoint == "2"


async def test_checkpoint_is_there_at_the_next_attempt(store):
    job = await claimed(store)
    await note(store, job, progress="50", checkpoint='{"at":7}')
    await settle(store, job, a_failure())

    (again,) = await claim(store, now=NOW + HOUR)

    assert (again.progress, again.checkpoint) == ("50", '{"at":7}')


async def test_flagged_job_may_still_note(store):
    job = await claimed(store)
    await happen(store, job, CancelAsked())

    assert await note(store, job, progress="9") == frozenset()
    assert (await read(store, job.id)).progress == "9"


async def test_lines_are_read_in_the_order_they_were_logged(store):
    job = await claimed(store)
    lines = [a_line("one", data='{"n":1}'), a_line("two"), a_line("three", at=NOW - 5)]

    await note(store, job, lines=tuple(lines[:2]))
    await note(store, job, lines=tuple(lines[2:]))

    assert list(await store.log_lines(NAMESPACE, job.id)) == lines


async def test_lines_are_kept_to_the_letter(store):
    job = await claimed(store)
    line = LogLine(at=NOW, level="warning", message="a\0b\r\n\x1b[31m🎛' --", data='{"é": "\\u0000"}')

    await note(store, job, lines=(line,))

    assert list(await store.log_lines(NAMESPACE, job.id)) == [line]


async def test_lines_of_all_attempts_stay_together(store):
    job = await claimed(store)
    await note(store, job, lines=(a_line("first"),))
    await settle(store, job, a_failure())
    (again,) = await claim(store, now=NOW + HOUR)

    await note(store, again, lines=(a_line("second"),))

    assert [line.message for line in await store.log_lines(NAMESPACE, job.id)] == ["first", "second"]


async def test_latest_lines_are_kept_and_numbered_over_many_notes(store):
    job = await claimed(store)
    lines = [a_line(str(number)) for number in range(LINES_KEPT + 30)]
    for start in range(0, len(lines), 400):
        await note(store, job, lines=tuple(lines[start : start + 400]))

    assert list(await store.log_lines(NAMESPACE, job.id)) == lines[-LINES_KEPT:]


async def test_note_of_more_lines_than_are_kept_leaves_the_latest(store):
    job = await claimed(store)
    lines = [a_line(str(number)) for number in range(LINES_KEPT + 30)]
    await note(store, job, lines=(a_line("before"),))

    await note(store, job, lines=tuple(lines))

    assert list(await store.log_lines(NAMESPACE, job.id)) == lines[-LINES_KEPT:]


async def test_long_message_is_cut(store):
    job = await claimed(store)

    await note(store, job, lines=(a_line("é" * (LINE_CHARS + 1)),))

    assert list(await store.log_lines(NAMESPACE, job.id)) == [a_line("é" * LINE_CHARS)]


async def test_job_that_logged_nothing_has_no_lines(store):
    job = await enqueued(store)

    assert list(await store.log_lines(NAMESPACE, job.id)) == []


async def test_lines_of_an_unknown_job_are_not_found(store):
    with pytest.raises(JobNotFound):
        await store.log_lines(NAMESPACE, "no-such-job")


async def test_c12_one_lost_lease_does_not_stop_the_other_notes(store):
    await enqueue(store, *(a_job() for _ in range(3)))
    jobs = await claim(store)
    await settle(store, jobs[1])

    lost = await store.note([Note(holder=holder(job), progress="7") for job in jobs], now=NOW)

    assert lost == {jobs[1].id}
    assert [(await read(store, job.id)).progress for job in jobs] == ["7", None, "7"]


async def test_several_notes_of_one_job_in_one_call_are_written_in_order(store):
    job = await claimed(store)
    first = Note(holder=holder(job), progress="1", lines=(a_line("one"),))
    second = Note(holder=holder(job), progress="2", lines=(a_line("two"),))

    await store.note([first, second], now=NOW)

    assert (await read(store, job.id)).progress == "2"
    assert [line.message for line in await store.log_lines(NAMESPACE, job.id)] == ["one", "two"]


async def test_no_notes_are_fine(store):
    assert await store.note([], now=NOW) == frozenset()
