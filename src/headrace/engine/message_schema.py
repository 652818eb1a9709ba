"""The payload of a chunk's messages: the ``Order`` of a handler's ``chunk: Chunk[Order]``."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any, Final, cast, get_args, get_origin

from pydantic import PydanticUserError, TypeAdapter, ValidationError
from pydantic_core import PydanticSerializationError

from headrace.core import wire
from headrace.engine.chunk import Chunk
from headrace.engine.payload import PayloadSchema, hints_of, refuse_non_numbers
from headrace.errors import FieldError, InvalidPayload, MisuseError

PAYLOAD: Final = "payload"
"""Under this name ``decode`` gives the message's payload."""


class MessageSchema(PayloadSchema):
    """Turns a message's payload into JSON and back, checking both ways.

    The payload is a model, a dataclass or a TypedDict, and its fields are those of the JSON object.
    """

    def __init__(self, job_type: str, handler: Callable[..., object]) -> None:
        payload = _payload_type(job_type, handler)
        try:
            adapter: TypeAdapter[Any] = TypeAdapter(payload)
            schema = adapter.json_schema(by_alias=True)
        except PydanticUserError as error:
            msg = f"{job_type}: the messages' type has no JSON form: {error}"
            raise MisuseError(msg) from error
        self.job_type = job_type
        self.context_parameter = None
        self._signature = inspect.signature(handler)
        self._adapter = adapter
        self._schema = schema
        self._names = _fields(job_type, schema)
        self._returns = TypeAdapter(Any)

    def encode_call(self, args: tuple[object, ...], kwargs: Mapping[str, object]) -> str:
        """The payload of one message, which is the only argument. Raises InvalidPayload."""
        if len(args) != 1 or kwargs:
            told = "a message is enqueued with its payload as the only argument"
            raise InvalidPayload(self.job_type, (FieldError(pointer="", message=told),))
        try:
            checked: object = self._adapter.validate_python(args[0])
            text = self._adapter.dump_json(cast("Any", checked), by_alias=True).decode()
            if "null" in text:
                refuse_non_numbers(checked)
        except ValidationError as error:
            raise self._invalid(error) from error
        except (ValueError, PydanticSerializationError) as error:
            raise InvalidPayload(self.job_type, (FieldError(pointer="", message=str(error)),)) from error
        return wire.checked(text)

    def decode(self, payload: str) -> dict[str, Any]:
        """The message's payload under the name PAYLOAD. Raises InvalidPayload."""
        try:
            return {PAYLOAD: self._adapter.validate_json(payload)}
        except ValidationError as error:
            raise self._invalid(error) from error

    def json_schema(self) -> dict[str, Any]:
        """The payload's JSON Schema (2020-12)."""
        return dict(self._schema)


def _payload_type(job_type: str, handler: Callable[..., object]) -> Any:  # noqa: ANN401 - any type there is
    parameters = list(inspect.signature(handler).parameters.values())
    hints = hints_of(job_type, handler)
    hint = hints.get(parameters[0].name) if parameters else None
    needed = [one for one in parameters[1:] if one.default is inspect.Parameter.empty]
    if needed or not (hint is Chunk or get_origin(hint) is Chunk):
        msg = (
            f"{job_type}: the handler of a chunk has one parameter, annotated as Chunk[Order], where Order "
            "is the model, dataclass or TypedDict of a message"
        )
        raise MisuseError(msg)
    return (get_args(hint) or (dict[str, Any],))[0]


def _fields(job_type: str, schema: Mapping[str, Any]) -> tuple[str, ...]:
    found = schema
    if (reference := found.get("$ref")) is not None:
        found = schema["$defs"][str(reference).rpartition("/")[2]]
    if found.get("type") != "object":
        msg = f"{job_type}: a message's payload is a JSON object: use a model, a dataclass or a TypedDict"
        raise MisuseError(msg)
    return tuple(found.get("properties", {}))
