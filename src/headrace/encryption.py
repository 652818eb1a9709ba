"""Payloads that the store keeps encrypted: ``App(codec=Encrypted(keys=[...]))``. Needs ``headrace[crypto]``.

Each encrypted value is stored as ``{"$encrypted": token, "key": id}``. The token is Fernet's (AES-128-CBC
with HMAC-SHA-256) and holds the job type and the field beside the value, so that a token that somebody copied
into another type's payload or another field is refused. The first key encrypts, all keys decrypt.
"""

import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final, cast

from cryptography.fernet import Fernet, InvalidToken
from pydantic.alias_generators import to_camel

from headrace.errors import MisuseError, Undecodable

__all__ = ["Encrypted", "new_key"]

TOKEN: Final = "$encrypted"  # noqa: S105 - a name in JSON
KEY: Final = "key"

_WHOLE: Final = ""
_RESULT: Final = "$result"


def new_key() -> str:
    """A fresh key, to be kept where the other secrets are."""
    return Fernet.generate_key().decode()


class Encrypted:
    """A ``PayloadCodec`` that encrypts whole payloads, or the ``fields`` named for each job type.

    ``keys``: the first encrypts, all decrypt; a new key is put in front. ``fields``: only these top-level
    fields, ``{"send_receipt": ("to",)}``; types that are not named stay in the clear. ``results``: the job
    types whose results are encrypted as well. Raises MisuseError for keys that are none.
    """

    def __init__(
        self,
        keys: Sequence[str],
        *,
        fields: Mapping[str, Collection[str]] | None = None,
        results: Collection[str] = (),
    ) -> None:
        if not keys:
            msg = "Encrypted needs at least one key, made by headrace.encryption.new_key()"
            raise MisuseError(msg)
        self._keys = {key_id(key): _fernet(number, key) for number, key in enumerate(keys, start=1)}
        self._first = key_id(keys[0])
        self._fields = None if fields is None else {name: frozenset(some) for name, some in fields.items()}
        self._results = frozenset(results)

    def __repr__(self) -> str:
        return f"Encrypted(keys: {', '.join(self._keys)})"

    @property
    def key_ids(self) -> tuple[str, ...]:
        """What the keys are called in stored values and in errors; tells nothing of the keys."""
        return tuple(self._keys)

    def admit(self, job_type: str, fields: frozenset[str]) -> None:
        """Refuses a job type without one of the fields to encrypt, which would be stored in the clear."""
        missing = sorted(self._named(job_type) - fields)
        if missing:
            there = ", ".join(sorted(fields))
            msg = f"{job_type} has no parameter {', '.join(missing)} to encrypt; it has {there}"
            raise MisuseError(msg)

    def encode(self, job_type: str, text: str) -> str:
        if self._fields is None:
            return _dump(self._sealed(job_type, _WHOLE, json.loads(text)))
        named = self._named(job_type)
        if not named:
            return text
        spelled = named.union(map(to_camel, named))  # a payload that came as JSON may have either
        payload = cast("dict[str, Any]", json.loads(text))
        return _dump(
            {
                name: self._sealed(job_type, to_camel(name), value) if name in spelled else value
                for name, value in payload.items()
            }
        )

    def decode(self, job_type: str, text: str) -> str:
        if TOKEN not in text:
            return text
        payload: Any = json.loads(text)
        if _is_sealed(payload):
            return _dump(self._opened(job_type, _WHOLE, payload, "payload"))
        return _dump(
            {
                name: self._opened(job_type, to_camel(name), value, "payload") if _is_sealed(value) else value
                for name, value in payload.items()
            }
        )

    def encode_result(self, job_type: str, text: str) -> str:
        if job_type not in self._results:
            return text
        return _dump(self._sealed(job_type, _RESULT, json.loads(text)))

    def decode_result(self, job_type: str, text: str) -> str:
        if TOKEN not in text:
            return text
        result: Any = json.loads(text)
        return _dump(self._opened(job_type, _RESULT, result, "result")) if _is_sealed(result) else text

    def _named(self, job_type: str) -> frozenset[str]:
        return frozenset() if self._fields is None else self._fields.get(job_type, frozenset())

    def _sealed(self, job_type: str, field: str, value: object) -> dict[str, str]:
        token = self._keys[self._first].encrypt(_dump([job_type, field, value]).encode())
        return {TOKEN: token.decode(), KEY: self._first}

    def _opened(self, job_type: str, field: str, sealed: Mapping[str, str], what: str) -> object:
        mine = ", ".join(self._keys)
        known = self._keys.get(sealed[KEY])
        if known is None:
            msg = (
                f"the {what} of {job_type!r} was encrypted with key {sealed[KEY][:16]!r}, and this program "
                f"has {mine}: add the key behind the others and retry the job"
            )
            raise Undecodable(msg, field=what)
        try:
            kind, place, value = json.loads(known.decrypt(sealed[TOKEN].encode()))
        except (InvalidToken, ValueError, TypeError):
            msg = f"the {what} of {job_type!r} cannot be decrypted with key {sealed[KEY]} (known: {mine})"
            raise Undecodable(msg, field=what) from None
        if (kind, place) != (job_type, field):
            msg = f"the {what} of {job_type!r} holds what was encrypted for another job type or field"
            raise Undecodable(msg, field=what)
        return value


def key_id(key: str) -> str:
    """The first digits of the key's SHA-256."""
    return hashlib.sha256(key.encode()).hexdigest()[:8]


def _fernet(number: int, key: str) -> Fernet:
    try:
        return Fernet(key)
    except ValueError:
        msg = f"key {number} is not 32 bytes in url-safe base64: headrace.encryption.new_key() makes one"
        raise MisuseError(msg) from None


def _is_sealed(value: object) -> bool:
    if not isinstance(value, dict):
        return False
    held = cast("dict[object, object]", value)
    return held.keys() == {TOKEN, KEY} and all(isinstance(part, str) for part in held.values())


def _dump(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
