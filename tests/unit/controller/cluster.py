"""An image with several brokers, changed by the controller's decisions as the log would change it."""

from __future__ import annotations

from pybroker.common.clock import ManualClock
from pybroker.common.config import BrokerConfig
from pybroker.controller.broker_settings import BrokerSettings
from pybroker.controller.cluster_control import ClusterControl
from pybroker.metadata.features import BOOTSTRAP_FEATURES, KRAFT_VERSION, SUPPORTED_FEATURES
from pybroker.metadata.image import empty_image
from pybroker.metadata.records import ImageBuilder
from pybroker.wire.messages.alter_partition import (
    AlterPartitionRequest,
    BrokerState,
    RequestPartitionData,
    RequestTopicData,
)
from pybroker.wire.messages.alter_partition_reassignments import (
    AlterPartitionReassignmentsRequest,
    ReassignablePartition,
    ReassignableTopic,
)
from pybroker.wire.messages.broker_heartbeat import BrokerHeartbeatRequest
from pybroker.wire.messages.broker_registration import BrokerRegistrationRequest, Feature, Listener
from pybroker.wire.messages.elect_leaders import ElectLeadersRequest, TopicPartitions
from pybroker.wire.messages.unregister_broker import UnregisterBrokerRequest
from pybroker.wire.schemas.metadata_records import (
    ConfigRecord,
    FeatureLevelRecord,
    PartitionRecord,
    TopicRecord,
)

CLUSTER = "AAECAwQFBgcICQoLDA0ODw"
SESSION_MS = 9000


def directory(broker_id):
    return bytes([broker_id]) * 16


def registration(broker_id, incarnation=1, **fields):
    values = {
        "broker_id": broker_id,
        "cluster_id": CLUSTER,
        "incarnation_id": incarnation.to_bytes(16, "big"),
        "listeners": [Listener(name="PLAINTEXT", host="localhost", port=9092)],
        "features": [
            Feature(name=name, min_supported_version=low, max_supported_version=high)
            for name, (low, high) in SUPPORTED_FEATURES.items()
        ],
        "rack": None,
        "log_dirs": [directory(broker_id)],
        **fields,
    }
    return BrokerRegistrationRequest(**values)


class Cluster:
    """Every decision is committed at once."""

    def __init__(self, *, elr=True, minimum=2, unclean=False, properties=None, local=None):
        self.clock = ManualClock()
        self.properties = {
            "node.id": "100",
            "unclean.leader.election.enable": str(unclean).lower(),
            "broker.session.timeout.ms": str(SESSION_MS),
            **(properties or {}),
        }
        self.local = local
        self.image = empty_image(CLUSTER)
        self.records = []
        features = {**BOOTSTRAP_FEATURES, KRAFT_VERSION: 1, "eligible.leader.replicas.version": int(elr)}
        self.commit([FeatureLevelRecord(name=name, feature_level=level) for name, level in features.items()])
        self.commit(
            [ConfigRecord(resource_type=4, resource_name="", name="min.insync.replicas", value=str(minimum))]
        )
        self.fail_over()

    def fail_over(self):
        """Another controller becomes active: what is not on record is forgotten."""
        settings = BrokerSettings(BrokerConfig.from_properties(self.properties))
        self.control = ClusterControl(settings, self.clock, self.local)
        self.control.gained(self.image)

    @property
    def config(self):
        return self.control._config(self.image)

    def commit(self, records):
        if not records:
            return
        self.records += records
        builder = ImageBuilder(self.image)
        for record in records:
            builder.replay(record)
        self.image, _ = builder.build(self.image.offset + len(records), 1)

    def decide(self, decision):
        self.commit(decision.records)
        return decision.response

    # Brokers

    def register(self, broker_id, incarnation=1, version=4, **fields):
        request = registration(broker_id, incarnation, **fields)
        return self.decide(self.control.register(self.image, request, version, self.image.offset + 1))

    def heartbeat(self, broker_id, epoch=None, offset=None, **fields):
        request = BrokerHeartbeatRequest(
            broker_id=broker_id,
            broker_epoch=self.image.brokers[broker_id].epoch if epoch is None else epoch,
            current_metadata_offset=self.image.offset if offset is None else offset,
            **fields,
        )
        decided = self.control.heartbeat(self.image, request)
        answer = self.decide(decided.decision)
        self.control.heartbeat_appended(request, decided, self.image.offset)
        return answer

    def start(self, *broker_ids, **fields):
        """Register and unfence."""
        for broker_id in broker_ids:
            assert self.register(broker_id, **fields).error_code == 0
            assert not self.heartbeat(broker_id).is_fenced

    def unregister(self, broker_id):
        return self.decide(
            self.control.unregister(self.image, UnregisterBrokerRequest(broker_id=broker_id))
        ).error_code

    def pass_time(self, milliseconds, *alive):
        """Time goes by; some brokers are heard of."""
        end = self.clock.monotonic_ms() + milliseconds
        while self.clock.monotonic_ms() < end:
            self.clock.advance(min(500, end - self.clock.monotonic_ms()))
            for broker_id in alive:
                self.heartbeat(broker_id)
            self.tick()

    def tick(self):
        for decide in self.control.take_due(self.clock.monotonic_ms()):
            self.decide(decide(self.image))

    # Partitions

    def topic(self, name, *replica_lists, **configs):
        topic_id = name.encode().ljust(16, b"-")
        self.commit(
            [TopicRecord(name=name, topic_id=topic_id)]
            + [
                ConfigRecord(resource_type=2, resource_name=name, name=key.replace("_", "."), value=value)
                for key, value in configs.items()
            ]
            + [
                PartitionRecord(
                    partition_id=index,
                    topic_id=topic_id,
                    replicas=list(replicas),
                    isr=list(replicas),
                    leader=replicas[0],
                    leader_epoch=0,
                    partition_epoch=0,
                    directories=[directory(replica) for replica in replicas],
                )
                for index, replicas in enumerate(replica_lists)
            ]
        )

    def partition(self, name="t", index=0):
        return self.image.topics[name].partitions[index]

    def alter_isr(self, isr, *, name="t", index=0, version=3, **fields):
        """The error code for a proposal of the leader."""
        partition = self.partition(name, index)
        values = {
            "partition_index": index,
            "leader_epoch": partition.leader_epoch,
            "partition_epoch": partition.partition_epoch,
            "leader_recovery_state": 0,
            **{key: value for key, value in fields.items() if key in RequestPartitionData.__slots__},
        }
        states = [
            BrokerState(broker_id=replica, broker_epoch=epoch)
            for replica, epoch in (
                member if isinstance(member, tuple) else (member, self.image.brokers[member].epoch)
                for member in isr
            )
        ]
        if version >= 3:
            values["new_isr_with_epochs"] = states
        else:
            values["new_isr"] = [state.broker_id for state in states]
        sender = fields.get("sender", partition.leader)
        request = AlterPartitionRequest(
            broker_id=sender,
            broker_epoch=fields.get("broker_epoch", self.image.brokers[sender].epoch),
            topics=[
                RequestTopicData(
                    topic_id=fields.get("topic_id", self.image.topics[name].topic_id),
                    partitions=[RequestPartitionData(**values)] * fields.get("times", 1),
                )
            ],
        )
        answer = self.decide(self.control.alter_partition(self.image, request, version))
        self.answer = answer
        return answer.error_code or answer.topics[0].partitions[-1].error_code

    def elect(self, kind, *partitions, name="t"):
        request = ElectLeadersRequest(
            election_type=kind,
            topic_partitions=[TopicPartitions(topic=name, partitions=list(partitions))]
            if partitions
            else None,
        )
        answer = self.decide(self.control.elect_leaders(self.image, request))
        return {
            (result.topic, one.partition_id): one.error_code
            for result in answer.replica_election_results
            for one in result.partition_result
        }

    def reassign(self, replicas, *, name="t", index=0, may_resize=True):
        """(error code, message); None as replicas cancels."""
        request = AlterPartitionReassignmentsRequest(
            allow_replication_factor_change=may_resize,
            topics=[
                ReassignableTopic(
                    name=name,
                    partitions=[ReassignablePartition(partition_index=index, replicas=replicas)],
                )
            ],
        )
        answer = self.decide(self.control.alter_reassignments(self.image, request))
        (result,) = answer.responses[0].partitions
        return result.error_code, result.error_message
