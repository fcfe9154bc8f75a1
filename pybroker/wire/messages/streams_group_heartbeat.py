"""StreamsGroupHeartbeatRequest 0-0 and StreamsGroupHeartbeatResponse 0-0 (API key 88).

Written by `tools/generate_wire.py`: change that, not this.
"""

# ruff: noqa: RUF023 (slots are in wire order)
from __future__ import annotations

from pybroker.wire.message import DEFAULT, EMPTY, Message

API_KEY = 88


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


class CopartitionGroup(Message):
    """Version 0, flexible from 0."""

    __slots__ = ("source_topics", "source_topic_regex", "repartition_source_topics")
    VERSIONS = (0, 0)
    FLEXIBLE_FROM = 0
    FIELDS = (
        ("source_topics", "[]int16", 0, 0, -1, -1, ()),
        ("source_topic_regex", "[]int16", 0, 0, -1, -1, ()),
        ("repartition_source_topics", "[]int16", 0, 0, -1, -1, ()),
    )

    def __init__(
        self,
        *,
        source_topics: list[int] = EMPTY,
        source_topic_regex: list[int] = EMPTY,
        repartition_source_topics: list[int] = EMPTY,
    ) -> None:
        self.source_topics: list[int] = [] if source_topics is EMPTY else source_topics
        self.source_topic_regex: list[int] = [] if source_topic_regex is EMPTY else source_topic_regex
        self.repartition_source_topics: list[int] = (
            [] if repartition_source_topics is EMPTY else repartition_source_topics
        )


class Subtopology(Message):
    """Version 0, flexible from 0."""

    __slots__ = (
        "subtopology_id",
        "source_topics",
        "source_topic_regex",
        "state_changelog_topics",
        "repartition_sink_topics",
        "repartition_source_topics",
        "copartition_groups",
    )
    VERSIONS = (0, 0)
    FLEXIBLE_FROM = 0
    FIELDS = (
        ("subtopology_id", "string", 0, 0, -1, -1, ""),
        ("source_topics", "[]string", 0, 0, -1, -1, ()),
        ("source_topic_regex", "[]string", 0, 0, -1, -1, ()),
        ("state_changelog_topics", "[]TopicInfo", 0, 0, -1, -1, ()),
        ("repartition_sink_topics", "[]string", 0, 0, -1, -1, ()),
        ("repartition_source_topics", "[]TopicInfo", 0, 0, -1, -1, ()),
        ("copartition_groups", "[]CopartitionGroup", 0, 0, -1, -1, ()),
    )

    def __init__(
        self,
        *,
        subtopology_id: str = "",
        source_topics: list[str] = EMPTY,
        source_topic_regex: list[str] = EMPTY,
        state_changelog_topics: list[TopicInfo] = EMPTY,
        repartition_sink_topics: list[str] = EMPTY,
        repartition_source_topics: list[TopicInfo] = EMPTY,
        copartition_groups: list[CopartitionGroup] = EMPTY,
    ) -> None:
        self.subtopology_id = subtopology_id
        self.source_topics: list[str] = [] if source_topics is EMPTY else source_topics
        self.source_topic_regex: list[str] = [] if source_topic_regex is EMPTY else source_topic_regex
        self.state_changelog_topics: list[TopicInfo] = (
            [] if state_changelog_topics is EMPTY else state_changelog_topics
        )
        self.repartition_sink_topics: list[str] = (
            [] if repartition_sink_topics is EMPTY else repartition_sink_topics
        )
        self.repartition_source_topics: list[TopicInfo] = (
            [] if repartition_source_topics is EMPTY else repartition_source_topics
        )
        self.copartition_groups: list[CopartitionGroup] = (
            [] if copartition_groups is EMPTY else copartition_groups
        )


class Topology(Message):
    """Version 0, flexible from 0."""

    __slots__ = ("epoch", "subtopologies")
    VERSIONS = (0, 0)
    FLEXIBLE_FROM = 0
    FIELDS = (
        ("epoch", "int32", 0, 0, -1, -1, 0),
        ("subtopologies", "[]Subtopology", 0, 0, -1, -1, ()),
    )

    def __init__(
        self,
        *,
        epoch: int = 0,
        subtopologies: list[Subtopology] = EMPTY,
    ) -> None:
        self.epoch = epoch
        self.subtopologies: list[Subtopology] = [] if subtopologies is EMPTY else subtopologies


class RequestTaskIds(Message):
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


class RequestEndpoint(Message):
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


class StreamsGroupHeartbeatRequest(Message):
    """Version 0, flexible from 0."""

    __slots__ = (
        "group_id",
        "member_id",
        "member_epoch",
        "endpoint_information_epoch",
        "instance_id",
        "rack_id",
        "rebalance_timeout",
        "topology",
        "active_tasks",
        "standby_tasks",
        "warmup_tasks",
        "process_id",
        "user_endpoint",
        "client_tags",
        "task_offsets",
        "task_end_offsets",
        "shutdown_application",
    )
    VERSIONS = (0, 0)
    FLEXIBLE_FROM = 0
    FIELDS = (
        ("group_id", "string", 0, 0, -1, -1, ""),
        ("member_id", "string", 0, 0, -1, -1, ""),
        ("member_epoch", "int32", 0, 0, -1, -1, 0),
        ("endpoint_information_epoch", "int32", 0, 0, -1, -1, 0),
        ("instance_id", "string", 0, 0, 0, -1, None),
        ("rack_id", "string", 0, 0, 0, -1, None),
        ("rebalance_timeout", "int32", 0, 0, -1, -1, -1),
        ("topology", "Topology", 0, 0, 0, -1, None),
        ("active_tasks", "[]RequestTaskIds", 0, 0, 0, -1, None),
        ("standby_tasks", "[]RequestTaskIds", 0, 0, 0, -1, None),
        ("warmup_tasks", "[]RequestTaskIds", 0, 0, 0, -1, None),
        ("process_id", "string", 0, 0, 0, -1, None),
        ("user_endpoint", "RequestEndpoint", 0, 0, 0, -1, None),
        ("client_tags", "[]KeyValue", 0, 0, 0, -1, None),
        ("task_offsets", "[]TaskOffset", 0, 0, 0, -1, None),
        ("task_end_offsets", "[]TaskOffset", 0, 0, 0, -1, None),
        ("shutdown_application", "bool", 0, 0, -1, -1, False),
    )

    def __init__(
        self,
        *,
        group_id: str = "",
        member_id: str = "",
        member_epoch: int = 0,
        endpoint_information_epoch: int = 0,
        instance_id: str | None = None,
        rack_id: str | None = None,
        rebalance_timeout: int = -1,
        topology: Topology | None = None,
        active_tasks: list[RequestTaskIds] | None = None,
        standby_tasks: list[RequestTaskIds] | None = None,
        warmup_tasks: list[RequestTaskIds] | None = None,
        process_id: str | None = None,
        user_endpoint: RequestEndpoint | None = None,
        client_tags: list[KeyValue] | None = None,
        task_offsets: list[TaskOffset] | None = None,
        task_end_offsets: list[TaskOffset] | None = None,
        shutdown_application: bool = False,
    ) -> None:
        self.group_id = group_id
        self.member_id = member_id
        self.member_epoch = member_epoch
        self.endpoint_information_epoch = endpoint_information_epoch
        self.instance_id = instance_id
        self.rack_id = rack_id
        self.rebalance_timeout = rebalance_timeout
        self.topology = topology
        self.active_tasks = active_tasks
        self.standby_tasks = standby_tasks
        self.warmup_tasks = warmup_tasks
        self.process_id = process_id
        self.user_endpoint = user_endpoint
        self.client_tags = client_tags
        self.task_offsets = task_offsets
        self.task_end_offsets = task_end_offsets
        self.shutdown_application = shutdown_application


class Status(Message):
    """Version 0, flexible from 0."""

    __slots__ = ("status_code", "status_detail")
    VERSIONS = (0, 0)
    FLEXIBLE_FROM = 0
    FIELDS = (
        ("status_code", "int8", 0, 0, -1, -1, 0),
        ("status_detail", "string", 0, 0, -1, -1, ""),
    )

    def __init__(
        self,
        *,
        status_code: int = 0,
        status_detail: str = "",
    ) -> None:
        self.status_code = status_code
        self.status_detail = status_detail


class ResponseTaskIds(Message):
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


class ResponseEndpoint(Message):
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


class TopicPartition(Message):
    """Version 0, flexible from 0."""

    __slots__ = ("topic", "partitions")
    VERSIONS = (0, 0)
    FLEXIBLE_FROM = 0
    FIELDS = (
        ("topic", "string", 0, 0, -1, -1, ""),
        ("partitions", "[]int32", 0, 0, -1, -1, ()),
    )

    def __init__(
        self,
        *,
        topic: str = "",
        partitions: list[int] = EMPTY,
    ) -> None:
        self.topic = topic
        self.partitions: list[int] = [] if partitions is EMPTY else partitions


class EndpointToPartitions(Message):
    """Version 0, flexible from 0."""

    __slots__ = ("user_endpoint", "active_partitions", "standby_partitions")
    VERSIONS = (0, 0)
    FLEXIBLE_FROM = 0
    FIELDS = (
        ("user_endpoint", "ResponseEndpoint", 0, 0, -1, -1, ...),
        ("active_partitions", "[]TopicPartition", 0, 0, -1, -1, ()),
        ("standby_partitions", "[]TopicPartition", 0, 0, -1, -1, ()),
    )

    def __init__(
        self,
        *,
        user_endpoint: ResponseEndpoint = DEFAULT,
        active_partitions: list[TopicPartition] = EMPTY,
        standby_partitions: list[TopicPartition] = EMPTY,
    ) -> None:
        self.user_endpoint: ResponseEndpoint = (
            ResponseEndpoint() if user_endpoint is DEFAULT else user_endpoint
        )
        self.active_partitions: list[TopicPartition] = [] if active_partitions is EMPTY else active_partitions
        self.standby_partitions: list[TopicPartition] = (
            [] if standby_partitions is EMPTY else standby_partitions
        )


class StreamsGroupHeartbeatResponse(Message):
    """Version 0, flexible from 0."""

    __slots__ = (
        "throttle_time",
        "error_code",
        "error_message",
        "member_id",
        "member_epoch",
        "heartbeat_interval",
        "acceptable_recovery_lag",
        "task_offset_interval",
        "status",
        "active_tasks",
        "standby_tasks",
        "warmup_tasks",
        "endpoint_information_epoch",
        "partitions_by_user_endpoint",
    )
    VERSIONS = (0, 0)
    FLEXIBLE_FROM = 0
    FIELDS = (
        ("throttle_time", "int32", 0, 0, -1, -1, 0),
        ("error_code", "int16", 0, 0, -1, -1, 0),
        ("error_message", "string", 0, 0, 0, -1, None),
        ("member_id", "string", 0, 0, -1, -1, ""),
        ("member_epoch", "int32", 0, 0, -1, -1, 0),
        ("heartbeat_interval", "int32", 0, 0, -1, -1, 0),
        ("acceptable_recovery_lag", "int32", 0, 0, -1, -1, 0),
        ("task_offset_interval", "int32", 0, 0, -1, -1, 0),
        ("status", "[]Status", 0, 0, 0, -1, ()),
        ("active_tasks", "[]ResponseTaskIds", 0, 0, 0, -1, None),
        ("standby_tasks", "[]ResponseTaskIds", 0, 0, 0, -1, None),
        ("warmup_tasks", "[]ResponseTaskIds", 0, 0, 0, -1, None),
        ("endpoint_information_epoch", "int32", 0, 0, -1, -1, 0),
        ("partitions_by_user_endpoint", "[]EndpointToPartitions", 0, 0, 0, -1, None),
    )

    def __init__(
        self,
        *,
        throttle_time: int = 0,
        error_code: int = 0,
        error_message: str | None = None,
        member_id: str = "",
        member_epoch: int = 0,
        heartbeat_interval: int = 0,
        acceptable_recovery_lag: int = 0,
        task_offset_interval: int = 0,
        status: list[Status] | None = EMPTY,
        active_tasks: list[ResponseTaskIds] | None = None,
        standby_tasks: list[ResponseTaskIds] | None = None,
        warmup_tasks: list[ResponseTaskIds] | None = None,
        endpoint_information_epoch: int = 0,
        partitions_by_user_endpoint: list[EndpointToPartitions] | None = None,
    ) -> None:
        self.throttle_time = throttle_time
        self.error_code = error_code
        self.error_message = error_message
        self.member_id = member_id
        self.member_epoch = member_epoch
        self.heartbeat_interval = heartbeat_interval
        self.acceptable_recovery_lag = acceptable_recovery_lag
        self.task_offset_interval = task_offset_interval
        self.status: list[Status] | None = [] if status is EMPTY else status
        self.active_tasks = active_tasks
        self.standby_tasks = standby_tasks
        self.warmup_tasks = warmup_tasks
        self.endpoint_information_epoch = endpoint_information_epoch
        self.partitions_by_user_endpoint = partitions_by_user_endpoint
