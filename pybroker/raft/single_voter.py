"""One voter of the metadata quorum, as a state machine without I/O.

In: `tick(now)`, `propose(values)`, `persisted(end_offset)`. Out: `take_ready()`: the hard state to store
first, then the batches to append, then how far the log is committed. What must hold: flush first, count
second, on the leader too; a record is committed only when a majority holds it durably and a LeaderChange
record of the leader's own epoch is committed too; epochs never go back.

The quorum has one voter so far: its election is won by its own vote, and its own flush is the majority. More
voters bring `step(message)` and `Ready.messages`; the order of what goes in and out stays the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from typing import NamedTuple

from pybroker.common.errors import ConfigError, InvariantError
from pybroker.raft.hard_state import NOBODY, HardState
from pybroker.raft.voters import Voter, voter_records
from pybroker.records.batch import Record, build_batch
from pybroker.records.control import ControlType, build_control_batch
from pybroker.wire.schemas.metadata_records import (
    LeaderChangeMessage,
    LeaderChangeVoter,
    encode_control,
)


class Role(Enum):
    """Kafka's names. UNATTACHED: no leader known. RESIGNED: led this epoch before a restart."""

    UNATTACHED = "unattached"
    RESIGNED = "resigned"
    LEADER = "leader"


class Entry(NamedTuple):
    """A batch to append, with its offsets and epoch already in its header."""

    base_offset: int
    last_offset: int
    epoch: int
    batch: bytes


class Ready(NamedTuple):
    """What the shell must do now, in the order of the fields."""

    hard_state: HardState | None
    """To be stored durably before anything else."""
    entries: tuple[Entry, ...]
    """To be appended; a sync must follow, then `persisted`."""
    high_watermark: int
    """Everything below is committed."""


class Node:
    """One voter. `last_epoch` and `log_end_offset` describe the log that was found at start."""

    __slots__ = (
        "_entries",
        "_hard_state",
        "_hard_state_changed",
        "_persisted_end_offset",
        "epoch",
        "epoch_start_offset",
        "high_watermark",
        "leader_id",
        "log_end_offset",
        "node_id",
        "role",
        "voters",
    )

    def __init__(
        self,
        node_id: int,
        voters: Sequence[Voter],
        hard_state: HardState | None,
        *,
        log_end_offset: int,
        last_epoch: int,
    ) -> None:
        if [voter.voter_id for voter in voters] != [node_id]:
            raise ConfigError("the metadata quorum must consist of this node alone")
        self.node_id = node_id
        self.voters = tuple(voters)
        self._hard_state = hard_state or HardState()
        self._hard_state_changed = False
        # A lost quorum-state file must not bring an epoch back that the log has seen.
        self.epoch = max(self._hard_state.leader_epoch, last_epoch)
        # Whoever led this epoch may have lost records it had appended, so it must not lead it again.
        self.role = Role.RESIGNED if self._hard_state.leader_id == node_id else Role.UNATTACHED
        self.leader_id = NOBODY
        self.log_end_offset = log_end_offset
        # What was found in the log counts only once it has been synced in this life.
        self._persisted_end_offset = 0
        self.epoch_start_offset = log_end_offset
        self.high_watermark = 0
        self._entries: list[Entry] = []

    @property
    def is_leader(self) -> bool:
        return self.role is Role.LEADER

    def tick(self, now_ms: int) -> None:
        """Start an election when there is no leader; `now_ms` is wall time, for the record's timestamp."""
        if self.role is not Role.LEADER:
            self._win_election(now_ms)

    def _win_election(self, now_ms: int) -> None:
        """The only voter votes for itself: candidate and leader fall into one step and one stored state."""
        self.epoch += 1
        self.role = Role.LEADER
        self.leader_id = self.node_id
        self._hard_state = HardState(self.node_id, self.epoch)
        self._hard_state_changed = True
        self.epoch_start_offset = self.log_end_offset
        voters = [LeaderChangeVoter(voter_id=voter.voter_id) for voter in self.voters]
        change = LeaderChangeMessage(leader_id=self.node_id, voters=voters, granting_voters=voters)
        records = [(int(ControlType.LEADER_CHANGE), encode_control(change))]
        if self.log_end_offset == 0:
            records += voter_records(self.voters)
        self._add(
            build_control_batch(
                records, timestamp=now_ms, base_offset=self.log_end_offset, leader_epoch=self.epoch
            ),
            len(records),
        )

    def propose(self, values: Sequence[bytes], now_ms: int) -> Entry:
        """Make one batch of record values; it is in the next Ready. Leader only."""
        if self.role is not Role.LEADER:
            raise InvariantError("only the leader proposes")
        batch = build_batch(
            [Record(0, now_ms, None, value) for value in values],
            base_offset=self.log_end_offset,
            leader_epoch=self.epoch,
        )
        return self._add(batch, len(values))

    def _add(self, batch: bytes, count: int) -> Entry:
        entry = Entry(self.log_end_offset, self.log_end_offset + count - 1, self.epoch, batch)
        self.log_end_offset += count
        self._entries.append(entry)
        return entry

    def append_failed(self, entry: Entry) -> None:
        """The log could not take `entry`, the newest one: its offsets are free again."""
        if entry.last_offset + 1 != self.log_end_offset or entry.base_offset < self._persisted_end_offset:
            raise InvariantError("only the newest entry can fail, and only before it is persisted")
        self.log_end_offset = entry.base_offset

    def persisted(self, end_offset: int) -> None:
        """Everything below `end_offset` is durable in this node's log."""
        if end_offset > self.log_end_offset:
            raise InvariantError(f"offset {end_offset} is persisted, the log ends at {self.log_end_offset}")
        self._persisted_end_offset = max(self._persisted_end_offset, end_offset)
        # The element n/2 of the voters' end offsets, sorted descending: with one voter, its own. Records of
        # earlier epochs are committed by the first one of this epoch, never alone.
        majority_end = self._persisted_end_offset
        if self.role is Role.LEADER and majority_end > self.epoch_start_offset:
            self.high_watermark = max(self.high_watermark, majority_end)

    def take_ready(self) -> Ready:
        """What has come up since the last call."""
        hard_state = self._hard_state if self._hard_state_changed else None
        entries, self._entries = tuple(self._entries), []
        self._hard_state_changed = False
        return Ready(hard_state, entries, self.high_watermark)
