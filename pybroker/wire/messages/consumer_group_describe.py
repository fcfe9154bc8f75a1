"""ConsumerGroupDescribeRequest 0-1 and ConsumerGroupDescribeResponse 0-1 (API key 69).

Written by `tools/generate_wire.py`: change that, not this.
"""

# ruff: noqa: RUF023 (slots are in wire order)
from __future__ import annotations

from pybroker.wire.message import DEFAULT, EMPTY, ZERO_UUID, Message

API_KEY = 69


class ConsumerGroupDescribeRequest(Message):
    """Versions 0-1, flexible from 0."""

    __slots__ = ("group_ids", "include_authorized_operations")
    VERSIONS = (0, 1)
    FLEXIBLE_FROM = 0
    FIELDS = (
        ("group_ids", "[]string", 0, 1, -1, -1, ()),
        ("include_authorized_operations", "bool", 0, 1, -1, -1, False),
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
    """Versions 0-1, flexible from 0."""

    __slots__ = ("topic_id", "topic_name", "partitions")
    VERSIONS = (0, 1)
    FLEXIBLE_FROM = 0
    FIELDS = (
        ("topic_id", "uuid", 0, 1, -1, -1, None),
        ("topic_name", "string", 0, 1, -1, -1, ""),
        ("partitions", "[]int32", 0, 1, -1, -1, ()),
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
    """Versions 0-1, flexible from 0."""

    __slots__ = ("topic_partitions",)
    VERSIONS = (0, 1)
    FLEXIBLE_FROM = 0
    FIELDS = (("topic_partitions", "[]TopicPartitions", 0, 1, -1, -1, ()),)

    def __init__(
        self,
        *,
        topic_partitions: list[TopicPartitions] = EMPTY,
    ) -> None:
        self.topic_partitions: list[TopicPartitions] = [] if topic_partitions is EMPTY else topic_partitions


class Member(Message):
    """Versions 0-1, flexible from 0."""

    __slots__ = (
        "member_id",
        "instance_id",
        "rack_id",
        "member_epoch",
        "client_id",
        "client_host",
        "subscribed_topic_names",
        "subscribed_topic_regex",
        "assignment",
        "target_assignment",
        "member_type",
    )
    VERSIONS = (0, 1)
    FLEXIBLE_FROM = 0
    FIELDS = (
        ("member_id", "string", 0, 1, -1, -1, ""),
        ("instance_id", "string", 0, 1, 0, -1, None),
        ("rack_id", "string", 0, 1, 0, -1, None),
        ("member_epoch", "int32", 0, 1, -1, -1, 0),
        ("client_id", "string", 0, 1, -1, -1, ""),
        ("client_host", "string", 0, 1, -1, -1, ""),
        ("subscribed_topic_names", "[]string", 0, 1, -1, -1, ()),
        ("subscribed_topic_regex", "string", 0, 1, 0, -1, None),
        ("assignment", "Assignment", 0, 1, -1, -1, ...),
        ("target_assignment", "Assignment", 0, 1, -1, -1, ...),
        ("member_type", "int8", 1, 1, -1, -1, -1),
    )

    def __init__(
        self,
        *,
        member_id: str = "",
        instance_id: str | None = None,
        rack_id: str | None = None,
        member_epoch: int = 0,
        client_id: str = "",
        client_host: str = "",
        subscribed_topic_names: list[str] = EMPTY,
        subscribed_topic_regex: str | None = None,
        assignment: Assignment = DEFAULT,
        target_assignment: Assignment = DEFAULT,
        member_type: int = -1,
    ) -> None:
        self.member_id = member_id
        self.instance_id = instance_id
        self.rack_id = rack_id
        self.member_epoch = member_epoch
        self.client_id = client_id
        self.client_host = client_host
        self.subscribed_topic_names: list[str] = (
            [] if subscribed_topic_names is EMPTY else subscribed_topic_names
        )
        self.subscribed_topic_regex = subscribed_topic_regex
        self.assignment: Assignment = Assignment() if assignment is DEFAULT else assignment
        self.target_assignment: Assignment = (
            Assignment() if target_assignment is DEFAULT else target_assignment
        )
        self.member_type = member_type


class DescribedGroup(Message):
    """Versions 0-1, flexible from 0."""

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
    VERSIONS = (0, 1)
    FLEXIBLE_FROM = 0
    FIELDS = (
        ("error_code", "int16", 0, 1, -1, -1, 0),
        ("error_message", "string", 0, 1, 0, -1, None),
        ("group_id", "string", 0, 1, -1, -1, ""),
        ("group_state", "string", 0, 1, -1, -1, ""),
        ("group_epoch", "int32", 0, 1, -1, -1, 0),
        ("assignment_epoch", "int32", 0, 1, -1, -1, 0),
        ("assignor_name", "string", 0, 1, -1, -1, ""),
        ("members", "[]Member", 0, 1, -1, -1, ()),
        ("authorized_operations", "int32", 0, 1, -1, -1, -2147483648),
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


class ConsumerGroupDescribeResponse(Message):
    """Versions 0-1, flexible from 0."""

    __slots__ = ("throttle_time", "groups")
    VERSIONS = (0, 1)
    FLEXIBLE_FROM = 0
    FIELDS = (
        ("throttle_time", "int32", 0, 1, -1, -1, 0),
        ("groups", "[]DescribedGroup", 0, 1, -1, -1, ()),
    )

    def __init__(
        self,
        *,
        throttle_time: int = 0,
        groups: list[DescribedGroup] = EMPTY,
    ) -> None:
        self.throttle_time = throttle_time
        self.groups: list[DescribedGroup] = [] if groups is EMPTY else groups
