"""One log: append, roll, read, timestamps, truncation, log start."""

from __future__ import annotations

import pytest

from pybroker.common.errors import CorruptionError
from pybroker.log import LogConfig
from pybroker.log.config import LONG_MAX
from pybroker.records.batch import HEADER_SIZE, Record, build_batch, iter_headers, read_header
from pybroker.records.control import build_end_transaction
from tests.unit.log.log_helpers import (
    NOW,
    TOPIC_ID,
    append,
    headers_of,
    make_batch,
    make_environment,
    make_log,
    reopen,
    values_of,
)


def test_config_from_topic_keys():
    config = LogConfig.from_values(
        {
            "segment.bytes": 2_000_000,
            "cleanup.policy": ["compact", "delete"],
            "message.timestamp.type": "LogAppendTime",
            "leader.replication.throttled.replicas": [],
        }
    )
    assert config.segment_bytes == 2_000_000
    assert config.cleanup_policy == ("compact", "delete")
    assert config.compacts
    assert config.deletes
    assert config.log_append_time
    assert LogConfig.from_values({"cleanup.policy": "compact"}).deletes is False
    assert (
        LogConfig.from_values({"segment.bytes": 5_000_000, "internal.segment.bytes": 500}).segment_bytes
        == 500
    )
    assert LogConfig().flush_messages == LONG_MAX


def test_fresh_directory_holds_what_kafkas_does():
    log = make_log(config=LogConfig())
    log.assign_epoch(0)
    log.flush()
    files = log.environment.files
    sizes = {name: files.file_size(f"/data/t-0/{name}") for name in files.list_dir("/data/t-0")}
    assert sizes == {
        "00000000000000000000.log": 0,
        "00000000000000000000.index": 10_485_760,
        "00000000000000000000.timeindex": 10_485_756,
        "leader-epoch-checkpoint": 8,
        "partition.metadata": 43,
    }
    log.close_clean()
    sizes = {name: files.file_size(f"/data/t-0/{name}") for name in files.list_dir("/data/t-0")}
    assert sizes == {
        "00000000000000000000.log": 0,
        "00000000000000000000.index": 0,
        "00000000000000000000.timeindex": 0,
        "00000000000000000000.snapshot": 10,
        "leader-epoch-checkpoint": 8,
        "partition.metadata": 43,
    }


def test_append_stamps_offset_and_epoch_and_nothing_else():
    log = make_log(start_offset=7)
    batch = make_batch(3)
    assert append(log, batch, leader_epoch=5) == 7
    assert log.log_end_offset == 10
    stored = log.read(7, 10_000).records
    header = read_header(stored)
    assert (header.base_offset, header.leader_epoch) == (7, 5)
    assert stored[16:] == batch[16:]
    assert stored[8:12] == batch[8:12]
    assert log.epochs.entries == [(5, 7)]


def test_reads_start_at_the_batch_that_holds_the_offset():
    log = make_log(config=LogConfig(segment_bytes=1000, index_interval_bytes=100))
    for _ in range(40):
        append(log, make_batch(3))
    assert len(log.segments) > 3
    for offset in range(log.log_end_offset):
        data = log.read(offset, 1, min_one_batch=True).records
        header = read_header(data)
        assert len(data) == header.size
        assert header.base_offset <= offset <= header.last_offset
    assert [header.base_offset for header in headers_of(log)] == list(range(0, 120, 3))


def test_reads_are_cut_at_the_byte_limit_unless_the_first_batch_is_larger():
    log = make_log()
    append(log, make_batch(1))
    size = log.size
    append(log, make_batch(1))
    assert len(log.read(0, size + 20).records) == size + 20
    assert len(log.read(0, 20).records) == 20
    assert log.read(0, 0).records == b""
    assert len(log.read(0, 0, min_one_batch=True).records) == size
    assert len(log.read(0, 20, min_one_batch=True).records) == size
    assert log.read(2, 100, min_one_batch=True).records == b""


def test_reads_stop_at_the_end_offset_given():
    log = make_log(config=LogConfig(segment_bytes=600))
    for _ in range(20):
        append(log, make_batch(2))
    for end in range(0, 41, 2):
        offset = 0
        while offset < end:
            data = log.read(offset, 1 << 20, end_offset=end).records
            assert data
            offset = list(iter_headers(data))[-1][1].next_offset
        assert offset == end
        assert log.read(end, 1 << 20, end_offset=end).records == b""


def test_roll_by_size_keeps_batches_whole():
    log = make_log(config=LogConfig(segment_bytes=500))
    for _ in range(10):
        append(log, make_batch(2))
    assert all(segment.size <= 500 for segment in log.segments)
    large = make_batch(1, size=2000)
    append(log, large)
    append(log, make_batch(1))
    assert log.segments[-2].size == len(large)
    assert [segment.base_offset for segment in log.segments][-2:] == [20, 21]


def test_roll_by_record_timestamps():
    log = make_log(config=LogConfig(segment_ms=1000))
    append(log, make_batch(1, timestamp=NOW))
    append(log, make_batch(1, timestamp=NOW + 1000))
    assert len(log.segments) == 1
    append(log, make_batch(1, timestamp=NOW + 1001))
    assert len(log.segments) == 2
    append(log, make_batch(1, timestamp=NOW - 50_000))
    assert len(log.segments) == 2


def test_roll_by_wall_clock_without_timestamps():
    log = make_log(config=LogConfig(segment_ms=1000))
    append(log, make_batch(1, timestamp=-1))
    log.environment.clock.advance(1001)
    append(log, make_batch(1, timestamp=-1))
    assert len(log.segments) == 2


def test_roll_when_the_index_is_full():
    log = make_log(config=LogConfig(segment_index_bytes=24, index_interval_bytes=0))
    for _ in range(10):
        append(log, make_batch(1))
    assert len(log.segments) > 3
    assert len(values_of(log)) == 10


def test_roll_when_offsets_do_not_fit_the_index():
    log = make_log()
    append(log, make_batch(1))
    far = build_batch([Record(0, NOW, None, b"x")], base_offset=(1 << 31) + 5)
    log.append_records(far)
    assert [segment.base_offset for segment in log.segments] == [0, 1]
    assert log.log_end_offset == (1 << 31) + 6


def test_roll_leaves_index_snapshot_and_trimmed_files():
    log = make_log(config=LogConfig(segment_bytes=1000, index_interval_bytes=100))
    for number in range(30):
        append(log, make_batch(1, timestamp=NOW + number))
    log.flush()
    files = log.environment.files
    first, second = log.segments[:2]
    assert files.file_size(first.path(".index")) == len(first.offset_index) * 8 > 0
    assert files.file_size(first.path(".timeindex")) % 12 == 0
    assert files.exists(second.path(".snapshot"))
    assert log.recovery_point == 30
    assert first.file is None
    assert log.active.file is not None


def test_offset_for_timestamp():
    log = make_log(config=LogConfig(segment_bytes=1200, index_interval_bytes=200))
    for number in range(30):
        append(log, make_batch(4, timestamp=NOW + number * 40, step=10))
    assert len(log.segments) > 3
    for index in range(120):
        assert log.offset_for_timestamp(NOW + index * 10) == (NOW + index * 10, index, 0)
        assert log.offset_for_timestamp(NOW + index * 10 - 3) == (NOW + index * 10, index, 0)
    assert log.offset_for_timestamp(0) == (NOW, 0, 0)
    assert log.offset_for_timestamp(NOW + 1191) is None


def test_offset_for_timestamp_out_of_order():
    log = make_log(config=LogConfig(segment_bytes=100_000, index_interval_bytes=0))
    for timestamp in (50, 10, 90, 20, 60, 90, 30):
        append(log, make_batch(1, timestamp=timestamp))
    assert log.offset_for_timestamp(0) == (50, 0, 0)
    assert log.offset_for_timestamp(50) == (50, 0, 0)
    assert log.offset_for_timestamp(51) == (90, 2, 0)
    assert log.offset_for_timestamp(90) == (90, 2, 0)
    assert log.offset_for_timestamp(91) is None
    assert log.offset_of_max_timestamp() == (90, 2, 0)


def test_max_timestamp_is_the_first_record_that_has_it():
    log = make_log(config=LogConfig(segment_bytes=400))
    assert log.offset_of_max_timestamp() is None
    append(log, make_batch(3, timestamp=NOW, step=5))
    append(log, make_batch(3, timestamp=NOW + 10, step=0))
    append(log, make_batch(3, timestamp=NOW - 10))
    assert log.offset_of_max_timestamp() == (NOW + 10, 2, 0)


def test_log_append_time_lookup_gives_the_first_record_of_the_batch():
    log = make_log()
    append(log, build_batch([Record(0, 5, None, b"a")] * 3, timestamp_type=1, max_timestamp=NOW))
    assert log.offset_for_timestamp(NOW) == (NOW, 0, 0)


@pytest.mark.parametrize("offset", range(41))
def test_truncation(offset):
    log = make_log(config=LogConfig(segment_bytes=700, index_interval_bytes=150))
    for number in range(20):
        append(log, make_batch(2, timestamp=NOW + number), leader_epoch=number // 5)
    before = values_of(log)
    log.truncate_to(offset)
    assert log.log_end_offset == offset // 2 * 2
    assert values_of(log) == before[: offset // 2 * 2]
    assert all(start < max(log.log_end_offset, 1) for _, start in log.epochs.entries)
    append(log, make_batch(1, timestamp=NOW + 99), leader_epoch=9)
    assert values_of(log)[-1][:2] == (offset // 2 * 2, NOW + 99)
    assert log.offset_of_max_timestamp()[1] == offset // 2 * 2
    again = reopen(log)
    assert values_of(again) == values_of(log)
    assert again.epochs.entries == log.epochs.entries


def test_truncate_fully():
    log = make_log(config=LogConfig(segment_bytes=500))
    for _ in range(10):
        append(log, make_batch(2))
    log.truncate_fully(100)
    assert (log.log_start_offset, log.log_end_offset, log.high_watermark) == (100, 100, 100)
    assert append(log, make_batch(1), leader_epoch=3) == 100
    assert log.epochs.entries == [(3, 100)]
    again = reopen(log)
    assert (again.log_start_offset, again.log_end_offset) == (100, 101)


def test_log_start_moves_up_only():
    log = make_log()
    for _ in range(5):
        append(log, make_batch(2))
    assert log.increment_log_start(3)
    assert not log.increment_log_start(2)
    assert log.log_start_offset == 3
    assert log.epochs.entries == [(0, 3)]
    assert log.offset_for_timestamp(0) == (NOW, 3, 0)


def test_append_records_from_elsewhere():
    log = make_log()
    first = build_batch([Record(0, NOW, None, b"a")], base_offset=0, leader_epoch=1)
    second = build_batch([Record(0, NOW, None, b"b")] * 2, base_offset=10, leader_epoch=2)
    info = log.append_records(first + second)
    assert info == (0, 12)
    assert log.epochs.entries == [(1, 0), (2, 10)]
    assert [offset for offset, _, _ in values_of(log)] == [0, 10, 11]
    with pytest.raises(CorruptionError):
        log.append_records(build_batch([Record(0, NOW, None, b"b")], base_offset=5))
    damaged = bytearray(build_batch([Record(0, NOW, None, b"b")], base_offset=12))
    damaged[-1] ^= 1
    with pytest.raises(CorruptionError):
        log.append_records(bytes(damaged))
    with pytest.raises(CorruptionError):
        log.append_records(second[: HEADER_SIZE + 3])
    assert log.log_end_offset == 12
    info = log.append_records(make_batch(2) + make_batch(3), leader_epoch=4, assign_offsets=True)
    assert info == (12, 17)
    assert log.epochs.entries[-1] == (4, 12)


def test_producer_state_follows_replicated_batches_and_markers():
    log = make_log()
    log.append_records(
        build_batch(
            [Record(0, NOW, None, b"a")], producer_id=7, producer_epoch=0, base_sequence=0, transactional=True
        )
    )
    log.high_watermark = 1
    assert log.last_stable_offset == 0
    marker = build_end_transaction(7, 0, commit=False, timestamp=NOW, base_offset=1)
    log.append_records(marker)
    log.high_watermark = 2
    assert log.last_stable_offset == 2
    assert [entry[:3] for entry in log.aborted_between(0, 2)] == [(7, 0, 1)]
    again = reopen(log)
    again.high_watermark = 2
    assert again.last_stable_offset == 2
    assert again.aborted_between(0, 2) == log.aborted_between(0, 2)


def test_reading_rolled_segments_uses_few_descriptors():
    environment = make_environment(max_files=3)
    log = make_log(environment, LogConfig(segment_bytes=200))
    for _ in range(20):
        append(log, make_batch(1))
    log.flush()
    assert len(values_of(log)) == 20
    assert environment.open_file_count <= 3


def test_loaded_indexes_of_rolled_segments_are_bounded():
    environment = make_environment(max_index_bytes=2000)
    log = make_log(environment, LogConfig(segment_bytes=1000, index_interval_bytes=0))
    for _ in range(100):
        append(log, make_batch(1))
    log.flush()
    assert len(values_of(log)) == 100
    assert sum(segment.indexes_loaded for segment in log.segments) <= len(log.segments) // 2
    assert len(values_of(log)) == 100


def test_bytes_between():
    log = make_log(config=LogConfig(segment_bytes=500))
    size = len(make_batch(1))
    for _ in range(20):
        append(log, make_batch(1))
    assert log.bytes_between(0, 20) == 20 * size
    assert log.bytes_between(3, 17) == 14 * size
    assert log.bytes_between(20, 20) == 0


def test_damage_below_the_recovery_point_shows_on_read():
    log = make_log()
    append(log, make_batch(1))
    append(log, make_batch(1))
    log.active.file.pwrite([b"\xff" * 20], 0)
    with pytest.raises(CorruptionError):
        log.read(0, 1, min_one_batch=True)


def test_flush_callback_and_recovery_point():
    log = make_log()
    flushed = []
    log.on_flush = flushed.append
    append(log, make_batch(3))
    work = log.take_sync_work()
    append(log, make_batch(1))
    assert log.sync(work)
    log.synced(work)
    assert flushed == [3]
    assert log.recovery_point == 3
    assert log.unflushed_count == 1
    assert log.needs_sync
    log.flush()
    assert flushed == [3, 4]


def test_topic_id_is_written_before_the_first_append():
    log = make_log()
    assert log.environment.files.exists("/data/t-0/partition.metadata")
    assert log.topic_id == TOPIC_ID
