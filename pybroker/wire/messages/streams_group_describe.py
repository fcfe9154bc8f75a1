"""StreamsGroupDescribeRequest 0-0 and StreamsGroupDescribeResponse 0-0 (API key 89).

Written by `tools/generate_wire.py`: change that, not this.
"""

# ruff: noqa: RUF023 (slots are in wire order)
from __future__ import annotations

from pybroker.wire.message import DEFAULT, EMPTY, Message

API_KEY = 89


class StreamsGroupDescribeRequest(Message):
    """Version 0, flexible from 0."""

    __slots__ = ("group_ids", "include_authorized_operations")
    VERSIONS = (0, 0)
    FLEXIBLE_FROM = 0
    FIELDS = (
        ("group_ids", "[]string", 0, 0, -1, -1, ()),
        ("include_authorized_operations", "bool", 0, 0, -1, -1, False),
    )

    def __init__(
        self,
        *,
        group_ids: list[str] = EMPTY,
        include_authorized_operations: bool = False,
    ) -> None:
        self.group_ids: list[str] = [] if group_ids is EMPTY else group_ids
        self.include_authorized_operations = include_authorized_operations


class KeyValue(Message):
    """Version 0, flexible from 0."""

    __slots__ = ("key", "value")
    VERSIONS = (0, 0)
    FLEXIBLE_FROM = 0
    FIELDS = (
        ("key", "string", 0, 0, -1, -1, ""),
        ("value", "string", 0, 0, -1, -1, ""),
    )

    def __init__(
        self,
        *,
        key: str = "",
        value: str = "",
    ) -> None:
        self.key = key
        self.value = value


class TopicInfo(Message):
    """Version 0, flexible from 0."""

    __slots__ = ("name", "partitions", "replication_factor", "topic_configs")
    VERSIONS = (0, 0)
    FLEXIBLE_FROM = 0
    FIELDS = (
        ("name", "string", 0, 0, -1, -1, ""),
        ("partitions", "int32", 0, 0, -1, -1, 0),
        ("replication_factor", "int16", 0, 0, -1, -1, 0),
        ("topic_configs", "[]KeyValue", 0, 0, -1, -1, ()),
    )

    def __init__(
        self,
        *,
        name: str = "",
        partitions: int = 0,
        replication_factor: int = 0,
        topic_configs: list[KeyValue] = EMPTY,
    ) -> None:
        self.name = name
        self.partitions = partitions
        self.replication_factor = replication_factor
        self.topic_configs: list[KeyValue] = [] if topic_configs is EMPTY else topic_configs


class Subtopology(Message):
    """Version 0, flexible from 0."""

    __slots__ = (
        "subtopology_id",
        "source_topics",
        "repartition_sink_topics",
        "state_changelog_topics",
        "repartition_source_topics",
    )
    VERSIONS = (0, 0)
    FLEXIBLE_FROM = 0
    FIELDS = (
        ("subtopology_id", "string", 0, 0, -1, -1, ""),
        ("source_topics", "[]string", 0, 0, -1, -1, ()),
        ("repartition_sink_topics", "[]string", 0, 0, -1, -1, ()),
        ("state_changelog_topics", "[]TopicInfo", 0, 0, -1, -1, ()),
        ("repartition_source_topics", "[]TopicInfo", 0, 0, -1, -1, ()),
    )

    def __init__(
        self,
        *,
        subtopology_id: str = "",
        source_topics: list[str] = EMPTY,
        repartition_sink_topics: list[str] = EMPTY,
        state_changelog_topics: list[TopicInfo] = EMPTY,
        repartition_source_topics: list[TopicInfo] = EMPTY,
    ) -> None:
        self.subtopology_id = subtopology_id
        self.source_topics: list[str] = [] if source_topics is EMPTY else source_topics
        self.repartition_sink_topics: list[str] = (
            [] if repartition_sink_topics is EMPTY else repartition_sink_topics
        )
        self.state_changelog_topics: list[TopicInfo] = (
            [] if state_changelog_topics is EMPTY else state_changelog_topics
        )
        self.repartition_source_topics: list[TopicInfo] = (
            [] if repartition_source_topics is EMPTY else repartition_source_topics
        )


class Topology(Message):
    """Version 0, flexible from 0."""

    __slots__ = ("epoch", "subtopologies")
    VERSIONS = (0, 0)
    FLEXIBLE_FROM = 0
    FIELDS = (
        ("epoch", "int32", 0, 0, -1, -1, 0),
        ("subtopologies", "[]Subtopology", 0, 0, 0, -1, None),
    )

    def __init__(
        self,
        *,
        epoch: int = 0,
        subtopologies: list[Subtopology] | None = None,
    ) -> None:
        self.epoch = epoch
        self.subtopologies = subtopologies


class Endpoint(Message):
    """Version 0, flexible from 0."""

    __slots__ = ("host", "port")
    VERSIONS = (0, 0)
    FLEXIBLE_FROM = 0
    FIELDS = (
        ("host", "string", 0, 0, -1, -1, ""),
        ("port", "uint16", 0, 0, -1, -1, 0),
    )

    def __init__(
        self,
        *,
        host: str = "",
        port: int = 0,
    ) -> None:
        self.host = host
        self.port = port


class TaskOffset(Message):
    """Version 0, flexible from 0."""

    __slots__ = ("subtopology_id", "partition", "offset")
    VERSIONS = (0, 0)
    FLEXIBLE_FROM = 0
    FIELDS = (
        ("subtopology_id", "string", 0, 0, -1, -1, ""),
        ("partition", "int32", 0, 0, -1, -1, 0),
        ("offset", "int64", 0, 0, -1, -1, 0),
    )

    def __init__(
        self,
        *,
        subtopology_id: str = "",
        partition: int = 0,
        offset: int = 0,
    ) -> None:
        self.subtopology_id = subtopology_id
        self.partition = partition
        self.offset = offset


class TaskIds(Message):
    """Version 0, flexible from 0."""

    __slots__ = ("subtopology_id", "partitions")
    VERSIONS = (0, 0)
    FLEXIBLE_FROM = 0
    FIELDS = (
        ("subtopology_id", "string", 0, 0, -1, -1, ""),
        ("partitions", "[]int32", 0, 0, -1, -1, ()),
    )

    def __init__(
        self,
        *,
        subtopology_id: str = "",
        partitions: list[int] = EMPTY,
    ) -> None:
        self.subtopology_id = subtopology_id
        self.partitions: list[int] = [] if partitions is EMPTY else partitions


class Assignment(Message):
    """Version 0, flexible from 0."""

    __slots__ = ("active_tasks", "standby_tasks", "warmup_tasks")
    VERSIONS = (0, 0)
    FLEXIBLE_FROM = 0
    FIELDS = (
        ("active_tasks", "[]TaskIds", 0, 0, -1, -1, ()),
        ("standby_tasks", "[]TaskIds", 0, 0, -1, -1, ()),
        ("warmup_tasks", "[]TaskIds", 0, 0, -1, -1, ()),
    )

    def __init__(
        self,
        *,
        active_tasks: list[TaskIds] = EMPTY,
        standby_tasks: list[TaskIds] = EMPTY,
        warmup_tasks: list[TaskIds] = EMPTY,
    ) -> None:
        self.active_tasks: list[TaskIds] = [] if active_tasks is EMPTY else active_tasks
        self.standby_tasks: list[TaskIds] = [] if standby_tasks is EMPTY else standby_tasks
        self.warmup_tasks: list[TaskIds] = [] if warmup_tasks is EMPTY else warmup_tasks


class Member(Message):
    """Version 0, flexible from 0."""

    __slots__ = (
        "member_id",
        "member_epoch",
        "instance_id",
        "rack_id",
        "client_id",
        "client_host",
        "topology_epoch",
        "process_id",
        "user_endpoint",
        "client_tags",
        "task_offsets",
        "task_end_offsets",
        "assignment",
        "target_assignment",
        "is_classic",
    )
    VERSIONS = (0, 0)
    FLEXIBLE_FROM = 0
    FIELDS = (
        ("member_id", "string", 0, 0, -1, -1, ""),
        ("member_epoch", "int32", 0, 0, -1, -1, 0),
        ("instance_id", "string", 0, 0, 0, -1, None),
        ("rack_id", "string", 0, 0, 0, -1, None),
        ("client_id", "string", 0, 0, -1, -1, ""),
        ("client_host", "string", 0, 0, -1, -1, ""),
        ("topology_epoch", "int32", 0, 0, -1, -1, 0),
        ("process_id", "string", 0, 0, -1, -1, ""),
        ("user_endpoint", "Endpoint", 0, 0, 0, -1, None),
        ("client_tags", "[]KeyValue", 0, 0, -1, -1, ()),
        ("task_offsets", "[]TaskOffset", 0, 0, -1, -1, ()),
        ("task_end_offsets", "[]TaskOffset", 0, 0, -1, -1, ()),
        ("assignment", "Assignment", 0, 0, -1, -1, ...),
        ("target_assignment", "Assignment", 0, 0, -1, -1, ...),
        ("is_classic", "bool", 0, 0, -1, -1, False),
    )

    def __init__(
        self,
        *,
        member_id: str = "",
        member_epoch: int = 0,
        instance_id: str | None = None,
        rack_id: str | None = None,
        client_id: str = "",
        client_host: str = "",
        topology_epoch: int = 0,
        process_id: str = "",
        user_endpoint: Endpoint | None = None,
        client_tags: list[KeyValue] = EMPTY,
        task_offsets: list[TaskOffset] = EMPTY,
        task_end_offsets: list[TaskOffset] = EMPTY,
        assignment: Assignment = DEFAULT,
        target_assignment: Assignment = DEFAULT,
        is_classic: bool = False,
    ) -> None:
        self.member_id = member_id
        self.member_epoch = member_epoch
        self.instance_id = instance_id
        self.rack_id = rack_id
        self.client_id = client_id
        self.client_host = client_host
        self.topology_epoch = topology_epoch
        self.process_id = process_id
        self.user_endpoint = user_endpoint
        self.client_tags: list[KeyValue] = [] if client_tags is EMPTY else client_tags
        self.task_offsets: list[TaskOffset] = [] if task_offsets is EMPTY else task_offsets
        self.task_end_offsets: list[TaskOffset] = [] if task_end_offsets is EMPTY else task_end_offsets
        self.assignment: Assignment = Assignment() if assignment is DEFAULT else assignment
        self.target_assignment: Assignment = (
            Assignment() if target_assignment is DEFAULT else target_assignment
        )
        self.is_classic = is_classic


class DescribedGroup(Message):
    """Version 0, flexible from 0."""

    __slots__ = (
        "error_code",
        "error_message",
        "group_id",
        "group_state",
        "group_epoch",
        "assignment_epoch",
        "topology",
        "members",
        "authorized_operations",
    )
    VERSIONS = (0, 0)
    FLEXIBLE_FROM = 0
    FIELDS = (
        ("error_code", "int16", 0, 0, -1, -1, 0),
        ("error_message", "string", 0, 0, 0, -1, None),
        ("group_id", "string", 0, 0, -1, -1, ""),
        ("group_state", "string", 0, 0, -1, -1, ""),
        ("group_epoch", "int32", 0, 0, -1, -1, 0),
        ("assignment_epoch", "int32", 0, 0, -1, -1, 0),
        ("topology", "Topology", 0, 0, 0, -1, None),
        ("members", "[]Member", 0, 0, -1, -1, ()),
        ("authorized_operations", "int32", 0, 0, -1, -1, -2147483648),
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
        topology: Topology | None = None,
        members: list[Member] = EMPTY,
        authorized_operations: int = -2147483648,
    ) -> None:
        self.error_code = error_code
        self.error_message = error_message
        self.group_id = group_id
        self.group_state = group_state
        self.group_epoch = group_epoch
        self.assignment_epoch = assignment_epoch
        self.topology = topology
        self.members: list[Member] = [] if members is EMPTY else members
        self.authorized_operations = authorized_operations


class StreamsGroupDescribeResponse(Message):
    """Version 0, flexible from 0."""

    __slots__ = ("throttle_time", "groups")
    VERSIONS = (0, 0)
    FLEXIBLE_FROM = 0
    FIELDS = (
        ("throttle_time", "int32", 0, 0, -1, -1, 0),
        ("groups", "[]DescribedGroup", 0, 0, -1, -1, ()),
    )

    def __init__(
        self,
        *,
        throttle_time: int = 0,
        groups: list[DescribedGroup] = EMPTY,
    ) -> None:
        self.throttle_time = throttle_time
        self.groups: list[DescribedGroup] = [] if groups is EMPTY else groups
