"""AlterUserScramCredentialsRequest 0-0 and AlterUserScramCredentialsResponse 0-0 (API key 51).

Written by `tools/generate_wire.py`: change that, not this.
"""

# ruff: noqa: RUF023 (slots are in wire order)
from __future__ import annotations

from pybroker.wire.message import EMPTY, Message

API_KEY = 51


class ScramCredentialDeletion(Message):
    """Version 0, flexible from 0."""

    __slots__ = ("name", "mechanism")
    VERSIONS = (0, 0)
    FLEXIBLE_FROM = 0
    FIELDS = (
        ("name", "string", 0, 0, -1, -1, ""),
        ("mechanism", "int8", 0, 0, -1, -1, 0),
    )

    def __init__(
        self,
        *,
        name: str = "",
        mechanism: int = 0,
    ) -> None:
        self.name = name
        self.mechanism = mechanism


class ScramCredentialUpsertion(Message):
    """Version 0, flexible from 0."""

    __slots__ = ("name", "mechanism", "iterations", "salt", "salted_password")
    VERSIONS = (0, 0)
    FLEXIBLE_FROM = 0
    FIELDS = (
        ("name", "string", 0, 0, -1, -1, ""),
        ("mechanism", "int8", 0, 0, -1, -1, 0),
        ("iterations", "int32", 0, 0, -1, -1, 0),
        ("salt", "bytes", 0, 0, -1, -1, b""),
        ("salted_password", "bytes", 0, 0, -1, -1, b""),
    )

    def __init__(
        self,
        *,
        name: str = "",
        mechanism: int = 0,
        iterations: int = 0,
        salt: bytes | memoryview = b"",
        salted_password: bytes | memoryview = b"",
    ) -> None:
        self.name = name
        self.mechanism = mechanism
        self.iterations = iterations
        self.salt = salt
        self.salted_password = salted_password


class AlterUserScramCredentialsRequest(Message):
    """Version 0, flexible from 0."""

    __slots__ = ("deletions", "upsertions")
    VERSIONS = (0, 0)
    FLEXIBLE_FROM = 0
    FIELDS = (
        ("deletions", "[]ScramCredentialDeletion", 0, 0, -1, -1, ()),
        ("upsertions", "[]ScramCredentialUpsertion", 0, 0, -1, -1, ()),
    )

    def __init__(
        self,
        *,
        deletions: list[ScramCredentialDeletion] = EMPTY,
        upsertions: list[ScramCredentialUpsertion] = EMPTY,
    ) -> None:
        self.deletions: list[ScramCredentialDeletion] = [] if deletions is EMPTY else deletions
        self.upsertions: list[ScramCredentialUpsertion] = [] if upsertions is EMPTY else upsertions


class AlterUserScramCredentialsResult(Message):
    """Version 0, flexible from 0."""

    __slots__ = ("user", "error_code", "error_message")
    VERSIONS = (0, 0)
    FLEXIBLE_FROM = 0
    FIELDS = (
        ("user", "string", 0, 0, -1, -1, ""),
        ("error_code", "int16", 0, 0, -1, -1, 0),
        ("error_message", "string", 0, 0, 0, -1, ""),
    )

    def __init__(
        self,
        *,
        user: str = "",
        error_code: int = 0,
        error_message: str | None = "",
    ) -> None:
        self.user = user
        self.error_code = error_code
        self.error_message = error_message


class AlterUserScramCredentialsResponse(Message):
    """Version 0, flexible from 0."""

    __slots__ = ("throttle_time", "results")
    VERSIONS = (0, 0)
    FLEXIBLE_FROM = 0
    FIELDS = (
        ("throttle_time", "int32", 0, 0, -1, -1, 0),
        ("results", "[]AlterUserScramCredentialsResult", 0, 0, -1, -1, ()),
    )

    def __init__(
        self,
        *,
        throttle_time: int = 0,
        results: list[AlterUserScramCredentialsResult] = EMPTY,
    ) -> None:
        self.throttle_time = throttle_time
        self.results: list[AlterUserScramCredentialsResult] = [] if results is EMPTY else results
