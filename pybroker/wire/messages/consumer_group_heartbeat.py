"""ConsumerGroupHeartbeatRequest 0-1 and ConsumerGroupHeartbeatResponse 0-1 (API key 68).

Written by `tools/generate_wire.py`: change that, not this.
"""

# ruff: noqa: RUF023 (slots are in wire order)
from __future__ import annotations

from pybroker.wire.message import EMPTY, ZERO_UUID, Message

API_KEY = 68


class RequestTopicPartitions(Message):
    """Versions 0-1, flexible from 0."""

    __slots__ = ("topic_id", "partitions")
    VERSIONS = (0, 1)
    FLEXIBLE_FROM = 0
    FIELDS = (
        ("topic_id", "uuid", 0, 1, -1, -1, None),
        ("partitions", "[]int32", 0, 1, -1, -1, ()),
    )

    def __init__(
        self,
        *,
        topic_id: bytes = ZERO_UUID,
        partitions: list[int] = EMPTY,
    ) -> None:
        self.topic_id = topic_id
        self.partitions: list[int] = [] if partitions is EMPTY else partitions


class ConsumerGroupHeartbeatRequest(Message):
    """Versions 0-1, flexible from 0."""

    __slots__ = (
        "group_id",
        "member_id",
        "member_epoch",
        "instance_id",
        "rack_id",
        "rebalance_timeout",
        "subscribed_topic_names",
        "subscribed_topic_regex",
        "server_assignor",
        "topic_partitions",
    )
    VERSIONS = (0, 1)
    FLEXIBLE_FROM = 0
    FIELDS = (
        ("group_id", "string", 0, 1, -1, -1, ""),
        ("member_id", "string", 0, 1, -1, -1, ""),
        ("member_epoch", "int32", 0, 1, -1, -1, 0),
        ("instance_id", "string", 0, 1, 0, -1, None),
        ("rack_id", "string", 0, 1, 0, -1, None),
        ("rebalance_timeout", "int32", 0, 1, -1, -1, -1),
        ("subscribed_topic_names", "[]string", 0, 1, 0, -1, None),
        ("subscribed_topic_regex", "string", 1, 1, 1, -1, None),
        ("server_assignor", "string", 0, 1, 0, -1, None),
        ("topic_partitions", "[]RequestTopicPartitions", 0, 1, 0, -1, None),
    )

    def __init__(
        self,
        *,
        group_id: str = "",
        member_id: str = "",
        member_epoch: int = 0,
        instance_id: str | None = None,
        rack_id: str | None = None,
        rebalance_timeout: int = -1,
        subscribed_topic_names: list[str] | None = None,
        subscribed_topic_regex: str | None = None,
        server_assignor: str | None = None,
        topic_partitions: list[RequestTopicPartitions] | None = None,
    ) -> None:
        self.group_id = group_id
        self.member_id = member_id
        self.member_epoch = member_epoch
        self.instance_id = instance_id
        self.rack_id = rack_id
        self.rebalance_timeout = rebalance_timeout
        self.subscribed_topic_names = subscribed_topic_names
        self.subscribed_topic_regex = subscribed_topic_regex
        self.server_assignor = server_assignor
        self.topic_partitions = topic_partitions


class ResponseTopicPartitions(Message):
    """Versions 0-1, flexible from 0."""

    __slots__ = ("topic_id", "partitions")
    VERSIONS = (0, 1)
    FLEXIBLE_FROM = 0
    FIELDS = (
        ("topic_id", "uuid", 0, 1, -1, -1, None),
        ("partitions", "[]int32", 0, 1, -1, -1, ()),
    )

    def __init__(
        self,
        *,
        topic_id: bytes = ZERO_UUID,
        partitions: list[int] = EMPTY,
    ) -> None:
        self.topic_id = topic_id
        self.partitions: list[int] = [] if partitions is EMPTY else partitions


class Assignment(Message):
    """Versions 0-1, flexible from 0."""

    __slots__ = ("topic_partitions",)
    VERSIONS = (0, 1)
    FLEXIBLE_FROM = 0
    FIELDS = (("topic_partitions", "[]ResponseTopicPartitions", 0, 1, -1, -1, ()),)

    def __init__(
        self,
        *,
        topic_partitions: list[ResponseTopicPartitions] = EMPTY,
    ) -> None:
        self.topic_partitions: list[ResponseTopicPartitions] = (
            [] if topic_partitions is EMPTY else topic_partitions
        )


class ConsumerGroupHeartbeatResponse(Message):
    """Versions 0-1, flexible from 0."""

    __slots__ = (
        "throttle_time",
        "error_code",
        "error_message",
        "member_id",
        "member_epoch",
        "heartbeat_interval",
        "assignment",
    )
    VERSIONS = (0, 1)
    FLEXIBLE_FROM = 0
    FIELDS = (
        ("throttle_time", "int32", 0, 1, -1, -1, 0),
        ("error_code", "int16", 0, 1, -1, -1, 0),
        ("error_message", "string", 0, 1, 0, -1, None),
        ("member_id", "string", 0, 1, 0, -1, None),
        ("member_epoch", "int32", 0, 1, -1, -1, 0),
        ("heartbeat_interval", "int32", 0, 1, -1, -1, 0),
        ("assignment", "Assignment", 0, 1, 0, -1, None),
    )

    def __init__(
        self,
        *,
        throttle_time: int = 0,
        error_code: int = 0,
        error_message: str | None = None,
        member_id: str | None = None,
        member_epoch: int = 0,
        heartbeat_interval: int = 0,
        assignment: Assignment | None = None,
    ) -> None:
        self.throttle_time = throttle_time
        self.error_code = error_code
        self.error_message = error_message
        self.member_id = member_id
        self.member_epoch = member_epoch
        self.heartbeat_interval = heartbeat_interval
        self.assignment = assignment
