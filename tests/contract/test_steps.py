"""Steps that holders keep, and signals sent to jobs."""

from dataclasses import replace

import pytest

from headrace.core.outcomes import RetryAsked, Signalled, Suspended
from headrace.core.policy import ErrorClass
from headrace.core.states import State
from headrace.core.steps import Kept, Signal, Step, StepKind
from headrace.core.unique import Unique
from headrace.errors import JobNotFound
from headrace.stores.protocol import Applied, Note, Stale
from tests.builders import (
    HOUR,
    NAMESPACE,
    NOW,
    SECOND,
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
    rescue,
    settle,
)
from tests.contract.conftest import opened_store


def a_step(number: int = 1, name: str = "charge", *, value: str | None = '{"id":7}', **fields) -> Step:
    return replace(
        Step(number=number, kind=StepKind.STEP, name=name, occurrence=1, at=NOW, ended_at=NOW, value=value),
        **fields,
    )


A_SLEEP = Step(number=2, kind=StepKind.SLEEP, name="sleep", occurrence=3, at=NOW, until=NOW + HOUR)
A_WAIT = Step(number=3, kind=StepKind.WAIT, name="approved", occurrence=1, at=NOW, until=NOW + HOUR, fence=1)


def a_signal(n: int = 1, name: str = "approved", payload: str = "true") -> Signal:
    return Signal(id=f"signal-{n}", name=name, at=NOW + n, payload=payload)


async def kept(store, job) -> Kept:
    return await store.kept(NAMESPACE, job.id, now=NOW)


async def test_steps_are_kept_as_they_are(store):
    job = await claimed(store)
    steps = (a_step(value='["é\\u0000🎛",1.5,null]'), A_SLEEP, A_WAIT)

    assert await note(store, job, steps=steps) == frozenset()

    assert await kept(store, job) == Kept(now=NOW, steps=steps)


async def test_steps_are_read_in_the_order_of_their_numbers(store):
    job = await claimed(store)

    await note(store, job, steps=(a_step(2, "b"),))
    await note(store, job, steps=(a_step(10, "d"), a_step(1, "a")))
    await note(store, job, steps=(a_step(3, "c"),))

    assert [step.name for step in (await kept(store, job)).steps] == ["a", "b", "c", "d"]


async def test_step_of_the_same_number_is_written_over(store):
    job = await claimed(store)
    await note(store, job, steps=(A_WAIT,))
    answered = replace(A_WAIT, ended_at=NOW + 1, signal="signal-1", value="true")

    await note(store, job, steps=(answered,))

    assert (await kept(store, job)).steps == (answered,)


async def test_of_two_writes_of_a_step_in_one_call_the_later_stands(store):
    job = await claimed(store)
    answered = replace(A_WAIT, ended_at=NOW + 1, signal="signal-1", value="true")
    notes = [Note(holder=holder(job), steps=(A_WAIT,)), Note(holder=holder(job), steps=(answered,))]

    await store.note(notes, now=NOW)

    assert (await kept(store, job)).steps == (answered,)


async def test_c12_late_holders_step_is_refused(store):
    late = await claimed(store)
    await rescue(store, now=NOW + HOUR)
    (again,) = await claim(store, now=NOW + 2 * HOUR)

    lost = await note(store, late, steps=(a_step(value='"late"'),))
    await note(store, again, steps=(a_step(value='"mine"'),))

    assert lost == {late.id}
    assert [step.value for step in (await kept(store, late)).steps] == ['"mine"']


async def test_c12_step_of_a_job_that_has_ended_is_refused(store):
    job = await claimed(store)
    await settle(store, job)

    assert await note(store, job, steps=(a_step(),)) == {job.id}
    assert (await kept(store, job)).steps == ()


async def test_keeping_a_step_changes_no_revision(store):
    job = await claimed(store)

    await note(store, job, steps=(a_step(),))

    assert await read(store, job.id) == job


async def test_steps_of_many_jobs_stay_apart(store):
    await enqueue(store, *(a_job() for _ in range(3)))
    jobs = await claim(store)

    notes = [Note(holder=holder(job), steps=(a_step(name=f"of-{job.seq}"),)) for job in jobs]
    await store.note(notes, now=NOW)

    for job in jobs:
        assert [step.name for step in (await kept(store, job)).steps] == [f"of-{job.seq}"]


async def test_steps_survive_errors_and_an_operators_retry(store):
    job = await claimed(store, a_job(max_attempts=1))
    await note(store, job, steps=(a_step(),))
    await settle(store, job, a_failure())
    failed = await read(store, job.id)

    await happen(store, failed, RetryAsked())

    assert failed.state is State.FAILED
    assert (await kept(store, job)).steps == (a_step(),)


async def test_steps_survive_a_restart(persistent_url):
    store = await opened_store(persistent_url)
    job = await claimed(store)
    await note(store, job, steps=(a_step(),))
    await store.signal(NAMESPACE, job.id, a_signal())
    await store.close()

    store = await opened_store(persistent_url)
    assert await kept(store, job) == Kept(now=NOW, steps=(a_step(),), signals=(a_signal(),))
    await store.close()


async def test_steps_and_signals_are_erased_with_their_job(store):
    job = await claimed(store)
    await note(store, job, steps=(a_step(),))
    await store.signal(NAMESPACE, job.id, a_signal())
    await settle(store, job)

    assert await store.erase(now=NOW + 2 * HOUR, limit=10) == 1

    with pytest.raises(JobNotFound):
        await kept(store, job)
    # a new job may stand where the old one stood, and must not find its steps
    fresh = await enqueued(store)
    assert await kept(store, fresh) == Kept(now=NOW)


async def test_job_may_begin_with_steps(store):
    first, second = a_job(), a_job()

    await store.insert(NAMESPACE, [first, second], now=NOW, steps=(a_step(), A_SLEEP))

    for new in (first, second):
        found = await store.kept(NAMESPACE, new.facts.id, now=NOW)
        assert found.steps == (a_step(), A_SLEEP)


async def test_job_that_was_there_before_is_given_no_steps(store):
    there = await enqueued(store, a_job(unique=Unique(key="one")))

    await store.insert(NAMESPACE, [a_job(unique=Unique(key="one"))], now=NOW, steps=(a_step(),))

    assert (await kept(store, there)).steps == ()


async def test_signals_are_read_in_the_order_they_came(store):
    job = await enqueued(store)
    signals = [a_signal(3, payload='{"é":1}'), a_signal(1, "other"), a_signal(2, payload="null")]

    for signal in signals:
        await store.signal(NAMESPACE, job.id, signal)

    assert (await kept(store, job)).signals == tuple(signals)


async def test_of_two_signals_with_one_id_the_first_stands(store):
    job = await enqueued(store)

    await store.signal(NAMESPACE, job.id, a_signal(1, payload="1"))
    await store.signal(NAMESPACE, job.id, a_signal(1, payload="2"))

    assert [signal.payload for signal in (await kept(store, job)).signals] == ["1"]


async def test_signal_changes_no_job(store):
    job = await claimed(store)

    await store.signal(NAMESPACE, job.id, a_signal())

    assert await read(store, job.id) == job


async def test_c46_signals_and_steps_stay_in_their_namespace(store):
    job = await claimed(store)
    await note(store, job, steps=(a_step(),))

    await store.signal("other", job.id, a_signal())

    assert (await kept(store, job)).signals == ()
    with pytest.raises(JobNotFound):
        await store.kept("other", job.id, now=NOW)


@pytest.mark.parametrize("job_id", ["no-such-job", "\ud800", "a\0b"])
async def test_unknown_job_keeps_nothing(store, job_id):
    await store.signal(NAMESPACE, job_id, a_signal())

    with pytest.raises(JobNotFound):
        await store.kept(NAMESPACE, job_id, now=NOW)


async def test_signalled_job_is_claimed_at_once(store):
    job = await claimed(store)
    await settle(store, job, Suspended(until=NOW + HOUR, signal="approved"), now=NOW)
    waiting = await read(store, job.id)

    assert await claim(store, now=NOW + SECOND) == []
    assert await happen(store, waiting, Signalled(), now=NOW + SECOND) == Applied()

    (again,) = await claim(store, now=NOW + SECOND)
    assert (again.id, again.fence, again.placement.snoozes) == (job.id, job.fence + 1, 0)


async def test_wait_decided_before_a_signal_is_decided_again(store):
    job = await claimed(store)
    decided_before = reported(job, Suspended(until=NOW + HOUR, signal="approved"))

    await happen(store, job, Signalled())

    answer = await apply(store, decided_before)
    assert isinstance(answer, Stale)
    assert (answer.job.fence, answer.job.placement) == (job.fence, job.placement)


async def test_holder_is_not_disturbed_by_a_signal(store):
    job = await claimed(store)

    await happen(store, job, Signalled())

    assert await note(store, job, steps=(a_step(),)) == frozenset()
    assert await settle(store, job) == Applied()
    assert (await read(store, job.id)).state is State.COMPLETED


async def test_steps_of_an_ended_job_are_forgotten_and_its_signals_stay(store):
    job, other = await claimed(store), await claimed(store)
    for one in (job, other):
        await note(store, one, steps=(a_step(1), a_step(2, "ship")))
    await store.signal(NAMESPACE, job.id, a_signal())
    await settle(store, job)

    count = await store.forget_steps(NAMESPACE, job.id, revision=(await read(store, job.id)).revision)

    assert count == 2
    assert await kept(store, job) == Kept(now=NOW, signals=(a_signal(),))
    assert len((await kept(store, other)).steps) == 2


async def test_job_that_kept_nothing_has_nothing_to_forget(store):
    job = await claimed(store)
    await settle(store, job)

    assert await store.forget_steps(NAMESPACE, job.id, revision=(await read(store, job.id)).revision) == 0


async def test_steps_are_forgotten_only_while_the_job_is_as_it_was_seen(store):
    running = await claimed(store)
    await note(store, running, steps=(a_step(),))
    while_running = await store.forget_steps(NAMESPACE, running.id, revision=running.revision)
    await settle(store, running, a_failure(error_class=ErrorClass.PERMANENT))
    failed = await read(store, running.id)
    await happen(store, failed, RetryAsked())

    answers = [
        while_running,
        await store.forget_steps(NAMESPACE, failed.id, revision=failed.revision),
        await store.forget_steps(NAMESPACE, failed.id, revision=failed.revision + 1),
        await store.forget_steps("other", failed.id, revision=failed.revision + 1),
        await store.forget_steps(NAMESPACE, "a\0b", revision=1),
    ]

    assert answers == [None] * 5
    assert (await kept(store, running)).steps == (a_step(),)
