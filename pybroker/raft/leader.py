"""What a leader knows of its replicas: how far they are, who votes, how far the log is committed.

In: fetches, flushes of the own log, changes of the voter set. Out: the high watermark, whether a majority is
still there, the numbers of DescribeQuorum. What must hold: the high watermark is the offset that a majority
of the newest voter set has durably, never goes back, and is not known before a record of the own epoch is
committed.
"""

from __future__ import annotations

from typing import Final

from pybroker.raft.voters import ReplicaKey, VoterSet

OBSERVER_SESSION_MS: Final = 300_000
"""After this long without a fetch an observer is forgotten."""
OBSERVERS_MAX: Final = 10_000
"""Bound on what anonymous fetches can make a leader remember."""
CAUGHT_UP_MAX_AGE_MS: Final = 3_600_000


class Replica:
    """One voter or observer. Times are monotonic milliseconds; -1 for never."""

    __slots__ = (
        "caught_up_ms",
        "end_offset",
        "fetched_ms",
        "key",
        "leader_end_offset_at_fetch",
    )

    def __init__(self, key: ReplicaKey) -> None:
        self.key = key
        self.end_offset = -1
        self.fetched_ms = -1.0
        self.caught_up_ms = -1.0
        self.leader_end_offset_at_fetch = -1

    def fetched(self, now_ms: float, offset: int, leader_end_offset: int) -> None:
        """It asked for `offset`, so it has everything below."""
        if offset >= leader_end_offset:
            self.caught_up_ms = now_ms
        elif 0 < self.leader_end_offset_at_fetch <= offset:
            # It has reached what was the end when it fetched before.
            self.caught_up_ms = self.fetched_ms
        self.fetched_ms = now_ms
        self.end_offset = offset
        self.leader_end_offset_at_fetch = leader_end_offset


class LeaderState:
    """The state of one epoch in which this node leads."""

    __slots__ = (
        "_check_quorum_ms",
        "_fetched",
        "active",
        "begin_quorum_due_ms",
        "check_quorum_deadline",
        "epoch_start_offset",
        "granting",
        "high_watermark",
        "key",
        "observers",
        "resign_requested",
        "voters",
        "voters_by_id",
    )

    def __init__(
        self,
        key: ReplicaKey,
        voters: VoterSet,
        granting: tuple[int, ...],
        *,
        now_ms: float,
        check_quorum_ms: float,
    ) -> None:
        self.key = key
        self.voters = voters
        self.granting = granting
        self.active = False
        """Whether the vote that made it leader is durable: before, it neither writes nor answers."""
        self.epoch_start_offset = -1
        self.high_watermark = -1
        """-1: not known yet in this epoch."""
        self.voters_by_id: dict[int, Replica] = {voter.voter_id: Replica(voter.key) for voter in voters}
        self.observers: dict[ReplicaKey, Replica] = {}
        self.resign_requested = False
        self.begin_quorum_due_ms = now_ms
        self._check_quorum_ms = check_quorum_ms
        self.check_quorum_deadline = now_ms + check_quorum_ms
        self._fetched: dict[int, None] = {}

    # Replicas

    def change_voters(self, voters: VoterSet) -> None:
        """The newest set of the log is another one: replicas keep what is known of them."""
        old = dict(self.voters_by_id)
        self.voters = voters
        self.voters_by_id = {}
        for voter in voters:
            known = old.get(voter.voter_id)
            if known is not None and voters.has(known.key):
                del old[voter.voter_id]
                known.key = voter.key
            else:
                known = self.observers.pop(voter.key, None) or Replica(voter.key)
            self.voters_by_id[voter.voter_id] = known
        for replica in old.values():
            self.observers.setdefault(replica.key, replica)

    def replica(self, key: ReplicaKey, now_ms: float) -> Replica | None:
        """The voter or observer with this key; None when there are too many observers already."""
        voter = self.voters_by_id.get(key.node_id)
        if voter is not None and self.voters.has(key):
            return voter
        known = self.observers.get(key)
        if known is None:
            if len(self.observers) >= OBSERVERS_MAX:
                self.forget_observers(now_ms)
                if len(self.observers) >= OBSERVERS_MAX:
                    return None
            known = self.observers[key] = Replica(key)
        return known

    def forget_observers(self, now_ms: float) -> None:
        """Drop the observers that have not fetched for a while."""
        self.observers = {
            key: replica
            for key, replica in self.observers.items()
            if now_ms - replica.fetched_ms < OBSERVER_SESSION_MS
        }

    def is_caught_up(self, key: ReplicaKey, now_ms: float) -> bool:
        """Whether an observer has reached the end of the log lately."""
        replica = self.observers.get(key)
        return (
            replica is not None
            and replica.caught_up_ms >= 0
            and replica.fetched_ms >= 0
            and now_ms - replica.fetched_ms < CAUGHT_UP_MAX_AGE_MS
        )

    # The high watermark

    def fetched(self, key: ReplicaKey, now_ms: float, offset: int, leader_end_offset: int) -> bool:
        """A replica has everything below `offset`; whether the high watermark moved."""
        if key.node_id < 0 or key.node_id == self.key.node_id:
            return False
        replica = self.replica(key, now_ms)
        if replica is None:
            return False
        replica.fetched(now_ms, offset, leader_end_offset)
        self.heard_from(key, now_ms)
        return self.voters.has(key) and self.advance()

    def flushed(self, end_offset: int) -> bool:
        """The own log is durable up to `end_offset`; whether the high watermark moved."""
        own = self.voters_by_id.get(self.key.node_id)
        if own is not None and self.voters.has(self.key):
            own.end_offset = max(own.end_offset, end_offset)
        return self.advance()

    def advance(self) -> bool:
        """Recompute the high watermark; whether it moved."""
        offset = self.majority_end_offset()
        if self.may_commit(offset) and offset > self.high_watermark:
            self.high_watermark = offset
            return True
        return False

    def majority_end_offset(self) -> int:
        """The offset up to which a majority of the voters has the log; -1 when that is not known."""
        ends = sorted((replica.end_offset for replica in self.voters_by_id.values()), reverse=True)
        return ends[len(ends) // 2] if ends else -1

    def may_commit(self, offset: int) -> bool:
        """Records of earlier epochs are committed by the first one of this epoch, never alone."""
        return self.active and offset > self.epoch_start_offset

    # The majority

    def heard_from(self, key: ReplicaKey, now_ms: float) -> None:
        """A voter fetched: when enough of them have, the leader may stay for another period."""
        if key.node_id == self.key.node_id or not self.voters.has(key):
            return
        self._fetched[key.node_id] = None
        # A leader that votes is one of the majority.
        needed = self.voters.majority - (1 if self.voters.has(self.key) else 0)
        if len(self._fetched) >= needed:
            self._fetched = {}
            self.check_quorum_deadline = now_ms + self._check_quorum_ms

    def majority_is_lost(self, now_ms: float) -> bool:
        """Whether no majority has fetched for the whole period."""
        if self.voters.ids == (self.key.node_id,):
            return False
        return now_ms >= self.check_quorum_deadline

    def successors(self) -> list[ReplicaKey]:
        """The other voters, the one with the longest log first."""
        others = [replica for voter, replica in self.voters_by_id.items() if voter != self.key.node_id]
        return [replica.key for replica in sorted(others, key=lambda r: (-r.end_offset, r.key))]
