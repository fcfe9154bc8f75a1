"""What the disk does to us: full, broken, out of descriptors (docs/storage.md section 8)."""

from __future__ import annotations

import errno

import pytest

from pybroker.common.clock import ManualClock
from pybroker.common.errors import ErrorCode, StorageError
from pybroker.common.files import read_file
from pybroker.log import LogConfig
from pybroker.replication.partition import Partition
from pybroker.runtime.disk import DiskFileSystem
from tests.unit.log.log_helpers import (
    NOW,
    TOPIC_ID,
    FaultyFileSystem,
    append,
    make_batch,
    make_environment,
    make_log,
    make_manager,
    reopen,
    run_rounds,
    values_of,
)

CONFIG = LogConfig(segment_bytes=1000, index_interval_bytes=100)
BALLAST = 10_000


@pytest.fixture
def files():
    return FaultyFileSystem()


@pytest.mark.parametrize("space", range(0, 400, 7))
def test_partial_write_is_cut_before_the_error(files, space):
    log = make_log(make_environment(files), LogConfig())
    append(log, make_batch(1))
    size = log.active.size
    files.space = space
    added = space // size
    for _ in range(added):
        append(log, make_batch(1))
    with pytest.raises(StorageError) as caught:
        append(log, make_batch(1))
    assert caught.value.errno == errno.ENOSPC
    assert log.log_end_offset == 1 + added
    assert files.file_size(log.active.path(".log")) == (1 + added) * size
    assert len(values_of(log)) == 1 + added
    files.space = 10_000
    assert append(log, make_batch(1)) == 1 + added
    assert len(values_of(reopen(log))) == 2 + added


def test_roll_without_space_changes_nothing(files):
    log = make_log(make_environment(files), LogConfig(segment_bytes=100))
    append(log, make_batch(1))
    files.space = 0
    with pytest.raises(StorageError):
        append(log, make_batch(1))
    assert len(log.segments) == 1
    files.space = None
    assert append(log, make_batch(1)) == 1
    assert len(log.segments) == 2


def start(files, clock=None, **options):
    manager = make_manager(files, clock=clock, ballast_bytes=BALLAST, **options)
    manager.open(1)
    return manager


def test_full_disk_refuses_appends_serves_reads_and_resumes_by_itself(files):
    clock = ManualClock(NOW)
    manager = start(files, clock)
    log = manager.get_or_create("t", 0, bytes(15) + b"\1", CONFIG)
    metadata = manager.get_or_create("__cluster_metadata", 0, bytes(15) + b"\2", LogConfig())
    other = manager.get_or_create("u", 0, bytes(15) + b"\3", CONFIG)
    partition = Partition("t", 0, log.topic_id, log)
    partition.become_leader(0)
    run_rounds(manager)
    assert files.exists("/data/.pybroker-ballast")
    files.space = 250
    results = [partition.append(memoryview(make_batch(1)), now_ms=NOW).error for _ in range(6)]
    assert results[0] == ErrorCode.NONE
    assert results[-1] == ErrorCode.KAFKA_STORAGE_ERROR
    stored = log.log_end_offset
    assert manager.full_directories == ["/data"]
    assert not files.exists("/data/.pybroker-ballast")
    # The ballast's space is for the metadata log, not for data.
    with pytest.raises(StorageError):
        append(other, make_batch(1))
    metadata.append_records(make_batch(1), assign_offsets=True)
    assert partition.read(0, 10_000).error == ErrorCode.NONE
    assert len(values_of(log)) == stored
    clock.advance(1000)
    manager.tick(clock.monotonic_ms())
    assert manager.full_directories == ["/data"]
    files.space = 1_000_000
    clock.advance(1000)
    manager.tick(clock.monotonic_ms())
    assert manager.full_directories == []
    assert files.exists("/data/.pybroker-ballast")
    assert partition.append(memoryview(make_batch(1)), now_ms=NOW).base_offset == stored


def test_creation_on_a_full_disk_leaves_nothing(files):
    manager = start(files)
    files.space = 0
    with pytest.raises(StorageError):
        manager.get_or_create("t", 0, bytes(15) + b"\1", CONFIG)
    assert not files.exists("/data/t-0")
    assert manager.get("t", 0) is None


def test_a_new_log_goes_where_there_is_space(files):
    manager = make_manager(files, directories=("/a", "/b"))
    manager.open(1)
    manager.get_or_create("t", 0, bytes(15) + b"\1", CONFIG)
    manager.disk_error(manager.directories[1], OSError(errno.ENOSPC, "full"))
    assert manager.full_directories == ["/b"]
    # The emptiest is full.
    assert manager.get_or_create("t", 1, bytes(15) + b"\1", CONFIG).directory == "/a/t-1"


def test_start_on_a_full_disk(files):
    clock = ManualClock(NOW)
    first = start(files, clock)
    append(first.get_or_create("t", 0, bytes(15) + b"\1", CONFIG), make_batch(2))
    first.close()
    files.remove("/data/.pybroker-ballast")
    files.space = 5000
    again = start(files, clock)
    log = again.load(lambda *_: CONFIG)[0]
    assert len(values_of(log)) == 2
    with pytest.raises(StorageError):
        append(log, make_batch(1))
    files.space = None
    clock.advance(1000)
    again.tick(clock.monotonic_ms())
    assert append(log, make_batch(1)) == 2


@pytest.mark.parametrize("taken", [False, True])
@pytest.mark.parametrize("more", [-1, 0])
def test_a_start_leaves_space_for_what_it_has_to_write(files, taken, more):
    """The ballast is not taken with the last of the space, and given back when there is none beside it."""
    if taken:
        start(files).close()
    needed = 1024 * 1024 + (0 if taken else BALLAST)
    files.inner.free_bytes = lambda path: (10**9, needed + more)
    again = start(files)
    assert again.full_directories == (["/data"] if more else [])
    assert files.exists("/data/.pybroker-ballast") is not bool(more)


def test_failed_sync_is_never_repeated(files):
    manager = start(files)
    failures = []
    manager.on_directory_failed = lambda path, last: failures.append((path, last))
    log = manager.get_or_create("t", 0, bytes(15) + b"\1", CONFIG)
    partition = Partition("t", 0, log.topic_id, log, "fsync")
    partition.become_leader(0)
    run_rounds(manager)
    outcome = partition.append(memoryview(make_batch(1)), now_ms=NOW)
    answers = []
    partition.on_high_watermark(outcome.end_offset, answers.append)
    files.sync_error, files.sync_error_once = errno.EIO, True
    count = files.sync_count
    run_rounds(manager)
    assert files.sync_count == count + 1
    assert answers == [ErrorCode.KAFKA_STORAGE_ERROR]
    assert failures == [("/data", True)]
    assert partition.high_watermark == 0
    assert partition.append(memoryview(make_batch(1)), now_ms=NOW).error == ErrorCode.KAFKA_STORAGE_ERROR
    assert partition.read(0, 100).error == ErrorCode.KAFKA_STORAGE_ERROR
    assert partition.list_offset(-1).error == ErrorCode.KAFKA_STORAGE_ERROR
    assert manager.log_dirs_report()[0].error == ErrorCode.KAFKA_STORAGE_ERROR
    manager.tick(1e9)
    assert manager.take_flush_round() is None
    manager.close()
    assert not files.exists("/data/.kafka_cleanshutdown")


def test_one_failed_directory_of_two(files):
    manager = make_manager(files, directories=("/a", "/b"))
    manager.open(1)
    failures = []
    manager.on_directory_failed = lambda path, last: failures.append((path, last))
    logs = [manager.get_or_create("t", number, bytes(15) + b"\1", CONFIG) for number in range(2)]
    run_rounds(manager)
    append(logs[0], make_batch(1))
    logs[0].request_flush()
    files.sync_error, files.sync_error_once = errno.EIO, True
    run_rounds(manager)
    assert failures == [("/a", False)]
    with pytest.raises(StorageError):
        append(logs[0], make_batch(1))
    append(logs[1], make_batch(1))
    new = manager.get_or_create("u", 0, bytes(15) + b"\2", CONFIG)
    assert new.directory == "/b/u-0"
    manager.close()
    assert files.exists("/b/.kafka_cleanshutdown")
    assert not files.exists("/a/.kafka_cleanshutdown")


def test_read_error_takes_the_directory_offline(files):
    manager = start(files)
    log = manager.get_or_create("t", 0, bytes(15) + b"\1", CONFIG)
    partition = Partition("t", 0, log.topic_id, log)
    partition.become_leader(0)
    partition.append(memoryview(make_batch(1)), now_ms=NOW)
    files.read_error = errno.EIO
    assert partition.read(0, 100).error == ErrorCode.KAFKA_STORAGE_ERROR
    assert manager.offline_directories == ["/data"]


def test_running_out_of_descriptors_is_no_broken_disk(files):
    manager = start(files)
    log = manager.get_or_create("t", 0, bytes(15) + b"\1", LogConfig(segment_bytes=100))
    run_rounds(manager)
    append(log, make_batch(1))
    files.open_error = errno.EMFILE
    with pytest.raises(StorageError) as caught:
        append(log, make_batch(1))
    assert caught.value.errno == errno.EMFILE
    assert not manager.offline_directories
    assert not manager.full_directories
    files.open_error = 0
    assert append(log, make_batch(1)) == 1
    run_rounds(manager)
    assert len(values_of(log)) == 2
    files.open_error = errno.EMFILE
    log.request_flush()
    manager.take_flush_round()
    assert not manager.offline_directories


def test_descriptors_are_taken_back_from_readers(files):
    log = make_log(make_environment(files), LogConfig(segment_bytes=100))
    for _ in range(30):
        append(log, make_batch(1))
    log.flush()
    files.descriptors = files.open_count + 4
    assert len(values_of(log)) == 30
    assert append(log, make_batch(1)) == 30


def test_full_disk_while_checkpoints_are_written(files):
    clock = ManualClock(NOW)
    manager = start(files, clock)
    log = manager.get_or_create("t", 0, bytes(15) + b"\1", CONFIG)
    run_rounds(manager)
    append(log, make_batch(1))
    log.high_watermark = 1
    files.space = 0
    clock.advance(60_000)
    manager.tick(clock.monotonic_ms())
    run_rounds(manager)
    assert manager.full_directories == ["/data"]
    assert not manager.offline_directories
    files.space = None
    clock.advance(60_000)
    manager.tick(clock.monotonic_ms())
    run_rounds(manager)
    assert manager.full_directories == []


def test_close_on_a_full_disk_leaves_no_marker(files):
    manager = start(files)
    log = manager.get_or_create("t", 0, bytes(15) + b"\1", CONFIG)
    append(log, make_batch(1))
    files.space = 0
    reports = []
    manager.environment.report = reports.append
    manager.close()
    assert not files.exists("/data/.kafka_cleanshutdown")
    assert reports
    files.space = None
    again = start(files)
    assert len(values_of(again.load(lambda *_: CONFIG)[0])) == 1


@pytest.mark.parametrize("budget", [4, 1000])
def test_more_logs_than_descriptors(files, budget):
    """Every append works, whatever the budget says; nothing is closed unsynced; rounds get by too."""
    manager = start(files, max_open_read_files=3, max_open_write_files=budget)
    logs = [manager.get_or_create("t", i, bytes(15) + bytes([i]), CONFIG) for i in range(60)]
    files.descriptors = 30
    for _ in range(30):
        for log in logs:
            append(log, make_batch(1))
            closed = log.segments[-1].file is None
            assert not closed or log.segments[-1].synced_size == log.segments[-1].size
    assert files.open_count <= 30
    run_rounds(manager)
    for log in logs:
        assert len(values_of(log)) == 30
    if budget == 4:
        assert manager.environment.write_file_count <= 5
    assert manager.offline_directories == []


def test_a_sync_that_fails_for_want_of_descriptors_takes_the_directory_offline(files):
    manager = start(files)
    logs = [manager.get_or_create("t", i, bytes(15) + bytes([i]), CONFIG) for i in range(10)]
    files.descriptors = 5
    files.sync_error = errno.EIO
    with pytest.raises(StorageError):
        for log in logs:
            append(log, make_batch(1))
    assert manager.offline_directories == ["/data"]


class JumpingClock(ManualClock):
    """Its wall time may be set, as an operator or a time server does it."""

    def jump(self, milliseconds):
        self._wall_ms += milliseconds


@pytest.mark.parametrize("day", [-86_400_000, 86_400_000])
def test_a_wall_clock_that_jumps_rolls_and_delays_nothing(files, day):
    """Rolls follow the records' timestamps, rounds and checks the clock that cannot jump."""
    clock = JumpingClock(NOW)
    manager = make_manager(files, clock=clock, checkpoint_interval_ms=1_000)
    manager.open(1)
    manager.load(lambda topic, partition, topic_id: None)
    log = manager.get_or_create("t", 0, TOPIC_ID, LogConfig(segment_ms=10_000))
    append(log, make_batch(1, timestamp=NOW))
    run_rounds(manager)
    clock.jump(day)
    append(log, make_batch(1, timestamp=NOW + 9_000))
    assert len(log.segments) == 1
    append(log, make_batch(1, timestamp=NOW + 10_001))
    assert len(log.segments) == 2
    run_rounds(manager)
    clock.advance(1_000)
    manager.tick(clock.monotonic_ms())
    run_rounds(manager)
    assert b"t 0 3" in read_file(files, "/data/recovery-point-offset-checkpoint")
    manager.close()
    again = make_manager(files, clock=clock)
    again.open(1)
    again.load(lambda topic, partition, topic_id: LogConfig())
    assert again.get("t", 0).log_end_offset == 3


def test_a_directory_that_is_none_any_more(tmp_path):
    """Found when a log is to be made there; a name that is missing inside says nothing of the directory."""
    paths = [tmp_path / name for name in "ab"]
    manager = make_manager(DiskFileSystem(), directories=[str(path) for path in paths])
    manager.open(1)
    here, there = manager.log_directories
    manager.disk_error(here, FileNotFoundError(errno.ENOENT, "no such file"))
    assert not manager.offline_directories
    paths[1].rename(tmp_path / "gone")
    paths[1].write_text("not a directory")
    manager.prefer("t", 0, there)
    with pytest.raises(StorageError):
        manager.get_or_create("t", 0, bytes(15) + b"\1", CONFIG)
    assert manager.offline_directories == [str(paths[1])]
    manager.close()
