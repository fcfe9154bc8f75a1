"""One change of one partition: from its state and what it shall become to the record that says so.

In: a `PartitionImage`, a `Target`, the `Rules` that hold for it. Out: a PartitionChangeRecord, or None when
nothing changes. What must hold:

- a leader is in sync, or (when nobody is) eligible; anyone else leads only after an election that says so, by
  its kind or because the partition's last known leader came back, and then it leads alone, marked as
  recovering;
- with ELR (KIP-966) whoever leaves the in-sync replicas while they are fewer than the minimum still holds
  every committed record, so it is remembered as eligible, unless it stopped uncleanly;
- without ELR the last in-sync replica stays listed when it goes, and the partition has no leader until it is
  back;
- a reassignment ends by itself in the change that brings the new replicas in sync;
- the leader epoch goes up only with an election, or when a replica is taken away (KIP-101 needs no more; the
  partition epoch goes up with every change: `metadata.records.changed_partition`).

Sources: KIP-455, KIP-631, KIP-903, KIP-966. Two differences from Kafka 4.3: a broker that holds no replica
any more is never eligible or elected as the last known leader (Kafka keeps it listed, and the partition then
waits for it), and the minimum that counts is capped by the replicas of this partition, as on its leader, not
by those of partition 0.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Final, NamedTuple

from pybroker.metadata.image import MIGRATING_DIRECTORY, NO_LEADER, PartitionImage
from pybroker.metadata.records import NO_LEADER_CHANGE
from pybroker.wire.schemas.metadata_records import PartitionChangeRecord

RECOVERED: Final = 0
RECOVERING: Final = 1
"""The leader recovery state after an election of a replica that may lack committed records (KIP-704)."""

_NOTHING: Final[Mapping[int, bytes]] = {}


class Election(enum.Enum):
    """Who is looked for when a leader is."""

    PREFERRED = enum.auto()
    """The first replica, also when the present leader is good."""
    ONLINE = enum.auto()
    """The present leader if it is good, else the first replica that is."""
    UNCLEAN = enum.auto()
    """As ONLINE; and rather a replica that lacks records than nobody."""


class Target(NamedTuple):
    """What a partition shall become. None leaves a field as it is."""

    isr: Sequence[int] | None = None
    replicas: Sequence[int] | None = None
    removing: Sequence[int] | None = None
    adding: Sequence[int] | None = None
    directories: Mapping[int, bytes] = _NOTHING
    """Broker id to directory id, of those that are told."""
    leader_recovery_state: int | None = None
    unclean_shutdown: Collection[int] = ()
    """Replicas that stopped without a clean end: they may have lost what they had not flushed."""
    election: Election = Election.ONLINE


class Rules(NamedTuple):
    """What holds for a partition and is not in its own state."""

    min_insync_replicas: int
    """As configured for the topic."""
    eligible_leader_replicas: bool
    """Whether the feature is on."""
    may_lead: Callable[[int], bool]
    """Whether a broker is up and the directory of its replica is."""
    default_directory: Callable[[int], bytes]
    """Where a broker that is told nothing puts a new replica."""


def reassigning(partition: PartitionImage) -> bool:
    return bool(partition.removing_replicas or partition.adding_replicas)


class _Change:
    """The state on its way from old to new."""

    __slots__ = ("adding", "elr", "isr", "partition", "removing", "replicas", "rules", "target")

    def __init__(self, partition: PartitionImage, target: Target, rules: Rules) -> None:
        self.partition = partition
        self.target = target
        self.rules = rules
        self.isr = partition.isr if target.isr is None else tuple(target.isr)
        self.replicas = partition.replicas if target.replicas is None else tuple(target.replicas)
        self.removing = partition.removing_replicas if target.removing is None else tuple(target.removing)
        self.adding = partition.adding_replicas if target.adding is None else tuple(target.adding)
        self.elr = partition.eligible_leader_replicas

    def complete_reassignment(self) -> None:
        """Once the added replicas are in sync (and all that stay are, when there will be fewer)."""
        if not self.removing and not self.adding:
            return
        isr = tuple(replica for replica in self.isr if replica not in self.removing)
        replicas = tuple(replica for replica in self.replicas if replica not in self.removing)
        if not isr or not replicas or not set(self.adding) <= set(isr):
            return
        if len(self.adding) < len(self.removing) and not set(replicas) <= set(isr):
            return
        self.isr, self.replicas, self.removing, self.adding = isr, replicas, (), ()

    def collect_eligible(self) -> None:
        if not self.rules.eligible_leader_replicas:
            return
        if len(self.isr) >= min(self.rules.min_insync_replicas, len(self.replicas)):
            # The high watermark may move again: only the in-sync replicas have what it passes.
            self.elr = ()
            return
        gone = {*self.isr, *self.target.unclean_shutdown}
        stay = (set(self.elr) | set(self.partition.isr)) - gone
        self.elr = tuple(sorted(stay & set(self.replicas)))

    # Election

    def is_valid_leader(self, replica: int) -> bool:
        known = replica in self.isr or (not self.isr and replica in self.elr)
        return known and self.rules.may_lead(replica)

    def elect(self) -> tuple[int, bool]:
        """The leader, and whether it may lack committed records; NO_LEADER when nobody can lead."""
        election = self.target.election
        if election is Election.PREFERRED and self.is_valid_leader(self.replicas[0]):
            return self.replicas[0], False
        if self.is_valid_leader(self.partition.leader):
            return self.partition.leader, False
        for replica in self.replicas:
            if self.is_valid_leader(replica):
                return replica, False
        last_known = self.last_known_leader()
        if last_known != NO_LEADER:
            return last_known, True
        if election is Election.UNCLEAN:
            for replica in self.replicas:
                if self.rules.may_lead(replica):
                    return replica, True
        return NO_LEADER, False

    def last_known_leader(self) -> int:
        """The one that led last, once nobody else can be hoped for."""
        known = self.partition.last_known_elr
        if not self.rules.eligible_leader_replicas or self.isr or self.elr or len(known) != 1:
            return NO_LEADER
        return known[0] if known[0] in self.replicas and self.rules.may_lead(known[0]) else NO_LEADER

    # The record

    def fill(self, record: PartitionChangeRecord) -> None:
        old = self.partition
        leader, unclean = self.elect()
        recovery_state = self.target.leader_recovery_state
        if leader != old.leader:
            record.leader = leader
            if unclean:
                self.isr = (leader,)
                recovery_state = RECOVERING
            elif leader in self.elr:
                self.isr = (leader,)
                self.elr = tuple(replica for replica in self.elr if replica != leader)
        elif leader != NO_LEADER and not set(old.replicas) <= set(self.replicas):
            # A replica that is taken away must not go on following as if nothing had happened.
            record.leader = leader
        with_elr = self.rules.eligible_leader_replicas
        if unclean or not with_elr:
            self.elr = ()
        if self.elr != old.eligible_leader_replicas:
            record.eligible_leader_replicas = list(self.elr)
        if self.isr != old.isr and (self.isr or with_elr):
            record.isr = list(self.isr)
        if with_elr:
            self.note_last_known_leader(record)
        self.fill_assignment(record)
        if recovery_state is not None and recovery_state != old.leader_recovery_state:
            record.leader_recovery_state = recovery_state

    def note_last_known_leader(self, record: PartitionChangeRecord) -> None:
        old = self.partition
        if record.leader == NO_LEADER:
            if not old.last_known_elr:
                record.last_known_elr = [old.leader]
        elif record.leader != NO_LEADER_CHANGE and old.last_known_elr:
            record.last_known_elr = []

    def fill_assignment(self, record: PartitionChangeRecord) -> None:
        old = self.partition
        # A cluster from before directories were assigned has none on record.
        assigned = old.directories or (MIGRATING_DIRECTORY,) * len(old.replicas)
        known = {**dict(zip(old.replicas, assigned, strict=True)), **self.target.directories}
        directories = tuple(
            known[replica] if replica in known else self.rules.default_directory(replica)
            for replica in self.replicas
        )
        if directories != assigned:
            record.directories = list(directories)
        if self.replicas != old.replicas:
            record.replicas = list(self.replicas)
        if self.removing != old.removing_replicas:
            record.removing_replicas = list(self.removing)
        if self.adding != old.adding_replicas:
            record.adding_replicas = list(self.adding)


def plan_change(
    topic_id: bytes, index: int, partition: PartitionImage, target: Target, rules: Rules
) -> PartitionChangeRecord | None:
    """The record that takes partition `index` of a topic from `partition` to `target`, with all that follows
    from it; None when that is where it is."""
    change = _Change(partition, target, rules)
    change.complete_reassignment()
    change.collect_eligible()
    record = PartitionChangeRecord(partition_id=index, topic_id=topic_id)
    change.fill(record)
    return None if _is_empty(record) else record


def _is_empty(record: PartitionChangeRecord) -> bool:
    return (
        record.leader == NO_LEADER_CHANGE
        and record.leader_recovery_state < 0
        and record.isr is None
        and record.replicas is None
        and record.removing_replicas is None
        and record.adding_replicas is None
        and record.eligible_leader_replicas is None
        and record.last_known_elr is None
        and record.directories is None
    )
