"""The metadata and group records of Kafka 4.3, which kio does not have, for `tools/generate_wire.py`.

One entry per record: (record key, class name, last version, nested structs, fields). A field is one line:

    name type versions [tag=N] [null=V] [default=X]

`versions` is `first` (to the last version of the record) or `first-last`; `null=V` allows null from version V
on. All metadata records are flexible from version 0. Without `default` the value is Kafka's zero of the type.
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


def _assigned_partitions() -> Fields:
    return [
        "topic_id uuid 0",
        "partitions []int32 0",
        "assignment_epochs []int32 0 tag=0 null=0 default=null",
    ]


# The records of `__consumer_offsets`: (record type, name, fields of the key, last version of the value, its
# first flexible version, nested structs of the value, fields of the value). Keys have one version and are not
# flexible. Types 10 to 15 (share groups) and 17 to 23 (streams groups) are not declared.
GROUP_RECORDS: list[tuple[int, str, Fields, int, int, dict[str, Fields], Fields]] = [
    (
        0,
        "LegacyOffsetCommit",
        ["group string 0", "topic string 0", "partition int32 0"],
        0,
        32767,
        {},
        ["offset int64 0", "metadata string 0", "commit_timestamp int64 0"],
    ),
    (
        1,
        "OffsetCommit",
        ["group string 0", "topic string 0", "partition int32 0"],
        4,
        4,
        {},
        [
            "offset int64 0",
            "leader_epoch int32 3 default=-1",
            "metadata string 0",
            "commit_timestamp int64 0",
            "expire_timestamp int64 1-1 default=-1",
            "topic_id uuid 4 tag=0",
        ],
    ),
    (
        2,
        "GroupMetadata",
        ["group string 0"],
        4,
        4,
        {
            "GroupMetadataMember": [
                "member_id string 0",
                "group_instance_id string 3 null=3 default=null",
                "client_id string 0",
                "client_host string 0",
                "rebalance_timeout int32 1",
                "session_timeout int32 0",
                "subscription bytes 0",
                "assignment bytes 0",
            ]
        },
        [
            "protocol_type string 0",
            "generation int32 0",
            "protocol string 0 null=0",
            "leader string 0 null=0",
            "current_state_timestamp int64 2 default=-1",
            "members []GroupMetadataMember 0",
        ],
    ),
    (
        3,
        "ConsumerGroupMetadata",
        ["group_id string 0"],
        0,
        0,
        {},
        ["epoch int32 0", "metadata_hash int64 0 tag=0"],
    ),
    (
        4,
        "ConsumerGroupPartitionMetadata",
        ["group_id string 0"],
        0,
        0,
        {
            "PartitionRacks": ["partition int32 0", "racks []string 0"],
            "GroupTopicMetadata": [
                "topic_id uuid 0",
                "topic_name string 0",
                "num_partitions int32 0",
                "partition_metadata []PartitionRacks 0",
            ],
        },
        ["topics []GroupTopicMetadata 0"],
    ),
    (
        5,
        "ConsumerGroupMemberMetadata",
        ["group_id string 0", "member_id string 0"],
        0,
        0,
        {
            "ClassicProtocol": ["name string 0", "metadata bytes 0"],
            "ClassicMemberMetadata": [
                "session_timeout_ms int32 0",
                "supported_protocols []ClassicProtocol 0",
            ],
        },
        [
            "instance_id string 0 null=0",
            "rack_id string 0 null=0",
            "client_id string 0",
            "client_host string 0",
            "subscribed_topic_names []string 0",
            "subscribed_topic_regex string 0 null=0",
            "rebalance_timeout_ms int32 0 default=-1",
            "server_assignor string 0 null=0",
            "classic_member_metadata ClassicMemberMetadata 0 tag=0 null=0",
        ],
    ),
    (
        6,
        "ConsumerGroupTargetAssignmentMetadata",
        ["group_id string 0"],
        0,
        0,
        {},
        ["assignment_epoch int32 0", "assignment_timestamp int64 0 tag=0"],
    ),
    (
        7,
        "ConsumerGroupTargetAssignmentMember",
        ["group_id string 0", "member_id string 0"],
        0,
        0,
        {"TargetPartitions": ["topic_id uuid 0", "partitions []int32 0"]},
        ["topic_partitions []TargetPartitions 0"],
    ),
    (
        8,
        "ConsumerGroupCurrentMemberAssignment",
        ["group_id string 0", "member_id string 0"],
        0,
        0,
        {"CurrentPartitions": _assigned_partitions()},
        [
            "member_epoch int32 0",
            "previous_member_epoch int32 0",
            "state int8 0",
            "assigned_partitions []CurrentPartitions 0",
            "partitions_pending_revocation []CurrentPartitions 0",
        ],
    ),
    (
        16,
        "ConsumerGroupRegularExpression",
        ["group_id string 0", "regular_expression string 0"],
        0,
        0,
        {},
        ["topics []string 0", "version int64 0", "timestamp int64 0"],
    ),
]
