"""CreateDelegationTokenRequest 1-3 and CreateDelegationTokenResponse 1-3 (API key 38).

Written by `tools/generate_wire.py`: change that, not this.
"""

# ruff: noqa: RUF023 (slots are in wire order)
from __future__ import annotations

from pybroker.wire.message import EMPTY, Message

API_KEY = 38


class CreatableRenewers(Message):
    """Versions 1-3, flexible from 2."""

    __slots__ = ("principal_type", "principal_name")
    VERSIONS = (1, 3)
    FLEXIBLE_FROM = 2
    FIELDS = (
        ("principal_type", "string", 1, 3, -1, -1, ""),
        ("principal_name", "string", 1, 3, -1, -1, ""),
    )

    def __init__(
        self,
        *,
        principal_type: str = "",
        principal_name: str = "",
    ) -> None:
        self.principal_type = principal_type
        self.principal_name = principal_name


class CreateDelegationTokenRequest(Message):
    """Versions 1-3, flexible from 2."""

    __slots__ = ("owner_principal_type", "owner_principal_name", "renewers", "max_lifetime")
    VERSIONS = (1, 3)
    FLEXIBLE_FROM = 2
    FIELDS = (
        ("owner_principal_type", "string", 3, 3, 3, -1, ""),
        ("owner_principal_name", "string", 3, 3, 3, -1, ""),
        ("renewers", "[]CreatableRenewers", 1, 3, -1, -1, ()),
        ("max_lifetime", "int64", 1, 3, -1, -1, 0),
    )

    def __init__(
        self,
        *,
        owner_principal_type: str | None = "",
        owner_principal_name: str | None = "",
        renewers: list[CreatableRenewers] = EMPTY,
        max_lifetime: int = 0,
    ) -> None:
        self.owner_principal_type = owner_principal_type
        self.owner_principal_name = owner_principal_name
        self.renewers: list[CreatableRenewers] = [] if renewers is EMPTY else renewers
        self.max_lifetime = max_lifetime


class CreateDelegationTokenResponse(Message):
    """Versions 1-3, flexible from 2."""

    __slots__ = (
        "error_code",
        "principal_type",
        "principal_name",
        "token_requester_principal_type",
        "token_requester_principal_name",
        "issue_timestamp",
        "expiry_timestamp",
        "max_timestamp",
        "token_id",
        "hmac",
        "throttle_time",
    )
    VERSIONS = (1, 3)
    FLEXIBLE_FROM = 2
    FIELDS = (
        ("error_code", "int16", 1, 3, -1, -1, 0),
        ("principal_type", "string", 1, 3, -1, -1, ""),
        ("principal_name", "string", 1, 3, -1, -1, ""),
        ("token_requester_principal_type", "string", 3, 3, -1, -1, ""),
        ("token_requester_principal_name", "string", 3, 3, -1, -1, ""),
        ("issue_timestamp", "int64", 1, 3, -1, -1, 0),
        ("expiry_timestamp", "int64", 1, 3, -1, -1, 0),
        ("max_timestamp", "int64", 1, 3, -1, -1, 0),
        ("token_id", "string", 1, 3, -1, -1, ""),
        ("hmac", "bytes", 1, 3, -1, -1, b""),
        ("throttle_time", "int32", 1, 3, -1, -1, 0),
    )

    def __init__(
        self,
        *,
        error_code: int = 0,
        principal_type: str = "",
        principal_name: str = "",
        token_requester_principal_type: str = "",
        token_requester_principal_name: str = "",
        issue_timestamp: int = 0,
        expiry_timestamp: int = 0,
        max_timestamp: int = 0,
        token_id: str = "",
        hmac: bytes | memoryview = b"",
        throttle_time: int = 0,
    ) -> None:
        self.error_code = error_code
        self.principal_type = principal_type
        self.principal_name = principal_name
        self.token_requester_principal_type = token_requester_principal_type
        self.token_requester_principal_name = token_requester_principal_name
        self.issue_timestamp = issue_timestamp
        self.expiry_timestamp = expiry_timestamp
        self.max_timestamp = max_timestamp
        self.token_id = token_id
        self.hmac = hmac
        self.throttle_time = throttle_time
