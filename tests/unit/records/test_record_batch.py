"""Header, records and building: round trips, limits, and other libraries' readers and writers."""

from __future__ import annotations

import aiokafka.record.default_records as aiokafka_records
import kafka.record.default_records as kafka_python_records
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pybroker.common.errors import CorruptionError
from pybroker.records import batch as batches
from pybroker.records.batch import (
    HEADER_SIZE,
    LOG_APPEND_TIME,
    BatchHeader,
    Record,
    build_batch,
    crc_matches,
    iter_headers,
    iter_records,
    max_timestamp_record,
    read_header,
    read_varint,
    read_varlong,
    recompute_crc,
    stamp,
    timestamp_lookup,
    wrap_int64,
    write_varint,
)
from tests.unit.records.record_builders import NOW, raw_batch, raw_record, varint

names = st.text(max_size=20).map(str.encode)
contents = st.none() | st.binary(max_size=300)
records = st.builds(
    Record,
    timestamp=st.one_of(st.integers(NOW - 1000, NOW + 1000), st.integers(-1, 2**62)),
    key=contents,
    value=contents,
    headers=st.lists(st.tuples(names, contents), max_size=3).map(tuple),
)


@given(st.lists(records, min_size=1, max_size=30), st.integers(0, 4), st.integers(0, 2**60))
@settings(max_examples=100, deadline=None)
def test_round_trip(given_records, codec, base_offset):
    batch = build_batch(given_records, base_offset=base_offset, codec=codec)
    header = read_header(batch)
    assert crc_matches(batch)
    assert header.size == len(batch)
    assert header.record_count == len(given_records)
    assert header.last_offset == base_offset + len(given_records) - 1 == header.next_offset - 1
    assert header.codec == codec == batches.codec(header.attributes)
    assert header.max_timestamp == max(record.timestamp for record in given_records)
    expected = [
        Record(base_offset + index, record.timestamp, record.key, record.value, record.headers)
        for index, record in enumerate(given_records)
    ]
    assert list(iter_records(memoryview(batch))) == expected
    assert max_timestamp_record(batch) == (
        header.max_timestamp,
        next(record.offset for record in expected if record.timestamp == header.max_timestamp),
    )


@given(st.lists(records, min_size=1, max_size=10), st.integers(-2, 2**62))
@settings(max_examples=60, deadline=None)
def test_timestamp_lookup(given_records, target):
    batch = build_batch(given_records, base_offset=50)
    matching = [
        (record.timestamp, 50 + index)
        for index, record in enumerate(given_records)
        if record.timestamp >= target
    ]
    assert timestamp_lookup(batch, target) == (matching[0] if matching else None)
    later = [match for match in matching if match[1] >= 52]
    assert timestamp_lookup(batch, target, min_offset=52) == (later[0] if later else None)


@given(st.integers(-(2**63), 2**63 - 1))
def test_varints(value):
    out = bytearray(b"x")
    write_varint(out, value)
    assert read_varlong(bytes(out), 1) == (value, len(out))
    if -(2**31) <= value < 2**31:
        assert read_varint(bytes(out), 1) == (value, len(out))
    assert bytes(out[1:]) == varint(value)


def test_varint_limits():
    assert read_varint(b"\x80\x80\x80\x80\x00", 0) == (0, 5)
    assert read_varint(b"\xff\xff\xff\xff\xff\x7f"[1:], 0) == (-(2**31), 5)
    with pytest.raises(CorruptionError):
        read_varint(b"\x80" * 5 + b"\x00", 0)
    assert read_varlong(b"\x80" * 9 + b"\x00", 0) == (0, 10)
    with pytest.raises(CorruptionError):
        read_varlong(b"\x80" * 10 + b"\x00", 0)
    with pytest.raises(IndexError):
        read_varint(b"\x80", 0)


def test_wrap():
    assert wrap_int64(2**63) == -(2**63)
    assert wrap_int64(-(2**63) - 1) == 2**63 - 1
    assert wrap_int64(-1) == -1


def test_header_properties():
    header = read_header(
        build_batch(
            [Record(value=b"x"), Record(value=b"y")],
            base_offset=7,
            codec=2,
            timestamp_type=LOG_APPEND_TIME,
            max_timestamp=99,
            producer_id=5,
            producer_epoch=6,
            base_sequence=2**31 - 1,
            transactional=True,
            control=True,
            leader_epoch=8,
        )
    )
    assert header.timestamp_type == LOG_APPEND_TIME
    assert header.is_transactional
    assert header.is_control
    assert header.last_sequence == 0
    assert header.delete_horizon_ms is None
    assert (header.leader_epoch, header.max_timestamp) == (8, 99)
    assert batches.is_control(header.attributes)
    assert batches.is_transactional(header.attributes)
    assert header._replace(base_sequence=-1).last_sequence == -1


def test_log_append_time_gives_all_records_the_maximum():
    batch = build_batch(
        [Record(timestamp=5), Record(timestamp=3)],
        base_offset=10,
        timestamp_type=LOG_APPEND_TIME,
        max_timestamp=77,
    )
    assert [record.timestamp for record in iter_records(batch)] == [77, 77]
    assert timestamp_lookup(batch, 70) == (77, 10)
    assert timestamp_lookup(batch, 70, min_offset=11) == (77, 11)
    assert timestamp_lookup(batch, 78) is None
    assert max_timestamp_record(batch) == (77, 10)


def test_cleaned_batch_keeps_offsets_and_horizon():
    kept = [Record(12, NOW, b"a", None), Record(17, NOW + 5, b"b", b"2")]
    batch = build_batch(
        kept, base_offset=10, keep_offsets=True, last_offset_delta=9, delete_horizon_ms=NOW + 1000
    )
    header = read_header(batch)
    assert (header.base_offset, header.last_offset, header.record_count) == (10, 19, 2)
    assert header.delete_horizon_ms == header.base_timestamp == NOW + 1000
    assert list(iter_records(batch)) == kept


def test_empty_batch():
    batch = build_batch([], base_offset=10, last_offset_delta=4, producer_id=3, base_sequence=0)
    header = read_header(batch)
    assert (header.size, header.record_count, header.last_offset) == (HEADER_SIZE, 0, 14)
    assert header.max_timestamp == header.base_timestamp == -1
    assert list(iter_records(batch)) == []
    assert max_timestamp_record(batch) is None
    assert timestamp_lookup(batch, 0) is None


def test_stamp_leaves_the_checksum_alone():
    batch = bytearray(build_batch([Record(value=b"x")]))
    stamp(batch, 2**40, 12)
    assert crc_matches(batch)
    header = read_header(batch)
    assert (header.base_offset, header.leader_epoch) == (2**40, 12)
    batch[30] ^= 1
    assert not crc_matches(batch)
    checksum = recompute_crc(memoryview(batch))
    assert crc_matches(batch)
    assert read_header(batch).crc == checksum


def test_batches_back_to_back():
    first, second = build_batch([Record()]), build_batch([Record()], base_offset=1)
    data = b"junk" + first + second + first[:65]
    found = list(iter_headers(data, 4))
    assert [(pos, header.base_offset) for pos, header in found] == [(4, 0), (4 + len(first), 1)]
    assert crc_matches(data, 4 + len(first))
    assert not crc_matches(data, 4 + len(first + second))
    assert len(list(iter_records(first + second))) == 1


@pytest.mark.parametrize(
    "data",
    [
        b"",
        bytes(60),
        bytes(raw_batch(raw_record(), magic=1)),
        bytes(raw_batch(raw_record(), length=48)),
        bytes(raw_batch(raw_record(), length=-1)),
    ],
)
def test_bad_headers(data):
    with pytest.raises(CorruptionError):
        read_header(data)


def test_negative_position():
    with pytest.raises(CorruptionError):
        read_header(build_batch([Record()]), -1)


@pytest.mark.parametrize(
    "batch",
    [
        raw_batch(raw_record(), length=500),
        raw_batch(raw_record(), record_count=2),
        raw_batch(raw_record(), raw_record(1), record_count=1),
        raw_batch(raw_record(length=100)),
        raw_batch(raw_record(length=-1)),
        raw_batch(raw_record(length=7)),
        raw_batch(raw_record(headers=varint(-1))),
        raw_batch(raw_record(headers=varint(1) + varint(-1) + varint(-1))),
        raw_batch(raw_record(headers=varint(1) + varint(1) + b"a" + varint(50))),
        raw_batch(raw_record(headers=varint(200))),
        raw_batch(raw_record(key_bytes=b"\x80" * 6)),
        raw_batch(body=b"not gzip", codec=1, record_count=1),
        raw_batch(raw_record(), attributes=7),
    ],
)
def test_malformed_batches(batch):
    with pytest.raises(CorruptionError):
        list(iter_records(batch))


def test_content_bound():
    batch = build_batch([Record(value=bytes(10_000))], codec=4)
    with pytest.raises(CorruptionError):
        list(iter_records(batch, max_bytes=9_999))
    assert len(list(iter_records(batch, max_bytes=11_000))) == 1


# Other libraries: what they write we read, what we write they read.

CODECS = [0, 1, 2, 3, 4]
ROWS = [
    (NOW + index, key, value, headers)
    for index, (key, value, headers) in enumerate(
        [
            (b"key", b"value", []),
            (None, b"", []),
            (b"", None, [("h", b"1"), ("ä", b"")]),
            (b"k" * 300, b"v" * 70_000, []),
        ]
    )
]
OURS = [
    Record(index, timestamp, key, value, tuple((name.encode(), content) for name, content in headers))
    for index, (timestamp, key, value, headers) in enumerate(ROWS)
]


both_libraries = pytest.mark.parametrize(
    "library", [aiokafka_records, kafka_python_records], ids=["aiokafka", "kafka-python"]
)


def written_by(library, codec: int) -> bytes:
    builder = library.DefaultRecordBatchBuilder(
        magic=2,
        compression_type=codec,
        is_transactional=1,
        producer_id=123,
        producer_epoch=4,
        base_sequence=5,
        batch_size=10**6,
    )
    for index, (timestamp, key, value, headers) in enumerate(ROWS):
        builder.append(index, timestamp, key, value, headers)
    return bytes(builder.build())


@pytest.mark.parametrize("codec", CODECS)
@both_libraries
def test_other_writers(library, codec):
    batch = written_by(library, codec)
    header = read_header(batch)
    assert crc_matches(batch)
    assert (header.producer_id, header.producer_epoch, header.base_sequence) == (123, 4, 5)
    assert (header.codec, header.is_transactional, header.record_count) == (codec, True, 4)
    assert list(iter_records(batch)) == OURS


@both_libraries
def test_same_bytes_as_other_writers(library):
    """Uncompressed there is one right encoding."""
    ours = build_batch(
        OURS, producer_id=123, producer_epoch=4, base_sequence=5, transactional=True, leader_epoch=0
    )
    theirs = bytearray(written_by(library, 0))
    stamp(theirs, 0, 0)
    assert ours == bytes(theirs)


@pytest.mark.parametrize("codec", CODECS)
@both_libraries
def test_other_readers(library, codec):
    reader = library.DefaultRecordBatch(bytearray(build_batch(OURS, base_offset=100, codec=codec)))
    assert reader.validate_crc()
    found = []
    for row in reader:
        headers = tuple((name.encode(), content) for name, content in row.headers)
        key, value = (None if field is None else bytes(field) for field in (row.key, row.value))
        found.append(Record(row.offset - 100, row.timestamp, key, value, headers))
    assert found == OURS


def test_header_is_61_bytes():
    assert batches.HEADER.size == HEADER_SIZE
    assert len(BatchHeader._fields) == 13
