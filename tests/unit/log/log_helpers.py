"""What the tests of the log room share: a log in memory, batches, and a file system that fails on demand."""

from __future__ import annotations

import errno
import random

from pybroker.common.clock import ManualClock
from pybroker.common.memory_files import MemoryFileSystem
from pybroker.common.steps import run_steps
from pybroker.log import LogConfig, LogManager, PartitionLog
from pybroker.log.environment import LogEnvironment
from pybroker.log.recovery import load_log
from pybroker.records.batch import Record, build_batch, iter_headers, iter_records

NOW = 1_700_000_000_000
TOPIC_ID = bytes(range(16))


def make_batch(count=1, *, timestamp=NOW, step=0, size=10, **options) -> bytes:
    """A batch of `count` records with timestamps `timestamp`, `timestamp + step`, ..."""
    return build_batch(
        [Record(0, timestamp + step * index, b"key", bytes([index & 255]) * size) for index in range(count)],
        **options,
    )


def make_environment(files=None, clock=None, **options) -> LogEnvironment:
    return LogEnvironment(
        MemoryFileSystem() if files is None else files, clock or ManualClock(NOW), random.Random(1), **options
    )


def make_log(environment=None, config=None, directory="/data/t-0", start_offset=0) -> PartitionLog:
    log = PartitionLog(
        environment or make_environment(),
        directory,
        "t",
        0,
        TOPIC_ID,
        config or LogConfig(segment_bytes=4096),
    )
    log.create(start_offset)
    return log


def append(log, batch: bytes, leader_epoch=0) -> int:
    """As a partition does it, without producer state."""
    header = next(iter_headers(batch))[1]
    return log.append_batch(
        bytearray(batch), len(batch), header.last_offset_delta, header.max_timestamp, leader_epoch
    )


def reopen(log, *, clean=False, environment=None, **options) -> PartitionLog:
    """Load the log's directory again, as after a stop."""
    environment = environment or make_environment(log.environment.files, log.environment.clock)
    steps = load_log(environment, log.directory, "t", 0, TOPIC_ID, log.config, clean=clean, **options)
    return run_steps(steps)


def headers_of(log, start=None):
    """The headers of all batches from `start` (the log start) on, read as a consumer would."""
    offset = log.log_start_offset if start is None else start
    found = []
    while offset < log.log_end_offset:
        data = log.read(offset, 1000, min_one_batch=True).records
        assert data, f"nothing at {offset} of {log.log_end_offset}"
        for _, header in iter_headers(data):
            found.append(header)
            offset = header.next_offset
    return found


def values_of(log, start=None):
    """(offset, timestamp, value) of all records."""
    offset = log.log_start_offset if start is None else start
    found = []
    while offset < log.log_end_offset:
        data = log.read(offset, 1, min_one_batch=True).records
        found += [(r.offset, r.timestamp, r.value) for r in iter_records(data) if r.offset >= offset]
        offset = next(iter_headers(data))[1].next_offset
    return found


def make_manager(files, *, clock=None, directories=("/data",), reports=None, **options) -> LogManager:
    options.setdefault("ballast_bytes", 0)
    return LogManager(
        files,
        list(directories),
        clock or ManualClock(NOW),
        random.Random(1),
        options.pop("defaults", LogConfig()),
        report=None if reports is None else reports.append,
        **options,
    )


def run_rounds(manager, limit=1000) -> int:
    """Do all the blocking work, as the shell would."""
    count = 0
    while (work := manager.take_flush_round()) is not None:
        error = None
        try:
            work.run()
        except OSError as failure:
            error = failure
        work.complete(error)
        count += 1
        assert count < limit
    return count


class FaultyFile:
    def __init__(self, system, file):
        self._system = system
        self._file = file
        self._open = True
        system.open_count += 1

    def close(self):
        if self._open:
            self._open = False
            self._system.open_count -= 1
        self._file.close()

    def __getattr__(self, name):
        return getattr(self._file, name)

    def pread(self, count, offset):
        if self._system.read_error:
            raise OSError(self._system.read_error, "read", self._file.path)
        return self._file.pread(count, offset)

    def pwrite(self, buffers, offset):
        system = self._system
        if system.write_error:
            raise OSError(system.write_error, "write", self._file.path)
        data = b"".join(buffers)
        if system.space is not None:
            growth = max(offset + len(data) - self._file.size(), 0)
            if growth > system.space:
                data = data[: len(data) - (growth - system.space)]
                if not data:
                    raise OSError(errno.ENOSPC, "no space", self._file.path)
                growth = system.space
            system.space -= growth
        return self._file.pwrite([data], offset)

    def truncate(self, size):
        before = self._file.size()
        self._file.truncate(size)
        if self._system.space is not None and size < before and self._file.path.endswith(".log"):
            self._system.space += before - size

    def sync(self):
        system = self._system
        system.sync_count += 1
        if system.sync_error:
            error, system.sync_error = system.sync_error, 0 if system.sync_error_once else system.sync_error
            raise OSError(error, "sync", self._file.path)
        self._file.sync()


class FaultyFileSystem:
    """Memory that runs out (`space` bytes of growth, short writes first), or refuses to open, read or sync."""

    def __init__(self, inner=None):
        self.inner = inner or MemoryFileSystem()
        self.space = None
        self.sync_error = 0
        self.sync_error_once = False
        self.read_error = 0
        self.write_error = 0
        self.open_error = 0
        self.sync_count = 0
        self.open_count = 0
        self.descriptors = None

    def __getattr__(self, name):
        return getattr(self.inner, name)

    def open(self, path, *, create=False, read_only=False):
        if self.open_error:
            raise OSError(self.open_error, "open", path)
        if self.descriptors is not None and self.open_count >= self.descriptors:
            raise OSError(errno.EMFILE, "too many", path)
        if self.space == 0 and create and not self.inner.exists(path):
            raise OSError(errno.ENOSPC, "no space", path)
        return FaultyFile(self, self.inner.open(path, create=create, read_only=read_only))

    def remove(self, path):
        if self.space is not None and path.endswith(("ballast", ".log.deleted")):
            self.space += self.inner.file_size(path)
        self.inner.remove(path)


def read_all(files, path) -> bytes:
    file = files.open(path, read_only=True)
    return file.pread(file.size(), 0)


def overwrite(files, path, position, data: bytes) -> None:
    files.open(path).pwrite([data], position)
