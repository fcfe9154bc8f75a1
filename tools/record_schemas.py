"""The metadata records of Kafka 4.3, which kio does not have, for `tools/generate_wire.py`.

One entry per record: (record key, class name, last version, nested structs, fields). A field is one line:

    name type versions [tag=N] [null=V] [default=X]

`versions` is `first` (to the last version of the record) or `first-last`; `null=V` allows null from version V
on. All of these records are flexible from version 0. Without `default` the value is Kafka's zero of the type.
Key 29 is left out on purpose: development versions of Kafka contest it, and 4.3.0 does not have it.
"""

from __future__ import annotations

from typing import TypeAlias

Fields: TypeAlias = list[str]


def _endpoint_fields() -> Fields:
    return ["name string 0", "host string 0", "port uint16 0", "security_protocol int16 0"]


def _feature_fields() -> Fields:
    return ["name string 0", "min_supported_version int16 0", "max_supported_version int16 0"]


METADATA_RECORDS: list[tuple[int, str, int, dict[str, Fields], Fields]] = [
    (
        0,
        "RegisterBrokerRecord",
        4,
        {"BrokerEndpoint": _endpoint_fields(), "BrokerFeature": _feature_fields()},
        [
            "broker_id int32 0",
            "is_migrating_zk_broker bool 2",
            "incarnation_id uuid 0",
            "broker_epoch int64 0",
            "end_points []BrokerEndpoint 0",
            "features []BrokerFeature 0",
            "rack string 0 null=0",
            "fenced bool 0 default=true",
            "in_controlled_shutdown bool 1",
            "log_dirs []uuid 3 tag=0",
            "cordoned_log_dirs []uuid 4 tag=1 null=4 default=null",
        ],
    ),
    (1, "UnregisterBrokerRecord", 0, {}, ["broker_id int32 0", "broker_epoch int64 0"]),
    (2, "TopicRecord", 0, {}, ["name string 0", "topic_id uuid 0"]),
    (
        3,
        "PartitionRecord",
        2,
        {},
        [
            "partition_id int32 0 default=-1",
            "topic_id uuid 0",
            "replicas []int32 0",
            "isr []int32 0",
            "removing_replicas []int32 0",
            "adding_replicas []int32 0",
            "leader int32 0 default=-1",
            "leader_recovery_state int8 0 tag=0",
            "leader_epoch int32 0 default=-1",
            "partition_epoch int32 0 default=-1",
            "directories []uuid 1",
            "eligible_leader_replicas []int32 2 tag=1 null=2 default=null",
            "last_known_elr []int32 2 tag=2 null=2 default=null",
        ],
    ),
    (
        4,
        "ConfigRecord",
        0,
        {},
        ["resource_type int8 0", "resource_name string 0", "name string 0", "value string 0 null=0"],
    ),
    (
        5,
        "PartitionChangeRecord",
        2,
        {},
        [
            "partition_id int32 0 default=-1",
            "topic_id uuid 0",
            "isr []int32 0 tag=0 null=0 default=null",
            "leader int32 0 tag=1 default=-2",
            "replicas []int32 0 tag=2 null=0 default=null",
            "removing_replicas []int32 0 tag=3 null=0 default=null",
            "adding_replicas []int32 0 tag=4 null=0 default=null",
            "leader_recovery_state int8 0 tag=5 default=-1",
            "directories []uuid 1 tag=8 null=1 default=null",
            "eligible_leader_replicas []int32 2 tag=6 null=2 default=null",
            "last_known_elr []int32 2 tag=7 null=2 default=null",
        ],
    ),
    (7, "FenceBrokerRecord", 0, {}, ["id int32 0", "epoch int64 0"]),
    (8, "UnfenceBrokerRecord", 0, {}, ["id int32 0", "epoch int64 0"]),
    (9, "RemoveTopicRecord", 0, {}, ["topic_id uuid 0"]),
    (
        10,
        "DelegationTokenRecord",
        0,
        {},
        [
            "owner string 0",
            "requester string 0",
            "renewers []string 0",
            "issue_timestamp int64 0",
            "max_timestamp int64 0",
            "expiration_timestamp int64 0",
            "token_id string 0",
        ],
    ),
    (
        11,
        "UserScramCredentialRecord",
        0,
        {},
        [
            "name string 0",
            "mechanism int8 0",
            "salt bytes 0",
            "stored_key bytes 0",
            "server_key bytes 0",
            "iterations int32 0",
        ],
    ),
    (12, "FeatureLevelRecord", 0, {}, ["name string 0", "feature_level int16 0"]),
    (
        14,
        "ClientQuotaRecord",
        0,
        {"ClientQuotaEntity": ["entity_type string 0", "entity_name string 0 null=0"]},
        ["entity []ClientQuotaEntity 0", "key string 0", "value float64 0", "remove bool 0"],
    ),
    (
        15,
        "ProducerIdsRecord",
        0,
        {},
        ["broker_id int32 0", "broker_epoch int64 0 default=-1", "next_producer_id int64 0"],
    ),
    (
        17,
        "BrokerRegistrationChangeRecord",
        3,
        {},
        [
            "broker_id int32 0",
            "broker_epoch int64 0",
            "fenced int8 0 tag=0",
            "in_controlled_shutdown int8 1 tag=1",
            "log_dirs []uuid 2 tag=2",
            "cordoned_log_dirs []uuid 3 tag=3 null=3 default=null",
        ],
    ),
    (
        18,
        "AccessControlEntryRecord",
        0,
        {},
        [
            "id uuid 0",
            "resource_type int8 0",
            "resource_name string 0",
            "pattern_type int8 0",
            "principal string 0",
            "host string 0",
            "operation int8 0",
            "permission_type int8 0",
        ],
    ),
    (19, "RemoveAccessControlEntryRecord", 0, {}, ["id uuid 0"]),
    (20, "NoOpRecord", 0, {}, []),
    (21, "ZkMigrationStateRecord", 0, {}, ["zk_migration_state int8 0"]),
    (22, "RemoveUserScramCredentialRecord", 0, {}, ["name string 0", "mechanism int8 0"]),
    (23, "BeginTransactionRecord", 0, {}, ["name string 0 tag=0 null=0 default=null"]),
    (24, "EndTransactionRecord", 0, {}, []),
    (25, "AbortTransactionRecord", 0, {}, ["reason string 0 tag=0 null=0 default=null"]),
    (26, "RemoveDelegationTokenRecord", 0, {}, ["token_id string 0"]),
    (
        27,
        "RegisterControllerRecord",
        0,
        {"ControllerEndpoint": _endpoint_fields(), "ControllerFeature": _feature_fields()},
        [
            "controller_id int32 0",
            "incarnation_id uuid 0",
            "zk_migration_ready bool 0",
            "end_points []ControllerEndpoint 0",
            "features []ControllerFeature 0",
        ],
    ),
    (28, "ClearElrRecord", 0, {}, ["topic_name string 0"]),
]
