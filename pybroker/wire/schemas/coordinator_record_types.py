"""The records of `__consumer_offsets`, as of Kafka 4.3.

Written by `tools/generate_wire.py`: change that, not this.
"""

# ruff: noqa: RUF023 (slots are in wire order)
from __future__ import annotations

from pybroker.wire.message import DEFAULT, EMPTY, NEVER, ZERO_UUID, Message


class LegacyOffsetCommitKey(Message):
    """Version 0."""

    __slots__ = ("group", "topic", "partition")
    VERSIONS = (0, 0)
    FLEXIBLE_FROM = NEVER
    FIELDS = (
        ("group", "string", 0, 0, -1, -1, ""),
        ("topic", "string", 0, 0, -1, -1, ""),
        ("partition", "int32", 0, 0, -1, -1, 0),
    )

    def __init__(
        self,
        *,
        group: str = "",
        topic: str = "",
        partition: int = 0,
    ) -> None:
        self.group = group
        self.topic = topic
        self.partition = partition


class LegacyOffsetCommitValue(Message):
    """Version 0."""

    __slots__ = ("offset", "metadata", "commit_timestamp")
    VERSIONS = (0, 0)
    FLEXIBLE_FROM = NEVER
    FIELDS = (
        ("offset", "int64", 0, 0, -1, -1, 0),
        ("metadata", "string", 0, 0, -1, -1, ""),
        ("commit_timestamp", "int64", 0, 0, -1, -1, 0),
    )

    def __init__(
        self,
        *,
        offset: int = 0,
        metadata: str = "",
        commit_timestamp: int = 0,
    ) -> None:
        self.offset = offset
        self.metadata = metadata
        self.commit_timestamp = commit_timestamp


class OffsetCommitKey(Message):
    """Version 0."""

    __slots__ = ("group", "topic", "partition")
    VERSIONS = (0, 0)
    FLEXIBLE_FROM = NEVER
    FIELDS = (
        ("group", "string", 0, 0, -1, -1, ""),
        ("topic", "string", 0, 0, -1, -1, ""),
        ("partition", "int32", 0, 0, -1, -1, 0),
    )

    def __init__(
        self,
        *,
        group: str = "",
        topic: str = "",
        partition: int = 0,
    ) -> None:
        self.group = group
        self.topic = topic
        self.partition = partition


class OffsetCommitValue(Message):
    """Versions 0-4, flexible from 4."""

    __slots__ = ("offset", "leader_epoch", "metadata", "commit_timestamp", "expire_timestamp", "topic_id")
    VERSIONS = (0, 4)
    FLEXIBLE_FROM = 4
    FIELDS = (
        ("offset", "int64", 0, 4, -1, -1, 0),
        ("leader_epoch", "int32", 3, 4, -1, -1, -1),
        ("metadata", "string", 0, 4, -1, -1, ""),
        ("commit_timestamp", "int64", 0, 4, -1, -1, 0),
        ("expire_timestamp", "int64", 1, 1, -1, -1, -1),
        ("topic_id", "uuid", 4, 4, -1, 0, None),
    )

    def __init__(
        self,
        *,
        offset: int = 0,
        leader_epoch: int = -1,
        metadata: str = "",
        commit_timestamp: int = 0,
        expire_timestamp: int = -1,
        topic_id: bytes = ZERO_UUID,
    ) -> None:
        self.offset = offset
        self.leader_epoch = leader_epoch
        self.metadata = metadata
        self.commit_timestamp = commit_timestamp
        self.expire_timestamp = expire_timestamp
        self.topic_id = topic_id


class GroupMetadataKey(Message):
    """Version 0."""

    __slots__ = ("group",)
    VERSIONS = (0, 0)
    FLEXIBLE_FROM = NEVER
    FIELDS = (("group", "string", 0, 0, -1, -1, ""),)

    def __init__(
        self,
        *,
        group: str = "",
    ) -> None:
        self.group = group


class GroupMetadataMember(Message):
    """Versions 0-4, flexible from 4."""

    __slots__ = (
        "member_id",
        "group_instance_id",
        "client_id",
        "client_host",
        "rebalance_timeout",
        "session_timeout",
        "subscription",
        "assignment",
    )
    VERSIONS = (0, 4)
    FLEXIBLE_FROM = 4
    FIELDS = (
        ("member_id", "string", 0, 4, -1, -1, ""),
        ("group_instance_id", "string", 3, 4, 3, -1, None),
        ("client_id", "string", 0, 4, -1, -1, ""),
        ("client_host", "string", 0, 4, -1, -1, ""),
        ("rebalance_timeout", "int32", 1, 4, -1, -1, 0),
        ("session_timeout", "int32", 0, 4, -1, -1, 0),
        ("subscription", "bytes", 0, 4, -1, -1, b""),
        ("assignment", "bytes", 0, 4, -1, -1, b""),
    )

    def __init__(
        self,
        *,
        member_id: str = "",
        group_instance_id: str | None = None,
        client_id: str = "",
        client_host: str = "",
        rebalance_timeout: int = 0,
        session_timeout: int = 0,
        subscription: bytes | memoryview = b"",
        assignment: bytes | memoryview = b"",
    ) -> None:
        self.member_id = member_id
        self.group_instance_id = group_instance_id
        self.client_id = client_id
        self.client_host = client_host
        self.rebalance_timeout = rebalance_timeout
        self.session_timeout = session_timeout
        self.subscription = subscription
        self.assignment = assignment


class GroupMetadataValue(Message):
    """Versions 0-4, flexible from 4."""

    __slots__ = ("protocol_type", "generation", "protocol", "leader", "current_state_timestamp", "members")
    VERSIONS = (0, 4)
    FLEXIBLE_FROM = 4
    FIELDS = (
        ("protocol_type", "string", 0, 4, -1, -1, ""),
        ("generation", "int32", 0, 4, -1, -1, 0),
        ("protocol", "string", 0, 4, 0, -1, ""),
        ("leader", "string", 0, 4, 0, -1, ""),
        ("current_state_timestamp", "int64", 2, 4, -1, -1, -1),
        ("members", "[]GroupMetadataMember", 0, 4, -1, -1, ()),
    )

    def __init__(
        self,
        *,
        protocol_type: str = "",
        generation: int = 0,
        protocol: str | None = "",
        leader: str | None = "",
        current_state_timestamp: int = -1,
        members: list[GroupMetadataMember] = EMPTY,
    ) -> None:
        self.protocol_type = protocol_type
        self.generation = generation
        self.protocol = protocol
        self.leader = leader
        self.current_state_timestamp = current_state_timestamp
        self.members: list[GroupMetadataMember] = [] if members is EMPTY else members


class ConsumerGroupMetadataKey(Message):
    """Version 0."""

    __slots__ = ("group_id",)
    VERSIONS = (0, 0)
    FLEXIBLE_FROM = NEVER
    FIELDS = (("group_id", "string", 0, 0, -1, -1, ""),)

    def __init__(
        self,
        *,
        group_id: str = "",
    ) -> None:
        self.group_id = group_id


class ConsumerGroupMetadataValue(Message):
    """Version 0, flexible from 0."""

    __slots__ = ("epoch", "metadata_hash")
    VERSIONS = (0, 0)
    FLEXIBLE_FROM = 0
    FIELDS = (
        ("epoch", "int32", 0, 0, -1, -1, 0),
        ("metadata_hash", "int64", 0, 0, -1, 0, 0),
    )

    def __init__(
        self,
        *,
        epoch: int = 0,
        metadata_hash: int = 0,
    ) -> None:
        self.epoch = epoch
        self.metadata_hash = metadata_hash


class ConsumerGroupPartitionMetadataKey(Message):
    """Version 0."""

    __slots__ = ("group_id",)
    VERSIONS = (0, 0)
    FLEXIBLE_FROM = NEVER
    FIELDS = (("group_id", "string", 0, 0, -1, -1, ""),)

    def __init__(
        self,
        *,
        group_id: str = "",
    ) -> None:
        self.group_id = group_id


class PartitionRacks(Message):
    """Version 0, flexible from 0."""

    __slots__ = ("partition", "racks")
    VERSIONS = (0, 0)
    FLEXIBLE_FROM = 0
    FIELDS = (
        ("partition", "int32", 0, 0, -1, -1, 0),
        ("racks", "[]string", 0, 0, -1, -1, ()),
    )

    def __init__(
        self,
        *,
        partition: int = 0,
        racks: list[str] = EMPTY,
    ) -> None:
        self.partition = partition
        self.racks: list[str] = [] if racks is EMPTY else racks


class GroupTopicMetadata(Message):
    """Version 0, flexible from 0."""

    __slots__ = ("topic_id", "topic_name", "num_partitions", "partition_metadata")
    VERSIONS = (0, 0)
    FLEXIBLE_FROM = 0
    FIELDS = (
        ("topic_id", "uuid", 0, 0, -1, -1, None),
        ("topic_name", "string", 0, 0, -1, -1, ""),
        ("num_partitions", "int32", 0, 0, -1, -1, 0),
        ("partition_metadata", "[]PartitionRacks", 0, 0, -1, -1, ()),
    )

    def __init__(
        self,
        *,
        topic_id: bytes = ZERO_UUID,
        topic_name: str = "",
        num_partitions: int = 0,
        partition_metadata: list[PartitionRacks] = EMPTY,
    ) -> None:
        self.topic_id = topic_id
        self.topic_name = topic_name
        self.num_partitions = num_partitions
        self.partition_metadata: list[PartitionRacks] = (
            [] if partition_metadata is EMPTY else partition_metadata
        )


class ConsumerGroupPartitionMetadataValue(Message):
    """Version 0, flexible from 0."""

    __slots__ = ("topics",)
    VERSIONS = (0, 0)
    FLEXIBLE_FROM = 0
    FIELDS = (("topics", "[]GroupTopicMetadata", 0, 0, -1, -1, ()),)

    def __init__(
        self,
        *,
        topics: list[GroupTopicMetadata] = EMPTY,
    ) -> None:
        self.topics: list[GroupTopicMetadata] = [] if topics is EMPTY else topics


class ConsumerGroupMemberMetadataKey(Message):
    """Version 0."""

    __slots__ = ("group_id", "member_id")
    VERSIONS = (0, 0)
    FLEXIBLE_FROM = NEVER
    FIELDS = (
        ("group_id", "string", 0, 0, -1, -1, ""),
        ("member_id", "string", 0, 0, -1, -1, ""),
    )

    def __init__(
        self,
        *,
        group_id: str = "",
        member_id: str = "",
    ) -> None:
        self.group_id = group_id
        self.member_id = member_id


class ClassicProtocol(Message):
    """Version 0, flexible from 0."""

    __slots__ = ("name", "metadata")
    VERSIONS = (0, 0)
    FLEXIBLE_FROM = 0
    FIELDS = (
        ("name", "string", 0, 0, -1, -1, ""),
        ("metadata", "bytes", 0, 0, -1, -1, b""),
    )

    def __init__(
        self,
        *,
        name: str = "",
        metadata: bytes | memoryview = b"",
    ) -> None:
        self.name = name
        self.metadata = metadata


class ClassicMemberMetadata(Message):
    """Version 0, flexible from 0."""

    __slots__ = ("session_timeout_ms", "supported_protocols")
    VERSIONS = (0, 0)
    FLEXIBLE_FROM = 0
    FIELDS = (
        ("session_timeout_ms", "int32", 0, 0, -1, -1, 0),
        ("supported_protocols", "[]ClassicProtocol", 0, 0, -1, -1, ()),
    )

    def __init__(
        self,
        *,
        session_timeout_ms: int = 0,
        supported_protocols: list[ClassicProtocol] = EMPTY,
    ) -> None:
        self.session_timeout_ms = session_timeout_ms
        self.supported_protocols: list[ClassicProtocol] = (
            [] if supported_protocols is EMPTY else supported_protocols
        )


class ConsumerGroupMemberMetadataValue(Message):
    """Version 0, flexible from 0."""

    __slots__ = (
        "instance_id",
        "rack_id",
        "client_id",
        "client_host",
        "subscribed_topic_names",
        "subscribed_topic_regex",
        "rebalance_timeout_ms",
        "server_assignor",
        "classic_member_metadata",
    )
    VERSIONS = (0, 0)
    FLEXIBLE_FROM = 0
    FIELDS = (
        ("instance_id", "string", 0, 0, 0, -1, ""),
        ("rack_id", "string", 0, 0, 0, -1, ""),
        ("client_id", "string", 0, 0, -1, -1, ""),
        ("client_host", "string", 0, 0, -1, -1, ""),
        ("subscribed_topic_names", "[]string", 0, 0, -1, -1, ()),
        ("subscribed_topic_regex", "string", 0, 0, 0, -1, ""),
        ("rebalance_timeout_ms", "int32", 0, 0, -1, -1, -1),
        ("server_assignor", "string", 0, 0, 0, -1, ""),
        ("classic_member_metadata", "ClassicMemberMetadata", 0, 0, 0, 0, ...),
    )

    def __init__(
        self,
        *,
        instance_id: str | None = "",
        rack_id: str | None = "",
        client_id: str = "",
        client_host: str = "",
        subscribed_topic_names: list[str] = EMPTY,
        subscribed_topic_regex: str | None = "",
        rebalance_timeout_ms: int = -1,
        server_assignor: str | None = "",
        classic_member_metadata: ClassicMemberMetadata | None = DEFAULT,
    ) -> None:
        self.instance_id = instance_id
        self.rack_id = rack_id
        self.client_id = client_id
        self.client_host = client_host
        self.subscribed_topic_names: list[str] = (
            [] if subscribed_topic_names is EMPTY else subscribed_topic_names
        )
        self.subscribed_topic_regex = subscribed_topic_regex
        self.rebalance_timeout_ms = rebalance_timeout_ms
        self.server_assignor = server_assignor
        self.classic_member_metadata: ClassicMemberMetadata | None = (
            ClassicMemberMetadata() if classic_member_metadata is DEFAULT else classic_member_metadata
        )


class ConsumerGroupTargetAssignmentMetadataKey(Message):
    """Version 0."""

    __slots__ = ("group_id",)
    VERSIONS = (0, 0)
    FLEXIBLE_FROM = NEVER
    FIELDS = (("group_id", "string", 0, 0, -1, -1, ""),)

    def __init__(
        self,
        *,
        group_id: str = "",
    ) -> None:
        self.group_id = group_id


class ConsumerGroupTargetAssignmentMetadataValue(Message):
    """Version 0, flexible from 0."""

    __slots__ = ("assignment_epoch", "assignment_timestamp")
    VERSIONS = (0, 0)
    FLEXIBLE_FROM = 0
    FIELDS = (
        ("assignment_epoch", "int32", 0, 0, -1, -1, 0),
        ("assignment_timestamp", "int64", 0, 0, -1, 0, 0),
    )

    def __init__(
        self,
        *,
        assignment_epoch: int = 0,
        assignment_timestamp: int = 0,
    ) -> None:
        self.assignment_epoch = assignment_epoch
        self.assignment_timestamp = assignment_timestamp


class ConsumerGroupTargetAssignmentMemberKey(Message):
    """Version 0."""

    __slots__ = ("group_id", "member_id")
    VERSIONS = (0, 0)
    FLEXIBLE_FROM = NEVER
    FIELDS = (
        ("group_id", "string", 0, 0, -1, -1, ""),
        ("member_id", "string", 0, 0, -1, -1, ""),
    )

    def __init__(
        self,
        *,
        group_id: str = "",
        member_id: str = "",
    ) -> None:
        self.group_id = group_id
        self.member_id = member_id


class TargetPartitions(Message):
    """Version 0, flexible from 0."""

    __slots__ = ("topic_id", "partitions")
    VERSIONS = (0, 0)
    FLEXIBLE_FROM = 0
    FIELDS = (
        ("topic_id", "uuid", 0, 0, -1, -1, None),
        ("partitions", "[]int32", 0, 0, -1, -1, ()),
    )

    def __init__(
        self,
        *,
        topic_id: bytes = ZERO_UUID,
        partitions: list[int] = EMPTY,
    ) -> None:
        self.topic_id = topic_id
        self.partitions: list[int] = [] if partitions is EMPTY else partitions


class ConsumerGroupTargetAssignmentMemberValue(Message):
    """Version 0, flexible from 0."""

    __slots__ = ("topic_partitions",)
    VERSIONS = (0, 0)
    FLEXIBLE_FROM = 0
    FIELDS = (("topic_partitions", "[]TargetPartitions", 0, 0, -1, -1, ()),)

    def __init__(
        self,
        *,
        topic_partitions: list[TargetPartitions] = EMPTY,
    ) -> None:
        self.topic_partitions: list[TargetPartitions] = [] if topic_partitions is EMPTY else topic_partitions


class ConsumerGroupCurrentMemberAssignmentKey(Message):
    """Version 0."""

    __slots__ = ("group_id", "member_id")
    VERSIONS = (0, 0)
    FLEXIBLE_FROM = NEVER
    FIELDS = (
        ("group_id", "string", 0, 0, -1, -1, ""),
        ("member_id", "string", 0, 0, -1, -1, ""),
    )

    def __init__(
        self,
        *,
        group_id: str = "",
        member_id: str = "",
    ) -> None:
        self.group_id = group_id
        self.member_id = member_id


class CurrentPartitions(Message):
    """Version 0, flexible from 0."""

    __slots__ = ("topic_id", "partitions", "assignment_epochs")
    VERSIONS = (0, 0)
    FLEXIBLE_FROM = 0
    FIELDS = (
        ("topic_id", "uuid", 0, 0, -1, -1, None),
        ("partitions", "[]int32", 0, 0, -1, -1, ()),
        ("assignment_epochs", "[]int32", 0, 0, 0, 0, None),
    )

    def __init__(
        self,
        *,
        topic_id: bytes = ZERO_UUID,
        partitions: list[int] = EMPTY,
        assignment_epochs: list[int] | None = None,
    ) -> None:
        self.topic_id = topic_id
        self.partitions: list[int] = [] if partitions is EMPTY else partitions
        self.assignment_epochs = assignment_epochs


class ConsumerGroupCurrentMemberAssignmentValue(Message):
    """Version 0, flexible from 0."""

    __slots__ = (
        "member_epoch",
        "previous_member_epoch",
        "state",
        "assigned_partitions",
        "partitions_pending_revocation",
    )
    VERSIONS = (0, 0)
    FLEXIBLE_FROM = 0
    FIELDS = (
        ("member_epoch", "int32", 0, 0, -1, -1, 0),
        ("previous_member_epoch", "int32", 0, 0, -1, -1, 0),
        ("state", "int8", 0, 0, -1, -1, 0),
        ("assigned_partitions", "[]CurrentPartitions", 0, 0, -1, -1, ()),
        ("partitions_pending_revocation", "[]CurrentPartitions", 0, 0, -1, -1, ()),
    )

    def __init__(
        self,
        *,
        member_epoch: int = 0,
        previous_member_epoch: int = 0,
        state: int = 0,
        assigned_partitions: list[CurrentPartitions] = EMPTY,
        partitions_pending_revocation: list[CurrentPartitions] = EMPTY,
    ) -> None:
        self.member_epoch = member_epoch
        self.previous_member_epoch = previous_member_epoch
        self.state = state
        self.assigned_partitions: list[CurrentPartitions] = (
            [] if assigned_partitions is EMPTY else assigned_partitions
        )
        self.partitions_pending_revocation: list[CurrentPartitions] = (
            [] if partitions_pending_revocation is EMPTY else partitions_pending_revocation
        )


class ConsumerGroupRegularExpressionKey(Message):
    """Version 0."""

    __slots__ = ("group_id", "regular_expression")
    VERSIONS = (0, 0)
    FLEXIBLE_FROM = NEVER
    FIELDS = (
        ("group_id", "string", 0, 0, -1, -1, ""),
        ("regular_expression", "string", 0, 0, -1, -1, ""),
    )

    def __init__(
        self,
        *,
        group_id: str = "",
        regular_expression: str = "",
    ) -> None:
        self.group_id = group_id
        self.regular_expression = regular_expression


class ConsumerGroupRegularExpressionValue(Message):
    """Version 0, flexible from 0."""

    __slots__ = ("topics", "version", "timestamp")
    VERSIONS = (0, 0)
    FLEXIBLE_FROM = 0
    FIELDS = (
        ("topics", "[]string", 0, 0, -1, -1, ()),
        ("version", "int64", 0, 0, -1, -1, 0),
        ("timestamp", "int64", 0, 0, -1, -1, 0),
    )

    def __init__(
        self,
        *,
        topics: list[str] = EMPTY,
        version: int = 0,
        timestamp: int = 0,
    ) -> None:
        self.topics: list[str] = [] if topics is EMPTY else topics
        self.version = version
        self.timestamp = timestamp


RECORD_TYPES: dict[int, tuple[type[Message], type[Message]]] = {
    0: (LegacyOffsetCommitKey, LegacyOffsetCommitValue),
    1: (OffsetCommitKey, OffsetCommitValue),
    2: (GroupMetadataKey, GroupMetadataValue),
    3: (ConsumerGroupMetadataKey, ConsumerGroupMetadataValue),
    4: (ConsumerGroupPartitionMetadataKey, ConsumerGroupPartitionMetadataValue),
    5: (ConsumerGroupMemberMetadataKey, ConsumerGroupMemberMetadataValue),
    6: (ConsumerGroupTargetAssignmentMetadataKey, ConsumerGroupTargetAssignmentMetadataValue),
    7: (ConsumerGroupTargetAssignmentMemberKey, ConsumerGroupTargetAssignmentMemberValue),
    8: (ConsumerGroupCurrentMemberAssignmentKey, ConsumerGroupCurrentMemberAssignmentValue),
    16: (ConsumerGroupRegularExpressionKey, ConsumerGroupRegularExpressionValue),
}
