"""SaslHandshakeRequest 0-1 and SaslHandshakeResponse 0-1 (API key 17).

Written by `tools/generate_wire.py`: change that, not this.
"""

from __future__ import annotations

from pybroker.wire.message import EMPTY, NEVER, Message

API_KEY = 17


class SaslHandshakeRequest(Message):
    """Versions 0-1."""

    __slots__ = ("mechanism",)
    VERSIONS = (0, 1)
    FLEXIBLE_FROM = NEVER
    FIELDS = (("mechanism", "string", 0, 1, -1, -1, ""),)

    def __init__(
        self,
        *,
        mechanism: str = "",
    ) -> None:
        self.mechanism = mechanism


class SaslHandshakeResponse(Message):
    """Versions 0-1."""

    __slots__ = ("error_code", "mechanisms")
    VERSIONS = (0, 1)
    FLEXIBLE_FROM = NEVER
    FIELDS = (
        ("error_code", "int16", 0, 1, -1, -1, 0),
        ("mechanisms", "[]string", 0, 1, -1, -1, ()),
    )

    def __init__(
        self,
        *,
        error_code: int = 0,
        mechanisms: list[str] = EMPTY,
    ) -> None:
        self.error_code = error_code
        self.mechanisms: list[str] = [] if mechanisms is EMPTY else mechanisms
