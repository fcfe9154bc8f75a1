"""What a coordinator's shard is: a synchronous state machine over one partition of an internal topic.

In: requests as operations, records to replay, timers, metadata. Out: `Result`s. What must hold: state that
must survive changes only in `replay`, so that loading equals replaying; soft state (session timers, parked
replies) may change in an operation.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from pybroker.coordinator.result import CoordinatorRecord, Result
    from pybroker.metadata.delta import MetadataDelta
    from pybroker.metadata.image import MetadataImage


class Shard(Protocol):
    """One per partition of the internal topic that this broker leads."""

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
        """Apply a record that is in the log. `producer_id` >= 0: it belongs to an open transaction.

        CorruptionError or ProtocolError: the record means nothing; it is reported and skipped."""

    def replay_end_transaction(self, producer_id: int, producer_epoch: int, committed: bool) -> None:
        """The transaction of `producer_id` in this partition ended: a marker is in the log."""

    def become_active(self, now_ms: int) -> list[CoordinatorRecord]:
        """Everything was loaded: start the timers of what was replayed. Records are appended and replayed."""

    def become_inactive(self) -> None:
        """Not the coordinator any more: answer every parked Deferred with NOT_COORDINATOR."""

    def on_metadata(self, image: MetadataImage, delta: MetadataDelta, now_ms: int) -> None:
        """Topics changed."""


class Timers(Protocol):
    """The named timers of one shard. They begin and end with its leadership."""

    def schedule(self, key: str, delay_ms: float, operation: Callable[[Any, int], Result[Any]]) -> None:
        """Run `operation(shard, now_ms)` as a write after `delay_ms`; replaces the timer of that name."""

    def schedule_if_absent(
        self, key: str, delay_ms: float, operation: Callable[[Any, int], Result[Any]]
    ) -> None:
        """As `schedule`, unless a timer of that name is waiting already."""

    def cancel(self, key: str) -> None:
        """Forget the timer of that name, if there is one."""

    def is_scheduled(self, key: str) -> bool: ...
