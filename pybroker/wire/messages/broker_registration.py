"""BrokerRegistrationRequest 0-4 and BrokerRegistrationResponse 0-4 (API key 62).

Written by `tools/generate_wire.py`: change that, not this.
"""

# ruff: noqa: RUF023 (slots are in wire order)
from __future__ import annotations

from pybroker.wire.message import EMPTY, ZERO_UUID, Message

API_KEY = 62


class Listener(Message):
    """Versions 0-4, flexible from 0."""

    __slots__ = ("name", "host", "port", "security_protocol")
    VERSIONS = (0, 4)
    FLEXIBLE_FROM = 0
    FIELDS = (
        ("name", "string", 0, 4, -1, -1, ""),
        ("host", "string", 0, 4, -1, -1, ""),
        ("port", "uint16", 0, 4, -1, -1, 0),
        ("security_protocol", "int16", 0, 4, -1, -1, 0),
    )

    def __init__(
        self,
        *,
        name: str = "",
        host: str = "",
        port: int = 0,
        security_protocol: int = 0,
    ) -> None:
        self.name = name
        self.host = host
        self.port = port
        self.security_protocol = security_protocol


class Feature(Message):
    """Versions 0-4, flexible from 0."""

    __slots__ = ("name", "min_supported_version", "max_supported_version")
    VERSIONS = (0, 4)
    FLEXIBLE_FROM = 0
    FIELDS = (
        ("name", "string", 0, 4, -1, -1, ""),
        ("min_supported_version", "int16", 0, 4, -1, -1, 0),
        ("max_supported_version", "int16", 0, 4, -1, -1, 0),
    )

    def __init__(
        self,
        *,
        name: str = "",
        min_supported_version: int = 0,
        max_supported_version: int = 0,
    ) -> None:
        self.name = name
        self.min_supported_version = min_supported_version
        self.max_supported_version = max_supported_version


class BrokerRegistrationRequest(Message):
    """Versions 0-4, flexible from 0."""

    __slots__ = (
        "broker_id",
        "cluster_id",
        "incarnation_id",
        "listeners",
        "features",
        "rack",
        "is_migrating_zk_broker",
        "log_dirs",
        "previous_broker_epoch",
    )
    VERSIONS = (0, 4)
    FLEXIBLE_FROM = 0
    FIELDS = (
        ("broker_id", "int32", 0, 4, -1, -1, 0),
        ("cluster_id", "string", 0, 4, -1, -1, ""),
        ("incarnation_id", "uuid", 0, 4, -1, -1, None),
        ("listeners", "[]Listener", 0, 4, -1, -1, ()),
        ("features", "[]Feature", 0, 4, -1, -1, ()),
        ("rack", "string", 0, 4, 0, -1, ""),
        ("is_migrating_zk_broker", "bool", 1, 4, -1, -1, False),
        ("log_dirs", "[]uuid", 2, 4, -1, -1, ()),
        ("previous_broker_epoch", "int64", 3, 4, -1, -1, -1),
    )

    def __init__(
        self,
        *,
        broker_id: int = 0,
        cluster_id: str = "",
        incarnation_id: bytes = ZERO_UUID,
        listeners: list[Listener] = EMPTY,
        features: list[Feature] = EMPTY,
        rack: str | None = "",
        is_migrating_zk_broker: bool = False,
        log_dirs: list[bytes] = EMPTY,
        previous_broker_epoch: int = -1,
    ) -> None:
        self.broker_id = broker_id
        self.cluster_id = cluster_id
        self.incarnation_id = incarnation_id
        self.listeners: list[Listener] = [] if listeners is EMPTY else listeners
        self.features: list[Feature] = [] if features is EMPTY else features
        self.rack = rack
        self.is_migrating_zk_broker = is_migrating_zk_broker
        self.log_dirs: list[bytes] = [] if log_dirs is EMPTY else log_dirs
        self.previous_broker_epoch = previous_broker_epoch


class BrokerRegistrationResponse(Message):
    """Versions 0-4, flexible from 0."""

    __slots__ = ("throttle_time", "error_code", "broker_epoch")
    VERSIONS = (0, 4)
    FLEXIBLE_FROM = 0
    FIELDS = (
        ("throttle_time", "int32", 0, 4, -1, -1, 0),
        ("error_code", "int16", 0, 4, -1, -1, 0),
        ("broker_epoch", "int64", 0, 4, -1, -1, -1),
    )

    def __init__(
        self,
        *,
        throttle_time: int = 0,
        error_code: int = 0,
        broker_epoch: int = -1,
    ) -> None:
        self.throttle_time = throttle_time
        self.error_code = error_code
        self.broker_epoch = broker_epoch
