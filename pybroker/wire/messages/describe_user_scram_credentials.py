"""DescribeUserScramCredentialsRequest 0-0 and DescribeUserScramCredentialsResponse 0-0 (API key 50).

Written by `tools/generate_wire.py`: change that, not this.
"""

# ruff: noqa: RUF023 (slots are in wire order)
from __future__ import annotations

from pybroker.wire.message import EMPTY, Message

API_KEY = 50


class UserName(Message):
    """Version 0, flexible from 0."""

    __slots__ = ("name",)
    VERSIONS = (0, 0)
    FLEXIBLE_FROM = 0
    FIELDS = (("name", "string", 0, 0, -1, -1, ""),)

    def __init__(
        self,
        *,
        name: str = "",
    ) -> None:
        self.name = name


class DescribeUserScramCredentialsRequest(Message):
    """Version 0, flexible from 0."""

    __slots__ = ("users",)
    VERSIONS = (0, 0)
    FLEXIBLE_FROM = 0
    FIELDS = (("users", "[]UserName", 0, 0, 0, -1, ()),)

    def __init__(
        self,
        *,
        users: list[UserName] | None = EMPTY,
    ) -> None:
        self.users: list[UserName] | None = [] if users is EMPTY else users


class CredentialInfo(Message):
    """Version 0, flexible from 0."""

    __slots__ = ("mechanism", "iterations")
    VERSIONS = (0, 0)
    FLEXIBLE_FROM = 0
    FIELDS = (
        ("mechanism", "int8", 0, 0, -1, -1, 0),
        ("iterations", "int32", 0, 0, -1, -1, 0),
    )

    def __init__(
        self,
        *,
        mechanism: int = 0,
        iterations: int = 0,
    ) -> None:
        self.mechanism = mechanism
        self.iterations = iterations


class DescribeUserScramCredentialsResult(Message):
    """Version 0, flexible from 0."""

    __slots__ = ("user", "error_code", "error_message", "credential_infos")
    VERSIONS = (0, 0)
    FLEXIBLE_FROM = 0
    FIELDS = (
        ("user", "string", 0, 0, -1, -1, ""),
        ("error_code", "int16", 0, 0, -1, -1, 0),
        ("error_message", "string", 0, 0, 0, -1, ""),
        ("credential_infos", "[]CredentialInfo", 0, 0, -1, -1, ()),
    )

    def __init__(
        self,
        *,
        user: str = "",
        error_code: int = 0,
        error_message: str | None = "",
        credential_infos: list[CredentialInfo] = EMPTY,
    ) -> None:
        self.user = user
        self.error_code = error_code
        self.error_message = error_message
        self.credential_infos: list[CredentialInfo] = [] if credential_infos is EMPTY else credential_infos


class DescribeUserScramCredentialsResponse(Message):
    """Version 0, flexible from 0."""

    __slots__ = ("throttle_time", "error_code", "error_message", "results")
    VERSIONS = (0, 0)
    FLEXIBLE_FROM = 0
    FIELDS = (
        ("throttle_time", "int32", 0, 0, -1, -1, 0),
        ("error_code", "int16", 0, 0, -1, -1, 0),
        ("error_message", "string", 0, 0, 0, -1, ""),
        ("results", "[]DescribeUserScramCredentialsResult", 0, 0, -1, -1, ()),
    )

    def __init__(
        self,
        *,
        throttle_time: int = 0,
        error_code: int = 0,
        error_message: str | None = "",
        results: list[DescribeUserScramCredentialsResult] = EMPTY,
    ) -> None:
        self.throttle_time = throttle_time
        self.error_code = error_code
        self.error_message = error_message
        self.results: list[DescribeUserScramCredentialsResult] = [] if results is EMPTY else results
