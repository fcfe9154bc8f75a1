"""Replication throttles: how much of the traffic of throttled replicas goes through (KIP-73).

In: the configuration (`leader.` and `follower.replication.throttled.rate` of the broker, and `.replicas` of
topics), bytes that were sent or fetched. Out: whether a throttled replica has to wait. What must hold: over a
window of samples the throttled bytes do not exceed the rate by more than what one fetch brings; replicas that
are in sync are never held back, which is the callers' to see to.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from pybroker.common.clock import Clock
from pybroker.common.config import BrokerConfig
from pybroker.log.config import LONG_MAX
from pybroker.metadata.image import TOPIC_RESOURCE, MetadataImage
from pybroker.replication.partition import Partition

LEADER_REPLICAS: Final = "leader.replication.throttled.replicas"
FOLLOWER_REPLICAS: Final = "follower.replication.throttled.replicas"
LEADER_RATE: Final = "leader.replication.throttled.rate"
FOLLOWER_RATE: Final = "follower.replication.throttled.rate"
RATE_OF_MOVES: Final = "replica.alter.log.dirs.io.max.bytes.per.second"

_SAMPLES: Final = 100


class Rate:
    """Bytes per second over a window of samples."""

    __slots__ = ("_clock", "_samples", "_sum", "_window_ms", "limit")

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.limit = LONG_MAX
        self._window_ms = 11_000.0
        # (start of the sample, bytes), and their sum.
        self._samples: deque[tuple[float, int]] = deque()
        self._sum = 0

    def configure(self, limit: int, window_ms: float) -> None:
        self.limit = limit
        self._window_ms = window_ms

    def note(self, count: int) -> None:
        """Also without a limit: what was moved until now counts when there is one."""
        now_ms = self._clock.monotonic_ms()
        self._forget(now_ms)
        samples = self._samples
        if samples and now_ms - samples[-1][0] < self._window_ms / _SAMPLES:
            samples[-1] = (samples[-1][0], samples[-1][1] + count)
        else:
            samples.append((now_ms, count))
        self._sum += count

    def _forget(self, now_ms: float) -> None:
        start = now_ms - self._window_ms
        samples = self._samples
        while samples and samples[0][0] < start:
            self._sum -= samples.popleft()[1]

    @property
    def is_exceeded(self) -> bool:
        if self.limit == LONG_MAX:
            return False
        self._forget(self._clock.monotonic_ms())
        return self._sum * 1000.0 > self.limit * self._window_ms


class Throttle:
    """The throttled replicas of one broker, as leaders and as followers."""

    __slots__ = ("_following", "_image", "_leading", "_node_id", "followers", "leaders")

    def __init__(self, clock: Clock, node_id: int) -> None:
        self._node_id = node_id
        self.leaders = Rate(clock)
        self.followers = Rate(clock)
        self._image: MetadataImage | None = None
        # Topic -> whether a partition is throttled, by the image above.
        self._leading: dict[str, frozenset[int] | None] = {}
        self._following: dict[str, frozenset[int] | None] = {}

    def configure(self, image: MetadataImage, config: BrokerConfig) -> None:
        """Take the configuration of a new image."""
        self._image = image
        self._leading.clear()
        self._following.clear()
        window_ms = 1000.0 * config["replication.quota.window.num"]
        window_ms *= config["replication.quota.window.size.seconds"]
        self.leaders.configure(rate_of(config, LEADER_RATE), window_ms)
        self.followers.configure(rate_of(config, FOLLOWER_RATE), window_ms)

    def is_leader_throttled(self, partition: Partition) -> bool:
        """Whether a follower that is out of sync gets nothing of a partition for now."""
        return self.leaders.is_exceeded and self._names(self._leading, LEADER_REPLICAS, partition)

    def is_follower_throttled(self, partition: Partition) -> bool:
        """Whether a partition is not to be fetched for now, unless it is in sync."""
        return self.followers.is_exceeded and self._names(self._following, FOLLOWER_REPLICAS, partition)

    def note_sent(self, partition: Partition, count: int) -> None:
        if self.leaders.limit != LONG_MAX and self._names(self._leading, LEADER_REPLICAS, partition):
            self.leaders.note(count)

    def note_fetched(self, partition: Partition, count: int) -> None:
        if self.followers.limit != LONG_MAX and self._names(self._following, FOLLOWER_REPLICAS, partition):
            self.followers.note(count)

    def _names(self, known: dict[str, frozenset[int] | None], name: str, partition: Partition) -> bool:
        """Whether a topic's configuration has this broker's replica of a partition in its list."""
        topic = partition.topic
        if topic not in known:
            image = self._image
            value = "" if image is None else image.config(TOPIC_RESOURCE, topic).get(name, "")
            known[topic] = _throttled(value, self._node_id)
        indexes = known[topic]
        return indexes is None or partition.partition in indexes


def rate_of(config: BrokerConfig, name: str) -> int:
    """Bytes per second; these names are dynamic only, and have no limit by default."""
    text = config.dynamic_broker.get(name, config.dynamic_default.get(name))
    return LONG_MAX if text is None else int(text)


def _throttled(value: str, node_id: int) -> frozenset[int] | None:
    """The partitions of this broker in `partition:broker,...`; None for all of them (`*`)."""
    entries = [entry.strip() for entry in value.split(",") if entry.strip()]
    if entries == ["*"]:
        return None
    found = set()
    for entry in entries:
        index, _, broker = entry.partition(":")
        if index.isdigit() and broker.isdigit() and int(broker) == node_id:
            found.add(int(index))
    return frozenset(found)
