"""CreateTopicsRequest 2-7 and CreateTopicsResponse 2-7 (API key 19).

Written by `tools/generate_wire.py`: change that, not this.
"""

# ruff: noqa: RUF023 (slots are in wire order)
from __future__ import annotations

from pybroker.wire.message import EMPTY, ZERO_UUID, Message

API_KEY = 19


class CreatableReplicaAssignment(Message):
    """Versions 2-7, flexible from 5."""

    __slots__ = ("partition_index", "broker_ids")
    VERSIONS = (2, 7)
    FLEXIBLE_FROM = 5
    FIELDS = (
        ("partition_index", "int32", 2, 7, -1, -1, 0),
        ("broker_ids", "[]int32", 2, 7, -1, -1, ()),
    )

    def __init__(
        self,
        *,
        partition_index: int = 0,
        broker_ids: list[int] = EMPTY,
    ) -> None:
        self.partition_index = partition_index
        self.broker_ids: list[int] = [] if broker_ids is EMPTY else broker_ids


class CreatableTopicConfig(Message):
    """Versions 2-7, flexible from 5."""

    __slots__ = ("name", "value")
    VERSIONS = (2, 7)
    FLEXIBLE_FROM = 5
    FIELDS = (
        ("name", "string", 2, 7, -1, -1, ""),
        ("value", "string", 2, 7, 2, -1, ""),
    )

    def __init__(
        self,
        *,
        name: str = "",
        value: str | None = "",
    ) -> None:
        self.name = name
        self.value = value


class CreatableTopic(Message):
    """Versions 2-7, flexible from 5."""

    __slots__ = ("name", "num_partitions", "replication_factor", "assignments", "configs")
    VERSIONS = (2, 7)
    FLEXIBLE_FROM = 5
    FIELDS = (
        ("name", "string", 2, 7, -1, -1, ""),
        ("num_partitions", "int32", 2, 7, -1, -1, 0),
        ("replication_factor", "int16", 2, 7, -1, -1, 0),
        ("assignments", "[]CreatableReplicaAssignment", 2, 7, -1, -1, ()),
        ("configs", "[]CreatableTopicConfig", 2, 7, -1, -1, ()),
    )

    def __init__(
        self,
        *,
        name: str = "",
        num_partitions: int = 0,
        replication_factor: int = 0,
        assignments: list[CreatableReplicaAssignment] = EMPTY,
        configs: list[CreatableTopicConfig] = EMPTY,
    ) -> None:
        self.name = name
        self.num_partitions = num_partitions
        self.replication_factor = replication_factor
        self.assignments: list[CreatableReplicaAssignment] = [] if assignments is EMPTY else assignments
        self.configs: list[CreatableTopicConfig] = [] if configs is EMPTY else configs


class CreateTopicsRequest(Message):
    """Versions 2-7, flexible from 5."""

    __slots__ = ("topics", "timeout", "validate_only")
    VERSIONS = (2, 7)
    FLEXIBLE_FROM = 5
    FIELDS = (
        ("topics", "[]CreatableTopic", 2, 7, -1, -1, ()),
        ("timeout", "int32", 2, 7, -1, -1, 60000),
        ("validate_only", "bool", 2, 7, -1, -1, False),
    )

    def __init__(
        self,
        *,
        topics: list[CreatableTopic] = EMPTY,
        timeout: int = 60000,
        validate_only: bool = False,
    ) -> None:
        self.topics: list[CreatableTopic] = [] if topics is EMPTY else topics
        self.timeout = timeout
        self.validate_only = validate_only


class CreatableTopicConfigs(Message):
    """Versions 5-7, flexible from 5."""

    __slots__ = ("name", "value", "read_only", "config_source", "is_sensitive")
    VERSIONS = (5, 7)
    FLEXIBLE_FROM = 5
    FIELDS = (
        ("name", "string", 5, 7, -1, -1, ""),
        ("value", "string", 5, 7, 5, -1, ""),
        ("read_only", "bool", 5, 7, -1, -1, False),
        ("config_source", "int8", 5, 7, -1, -1, -1),
        ("is_sensitive", "bool", 5, 7, -1, -1, False),
    )

    def __init__(
        self,
        *,
        name: str = "",
        value: str | None = "",
        read_only: bool = False,
        config_source: int = -1,
        is_sensitive: bool = False,
    ) -> None:
        self.name = name
        self.value = value
        self.read_only = read_only
        self.config_source = config_source
        self.is_sensitive = is_sensitive


class CreatableTopicResult(Message):
    """Versions 2-7, flexible from 5."""

    __slots__ = (
        "name",
        "topic_id",
        "error_code",
        "error_message",
        "topic_config_error_code",
        "num_partitions",
        "replication_factor",
        "configs",
    )
    VERSIONS = (2, 7)
    FLEXIBLE_FROM = 5
    FIELDS = (
        ("name", "string", 2, 7, -1, -1, ""),
        ("topic_id", "uuid", 7, 7, -1, -1, None),
        ("error_code", "int16", 2, 7, -1, -1, 0),
        ("error_message", "string", 2, 7, 2, -1, ""),
        ("topic_config_error_code", "int16", 5, 7, -1, 0, 0),
        ("num_partitions", "int32", 5, 7, -1, -1, -1),
        ("replication_factor", "int16", 5, 7, -1, -1, -1),
        ("configs", "[]CreatableTopicConfigs", 5, 7, 5, -1, ()),
    )

    def __init__(
        self,
        *,
        name: str = "",
        topic_id: bytes = ZERO_UUID,
        error_code: int = 0,
        error_message: str | None = "",
        topic_config_error_code: int = 0,
        num_partitions: int = -1,
        replication_factor: int = -1,
        configs: list[CreatableTopicConfigs] | None = EMPTY,
    ) -> None:
        self.name = name
        self.topic_id = topic_id
        self.error_code = error_code
        self.error_message = error_message
        self.topic_config_error_code = topic_config_error_code
        self.num_partitions = num_partitions
        self.replication_factor = replication_factor
        self.configs: list[CreatableTopicConfigs] | None = [] if configs is EMPTY else configs


class CreateTopicsResponse(Message):
    """Versions 2-7, flexible from 5."""

    __slots__ = ("throttle_time", "topics")
    VERSIONS = (2, 7)
    FLEXIBLE_FROM = 5
    FIELDS = (
        ("throttle_time", "int32", 2, 7, -1, -1, 0),
        ("topics", "[]CreatableTopicResult", 2, 7, -1, -1, ()),
    )

    def __init__(
        self,
        *,
        throttle_time: int = 0,
        topics: list[CreatableTopicResult] = EMPTY,
    ) -> None:
        self.throttle_time = throttle_time
        self.topics: list[CreatableTopicResult] = [] if topics is EMPTY else topics
