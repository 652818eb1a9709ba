"""Signatures by the Standard Webhooks specification, version ``v1``."""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Sequence
from typing import Final

from headrace.errors import InvalidInput

PREFIX: Final = "whsec_"
MIN_SECRET_BYTES: Final = 24
MAX_SECRET_BYTES: Final = 64


class Signer:
    """Signs with every secret, so that receivers verify with the old or the new one while keys change."""

    def __init__(self, secrets: Sequence[str] = ()) -> None:
        """Raises InvalidInput for a secret that is none, without repeating it."""
        self._keys = tuple(_key(secret, number) for number, secret in enumerate(secrets, start=1))

    def headers(self, webhook_id: str, timestamp: int, body: bytes) -> dict[str, str]:
        """The headers of one attempt; ``timestamp`` in seconds. Unsigned where there is no secret."""
        headers = {"webhook-id": webhook_id, "webhook-timestamp": str(timestamp)}
        if self._keys:
            content = f"{webhook_id}.{timestamp}.".encode() + body
            headers["webhook-signature"] = " ".join(_signature(key, content) for key in self._keys)
        return headers


def _signature(key: bytes, content: bytes) -> str:
    return "v1," + base64.b64encode(hmac.digest(key, content, hashlib.sha256)).decode()


def _key(secret: str, number: int) -> bytes:
    text = secret.removeprefix(PREFIX).rstrip("=")
    try:
        key = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not MIN_SECRET_BYTES <= len(key) <= MAX_SECRET_BYTES:
        msg = (
            f"webhook secret {number} is not {PREFIX} followed by base64 of"
            f" {MIN_SECRET_BYTES} to {MAX_SECRET_BYTES} bytes"
        )
        raise InvalidInput(msg, field="HEADRACE_WEBHOOK_SECRETS")
    return key
