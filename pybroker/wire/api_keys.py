"""The one table of API keys: what the listeners of Kafka 4.3 offer, and what of it is implemented.

In: nothing. Out: `ApiKey`, `API_TABLE`, `ADVERTISED`. What must hold: a key is marked implemented only when
a handler serves the whole range of versions and tests cover it; ApiVersions, dispatch, the generated docs and
the tests all read this table. A newly implemented API changes its row here and nothing else in this package.
A key on a listener that does not serve it closes the connection.

Version ranges are those of Kafka 4.3.0 (the protocol guide, "Api Keys"). One exception is Kafka's own: it
advertises Produce from version 0 for the sake of librdkafka (KAFKA-18659), while versions 0-2 are refused.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final, NamedTuple


class ApiKey(IntEnum):
    """Every API key of Kafka 4.3, controller-only ones included."""

    PRODUCE = 0
    FETCH = 1
    LIST_OFFSETS = 2
    METADATA = 3
    OFFSET_COMMIT = 8
    OFFSET_FETCH = 9
    FIND_COORDINATOR = 10
    JOIN_GROUP = 11
    HEARTBEAT = 12
    LEAVE_GROUP = 13
    SYNC_GROUP = 14
    DESCRIBE_GROUPS = 15
    LIST_GROUPS = 16
    SASL_HANDSHAKE = 17
    API_VERSIONS = 18
    CREATE_TOPICS = 19
    DELETE_TOPICS = 20
    DELETE_RECORDS = 21
    INIT_PRODUCER_ID = 22
    OFFSET_FOR_LEADER_EPOCH = 23
    ADD_PARTITIONS_TO_TXN = 24
    ADD_OFFSETS_TO_TXN = 25
    END_TXN = 26
    WRITE_TXN_MARKERS = 27
    TXN_OFFSET_COMMIT = 28
    DESCRIBE_ACLS = 29
    CREATE_ACLS = 30
    DELETE_ACLS = 31
    DESCRIBE_CONFIGS = 32
    ALTER_CONFIGS = 33
    ALTER_REPLICA_LOG_DIRS = 34
    DESCRIBE_LOG_DIRS = 35
    SASL_AUTHENTICATE = 36
    CREATE_PARTITIONS = 37
    CREATE_DELEGATION_TOKEN = 38
    RENEW_DELEGATION_TOKEN = 39
    EXPIRE_DELEGATION_TOKEN = 40
    DESCRIBE_DELEGATION_TOKEN = 41
    DELETE_GROUPS = 42
    ELECT_LEADERS = 43
    INCREMENTAL_ALTER_CONFIGS = 44
    ALTER_PARTITION_REASSIGNMENTS = 45
    LIST_PARTITION_REASSIGNMENTS = 46
    OFFSET_DELETE = 47
    DESCRIBE_CLIENT_QUOTAS = 48
    ALTER_CLIENT_QUOTAS = 49
    DESCRIBE_USER_SCRAM_CREDENTIALS = 50
    ALTER_USER_SCRAM_CREDENTIALS = 51
    VOTE = 52
    BEGIN_QUORUM_EPOCH = 53
    END_QUORUM_EPOCH = 54
    DESCRIBE_QUORUM = 55
    ALTER_PARTITION = 56
    UPDATE_FEATURES = 57
    ENVELOPE = 58
    FETCH_SNAPSHOT = 59
    DESCRIBE_CLUSTER = 60
    DESCRIBE_PRODUCERS = 61
    BROKER_REGISTRATION = 62
    BROKER_HEARTBEAT = 63
    UNREGISTER_BROKER = 64
    DESCRIBE_TRANSACTIONS = 65
    LIST_TRANSACTIONS = 66
    ALLOCATE_PRODUCER_IDS = 67
    CONSUMER_GROUP_HEARTBEAT = 68
    CONSUMER_GROUP_DESCRIBE = 69
    CONTROLLER_REGISTRATION = 70
    GET_TELEMETRY_SUBSCRIPTIONS = 71
    PUSH_TELEMETRY = 72
    ASSIGN_REPLICAS_TO_DIRS = 73
    LIST_CONFIG_RESOURCES = 74
    DESCRIBE_TOPIC_PARTITIONS = 75
    SHARE_GROUP_HEARTBEAT = 76
    SHARE_GROUP_DESCRIBE = 77
    SHARE_FETCH = 78
    SHARE_ACKNOWLEDGE = 79
    ADD_RAFT_VOTER = 80
    REMOVE_RAFT_VOTER = 81
    UPDATE_RAFT_VOTER = 82
    INITIALIZE_SHARE_GROUP_STATE = 83
    READ_SHARE_GROUP_STATE = 84
    WRITE_SHARE_GROUP_STATE = 85
    DELETE_SHARE_GROUP_STATE = 86
    READ_SHARE_GROUP_STATE_SUMMARY = 87
    STREAMS_GROUP_HEARTBEAT = 88
    STREAMS_GROUP_DESCRIBE = 89
    DESCRIBE_SHARE_GROUP_OFFSETS = 90
    ALTER_SHARE_GROUP_OFFSETS = 91
    DELETE_SHARE_GROUP_OFFSETS = 92


class Api(NamedTuple):
    """One API. `min_version` and `max_version` are the versions that are served.

    `implemented` is about the listeners of a broker, `controller` about those of a controller; None where
    Kafka does not offer the API there. The other two are about the listeners of a broker.
    """

    key: int
    name: str
    min_version: int
    max_version: int
    first_flexible_version: int
    implemented: bool | None
    advertised: bool = True
    advertised_min_version: int | None = None
    controller: bool | None = None


NEVER: Final = 32767
"""`first_flexible_version` of an API that has no flexible version."""

API_TABLE: Final[tuple[Api, ...]] = (
    Api(0, "Produce", 3, 13, 9, True, advertised_min_version=0),
    Api(1, "Fetch", 4, 18, 12, True, controller=True),
    Api(2, "ListOffsets", 1, 11, 6, True),
    Api(3, "Metadata", 0, 13, 9, True),
    Api(8, "OffsetCommit", 2, 10, 8, True),
    Api(9, "OffsetFetch", 1, 10, 6, True),
    Api(10, "FindCoordinator", 0, 6, 3, True),
    Api(11, "JoinGroup", 0, 9, 6, True),
    Api(12, "Heartbeat", 0, 4, 4, True),
    Api(13, "LeaveGroup", 0, 5, 4, True),
    Api(14, "SyncGroup", 0, 5, 4, True),
    Api(15, "DescribeGroups", 0, 6, 5, True),
    Api(16, "ListGroups", 0, 5, 3, True),
    Api(17, "SaslHandshake", 0, 1, NEVER, False, controller=False),
    Api(18, "ApiVersions", 0, 4, 3, True, controller=True),
    Api(19, "CreateTopics", 2, 7, 5, True, controller=True),
    Api(20, "DeleteTopics", 1, 6, 4, True, controller=True),
    Api(21, "DeleteRecords", 0, 2, 2, True),
    Api(22, "InitProducerId", 0, 5, 2, True),
    Api(23, "OffsetForLeaderEpoch", 2, 4, 4, True),
    Api(24, "AddPartitionsToTxn", 0, 5, 3, True),
    Api(25, "AddOffsetsToTxn", 0, 4, 3, True),
    Api(26, "EndTxn", 0, 5, 3, True),
    Api(27, "WriteTxnMarkers", 1, 2, 1, True),
    Api(28, "TxnOffsetCommit", 0, 5, 3, True),
    Api(29, "DescribeAcls", 1, 3, 2, False, controller=False),
    Api(30, "CreateAcls", 1, 3, 2, False, controller=False),
    Api(31, "DeleteAcls", 1, 3, 2, False, controller=False),
    Api(32, "DescribeConfigs", 1, 4, 4, True, controller=True),
    Api(33, "AlterConfigs", 0, 2, 2, True, controller=True),
    Api(34, "AlterReplicaLogDirs", 1, 2, 2, True),
    Api(35, "DescribeLogDirs", 1, 5, 2, True),
    Api(36, "SaslAuthenticate", 0, 2, 2, False, controller=False),
    Api(37, "CreatePartitions", 0, 3, 2, True, controller=True),
    Api(38, "CreateDelegationToken", 1, 3, 2, False, controller=False),
    Api(39, "RenewDelegationToken", 1, 2, 2, False, controller=False),
    Api(40, "ExpireDelegationToken", 1, 2, 2, False, controller=False),
    Api(41, "DescribeDelegationToken", 1, 3, 2, False, controller=False),
    Api(42, "DeleteGroups", 0, 2, 2, True),
    Api(43, "ElectLeaders", 0, 2, 2, True, controller=True),
    Api(44, "IncrementalAlterConfigs", 0, 1, 1, True, controller=True),
    Api(45, "AlterPartitionReassignments", 0, 1, 0, True, controller=True),
    Api(46, "ListPartitionReassignments", 0, 0, 0, True, controller=True),
    Api(47, "OffsetDelete", 0, 0, NEVER, True),
    Api(48, "DescribeClientQuotas", 0, 1, 1, False),
    Api(49, "AlterClientQuotas", 0, 1, 1, False, controller=False),
    Api(50, "DescribeUserScramCredentials", 0, 0, 0, False, controller=False),
    Api(51, "AlterUserScramCredentials", 0, 0, 0, False, controller=False),
    Api(52, "Vote", 0, 2, 0, None, controller=True),
    Api(53, "BeginQuorumEpoch", 0, 1, 1, None, controller=True),
    Api(54, "EndQuorumEpoch", 0, 1, 1, None, controller=True),
    Api(55, "DescribeQuorum", 0, 2, 0, True, controller=True),
    Api(56, "AlterPartition", 2, 3, 2, None, controller=True),
    Api(57, "UpdateFeatures", 0, 2, 0, True, controller=True),
    Api(58, "Envelope", 0, 0, 0, None, controller=True),
    Api(59, "FetchSnapshot", 0, 1, 0, None, controller=True),
    Api(60, "DescribeCluster", 0, 2, 0, True, controller=True),
    Api(61, "DescribeProducers", 0, 0, 0, True),
    Api(62, "BrokerRegistration", 0, 4, 0, None, controller=True),
    Api(63, "BrokerHeartbeat", 0, 2, 0, None, controller=True),
    Api(64, "UnregisterBroker", 0, 0, 0, True, controller=True),
    Api(65, "DescribeTransactions", 0, 0, 0, True),
    Api(66, "ListTransactions", 0, 2, 0, True),
    Api(67, "AllocateProducerIds", 0, 0, 0, None, controller=True),
    Api(68, "ConsumerGroupHeartbeat", 0, 1, 0, True),
    Api(69, "ConsumerGroupDescribe", 0, 1, 0, True),
    # Kafka answers the telemetry requests, but advertises them only where a receiver of telemetry is set up.
    Api(70, "ControllerRegistration", 0, 0, 0, None, controller=True),
    Api(71, "GetTelemetrySubscriptions", 0, 0, 0, True, advertised=False),
    Api(72, "PushTelemetry", 0, 0, 0, True, advertised=False),
    Api(73, "AssignReplicasToDirs", 0, 0, 0, None, controller=True),
    Api(74, "ListConfigResources", 0, 1, 0, True),
    Api(75, "DescribeTopicPartitions", 0, 0, 0, True),
    Api(76, "ShareGroupHeartbeat", 1, 1, 0, False),
    Api(77, "ShareGroupDescribe", 1, 1, 0, False),
    Api(78, "ShareFetch", 1, 2, 0, False),
    Api(79, "ShareAcknowledge", 1, 2, 0, False),
    Api(80, "AddRaftVoter", 0, 1, 0, True, controller=True),
    Api(81, "RemoveRaftVoter", 0, 0, 0, True, controller=True),
    Api(82, "UpdateRaftVoter", 0, 0, 0, None, controller=True),
    Api(83, "InitializeShareGroupState", 0, 0, 0, False),
    Api(84, "ReadShareGroupState", 0, 0, 0, False),
    Api(85, "WriteShareGroupState", 0, 1, 0, False),
    Api(86, "DeleteShareGroupState", 0, 0, 0, False),
    Api(87, "ReadShareGroupStateSummary", 0, 1, 0, False),
    Api(88, "StreamsGroupHeartbeat", 0, 0, 0, False),
    Api(89, "StreamsGroupDescribe", 0, 0, 0, False),
    Api(90, "DescribeShareGroupOffsets", 0, 1, 0, False),
    Api(91, "AlterShareGroupOffsets", 0, 0, 0, False),
    Api(92, "DeleteShareGroupOffsets", 0, 0, 0, False),
)

BY_KEY: Final[dict[int, Api]] = {api.key: api for api in API_TABLE}


FORWARDABLE: Final = frozenset(
    {19, 20, 30, 31, 33, 37, 38, 39, 40, 43, 44, 45, 46, 49, 51, 55, 57, 64, 80, 81}
)
"""What a broker has the active controller answer (KIP-590)."""


class AdvertisedApi(NamedTuple):
    """One row of an ApiVersions answer."""

    key: int
    min_version: int
    max_version: int


ADVERTISED: Final[tuple[AdvertisedApi, ...]] = tuple(
    AdvertisedApi(
        api.key,
        api.min_version if api.advertised_min_version is None else api.advertised_min_version,
        api.max_version,
    )
    for api in API_TABLE
    if api.implemented and api.advertised
)


CONTROLLER_ADVERTISED: Final[tuple[AdvertisedApi, ...]] = tuple(
    AdvertisedApi(api.key, api.min_version, api.max_version) for api in API_TABLE if api.controller
)


def is_served(api_key: int, version: int, *, controller: bool = False) -> bool:
    """Whether a request of this key and version can be dispatched, on a listener of a broker or on one of a
    `controller`. If not, the connection closes."""
    api = BY_KEY.get(api_key)
    if api is None or not (api.controller if controller else api.implemented):
        return False
    return api.min_version <= version <= api.max_version


_MODULE_NAMES: Final[dict[int, str]] = {int(key): key.name.lower() for key in ApiKey}


def module_name(api_key: int) -> str | None:
    """The module of `pybroker.wire.messages` that has the messages of this key; None for an unknown key."""
    return _MODULE_NAMES.get(api_key)
