"""`validate_produce` against the answers of Kafka 4.3.0: every row of docs/protocol.md section 10.2."""

from __future__ import annotations

import struct
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pybroker.common.errors import CorruptionError, ErrorCode
from pybroker.records import compression
from pybroker.records.batch import (
    HEADER_SIZE,
    LOG_APPEND_TIME,
    Record,
    build_batch,
    crc_matches,
    iter_records,
    read_header,
    stamp,
)
from pybroker.records.validation import (
    ProduceRules,
    Rejection,
    ValidatedBatch,
    WalkPolicy,
    has_transactional_batch,
    preflight,
    validate_produce,
    walk_records,
)
from tests.unit.records.record_builders import NOW, raw_batch, raw_record, varint

HOUR = 3_600_000
RULES = ProduceRules("T", 0)
PLAIN, VALIDATED = True, False


def validate(records, *, version=9, rules=RULES, walk=True, now_ms=NOW):
    view = None if records is None else memoryview(bytes(records))
    return validate_produce(view, version=version, rules=rules, now_ms=now_ms, walk=walk)


def good(count=1, codec=0, **fields):
    return raw_batch(*(raw_record(index) for index in range(count)), codec=codec, **fields)


def accepted(result) -> ValidatedBatch:
    assert isinstance(result, ValidatedBatch), result
    assert crc_matches(result.buffer)
    assert read_header(result.buffer) == result.header
    assert len(result.buffer) == result.header.size
    assert not memoryview(result.buffer).readonly
    return result


def refused(result, code, *, plain, whole_request=False) -> Rejection:
    assert isinstance(result, Rejection), result
    assert (result.error_code, result.plain, result.whole_request) == (code, plain, whole_request)
    return result


class TestAccepted:
    @pytest.mark.parametrize("walk", [True, False])
    @pytest.mark.parametrize("codec", range(5))
    def test_good_batch_is_stored_unchanged(self, codec, walk):
        batch = good(3, codec)
        result = accepted(validate(batch, walk=walk))
        assert result.buffer == batch
        assert result.record_count == 3
        assert result.max_timestamp == NOW
        assert result.walked is walk

    def test_writable_input_is_not_copied(self):
        batch = good()
        result = accepted(validate_produce(memoryview(batch), version=9, rules=RULES, now_ms=NOW, walk=True))
        stamp(result.buffer, 77, 5)
        assert (read_header(batch).base_offset, read_header(batch).leader_epoch) == (77, 5)
        assert crc_matches(batch)

    def test_records_after_the_batch_are_not_touched(self):
        frame = good() + b"abc"
        result = validate_produce(memoryview(frame), version=9, rules=RULES, now_ms=NOW, walk=True)
        assert len(accepted(result).buffer) == len(frame) - 3

    @pytest.mark.parametrize(
        "junk",
        [b"abc", b"\x00" * 11, good()[:-1], good()[:30], good()[:16]],
        ids=["3 bytes", "11 bytes", "cut batch", "half header", "no magic"],
    )
    def test_incomplete_rest_is_dropped(self, junk):
        batch = good()
        assert accepted(validate(batch + junk)).buffer == batch

    @pytest.mark.parametrize("codec", [0, 1])
    def test_length_of_minus_two_is_a_null_key(self, codec):
        batch = raw_batch(raw_record(key_bytes=varint(-2)), codec=codec)
        assert accepted(validate(batch)).buffer == batch

    def test_overlong_varint_as_record_length(self):
        body = raw_record()
        length = body[0]
        batch = raw_batch(bytes([length | 0x80, 0x80, 0x80, 0x80, 0x00]) + body[1:])
        accepted(validate(batch))
        batch = raw_batch(bytes([length | 0x80, 0x80, 0x80, 0x80, 0x80, 0x00]) + body[1:])
        refused(validate(batch), ErrorCode.INVALID_RECORD, plain=VALIDATED)

    def test_garbage_after_a_gzip_member(self):
        body = compression.compress(1, raw_record())
        for garbage in (b"garbage after the member", b"\x00", b"\x1f\x8b"):
            accepted(validate(raw_batch(body=body + garbage, codec=1, last_offset_delta=0, record_count=1)))

    def test_two_gzip_members(self):
        body = compression.compress(1, raw_record()) + compression.compress(1, raw_record(1))
        accepted(validate(raw_batch(body=body, codec=1, last_offset_delta=1, record_count=2)))

    @pytest.mark.parametrize("bit", [0x40, 0x80])
    def test_bits_without_meaning_for_a_producer_are_kept(self, bit):
        batch = good(attributes=bit)
        assert accepted(validate(batch)).header.attributes == bit

    def test_record_attributes_are_kept(self):
        batch = raw_batch(raw_record(attributes=1))
        assert accepted(validate(batch)).buffer == batch

    def test_leader_epoch_of_the_client_does_not_matter(self):
        accepted(validate(good(leader_epoch=99)))

    @pytest.mark.parametrize("producer_id", [0, 5, -2])
    def test_producer_with_sequence(self, producer_id):
        accepted(validate(good(producer_id=producer_id, producer_epoch=0, base_sequence=2147483646)))

    def test_no_producer_id_but_epoch_and_sequence(self):
        accepted(validate(good(producer_id=-1, producer_epoch=3, base_sequence=4)))

    def test_producer_id_without_epoch(self):
        accepted(validate(good(producer_id=4, producer_epoch=-1, base_sequence=4)))


class TestFraming:
    @pytest.mark.parametrize("records", [None, b"", b"\x00" * 11, b"\x00" * 8 + b"\x00\x00\x00\x31\x00"])
    def test_nothing_there(self, records):
        refused(validate(records), ErrorCode.INVALID_RECORD, plain=PLAIN)

    @pytest.mark.parametrize("cut", [1, 10, 31, 51, 58])
    def test_cut_batch(self, cut):
        batch = good()
        refused(validate(batch[:-cut]), ErrorCode.INVALID_RECORD, plain=PLAIN)

    def test_length_beyond_the_data(self):
        refused(validate(good(length=1000)), ErrorCode.INVALID_RECORD, plain=PLAIN)
        refused(validate(good(length=2**31 - 13)), ErrorCode.INVALID_RECORD, plain=PLAIN)

    @pytest.mark.parametrize("second", [good(), good(magic=1), good(length=20)])
    def test_two_batches(self, second):
        refused(validate(good() + second), ErrorCode.INVALID_RECORD, plain=PLAIN)

    @pytest.mark.parametrize("second", [b"\xff" * 100, good(magic=3), good(length=13)])
    def test_broken_second_batch(self, second):
        refused(validate(good() + second), ErrorCode.CORRUPT_MESSAGE, plain=PLAIN)

    @pytest.mark.parametrize("walk", [True, False])
    @pytest.mark.parametrize("version", [3, 9])
    def test_wrong_crc(self, version, walk):
        result = validate(good(bad_crc=True), version=version, walk=walk)
        refused(result, ErrorCode.CORRUPT_MESSAGE, plain=PLAIN)

    @pytest.mark.parametrize("magic", [0, 1])
    def test_old_formats(self, magic):
        refused(validate(good(magic=magic)), ErrorCode.INVALID_RECORD, plain=PLAIN)

    @pytest.mark.parametrize("magic", [3, -1, 127, -128])
    def test_unknown_format_refuses_the_whole_request(self, magic):
        for check in (validate, lambda records: preflight(memoryview(records))):
            result = refused(
                check(good(magic=magic)), ErrorCode.CORRUPT_MESSAGE, plain=PLAIN, whole_request=True
            )
            assert result.error_message == f"Invalid magic found in record: {magic}"

    @pytest.mark.parametrize(("records", "length"), [(good(length=10), 10), (b"\xff" * 100, -1)])
    def test_impossible_length_refuses_the_whole_request(self, records, length):
        for check in (validate, lambda records: preflight(memoryview(records))):
            result = refused(check(records), ErrorCode.CORRUPT_MESSAGE, plain=PLAIN, whole_request=True)
            expected = f"Record size {length} is less than the minimum record overhead (14)"
            assert result.error_message == expected

    @pytest.mark.parametrize("length", [49, 48, 30, 14])
    def test_length_of_the_header_or_less(self, length):
        refused(validate(good(length=length)), ErrorCode.CORRUPT_MESSAGE, plain=PLAIN)

    def test_length_beyond_an_int_refuses_the_whole_request(self):
        """The reference's own sum overflows."""
        for records in (good(length=2**31 - 1), good() + good(length=2**31 - 12)):
            refused(validate(records), ErrorCode.UNKNOWN_SERVER_ERROR, plain=PLAIN, whole_request=True)

    def test_preflight_lets_everything_else_pass(self):
        for records in (good(), good(bad_crc=True), good(magic=1)):
            assert preflight(memoryview(records)) is True
        # What is not exactly one batch has to be looked at again.
        for records in (good()[:-1], good() * 2, b""):
            assert preflight(memoryview(records)) is False
        assert preflight(None) is True


class TestHeader:
    @pytest.mark.parametrize("codec", [0, 1])
    @pytest.mark.parametrize(
        ("records", "fields"),
        [
            (1, {"record_count": 0, "last_offset_delta": -1}),
            (1, {"record_count": 0}),
            (1, {"record_count": -1, "last_offset_delta": -2}),
            (1, {"record_count": 2, "last_offset_delta": 1}),
            (2, {"record_count": 1, "last_offset_delta": 0}),
            (1, {"last_offset_delta": 5}),
            (1, {"last_offset_delta": 2**31 - 1, "record_count": 2**31 - 1}),
        ],
    )
    def test_counts(self, records, fields, codec):
        refused(validate(good(records, codec, **fields)), ErrorCode.INVALID_RECORD, plain=VALIDATED)

    def test_counts_in_the_header_are_checked_without_a_walk(self):
        for fields in ({"last_offset_delta": 5}, {"record_count": 0}):
            refused(validate(good(**fields), walk=False), ErrorCode.INVALID_RECORD, plain=VALIDATED)

    @pytest.mark.parametrize("walk", [True, False])
    def test_base_offset(self, walk):
        result = validate(good(base_offset=17), walk=walk)
        refused(result, ErrorCode.INVALID_RECORD, plain=VALIDATED)

    @pytest.mark.parametrize("walk", [True, False])
    def test_control_bit(self, walk):
        result = validate(good(attributes=0x20), walk=walk)
        refused(result, ErrorCode.INVALID_RECORD, plain=VALIDATED)

    @pytest.mark.parametrize("walk", [True, False])
    @pytest.mark.parametrize("codec", [5, 6, 7])
    def test_unknown_codec(self, codec, walk):
        result = validate(good(attributes=codec), walk=walk)
        refused(result, ErrorCode.UNKNOWN_SERVER_ERROR, plain=VALIDATED)

    @pytest.mark.parametrize("version", [3, 6])
    def test_zstd_before_version_7(self, version):
        result = validate(good(codec=4), version=version)
        refused(result, ErrorCode.UNSUPPORTED_COMPRESSION_TYPE, plain=PLAIN)
        accepted(validate(good(codec=4), version=7))

    @pytest.mark.parametrize("walk", [True, False])
    def test_producer_id_without_sequence(self, walk):
        result = validate(good(producer_id=7, producer_epoch=0, base_sequence=-1), walk=walk)
        refused(result, ErrorCode.INVALID_RECORD, plain=VALIDATED)

    def test_transactional_bit(self):
        assert has_transactional_batch(memoryview(good(attributes=0x10)))
        assert not has_transactional_batch(memoryview(good()))
        assert not has_transactional_batch(memoryview(good(attributes=0x10))[:-1])
        assert not has_transactional_batch(memoryview(b""))
        assert not has_transactional_batch(None)
        assert accepted(validate(good(attributes=0x10))).header.is_transactional


class TestRecords:
    @pytest.mark.parametrize("codec", range(5))
    @pytest.mark.parametrize(
        "record",
        [
            raw_record(length=100),
            raw_record(length=7),
            raw_record(length=9) + b"\x00\x00",
            raw_record(length=-1),
            raw_record(length=2**31 - 1),
            raw_record(headers=varint(-1)),
            raw_record(headers=varint(1000)),
            raw_record(headers=varint(1) + varint(-1) + varint(-1)),
            raw_record(headers=varint(1) + varint(2000) + b"x" + varint(-1)),
            raw_record(headers=varint(2) + varint(1) + b"x" + varint(-1)),
            raw_record(key_bytes=varint(2**31 - 1)),
            raw_record(key_bytes=b"\xff" * 6),
            raw_record() + b"\x00",
            raw_record()[:-1],
            b"",
        ],
        ids=[
            "length beyond the batch",
            "length shorter than its content",
            "length longer than its content",
            "negative length",
            "huge length",
            "header count -1",
            "header count above the bytes",
            "null header key",
            "header key beyond the record",
            "header missing",
            "key beyond the record",
            "varint too long",
            "byte after the last record",
            "last byte missing",
            "no record",
        ],
    )
    def test_malformed(self, record, codec):
        refused(validate(raw_batch(record, codec=codec)), ErrorCode.INVALID_RECORD, plain=VALIDATED)

    @pytest.mark.parametrize("codec", range(5))
    @pytest.mark.parametrize("deltas", [(5,), (1, 0), (0, 2), (0, 0), (-1,)])
    def test_offset_deltas_must_follow_each_other(self, deltas, codec):
        """Kafka answers -1 to compressed ones. A deviation: it stores the uncompressed ones as sent, which
        breaks consumers."""
        batch = raw_batch(*(raw_record(delta) for delta in deltas), codec=codec)
        code = ErrorCode.UNKNOWN_SERVER_ERROR if codec else ErrorCode.INVALID_RECORD
        refused(validate(batch), code, plain=VALIDATED)

    @pytest.mark.parametrize("codec", [1, 2, 3, 4])
    @pytest.mark.parametrize("body", [b"", b"\xff", b"nonsense that is no codec's", raw_record() * 9])
    def test_body_that_the_codec_cannot_read(self, body, codec):
        batch = raw_batch(body=body, codec=codec, last_offset_delta=0, record_count=1)
        # No zstd frames are a sound body without the records.
        without = codec == 4 and not body
        code = ErrorCode.INVALID_RECORD if without else ErrorCode.UNKNOWN_SERVER_ERROR
        refused(validate(batch), code, plain=VALIDATED)

    def test_linked_lz4_blocks(self):
        """Java refuses them in the broker and in consumers."""
        import lz4.frame

        data = raw_record(value=bytes(range(256)) * 400)
        body = lz4.frame.compress(data, block_linked=True, block_size=lz4.frame.BLOCKSIZE_MAX64KB)
        batch = raw_batch(body=body, codec=3, last_offset_delta=0, record_count=1)
        refused(validate(batch), ErrorCode.UNKNOWN_SERVER_ERROR, plain=VALIDATED)

    def test_without_a_walk_the_records_are_not_looked_at(self):
        accepted(validate(raw_batch(raw_record(5)), walk=False))

    def test_bomb_is_refused_within_bounds(self):
        body = compression.compress(4, bytes(50_000_000))
        batch = raw_batch(body=body, codec=4, last_offset_delta=0, record_count=1)
        refused(validate(batch), ErrorCode.MESSAGE_TOO_LARGE, plain=PLAIN)


class TestTimestamps:
    @pytest.mark.parametrize("walk", [True, False])
    @pytest.mark.parametrize("timestamp", [NOW + HOUR // 2, NOW + HOUR, 0, -1, -5])
    def test_in_range(self, timestamp, walk):
        batch = good(base_timestamp=timestamp, max_timestamp=timestamp)
        result = accepted(validate(batch, walk=walk))
        if timestamp >= -1:
            assert result.buffer == batch

    @pytest.mark.parametrize("walk", [True, False])
    @pytest.mark.parametrize("codec", [0, 1])
    def test_too_far_ahead(self, codec, walk):
        timestamp = NOW + 2 * HOUR
        batch = good(codec=codec, base_timestamp=timestamp, max_timestamp=timestamp)
        result = refused(validate(batch, walk=walk), ErrorCode.INVALID_TIMESTAMP, plain=VALIDATED)
        text = (
            f"Timestamp {timestamp} of message with offset 0 is out of range. The timestamp should be "
            f"within [{NOW - (2**63 - 1)}, {NOW + HOUR}]"
        )
        assert result.record_errors == ((0, text),)
        assert result.error_message == "One or more records have been rejected due to invalid timestamp"

    @pytest.mark.parametrize("walk", [True, False])
    def test_too_old(self, walk):
        rules = ProduceRules("T", 0, before_max_ms=1000)
        batch = good(base_timestamp=NOW - 100_000, max_timestamp=NOW - 100_000)
        result = validate(batch, rules=rules, walk=walk)
        result = refused(result, ErrorCode.INVALID_TIMESTAMP, plain=VALIDATED)
        text = (
            f"Timestamp {NOW - 100_000} of message with offset 0 is out of range. The timestamp should be "
            f"within [{NOW - 1000}, {NOW + HOUR}]"
        )
        assert result.record_errors == ((0, text),)

    def test_all_wrong_records_are_listed(self):
        batch = raw_batch(
            *(raw_record(index, timestamp_delta=2 * HOUR if index % 2 else 0) for index in range(6))
        )
        result = refused(validate(batch), ErrorCode.INVALID_TIMESTAMP, plain=VALIDATED)
        assert [index for index, _ in result.record_errors] == [1, 3, 5]
        assert "message with offset 3 " in result.record_errors[1][1]

    def test_minus_one_is_never_out_of_range(self):
        rules = ProduceRules("T", 0, before_max_ms=1000)
        for walk in (True, False):
            accepted(validate(good(base_timestamp=-1, max_timestamp=-1), rules=rules, walk=walk))

    def test_header_claims_a_far_maximum_that_no_record_has(self):
        result = accepted(validate(good(max_timestamp=NOW + 5 * HOUR), walk=False))
        assert result.max_timestamp == NOW

    @pytest.mark.parametrize("codec", range(5))
    @pytest.mark.parametrize("claimed", [NOW - 1, NOW + 1, NOW + 99, -1])
    def test_maximum_is_corrected(self, claimed, codec):
        records = [raw_record(i, timestamp_delta=delta) for i, delta in enumerate((0, 7, 70000, 70000, 3))]
        batch = raw_batch(*records, codec=codec, max_timestamp=claimed)
        result = accepted(validate(batch))
        assert result.header.max_timestamp == result.max_timestamp == NOW + 70000
        assert result.offset_of_max_timestamp == 2
        assert result.buffer[HEADER_SIZE:] == batch[HEADER_SIZE:]

    def test_negative_maximum_becomes_minus_one(self):
        assert accepted(validate(good(base_timestamp=-5, max_timestamp=-5))).max_timestamp == -1

    def test_timestamp_that_overflows(self):
        rules = ProduceRules("T", 0, after_max_ms=2**63 - 1)
        batch = raw_batch(raw_record(timestamp_delta=2**62), base_timestamp=2**62 + 2**61)
        accepted(validate(batch, rules=rules))
        result = validate(raw_batch(raw_record(timestamp_delta=-(2**62)), base_timestamp=-(2**63)))
        result = refused(result, ErrorCode.INVALID_TIMESTAMP, plain=VALIDATED)
        assert result.record_errors[0][1].startswith(f"Timestamp {2**62} of")

    @pytest.mark.parametrize("walk", [True, False])
    def test_log_append_time_bit_is_cleared(self, walk):
        batch = good(2, attributes=0x88)
        result = accepted(validate(batch, walk=walk))
        assert result.header.attributes == 0

    def test_log_append_time_bit_without_timestamp(self):
        result = validate(good(attributes=0x08, base_timestamp=-1, max_timestamp=-1))
        refused(result, ErrorCode.INVALID_TIMESTAMP, plain=VALIDATED)

    @pytest.mark.parametrize("walk", [True, False])
    @pytest.mark.parametrize("codec", [0, 1])
    def test_log_append_time_topic(self, codec, walk):
        rules = ProduceRules("T", 0, timestamp_type=LOG_APPEND_TIME)
        timestamp = NOW + 2 * HOUR
        batch = good(3, codec, base_timestamp=timestamp, max_timestamp=timestamp)
        result = accepted(validate(batch, rules=rules, walk=walk))
        assert result.header.timestamp_type == LOG_APPEND_TIME
        assert result.header.max_timestamp == result.max_timestamp == NOW
        assert result.header.base_timestamp == timestamp
        assert {record.timestamp for record in iter_records(result.buffer)} == {NOW}

    def test_log_append_time_topic_refuses_the_bit_from_a_client(self):
        rules = ProduceRules("T", 0, timestamp_type=LOG_APPEND_TIME)
        result = refused(
            validate(good(attributes=0x08), rules=rules), ErrorCode.INVALID_TIMESTAMP, plain=VALIDATED
        )
        text = (
            f"Invalid timestamp type in message DefaultRecord(offset=0, timestamp={NOW}, key=1 bytes, "
            "value=1 bytes). Producer should not set timestamp type to LogAppendTime."
        )
        assert result.record_errors == ((0, text),)


class TestCompactedTopic:
    RULES = ProduceRules("T", 0, compaction=True)
    TEXT = "Compacted topic cannot accept message without key in topic partition T-0"

    @pytest.mark.parametrize("walk", [True, False])
    @pytest.mark.parametrize("codec", range(5))
    def test_record_without_key(self, codec, walk):
        batch = raw_batch(raw_record(0), raw_record(1, key=None), raw_record(2), codec=codec)
        result = refused(
            validate(batch, rules=self.RULES, walk=walk), ErrorCode.INVALID_RECORD, plain=VALIDATED
        )
        assert result.record_errors == ((1, self.TEXT),)
        assert result.error_message == (
            "One or more records have been rejected due to 1 record errors in total, and only showing the "
            f"first three errors at most: [RecordError(batchIndex=1, message='{self.TEXT}')]"
        )

    def test_three_errors_are_shown(self):
        batch = raw_batch(*(raw_record(index, key=None) for index in range(5)))
        result = refused(validate(batch, rules=self.RULES), ErrorCode.INVALID_RECORD, plain=VALIDATED)
        assert len(result.record_errors) == 5
        assert result.error_message.count("RecordError(") == 3
        assert "due to 5 record errors" in result.error_message

    def test_bad_timestamp_decides_over_missing_key(self):
        batch = raw_batch(raw_record(key=None), raw_record(1, timestamp_delta=2 * HOUR))
        result = refused(validate(batch, rules=self.RULES), ErrorCode.INVALID_TIMESTAMP, plain=VALIDATED)
        assert [index for index, _ in result.record_errors] == [0, 1]

    def test_empty_key_is_a_key(self):
        accepted(validate(raw_batch(raw_record(key=b""), raw_record(1, value=None)), rules=self.RULES))


class TestSize:
    @pytest.mark.parametrize("walk", [True, False])
    def test_limit_is_inclusive(self, walk):
        overhead = len(raw_batch(raw_record(value=bytes(1_000_000)))) - 1_000_000
        value = bytes(1_048_588 - overhead)
        exact = raw_batch(raw_record(value=value))
        assert len(exact) == 1_048_588
        accepted(validate(exact, walk=walk))
        over = raw_batch(raw_record(value=value + b"x"))
        refused(validate(over, walk=walk), ErrorCode.MESSAGE_TOO_LARGE, plain=PLAIN)

    def test_size_comes_before_the_checksum(self):
        rules = ProduceRules("T", 0, max_message_bytes=60)
        result = validate(good(bad_crc=True), rules=rules)
        refused(result, ErrorCode.MESSAGE_TOO_LARGE, plain=PLAIN)

    @pytest.mark.parametrize("codec", [1, 2, 3, 4])
    def test_content_may_be_larger_but_not_after_decompression(self, codec):
        batch = raw_batch(raw_record(value=bytes(2000)), codec=codec)
        accepted(validate(batch, rules=ProduceRules("T", 0, max_message_bytes=500)))
        rules = ProduceRules("T", 0, max_message_bytes=500, compression_type="uncompressed")
        refused(validate(batch, rules=rules, walk=False), ErrorCode.MESSAGE_TOO_LARGE, plain=PLAIN)


class TestCompressionType:
    NAMES = ("uncompressed", "gzip", "snappy", "lz4", "zstd")

    @pytest.mark.parametrize("walk", [True, False])
    @pytest.mark.parametrize("source", range(5))
    @pytest.mark.parametrize("target", range(5))
    def test_conversion(self, source, target, walk):
        headers = varint(2) + varint(1) + b"a" + varint(-1) + varint(0) + varint(3) + b"xyz"
        batch = raw_batch(
            raw_record(0, key=None, value=None, timestamp_delta=4),
            raw_record(1, value=b"v" * 300, headers=headers, timestamp_delta=9),
            codec=source,
            attributes=source | 0x10,
            producer_id=9,
            producer_epoch=8,
            base_sequence=7,
            max_timestamp=NOW + 9,
        )
        rules = ProduceRules("T", 0, compression_type=self.NAMES[target])
        result = accepted(validate(batch, rules=rules, walk=walk))
        assert result.header.codec == target
        assert result.header.attributes & ~7 == 0x10
        assert result.header[9:] == (9, 8, 7, 2)
        assert result.max_timestamp == NOW + 9
        assert list(iter_records(result.buffer)) == list(iter_records(batch))
        if source == target:
            assert result.buffer == batch

    def test_conversion_on_a_log_append_time_topic(self):
        rules = ProduceRules("T", 0, compression_type="lz4", timestamp_type=LOG_APPEND_TIME)
        result = accepted(validate(good(3, max_timestamp=5), rules=rules))
        assert result.header.attributes == 0x08 | 3
        assert result.max_timestamp == result.header.max_timestamp == NOW
        assert result.offset_of_max_timestamp == 2

    def test_level_is_used(self):
        import random

        value = bytes(random.Random(1).choices(b"abcdefgh", k=50_000))
        batch = raw_batch(raw_record(value=value))
        sizes = {
            level: len(
                accepted(
                    validate(batch, rules=ProduceRules("T", 0, compression_type="gzip", gzip_level=level))
                ).buffer
            )
            for level in (1, 9)
        }
        assert sizes[9] < sizes[1]

    def test_damaged_batch_is_not_converted(self):
        rules = ProduceRules("T", 0, compression_type="gzip")
        result = validate(raw_batch(raw_record(length=3)), rules=rules, walk=False)
        refused(result, ErrorCode.INVALID_RECORD, plain=VALIDATED)


class TestWalkPolicy:
    def test_adaptive(self):
        policy = WalkPolicy("adaptive")
        small, large = memoryview(good(16)), memoryview(good(17))
        assert [policy.should_walk(large) for _ in range(66)] == [True] * 64 + [False] * 2
        assert policy.should_walk(small)
        assert not policy.should_walk(large)
        policy.batch_refused(Rejection(ErrorCode.MESSAGE_TOO_LARGE))
        policy.batch_refused(Rejection(ErrorCode.INVALID_TIMESTAMP))
        assert not policy.should_walk(large)
        policy.batch_refused(Rejection(ErrorCode.INVALID_RECORD))
        assert policy.should_walk(large)
        assert not WalkPolicy("adaptive").should_walk(None)

    def test_full_and_header(self):
        full, header = WalkPolicy("full"), WalkPolicy("header")
        header.batch_refused(Rejection(ErrorCode.INVALID_RECORD))
        for count in (1, 100):
            records = memoryview(good(count))
            assert full.should_walk(records)
            assert not header.should_walk(records)

    def test_unknown_mode(self):
        with pytest.raises(ValueError, match="not one of full"):
            WalkPolicy("sometimes")


def slow_walk(data: bytes, count: int):
    """The plain twin of `walk_records`: the reader of `iter_records` over an uncompressed batch."""
    batch = raw_batch(body=data, last_offset_delta=count - 1, record_count=count, base_timestamp=0)
    records = list(iter_records(batch))
    if [record.offset for record in records] != list(range(count)):
        raise CorruptionError("offsets")
    deltas = [record.timestamp for record in records]
    largest = max(deltas)
    return largest, deltas.index(largest), min(deltas), any(record.key is None for record in records)


sizes = st.one_of(st.integers(0, 3), st.sampled_from([63, 64, 127, 128, 8191, 8192, 9000]))
contents = st.none() | sizes.map(bytes) | st.binary(max_size=20)
record_fields = st.tuples(
    contents,
    contents,
    st.one_of(st.integers(-200, 20000), st.integers(-(2**40), 2**40)),
    st.lists(st.tuples(st.binary(max_size=70), contents), max_size=3),
)


def encode(fields) -> bytes:
    out = b""
    for index, (key, value, delta, headers) in enumerate(fields):
        encoded = varint(len(headers))
        for name, content in headers:
            encoded += varint(len(name)) + name
            encoded += varint(-1) if content is None else varint(len(content)) + content
        out += raw_record(index, key, value, timestamp_delta=delta, headers=encoded)
    return out


@given(st.lists(record_fields, min_size=1, max_size=70))
@settings(max_examples=60, deadline=None)
def test_walk_agrees_with_the_plain_reader(fields):
    data = encode(fields)
    assert walk_records(data, len(fields)) == slow_walk(data, len(fields))


@given(st.lists(record_fields, min_size=1, max_size=4), st.data())
@settings(max_examples=200, deadline=None)
def test_walk_refuses_what_the_plain_reader_refuses(fields, data):
    damaged = bytearray(encode(fields))
    for _ in range(data.draw(st.integers(1, 3))):
        position = data.draw(st.integers(0, min(len(damaged) - 1, 60)))
        damaged[position] = data.draw(st.sampled_from([0, 1, 2, 0x7F, 0x80, 0x81, 0xFE, 0xFF]))
    count = max(1, len(fields) + data.draw(st.integers(-1, 1)))

    def outcome(walk):
        try:
            return walk(bytes(damaged), count)
        except CorruptionError:
            return None

    assert outcome(walk_records) == outcome(slow_walk)


@given(st.binary(max_size=200), st.booleans(), st.integers(3, 13))
@settings(max_examples=200, deadline=None)
def test_arbitrary_bytes_never_raise(data, walk, version):
    assert isinstance(validate(data, walk=walk, version=version), Rejection)


@given(st.data(), st.integers(0, 4), st.booleans())
@settings(max_examples=300, deadline=None)
def test_damage_with_a_sound_checksum_never_raises(data, codec, walk):
    """Bytes behind the checksum that a broken client computed well."""
    batch = good(3, codec)
    for _ in range(data.draw(st.integers(1, 4))):
        position = data.draw(st.integers(21, len(batch) - 1))
        batch[position] = data.draw(st.integers(0, 255))
    from crc32c import crc32c

    struct.pack_into(">I", batch, 17, crc32c(bytes(batch[21:])))
    rules = ProduceRules(
        "T",
        0,
        compaction=data.draw(st.booleans()),
        compression_type=data.draw(st.sampled_from(["producer", "uncompressed", "lz4"])),
        timestamp_type=data.draw(st.integers(0, 1)),
    )
    result = validate(batch, walk=walk, rules=rules)
    if isinstance(result, ValidatedBatch):
        accepted(result)
        if result.walked:
            assert len(list(iter_records(result.buffer))) == result.record_count


def test_built_batches_pass():
    records = [Record(0, NOW + i, str(i).encode(), b"v" * i, ((b"h", None),)) for i in range(200)]
    for codec in range(5):
        accepted(validate(build_batch(records, codec=codec)))


def test_gzip_helper_is_zlib():
    assert zlib.decompress(compression.compress(1, b"abc"), 31) == b"abc"
