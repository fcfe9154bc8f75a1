"""What must hold in a simulated cluster, looked at while it runs and when it has come to rest.

In: every step of every broker, what clients were told and read. Out: `Violation`. The numbers are those of the
invariants of docs/testing.md.

After each step (`Watch`): one leader in each epoch of a partition (I1); the high watermark never goes back while a
replica leads in one epoch, and never passes the log end; the last stable offset never passes it (I2, I6); what the
metadata says at an offset is the same on every node and after every restart (I10, I11).
When a leader's high watermark rises, with the newest metadata of any node: the leader counts everybody in the ISR, the
ISR has its minimum, and its members have what is committed; with flushes, what a replica counts for itself is on its
disk (I16); one leader in each epoch of the quorum (I1).
From clients (`Ledger`): what was acknowledged and what was read stays, each offset holds one value for ever (I5,
I16); the anomalies of tests/checker.
At rest (`check_rest`): replicas are identical below the high watermark (I3), an (offset, epoch) is one batch (I4),
and what is kept in memory is what the log says (I7, I8, I9).
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from pybroker.metadata.image import MetadataImage
from pybroker.raft.hard_state import QUORUM_STATE, decode_hard_state
from pybroker.records.batch import iter_headers, iter_records
from tests.sim.cluster_clients import Key, Violation
from tests.sim.cluster_node import Process
from tests.sim.disk import SimDisk, is_on_disk


def digest(image: MetadataImage) -> int:
    """A number for what an image says."""
    text = repr(
        (
            sorted(image.features.items()),
            sorted(image.topics.items()),
            sorted(image.topics_by_id),
            [(key, sorted(values.items())) for key, values in sorted(image.configs.items()) if values],
            sorted(image.brokers.items()),
            sorted(image.controllers.items()),
            image.next_producer_id,
            len(image.carried),
        )
    )
    return zlib.crc32(text.encode())


class _Seen:
    """What was last seen of one process."""

    __slots__ = ("bounds", "image", "partitions")

    def __init__(self) -> None:
        self.image: Any = None
        self.partitions: list[Any] = []
        # id of the partition -> (leader epoch or -1, high watermark, log end, counted end, ISR, partition epoch)
        self.bounds: dict[int, tuple[int, int, int, int, tuple[int, ...], int]] = {}


class Watch:
    """Looks at a process after each of its steps."""

    def __init__(self) -> None:
        self.steps = 0
        self.images = 0
        # Metadata offset -> digest of the image there.
        self._digests: dict[int, tuple[int, int]] = {}
        # (topic id, partition, leader epoch) -> node that leads in it.
        self._leaders: dict[tuple[bytes, int, int], int] = {}
        self._processes: dict[int, tuple[Process, _Seen]] = {}
        self.newest: MetadataImage | None = None
        # Epoch of the quorum -> node that leads in it.
        self._quorum_leaders: dict[int, int] = {}
        # (node, epoch, voter) -> what the leader of this epoch counted for the voter when it was looked at last.
        self._counted_voters: dict[tuple[int, int, int], int] = {}

    def step(self, process: Process) -> None:
        self.steps += 1
        number = process.node.number
        known = self._processes.get(number)
        if known is None or known[0] is not process:
            known = self._processes[number] = (process, _Seen())
        seen = known[1]
        context = process.broker._context
        image = getattr(context, "metadata", None) if process.serving else None
        if image is not None and image is not seen.image:
            self._image(number, image, seen)
            seen.partitions = [
                partition
                for topic in context.topics.values()
                for partition in topic.partitions
                if partition is not None
            ]
            seen.bounds = {
                id(partition): seen.bounds[id(partition)]
                for partition in seen.partitions
                if id(partition) in seen.bounds
            }
        quorum = getattr(context, "quorum", None)
        if quorum is not None and quorum.node.is_leader:
            leader = self._quorum_leaders.setdefault(quorum.node.epoch, number)
            if leader != number:
                raise Violation(
                    f"I1: nodes {leader} and {number} lead epoch {quorum.node.epoch} of the quorum"
                )
            self._quorum_beliefs(number, quorum.node)
        bounds = seen.bounds
        for partition in seen.partitions:
            log = partition.log
            high_watermark = log.high_watermark
            counted = partition.counted_end_offset
            now = (
                partition.leader_epoch if partition.is_leader else -1,
                high_watermark,
                log.log_end_offset,
                counted,
                partition.replication.isr if partition.replication is not None else (),
                partition.replication.partition_epoch if partition.replication is not None else -1,
            )
            before = bounds.get(id(partition))
            if now == before:
                continue
            bounds[id(partition)] = now
            if (
                partition._fsync
                and (partition.is_leader or partition.is_follower)
                and (before is None or counted != before[3])
                and not is_on_disk(process.node.disk, log, counted)
            ):
                raise Violation(
                    f"I16: node {number} {partition.topic}-{partition.partition}: counts {counted}, which is not "
                    "on its disk"
                )
            if high_watermark > now[2]:
                raise Violation(
                    f"I2: node {number} {partition.topic}-{partition.partition}: high watermark {high_watermark} is "
                    f"above the log end {log.log_end_offset}"
                )
            epoch = now[0]
            if epoch < 0:
                continue
            if before is None or before[0] != epoch:
                where = partition.topic_id, partition.partition, epoch
                leader = self._leaders.setdefault(where, number)
                if leader != number:
                    raise Violation(
                        f"I1: nodes {leader} and {number} lead {partition.topic}-{partition.partition} in epoch {epoch}"
                    )
            elif high_watermark < before[1]:
                raise Violation(
                    f"I2: node {number} {partition.topic}-{partition.partition}: high watermark went from {before[1]} "
                    f"to {high_watermark}"
                )
            elif high_watermark > before[1] and partition.replication is not None:
                self._committed(number, partition, before[4], before[5])

    def _quorum_beliefs(self, number: int, node: Any) -> None:
        """Who elected the leader of the quorum has its vote on its disk, or has gone on; what it counts for a voter
        of its epoch, itself too, is on the disk of that (I16)."""
        for voter, replica in node.leader.voters_by_id.items():
            where = number, node.epoch, voter
            counted = self._counted_voters.get(where)
            process, _ = self._processes.get(voter, (None, None))
            if process is None or counted == replica.end_offset:
                continue
            self._counted_voters[where] = replica.end_offset
            quorum = getattr(process.broker._context, "quorum", None)
            if quorum is None:
                continue
            disk = process.node.disk
            path = f"{quorum.log.directory}/{QUORUM_STATE}"
            # An empty disk may have come in its place since.
            elected = counted is None and voter != number and voter in node.leader.granting
            if elected and disk._find(path) is not None:
                state = decode_hard_state(bytes(disk._file(path).data))
                if state.leader_epoch < node.epoch or (
                    state.leader_epoch == node.epoch and number not in (state.voted_id, state.leader_id)
                ):
                    raise Violation(
                        f"I1: node {number} leads epoch {node.epoch} of the quorum by a vote of node {voter}, "
                        f"whose disk has {state}"
                    )
            if (
                process.alive
                and quorum.node.epoch == node.epoch
                and replica.end_offset > quorum.log.start_offset
                and not is_on_disk(disk, quorum.log._log, replica.end_offset)
            ):
                raise Violation(
                    f"I16: node {number} leads the quorum and counts {replica.end_offset} for node {voter}, which "
                    "is not on its disk"
                )

    def _committed(
        self, number: int, leader: Any, isr_before: tuple[int, ...], partition_epoch_before: int
    ) -> None:
        """A high watermark has risen. The ISR may have changed before and after that, with two images in one step:
        then the one that it rose with was not seen."""
        image = self.newest
        topic = None if image is None else image.topics.get(leader.topic)
        if topic is None or topic.topic_id != leader.topic_id or leader.partition >= len(topic.partitions):
            return
        wanted = topic.partitions[leader.partition]
        where = f"node {number} {leader.topic}-{leader.partition}"
        replication, log = leader.replication, leader.log
        least = min(log.config.min_insync_replicas, len(wanted.replicas))
        if (
            len(replication.isr) < least
            and len(isr_before) < least
            and replication.partition_epoch < partition_epoch_before + 2
        ):
            raise Violation(
                f"I2: {where}: the high watermark rises to {log.high_watermark} with ISR {replication.isr}"
            )
        if wanted.leader_epoch != leader.leader_epoch or wanted.partition_epoch < replication.partition_epoch:
            # The controller's answer may be here before any metadata that has it.
            return
        if not {*wanted.isr} <= {*replication.maximal_isr}:
            raise Violation(f"I2: {where}: the ISR is {wanted.isr}, it counts {replication.maximal_isr}")
        for member in wanted.isr:
            process, seen = self._processes.get(member, (None, None))
            if member == number or process is None or seen is None or not process.alive:
                continue
            for other in seen.partitions:
                if (
                    other.topic_id == leader.topic_id
                    and other.partition == leader.partition
                    and other.is_follower
                    and other.leader_epoch == leader.leader_epoch
                    and other.log_end_offset < log.high_watermark
                ):
                    raise Violation(
                        f"I2: {where}: the high watermark is {log.high_watermark}, node {member} of the ISR ends at "
                        f"{other.log_end_offset}"
                    )

    def _image(self, number: int, image: MetadataImage, seen: _Seen) -> None:
        self.images += 1
        if seen.image is not None and image.offset < seen.image.offset:
            raise Violation(
                f"I10: the metadata of node {number} went from {seen.image.offset} to {image.offset}"
            )
        seen.image = image
        if self.newest is None or image.offset > self.newest.offset:
            self.newest = image
        found = digest(image)
        known = self._digests.setdefault(image.offset, (found, number))
        if known[0] != found:
            raise Violation(
                f"I10: metadata at offset {image.offset} differs on nodes {known[1]} and {number}"
            )


@dataclass
class Ledger:
    """What clients know: (partition, offset) -> value, acknowledged or read."""

    # Whether what was acknowledged, and what was read, has to survive all that happens in this run.
    durable: bool = True
    acked: dict[Key, dict[int, int]] = field(default_factory=dict)
    read: dict[Key, dict[int, int]] = field(default_factory=dict)

    def note_acked(self, key: Key, value: int, offset: int) -> None:
        self._note(self.acked, key, offset, value, "acknowledged")

    def note_read(self, key: Key, offset: int, value: int) -> None:
        self._note(self.read, key, offset, value, "read")

    def _note(self, table: dict[Key, dict[int, int]], key: Key, offset: int, value: int, what: str) -> None:
        if not self.durable:
            return
        for known in (self.acked, self.read):
            before = known.get(key, {}).get(offset)
            if before is not None and before != value:
                raise Violation(
                    f"I5: {key} offset {offset}: {value} is {what}, and {before} was there before"
                )
        table.setdefault(key, {})[offset] = value

    @property
    def acked_count(self) -> int:
        return sum(len(values) for values in self.acked.values())

    @property
    def read_count(self) -> int:
        return sum(len(values) for values in self.read.values())


def log_bytes(disk: SimDisk, log: Any) -> list[bytes]:
    """The segments of a log on a disk, in order; those that the cleaner puts in place have a suffix."""
    nodes = [disk._file(segment.path(".log")) for segment in log.segments]
    return [bytes(node.data).ljust(node.size, b"\0") for node in nodes]


def batches_of(segments: Iterable[bytes], end_offset: int) -> dict[int, tuple[int, bytes]]:
    """Base offset -> (epoch, bytes) of the batches below an offset."""
    found: dict[int, tuple[int, bytes]] = {}
    for segment in segments:
        for start, header in iter_headers(segment):
            if header.base_offset >= end_offset:
                break
            found[header.base_offset] = header.leader_epoch, segment[start : start + header.size]
    return found


def unsettled(processes: list[Process], keys: list[Key], replicas: int) -> str:
    """What has not come to rest yet; empty when all replicas are in sync and know it."""
    for key in keys:
        partitions = [
            (process.node.number, partition)
            for process in processes
            if (partition := process.broker._context.partition(*key)) is not None
        ]
        if len(partitions) != replicas:
            return f"{key} is on {len(partitions)} nodes"
        if sum(partition.is_leader for _, partition in partitions) != 1:
            return f"{key} has leaders {[number for number, partition in partitions if partition.is_leader]}"
        ends = {
            number: (partition.high_watermark, partition.log_end_offset) for number, partition in partitions
        }
        if len({offset for pair in ends.values() for offset in pair}) != 1:
            return f"{key}: node -> (high watermark, log end) is {ends}"
        for process in processes:
            topic = process.broker._context.metadata.topics.get(key[0])
            if topic is None:
                return f"node {process.node.number} does not know {key[0]}"
            image = topic.partitions[key[1]]
            if len(image.isr) != replicas or image.leader < 0:
                return f"{key} on node {process.node.number}: ISR {image.isr}, leader {image.leader}"
    return ""


def check_rest(processes: list[Process], ledger: Ledger, keys: list[Key]) -> int:
    """Everything has been healed and is at rest. Returns how many batches were compared."""
    compared = 0
    for key in keys:
        known: dict[int, tuple[int, bytes]] = {}
        holders = 0
        for process in processes:
            partition = process.broker._context.partition(*key)
            if partition is None:
                continue
            holders += 1
            found = batches_of(log_bytes(process.node.disk, partition.log), partition.high_watermark)
            compared += len(found)
            if not known:
                known = found
            elif known != found:
                raise Violation(f"I3: {key}: the replicas differ at {_first_difference(known, found)}")
        if not holders:
            raise Violation(f"liveness: {key} is nowhere")
        if ledger.durable:
            values = {
                record.offset: int(record.value or b"-1")
                for _, data in known.values()
                if not data[22] & 0x20
                for record in iter_records(data)
            }
            for what, table in (("acknowledged", ledger.acked), ("read", ledger.read)):
                for offset, value in table.get(key, {}).items():
                    if values.get(offset) != value:
                        raise Violation(
                            f"I5: {key} offset {offset}: {value} was {what}, the log has {values.get(offset)}"
                        )
    return compared


def _first_difference(one: dict[int, Any], other: dict[int, Any]) -> int:
    return min(offset for offset in {*one, *other} if one.get(offset) != other.get(offset))


def memory_of(process: Process, keys: list[Key]) -> dict[Any, Any]:
    """What a broker keeps in memory about its logs, and could have computed from them."""
    found: dict[Any, Any] = {}
    for key in keys:
        partition = process.broker._context.partition(*key)
        if partition is None:
            continue
        log = partition.log
        log.complete_producer_windows()
        found[key] = {
            "end": log.log_end_offset,
            "producers": {
                entry.producer_id: (
                    entry.epoch,
                    # Without the last timestamp: in a snapshot it is that of the producer, as in Kafka.
                    # Compaction leaves the header of the last batch only.
                    [tuple(batch)[:4] for batch in entry.batches][-1 if log.config.compacts else 0 :],
                    entry.coordinator_epoch,
                    entry.transaction_first_offset,
                )
                for entry in log.producers.entries.values()
            },
            # Leading again begins a new epoch at the end.
            "epochs": [entry for entry in log.epochs.entries if entry[1] < log.log_end_offset],
            "aborted": _aborted_of(process, log),
        }
    return found


def _aborted_of(process: Process, log: Any) -> list[tuple[Any, ...]]:
    """The aborted transactions; of a compacted log those of which a record is left."""
    found = [tuple(entry) for entry in log.aborted_between(0, log.log_end_offset)]
    if not log.config.compacts:
        return found
    left = [
        header
        for segment in log_bytes(process.node.disk, log)
        for _, header in iter_headers(segment)
        if not header.attributes & 0x20
    ]
    return [
        entry
        for entry in found
        if any(
            header.producer_id == entry[0] and entry[1] <= header.base_offset < entry[2] for header in left
        )
    ]
