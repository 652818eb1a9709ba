"""Payloads and results that are stored otherwise than they are: the hook, and where it is used.

A codec stands between the engine and the store. Everything above it, the schema, the digest of an
idempotency key, the handler, sees plain JSON; the store, the listings and the logs see what it made.
"""

from dataclasses import replace
from typing import Any, Protocol

from headrace.core import wire
from headrace.errors import InvalidInput, Undecodable
from headrace.stores.protocol import NewJob


class PayloadCodec(Protocol):
    """Turns the JSON text of a payload or result into the JSON text that is stored, and back.

    What is stored must be JSON too, that of a payload an object. ``decode`` gets what ``encode`` made at any
    earlier time, and payloads that were stored before there was a codec: it returns those as they are. Called
    from several threads.
    """

    def admit(self, job_type: str, fields: frozenset[str]) -> None:
        """Called with each job type and the names of its payload's fields. Raises MisuseError to refuse."""
        ...

    def encode(self, job_type: str, text: str) -> str:
        """The payload as it is stored. Raises InvalidInput, and then nothing is."""
        ...

    def decode(self, job_type: str, text: str) -> str:
        """The payload as it was given to ``encode``. Raises Undecodable, and tells nothing of its content."""
        ...

    def encode_result(self, job_type: str, text: str) -> str:
        """The result as it is stored; the text itself for results that are kept in the clear."""
        ...

    def decode_result(self, job_type: str, text: str) -> str:
        """The result as it was given to ``encode_result``. Raises Undecodable."""
        ...


class ReadsResults(Protocol):
    """Turns a stored result into what the handler returned."""

    def decode_result(self, text: str | None) -> Any:  # noqa: ANN401 - the handler's own return type
        """The handler's return value again, in its annotated type."""
        ...


class CodedResults:
    """Reads the results of a job type whose results pass through a codec."""

    def __init__(self, job_type: str, codec: PayloadCodec, plain: ReadsResults) -> None:
        self._job_type = job_type
        self._codec = codec
        self._plain = plain

    def decode_result(self, text: str | None) -> Any:  # noqa: ANN401 - the handler's own return type
        """The handler's return value again. Raises Undecodable."""
        if text is None:
            return self._plain.decode_result(None)
        return self._plain.decode_result(plain_result(self._codec, self._job_type, text))


def coded(job: NewJob, codec: PayloadCodec) -> NewJob:
    """The job as it is stored. Its receipt keeps the digest of the plain payload: a repeat must match."""
    facts = job.facts
    text = wire.checked(codec.encode(facts.type, facts.payload))
    return replace(job, facts=replace(facts, payload=text))


def plain_payload(codec: PayloadCodec | None, job_type: str, text: str) -> str:
    """A stored payload as it was enqueued. Raises Undecodable."""
    if codec is None:
        return text
    try:
        return codec.decode(job_type, text)
    except InvalidInput:
        raise
    except Exception as error:  # boundary: a codec may raise anything, with the content in its message
        raise _undecodable("payload", job_type, error) from None


def plain_result(codec: PayloadCodec, job_type: str, text: str) -> str:
    """A stored result as the handler returned it. Raises Undecodable."""
    try:
        return codec.decode_result(job_type, text)
    except InvalidInput:
        raise
    except Exception as error:  # boundary: a codec may raise anything, with the content in its message
        raise _undecodable("result", job_type, error) from None


def stored_result(codec: PayloadCodec, job_type: str, text: str) -> str:
    """A result as it is stored."""
    return wire.checked(codec.encode_result(job_type, text), what="result")


def _undecodable(what: str, job_type: str, error: Exception) -> Undecodable:
    return Undecodable(f"the {what} of {job_type!r} cannot be decoded: {type(error).__name__}", field=what)
