"""A broker's storage on a simulated disk: logs, partitions, flush rounds and cleaner, driven step by step.

In: a disk, a durability, a seed, and steps: (name, numbers), which mean something in whatever state the world
is. Out: ledgers of what was promised. What must hold: the same seed and steps do the same; everything that the
shell does on other threads is done here between any two of its disk operations.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

from pybroker.common.clock import ManualClock
from pybroker.common.effects import Effect
from pybroker.common.errors import ErrorCode, PybrokerError, StorageError
from pybroker.log import LogConfig, LogManager
from pybroker.log.cleaner.cleaner import CleanerSettings
from pybroker.log.cleaner.offset_map import ENTRY_BYTES
from pybroker.records.batch import Record, build_batch, stamp
from pybroker.records.control import build_end_transaction
from pybroker.replication.partition import Partition
from tests.sim.disk import SimDisk
from tests.sim.ledger import FAILED, STORED, Ledger, Sent

NOW = 1_700_000_000_000
DATA = "/data"
DELETE_DELAY_MS = 1_000
RETENTION_MS = 400_000
RETENTION_BYTES = 5_000
TOMBSTONE_MS = 120_000

_SMALL = LogConfig(
    segment_bytes=700,
    index_interval_bytes=150,
    segment_index_bytes=96,
    file_delete_delay_ms=DELETE_DELAY_MS,
)
CONFIGS = {
    # Time and size remove its oldest segments.
    "t": replace(_SMALL, retention_ms=RETENTION_MS, retention_bytes=RETENTION_BYTES),
    "c": replace(
        _SMALL,
        cleanup_policy=("compact",),
        segment_bytes=500,
        segment_index_bytes=400,
        min_cleanable_dirty_ratio=0.0,
        delete_retention_ms=TOMBSTONE_MS,
    ),
    # Deleted and made again under the same name.
    "x": replace(_SMALL, retention_ms=-1),
}
KEYS = [b"a", b"b", b"c", b"d" * 40, b"\0\0\0\0", b"\0\0\0\1"]
PRODUCERS = (1, 2, 3)

Step = tuple[str, int, int, int]
# What `_pick` takes for the compacted topic, whatever topics it chooses among.
_ON_COMPACTED = 3
# How often each step comes, relative to the others.
STEPS = {
    "append": 30,
    "produce": 12,
    "transact": 10,
    "end_transaction": 8,
    "round": 16,
    "work": 10,
    "tick": 8,
    "wait": 4,
    "roll": 3,
    "clean": 6,
    "delete_records": 2,
    "retention": 3,
    "new_epoch": 2,
    "recreate": 2,
    "restart": 2,
}

INTERLEAVED = (
    "append",
    "append",
    "produce",
    "transact",
    "end_transaction",
    "roll",
    "tick",
    "complete",
    "delete_records",
    "retention",
    "recreate",
)


class Violation(AssertionError):
    """A promise was broken."""


def make_steps(seed: int, count: int) -> list[Step]:
    """A schedule. Each seed leaves some kinds of step out and does others more often."""
    rng = random.Random(f"steps {seed}")
    weights = {
        name: weight * rng.choice((0, 1, 1, 2)) if name not in ("append", "round") else weight
        for name, weight in STEPS.items()
    }
    names = rng.choices(list(weights), list(weights.values()), k=count)
    return [any_step(name, rng) for name in names]


def any_step(name: str, rng: random.Random) -> Step:
    return name, rng.randrange(1 << 16), rng.randrange(1 << 16), rng.randrange(1 << 16)


# Of the schedules that only compact: how often each step comes.
COMPACTING = {"append": 10, "transact": 30, "end_transaction": 20, "roll": 10, "clean": 20, "round": 10}


def make_compacting_steps(seed: int, count: int = 90) -> list[Step]:
    """A schedule of the compacted topic alone, with two producers that abort most of their transactions: what is
    seen of a transaction goes over segments, passes and their ends."""
    rng = random.Random(f"compacting {seed}")
    names = rng.choices(list(COMPACTING), list(COMPACTING.values()), k=count)
    return [_compacting_step(rng, name) for name in names]


def _compacting_step(rng: random.Random, name: str) -> Step:
    first, second, third = _ON_COMPACTED, rng.randrange(1 << 16), rng.randrange(1 << 16)
    if name in ("transact", "end_transaction"):
        second += rng.randrange(2) - second % len(PRODUCERS)
    if name == "end_transaction" and rng.random() < 0.7:
        third |= 1
    if name == "round":
        first = 0
    if name == "clean":
        first, second = rng.randrange(2), 7
    return name, first, second, third


class World:
    """One life of a broker's storage. `topics` (name -> id) is what the metadata says."""

    def __init__(
        self,
        disk: SimDisk,
        clock: ManualClock,
        seed: int | str,
        *,
        fsync: bool,
        ledgers: dict[str, Ledger] | None = None,
        topics: dict[str, bytes] | None = None,
    ) -> None:
        self.disk = disk
        self.clock = clock
        self.fsync = fsync
        self.rng = random.Random(f"world {seed}")
        self.ledgers = ledgers if ledgers is not None else {name: Ledger() for name in CONFIGS}
        self.topics = (
            topics
            if topics is not None
            else {name: bytes([index + 1]) * 16 for index, name in enumerate(CONFIGS)}
        )
        self.reports: list[str] = []
        self.partitions: dict[str, Partition] = {}
        self.queues: dict[str, deque[Effect]] = {}
        self.done: deque[tuple[Effect, BaseException | None]] = deque()
        # As the shell, look for rounds only when there is said to be one: what is postponed waits for a tick.
        self.waits_to_be_told = False
        self._told = False
        # The last log directory failed: the process ends itself.
        self.halted = False
        # A sync failed: what was stored, and not promised to be synced, may be gone even from the cache.
        self.sync_failed = False
        # A life that only looks at what another one left: the ledgers stay as they are.
        self.only_looking = False
        self.refused = 0
        self.value = 0
        self.epoch = 0
        self._interleaved = False
        # What the loop thread may do while an effect is between two operations.
        self.interleaved_steps = INTERLEAVED
        # Called at a start, before anybody leads.
        self.on_loaded: Callable[[World], None] | None = None
        self.manager = self._new_manager()

    # ---- life --------------------------------------------------------------------------------------------

    def _new_manager(self) -> LogManager:
        manager = LogManager(
            self.disk,
            [DATA],
            self.clock,
            random.Random(self.rng.random()),
            replace(_SMALL),
            retention_check_interval_ms=1 << 50,
            retention_initial_delay_ms=1 << 50,
            ballast_bytes=512,
            max_open_read_files=self.rng.choice((2, 512)),
            max_open_write_files=self.rng.choice((1, 4096)),
            cleaner=CleanerSettings(backoff_ms=0, map_bytes=ENTRY_BYTES * self.rng.choice((1, 3, 1000))),
            report=self._report,
        )
        manager.on_directory_failed = self._directory_failed
        manager.on_work = self._work_is_there
        manager.on_creatable = self._create_missing
        return manager

    def _report(self, line: str) -> None:
        self.reports.append(line)
        if "sync failed" in line:
            self.sync_failed = True

    def _directory_failed(self, path: str, last: bool) -> None:
        self.halted = self.halted or last

    def start(self) -> None:
        """Open and load what is on the disk. ConfigError, StorageError."""
        self.load()
        if self.on_loaded is not None:
            self.on_loaded(self)
        self.lead()

    def load(self) -> None:
        """Up to where nobody leads yet."""
        manager = self.manager
        manager.open(1, "AAECAwQFBgcICQoLDA0ODw")
        manager.load(
            lambda name, partition, topic_id: CONFIGS[name] if self.topics.get(name) == topic_id else None
        )

    def lead(self) -> None:
        """Have a leader for every topic."""
        for name, topic_id in self.topics.items():
            self._host(name, topic_id)

    def _create_missing(self) -> None:
        for name, topic_id in self.topics.items():
            if name not in self.partitions:
                self._host(name, topic_id)

    def _host(self, name: str, topic_id: bytes) -> None:
        try:
            log = self.manager.get_or_create(name, 0, topic_id, CONFIGS[name])
        except StorageError:
            return
        partition = Partition(name, 0, topic_id, log, "fsync" if self.fsync else "os")
        self.partitions[name] = partition
        self.epoch = max(self.epoch, log.epochs.latest)
        partition.become_leader(self.epoch)
        self._note_shown()

    def close(self) -> None:
        """A clean stop."""
        self.settle()
        self.manager.close(clean=True, broker_epoch=5)

    def again(self, disk: SimDisk, seed: int | str) -> World:
        """The next life, on what is left."""
        world = World(
            disk, self.clock, seed, fsync=self.fsync, ledgers=self.ledgers, topics=dict(self.topics)
        )
        world.epoch = self.epoch
        world.interleaved_steps = self.interleaved_steps
        world.value = self.value
        return world

    # ---- effects -----------------------------------------------------------------------------------------

    def take_effects(self) -> None:
        self._note_cleanable()
        told, self._told = self._told, False
        if self.waits_to_be_told and not told:
            return
        while (work := self.manager.take_flush_round()) is not None:
            self.queues.setdefault(work.queue, deque()).append(work)
        for effect in self.manager.cleaner.take_effects():
            self.queues.setdefault(effect.queue, deque()).append(effect)

    def run_one(self, choice: int = 0, *, interleaved: bool = True) -> bool:
        """Run the first effect of one queue, as its thread would; False when there is none."""
        waiting = [queue for queue in sorted(self.queues) if self.queues[queue]]
        if not waiting:
            return False
        effect = self.queues[waiting[choice % len(waiting)]].popleft()
        error: BaseException | None = None
        with self._interleaving(interleaved):
            try:
                effect.run()
            except (OSError, PybrokerError) as caught:
                error = caught
        self.done.append((effect, error))
        return True

    def _work_is_there(self) -> None:
        self._told = True

    def complete_all(self) -> None:
        while self.done:
            effect, error = self.done.popleft()
            effect.complete(error)
        self._note_shown()

    def settle(self) -> None:
        """All blocking work, until there is none."""
        for _ in range(1000):
            self.take_effects()
            if not self.run_one(interleaved=False) and not self.done:
                return
            self.complete_all()
            if self.halted:
                return
        raise Violation("the blocking work has no end")

    @contextmanager
    def _interleaving(self, wanted: bool) -> Iterator[None]:
        before = self.disk.on_operation
        if wanted:
            self.disk.on_operation = self._other_thread
        try:
            yield
        finally:
            self.disk.on_operation = before

    def _other_thread(self) -> None:
        """The loop thread goes on while an effect is between two operations."""
        if self._interleaved or self.halted or self.rng.random() > 0.12:
            return
        self._interleaved = True
        try:
            name = self.rng.choice(self.interleaved_steps)
            self.step(any_step(name, self.rng))
        finally:
            self._interleaved = False

    # ---- steps -------------------------------------------------------------------------------------------

    def step(self, step: Step) -> None:
        """Do one step. Crash passes through."""
        if self.halted:
            return
        name, first, second, third = step
        self._note_cleanable()
        getattr(self, f"_step_{name}")(first, second, third)
        self._note_shown()

    def _note_cleanable(self) -> None:
        """Whatever comes next may let the cleaner start; it never touches the active segment."""
        if "c" in self.partitions:
            ledger = self.ledgers["c"]
            ledger.cleaned = max(ledger.cleaned, self.partitions["c"].log.active.base_offset)

    def _note_shown(self) -> None:
        for name, partition in self.partitions.items():
            ledger = self.ledgers[name]
            if partition.is_leader:
                if partition.high_watermark > partition.log_end_offset:
                    raise Violation(
                        f"{name}: high watermark {partition.high_watermark} above {partition.log_end_offset}"
                    )
                if not self.only_looking:
                    ledger.exposed = max(ledger.exposed, partition.high_watermark)

    def _pick(self, number: int, names: str = "tcx") -> tuple[str, Partition, Ledger] | None:
        weighted = [name for name in "tttccx" if name in names and name in self.partitions]
        if not weighted:
            return None
        name = weighted[number % len(weighted)]
        return name, self.partitions[name], self.ledgers[name]

    def _records(self, number: int, seed: int, base: int, keyed: bool) -> list[Record]:
        rng = random.Random(seed)
        records = []
        for index in range(1 + number % 4):
            self.value += 1
            key: bytes | None = rng.choice(KEYS)
            if not keyed and rng.random() < 0.5:
                key = None
            value: bytes | None = b"%d." % self.value + b"v" * rng.choice((0, 5, 40, 120))
            if key is not None and rng.random() < 0.2:
                value = None
            stamp_ms = self.clock.wall_ms() - rng.choice((0, 0, 0, 1, 50, 5_000))
            records.append(Record(base + index, stamp_ms, key, value))
        return records

    def _append(
        self,
        partition: Partition,
        ledger: Ledger,
        records: list[Record],
        *,
        codec: int = 0,
        producer_id: int = -1,
        sequence: int = -1,
        transactional: bool = False,
    ) -> None:
        base = partition.log_end_offset
        batch = bytearray(
            build_batch(
                records,
                codec=codec,
                producer_id=producer_id,
                producer_epoch=-1 if producer_id < 0 else 0,
                base_sequence=sequence,
                transactional=transactional,
            )
        )
        sent = Sent(
            base,
            base + len(records),
            b"",
            records,
            self.clock.wall_ms(),
            producer_id,
            -1 if producer_id < 0 else 0,
            sequence,
            transactional,
        )
        self._send(
            partition,
            ledger,
            sent,
            batch,
            lambda: partition.append(memoryview(batch), now_ms=self.clock.wall_ms(), verify=False),
        )
        if sent.state == STORED and sequence >= 0:
            ledger.sequences[producer_id] = sequence + len(records)

    def _send(
        self,
        partition: Partition,
        ledger: Ledger,
        sent: Sent,
        batch: bytearray,
        append: Callable[[], object],
    ) -> None:
        stamped = bytearray(batch)
        stamp(stamped, sent.base, partition.leader_epoch)
        sent.data = bytes(stamped)
        ledger.batches.append(sent)
        outcome = append()
        error: ErrorCode = outcome.error  # type: ignore[attr-defined]
        if error != ErrorCode.NONE:
            if error == ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER and self._is_deleted(ledger, sent.producer_id):
                # As with Kafka: after a start such a producer is known by its last marker, and begins again.
                ledger.sequences[sent.producer_id] = 0
            elif error != ErrorCode.KAFKA_STORAGE_ERROR and partition.is_leader:
                raise Violation(f"{partition.topic}: append at {sent.base} was refused with {error.name}")
            sent.state = FAILED
            self.refused += 1
            return
        base: int = outcome.base_offset  # type: ignore[attr-defined]
        if base != sent.base:
            raise Violation(f"{partition.topic}: batch for offset {sent.base} was put at {base}")
        sent.state = STORED
        ledger.stored = max(ledger.stored, sent.end)

        def acknowledged(code: ErrorCode) -> None:
            if code == ErrorCode.NONE:
                ledger.acked = max(ledger.acked, sent.end)

        partition.on_high_watermark(sent.end, acknowledged)

    @staticmethod
    def _is_deleted(ledger: Ledger, producer_id: int) -> bool:
        """Whether all data of a producer may be deleted."""
        return all(
            sent.end <= ledger.allowed_start or sent.marker is not None or sent.state != STORED
            for sent in ledger.live()
            if sent.producer_id == producer_id
        )

    def _step_append(self, first: int, second: int, third: int) -> None:
        found = self._pick(first)
        if found is None:
            return
        name, partition, ledger = found
        records = self._records(second, third, partition.log_end_offset, name == "c")
        self._append(partition, ledger, records, codec=(0, 0, 0, 1)[second >> 4 & 3])

    def _step_produce(self, first: int, second: int, third: int) -> None:
        """An idempotent producer; now and then it repeats itself."""
        found = self._pick(first)
        if found is None:
            return
        name, partition, ledger = found
        # Producers with a transaction open send nothing else.
        producer_id = PRODUCERS[second % 3] + 10
        if third % 5 == 0 and self._repeat(partition, ledger, producer_id):
            return
        records = self._records(second >> 2, third, partition.log_end_offset, name == "c")
        sequence = ledger.sequences.get(producer_id, 0)
        self._append(partition, ledger, records, producer_id=producer_id, sequence=sequence)

    def _repeat(self, partition: Partition, ledger: Ledger, producer_id: int) -> bool:
        """Send the producer's last batch again: it must be known where it is."""
        last = next(
            (
                sent
                for sent in reversed(ledger.batches)
                if sent.producer_id == producer_id and sent.state == STORED and sent.marker is None
            ),
            None,
        )
        if last is None or last.base < partition.log.segments[0].base_offset:
            # Of what was deleted nothing need be known after a crash.
            return False
        before = partition.log_end_offset
        batch = bytearray(last.data)
        stamp(batch, 0, -1)
        outcome = partition.append(memoryview(batch), now_ms=self.clock.wall_ms(), verify=False)
        if outcome.error == ErrorCode.KAFKA_STORAGE_ERROR or not partition.is_leader:
            return True
        if outcome.error != ErrorCode.NONE or outcome.base_offset != last.base:
            raise Violation(
                f"{partition.topic}: batch {last.base} of producer {producer_id} sent again: "
                f"{outcome.error.name}, offset {outcome.base_offset}"
            )
        if partition.log_end_offset != before:
            raise Violation(f"{partition.topic}: the log grew by a repeated batch")
        return True

    def _step_transact(self, first: int, second: int, third: int) -> None:
        found = self._pick(first, "tc")
        if found is None:
            return
        name, partition, ledger = found
        producer_id = PRODUCERS[second % 3]
        records = self._records(second >> 2, third, partition.log_end_offset, name == "c")
        sequence = ledger.sequences.get(producer_id, 0)
        self._append(
            partition, ledger, records, producer_id=producer_id, sequence=sequence, transactional=True
        )

    def _step_end_transaction(self, first: int, second: int, third: int) -> None:
        found = self._pick(first, "tc")
        if found is None:
            return
        _, partition, ledger = found
        self.end_transaction(partition, ledger, PRODUCERS[second % 3], commit=third % 2 == 0)

    def end_transaction(
        self, partition: Partition, ledger: Ledger, producer_id: int, *, commit: bool
    ) -> None:
        open_ones = {t.producer_id for t in ledger.transactions() if t.committed is None}
        if producer_id not in open_ones:
            return
        now_ms = self.clock.wall_ms()
        base = partition.log_end_offset
        batch = bytearray(build_end_transaction(producer_id, 0, commit=commit, timestamp=now_ms))
        marker = Sent(
            base,
            base + 1,
            b"",
            [Record(base, now_ms)],
            now_ms,
            producer_id,
            0,
            -1,
            True,
            commit,
        )
        self._send(
            partition,
            ledger,
            marker,
            batch,
            lambda: partition.append_marker(
                producer_id, 0, commit=commit, coordinator_epoch=0, transaction_version=1, now_ms=now_ms
            ),
        )

    def _step_round(self, first: int, second: int, third: int) -> None:
        """All that waits is done, with the loop thread in between."""
        self.take_effects()
        while self.run_one(first):
            self.complete_all()
            if self.halted:
                return

    def _step_work(self, first: int, second: int, third: int) -> None:
        """One piece of it, or the completion of one."""
        if first % 3 == 0:
            self.take_effects()
        elif first % 3 == 1:
            self.run_one(second)
        else:
            self.complete_all()

    def _step_complete(self, first: int, second: int, third: int) -> None:
        self.complete_all()

    def _step_tick(self, first: int, second: int, third: int) -> None:
        self.clock.advance((10, 1_000, 5_000, 60_000)[first % 4])
        self.manager.tick(self.clock.monotonic_ms())
        self.manager.cleaner.tick(self.clock.monotonic_ms())

    def _step_wait(self, first: int, second: int, third: int) -> None:
        self.clock.advance((1_000, 60_000, TOMBSTONE_MS, RETENTION_MS)[first % 4])

    def _step_roll(self, first: int, second: int, third: int) -> None:
        found = self._pick(first)
        if found is None or found[1].log.offline:
            return
        try:
            found[1].log.roll()
        except StorageError:
            self.refused += 1

    def _step_clean(self, first: int, second: int, third: int) -> None:
        """A pass, or as much of one as there is time for."""
        if first % 2:
            self._step_roll(3, 0, 0)
        self.manager.cleaner.wake()
        self.manager.cleaner.tick(self.clock.monotonic_ms())
        for _ in range(second % 8):
            self.take_effects()
            if not self.run_one(third):
                return
            self.complete_all()
            if self.halted:
                return

    def _step_delete_records(self, first: int, second: int, third: int) -> None:
        found = self._pick(first, "tx")
        if found is None:
            return
        _, partition, ledger = found
        low, high = partition.log_start_offset, partition.high_watermark
        if high <= low:
            return
        offset = low + second % (high - low + 1)
        ledger.allow_start(offset)
        partition.delete_records(offset)

    def _step_retention(self, first: int, second: int, third: int) -> None:
        for name, ledger in self.ledgers.items():
            if name == "t" and name in self.partitions:
                ledger.allow_start(allowed_by_retention(ledger, self.clock.wall_ms()))
        self.manager.apply_retention()

    def _step_new_epoch(self, first: int, second: int, third: int) -> None:
        self.epoch += 1
        for partition in self.partitions.values():
            if not partition.log.offline:
                partition.become_leader(self.epoch)
        self._note_shown()

    def _step_truncate(self, first: int, second: int, third: int) -> None:
        """Another broker leads for a while, whose log goes on otherwise from some offset that was not promised:
        what it does not have is cut, as its epochs say (KIP-101, KIP-279), and what it has is taken."""
        found = self._pick(first)
        if found is None or found[1].log.offline:
            return
        name, partition, ledger = found
        log = partition.log
        rng = random.Random(f"truncate {second} {third}")
        low = max(ledger.acked, ledger.exposed, log.log_start_offset)
        ends = sorted({low, *(sent.end for sent in ledger.live() if sent.end > low)})
        cut = min(ends[second % len(ends)], log.log_end_offset)
        # Of the epochs that begin here, the other leader was in some itself, and has a few batches of them.
        epochs = [(epoch, start) for epoch, start in log.epochs.entries if start < cut]
        end = cut
        batches: list[Sent] = []
        for _ in range(rng.randrange(4)):
            self.epoch += rng.randrange(1, 3)
            records = self._records(rng.randrange(4), rng.randrange(1 << 16), end, name == "c")
            data = bytearray(build_batch(records))
            stamp(data, end, self.epoch)
            batches.append(
                Sent(end, end + len(records), bytes(data), records, self.clock.wall_ms(), state=STORED)
            )
            epochs.append((self.epoch, end))
            end = batches[-1].end
        self.epoch += 1
        partition.become_follower(self.epoch)
        ledger.stored = min(ledger.stored, cut)
        self._truncate_by_epochs(partition, epochs, end, cut)
        if log.log_end_offset != cut:
            raise Violation(f"{name}: cut at {log.log_end_offset}, the other log is the same up to {cut}")
        ledger.cut(cut)
        for sent in batches:
            self._follow(partition, ledger, sent)
        self._lead_again(partition)

    def _truncate_by_epochs(
        self, partition: Partition, epochs: list[tuple[int, int]], end: int, cut: int
    ) -> None:
        """Ask the leader whose epochs these are, as often as it takes."""
        log = partition.log
        for _ in range(len(log.epochs.entries) + 2):
            asked = log.epochs.latest
            known = [index for index, (epoch, _) in enumerate(epochs) if epoch <= asked]
            if not known:
                # Nothing in common: the leader is asked where its log starts.
                partition.truncate_to(cut)
                return
            epoch = epochs[known[-1]][0]
            epoch_end = epochs[known[-1] + 1][1] if known[-1] + 1 < len(epochs) else end
            if epoch == asked and epoch_end >= log.log_end_offset:
                return
            partition.truncate_to_epoch(epoch, epoch_end)

    def _follow(self, partition: Partition, ledger: Ledger, sent: Sent) -> None:
        ledger.batches.append(sent)
        partition.append_from_leader(
            sent.data,
            high_watermark=partition.high_watermark,
            log_start_offset=partition.log_start_offset,
        )
        ledger.stored = sent.end

    def _lead_again(self, partition: Partition) -> None:
        self.epoch += 1
        partition.become_leader(self.epoch)

    def _step_start_again(self, first: int, second: int, third: int) -> None:
        """Another broker leads, whose log starts beyond this one's end: all is given up."""
        found = self._pick(first)
        if found is None or found[1].log.offline:
            return
        name, partition, ledger = found
        start = partition.log_end_offset + 1 + second % 5
        self.epoch += 1
        partition.become_follower(self.epoch)
        ledger.start_again(start)
        partition.start_again_at(start)
        records = self._records(third % 4, third, start, name == "c")
        data = bytearray(build_batch(records))
        stamp(data, start, self.epoch)
        sent = Sent(start, start + len(records), bytes(data), records, self.clock.wall_ms(), state=STORED)
        if third % 3:
            self._follow(partition, ledger, sent)
        self._lead_again(partition)

    def _step_recreate(self, first: int, second: int, third: int) -> None:
        """Topic x goes, or comes."""
        partition = self.partitions.pop("x", None)
        if partition is not None:
            # The metadata says so before anything is done here.
            self.topics.pop("x")
            self.ledgers["x"] = Ledger()
            partition.become_offline(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
            self.manager.delete_topic("x")
        else:
            self.topics["x"] = bytes([9, first & 255, first >> 8]) + bytes(13)
            self.ledgers["x"] = Ledger()
            self._host("x", self.topics["x"])

    def _step_restart(self, first: int, second: int, third: int) -> None:
        """A clean stop and a start."""
        if self._interleaved:
            return
        self.close()
        if self.halted:
            return
        self.partitions.clear()
        self.queues.clear()
        self.done.clear()
        self.manager = self._new_manager()
        self.start()


def allowed_by_retention(ledger: Ledger, now_ms: int) -> int:
    """Where topic `t` may start after retention: before it everything is too old, or too much."""
    # Not by its first offset: records may be deleted up to the middle of a batch.
    live = [sent for sent in ledger.live() if sent.end > ledger.allowed_start]
    start = ledger.allowed_start
    for sent in live:
        if sent.end > ledger.exposed:
            break
        total_after = sum(len(later.data) for later in live if later.base >= sent.end)
        if now_ms - sent.max_timestamp > RETENTION_MS or total_after >= RETENTION_BYTES:
            start = sent.end
        else:
            break
    return start
