"""ShareGroupHeartbeatRequest 1-1 and ShareGroupHeartbeatResponse 1-1 (API key 76).

Written by `tools/generate_wire.py`: change that, not this.
"""

# ruff: noqa: RUF023 (slots are in wire order)
from __future__ import annotations

from pybroker.wire.message import EMPTY, ZERO_UUID, Message

API_KEY = 76


class ShareGroupHeartbeatRequest(Message):
    """Version 1, flexible from 1."""

    __slots__ = ("group_id", "member_id", "member_epoch", "rack_id", "subscribed_topic_names")
    VERSIONS = (1, 1)
    FLEXIBLE_FROM = 1
    FIELDS = (
        ("group_id", "string", 1, 1, -1, -1, ""),
        ("member_id", "string", 1, 1, -1, -1, ""),
        ("member_epoch", "int32", 1, 1, -1, -1, 0),
        ("rack_id", "string", 1, 1, 1, -1, None),
        ("subscribed_topic_names", "[]string", 1, 1, 1, -1, None),
    )

    def __init__(
        self,
        *,
        group_id: str = "",
        member_id: str = "",
        member_epoch: int = 0,
        rack_id: str | None = None,
        subscribed_topic_names: list[str] | None = None,
    ) -> None:
        self.group_id = group_id
        self.member_id = member_id
        self.member_epoch = member_epoch
        self.rack_id = rack_id
        self.subscribed_topic_names = subscribed_topic_names


class TopicPartitions(Message):
    """Version 1, flexible from 1."""

    __slots__ = ("topic_id", "partitions")
    VERSIONS = (1, 1)
    FLEXIBLE_FROM = 1
    FIELDS = (
        ("topic_id", "uuid", 1, 1, -1, -1, None),
        ("partitions", "[]int32", 1, 1, -1, -1, ()),
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
    """Version 1, flexible from 1."""

    __slots__ = ("topic_partitions",)
    VERSIONS = (1, 1)
    FLEXIBLE_FROM = 1
    FIELDS = (("topic_partitions", "[]TopicPartitions", 1, 1, -1, -1, ()),)

    def __init__(
        self,
        *,
        topic_partitions: list[TopicPartitions] = EMPTY,
    ) -> None:
        self.topic_partitions: list[TopicPartitions] = [] if topic_partitions is EMPTY else topic_partitions


class ShareGroupHeartbeatResponse(Message):
    """Version 1, flexible from 1."""

    __slots__ = (
        "throttle_time",
        "error_code",
        "error_message",
        "member_id",
        "member_epoch",
        "heartbeat_interval",
        "assignment",
    )
    VERSIONS = (1, 1)
    FLEXIBLE_FROM = 1
    FIELDS = (
        ("throttle_time", "int32", 1, 1, -1, -1, 0),
        ("error_code", "int16", 1, 1, -1, -1, 0),
        ("error_message", "string", 1, 1, 1, -1, None),
        ("member_id", "string", 1, 1, 1, -1, None),
        ("member_epoch", "int32", 1, 1, -1, -1, 0),
        ("heartbeat_interval", "int32", 1, 1, -1, -1, 0),
        ("assignment", "Assignment", 1, 1, 1, -1, None),
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
