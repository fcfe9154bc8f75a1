"""UpdateFeaturesRequest 0-2 and UpdateFeaturesResponse 0-2 (API key 57).

Written by `tools/generate_wire.py`: change that, not this.
"""

# ruff: noqa: RUF023 (slots are in wire order)
from __future__ import annotations

from pybroker.wire.message import EMPTY, Message

API_KEY = 57


class FeatureUpdateKey(Message):
    """Versions 0-2, flexible from 0."""

    __slots__ = ("feature", "max_version_level", "allow_downgrade", "upgrade_type")
    VERSIONS = (0, 2)
    FLEXIBLE_FROM = 0
    FIELDS = (
        ("feature", "string", 0, 2, -1, -1, ""),
        ("max_version_level", "int16", 0, 2, -1, -1, 0),
        ("allow_downgrade", "bool", 0, 0, -1, -1, False),
        ("upgrade_type", "int8", 1, 2, -1, -1, 1),
    )

    def __init__(
        self,
        *,
        feature: str = "",
        max_version_level: int = 0,
        allow_downgrade: bool = False,
        upgrade_type: int = 1,
    ) -> None:
        self.feature = feature
        self.max_version_level = max_version_level
        self.allow_downgrade = allow_downgrade
        self.upgrade_type = upgrade_type


class UpdateFeaturesRequest(Message):
    """Versions 0-2, flexible from 0."""

    __slots__ = ("timeout", "feature_updates", "validate_only")
    VERSIONS = (0, 2)
    FLEXIBLE_FROM = 0
    FIELDS = (
        ("timeout", "int32", 0, 2, -1, -1, 60000),
        ("feature_updates", "[]FeatureUpdateKey", 0, 2, -1, -1, ()),
        ("validate_only", "bool", 1, 2, -1, -1, False),
    )

    def __init__(
        self,
        *,
        timeout: int = 60000,
        feature_updates: list[FeatureUpdateKey] = EMPTY,
        validate_only: bool = False,
    ) -> None:
        self.timeout = timeout
        self.feature_updates: list[FeatureUpdateKey] = [] if feature_updates is EMPTY else feature_updates
        self.validate_only = validate_only


class UpdatableFeatureResult(Message):
    """Versions 0-1, flexible from 0."""

    __slots__ = ("feature", "error_code", "error_message")
    VERSIONS = (0, 1)
    FLEXIBLE_FROM = 0
    FIELDS = (
        ("feature", "string", 0, 1, -1, -1, ""),
        ("error_code", "int16", 0, 1, -1, -1, 0),
        ("error_message", "string", 0, 1, 0, -1, ""),
    )

    def __init__(
        self,
        *,
        feature: str = "",
        error_code: int = 0,
        error_message: str | None = "",
    ) -> None:
        self.feature = feature
        self.error_code = error_code
        self.error_message = error_message


class UpdateFeaturesResponse(Message):
    """Versions 0-2, flexible from 0."""

    __slots__ = ("throttle_time", "error_code", "error_message", "results")
    VERSIONS = (0, 2)
    FLEXIBLE_FROM = 0
    FIELDS = (
        ("throttle_time", "int32", 0, 2, -1, -1, 0),
        ("error_code", "int16", 0, 2, -1, -1, 0),
        ("error_message", "string", 0, 2, 0, -1, ""),
        ("results", "[]UpdatableFeatureResult", 0, 1, -1, -1, ()),
    )

    def __init__(
        self,
        *,
        throttle_time: int = 0,
        error_code: int = 0,
        error_message: str | None = "",
        results: list[UpdatableFeatureResult] = EMPTY,
    ) -> None:
        self.throttle_time = throttle_time
        self.error_code = error_code
        self.error_message = error_message
        self.results: list[UpdatableFeatureResult] = [] if results is EMPTY else results
