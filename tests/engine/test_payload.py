import math
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Any, Literal
from uuid import UUID

import pytest
from pydantic import BaseModel, Field
from typing_extensions import TypedDict

from headrace.engine.context import Context
from headrace.engine.payload import PayloadSchema
from headrace.errors import InvalidInput, InvalidPayload, MisuseError


class Address(BaseModel):
    street: str
    number: int = 1


@dataclass
class Line:
    sku: str
    count: int


class Options(TypedDict):
    gift: bool


class Cat(BaseModel):
    type: Literal["cat"]
    lives: int


class Dog(BaseModel):
    type: Literal["dog"]
    name: str


def everything(
    *,
    address: Address,
    line: Line,
    options: Options,
    pet: Annotated[Cat | Dog, Field(discriminator="type")],
    when: datetime,
    ident: UUID,
    price: Decimal,
) -> None: ...


def test_models_dataclasses_unions_and_scalars_round_trip() -> None:
    schema = PayloadSchema("everything", everything)
    call = {
        "address": Address(street="Mill Lane"),
        "line": Line("wheel", 2),
        "options": Options(gift=True),
        "pet": Dog(type="dog", name="Rex"),
        "when": datetime(2026, 1, 31, 9, 30, tzinfo=UTC),
        "ident": UUID("018bcfe5-6800-7113-b63c-5ab791b7584a"),
        "price": Decimal("12.50"),
    }

    decoded = schema.decode(schema.encode_call((), call))

    assert decoded == call


def an_order(order_id: int, to: str = "nobody", *, ctx: Context | None = None) -> None: ...


def with_context(ctx: Context, order_id: int) -> None: ...


def test_a_context_parameter_is_no_part_of_the_payload() -> None:
    schema = PayloadSchema("with-context", with_context)

    assert schema.context_parameter == "ctx"
    assert schema.encode_call((7,), {}) == '{"order_id":7}'


def test_a_payload_that_came_as_json_is_kept_as_it_was_given() -> None:
    schema = PayloadSchema("with-context", with_context)

    assert schema.check({"orderId": 7}) == '{"orderId":7}'
    assert schema.decode('{"orderId":7}') == {"order_id": 7}
    assert schema.decode('{"order_id":7}') == {"order_id": 7}


@pytest.mark.parametrize(
    ("payload", "pointer"),
    [
        ({"orderId": "seven"}, "/orderId"),
        ({}, "/orderId"),
        ({"orderId": 7, "extra": 1}, "/extra"),
        ([7], ""),
        ("7", ""),
        (None, ""),
    ],
)
def test_a_wrong_payload_is_refused_and_names_the_field(payload: Any, pointer: str) -> None:
    schema = PayloadSchema("with-context", with_context)

    with pytest.raises(InvalidPayload) as caught:
        schema.check(payload)

    assert pointer in [error.pointer for error in caught.value.errors]


@pytest.mark.parametrize("args", [(1, 2), (1,)], ids=["too many", "twice"])
def test_a_call_that_does_not_fit_is_refused(args: tuple[int, ...]) -> None:
    schema = PayloadSchema("with-context", with_context)

    with pytest.raises(InvalidPayload):
        schema.encode_call(args, {"order_id": 7})


def measured(value: float) -> float:
    return value


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_numbers_that_json_has_not_are_refused(value: float) -> None:
    schema = PayloadSchema("measured", measured)

    with pytest.raises(InvalidPayload):
        schema.encode_call((value,), {})
    with pytest.raises(InvalidInput):
        schema.encode_result({"value": value})


def test_a_lone_surrogate_is_refused() -> None:
    def say(text: str) -> None: ...

    schema = PayloadSchema("say", say)

    with pytest.raises(InvalidInput):
        schema.encode_call(("\ud800",), {})


def test_a_result_comes_back_in_its_annotated_type() -> None:
    def total() -> Line: ...

    schema = PayloadSchema("total", total)

    assert schema.decode_result(schema.encode_result(Line("wheel", 3))) == Line("wheel", 3)


def test_the_schema_shows_names_types_and_defaults() -> None:
    def order(order_id: int, max_pages: int = 100) -> None: ...

    schema = PayloadSchema("order", order).json_schema()

    assert schema["required"] == ["orderId"]
    assert schema["properties"]["maxPages"]["default"] == 100
    assert schema["properties"]["orderId"]["type"] == "integer"
    assert schema["additionalProperties"] is False


def test_signatures_that_cannot_be_a_payload_are_refused() -> None:
    def spread(*args: int) -> None: ...
    def named(**kwargs: int) -> None: ...
    def positional(a: int, /) -> None: ...
    def two(a: Context, b: Context) -> None: ...
    def unknown(a: object.__class__ | range) -> None: ...

    for handler in (spread, named, positional, two, unknown):
        with pytest.raises(MisuseError):
            PayloadSchema("bad", handler)


def test_parameters_named_like_model_attributes_are_allowed() -> None:
    def odd(schema: str, json: int, model_config: int, copy: bool) -> None: ...

    payload = PayloadSchema("odd", odd)

    assert payload.decode(payload.encode_call(("s", 1, 2, True), {})) == {
        "schema": "s",
        "json": 1,
        "model_config": 2,
        "copy": True,
    }


def test_result_with_a_number_that_could_not_be_read_back_is_refused() -> None:
    def large() -> int: ...

    with pytest.raises(InvalidInput, match="digits"):
        PayloadSchema("large", large).encode_result(10**5000)


def test_c9_numbers_that_json_has_not_are_refused_in_untyped_parameters():
    def keep(data: Any) -> None: ...

    schema = PayloadSchema("keep", keep)

    with pytest.raises(InvalidInput):
        schema.encode_call(({"x": [math.nan]},), {})
    assert schema.encode_call(({"x": None, "y": "NaN"},), {}) == '{"data":{"x":null,"y":"NaN"}}'
