"""One member of a consumer group, as a value.

In: nothing. Out: `ConsumerMember` and what it is made of. What must hold: a member never changes; a change
is a new value, compared with the old one to know which records to write.

    STABLE                 has what its epoch's assignment gives it
    UNREVOKED_PARTITIONS   must give partitions back before it may go to the next epoch
    UNRELEASED_PARTITIONS  is in the newest epoch and waits for partitions that others still hold
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

STABLE: Final = 0
UNREVOKED_PARTITIONS: Final = 1
UNRELEASED_PARTITIONS: Final = 2

LEAVING: Final = -1
"""Member epoch of a heartbeat with which a member leaves for good; and of a member that is being removed."""
STATIC_LEAVING: Final = -2
"""Member epoch of a static member that is away and will come back."""

Epochs = Mapping[bytes, Mapping[int, int]]
"""Topic id to partition to the assignment epoch in which the member got it (KIP-1251)."""

NO_EPOCHS: Final[Epochs] = MappingProxyType({})


class ClassicDetails(NamedTuple):
    """What is known of a member that uses the classic protocol."""

    session_timeout_ms: int
    protocols: tuple[tuple[str, bytes], ...]
    """(name, subscription) in the order of the member's preference."""


class ConsumerMember(NamedTuple):
    """A member. Times are milliseconds; -1 for a rebalance timeout that is not known."""

    member_id: str
    member_epoch: int = 0
    previous_member_epoch: int = -1
    state: int = STABLE
    instance_id: str | None = None
    rack_id: str | None = None
    rebalance_timeout_ms: int = -1
    client_id: str = ""
    client_host: str = ""
    topics: frozenset[str] = frozenset()
    regex: str = ""
    assignor: str | None = None
    assigned: Epochs = NO_EPOCHS
    revoking: Epochs = NO_EPOCHS
    """Partitions taken from it that it has not given back yet."""
    classic: ClassicDetails | None = None

    def is_reconciled_to(self, assignment_epoch: int) -> bool:
        """Whether it has all that the target assignment of this epoch gives it."""
        return self.state == STABLE and self.member_epoch == assignment_epoch

    def assignment_epoch(self, topic_id: bytes, partition: int) -> int | None:
        """When it got a partition that it has, or that it still has to give back; else None."""
        for epochs in (self.assigned, self.revoking):
            epoch = epochs.get(topic_id, {}).get(partition)
            if epoch is not None:
                return epoch
        return None

    def at_epoch(
        self, member_epoch: int, state: int, assigned: Epochs, revoking: Epochs = NO_EPOCHS
    ) -> ConsumerMember:
        """The member after a step of its reconciliation."""
        return self._replace(
            member_epoch=member_epoch,
            previous_member_epoch=self.member_epoch,
            state=state,
            assigned=assigned,
            revoking=revoking,
        )
