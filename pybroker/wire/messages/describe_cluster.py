"""DescribeClusterRequest 0-2 and DescribeClusterResponse 0-2 (API key 60).

Written by `tools/generate_wire.py`: change that, not this.
"""

# ruff: noqa: RUF023 (slots are in wire order)
from __future__ import annotations

from pybroker.wire.message import EMPTY, Message

API_KEY = 60


class DescribeClusterRequest(Message):
    """Versions 0-2, flexible from 0."""

    __slots__ = ("include_cluster_authorized_operations", "endpoint_type", "include_fenced_brokers")
    VERSIONS = (0, 2)
    FLEXIBLE_FROM = 0
    FIELDS = (
        ("include_cluster_authorized_operations", "bool", 0, 2, -1, -1, False),
        ("endpoint_type", "int8", 1, 2, -1, -1, 1),
        ("include_fenced_brokers", "bool", 2, 2, -1, -1, False),
    )

    def __init__(
        self,
        *,
        include_cluster_authorized_operations: bool = False,
        endpoint_type: int = 1,
        include_fenced_brokers: bool = False,
    ) -> None:
        self.include_cluster_authorized_operations = include_cluster_authorized_operations
        self.endpoint_type = endpoint_type
        self.include_fenced_brokers = include_fenced_brokers


class DescribeClusterBroker(Message):
    """Versions 0-2, flexible from 0."""

    __slots__ = ("broker_id", "host", "port", "rack", "is_fenced")
    VERSIONS = (0, 2)
    FLEXIBLE_FROM = 0
    FIELDS = (
        ("broker_id", "int32", 0, 2, -1, -1, 0),
        ("host", "string", 0, 2, -1, -1, ""),
        ("port", "int32", 0, 2, -1, -1, 0),
        ("rack", "string", 0, 2, 0, -1, None),
        ("is_fenced", "bool", 2, 2, -1, -1, False),
    )

    def __init__(
        self,
        *,
        broker_id: int = 0,
        host: str = "",
        port: int = 0,
        rack: str | None = None,
        is_fenced: bool = False,
    ) -> None:
        self.broker_id = broker_id
        self.host = host
        self.port = port
        self.rack = rack
        self.is_fenced = is_fenced


class DescribeClusterResponse(Message):
    """Versions 0-2, flexible from 0."""

    __slots__ = (
        "throttle_time",
        "error_code",
        "error_message",
        "endpoint_type",
        "cluster_id",
        "controller_id",
        "brokers",
        "cluster_authorized_operations",
    )
    VERSIONS = (0, 2)
    FLEXIBLE_FROM = 0
    FIELDS = (
        ("throttle_time", "int32", 0, 2, -1, -1, 0),
        ("error_code", "int16", 0, 2, -1, -1, 0),
        ("error_message", "string", 0, 2, 0, -1, None),
        ("endpoint_type", "int8", 1, 2, -1, -1, 1),
        ("cluster_id", "string", 0, 2, -1, -1, ""),
        ("controller_id", "int32", 0, 2, -1, -1, -1),
        ("brokers", "[]DescribeClusterBroker", 0, 2, -1, -1, ()),
        ("cluster_authorized_operations", "int32", 0, 2, -1, -1, -2147483648),
    )

    def __init__(
        self,
        *,
        throttle_time: int = 0,
        error_code: int = 0,
        error_message: str | None = None,
        endpoint_type: int = 1,
        cluster_id: str = "",
        controller_id: int = -1,
        brokers: list[DescribeClusterBroker] = EMPTY,
        cluster_authorized_operations: int = -2147483648,
    ) -> None:
        self.throttle_time = throttle_time
        self.error_code = error_code
        self.error_message = error_message
        self.endpoint_type = endpoint_type
        self.cluster_id = cluster_id
        self.controller_id = controller_id
        self.brokers: list[DescribeClusterBroker] = [] if brokers is EMPTY else brokers
        self.cluster_authorized_operations = cluster_authorized_operations
