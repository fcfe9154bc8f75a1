"""The metadata image: everything the cluster agrees on, as of one offset of the metadata log.

In: nothing. Out: immutable objects that any room may hold on to. What must hold: two nodes that have replayed
the same records up to the same offset have equal images; nothing in an image ever changes, a new record makes
a new image (`pybroker.metadata.records.ImageBuilder`).

A new kind of record changes `MetadataImage`, the builder's table of records, and `image_records`.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

from pybroker.metadata.shared_map import SharedMap
from pybroker.wire.message import Message

TOPIC_RESOURCE: Final = 2
BROKER_RESOURCE: Final = 4
BROKER_LOGGER_RESOURCE: Final = 8
CLIENT_METRICS_RESOURCE: Final = 16
GROUP_RESOURCE: Final = 32

NO_LEADER: Final = -1

MIGRATING_DIRECTORY: Final = bytes(16)
"""In place of a directory id (KIP-858): from before directories were assigned."""
UNASSIGNED_DIRECTORY: Final = bytes(15) + b"\x01"
"""The broker has not said yet."""
LOST_DIRECTORY: Final = bytes(15) + b"\x02"
"""One that failed before the broker could say."""

Configs = Mapping[str, str]
ConfigKey = tuple[int, str]
"""(resource type, resource name); the name is empty for the cluster-wide level of the brokers."""


class PartitionImage(NamedTuple):
    """One partition. The tuples hold broker ids, `directories` holds one directory id per replica."""

    replicas: tuple[int, ...]
    isr: tuple[int, ...]
    leader: int
    leader_epoch: int
    partition_epoch: int
    directories: tuple[bytes, ...] = ()
    removing_replicas: tuple[int, ...] = ()
    adding_replicas: tuple[int, ...] = ()
    eligible_leader_replicas: tuple[int, ...] = ()
    last_known_elr: tuple[int, ...] = ()
    leader_recovery_state: int = 0

    def directory_of(self, broker_id: int) -> bytes | None:
        """The id of the directory of a broker's replica; None when it has none, or none is on record."""
        if broker_id not in self.replicas:
            return None
        place = self.replicas.index(broker_id)
        return self.directories[place] if place < len(self.directories) else None


class TopicImage(NamedTuple):
    """One topic; partitions are indexed by their number."""

    name: str
    topic_id: bytes
    partitions: tuple[PartitionImage, ...]


class EndpointImage(NamedTuple):
    """A listener of a broker or controller; the security protocol is Kafka's number (0 PLAINTEXT)."""

    name: str
    host: str
    port: int
    security_protocol: int


class BrokerImage(NamedTuple):
    """A registered broker. `epoch` is the offset of its registration record."""

    broker_id: int
    epoch: int
    incarnation_id: bytes
    endpoints: tuple[EndpointImage, ...]
    features: tuple[tuple[str, int, int], ...]
    rack: str | None
    fenced: bool
    in_controlled_shutdown: bool
    log_dirs: tuple[bytes, ...]
    cordoned_log_dirs: tuple[bytes, ...] | None = None


class ControllerImage(NamedTuple):
    """A registered controller; features are (name, lowest level, highest level)."""

    controller_id: int
    incarnation_id: bytes
    endpoints: tuple[EndpointImage, ...]
    features: tuple[tuple[str, int, int], ...]


NO_CONFIGS: Final[Configs] = MappingProxyType({})


class MetadataImage(NamedTuple):
    """The state after the record at `offset` (-1: before any), written in leader epoch `epoch`."""

    offset: int
    epoch: int
    cluster_id: str
    features: Mapping[str, int]
    topics: SharedMap[str, TopicImage]
    topics_by_id: SharedMap[bytes, TopicImage]
    configs: SharedMap[ConfigKey, Configs]
    brokers: Mapping[int, BrokerImage]
    controllers: Mapping[int, ControllerImage]
    next_producer_id: int
    carried: tuple[Message, ...] = ()
    """Records of kinds that have no use here, all of them in their order: they go into snapshots."""

    def config(self, resource_type: int, name: str) -> Configs:
        """The overrides stored for a resource; empty when there are none."""
        return self.configs.get((resource_type, name), NO_CONFIGS)


def empty_image(cluster_id: str) -> MetadataImage:
    """The image before the first record."""
    return MetadataImage(
        offset=-1,
        epoch=0,
        cluster_id=cluster_id,
        features=MappingProxyType({}),
        topics=SharedMap(),
        topics_by_id=SharedMap(),
        configs=SharedMap(),
        brokers=MappingProxyType({}),
        controllers=MappingProxyType({}),
        next_producer_id=0,
    )
