"""Signatures of requests between workers (KIP-507).

In: a body and the group's session key. Out: the MAC that goes with it, or whether a given one is right.
What must hold: comparison takes the same time whatever differs.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from typing import Final

from connect.api.errors import ConnectError
from connect.core.config_state import SessionKey

SIGNATURE_HEADER: Final = "X-Connect-Authorization"
ALGORITHM_HEADER: Final = "X-Connect-Request-Signature-Algorithm"

_HASHES: Final = {
    "HmacSHA1": hashlib.sha1,
    "HmacSHA224": hashlib.sha224,
    "HmacSHA256": hashlib.sha256,
    "HmacSHA384": hashlib.sha384,
    "HmacSHA512": hashlib.sha512,
}
# What Java's key generators make without a size.
_KEY_BITS: Final = {
    "HmacSHA1": 512,
    "HmacSHA224": 224,
    "HmacSHA256": 256,
    "HmacSHA384": 384,
    "HmacSHA512": 512,
}


def session_key_bits(algorithm: str, configured: int | None) -> int:
    return configured if configured is not None else _KEY_BITS[algorithm]


def sign(key: SessionKey, algorithm: str, body: bytes) -> bytes:
    """The MAC. ConnectError for an algorithm that is not known."""
    digest = _HASHES.get(algorithm)
    if digest is None:
        raise ConnectError(f"Unknown signature algorithm {algorithm}")
    return hmac.new(base64.b64decode(key.key), body, digest).digest()


class SignatureError(ConnectError):
    """`status` is the HTTP status of the refusal."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def verify(
    key: SessionKey | None,
    allowed: list[str],
    signature: str | None,
    algorithm: str | None,
    body: bytes,
) -> None:
    """SignatureError unless the request comes from a worker of the group."""
    if signature is None:
        raise SignatureError(400, "Internal request missing required signature")
    if algorithm is None:
        raise SignatureError(400, "Internal request missing required signature algorithm")
    try:
        given = base64.b64decode(signature, validate=True)
    except (binascii.Error, ValueError):
        raise SignatureError(400, "Internal request signature is not valid base64") from None
    if algorithm not in _HASHES or algorithm not in allowed:
        raise SignatureError(
            400,
            f"This worker does not support the '{algorithm}' key signing algorithm used by other workers.",
        )
    if key is None:
        raise SignatureError(
            503,
            "This worker is still starting up and has not been able to read a session key from the config "
            "topic yet",
        )
    if not hmac.compare_digest(given, sign(key, algorithm, body)):
        raise SignatureError(403, "Internal request contained invalid signature.")
