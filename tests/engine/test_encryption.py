"""Payloads that the store keeps encrypted."""

import json
import logging
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from headrace import (
    App,
    Context,
    IdempotencyMismatch,
    InvalidInput,
    InvalidPayload,
    JobFailed,
    ManualClock,
    OnConflict,
    Permanent,
    Settings,
    State,
)
from headrace.core import wire
from headrace.core.request import EnqueueRequest
from headrace.encryption import Encrypted, key_id, new_key
from headrace.errors import MisuseError, TooLarge, Undecodable
from headrace.stores.values import InsertKind
from headrace.testing import assert_enqueued, drain

OLD, NEW, OTHER = new_key(), new_key(), new_key()
SECRET = "4111-1111-1111-1111"

Programs = Callable[..., App]


@pytest.fixture
async def programs(tmp_path: Path, anyio_backend: str) -> AsyncIterator[Programs]:
    """Programs with codecs of their own on one store."""
    made: list[App] = []
    clock = ManualClock()

    def program(codec: Any = None) -> App:
        url = f"sqlite:///{tmp_path / 'jobs.db'}"
        made.append(App(url, settings=Settings(), clock=clock, codec=codec))
        return made[-1]

    yield program
    for app in made:
        await app.close()


def paying(app: App):
    @app.job(name="pay")
    async def pay(ctx: Context, card_number: str, amount: int) -> dict[str, Any]:
        if amount < 0:
            raise Permanent("no such amount")
        return {"card": card_number, "amount": amount}

    return pay


async def stored(app: App, job_id: str) -> dict[str, Any]:
    return json.loads((await (await app.operations()).job(job_id)).facts.payload)


async def test_whole_payload_is_stored_encrypted_and_the_handler_gets_it_plain(programs: Programs) -> None:
    app = programs(Encrypted([NEW]))
    handle = await paying(app).enqueue(SECRET, 5)

    await drain(app)

    held = await stored(app, handle.id)
    assert (set(held), held["key"]) == ({"$encrypted", "key"}, key_id(NEW))
    assert await handle.result(timeout=5) == {"card": SECRET, "amount": 5}


async def test_only_named_fields_are_encrypted_however_they_are_spelled(programs: Programs) -> None:
    app = programs(Encrypted([NEW], fields={"pay": ("card_number",)}))
    typed = await paying(app).enqueue(SECRET, 5)
    operations = await app.operations()
    payload = {"cardNumber": SECRET, "amount": 6}
    (from_json,) = await operations.enqueue([EnqueueRequest(type="pay", payload=payload)])

    await drain(app)

    assert (await stored(app, typed.id))["amount"] == 5
    for job_id in (typed.id, from_json.job_id):
        assert SECRET not in json.dumps(await stored(app, job_id))
        assert (await (await app.handle(job_id)).result(timeout=5))["card"] == SECRET


async def test_types_without_named_fields_stay_in_the_clear(programs: Programs) -> None:
    app = programs(Encrypted([NEW], fields={"other": ("card_number",)}))

    handle = await paying(app).enqueue(SECRET, 5)

    assert await stored(app, handle.id) == {"card_number": SECRET, "amount": 5}


async def test_results_are_encrypted_where_that_is_asked_for(programs: Programs) -> None:
    app = programs(Encrypted([NEW], results=("pay",)))
    handle = await paying(app).enqueue(SECRET, 5)

    await drain(app)

    assert SECRET not in ((await handle.job()).placement.result or "")
    assert await handle.result(timeout=5) == {"card": SECRET, "amount": 5}
    assert await (await app.handle(handle.id)).result(timeout=5) == {"card": SECRET, "amount": 5}


async def test_first_key_encrypts_and_all_keys_decrypt(programs: Programs) -> None:
    before, after = programs(Encrypted([OLD])), programs(Encrypted([NEW, OLD]))
    old = await paying(before).enqueue(SECRET, 1)
    new = await paying(after).enqueue(SECRET, 2)

    ran = await drain(after)

    assert [one.state for one in ran] == [State.COMPLETED] * 2
    assert [(await stored(after, one.id))["key"] for one in (old, new)] == [key_id(OLD), key_id(NEW)]


async def test_payload_of_an_unknown_key_fails_at_once_and_names_the_keys_only(programs: Programs) -> None:
    before, after = programs(Encrypted([OLD])), programs(Encrypted([NEW, OTHER]))
    handle = await paying(before).enqueue(SECRET, 1)
    paying(after)

    (ran,) = await drain(after)

    job = await handle.job()
    error = json.loads(job.placement.error or "")
    assert (ran.state, job.placement.failures, error["class"]) == (State.FAILED, 1, "permanent")
    assert all(key_id(key) in error["message"] for key in (OLD, NEW, OTHER))
    assert SECRET not in json.dumps(error)
    assert (await stored(after, handle.id))["$encrypted"] not in json.dumps(error)


async def test_nothing_that_can_be_read_holds_the_secret(
    programs: Programs, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    codec = Encrypted([NEW], results=("pay",))
    app, typed = programs(codec), programs(codec)
    pay = paying(app)
    await pay.enqueue(SECRET, 1)
    refused = await pay.enqueue(SECRET, -1)

    @typed.job(name="pay")
    async def later(card_number: int, amount: int) -> None: ...  # the first payload does not fit it any more

    misfit = await drain(typed)
    listed = [wire.job_to_json(await (await app.operations()).job(one.job_id)) for one in misfit]
    errors = [(await (await app.operations()).job(one.job_id)).placement.error or "" for one in misfit]

    assert len(misfit) == 2
    assert [one.state for one in misfit] == [State.FAILED] * 2
    assert all("does not fit the schema" in error for error in errors)
    assert refused.id in {one.job_id for one in misfit}
    assert SECRET not in json.dumps(listed) + "".join(errors) + caplog.text + "".join(capsys.readouterr())
    assert {frozenset(one["payload"]) for one in listed} == {frozenset({"$encrypted", "key"})}


async def test_c31_repeat_with_the_same_body_gets_the_same_job_though_the_ciphertext_differs(
    programs: Programs,
) -> None:
    app = programs(Encrypted([NEW]))
    pay = paying(app).using(idempotency_key="order-1")

    first = await pay.enqueue(SECRET, 5)
    again = await pay.enqueue(SECRET, 5)

    assert (again.id, again.kind) == (first.id, InsertKind.EXISTING)
    with pytest.raises(IdempotencyMismatch):
        await pay.enqueue(SECRET, 6)


async def test_replacing_a_job_replaces_its_encrypted_payload(programs: Programs) -> None:
    app = programs(Encrypted([NEW]))
    pay = paying(app).using(unique_key="draft", on_conflict=OnConflict.REPLACE)
    await pay.enqueue(SECRET, 5)
    handle = await pay.enqueue(SECRET, 6)

    await drain(app)

    assert (await handle.result(timeout=5))["amount"] == 6


async def test_jobs_that_waited_before_there_was_a_codec_still_run(programs: Programs) -> None:
    handle = await paying(programs()).enqueue(SECRET, 5)
    app = programs(Encrypted([NEW]))
    paying(app)

    await drain(app)

    assert (await handle.job()).state is State.COMPLETED


async def test_children_of_a_handler_are_encrypted_too(programs: Programs) -> None:
    app = programs(Encrypted([NEW]))
    pay = paying(app)

    @app.job()
    async def order(ctx: Context) -> None:
        await ctx.enqueue(pay.request(SECRET, 7))

    await order.enqueue()
    await drain(app)

    (child,) = await assert_enqueued(app, pay, {"card_number": SECRET})
    assert set(json.loads(child.job.facts.payload)) == {"$encrypted", "key"}
    assert child.job.state is State.COMPLETED


async def test_old_versions_are_decrypted_and_then_carried_forward(programs: Programs) -> None:
    before, after = programs(Encrypted([OLD])), programs(Encrypted([NEW, OLD]))
    handle = await paying(before).enqueue(SECRET, 5)

    @after.job(name="pay", version=2, upgrades={1: lambda payload: {"card": payload["card_number"]}})
    async def pay(card: str) -> bool:
        return card == SECRET

    await drain(after)

    assert await (await after.handle(handle.id)).result(timeout=5) is True


async def test_upgrade_that_fails_says_nothing_of_the_content(programs: Programs) -> None:
    before, after = programs(Encrypted([NEW])), programs(Encrypted([NEW]))
    handle = await paying(before).enqueue(SECRET, 5)

    def quotes(payload: dict[str, Any]) -> dict[str, Any]:
        raise ValueError(payload["card_number"])

    @after.job(name="pay", version=2, upgrades={1: quotes})
    async def pay(card: str) -> None: ...

    await drain(after)

    error = (await handle.job()).placement.error or ""
    assert "the upgrade from version 1 failed: ValueError" in error
    assert SECRET not in error


async def test_token_of_another_type_or_field_is_refused() -> None:
    codec = Encrypted([NEW])
    whole = codec.encode("pay", '{"card":1}')
    by_field = Encrypted([NEW], fields={"pay": ("card",)})
    sealed = json.loads(by_field.encode("pay", '{"card":1,"note":2}'))["card"]

    assert codec.decode("pay", whole) == '{"card":1}'
    for job_type, text in (
        ("refund", whole),
        ("pay", json.dumps({"note": sealed})),
        ("refund", json.dumps({"card": sealed})),
    ):
        with pytest.raises(Undecodable, match="another job type or field"):
            by_field.decode(job_type, text)


@pytest.mark.parametrize("token", ["", "gAAAAA", "no token", "é"])
def test_token_that_was_changed_is_refused(token: str) -> None:
    codec = Encrypted([NEW])
    text = json.dumps({"$encrypted": token, "key": key_id(NEW)})

    with pytest.raises(Undecodable, match=key_id(NEW)):
        codec.decode("pay", text)


@pytest.mark.parametrize(
    "text", ['{"a":1.0,"b":[null,true],"c":"é𝄞","d":123456789012345678901234567890}', "{}", '{"a":{"b":{}}}']
)
def test_payload_comes_back_as_it_was(text: str) -> None:
    codec = Encrypted([NEW])

    assert codec.decode("pay", codec.encode("pay", text)) == text


def test_keys_show_nowhere_but_by_their_ids() -> None:
    codec = Encrypted([NEW, OLD])

    assert repr(codec) == f"Encrypted(keys: {key_id(NEW)}, {key_id(OLD)})"
    assert codec.key_ids == (key_id(NEW), key_id(OLD))


def test_field_that_the_job_type_does_not_have_is_refused_when_it_is_registered() -> None:
    app = App("sqlite://", settings=Settings(), codec=Encrypted([NEW], fields={"pay": ("card",)}))

    with pytest.raises(MisuseError, match="pay has no parameter card to encrypt"):
        paying(app)


@pytest.mark.parametrize("keys", [[], ["short"], [NEW, "x" * 44]])
def test_keys_that_are_none_are_refused_without_being_told(keys: list[str]) -> None:
    with pytest.raises(MisuseError) as told:
        Encrypted(keys)

    assert all(key not in str(told.value) for key in keys)


async def test_payload_that_is_too_large_once_encrypted_is_refused(programs: Programs) -> None:
    app = programs(Encrypted([NEW]))

    with pytest.raises(TooLarge, match="the limit is"):
        await paying(app).enqueue("x" * 900_000, 1)


async def test_call_that_does_not_fit_is_told_in_full_to_its_caller(programs: Programs) -> None:
    with pytest.raises(InvalidPayload, match="Input should be a valid integer"):
        await paying(programs(Encrypted([NEW]))).enqueue(SECRET, "many")  # type: ignore[arg-type]


class Faulty:
    """A codec whose decoding fails and quotes what it read."""

    def admit(self, job_type: str, fields: frozenset[str]) -> None: ...

    def encode(self, job_type: str, text: str) -> str:
        if "refuse" in text:
            raise InvalidInput("not this one", field="payload")
        return text

    def decode(self, job_type: str, text: str) -> str:
        raise RuntimeError(text)

    def encode_result(self, job_type: str, text: str) -> str:
        return text

    def decode_result(self, job_type: str, text: str) -> str:
        return text


async def test_codec_that_raises_anything_fails_the_job_at_once_without_its_content(
    programs: Programs,
) -> None:
    app = programs(Faulty())
    handle = await paying(app).enqueue(SECRET, 1)

    (ran,) = await drain(app)

    assert (ran.state, SECRET in ((await handle.job()).placement.error or "")) == (State.FAILED, False)
    with pytest.raises(JobFailed, match="cannot be decoded: RuntimeError"):
        await handle.result(timeout=5)


async def test_codec_that_refuses_a_payload_keeps_it_from_being_enqueued(programs: Programs) -> None:
    app = programs(Faulty())

    with pytest.raises(InvalidInput, match="not this one"):
        await paying(app).enqueue("refuse", 1)

    assert (await (await app.operations()).stats()).count() == 0
