"""What every kind of group has in common, as the shard, the offsets and the administrative APIs see it.

A kind of group is a class with this shape (`classic.group.ClassicGroup`, `consumer.group.ConsumerGroup`);
adding one touches its own folder and the tables of `shard.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from pybroker.coordinator.result import CoordinatorRecord
    from pybroker.groups.offsets import CommittedOffset

CLASSIC: Final = "classic"
CONSUMER: Final = "consumer"
SHARE: Final = "share"
STREAMS: Final = "streams"

EMPTY: Final = "Empty"
PREPARING_REBALANCE: Final = "PreparingRebalance"
COMPLETING_REBALANCE: Final = "CompletingRebalance"
STABLE: Final = "Stable"
DEAD: Final = "Dead"


CommitValidator = Callable[[str, bytes, int], None]
"""(topic, topic id, partition); ApiError when the member may not commit for that partition."""


class Group(Protocol):
    """One group of any kind."""

    group_id: str

    @property
    def kind(self) -> str:
        """`CLASSIC`, `CONSUMER` and so on: the group type of ListGroups."""

    @property
    def state(self) -> str:
        """Kafka's name of the state."""

    @property
    def protocol_type_text(self) -> str:
        """For ListGroups and DescribeGroups; empty when there is none."""

    @property
    def is_empty(self) -> bool:
        """No members: it may be deleted, and anybody may commit."""

    def is_subscribed_to(self, topic: str) -> bool:
        """Whether offsets of the topic are in use by live members."""

    def validate_offset_commit(
        self, member_id: str, instance_id: str | None, generation: int, *, transactional: bool, version: int
    ) -> CommitValidator | None:
        """ApiError when this member may not commit. `generation` is the member epoch in consumer groups;
        `version` is that of the request. The answer, if any, is to be asked for each partition."""

    def validate_offset_fetch(self, member_id: str | None, member_epoch: int) -> None:
        """ApiError when this member may not fetch offsets."""

    def validate_offset_delete(self) -> None:
        """ApiError when no offset of the group may be deleted now."""

    def validate_delete(self) -> None:
        """ApiError when the group may not be deleted now."""

    def offset_expiration_base(self) -> Callable[[CommittedOffset], int] | None:
        """From what time on the retention of an offset counts (KIP-211); None: nothing expires now."""

    def tombstones(self) -> list[CoordinatorRecord]:
        """The records that remove the group (not its offsets)."""
