"""One partition of `__consumer_offsets`: its groups and their offsets.

In: records to replay, requests, timers, metadata. Out: `Result`s. What must hold: loading equals replaying;
records of types that are not known here are tolerated.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import TYPE_CHECKING

from pybroker.common.config import BrokerConfig
from pybroker.coordinator.result import CoordinatorRecord
from pybroker.coordinator.shard import Timers

if TYPE_CHECKING:
    from pybroker.metadata.delta import MetadataDelta
    from pybroker.metadata.image import MetadataImage


class GroupShard:
    """The groups whose ids hash to one partition."""

    def __init__(
        self,
        config: BrokerConfig,
        image: Callable[[], MetadataImage],
        timers: Timers,
        rng: random.Random,
    ) -> None:
        self.config = config
        self.image = image
        self.timers = timers
        self.rng = rng

    def replay(
        self,
        key: bytes,
        value: bytes | None,
        *,
        offset: int,
        timestamp: int,
        producer_id: int,
        producer_epoch: int,
    ) -> None:
        """Apply a record of the log."""

    def replay_end_transaction(self, producer_id: int, producer_epoch: int, committed: bool) -> None:
        """A transaction's marker is in the log."""

    def become_active(self, now_ms: int) -> list[CoordinatorRecord]:
        """Loaded: start timers."""
        return []

    def become_inactive(self) -> None:
        """Not the coordinator any more."""

    def on_metadata(self, image: MetadataImage, delta: MetadataDelta, now_ms: int) -> None:
        """Topics changed."""
