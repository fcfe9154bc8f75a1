"""Records to image and back: replay, and the records that a snapshot consists of.

In: metadata record objects, in log order. Out: the next image with its delta; or, from an image, the records
that make it. What must hold: replay is the only way an image changes; `ImageBuilder` fed with
`image_records(image)` gives an equal image; a record of a kind that has no use here is carried along, from
snapshot to snapshot, and never dropped (a cluster that lost its access rules would be open).

A new kind of record is one function in `_REPLAY`, and lines in `image_records`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import MappingProxyType
from typing import Any, Final

from pybroker.common.errors import CorruptionError
from pybroker.metadata.delta import MetadataDelta, TopicChange
from pybroker.metadata.features import KRAFT_VERSION, METADATA_VERSION
from pybroker.metadata.image import (
    TOPIC_RESOURCE,
    BrokerImage,
    ConfigKey,
    Configs,
    ControllerImage,
    EndpointImage,
    MetadataImage,
    PartitionImage,
    TopicImage,
)
from pybroker.metadata.shared_map import REMOVED
from pybroker.wire.message import Message
from pybroker.wire.schemas.metadata_records import (
    AccessControlEntryRecord,
    BrokerEndpoint,
    BrokerFeature,
    BrokerRegistrationChangeRecord,
    ClearElrRecord,
    ClientQuotaRecord,
    ConfigRecord,
    ControllerEndpoint,
    ControllerFeature,
    DelegationTokenRecord,
    FeatureLevelRecord,
    FenceBrokerRecord,
    KRaftVersionRecord,
    NoOpRecord,
    PartitionChangeRecord,
    PartitionRecord,
    ProducerIdsRecord,
    RegisterBrokerRecord,
    RegisterControllerRecord,
    RemoveAccessControlEntryRecord,
    RemoveDelegationTokenRecord,
    RemoveTopicRecord,
    RemoveUserScramCredentialRecord,
    TopicRecord,
    UnfenceBrokerRecord,
    UnregisterBrokerRecord,
    UserScramCredentialRecord,
    ZkMigrationStateRecord,
)

NO_LEADER_CHANGE: Final = -2


def write_version(record: Message) -> int:
    """The version Kafka 4.3 writes: the newest; of a registration change the lowest that carries it."""
    if type(record) is BrokerRegistrationChangeRecord:
        if record.cordoned_log_dirs is not None:
            return 3
        if record.log_dirs:
            return 2
        return 1 if record.in_controlled_shutdown else 0
    return record.VERSIONS[1]


def changed_partition(old: PartitionImage, record: PartitionChangeRecord) -> PartitionImage:
    """The partition after one change: what the record leaves out stays, and its epochs go up by one, that of
    the leader only when the record names one."""
    moved = record.leader != NO_LEADER_CHANGE
    elr, last_known_elr = record.eligible_leader_replicas, record.last_known_elr
    return PartitionImage(
        old.replicas if record.replicas is None else tuple(record.replicas),
        old.isr if record.isr is None else tuple(record.isr),
        record.leader if moved else old.leader,
        # Every election is a new epoch, also one that the same broker wins.
        old.leader_epoch + moved,
        old.partition_epoch + 1,
        old.directories if record.directories is None else tuple(record.directories),
        old.removing_replicas if record.removing_replicas is None else tuple(record.removing_replicas),
        old.adding_replicas if record.adding_replicas is None else tuple(record.adding_replicas),
        old.eligible_leader_replicas if elr is None else tuple(elr),
        old.last_known_elr if last_known_elr is None else tuple(last_known_elr),
        old.leader_recovery_state if record.leader_recovery_state < 0 else record.leader_recovery_state,
    )


class _TopicBuild:
    """A topic that records of this round touch."""

    __slots__ = ("name", "old", "partitions", "topic_id")

    def __init__(self, name: str, topic_id: bytes, old: TopicImage | None) -> None:
        self.name = name
        self.topic_id = topic_id
        self.old = old
        self.partitions: list[PartitionImage | None] = list(old.partitions) if old is not None else []


class ImageBuilder:
    """Replays records on top of an image. Use: `replay` for each record, then `build` once."""

    __slots__ = (
        "_base",
        "_brokers",
        "_carried",
        "_configs",
        "_controllers",
        "_deleted",
        "_features",
        "_names",
        "_next_producer_id",
        "_offset",
        "_topics",
    )

    def __init__(self, base: MetadataImage) -> None:
        self._base = base
        self._offset = base.offset
        # Topics touched, by id; None when deleted. Names follow, since a name may move to another id.
        self._topics: dict[bytes, _TopicBuild | None] = {}
        self._names: dict[str, bytes | None] = {}
        self._deleted: dict[bytes, TopicImage] = {}
        self._configs: dict[ConfigKey, dict[str, str]] = {}
        self._brokers: dict[int, BrokerImage] | None = None
        self._controllers: dict[int, ControllerImage] | None = None
        self._features: dict[str, int] | None = None
        self._next_producer_id = base.next_producer_id
        self._carried: list[Message] = []

    def replay(self, record: Message) -> None:
        """Apply one record."""
        function = _REPLAY.get(type(record))
        if function is None:
            raise CorruptionError(f"metadata records of type {type(record).__name__} are not supported")
        function(self, record)

    def build(self, offset: int, epoch: int) -> tuple[MetadataImage, MetadataDelta]:
        """The image as of `offset`, and what has changed since the one it started from."""
        base = self._base
        created: list[TopicImage] = []
        changed: list[TopicChange] = []
        by_id: dict[bytes, TopicImage | object] = dict.fromkeys(self._deleted, REMOVED)
        by_name: dict[str, TopicImage | object] = {topic.name: REMOVED for topic in self._deleted.values()}
        for build in self._topics.values():
            if build is None:
                continue
            partitions = tuple(build.partitions)
            if None in partitions:
                raise CorruptionError(
                    f"partition {partitions.index(None)} of topic {build.name!r} is missing"
                )
            topic = TopicImage(build.name, build.topic_id, partitions)  # type: ignore[arg-type]
            by_id[build.topic_id] = by_name[build.name] = topic
            if build.old is None:
                created.append(topic)
            else:
                changed.append(TopicChange(build.old, topic))
        configs: dict[ConfigKey, Configs | object] = {}
        changed_configs: list[ConfigKey] = []
        for key, values in self._configs.items():
            if values:
                configs[key] = MappingProxyType(values)
            elif key in base.configs:
                configs[key] = REMOVED
            else:
                continue
            # Those of a topic that is new or gone go with the topic.
            if key[0] != TOPIC_RESOURCE or self._stays(key[1]):
                changed_configs.append(key)
        image = MetadataImage(
            offset=offset,
            epoch=epoch,
            cluster_id=base.cluster_id,
            features=base.features if self._features is None else MappingProxyType(self._features),
            topics=base.topics.changed(by_name),
            topics_by_id=base.topics_by_id.changed(by_id),
            configs=base.configs.changed(configs),
            brokers=base.brokers if self._brokers is None else MappingProxyType(self._brokers),
            controllers=base.controllers
            if self._controllers is None
            else MappingProxyType(self._controllers),
            next_producer_id=self._next_producer_id,
            carried=(*base.carried, *self._carried) if self._carried else base.carried,
        )
        delta = MetadataDelta(
            tuple(created),
            tuple(self._deleted.values()),
            tuple(changed),
            tuple(changed_configs),
            self._brokers is not None,
            self._features is not None,
        )
        return image, delta

    def _stays(self, topic_name: str) -> bool:
        """Whether a topic was there before and is still the same one."""
        old = self._base.topics.get(topic_name)
        return old is not None and old.topic_id not in self._deleted

    # Topics

    def _build_of(self, topic_id: bytes) -> _TopicBuild:
        build = self._topics.get(topic_id)
        if build is None:
            old = None if topic_id in self._topics else self._base.topics_by_id.get(topic_id)
            if old is None:
                raise CorruptionError(f"metadata record for the unknown topic id {topic_id.hex()}")
            build = self._topics[topic_id] = _TopicBuild(old.name, topic_id, old)
        return build

    def topic(self, record: TopicRecord) -> None:
        self._topics[record.topic_id] = _TopicBuild(record.name, record.topic_id, None)
        self._names[record.name] = record.topic_id

    def partition(self, record: PartitionRecord) -> None:
        build = self._build_of(record.topic_id)
        partitions = build.partitions
        index = record.partition_id
        if not 0 <= index <= 1_000_000:
            raise CorruptionError(f"partition {index} of topic {build.name!r}")
        while len(partitions) <= index:
            partitions.append(None)
        partitions[index] = PartitionImage(
            tuple(record.replicas),
            tuple(record.isr),
            record.leader,
            record.leader_epoch,
            record.partition_epoch,
            tuple(record.directories),
            tuple(record.removing_replicas),
            tuple(record.adding_replicas),
            tuple(record.eligible_leader_replicas or ()),
            tuple(record.last_known_elr or ()),
            record.leader_recovery_state,
        )

    def partition_change(self, record: PartitionChangeRecord) -> None:
        build = self._build_of(record.topic_id)
        index = record.partition_id
        old = build.partitions[index] if 0 <= index < len(build.partitions) else None
        if old is None:
            raise CorruptionError(f"change of the unknown partition {index} of topic {build.name!r}")
        build.partitions[index] = changed_partition(old, record)

    def remove_topic(self, record: RemoveTopicRecord) -> None:
        build = self._build_of(record.topic_id)
        self._topics[record.topic_id] = None
        self._names[build.name] = None
        if build.old is not None:
            self._deleted[record.topic_id] = build.old
        key = (TOPIC_RESOURCE, build.name)
        if key in self._configs or key in self._base.configs:
            self._configs[key] = {}

    def clear_elr(self, record: ClearElrRecord) -> None:
        """Without a topic name, of all topics."""
        if record.topic_name:
            topic_id = self._topic_id(record.topic_name)
            ids = [] if topic_id is None else [topic_id]
        else:
            ids = [i for i in self._base.topics_by_id if i not in self._topics]
            ids += [topic_id for topic_id, build in self._topics.items() if build is not None]
        for topic_id in ids:
            known = self._topics.get(topic_id)
            partitions: Any = (
                known.partitions if known is not None else self._base.topics_by_id[topic_id].partitions
            )
            if any(p is not None and (p.eligible_leader_replicas or p.last_known_elr) for p in partitions):
                build = self._build_of(topic_id)
                build.partitions = [
                    p
                    if p is None or not (p.eligible_leader_replicas or p.last_known_elr)
                    else p._replace(
                        eligible_leader_replicas=(), last_known_elr=(), partition_epoch=p.partition_epoch + 1
                    )
                    for p in build.partitions
                ]

    def _topic_id(self, name: str) -> bytes | None:
        if name in self._names:
            return self._names[name]
        topic = self._base.topics.get(name)
        return None if topic is None else topic.topic_id

    # Configs, features, producer ids

    def config(self, record: ConfigRecord) -> None:
        key = (record.resource_type, record.resource_name)
        values = self._configs.get(key)
        if values is None:
            values = self._configs[key] = dict(self._base.config(*key))
        if record.value is None:
            values.pop(record.name, None)
        else:
            values[record.name] = record.value

    def feature_level(self, record: FeatureLevelRecord) -> None:
        if self._features is None:
            self._features = dict(self._base.features)
        if record.feature_level == 0:
            self._features.pop(record.name, None)
        else:
            self._features[record.name] = record.feature_level

    def kraft_version(self, record: KRaftVersionRecord) -> None:
        """A control record; the version counts as a finalized feature."""
        self.feature_level(FeatureLevelRecord(name=KRAFT_VERSION, feature_level=record.k_raft_version))

    def producer_ids(self, record: ProducerIdsRecord) -> None:
        if record.next_producer_id < self._next_producer_id:
            raise CorruptionError(f"next producer id goes back to {record.next_producer_id}")
        self._next_producer_id = record.next_producer_id

    # Brokers and controllers

    def _broker(self, broker_id: int, epoch: int) -> tuple[dict[int, BrokerImage], BrokerImage]:
        if self._brokers is None:
            self._brokers = dict(self._base.brokers)
        broker = self._brokers.get(broker_id)
        if broker is None or broker.epoch != epoch:
            raise CorruptionError(
                f"metadata record for broker {broker_id} of epoch {epoch}, which is not registered"
            )
        return self._brokers, broker

    def register_broker(self, record: RegisterBrokerRecord) -> None:
        if self._brokers is None:
            self._brokers = dict(self._base.brokers)
        cordoned = record.cordoned_log_dirs
        self._brokers[record.broker_id] = BrokerImage(
            record.broker_id,
            record.broker_epoch,
            record.incarnation_id,
            tuple(EndpointImage(e.name, e.host, e.port, e.security_protocol) for e in record.end_points),
            _features(record.features),
            record.rack,
            record.fenced,
            record.in_controlled_shutdown,
            tuple(record.log_dirs),
            None if cordoned is None else tuple(cordoned),
        )

    def unregister_broker(self, record: UnregisterBrokerRecord) -> None:
        brokers, _ = self._broker(record.broker_id, record.broker_epoch)
        del brokers[record.broker_id]

    def change_registration(self, record: BrokerRegistrationChangeRecord) -> None:
        brokers, broker = self._broker(record.broker_id, record.broker_epoch)
        cordoned = record.cordoned_log_dirs
        brokers[record.broker_id] = broker._replace(
            # 1 sets, -1 clears, 0 leaves it.
            fenced=record.fenced > 0 if record.fenced else broker.fenced,
            in_controlled_shutdown=record.in_controlled_shutdown > 0
            if record.in_controlled_shutdown
            else broker.in_controlled_shutdown,
            log_dirs=tuple(record.log_dirs) or broker.log_dirs,
            cordoned_log_dirs=broker.cordoned_log_dirs if cordoned is None else tuple(cordoned),
        )

    def fence_broker(self, record: FenceBrokerRecord) -> None:
        brokers, broker = self._broker(record.id, record.epoch)
        brokers[record.id] = broker._replace(fenced=True)

    def unfence_broker(self, record: UnfenceBrokerRecord) -> None:
        brokers, broker = self._broker(record.id, record.epoch)
        brokers[record.id] = broker._replace(fenced=False)

    def register_controller(self, record: RegisterControllerRecord) -> None:
        if self._controllers is None:
            self._controllers = dict(self._base.controllers)
        self._controllers[record.controller_id] = ControllerImage(
            record.controller_id,
            record.incarnation_id,
            tuple(EndpointImage(e.name, e.host, e.port, e.security_protocol) for e in record.end_points),
            _features(record.features),
        )

    def carry(self, record: Message) -> None:
        """What access rules, quotas and credentials say, and what is said of them later."""
        self._carried.append(record)

    def ignore(self, record: Message) -> None:
        """A record without content: NoOp moves the offset, the ZooKeeper state is always "none" in 4.x."""


def _features(features: list[Any]) -> tuple[tuple[str, int, int], ...]:
    """In the order of their names: Kafka's differs between a log and a snapshot of it."""
    return tuple(sorted((f.name, f.min_supported_version, f.max_supported_version) for f in features))


_REPLAY: Final[dict[type[Message], Callable[[ImageBuilder, Any], None]]] = {
    TopicRecord: ImageBuilder.topic,
    PartitionRecord: ImageBuilder.partition,
    PartitionChangeRecord: ImageBuilder.partition_change,
    RemoveTopicRecord: ImageBuilder.remove_topic,
    ClearElrRecord: ImageBuilder.clear_elr,
    ConfigRecord: ImageBuilder.config,
    FeatureLevelRecord: ImageBuilder.feature_level,
    KRaftVersionRecord: ImageBuilder.kraft_version,
    ProducerIdsRecord: ImageBuilder.producer_ids,
    RegisterBrokerRecord: ImageBuilder.register_broker,
    UnregisterBrokerRecord: ImageBuilder.unregister_broker,
    BrokerRegistrationChangeRecord: ImageBuilder.change_registration,
    FenceBrokerRecord: ImageBuilder.fence_broker,
    UnfenceBrokerRecord: ImageBuilder.unfence_broker,
    RegisterControllerRecord: ImageBuilder.register_controller,
    AccessControlEntryRecord: ImageBuilder.carry,
    RemoveAccessControlEntryRecord: ImageBuilder.carry,
    ClientQuotaRecord: ImageBuilder.carry,
    UserScramCredentialRecord: ImageBuilder.carry,
    RemoveUserScramCredentialRecord: ImageBuilder.carry,
    DelegationTokenRecord: ImageBuilder.carry,
    RemoveDelegationTokenRecord: ImageBuilder.carry,
    NoOpRecord: ImageBuilder.ignore,
    ZkMigrationStateRecord: ImageBuilder.ignore,
}


def topic_records(topic: TopicImage, configs: Configs) -> Iterator[Message]:
    """The records that make one topic, in the order of CreateTopics: topic, overrides, partitions."""
    yield TopicRecord(name=topic.name, topic_id=topic.topic_id)
    yield from config_records(TOPIC_RESOURCE, topic.name, configs)
    for index, partition in enumerate(topic.partitions):
        yield partition_record(topic.topic_id, index, partition)


def config_records(resource_type: int, name: str, configs: Configs) -> Iterator[ConfigRecord]:
    for key, value in configs.items():
        yield ConfigRecord(resource_type=resource_type, resource_name=name, name=key, value=value)


def partition_record(topic_id: bytes, index: int, partition: PartitionImage) -> PartitionRecord:
    # The two ELR fields are absent, not empty, while there is nothing in them.
    return PartitionRecord(
        partition_id=index,
        topic_id=topic_id,
        replicas=list(partition.replicas),
        isr=list(partition.isr),
        removing_replicas=list(partition.removing_replicas),
        adding_replicas=list(partition.adding_replicas),
        leader=partition.leader,
        leader_recovery_state=partition.leader_recovery_state,
        leader_epoch=partition.leader_epoch,
        partition_epoch=partition.partition_epoch,
        directories=list(partition.directories),
        eligible_leader_replicas=list(partition.eligible_leader_replicas) or None,
        last_known_elr=list(partition.last_known_elr) or None,
    )


def broker_record(broker: BrokerImage) -> RegisterBrokerRecord:
    return RegisterBrokerRecord(
        broker_id=broker.broker_id,
        incarnation_id=broker.incarnation_id,
        broker_epoch=broker.epoch,
        end_points=[
            BrokerEndpoint(name=e.name, host=e.host, port=e.port, security_protocol=e.security_protocol)
            for e in broker.endpoints
        ],
        features=[
            BrokerFeature(name=name, min_supported_version=low, max_supported_version=high)
            for name, low, high in broker.features
        ],
        rack=broker.rack,
        fenced=broker.fenced,
        in_controlled_shutdown=broker.in_controlled_shutdown,
        log_dirs=list(broker.log_dirs),
        cordoned_log_dirs=None if broker.cordoned_log_dirs is None else list(broker.cordoned_log_dirs),
    )


def controller_record(controller: ControllerImage) -> RegisterControllerRecord:
    return RegisterControllerRecord(
        controller_id=controller.controller_id,
        incarnation_id=controller.incarnation_id,
        end_points=[
            ControllerEndpoint(name=e.name, host=e.host, port=e.port, security_protocol=e.security_protocol)
            for e in controller.endpoints
        ],
        features=[
            ControllerFeature(name=name, min_supported_version=low, max_supported_version=high)
            for name, low, high in controller.features
        ],
    )


class ImageContent:
    """What a snapshot is made of, copied out of an image so that another thread may read it."""

    __slots__ = (
        "brokers",
        "carried",
        "configs",
        "controllers",
        "epoch",
        "features",
        "next_producer_id",
        "offset",
        "topics",
    )

    def __init__(self, image: MetadataImage) -> None:
        self.offset = image.offset
        self.epoch = image.epoch
        self.features = image.features
        self.controllers = image.controllers
        self.brokers = image.brokers
        # Lists of immutable objects: copying them out costs microseconds per thousand topics.
        self.topics = list(image.topics.values())
        self.configs = list(image.configs.items())
        self.next_producer_id = image.next_producer_id
        self.carried = image.carried


def image_records(content: ImageContent) -> Iterator[Message]:
    """The data records of a snapshot, metadata.version first because a reader needs it for the rest."""
    # The quorum's own version is in a control record of the snapshot.
    names = sorted(content.features, key=lambda name: (name != METADATA_VERSION, name))
    for name in names:
        if name == KRAFT_VERSION:
            continue
        yield FeatureLevelRecord(name=name, feature_level=content.features[name])
    for controller_id in sorted(content.controllers):
        yield controller_record(content.controllers[controller_id])
    for broker_id in sorted(content.brokers):
        yield broker_record(content.brokers[broker_id])
    topic_configs: dict[str, Configs] = {}
    others: list[tuple[ConfigKey, Configs]] = []
    for key, values in content.configs:
        if key[0] == TOPIC_RESOURCE:
            topic_configs[key[1]] = values
        else:
            others.append((key, values))
    for topic in content.topics:
        yield from topic_records(topic, topic_configs.get(topic.name, {}))
    for (resource_type, resource_name), values in others:
        yield from config_records(resource_type, resource_name, values)
    if content.next_producer_id:
        yield ProducerIdsRecord(broker_id=-1, next_producer_id=content.next_producer_id)
    yield from content.carried
