"""ShareGroupDescribeRequest 1-1 and ShareGroupDescribeResponse 1-1 (API key 77).

Written by `tools/generate_wire.py`: change that, not this.
"""

# ruff: noqa: RUF023 (slots are in wire order)
from __future__ import annotations

from pybroker.wire.message import DEFAULT, EMPTY, ZERO_UUID, Message

API_KEY = 77


class ShareGroupDescribeRequest(Message):
    """Version 1, flexible from 1."""

    __slots__ = ("group_ids", "include_authorized_operations")
    VERSIONS = (1, 1)
    FLEXIBLE_FROM = 1
    FIELDS = (
        ("group_ids", "[]string", 1, 1, -1, -1, ()),
        ("include_authorized_operations", "bool", 1, 1, -1, -1, False),
    )

    def __init__(
        self,
        *,
        group_ids: list[str] = EMPTY,
        include_authorized_operations: bool = False,
    ) -> None:
        self.group_ids: list[str] = [] if group_ids is EMPTY else group_ids
        self.include_authorized_operations = include_authorized_operations


class TopicPartitions(Message):
    """Version 1, flexible from 1."""

    __slots__ = ("topic_id", "topic_name", "partitions")
    VERSIONS = (1, 1)
    FLEXIBLE_FROM = 1
    FIELDS = (
        ("topic_id", "uuid", 1, 1, -1, -1, None),
        ("topic_name", "string", 1, 1, -1, -1, ""),
        ("partitions", "[]int32", 1, 1, -1, -1, ()),
    )

    def __init__(
        self,
        *,
        topic_id: bytes = ZERO_UUID,
        topic_name: str = "",
        partitions: list[int] = EMPTY,
    ) -> None:
        self.topic_id = topic_id
        self.topic_name = topic_name
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


class Member(Message):
    """Version 1, flexible from 1."""

    __slots__ = (
        "member_id",
        "rack_id",
        "member_epoch",
        "client_id",
        "client_host",
        "subscribed_topic_names",
        "assignment",
    )
    VERSIONS = (1, 1)
    FLEXIBLE_FROM = 1
    FIELDS = (
        ("member_id", "string", 1, 1, -1, -1, ""),
        ("rack_id", "string", 1, 1, 1, -1, None),
        ("member_epoch", "int32", 1, 1, -1, -1, 0),
        ("client_id", "string", 1, 1, -1, -1, ""),
        ("client_host", "string", 1, 1, -1, -1, ""),
        ("subscribed_topic_names", "[]string", 1, 1, -1, -1, ()),
        ("assignment", "Assignment", 1, 1, -1, -1, ...),
    )

    def __init__(
        self,
        *,
        member_id: str = "",
        rack_id: str | None = None,
        member_epoch: int = 0,
        client_id: str = "",
        client_host: str = "",
        subscribed_topic_names: list[str] = EMPTY,
        assignment: Assignment = DEFAULT,
    ) -> None:
        self.member_id = member_id
        self.rack_id = rack_id
        self.member_epoch = member_epoch
        self.client_id = client_id
        self.client_host = client_host
        self.subscribed_topic_names: list[str] = (
            [] if subscribed_topic_names is EMPTY else subscribed_topic_names
        )
        self.assignment: Assignment = Assignment() if assignment is DEFAULT else assignment


class DescribedGroup(Message):
    """Version 1, flexible from 1."""

    __slots__ = (
        "error_code",
        "error_message",
        "group_id",
        "group_state",
        "group_epoch",
        "assignment_epoch",
        "assignor_name",
        "members",
        "authorized_operations",
    )
    VERSIONS = (1, 1)
    FLEXIBLE_FROM = 1
    FIELDS = (
        ("error_code", "int16", 1, 1, -1, -1, 0),
        ("error_message", "string", 1, 1, 1, -1, None),
        ("group_id", "string", 1, 1, -1, -1, ""),
        ("group_state", "string", 1, 1, -1, -1, ""),
        ("group_epoch", "int32", 1, 1, -1, -1, 0),
        ("assignment_epoch", "int32", 1, 1, -1, -1, 0),
        ("assignor_name", "string", 1, 1, -1, -1, ""),
        ("members", "[]Member", 1, 1, -1, -1, ()),
        ("authorized_operations", "int32", 1, 1, -1, -1, -2147483648),
    )

    def __init__(
        self,
        *,
        error_code: int = 0,
        error_message: str | None = None,
        group_id: str = "",
        group_state: str = "",
        group_epoch: int = 0,
        assignment_epoch: int = 0,
        assignor_name: str = "",
        members: list[Member] = EMPTY,
        authorized_operations: int = -2147483648,
    ) -> None:
        self.error_code = error_code
        self.error_message = error_message
        self.group_id = group_id
        self.group_state = group_state
        self.group_epoch = group_epoch
        self.assignment_epoch = assignment_epoch
        self.assignor_name = assignor_name
        self.members: list[Member] = [] if members is EMPTY else members
        self.authorized_operations = authorized_operations


class ShareGroupDescribeResponse(Message):
    """Version 1, flexible from 1."""

    __slots__ = ("throttle_time", "groups")
    VERSIONS = (1, 1)
    FLEXIBLE_FROM = 1
    FIELDS = (
        ("throttle_time", "int32", 1, 1, -1, -1, 0),
        ("groups", "[]DescribedGroup", 1, 1, -1, -1, ()),
    )

    def __init__(
        self,
        *,
        throttle_time: int = 0,
        groups: list[DescribedGroup] = EMPTY,
    ) -> None:
        self.throttle_time = throttle_time
        self.groups: list[DescribedGroup] = [] if groups is EMPTY else groups
