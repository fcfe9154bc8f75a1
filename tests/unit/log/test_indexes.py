"""Offset, time and transaction index: lookups, files, zero padding, damage."""

from __future__ import annotations

import struct

import pytest

from pybroker.common.errors import CorruptionError
from pybroker.common.memory_files import MemoryFileSystem
from pybroker.log import offset_index, time_index
from pybroker.log.offset_index import OffsetIndex
from pybroker.log.time_index import TimeIndex
from pybroker.log.txn_index import AbortedTransaction, TransactionIndex
from tests.unit.log.log_helpers import overwrite, read_all


@pytest.fixture
def files():
    memory = MemoryFileSystem()
    memory.make_dirs("/d")
    return memory


def filled_offset_index():
    index = OffsetIndex(1000, 10_485_760)
    for number in range(1, 6):
        index.append(1000 + number * 10, number * 4096)
    return index


def test_offset_lookup_is_floor():
    index = filled_offset_index()
    assert index.lookup(1009) == (1000, 0)
    assert index.lookup(1010) == (1010, 4096)
    assert index.lookup(1029) == (1020, 8192)
    assert index.lookup(99999) == (1050, 20480)
    assert index.before_position(8191) == 4096
    assert index.before_position(8192) == 8192
    assert index.before_position(10) == 0


def test_offset_index_file_is_padded_then_trimmed(files):
    index = filled_offset_index()
    index.save(files, "/d/a.index", trim=False)
    assert files.file_size("/d/a.index") == 10_485_760
    padded = OffsetIndex(1000, 10_485_760)
    padded.load(files, "/d/a.index")
    assert len(padded) == 5
    assert padded.lookup(1050) == (1050, 20480)
    index.append(1060, 30000)
    index.save(files, "/d/a.index", trim=True)
    content = read_all(files, "/d/a.index")
    assert content == b"".join(struct.pack(">ii", n * 10, n * 4096) for n in range(1, 6)) + struct.pack(
        ">ii", 60, 30000
    )
    assert offset_index.last_entry_position(files, "/d/a.index") == 30000


def test_offset_index_truncation_rewrites_what_the_file_held(files):
    index = filled_offset_index()
    index.save(files, "/d/a.index", trim=True)
    index.truncate_to(1030)
    assert len(index) == 2
    index.append(1035, 9000)
    index.save(files, "/d/a.index", trim=False)
    again = OffsetIndex(1000, 10_485_760)
    again.load(files, "/d/a.index")
    assert again.lookup(5000) == (1035, 9000)
    assert len(again) == 3


@pytest.mark.parametrize(
    "content",
    [
        struct.pack(">iiii", 20, 100, 10, 200),
        struct.pack(">iiii", 10, 200, 20, 100),
        struct.pack(">iiii", 10, 200, 20, 200),
        struct.pack(">ii", -5, 100),
    ],
)
def test_damaged_offset_index_is_refused(files, content):
    files.open("/d/a.index", create=True).pwrite([content], 0)
    with pytest.raises(CorruptionError):
        OffsetIndex(0, 1024).load(files, "/d/a.index")


def test_offset_index_full():
    index = OffsetIndex(0, 20)
    assert index.max_entries == 2
    index.append(1, 10)
    assert not index.is_full
    index.append(2, 20)
    assert index.is_full


def test_time_index_keeps_only_growing_timestamps(files):
    index = TimeIndex(100, 120)
    index.maybe_append(5, 101)
    index.maybe_append(5, 102)
    index.maybe_append(4, 103)
    index.maybe_append(9, 104)
    assert len(index) == 2
    assert index.last_entry == (9, 104)
    assert index.lookup(8) == (5, 101)
    assert index.lookup(4) == (-1, 100)
    index.save(files, "/d/a.timeindex", trim=False)
    assert files.file_size("/d/a.timeindex") == 120
    loaded = TimeIndex(100, 120)
    loaded.load(files, "/d/a.timeindex")
    assert loaded.last_entry == (9, 104)
    index.save(files, "/d/a.timeindex", trim=True)
    assert read_all(files, "/d/a.timeindex") == struct.pack(">qiqi", 5, 1, 9, 4)
    assert time_index.last_file_entry(files, "/d/a.timeindex", 100) == (9, 104)


def test_preallocated_size_of_the_time_index_is_kafkas(files):
    index = TimeIndex(0, 10_485_760)
    index.save(files, "/d/a.timeindex", trim=False)
    assert files.file_size("/d/a.timeindex") == 10_485_756


def test_time_index_truncation():
    index = TimeIndex(0, 1200)
    for number in range(10):
        index.maybe_append(number * 100, number * 5)
    index.truncate_to(20)
    assert index.last_entry == (300, 15)


def test_damaged_time_index_is_refused(files):
    files.open("/d/a.timeindex", create=True).pwrite([struct.pack(">qiqi", 9, 1, 5, 4)], 0)
    with pytest.raises(CorruptionError):
        TimeIndex(0, 120).load(files, "/d/a.timeindex")


def test_transaction_index_round_trip_and_lookup(files):
    index = TransactionIndex(files, "/d/a.txnindex", 0)
    index.load()
    assert not files.exists("/d/a.txnindex")
    entries = [AbortedTransaction(7, 0, 10, 5), AbortedTransaction(8, 12, 20, 21)]
    for entry in entries:
        index.append(entry)
    assert files.file_size("/d/a.txnindex") == 68
    again = TransactionIndex(files, "/d/a.txnindex", 0)
    again.load()
    assert again.entries == entries
    assert again.aborted_in(11, 100) == (entries[1:], False)
    assert again.aborted_in(0, 12) == (entries[:1], True)
    again.truncate_to(20)
    assert files.file_size("/d/a.txnindex") == 34
    overwrite(files, "/d/a.txnindex", 34, b"xx")
    with pytest.raises(CorruptionError):
        again.load()
