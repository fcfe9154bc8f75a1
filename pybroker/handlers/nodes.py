"""Where the brokers of an image are reached on a listener, and whom a client is sent to for a partition.

In: an image and the name of the listener that was asked. Out: addresses, and the leader hints of KIP-951.
What must hold: a client is never sent to a fenced broker, nor to one without that listener.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator
from typing import Final, NamedTuple, TypeVar

from pybroker.metadata.image import (
    LOST_DIRECTORY,
    MIGRATING_DIRECTORY,
    NO_LEADER,
    UNASSIGNED_DIRECTORY,
    BrokerImage,
    MetadataImage,
    PartitionImage,
    TopicImage,
)

E = TypeVar("E")


class Node(NamedTuple):
    """A broker as clients of one listener see it."""

    node_id: int
    host: str
    port: int
    rack: str | None


def node_of(broker: BrokerImage, listener: str) -> Node | None:
    """Where a broker is reached on a listener, fenced or not; None when it has no such listener."""
    for endpoint in broker.endpoints:
        if endpoint.name == listener:
            return Node(broker.broker_id, endpoint.host, endpoint.port, broker.rack)
    return None


def alive_node(image: MetadataImage, broker_id: int, listener: str) -> Node | None:
    """A broker that is registered, not fenced, and has the listener."""
    broker = image.brokers.get(broker_id)
    return None if broker is None or broker.fenced else node_of(broker, listener)


def alive_nodes(image: MetadataImage, listener: str) -> list[Node]:
    """All of them, by their numbers."""
    found = (alive_node(image, broker_id, listener) for broker_id in sorted(image.brokers))
    return [node for node in found if node is not None]


def admin_node_id(image: MetadataImage, own_id: int) -> int:
    """The broker that clients are told to send administrative requests to (it passes them on to the active
    controller): this one, which is at hand, or while it is fenced another one; -1 when all are."""
    own = image.brokers.get(own_id)
    if own is not None and not own.fenced:
        return own_id
    return min((number for number, broker in image.brokers.items() if not broker.fenced), default=-1)


class _AllBut(Container[bytes]):
    """The online directories of a broker that did not say which it has."""

    def __contains__(self, directory: object) -> bool:
        return directory != LOST_DIRECTORY


_NOTHING: Final[frozenset[bytes]] = frozenset()


class Replicas:
    """Which replicas of an image are to be had, for one listener."""

    __slots__ = ("_online", "_reachable", "_registered")

    def __init__(self, image: MetadataImage, listener: str) -> None:
        self._registered = image.brokers
        # Brokers that have the listener.
        self._reachable: set[int] = set()
        # Of those that are not fenced: the directories in which a replica counts as online.
        self._online: dict[int, Container[bytes]] = {}
        for broker_id, broker in image.brokers.items():
            if node_of(broker, listener) is None:
                continue
            self._reachable.add(broker_id)
            if not broker.fenced:
                online: Container[bytes] = _AllBut()
                if broker.log_dirs:
                    online = frozenset((UNASSIGNED_DIRECTORY, MIGRATING_DIRECTORY, *broker.log_dirs))
                self._online[broker_id] = online

    def reachable(self, broker_id: int) -> bool:
        """Whether a broker is registered with the listener."""
        return broker_id in self._reachable

    def registered(self, broker_id: int) -> bool:
        return broker_id in self._registered

    def offline(self, partition: PartitionImage) -> list[int]:
        """The replicas on fenced, unknown or unreachable brokers, or in directories that failed."""
        online = self._online
        replicas = partition.replicas
        if len(partition.directories) != len(replicas):
            return [broker_id for broker_id in replicas if broker_id not in online]
        return [
            broker_id
            for broker_id, directory in zip(replicas, partition.directories, strict=True)
            if directory not in online.get(broker_id, _NOTHING)
        ]


def leader_of(topic: TopicImage | None, index: int) -> tuple[int, int]:
    """(leader, leader epoch) of a partition; -1s when there is no such partition."""
    if topic is None or not 0 <= index < len(topic.partitions):
        return NO_LEADER, -1
    partition = topic.partitions[index]
    return partition.leader, partition.leader_epoch


class LeaderHints:
    """Collects the leaders that an answer points to, each with its address once (KIP-951)."""

    __slots__ = ("_image", "_listener", "_nodes")

    def __init__(self, image: MetadataImage, listener: str) -> None:
        self._image = image
        self._listener = listener
        self._nodes: dict[int, Node] = {}

    def leader(self, topic: TopicImage | None, index: int) -> tuple[int, int]:
        """As `leader_of`; the leader's address goes into the answer."""
        leader_id, leader_epoch = leader_of(topic, index)
        node = alive_node(self._image, leader_id, self._listener)
        if node is not None:
            self._nodes[leader_id] = node
        return leader_id, leader_epoch

    def endpoints(self, make: Callable[..., E]) -> list[E]:
        """The addresses as objects of the answer's own class."""
        return [make(**node._asdict()) for node in self._sorted()]

    def _sorted(self) -> Iterator[Node]:
        return (self._nodes[node_id] for node_id in sorted(self._nodes))
