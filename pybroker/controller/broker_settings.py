"""The broker's configuration as the controller needs it: with the overrides of an image, and for new topics.

In: the static configuration, an image. Out: the `BrokerConfig` that holds with the image's overrides, and
`TopicSettings`. What must hold: a decision sees the overrides of the image that it decides on.
"""

from __future__ import annotations

from typing import NamedTuple

from pybroker.common.config import BrokerConfig
from pybroker.controller.topic_names import (
    CONSUMER_OFFSETS,
    INTERNAL_TOPICS,
    SHARE_GROUP_STATE,
    TRANSACTION_STATE,
)
from pybroker.metadata.image import BROKER_RESOURCE, Configs, MetadataImage


class TopicSettings(NamedTuple):
    """How a topic is made when a request leaves it open."""

    partitions: int
    replication_factor: int
    configs: tuple[tuple[str, str], ...] = ()


class BrokerSettings:
    """Combines the properties file with the overrides in an image; remembers the last combination."""

    __slots__ = ("_cluster", "_config", "_own", "static")

    def __init__(self, config: BrokerConfig) -> None:
        self.static = config
        self._config = config
        self._own: Configs | None = None
        self._cluster: Configs | None = None

    def of(self, image: MetadataImage) -> BrokerConfig:
        """The configuration of this broker under an image."""
        own = image.config(BROKER_RESOURCE, str(self.static.node_id))
        cluster = image.config(BROKER_RESOURCE, "")
        # Mappings of an image never change, so the same object is the same content.
        if own is not self._own or cluster is not self._cluster:
            self._config = self.static.with_dynamic(own, cluster)
            self._own, self._cluster = own, cluster
        return self._config

    def topic_defaults(self) -> TopicSettings:
        """`num.partitions` and `default.replication.factor`; neither is dynamic."""
        return TopicSettings(self.static["num.partitions"], self.static["default.replication.factor"])

    def topic_settings(self, name: str, brokers: int) -> TopicSettings:
        """How a topic that nobody described is made: internal ones as their coordinators need them, with at
        most as many replicas as there are brokers (docs/adr/0007-internal-topics-on-a-single-node.md)."""
        settings = self._wanted_settings(name)
        if name in INTERNAL_TOPICS and settings.replication_factor > brokers:
            return settings._replace(replication_factor=max(brokers, 1))
        return settings

    def _wanted_settings(self, name: str) -> TopicSettings:
        config = self.static
        if name == CONSUMER_OFFSETS:
            return TopicSettings(
                config["offsets.topic.num.partitions"],
                config["offsets.topic.replication.factor"],
                (
                    ("cleanup.policy", "compact"),
                    ("segment.bytes", str(config["offsets.topic.segment.bytes"])),
                    ("compression.type", "producer"),
                ),
            )
        if name == TRANSACTION_STATE:
            return TopicSettings(
                config["transaction.state.log.num.partitions"],
                config["transaction.state.log.replication.factor"],
                (
                    ("unclean.leader.election.enable", "false"),
                    ("compression.type", "uncompressed"),
                    ("cleanup.policy", "compact"),
                    ("min.insync.replicas", str(config["transaction.state.log.min.isr"])),
                    ("segment.bytes", str(config["transaction.state.log.segment.bytes"])),
                ),
            )
        if name == SHARE_GROUP_STATE:
            return TopicSettings(
                config["share.coordinator.state.topic.num.partitions"],
                config["share.coordinator.state.topic.replication.factor"],
                (
                    ("cleanup.policy", "delete"),
                    ("compression.type", "producer"),
                    ("segment.bytes", str(config["share.coordinator.state.topic.segment.bytes"])),
                    ("retention.ms", "-1"),
                ),
            )
        return self.topic_defaults()
