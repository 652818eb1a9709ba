"""A handler's signature as the schema of its payload."""

import inspect
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Final, NotRequired, get_type_hints

import pydantic_core
import typing_extensions
from pydantic import AliasChoices, ConfigDict, Field, PydanticUserError, TypeAdapter, ValidationError
from pydantic.alias_generators import to_camel

from headrace.core import wire
from headrace.core.wire import MAX_PAYLOAD_BYTES, Json
from headrace.engine.context import Context
from headrace.errors import FieldError, InvalidInput, InvalidPayload, MisuseError

_EMPTY: Final = inspect.Parameter.empty


class PayloadSchema:
    """Turns call arguments into a payload and a payload into call arguments, checking both ways.

    Parameters annotated as ``Context`` are no part of the payload. A parameter ``order_id`` is also
    accepted as ``orderId``. Anything the handler does not name is refused.
    """

    def __init__(self, job_type: str, handler: Callable[..., object]) -> None:
        self.job_type = job_type
        self._signature = inspect.signature(handler)
        hints = hints_of(job_type, handler)
        self.context_parameter = _context_parameter(job_type, self._signature, hints)
        self._names = tuple(name for name in self._signature.parameters if name != self.context_parameter)
        self._adapter = _adapter(job_type, self._signature, hints, self._names)
        self._returns = _returns(job_type, hints)

    @property
    def fields(self) -> frozenset[str]:
        """The names of the payload's fields, as the handler names them."""
        return frozenset(self._names)

    def encode_call(self, args: tuple[object, ...], kwargs: Mapping[str, object]) -> str:
        """The payload for a call with these arguments. Raises InvalidPayload."""
        named = self._named(args, kwargs) if args else kwargs
        adapter = self._adapter  # whose own methods do the same in twice the time
        try:
            checked: object = adapter.validator.validate_python(named, by_alias=False, by_name=True)
            text = adapter.serializer.to_json(checked).decode()
            if "null" in text:
                refuse_non_numbers(checked)
        except ValidationError as error:
            raise self._invalid(error) from error
        except (ValueError, pydantic_core.PydanticSerializationError) as error:
            raise InvalidPayload(self.job_type, (FieldError(pointer="", message=str(error)),)) from error
        return wire.checked(text)

    def check(self, payload: Json) -> str:
        """A payload that came as JSON, unchanged, once it fits the schema. Raises InvalidPayload."""
        text = wire.encode(payload)
        self.decode(text)
        return text

    def decode(self, payload: str) -> dict[str, Any]:
        """The keyword arguments that a payload stands for. Raises InvalidPayload."""
        try:
            return self._adapter.validate_json(payload)
        except ValidationError as error:
            raise self._invalid(error) from error

    def encode_result(self, value: object) -> str | None:
        """What a handler returned, as a JSON text. Raises InvalidInput if it cannot be kept."""
        if value is None:
            return None
        try:
            text = pydantic_core.to_json(value).decode()
        except (ValueError, pydantic_core.PydanticSerializationError) as error:
            msg = f"result cannot be kept as JSON: {error}"
            raise InvalidInput(msg, field="result") from error
        if "NaN" in text or "Infinity" in text:
            wire.decode(text, what="result")
        return wire.checked(text, limit=MAX_PAYLOAD_BYTES, what="result")

    def decode_result(self, text: str | None) -> Any:  # noqa: ANN401 - the handler's own return type
        """The handler's return value again, in its annotated type."""
        return self._returns.validate_json("null" if text is None else text)

    def json_schema(self) -> dict[str, Any]:
        """The payload's JSON Schema (2020-12), with the field names a JSON client uses."""
        schema = self._adapter.json_schema(by_alias=True)
        properties: dict[str, Any] = schema.get("properties", {})
        for name in self._names:
            default = self._signature.parameters[name].default
            if default is not _EMPTY:
                properties[to_camel(name)]["default"] = pydantic_core.to_jsonable_python(
                    default, fallback=repr
                )
        schema.pop("title", None)
        return schema

    def _named(self, args: tuple[object, ...], kwargs: Mapping[str, object]) -> dict[str, object]:
        named: dict[str, object] = dict(zip(self._names, args, strict=False))
        if len(args) > len(self._names) or (twice := named.keys() & kwargs.keys()):
            twice = ", ".join(sorted(named.keys() & kwargs.keys())) or "too many positional arguments"
            raise InvalidPayload(self.job_type, (FieldError(pointer="", message=f"given twice: {twice}"),))
        return {**named, **kwargs}

    def _invalid(self, error: ValidationError) -> InvalidPayload:
        found = tuple(
            FieldError(pointer=_pointer(one["loc"]), message=one["msg"].removeprefix("Value error, "))
            for one in error.errors(include_url=False, include_context=False, include_input=False)
        )
        return InvalidPayload(self.job_type, found)


def refuse_non_numbers(value: object) -> None:
    """NaN and infinity in an untyped parameter would be kept as null. Raises InvalidInput."""
    text = pydantic_core.to_json(value, fallback=repr)
    if b"NaN" in text or b"Infinity" in text:
        wire.decode(text, what="payload")


def _pointer(parts: tuple[int | str, ...]) -> str:
    """A JSON Pointer (RFC 6901)."""
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in parts)


def hints_of(job_type: str, handler: Callable[..., object]) -> dict[str, Any]:
    """The types of a handler's parameters. Raises MisuseError for one that cannot be resolved."""
    target = handler if inspect.isroutine(handler) else type(handler).__call__
    try:
        return get_type_hints(inspect.unwrap(target), include_extras=True)
    except NameError as error:
        msg = f"{job_type}: an annotation cannot be resolved ({error}); import the type at module level"
        raise MisuseError(msg) from error


def _context_parameter(job_type: str, signature: inspect.Signature, hints: Mapping[str, Any]) -> str | None:
    found = [name for name in signature.parameters if hints.get(name) is Context]
    if len(found) > 1:
        msg = f"{job_type}: only one parameter may be a Context, found {', '.join(found)}"
        raise MisuseError(msg)
    return found[0] if found else None


def _adapter(
    job_type: str, signature: inspect.Signature, hints: Mapping[str, Any], names: tuple[str, ...]
) -> TypeAdapter[dict[str, Any]]:
    fields: dict[str, Any] = {}
    for name in names:
        parameter = signature.parameters[name]
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD, parameter.POSITIONAL_ONLY):
            msg = f"{job_type}: parameter {name!r} must be an ordinary named parameter"
            raise MisuseError(msg)
        kind: Any = Annotated[
            hints.get(name, Any),
            Field(validation_alias=AliasChoices(to_camel(name), name), serialization_alias=to_camel(name)),
        ]
        fields[name] = kind if parameter.default is _EMPTY else NotRequired[kind]
    shape: Any = typing_extensions.TypedDict(f"{job_type} payload", fields)  # pyright: ignore[reportArgumentType]
    shape.__pydantic_config__ = ConfigDict(extra="forbid", allow_inf_nan=False, ser_json_inf_nan="constants")
    try:
        return TypeAdapter(shape)
    except PydanticUserError as error:
        msg = f"{job_type}: a parameter's type has no JSON form: {error}"
        raise MisuseError(msg) from error


def _returns(job_type: str, hints: Mapping[str, Any]) -> TypeAdapter[Any]:
    try:
        return TypeAdapter(hints.get("return", Any))
    except PydanticUserError as error:
        msg = f"{job_type}: the return type has no JSON form: {error}"
        raise MisuseError(msg) from error
