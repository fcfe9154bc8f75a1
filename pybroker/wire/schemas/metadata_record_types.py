"""KRaft's metadata records, as of Kafka 4.3.

Written by `tools/generate_wire.py`: change that, not this.
"""

# ruff: noqa: RUF023 (slots are in wire order)
from __future__ import annotations

from pybroker.wire.message import EMPTY, ZERO_UUID, Message


class BrokerEndpoint(Message):
    """Versions 0-4, flexible from 0."""

    __slots__ = ("name", "host", "port", "security_protocol")
    VERSIONS = (0, 4)
    FLEXIBLE_FROM = 0
    FIELDS = (
        ("name", "string", 0, 4, -1, -1, ""),
        ("host", "string", 0, 4, -1, -1, ""),
        ("port", "uint16", 0, 4, -1, -1, 0),
        ("security_protocol", "int16", 0, 4, -1, -1, 0),
    )

    def __init__(
        self,
        *,
        name: str = "",
        host: str = "",
        port: int = 0,
        security_protocol: int = 0,
    ) -> None:
        self.name = name
        self.host = host
        self.port = port
        self.security_protocol = security_protocol


class BrokerFeature(Message):
    """Versions 0-4, flexible from 0."""

    __slots__ = ("name", "min_supported_version", "max_supported_version")
    VERSIONS = (0, 4)
    FLEXIBLE_FROM = 0
    FIELDS = (
        ("name", "string", 0, 4, -1, -1, ""),
        ("min_supported_version", "int16", 0, 4, -1, -1, 0),
        ("max_supported_version", "int16", 0, 4, -1, -1, 0),
    )

    def __init__(
        self,
        *,
        name: str = "",
        min_supported_version: int = 0,
        max_supported_version: int = 0,
    ) -> None:
        self.name = name
        self.min_supported_version = min_supported_version
        self.max_supported_version = max_supported_version


class RegisterBrokerRecord(Message):
    """Versions 0-4, flexible from 0, record key 0."""

    __slots__ = (
        "broker_id",
        "is_migrating_zk_broker",
        "incarnation_id",
        "broker_epoch",
        "end_points",
        "features",
        "rack",
        "fenced",
        "in_controlled_shutdown",
        "log_dirs",
        "cordoned_log_dirs",
    )
    VERSIONS = (0, 4)
    FLEXIBLE_FROM = 0
    FIELDS = (
        ("broker_id", "int32", 0, 4, -1, -1, 0),
        ("is_migrating_zk_broker", "bool", 2, 4, -1, -1, False),
        ("incarnation_id", "uuid", 0, 4, -1, -1, None),
        ("broker_epoch", "int64", 0, 4, -1, -1, 0),
        ("end_points", "[]BrokerEndpoint", 0, 4, -1, -1, ()),
        ("features", "[]BrokerFeature", 0, 4, -1, -1, ()),
        ("rack", "string", 0, 4, 0, -1, ""),
        ("fenced", "bool", 0, 4, -1, -1, True),
        ("in_controlled_shutdown", "bool", 1, 4, -1, -1, False),
        ("log_dirs", "[]uuid", 3, 4, -1, 0, ()),
        ("cordoned_log_dirs", "[]uuid", 4, 4, 4, 1, None),
    )

    def __init__(
        self,
        *,
        broker_id: int = 0,
        is_migrating_zk_broker: bool = False,
        incarnation_id: bytes = ZERO_UUID,
        broker_epoch: int = 0,
        end_points: list[BrokerEndpoint] = EMPTY,
        features: list[BrokerFeature] = EMPTY,
        rack: str | None = "",
        fenced: bool = True,
        in_controlled_shutdown: bool = False,
        log_dirs: list[bytes] = EMPTY,
        cordoned_log_dirs: list[bytes] | None = None,
    ) -> None:
        self.broker_id = broker_id
        self.is_migrating_zk_broker = is_migrating_zk_broker
        self.incarnation_id = incarnation_id
        self.broker_epoch = broker_epoch
        self.end_points: list[BrokerEndpoint] = [] if end_points is EMPTY else end_points
        self.features: list[BrokerFeature] = [] if features is EMPTY else features
        self.rack = rack
        self.fenced = fenced
        self.in_controlled_shutdown = in_controlled_shutdown
        self.log_dirs: list[bytes] = [] if log_dirs is EMPTY else log_dirs
        self.cordoned_log_dirs = cordoned_log_dirs


class UnregisterBrokerRecord(Message):
    """Version 0, flexible from 0, record key 1."""

    __slots__ = ("broker_id", "broker_epoch")
    VERSIONS = (0, 0)
    FLEXIBLE_FROM = 0
    FIELDS = (
        ("broker_id", "int32", 0, 0, -1, -1, 0),
        ("broker_epoch", "int64", 0, 0, -1, -1, 0),
    )

    def __init__(
        self,
        *,
        broker_id: int = 0,
        broker_epoch: int = 0,
    ) -> None:
        self.broker_id = broker_id
        self.broker_epoch = broker_epoch


class TopicRecord(Message):
    """Version 0, flexible from 0, record key 2."""

    __slots__ = ("name", "topic_id")
    VERSIONS = (0, 0)
    FLEXIBLE_FROM = 0
    FIELDS = (
        ("name", "string", 0, 0, -1, -1, ""),
        ("topic_id", "uuid", 0, 0, -1, -1, None),
    )

    def __init__(
        self,
        *,
        name: str = "",
        topic_id: bytes = ZERO_UUID,
    ) -> None:
        self.name = name
        self.topic_id = topic_id


class PartitionRecord(Message):
    """Versions 0-2, flexible from 0, record key 3."""

    __slots__ = (
        "partition_id",
        "topic_id",
        "replicas",
        "isr",
        "removing_replicas",
        "adding_replicas",
        "leader",
        "leader_recovery_state",
        "leader_epoch",
        "partition_epoch",
        "directories",
        "eligible_leader_replicas",
        "last_known_elr",
    )
    VERSIONS = (0, 2)
    FLEXIBLE_FROM = 0
    FIELDS = (
        ("partition_id", "int32", 0, 2, -1, -1, -1),
        ("topic_id", "uuid", 0, 2, -1, -1, None),
        ("replicas", "[]int32", 0, 2, -1, -1, ()),
        ("isr", "[]int32", 0, 2, -1, -1, ()),
        ("removing_replicas", "[]int32", 0, 2, -1, -1, ()),
        ("adding_replicas", "[]int32", 0, 2, -1, -1, ()),
        ("leader", "int32", 0, 2, -1, -1, -1),
        ("leader_recovery_state", "int8", 0, 2, -1, 0, 0),
        ("leader_epoch", "int32", 0, 2, -1, -1, -1),
        ("partition_epoch", "int32", 0, 2, -1, -1, -1),
        ("directories", "[]uuid", 1, 2, -1, -1, ()),
        ("eligible_leader_replicas", "[]int32", 2, 2, 2, 1, None),
        ("last_known_elr", "[]int32", 2, 2, 2, 2, None),
    )

    def __init__(
        self,
        *,
        partition_id: int = -1,
        topic_id: bytes = ZERO_UUID,
        replicas: list[int] = EMPTY,
        isr: list[int] = EMPTY,
        removing_replicas: list[int] = EMPTY,
        adding_replicas: list[int] = EMPTY,
        leader: int = -1,
        leader_recovery_state: int = 0,
        leader_epoch: int = -1,
        partition_epoch: int = -1,
        directories: list[bytes] = EMPTY,
        eligible_leader_replicas: list[int] | None = None,
        last_known_elr: list[int] | None = None,
    ) -> None:
        self.partition_id = partition_id
        self.topic_id = topic_id
        self.replicas: list[int] = [] if replicas is EMPTY else replicas
        self.isr: list[int] = [] if isr is EMPTY else isr
        self.removing_replicas: list[int] = [] if removing_replicas is EMPTY else removing_replicas
        self.adding_replicas: list[int] = [] if adding_replicas is EMPTY else adding_replicas
        self.leader = leader
        self.leader_recovery_state = leader_recovery_state
        self.leader_epoch = leader_epoch
        self.partition_epoch = partition_epoch
        self.directories: list[bytes] = [] if directories is EMPTY else directories
        self.eligible_leader_replicas = eligible_leader_replicas
        self.last_known_elr = last_known_elr


class ConfigRecord(Message):
    """Version 0, flexible from 0, record key 4."""

    __slots__ = ("resource_type", "resource_name", "name", "value")
    VERSIONS = (0, 0)
    FLEXIBLE_FROM = 0
    FIELDS = (
        ("resource_type", "int8", 0, 0, -1, -1, 0),
        ("resource_name", "string", 0, 0, -1, -1, ""),
        ("name", "string", 0, 0, -1, -1, ""),
        ("value", "string", 0, 0, 0, -1, ""),
    )

    def __init__(
        self,
        *,
        resource_type: int = 0,
        resource_name: str = "",
        name: str = "",
        value: str | None = "",
    ) -> None:
        self.resource_type = resource_type
        self.resource_name = resource_name
        self.name = name
        self.value = value


class PartitionChangeRecord(Message):
    """Versions 0-2, flexible from 0, record key 5."""

    __slots__ = (
        "partition_id",
        "topic_id",
        "isr",
        "leader",
        "replicas",
        "removing_replicas",
        "adding_replicas",
        "leader_recovery_state",
        "directories",
        "eligible_leader_replicas",
        "last_known_elr",
    )
    VERSIONS = (0, 2)
    FLEXIBLE_FROM = 0
    FIELDS = (
        ("partition_id", "int32", 0, 2, -1, -1, -1),
        ("topic_id", "uuid", 0, 2, -1, -1, None),
        ("isr", "[]int32", 0, 2, 0, 0, None),
        ("leader", "int32", 0, 2, -1, 1, -2),
        ("replicas", "[]int32", 0, 2, 0, 2, None),
        ("removing_replicas", "[]int32", 0, 2, 0, 3, None),
        ("adding_replicas", "[]int32", 0, 2, 0, 4, None),
        ("leader_recovery_state", "int8", 0, 2, -1, 5, -1),
        ("directories", "[]uuid", 1, 2, 1, 8, None),
        ("eligible_leader_replicas", "[]int32", 2, 2, 2, 6, None),
        ("last_known_elr", "[]int32", 2, 2, 2, 7, None),
    )

    def __init__(
        self,
        *,
        partition_id: int = -1,
        topic_id: bytes = ZERO_UUID,
        isr: list[int] | None = None,
        leader: int = -2,
        replicas: list[int] | None = None,
        removing_replicas: list[int] | None = None,
        adding_replicas: list[int] | None = None,
        leader_recovery_state: int = -1,
        directories: list[bytes] | None = None,
        eligible_leader_replicas: list[int] | None = None,
        last_known_elr: list[int] | None = None,
    ) -> None:
        self.partition_id = partition_id
        self.topic_id = topic_id
        self.isr = isr
        self.leader = leader
        self.replicas = replicas
        self.removing_replicas = removing_replicas
        self.adding_replicas = adding_replicas
        self.leader_recovery_state = leader_recovery_state
        self.directories = directories
        self.eligible_leader_replicas = eligible_leader_replicas
        self.last_known_elr = last_known_elr


class FenceBrokerRecord(Message):
    """Version 0, flexible from 0, record key 7."""

    __slots__ = ("id", "epoch")
    VERSIONS = (0, 0)
    FLEXIBLE_FROM = 0
    FIELDS = (
        ("id", "int32", 0, 0, -1, -1, 0),
        ("epoch", "int64", 0, 0, -1, -1, 0),
    )

    def __init__(
        self,
        *,
        id: int = 0,
        epoch: int = 0,
    ) -> None:
        self.id = id
        self.epoch = epoch


class UnfenceBrokerRecord(Message):
    """Version 0, flexible from 0, record key 8."""

    __slots__ = ("id", "epoch")
    VERSIONS = (0, 0)
    FLEXIBLE_FROM = 0
    FIELDS = (
        ("id", "int32", 0, 0, -1, -1, 0),
        ("epoch", "int64", 0, 0, -1, -1, 0),
    )

    def __init__(
        self,
        *,
        id: int = 0,
        epoch: int = 0,
    ) -> None:
        self.id = id
        self.epoch = epoch


class RemoveTopicRecord(Message):
    """Version 0, flexible from 0, record key 9."""

    __slots__ = ("topic_id",)
    VERSIONS = (0, 0)
    FLEXIBLE_FROM = 0
    FIELDS = (("topic_id", "uuid", 0, 0, -1, -1, None),)

    def __init__(
        self,
        *,
        topic_id: bytes = ZERO_UUID,
    ) -> None:
        self.topic_id = topic_id


class DelegationTokenRecord(Message):
    """Version 0, flexible from 0, record key 10."""

    __slots__ = (
        "owner",
        "requester",
        "renewers",
        "issue_timestamp",
        "max_timestamp",
        "expiration_timestamp",
        "token_id",
    )
    VERSIONS = (0, 0)
    FLEXIBLE_FROM = 0
    FIELDS = (
        ("owner", "string", 0, 0, -1, -1, ""),
        ("requester", "string", 0, 0, -1, -1, ""),
        ("renewers", "[]string", 0, 0, -1, -1, ()),
        ("issue_timestamp", "int64", 0, 0, -1, -1, 0),
        ("max_timestamp", "int64", 0, 0, -1, -1, 0),
        ("expiration_timestamp", "int64", 0, 0, -1, -1, 0),
        ("token_id", "string", 0, 0, -1, -1, ""),
    )

    def __init__(
        self,
        *,
        owner: str = "",
        requester: str = "",
        renewers: list[str] = EMPTY,
        issue_timestamp: int = 0,
        max_timestamp: int = 0,
        expiration_timestamp: int = 0,
        token_id: str = "",
    ) -> None:
        self.owner = owner
        self.requester = requester
        self.renewers: list[str] = [] if renewers is EMPTY else renewers
        self.issue_timestamp = issue_timestamp
        self.max_timestamp = max_timestamp
        self.expiration_timestamp = expiration_timestamp
        self.token_id = token_id


class UserScramCredentialRecord(Message):
    """Version 0, flexible from 0, record key 11."""

    __slots__ = ("name", "mechanism", "salt", "stored_key", "server_key", "iterations")
    VERSIONS = (0, 0)
    FLEXIBLE_FROM = 0
    FIELDS = (
        ("name", "string", 0, 0, -1, -1, ""),
        ("mechanism", "int8", 0, 0, -1, -1, 0),
        ("salt", "bytes", 0, 0, -1, -1, b""),
        ("stored_key", "bytes", 0, 0, -1, -1, b""),
        ("server_key", "bytes", 0, 0, -1, -1, b""),
        ("iterations", "int32", 0, 0, -1, -1, 0),
    )

    def __init__(
        self,
        *,
        name: str = "",
        mechanism: int = 0,
        salt: bytes | memoryview = b"",
        stored_key: bytes | memoryview = b"",
        server_key: bytes | memoryview = b"",
        iterations: int = 0,
    ) -> None:
        self.name = name
        self.mechanism = mechanism
        self.salt = salt
        self.stored_key = stored_key
        self.server_key = server_key
        self.iterations = iterations


class FeatureLevelRecord(Message):
    """Version 0, flexible from 0, record key 12."""

    __slots__ = ("name", "feature_level")
    VERSIONS = (0, 0)
    FLEXIBLE_FROM = 0
    FIELDS = (
        ("name", "string", 0, 0, -1, -1, ""),
        ("feature_level", "int16", 0, 0, -1, -1, 0),
    )

    def __init__(
        self,
        *,
        name: str = "",
        feature_level: int = 0,
    ) -> None:
        self.name = name
        self.feature_level = feature_level


class ClientQuotaEntity(Message):
    """Version 0, flexible from 0."""

    __slots__ = ("entity_type", "entity_name")
    VERSIONS = (0, 0)
    FLEXIBLE_FROM = 0
    FIELDS = (
        ("entity_type", "string", 0, 0, -1, -1, ""),
        ("entity_name", "string", 0, 0, 0, -1, ""),
    )

    def __init__(
        self,
        *,
        entity_type: str = "",
        entity_name: str | None = "",
    ) -> None:
        self.entity_type = entity_type
        self.entity_name = entity_name


class ClientQuotaRecord(Message):
    """Version 0, flexible from 0, record key 14."""

    __slots__ = ("entity", "key", "value", "remove")
    VERSIONS = (0, 0)
    FLEXIBLE_FROM = 0
    FIELDS = (
        ("entity", "[]ClientQuotaEntity", 0, 0, -1, -1, ()),
        ("key", "string", 0, 0, -1, -1, ""),
        ("value", "float64", 0, 0, -1, -1, 0.0),
        ("remove", "bool", 0, 0, -1, -1, False),
    )

    def __init__(
        self,
        *,
        entity: list[ClientQuotaEntity] = EMPTY,
        key: str = "",
        value: float = 0.0,
        remove: bool = False,
    ) -> None:
        self.entity: list[ClientQuotaEntity] = [] if entity is EMPTY else entity
        self.key = key
        self.value = value
        self.remove = remove


class ProducerIdsRecord(Message):
    """Version 0, flexible from 0, record key 15."""

    __slots__ = ("broker_id", "broker_epoch", "next_producer_id")
    VERSIONS = (0, 0)
    FLEXIBLE_FROM = 0
    FIELDS = (
        ("broker_id", "int32", 0, 0, -1, -1, 0),
        ("broker_epoch", "int64", 0, 0, -1, -1, -1),
        ("next_producer_id", "int64", 0, 0, -1, -1, 0),
    )

    def __init__(
        self,
        *,
        broker_id: int = 0,
        broker_epoch: int = -1,
        next_producer_id: int = 0,
    ) -> None:
        self.broker_id = broker_id
        self.broker_epoch = broker_epoch
        self.next_producer_id = next_producer_id


class BrokerRegistrationChangeRecord(Message):
    """Versions 0-3, flexible from 0, record key 17."""

    __slots__ = (
        "broker_id",
        "broker_epoch",
        "fenced",
        "in_controlled_shutdown",
        "log_dirs",
        "cordoned_log_dirs",
    )
    VERSIONS = (0, 3)
    FLEXIBLE_FROM = 0
    FIELDS = (
        ("broker_id", "int32", 0, 3, -1, -1, 0),
        ("broker_epoch", "int64", 0, 3, -1, -1, 0),
        ("fenced", "int8", 0, 3, -1, 0, 0),
        ("in_controlled_shutdown", "int8", 1, 3, -1, 1, 0),
        ("log_dirs", "[]uuid", 2, 3, -1, 2, ()),
        ("cordoned_log_dirs", "[]uuid", 3, 3, 3, 3, None),
    )

    def __init__(
        self,
        *,
        broker_id: int = 0,
        broker_epoch: int = 0,
        fenced: int = 0,
        in_controlled_shutdown: int = 0,
        log_dirs: list[bytes] = EMPTY,
        cordoned_log_dirs: list[bytes] | None = None,
    ) -> None:
        self.broker_id = broker_id
        self.broker_epoch = broker_epoch
        self.fenced = fenced
        self.in_controlled_shutdown = in_controlled_shutdown
        self.log_dirs: list[bytes] = [] if log_dirs is EMPTY else log_dirs
        self.cordoned_log_dirs = cordoned_log_dirs


class AccessControlEntryRecord(Message):
    """Version 0, flexible from 0, record key 18."""

    __slots__ = (
        "id",
        "resource_type",
        "resource_name",
        "pattern_type",
        "principal",
        "host",
        "operation",
        "permission_type",
    )
    VERSIONS = (0, 0)
    FLEXIBLE_FROM = 0
    FIELDS = (
        ("id", "uuid", 0, 0, -1, -1, None),
        ("resource_type", "int8", 0, 0, -1, -1, 0),
        ("resource_name", "string", 0, 0, -1, -1, ""),
        ("pattern_type", "int8", 0, 0, -1, -1, 0),
        ("principal", "string", 0, 0, -1, -1, ""),
        ("host", "string", 0, 0, -1, -1, ""),
        ("operation", "int8", 0, 0, -1, -1, 0),
        ("permission_type", "int8", 0, 0, -1, -1, 0),
    )

    def __init__(
        self,
        *,
        id: bytes = ZERO_UUID,
        resource_type: int = 0,
        resource_name: str = "",
        pattern_type: int = 0,
        principal: str = "",
        host: str = "",
        operation: int = 0,
        permission_type: int = 0,
    ) -> None:
        self.id = id
        self.resource_type = resource_type
        self.resource_name = resource_name
        self.pattern_type = pattern_type
        self.principal = principal
        self.host = host
        self.operation = operation
        self.permission_type = permission_type


class RemoveAccessControlEntryRecord(Message):
    """Version 0, flexible from 0, record key 19."""

    __slots__ = ("id",)
    VERSIONS = (0, 0)
    FLEXIBLE_FROM = 0
    FIELDS = (("id", "uuid", 0, 0, -1, -1, None),)

    def __init__(
        self,
        *,
        id: bytes = ZERO_UUID,
    ) -> None:
        self.id = id


class NoOpRecord(Message):
    """Version 0, flexible from 0, record key 20."""

    __slots__ = ()
    VERSIONS = (0, 0)
    FLEXIBLE_FROM = 0
    FIELDS = ()


class ZkMigrationStateRecord(Message):
    """Version 0, flexible from 0, record key 21."""

    __slots__ = ("zk_migration_state",)
    VERSIONS = (0, 0)
    FLEXIBLE_FROM = 0
    FIELDS = (("zk_migration_state", "int8", 0, 0, -1, -1, 0),)

    def __init__(
        self,
        *,
        zk_migration_state: int = 0,
    ) -> None:
        self.zk_migration_state = zk_migration_state


class RemoveUserScramCredentialRecord(Message):
    """Version 0, flexible from 0, record key 22."""

    __slots__ = ("name", "mechanism")
    VERSIONS = (0, 0)
    FLEXIBLE_FROM = 0
    FIELDS = (
        ("name", "string", 0, 0, -1, -1, ""),
        ("mechanism", "int8", 0, 0, -1, -1, 0),
    )

    def __init__(
        self,
        *,
        name: str = "",
        mechanism: int = 0,
    ) -> None:
        self.name = name
        self.mechanism = mechanism


class BeginTransactionRecord(Message):
    """Version 0, flexible from 0, record key 23."""

    __slots__ = ("name",)
    VERSIONS = (0, 0)
    FLEXIBLE_FROM = 0
    FIELDS = (("name", "string", 0, 0, 0, 0, None),)

    def __init__(
        self,
        *,
        name: str | None = None,
    ) -> None:
        self.name = name


class EndTransactionRecord(Message):
    """Version 0, flexible from 0, record key 24."""

    __slots__ = ()
    VERSIONS = (0, 0)
    FLEXIBLE_FROM = 0
    FIELDS = ()


class AbortTransactionRecord(Message):
    """Version 0, flexible from 0, record key 25."""

    __slots__ = ("reason",)
    VERSIONS = (0, 0)
    FLEXIBLE_FROM = 0
    FIELDS = (("reason", "string", 0, 0, 0, 0, None),)

    def __init__(
        self,
        *,
        reason: str | None = None,
    ) -> None:
        self.reason = reason


class RemoveDelegationTokenRecord(Message):
    """Version 0, flexible from 0, record key 26."""

    __slots__ = ("token_id",)
    VERSIONS = (0, 0)
    FLEXIBLE_FROM = 0
    FIELDS = (("token_id", "string", 0, 0, -1, -1, ""),)

    def __init__(
        self,
        *,
        token_id: str = "",
    ) -> None:
        self.token_id = token_id


class ControllerEndpoint(Message):
    """Version 0, flexible from 0."""

    __slots__ = ("name", "host", "port", "security_protocol")
    VERSIONS = (0, 0)
    FLEXIBLE_FROM = 0
    FIELDS = (
        ("name", "string", 0, 0, -1, -1, ""),
        ("host", "string", 0, 0, -1, -1, ""),
        ("port", "uint16", 0, 0, -1, -1, 0),
        ("security_protocol", "int16", 0, 0, -1, -1, 0),
    )

    def __init__(
        self,
        *,
        name: str = "",
        host: str = "",
        port: int = 0,
        security_protocol: int = 0,
    ) -> None:
        self.name = name
        self.host = host
        self.port = port
        self.security_protocol = security_protocol


class ControllerFeature(Message):
    """Version 0, flexible from 0."""

    __slots__ = ("name", "min_supported_version", "max_supported_version")
    VERSIONS = (0, 0)
    FLEXIBLE_FROM = 0
    FIELDS = (
        ("name", "string", 0, 0, -1, -1, ""),
        ("min_supported_version", "int16", 0, 0, -1, -1, 0),
        ("max_supported_version", "int16", 0, 0, -1, -1, 0),
    )

    def __init__(
        self,
        *,
        name: str = "",
        min_supported_version: int = 0,
        max_supported_version: int = 0,
    ) -> None:
        self.name = name
        self.min_supported_version = min_supported_version
        self.max_supported_version = max_supported_version


class RegisterControllerRecord(Message):
    """Version 0, flexible from 0, record key 27."""

    __slots__ = ("controller_id", "incarnation_id", "zk_migration_ready", "end_points", "features")
    VERSIONS = (0, 0)
    FLEXIBLE_FROM = 0
    FIELDS = (
        ("controller_id", "int32", 0, 0, -1, -1, 0),
        ("incarnation_id", "uuid", 0, 0, -1, -1, None),
        ("zk_migration_ready", "bool", 0, 0, -1, -1, False),
        ("end_points", "[]ControllerEndpoint", 0, 0, -1, -1, ()),
        ("features", "[]ControllerFeature", 0, 0, -1, -1, ()),
    )

    def __init__(
        self,
        *,
        controller_id: int = 0,
        incarnation_id: bytes = ZERO_UUID,
        zk_migration_ready: bool = False,
        end_points: list[ControllerEndpoint] = EMPTY,
        features: list[ControllerFeature] = EMPTY,
    ) -> None:
        self.controller_id = controller_id
        self.incarnation_id = incarnation_id
        self.zk_migration_ready = zk_migration_ready
        self.end_points: list[ControllerEndpoint] = [] if end_points is EMPTY else end_points
        self.features: list[ControllerFeature] = [] if features is EMPTY else features


class ClearElrRecord(Message):
    """Version 0, flexible from 0, record key 28."""

    __slots__ = ("topic_name",)
    VERSIONS = (0, 0)
    FLEXIBLE_FROM = 0
    FIELDS = (("topic_name", "string", 0, 0, -1, -1, ""),)

    def __init__(
        self,
        *,
        topic_name: str = "",
    ) -> None:
        self.topic_name = topic_name


RECORD_TYPES: dict[int, type[Message]] = {
    0: RegisterBrokerRecord,
    1: UnregisterBrokerRecord,
    2: TopicRecord,
    3: PartitionRecord,
    4: ConfigRecord,
    5: PartitionChangeRecord,
    7: FenceBrokerRecord,
    8: UnfenceBrokerRecord,
    9: RemoveTopicRecord,
    10: DelegationTokenRecord,
    11: UserScramCredentialRecord,
    12: FeatureLevelRecord,
    14: ClientQuotaRecord,
    15: ProducerIdsRecord,
    17: BrokerRegistrationChangeRecord,
    18: AccessControlEntryRecord,
    19: RemoveAccessControlEntryRecord,
    20: NoOpRecord,
    21: ZkMigrationStateRecord,
    22: RemoveUserScramCredentialRecord,
    23: BeginTransactionRecord,
    24: EndTransactionRecord,
    25: AbortTransactionRecord,
    26: RemoveDelegationTokenRecord,
    27: RegisterControllerRecord,
    28: ClearElrRecord,
}
