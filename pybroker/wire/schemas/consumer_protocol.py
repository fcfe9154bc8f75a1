"""The classic consumer protocol: what members put into JoinGroup and SyncGroup.

Written by `tools/generate_wire.py`: change that, not this.
"""

# ruff: noqa: RUF023 (slots are in wire order)
from __future__ import annotations

from pybroker.wire.message import EMPTY, NEVER, Message


class SubscriptionTopicPartition(Message):
    """Versions 1-3."""

    __slots__ = ("topic", "partitions")
    VERSIONS = (1, 3)
    FLEXIBLE_FROM = NEVER
    FIELDS = (
        ("topic", "string", 1, 3, -1, -1, ""),
        ("partitions", "[]int32", 1, 3, -1, -1, ()),
    )

    def __init__(
        self,
        *,
        topic: str = "",
        partitions: list[int] = EMPTY,
    ) -> None:
        self.topic = topic
        self.partitions: list[int] = [] if partitions is EMPTY else partitions


class ConsumerProtocolSubscription(Message):
    """Versions 0-3."""

    __slots__ = ("topics", "user_data", "owned_partitions", "generation_id", "rack_id")
    VERSIONS = (0, 3)
    FLEXIBLE_FROM = NEVER
    FIELDS = (
        ("topics", "[]string", 0, 3, -1, -1, ()),
        ("user_data", "bytes", 0, 3, 0, -1, None),
        ("owned_partitions", "[]SubscriptionTopicPartition", 1, 3, -1, -1, ()),
        ("generation_id", "int32", 2, 3, -1, -1, -1),
        ("rack_id", "string", 3, 3, 3, -1, None),
    )

    def __init__(
        self,
        *,
        topics: list[str] = EMPTY,
        user_data: bytes | memoryview | None = None,
        owned_partitions: list[SubscriptionTopicPartition] = EMPTY,
        generation_id: int = -1,
        rack_id: str | None = None,
    ) -> None:
        self.topics: list[str] = [] if topics is EMPTY else topics
        self.user_data = user_data
        self.owned_partitions: list[SubscriptionTopicPartition] = (
            [] if owned_partitions is EMPTY else owned_partitions
        )
        self.generation_id = generation_id
        self.rack_id = rack_id


class AssignmentTopicPartition(Message):
    """Versions 0-3."""

    __slots__ = ("topic", "partitions")
    VERSIONS = (0, 3)
    FLEXIBLE_FROM = NEVER
    FIELDS = (
        ("topic", "string", 0, 3, -1, -1, ""),
        ("partitions", "[]int32", 0, 3, -1, -1, ()),
    )

    def __init__(
        self,
        *,
        topic: str = "",
        partitions: list[int] = EMPTY,
    ) -> None:
        self.topic = topic
        self.partitions: list[int] = [] if partitions is EMPTY else partitions


class ConsumerProtocolAssignment(Message):
    """Versions 0-3."""

    __slots__ = ("assigned_partitions", "user_data")
    VERSIONS = (0, 3)
    FLEXIBLE_FROM = NEVER
    FIELDS = (
        ("assigned_partitions", "[]AssignmentTopicPartition", 0, 3, -1, -1, ()),
        ("user_data", "bytes", 0, 3, 0, -1, None),
    )

    def __init__(
        self,
        *,
        assigned_partitions: list[AssignmentTopicPartition] = EMPTY,
        user_data: bytes | memoryview | None = None,
    ) -> None:
        self.assigned_partitions: list[AssignmentTopicPartition] = (
            [] if assigned_partitions is EMPTY else assigned_partitions
        )
        self.user_data = user_data
