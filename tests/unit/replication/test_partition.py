"""One replica: the produce, fetch, offset and delete-records rows of docs/protocol.md section 10."""

from __future__ import annotations

import pytest

from pybroker.common.clock import ManualClock
from pybroker.common.errors import ErrorCode
from pybroker.common.memory_files import MemoryFileSystem
from pybroker.log import LogConfig
from pybroker.records.batch import Record, build_batch, iter_headers, read_header
from pybroker.records.validation import WalkPolicy
from pybroker.replication.partition import Partition
from tests.unit.log.log_helpers import NOW, TOPIC_ID, make_batch, make_manager, run_rounds

E = ErrorCode


class World:
    """A manager in memory with one partition."""

    def __init__(self, durability="os", files=None, **config):
        self.files = files or MemoryFileSystem()
        self.clock = ManualClock(NOW)
        self.manager = make_manager(self.files, clock=self.clock)
        self.manager.open(1)
        self.config = LogConfig(**config)
        self.log = self.manager.get_or_create("T", 0, TOPIC_ID, self.config)
        self.start(durability)

    def start(self, durability="os"):
        self.partition = Partition("T", 0, TOPIC_ID, self.log, durability)
        self.partition.become_leader(0)

    def restart(self, *, clean, durability="os"):
        self.manager.close(clean=clean)
        self.manager = make_manager(self.files, clock=self.clock)
        self.manager.open(1)
        self.log = self.manager.load(lambda *_: self.config)[0]
        self.start(durability)

    def append(self, batch, version=9, walk=True):
        return self.partition.append(
            memoryview(bytearray(batch)),
            version=version,
            walk_policy=WalkPolicy("full" if walk else "header"),
            now_ms=self.clock.wall_ms(),
        )

    def produce(self, sequence, count=1, *, epoch=0, producer=7, **options):
        return self.append(
            make_batch(count, producer_id=producer, producer_epoch=epoch, base_sequence=sequence, **options)
        )


def answer(outcome):
    return outcome.error, outcome.base_offset, outcome.log_append_time_ms, outcome.log_start_offset


def test_good_batch():
    world = World()
    outcome = world.append(make_batch(3))
    assert answer(outcome) == (E.NONE, 0, -1, 0)
    assert outcome.end_offset == 3
    assert world.partition.high_watermark == 3
    assert answer(world.append(make_batch(1))) == (E.NONE, 3, -1, 0)


def test_log_append_time_is_answered():
    world = World(message_timestamp_type="LogAppendTime")
    assert answer(world.append(make_batch(2, timestamp=NOW + 7_200_000))) == (E.NONE, 0, NOW, 0)
    header = read_header(world.partition.read(0, 10_000).records)
    assert (header.timestamp_type, header.max_timestamp) == (1, NOW)


@pytest.mark.parametrize(
    ("batch", "expected"),
    [
        (b"", (E.INVALID_RECORD, -1, -1, -1)),
        (make_batch(1)[:-1], (E.INVALID_RECORD, -1, -1, -1)),
        (make_batch(1) + make_batch(1), (E.INVALID_RECORD, -1, -1, -1)),
        (make_batch(1)[:-1] + b"\1", (E.CORRUPT_MESSAGE, -1, -1, -1)),
        (make_batch(1, control=True), (E.INVALID_RECORD, -1, -1, 0)),
        (make_batch(1, base_offset=17), (E.INVALID_RECORD, -1, -1, 0)),
        (make_batch(1, producer_id=5, producer_epoch=0, base_sequence=-1), (E.INVALID_RECORD, -1, -1, 0)),
    ],
    ids=["empty", "cut", "two", "checksum", "control", "base-offset", "no-sequence"],
)
def test_refusals(batch, expected):
    world = World()
    assert answer(world.append(batch)) == expected
    assert world.partition.log_end_offset == 0
    assert world.partition.append(None, now_ms=NOW).error == E.INVALID_RECORD


def test_record_errors_are_passed_on():
    world = World(cleanup_policy=("compact",))
    outcome = world.append(build_batch([Record(0, NOW, b"k", b"v"), Record(0, NOW, None, b"v")]))
    assert answer(outcome) == (E.INVALID_RECORD, -1, -1, 0)
    assert outcome.record_errors == (
        (1, "Compacted topic cannot accept message without key in topic partition T-0"),
    )
    assert "1 record errors in total" in outcome.error_message


def test_too_large():
    world = World(max_message_bytes=100)
    assert answer(world.append(make_batch(1, size=200))) == (E.MESSAGE_TOO_LARGE, -1, -1, -1)


def test_dynamic_configuration_takes_effect():
    world = World()
    world.partition.update_config(LogConfig(max_message_bytes=50))
    assert world.append(make_batch(1)).error == E.MESSAGE_TOO_LARGE
    world.partition.update_config(LogConfig())
    assert world.append(make_batch(1)).error == E.NONE


# ---- idempotence -----------------------------------------------------------------------------------------


def test_duplicates_are_answered_with_the_first_offset_and_not_stored():
    world = World()
    for number in range(6):
        assert world.produce(number * 2, 2, timestamp=NOW + number).base_offset == number * 2
    for number in range(1, 6):
        outcome = world.produce(number * 2, 2)
        assert answer(outcome) == (E.NONE, number * 2, NOW + number, 0)
        assert outcome.end_offset == number * 2 + 2
    assert answer(world.produce(0, 2)) == (E.OUT_OF_ORDER_SEQUENCE_NUMBER, -1, -1, 0)
    assert world.partition.log_end_offset == 12


def test_sequence_rows():
    world = World()
    assert world.produce(100).error == E.NONE
    assert world.produce(100, 2).error == E.OUT_OF_ORDER_SEQUENCE_NUMBER
    assert world.produce(105).error == E.OUT_OF_ORDER_SEQUENCE_NUMBER
    assert world.produce(5, epoch=1).error == E.OUT_OF_ORDER_SEQUENCE_NUMBER
    assert world.produce(0, epoch=1).error == E.NONE
    assert answer(world.produce(1, epoch=0)) == (E.INVALID_PRODUCER_EPOCH, -1, -1, 0)
    assert world.produce(7, producer=-2).error == E.NONE
    assert world.produce(2147483646, 2, producer=9).error == E.NONE
    assert world.produce(0, producer=9).error == E.NONE


def test_refused_batch_does_not_change_the_sequence():
    world = World()
    world.produce(0)
    bad = bytearray(make_batch(1, producer_id=7, producer_epoch=0, base_sequence=1))
    bad[-1] ^= 1
    assert world.append(bad).error == E.CORRUPT_MESSAGE
    assert world.produce(1).error == E.NONE


@pytest.mark.parametrize("clean", [True, False])
def test_the_whole_window_survives_a_restart(clean):
    world = World(segment_bytes=400)
    for number in range(12):
        world.produce(number)
    run_rounds(world.manager)
    world.restart(clean=clean)
    for number in range(7, 12):
        assert answer(world.produce(number)) == (E.NONE, number, NOW, 0)
    assert world.produce(6).error == E.OUT_OF_ORDER_SEQUENCE_NUMBER
    assert answer(world.produce(12)) == (E.NONE, 12, -1, 0)


# ---- high watermark --------------------------------------------------------------------------------------


def test_fsync_mode_acknowledges_after_the_round():
    world = World("fsync")
    run_rounds(world.manager)
    calls = []
    woken = []
    world.partition.on_append(lambda: woken.append(world.partition.high_watermark))
    for _ in range(3):
        outcome = world.append(make_batch(2))
        assert world.partition.high_watermark < outcome.end_offset
        world.partition.on_high_watermark(
            outcome.end_offset, lambda error, end=outcome.end_offset: calls.append((end, error))
        )
    assert world.partition.read(0, 1000).records == b""
    work = world.manager.take_flush_round()
    late = world.append(make_batch(1))
    world.partition.on_high_watermark(late.end_offset, lambda error: calls.append(("late", error)))
    work.run()
    work.complete(None)
    assert calls == [(2, E.NONE), (4, E.NONE), (6, E.NONE)]
    assert woken == [6]
    assert world.partition.high_watermark == 6
    run_rounds(world.manager)
    assert calls[-1] == ("late", E.NONE)
    assert world.partition.high_watermark == 7


def test_fsync_mode_reads_stop_at_the_high_watermark():
    world = World("fsync", segment_bytes=500)
    for _ in range(10):
        world.append(make_batch(2))
    run_rounds(world.manager)
    for _ in range(10):
        world.append(make_batch(2))
    offset = 0
    while records := world.partition.read(offset, 1 << 20).records:
        offset = list(iter_headers(records))[-1][1].next_offset
    assert offset == 20
    assert world.partition.list_offset(-1).offset == 20


def test_flush_messages_in_os_mode():
    world = World(flush_messages=1)
    run_rounds(world.manager)
    assert world.append(make_batch(1)).end_offset == 1
    assert world.partition.high_watermark == 0
    run_rounds(world.manager)
    assert world.partition.high_watermark == 1


def test_flush_messages_threshold():
    world = World(flush_messages=3)
    run_rounds(world.manager)
    world.append(make_batch(1))
    world.append(make_batch(1))
    assert world.partition.high_watermark == 2
    world.append(make_batch(1))
    assert world.partition.high_watermark == 2
    run_rounds(world.manager)
    assert world.partition.high_watermark == 3
    world.append(make_batch(1))
    assert world.partition.high_watermark == 4


def test_waiters_are_answered_at_once_when_there_is_nothing_to_wait_for():
    world = World()
    calls = []
    outcome = world.append(make_batch(1))
    world.partition.on_high_watermark(outcome.end_offset, calls.append)
    assert calls == [E.NONE]


def test_waiters_and_watchers_are_told_when_the_partition_goes():
    world = World("fsync")
    calls = []
    woken = []
    world.partition.on_append(lambda: woken.append(1))
    world.append(make_batch(1))
    world.partition.on_high_watermark(1, calls.append)
    world.partition.become_offline(E.UNKNOWN_TOPIC_OR_PARTITION)
    assert calls == [E.UNKNOWN_TOPIC_OR_PARTITION]
    assert woken == [1]
    assert world.append(make_batch(1)).error == E.NOT_LEADER_OR_FOLLOWER
    assert world.partition.read(0, 1).error == E.NOT_LEADER_OR_FOLLOWER
    world.partition.on_high_watermark(1, calls.append)
    assert calls[-1] == E.NOT_LEADER_OR_FOLLOWER


def test_watcher_is_called_on_every_append_until_cancelled():
    world = World()
    calls = []
    cancel = world.partition.on_append(lambda: calls.append(1))
    other = world.partition.on_append(lambda: cancel())
    world.append(make_batch(1))
    world.append(make_batch(1))
    assert len(calls) == 1
    other()
    cancel()


@pytest.mark.parametrize(
    ("clean", "durability"), [(True, "fsync"), (False, "fsync"), (False, "os"), (True, "os")]
)
def test_high_watermark_after_a_restart(clean, durability):
    world = World(durability)
    for _ in range(3):
        world.append(make_batch(2))
    run_rounds(world.manager)
    world.restart(clean=clean, durability=durability)
    if clean or durability == "os":
        assert world.partition.high_watermark == 6
    run_rounds(world.manager)
    assert world.partition.high_watermark == 6


# ---- fetch -----------------------------------------------------------------------------------------------


def test_fetch_rows():
    world = World()
    for _ in range(3):
        world.append(make_batch(2))
    size = world.log.size // 3
    read = world.partition.read
    outcome = read(0, 1 << 20)
    assert (outcome.error, outcome.high_watermark, outcome.last_stable_offset, outcome.log_start_offset) == (
        0,
        6,
        6,
        0,
    )
    assert len(outcome.records) == 3 * size
    assert len(read(1, 1 << 20).records) == 3 * size
    assert len(read(2, 1 << 20).records) == 2 * size
    outcome = read(6, 1 << 20)
    assert (outcome.error, outcome.high_watermark, outcome.records) == (0, 6, b"")
    for offset in (7, -1):
        outcome = read(offset, 1 << 20)
        assert (
            outcome.error,
            outcome.high_watermark,
            outcome.last_stable_offset,
            outcome.log_start_offset,
        ) == (
            E.OFFSET_OUT_OF_RANGE,
            -1,
            -1,
            -1,
        )
        assert outcome.records == b""
    assert len(read(0, 0, min_one_batch=True).records) == size
    assert len(read(0, 1, min_one_batch=True).records) == size
    assert len(read(0, size + 20, min_one_batch=True).records) == size + 20


def test_fetch_below_the_log_start():
    world = World()
    for _ in range(3):
        world.append(make_batch(2))
    world.partition.delete_records(3)
    assert world.partition.read(2, 1000).error == E.OFFSET_OUT_OF_RANGE
    assert world.partition.read(3, 1000).records


def test_available_bytes():
    world = World()
    for _ in range(4):
        world.append(make_batch(2))
    size = world.log.size // 4
    assert world.partition.available_bytes(0) == 4 * size
    assert world.partition.available_bytes(6) == size
    assert world.partition.available_bytes(8) == 0


def test_leader_epoch_checks():
    world = World()
    world.partition.become_leader(3)
    assert world.partition.check_leader_epoch(-1) == E.NONE
    assert world.partition.check_leader_epoch(3) == E.NONE
    assert world.partition.check_leader_epoch(2) == E.FENCED_LEADER_EPOCH
    assert world.partition.check_leader_epoch(5) == E.UNKNOWN_LEADER_EPOCH


# ---- offsets ---------------------------------------------------------------------------------------------


def test_list_offsets_rows():
    world = World()
    for number in range(3):
        world.append(make_batch(2, timestamp=NOW + number * 10, step=5))
    find = world.partition.list_offset
    assert find(-1) == (0, -1, 6, 0)
    assert find(-2) == (0, -1, 0, 0)
    assert find(-3) == (0, NOW + 25, 5, 0)
    assert find(-4) == (0, -1, 0, 0)
    assert find(-5) == (0, -1, -1, -1)
    assert find(-6) == (0, -1, -1, -1)
    assert find(-7) == (E.UNSUPPORTED_VERSION, -1, -1, -1)
    assert find(NOW + 26) == (0, -1, -1, -1)
    assert find(0) == (0, NOW, 0, 0)
    assert find(NOW + 11) == (0, NOW + 15, 3, 0)
    empty = World().partition.list_offset
    assert empty(-3) == (0, -1, -1, -1)
    assert empty(0) == (0, -1, -1, -1)
    assert empty(-1) == (0, -1, 0, 0)
    assert empty(-2) == (0, -1, 0, 0)


def test_offsets_above_the_high_watermark_are_not_found():
    world = World("fsync")
    world.append(make_batch(1, timestamp=NOW))
    assert world.partition.list_offset(NOW) == (0, -1, -1, -1)
    assert world.partition.list_offset(-3) == (0, -1, -1, -1)


def test_epoch_end_offsets():
    world = World()
    world.append(make_batch(6))
    assert world.partition.epoch_end_offset(0) == (0, 6)
    assert world.partition.epoch_end_offset(5) == (-1, -1)
    assert world.partition.epoch_end_offset(-1) == (-1, -1)
    world.partition.become_leader(2)
    world.append(make_batch(1))
    assert world.partition.epoch_end_offset(0) == (0, 6)
    assert world.partition.epoch_end_offset(1) == (0, 6)
    assert world.partition.epoch_end_offset(2) == (2, 7)


def test_delete_records_rows():
    world = World()
    for _ in range(5):
        world.append(make_batch(1))
    delete = world.partition.delete_records
    assert delete(2) == (E.NONE, 2)
    assert delete(1) == (E.NONE, 2)
    assert delete(6) == (E.OFFSET_OUT_OF_RANGE, -1)
    assert delete(-2) == (E.OFFSET_OUT_OF_RANGE, -1)
    assert delete(-1) == (E.NONE, 5)
    assert world.partition.list_offset(-2) == (0, -1, 5, 0)
    world.partition.update_config(LogConfig(cleanup_policy=("compact",)))
    assert delete(5) == (E.POLICY_VIOLATION, -1)
    world.partition.update_config(LogConfig(cleanup_policy=("compact", "delete")))
    assert delete(5) == (E.NONE, 5)


@pytest.mark.parametrize("clean", [True, False])
def test_deleted_records_stay_deleted(clean):
    world = World()
    for _ in range(5):
        world.append(make_batch(1))
    world.partition.delete_records(3)
    run_rounds(world.manager)
    world.restart(clean=clean)
    assert world.partition.log_start_offset == 3
    assert world.partition.read(2, 100).error == E.OFFSET_OUT_OF_RANGE


def test_cold_bytes_come_back_as_an_effect():
    world = World(segment_bytes=200)
    for _ in range(6):
        world.append(make_batch(1))
    run_rounds(world.manager)
    first = world.log.segments[0]
    handle = first.read_handle()

    class Cold:
        def __init__(self):
            self.warm = False

        def __getattr__(self, name):
            return getattr(handle, name)

        def pread_cached(self, count, offset):
            return handle.pread(count, offset) if self.warm else None

    cold = Cold()
    world.log.environment._files_open[first] = cold
    outcome = world.partition.read(0, 50, may_block=False)
    assert outcome.error == E.NONE
    assert outcome.records == b""
    outcome.cold.run()
    cold.warm = True
    again = world.partition.read(0, 50, may_block=False)
    assert again.cold is None
    assert len(again.records) == 50
