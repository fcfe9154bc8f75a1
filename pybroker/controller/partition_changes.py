"""The changes of partitions that one decision makes, each planned on top of those before it.

In: the latest image, the broker configuration under it, targets for partitions. Out: records, in `records`.
What must hold: no change is planned on a state that an earlier change of the same decision has left, so that
a request which names a partition twice, or an event with two effects on it, cannot contradict itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Final

from pybroker.common.config import BrokerConfig
from pybroker.controller.partitions import (
    Election,
    Rules,
    Target,
    plan_change,
)
from pybroker.metadata.features import ELIGIBLE_LEADER_REPLICAS
from pybroker.metadata.image import (
    LOST_DIRECTORY,
    MIGRATING_DIRECTORY,
    NO_LEADER,
    TOPIC_RESOURCE,
    UNASSIGNED_DIRECTORY,
    BrokerImage,
    MetadataImage,
    PartitionImage,
    TopicImage,
)
from pybroker.metadata.records import changed_partition
from pybroker.wire.message import Message
from pybroker.wire.schemas.metadata_records import PartitionChangeRecord

NO_BROKER: Final = -1

TopicPartition = tuple[TopicImage, int]


def is_active(broker: BrokerImage | None) -> bool:
    """Whether a broker may lead or join the in-sync replicas now."""
    return broker is not None and not broker.fenced and not broker.in_controlled_shutdown


def default_directory(broker: BrokerImage | None) -> bytes:
    """Where a new replica goes: a broker with several directories chooses itself and reports it."""
    if broker is None or len(broker.log_dirs) > 1:
        return UNASSIGNED_DIRECTORY
    return broker.log_dirs[0] if broker.log_dirs else MIGRATING_DIRECTORY


def is_online(broker: BrokerImage, directory: bytes) -> bool:
    """Whether a directory of a broker is up; one that is not known yet counts as up."""
    if directory in (UNASSIGNED_DIRECTORY, MIGRATING_DIRECTORY):
        return True
    return directory != LOST_DIRECTORY and (not broker.log_dirs or directory in broker.log_dirs)


class PartitionChanges:
    """Plans changes and collects their records."""

    __slots__ = ("_changed", "_config", "_image", "_topics", "records", "with_elr")

    def __init__(self, image: MetadataImage, config: BrokerConfig) -> None:
        self.records: list[Message] = []
        self._image = image
        self._config = config
        self.with_elr = bool(image.features.get(ELIGIBLE_LEADER_REPLICAS))
        self._changed: dict[tuple[bytes, int], PartitionImage] = {}
        self._topics: dict[str, tuple[int, bool]] = {}

    # State

    def partition(self, topic: TopicImage, index: int) -> PartitionImage | None:
        """A partition with the changes so far; None when there is none of that number."""
        if not 0 <= index < len(topic.partitions):
            return None
        return self._changed.get((topic.topic_id, index)) or topic.partitions[index]

    def partitions(self, wanted: Callable[[PartitionImage], bool]) -> Iterator[TopicPartition]:
        """All partitions that look as wanted."""
        changed = self._changed
        for topic in self._image.topics.values():
            for index, partition in enumerate(topic.partitions):
                if changed:
                    partition = changed.get((topic.topic_id, index), partition)
                if wanted(partition):
                    yield topic, index

    def may_elect_uncleanly(self, topic: TopicImage) -> bool:
        """`unclean.leader.election.enable` of a topic."""
        return self._settings(topic.name)[1]

    def _settings(self, name: str) -> tuple[int, bool]:
        """(min.insync.replicas, unclean.leader.election.enable) of a topic."""
        known = self._topics.get(name)
        if known is None:
            overrides = self._image.config(TOPIC_RESOURCE, name)
            minimum = overrides.get("min.insync.replicas")
            unclean = overrides.get("unclean.leader.election.enable")
            known = self._topics[name] = (
                int(self._config["min.insync.replicas"] if minimum is None else minimum),
                bool(self._config["unclean.leader.election.enable"])
                if unclean is None
                else unclean.strip().lower() == "true",
            )
        return known

    # Changes

    def assume(self, records: Iterable[Message]) -> None:
        """Go on from changes that were planned elsewhere for the same decision."""
        for record in records:
            if isinstance(record, PartitionChangeRecord):
                key = (record.topic_id, record.partition_id)
                topic = self._image.topics_by_id[record.topic_id]
                self._changed[key] = changed_partition(
                    self._changed.get(key) or topic.partitions[record.partition_id], record
                )

    def plan(
        self,
        topic: TopicImage,
        index: int,
        target: Target,
        active: Callable[[int], bool] | None = None,
    ) -> PartitionChangeRecord | None:
        """Plan a change of an existing partition. `active`: which brokers count as up, when that is part of
        what is being decided."""
        partition = self.partition(topic, index)
        assert partition is not None
        brokers = self._image.brokers

        def may_lead(broker_id: int) -> bool:
            broker = brokers.get(broker_id)
            if broker is None or not (is_active(broker) if active is None else active(broker_id)):
                return False
            if broker_id not in partition.replicas:
                return False
            directories = partition.directories
            return not directories or is_online(broker, directories[partition.replicas.index(broker_id)])

        rules = Rules(
            self._settings(topic.name)[0],
            self.with_elr,
            may_lead,
            lambda broker_id: default_directory(brokers.get(broker_id)),
        )
        record = plan_change(topic.topic_id, index, partition, target, rules)
        if record is not None:
            self._changed[topic.topic_id, index] = changed_partition(partition, record)
            self.records.append(record)
        return record

    def react(
        self,
        partitions: Iterable[TopicPartition],
        *,
        gone: int = NO_BROKER,
        back: int = NO_BROKER,
        unclean: int = NO_BROKER,
    ) -> None:
        """What follows for partitions from one broker that goes (`gone`), may lead again (`back`), or lost
        what it had not flushed (`unclean`)."""

        def active(broker_id: int) -> bool:
            if broker_id in (gone, unclean):
                return False
            return broker_id == back or is_active(self._image.brokers.get(broker_id))

        for topic, index in list(partitions):
            partition = self.partition(topic, index)
            assert partition is not None
            target = Target(
                isr=[replica for replica in partition.isr if replica not in (gone, unclean)],
                unclean_shutdown=() if unclean == NO_BROKER else (unclean,),
                election=Election.UNCLEAN if self.may_elect_uncleanly(topic) else Election.ONLINE,
            )
            self.plan(topic, index, target, active)


def without_leader(partition: PartitionImage) -> bool:
    return partition.leader == NO_LEADER


def in_sync(broker_id: int) -> Callable[[PartitionImage], bool]:
    return lambda partition: broker_id in partition.isr


def in_sync_or_eligible(broker_id: int) -> Callable[[PartitionImage], bool]:
    return lambda partition: broker_id in partition.isr or broker_id in partition.eligible_leader_replicas


def led_by(broker_id: int) -> Callable[[PartitionImage], bool]:
    return lambda partition: partition.leader == broker_id
