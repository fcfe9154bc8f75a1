"""ApiVersionsRequest 0-4 and ApiVersionsResponse 0-4 (API key 18).

Written by `tools/generate_wire.py`: change that, not this.
"""

# ruff: noqa: RUF023 (slots are in wire order)
from __future__ import annotations

from pybroker.wire.message import EMPTY, Message

API_KEY = 18


class ApiVersionsRequest(Message):
    """Versions 0-4, flexible from 3."""

    __slots__ = ("client_software_name", "client_software_version")
    VERSIONS = (0, 4)
    FLEXIBLE_FROM = 3
    FIELDS = (
        ("client_software_name", "string", 3, 4, -1, -1, ""),
        ("client_software_version", "string", 3, 4, -1, -1, ""),
    )

    def __init__(
        self,
        *,
        client_software_name: str = "",
        client_software_version: str = "",
    ) -> None:
        self.client_software_name = client_software_name
        self.client_software_version = client_software_version


class ApiVersion(Message):
    """Versions 0-4, flexible from 3."""

    __slots__ = ("api_key", "min_version", "max_version")
    VERSIONS = (0, 4)
    FLEXIBLE_FROM = 3
    FIELDS = (
        ("api_key", "int16", 0, 4, -1, -1, 0),
        ("min_version", "int16", 0, 4, -1, -1, 0),
        ("max_version", "int16", 0, 4, -1, -1, 0),
    )

    def __init__(
        self,
        *,
        api_key: int = 0,
        min_version: int = 0,
        max_version: int = 0,
    ) -> None:
        self.api_key = api_key
        self.min_version = min_version
        self.max_version = max_version


class SupportedFeatureKey(Message):
    """Versions 3-4, flexible from 3."""

    __slots__ = ("name", "min_version", "max_version")
    VERSIONS = (3, 4)
    FLEXIBLE_FROM = 3
    FIELDS = (
        ("name", "string", 3, 4, -1, -1, ""),
        ("min_version", "int16", 3, 4, -1, -1, 0),
        ("max_version", "int16", 3, 4, -1, -1, 0),
    )

    def __init__(
        self,
        *,
        name: str = "",
        min_version: int = 0,
        max_version: int = 0,
    ) -> None:
        self.name = name
        self.min_version = min_version
        self.max_version = max_version


class FinalizedFeatureKey(Message):
    """Versions 3-4, flexible from 3."""

    __slots__ = ("name", "max_version_level", "min_version_level")
    VERSIONS = (3, 4)
    FLEXIBLE_FROM = 3
    FIELDS = (
        ("name", "string", 3, 4, -1, -1, ""),
        ("max_version_level", "int16", 3, 4, -1, -1, 0),
        ("min_version_level", "int16", 3, 4, -1, -1, 0),
    )

    def __init__(
        self,
        *,
        name: str = "",
        max_version_level: int = 0,
        min_version_level: int = 0,
    ) -> None:
        self.name = name
        self.max_version_level = max_version_level
        self.min_version_level = min_version_level


class ApiVersionsResponse(Message):
    """Versions 0-4, flexible from 3."""

    __slots__ = (
        "error_code",
        "api_keys",
        "throttle_time",
        "supported_features",
        "finalized_features_epoch",
        "finalized_features",
        "zk_migration_ready",
    )
    VERSIONS = (0, 4)
    FLEXIBLE_FROM = 3
    FIELDS = (
        ("error_code", "int16", 0, 4, -1, -1, 0),
        ("api_keys", "[]ApiVersion", 0, 4, -1, -1, ()),
        ("throttle_time", "int32", 1, 4, -1, -1, 0),
        ("supported_features", "[]SupportedFeatureKey", 3, 4, -1, 0, ()),
        ("finalized_features_epoch", "int64", 3, 4, -1, 1, -1),
        ("finalized_features", "[]FinalizedFeatureKey", 3, 4, -1, 2, ()),
        ("zk_migration_ready", "bool", 3, 4, -1, 3, False),
    )

    def __init__(
        self,
        *,
        error_code: int = 0,
        api_keys: list[ApiVersion] = EMPTY,
        throttle_time: int = 0,
        supported_features: list[SupportedFeatureKey] = EMPTY,
        finalized_features_epoch: int = -1,
        finalized_features: list[FinalizedFeatureKey] = EMPTY,
        zk_migration_ready: bool = False,
    ) -> None:
        self.error_code = error_code
        self.api_keys: list[ApiVersion] = [] if api_keys is EMPTY else api_keys
        self.throttle_time = throttle_time
        self.supported_features: list[SupportedFeatureKey] = (
            [] if supported_features is EMPTY else supported_features
        )
        self.finalized_features_epoch = finalized_features_epoch
        self.finalized_features: list[FinalizedFeatureKey] = (
            [] if finalized_features is EMPTY else finalized_features
        )
        self.zk_migration_ready = zk_migration_ready
