"""A transaction coordinator over a partition in memory, and partitions to write markers into.

`World` is everything of a broker that transactions need: `__transaction_state` with one partition, a topic `t`
with four, a clock and timers. Producers talk to it by method calls; `tests/transcripts` gives them a text form.
"""

from __future__ import annotations

from types import SimpleNamespace

from pybroker.common.clock import ManualClock
from pybroker.common.config import BrokerConfig
from pybroker.common.errors import ErrorCode
from pybroker.common.memory_files import MemoryFileSystem
from pybroker.common.timers import TimerQueue
from pybroker.coordinator.host import HostEnvironment, HostSettings
from pybroker.handlers.transaction_markers import append_markers
from pybroker.log import LogConfig
from pybroker.replication.partition import Partition
from pybroker.transactions.coordinator import TransactionCoordinator
from pybroker.transactions.transitions import NAMES
from tests.unit.log.log_helpers import NOW, TOPIC_ID, make_batch, make_manager, run_rounds

STATE_TOPIC = "__transaction_state"
TOPIC_PARTITIONS = 4


class World:
    def __init__(self, level=2, durability="os", **properties):
        self.level = level
        self.durability = durability
        self.files = MemoryFileSystem()
        self.clock = ManualClock(NOW)
        self.config = BrokerConfig.from_properties(
            {"log.dirs": "/data", "listeners": "PLAINTEXT://127.0.0.1:0", **properties}
        )
        self.next_id = 1000
        self.markers_paused = False
        self.paused = []
        self.refusals = {}
        self.reports = []
        self.start(make_manager(self.files, clock=self.clock))

    def start(self, manager):
        self.manager = manager
        manager.open(1)
        configs = {STATE_TOPIC: LogConfig(), "t": LogConfig()}
        manager.load(lambda topic, *_: configs[topic])
        self.timers = TimerQueue()
        self.partitions = {}
        for topic, count in ((STATE_TOPIC, 1), ("t", TOPIC_PARTITIONS)):
            for index in range(count):
                log = manager.get_or_create(topic, index, TOPIC_ID, configs[topic])
                partition = self.partitions[topic, index] = Partition(
                    topic, index, TOPIC_ID, log, self.durability
                )
                partition.become_leader(0)
        self.coordinator = TransactionCoordinator(
            HostSettings(STATE_TOPIC),
            HostEnvironment(
                clock=self.clock,
                timers=self.timers,
                image=lambda: SimpleNamespace(
                    topics={STATE_TOPIC: SimpleNamespace(partitions=[SimpleNamespace(leader=1)])}
                ),
                partition=lambda topic, index: self.partitions.get((topic, index)),
                create_topic=lambda name: None,
                run_blocking=lambda queue, function, done: (function(), done(None)),
                report=self.reports.append,
            ),
            self.config,
            level=lambda: self.level,
            take_producer_id=self._take_producer_id,
            send_markers=self._send_markers,
        )
        self.coordinator.host.elect(0)
        self.advance(0)

    def _take_producer_id(self, callback):
        self.next_id += 1
        callback(self.next_id - 1)

    def _send_markers(self, marker, partitions, done):
        if self.markers_paused:
            self.paused.append((marker, partitions, done))
            return
        refused = {name: self.refusals[name].pop(0) for name in partitions if self.refusals.get(name)}
        context = SimpleNamespace(
            clock=self.clock,
            groups=SimpleNamespace(topic="__consumer_offsets"),
            partition=lambda topic, index: self.partitions.get((topic, index)),
        )
        accepted = [name for name in partitions if name not in refused]
        append_markers(context, marker, accepted, lambda outcomes: done({**outcomes, **refused}))

    def resume_markers(self):
        self.markers_paused = False
        paused, self.paused = self.paused, []
        for marker, partitions, done in paused:
            self._send_markers(marker, partitions, done)
        self.flush()

    def flush(self):
        run_rounds(self.manager)

    def advance(self, milliseconds):
        """Let time pass in steps, with everything that falls due."""
        end = self.clock.monotonic_ms() + milliseconds
        while True:
            self.timers.advance(self.clock.monotonic_ms())
            due = self.timers.next_deadline_ms()
            if due is None or due > end:
                break
            self.clock.advance(int(max(due - self.clock.monotonic_ms(), 1)))
        self.clock.advance(int(end - self.clock.monotonic_ms()))
        self.timers.advance(self.clock.monotonic_ms())

    def crash(self):
        self.paused = []
        self.markers_paused = False
        self.manager.close(clean=False)
        self.start(make_manager(self.files, clock=self.clock))

    # ---- what a transactional id looks like ----------------------------------------------------------

    def transaction(self, name):
        for _, shard in self.coordinator.host.active_shards:
            return shard.transactions.get(name)
        return None

    def state(self, name):
        found = self.transaction(name)
        return None if found is None else NAMES[found.state]

    def stable(self, index=0):
        return self.partitions["t", index].last_stable_offset

    def end_offset(self, index=0):
        return self.partitions["t", index].log_end_offset

    def committed(self, index=0):
        """Values that a read_committed consumer sees."""
        partition = self.partitions["t", index]
        return read_committed(partition)


def read_committed(partition):
    """(producer id, producer epoch, base sequence) of the batches that count, in order."""
    from pybroker.records.batch import iter_headers
    from pybroker.records.control import read_end_transaction

    outcome = partition.read(partition.log_start_offset, 1 << 30, isolation=1)
    assert outcome.error == ErrorCode.NONE
    aborted = sorted(outcome.aborted, key=lambda entry: entry[1])
    skipping = set()
    found = []
    for position, header in iter_headers(outcome.records):
        while aborted and aborted[0][1] <= header.base_offset:
            skipping.add(aborted.pop(0)[0])
        if header.is_control:
            marker = read_end_transaction(outcome.records[position : position + header.size])
            if marker is not None:
                skipping.discard(marker.producer_id)
        elif header.producer_id not in skipping or not header.is_transactional:
            found.append((header.producer_id, header.producer_epoch, header.base_sequence))
    return found


class Producer:
    """A client's side: id, epoch and sequences. `version` is 2 for transactions v2, 0 for older clients."""

    def __init__(self, world, name="a", version=2, timeout_ms=60_000):
        self.world = world
        self.name = name
        self.version = version
        self.timeout_ms = timeout_ms
        self.sequences = {}
        self.id = self.epoch = -1

    def init(self, expected=None):
        answer = self.value(self.world.coordinator.init_producer(self.name, self.timeout_ms, expected))
        if not answer.error:
            self.id, self.epoch = answer.producer_id, answer.producer_epoch
            self.sequences = {}
        return answer

    def value(self, deferred):
        self.world.flush()
        if not deferred.done:
            # It waits for the completion of the transaction before, but not for long.
            self.world.advance(200)
        return deferred.value

    def add(self, *indexes):
        return self.value(
            self.world.coordinator.add_partitions(
                self.name, self.id, self.epoch, [("t", index) for index in indexes], self.version
            )
        )

    def send(self, index=0, *, epoch=None, sequence=None):
        """Append one batch, as handlers/produce does it; the error, in the coordinator's words."""
        epoch = self.epoch if epoch is None else epoch
        sequence = self.sequences.get(index, 0) if sequence is None else sequence
        partition = self.world.partitions["t", index]
        verification = partition.start_verification(self.id, epoch, sequence, strict=self.version >= 2)
        if verification is not None:
            errors = self.value(
                self.world.coordinator.admit(
                    self.name, self.id, epoch, [("t", index)], implicit=self.version >= 2
                )
            )
            if errors["t", index]:
                return errors["t", index]
        batch = make_batch(
            1, producer_id=self.id, producer_epoch=epoch, base_sequence=sequence, transactional=True
        )
        outcome = partition.append(
            memoryview(bytearray(batch)), version=12, now_ms=NOW, verification=verification
        )
        self.world.flush()
        if not outcome.error:
            self.sequences[index] = sequence + 1
        return outcome.error

    def end(self, commit=True, *, epoch=None, producer_id=None):
        answer = self.value(
            self.world.coordinator.end(
                self.name,
                self.id if producer_id is None else producer_id,
                self.epoch if epoch is None else epoch,
                commit=commit,
                client_version=self.version,
            )
        )
        if not answer.error and answer.producer_id >= 0:
            self.id, self.epoch = answer.producer_id, answer.producer_epoch
            self.sequences = {}
        return answer
