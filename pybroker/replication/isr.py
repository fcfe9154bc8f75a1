"""What a leader knows of its followers, and which of them count: progress, ISR, high watermark.

In: fetches of followers, what the metadata says of the partition, the clock, answers of the controller. Out:
the high watermark that the replicas allow, and the next ISR to propose. What must hold:

- the high watermark is a lower bound of the log ends of the *maximal* ISR, which is the committed one and
  whoever was proposed to join, for either may be in force when this leader is replaced; and of those that
  caught up and may join, so that they can;
- below min.insync.replicas it does not move (KIP-966): then a replica that left the ISR has all below it;
- one proposal at a time is under way, made for the partition epoch that was known then; what the controller
  did not surely refuse stays possible until the metadata or the controller says otherwise;
- a follower may join with the broker epoch that it is registered with only (KIP-903).

Sources: KIP-497 (AlterPartition), KIP-841 (fenced replicas stay out), KIP-903, KIP-966, and the rules of
Kafka 4.3's `Partition` and `Replica`.
"""

from __future__ import annotations

from typing import Final, NamedTuple, Protocol

from pybroker.common.clock import Clock
from pybroker.common.errors import ErrorCode

NEVER_MS: Final = float("-inf")
UNKNOWN_OFFSET: Final = -1
UNKNOWN_BROKER_EPOCH: Final = -1

# The controller says that it knows this partition epoch and that nothing was changed.
_NOT_APPLIED: Final = frozenset({ErrorCode.OPERATION_NOT_ATTEMPTED, ErrorCode.INELIGIBLE_REPLICA})
# Somebody else decided: wait for the metadata, on the maximal ISR until then.
_OVERTAKEN: Final = frozenset(
    {
        ErrorCode.UNKNOWN_TOPIC_OR_PARTITION,
        ErrorCode.UNKNOWN_TOPIC_ID,
        ErrorCode.FENCED_LEADER_EPOCH,
        ErrorCode.INVALID_UPDATE_VERSION,
        ErrorCode.INVALID_REQUEST,
        ErrorCode.NEW_LEADER_ELECTED,
    }
)


class BrokerView(Protocol):
    """What the metadata says of other brokers."""

    def may_join(self, broker_id: int, broker_epoch: int) -> bool:
        """Whether that incarnation of a broker may be in an ISR: registered, not fenced, not shutting down.
        An epoch of -1 means that it is not known: any."""

    def is_alive(self, broker_id: int) -> bool:
        """Whether a broker is registered and not fenced."""

    def is_stale(self, broker_id: int, broker_epoch: int) -> bool:
        """Whether a later incarnation of a broker is alive."""


class Follower:
    """One follower as its leader sees it. Times are monotonic milliseconds."""

    __slots__ = (
        "broker_epoch",
        "broker_id",
        "last_caught_up_ms",
        "last_fetch_end_offset",
        "last_fetch_ms",
        "log_end_offset",
        "log_start_offset",
    )

    def __init__(self, broker_id: int, last_caught_up_ms: float) -> None:
        self.broker_id = broker_id
        # Everything below is in its log; -1 until its first fetch from this leader.
        self.log_end_offset = UNKNOWN_OFFSET
        self.log_start_offset = UNKNOWN_OFFSET
        # What the leader had at its last fetch, and when that was.
        self.last_fetch_end_offset = UNKNOWN_OFFSET
        self.last_fetch_ms = NEVER_MS
        self.last_caught_up_ms = last_caught_up_ms
        self.broker_epoch = UNKNOWN_BROKER_EPOCH

    def is_caught_up(self, leader_end_offset: int, now_ms: float, lag_max_ms: float) -> bool:
        return self.log_end_offset == leader_end_offset or now_ms - self.last_caught_up_ms <= lag_max_ms

    def note_fetch(
        self, offset: int, log_start_offset: int, leader_end_offset: int, now_ms: float, broker_epoch: int
    ) -> None:
        """It asks for `offset`, so it has all below. `leader_end_offset` as it was before this read."""
        if offset >= leader_end_offset:
            self.last_caught_up_ms = max(self.last_caught_up_ms, now_ms)
        elif offset >= self.last_fetch_end_offset:
            # It has by now what there was at its last fetch.
            self.last_caught_up_ms = max(self.last_caught_up_ms, self.last_fetch_ms)
        self.log_start_offset = log_start_offset
        self.log_end_offset = offset
        self.last_fetch_end_offset = max(leader_end_offset, self.last_fetch_end_offset)
        self.last_fetch_ms = now_ms
        self.broker_epoch = broker_epoch

    def restart(self, leader_end_offset: int, now_ms: float, *, in_sync: bool) -> None:
        """The same leader goes on in a new epoch: the progress counts on, the clock starts again."""
        self.last_fetch_end_offset = leader_end_offset
        self.last_fetch_ms = self.last_caught_up_ms = now_ms if in_sync else NEVER_MS


class Proposal(NamedTuple):
    """An ISR that the controller was, or is to be, asked for."""

    isr: tuple[int, ...]
    leader_epoch: int
    partition_epoch: int
    # (broker id, broker epoch), -1 where it is not known.
    members: tuple[tuple[int, int], ...]


class Replication:
    """The followers of one partition that this broker leads."""

    __slots__ = (
        "_brokers",
        "_clock",
        "epoch_start_offset",
        "followers",
        "isr",
        "lag_max_ms",
        "leader_epoch",
        "node_id",
        "partition_epoch",
        "proposal",
        "replica_count",
    )

    def __init__(
        self,
        node_id: int,
        leader_epoch: int,
        epoch_start_offset: int,
        *,
        lag_max_ms: float,
        clock: Clock,
        brokers: BrokerView,
    ) -> None:
        self.node_id = node_id
        self.leader_epoch = leader_epoch
        self.epoch_start_offset = epoch_start_offset
        self.lag_max_ms = lag_max_ms
        self.partition_epoch = -1
        self.replica_count = 1
        # As committed by the controller.
        self.isr: tuple[int, ...] = ()
        # Under way, or refused in a way that does not say whether it was carried out.
        self.proposal: Proposal | None = None
        self.followers: dict[int, Follower] = {}
        self._clock = clock
        self._brokers = brokers

    # ---- what the metadata says ----------------------------------------------------------------------

    def assign(self, replicas: tuple[int, ...], isr: tuple[int, ...], partition_epoch: int) -> bool:
        """Replicas and ISR of a committed partition epoch; False, and nothing done, for one that is known.

        A proposal that was made for the very epoch may still be carried out, and goes on.
        """
        if partition_epoch <= self.partition_epoch:
            return False
        now_ms = self._clock.monotonic_ms()
        self.partition_epoch = partition_epoch
        self.isr = isr
        self.proposal = None
        self.replica_count = len(replicas)
        followers = self.followers
        self.followers = {
            broker_id: followers.get(broker_id)
            or Follower(broker_id, now_ms if broker_id in isr else NEVER_MS)
            for broker_id in replicas
            if broker_id != self.node_id
        }
        return True

    def begin_epoch(self, leader_epoch: int, log_end_offset: int) -> None:
        """This leader goes on in a new leader epoch. To be followed by `assign`."""
        now_ms = self._clock.monotonic_ms()
        self.leader_epoch = leader_epoch
        self.epoch_start_offset = log_end_offset
        for follower in self.followers.values():
            follower.restart(log_end_offset, now_ms, in_sync=follower.broker_id in self.isr)

    # ---- fetches -------------------------------------------------------------------------------------

    def check_fetch(self, broker_id: int, broker_epoch: int, *, told_epoch: bool) -> ErrorCode:
        """What a fetch of a follower gets that is not assigned, or of an incarnation that is over."""
        if broker_id not in self.followers:
            # One that told the leader epoch knows of an assignment that is not known here yet.
            return ErrorCode.UNKNOWN_LEADER_EPOCH if told_epoch else ErrorCode.NOT_LEADER_OR_FOLLOWER
        if broker_epoch != UNKNOWN_BROKER_EPOCH and self._brokers.is_stale(broker_id, broker_epoch):
            return ErrorCode.NOT_LEADER_OR_FOLLOWER
        return ErrorCode.NONE

    def note_fetch(
        self, broker_id: int, offset: int, log_start_offset: int, leader_end_offset: int, broker_epoch: int
    ) -> None:
        """A fetch that `check_fetch` let through, and that does not diverge."""
        self.followers[broker_id].note_fetch(
            offset, log_start_offset, leader_end_offset, self._clock.monotonic_ms(), broker_epoch
        )

    def low_watermark(self, log_start_offset: int) -> int:
        """The lowest log start of this leader and the followers that are alive."""
        for broker_id, follower in self.followers.items():
            if follower.log_start_offset < log_start_offset and self._brokers.is_alive(broker_id):
                log_start_offset = follower.log_start_offset
        return log_start_offset

    # ---- who counts ----------------------------------------------------------------------------------

    @property
    def maximal_isr(self) -> tuple[int, ...]:
        """Everybody who may be in the ISR by now, whatever became of the proposal."""
        if self.proposal is None:
            return self.isr
        return self.isr + tuple(broker_id for broker_id in self.proposal.isr if broker_id not in self.isr)

    def effective_min_isr(self, min_insync_replicas: int) -> int:
        return min(min_insync_replicas, self.replica_count)

    def is_under_min_isr(self, min_insync_replicas: int) -> bool:
        return len(self.isr) < self.effective_min_isr(min_insync_replicas)

    def high_watermark(self, own_end_offset: int, leader_end_offset: int, min_insync_replicas: int) -> int:
        """What the replicas allow; -1 while nothing may be committed. `own_end_offset` is what this leader
        counts for itself, which is below its log end while a flush is waited for."""
        if self.is_under_min_isr(min_insync_replicas):
            return UNKNOWN_OFFSET
        lowest = own_end_offset
        now_ms = self._clock.monotonic_ms()
        maximal = self.maximal_isr
        for broker_id, follower in self.followers.items():
            if follower.log_end_offset < lowest and (
                broker_id in maximal
                or (
                    follower.is_caught_up(leader_end_offset, now_ms, self.lag_max_ms)
                    and self._brokers.may_join(broker_id, follower.broker_epoch)
                )
            ):
                lowest = follower.log_end_offset
        return lowest

    # ---- proposals -----------------------------------------------------------------------------------

    def plan_expand(self, broker_id: int, high_watermark: int) -> Proposal | None:
        """The ISR with a follower that has just fetched, if it may join."""
        follower = self.followers.get(broker_id)
        if (
            self.proposal is not None
            or follower is None
            or broker_id in self.isr
            or follower.log_end_offset < high_watermark
            or follower.log_end_offset < self.epoch_start_offset
            or not self._brokers.may_join(broker_id, follower.broker_epoch)
        ):
            return None
        return self._propose((*self.isr, broker_id))

    def plan_shrink(self, leader_end_offset: int) -> Proposal | None:
        """The ISR without those that were not caught up for too long."""
        if self.proposal is not None:
            return None
        now_ms = self._clock.monotonic_ms()
        staying = tuple(
            broker_id
            for broker_id in self.isr
            if broker_id == self.node_id
            or (
                (follower := self.followers.get(broker_id)) is not None
                and follower.is_caught_up(leader_end_offset, now_ms, self.lag_max_ms)
            )
        )
        return None if len(staying) == len(self.isr) else self._propose(staying)

    def _propose(self, isr: tuple[int, ...]) -> Proposal:
        members = tuple(
            (
                broker_id,
                follower.broker_epoch
                if (follower := self.followers.get(broker_id)) is not None
                else UNKNOWN_BROKER_EPOCH,
            )
            for broker_id in isr
        )
        self.proposal = Proposal(isr, self.leader_epoch, self.partition_epoch, members)
        return self.proposal

    def accepted(
        self, proposal: Proposal, leader_epoch: int, isr: tuple[int, ...], partition_epoch: int
    ) -> bool:
        """The controller carried a proposal out, or found that it changes nothing. True if that is news."""
        if self.proposal is not proposal or leader_epoch != self.leader_epoch:
            return False
        if partition_epoch < self.partition_epoch:
            return False
        self.partition_epoch = partition_epoch
        self.isr = isr
        self.proposal = None
        return True

    def refused(self, proposal: Proposal, error: ErrorCode) -> bool:
        """The controller refused a proposal. True: ask again, for it is not known what became of it."""
        if self.proposal is not proposal:
            return False
        if error in _NOT_APPLIED:
            self.proposal = None
            return False
        return error not in _OVERTAKEN
