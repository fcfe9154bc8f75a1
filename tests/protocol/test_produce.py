"""Produce: protocol.md section 10.2 without transactions."""

from __future__ import annotations

import gzip
import re
import struct
import time
from typing import Any

import pytest

from tests.protocol import raw
from tests.protocol.raw import (
    CLOSED,
    GZIP,
    LZ4,
    PRODUCE,
    SILENT,
    SNAPPY,
    ZSTD,
    Batch,
    Connection,
    batch,
    record,
)

PLAIN = {
    "base_offset": -1,
    "log_append_time": -1,
    "log_start_offset": -1,
    "record_errors": [],
    "error_message": None,
}
HOUR_MS = 3_600_000


def without_error(answer: dict[str, Any]) -> dict[str, Any]:
    return {name: answer[name] for name in PLAIN}


def check_plain(answer: Any, error: int) -> None:
    """Refused before the partition's log was asked."""
    assert answer["error_code"] == error, answer
    assert without_error(answer) == PLAIN


def check_validated(answer: Any, error: int) -> None:
    """Refused by the log's own validation: the log start offset is the real one."""
    assert answer["error_code"] == error, answer
    assert answer["base_offset"] == -1
    assert answer["log_append_time"] == -1
    assert answer["log_start_offset"] == 0


def check_stored(answer: Any, base_offset: int | None = None) -> None:
    assert answer["error_code"] == 0, answer
    assert answer["base_offset"] >= 0
    if base_offset is not None:
        assert answer["base_offset"] == base_offset


def stored_batches(address: str, topic: str) -> list[raw.StoredBatch]:
    return raw.parse_batches(raw.fetch(address, topic)["records"])


# Good batches


@pytest.mark.parametrize("version", range(3, 14))
def test_a_good_batch_of_every_version(connection: Connection, version: int) -> None:
    name, topic_id = raw.create_topic(connection)
    wanted = topic_id if version >= 13 else name
    for base_offset in (0, 2):
        answer = connection.call(PRODUCE, version, raw.produce_values(wanted, raw.simple_batch(2)))
        assert answer["throttle_time"] == 0
        (topic,) = answer["responses"]
        assert topic.get("name", name) == name
        assert topic.get("topic_id", topic_id) == topic_id
        (partition,) = topic["partition_responses"]
        expected = {"index": 0, "error_code": 0, "base_offset": base_offset, "log_append_time": -1}
        if version >= 5:
            expected["log_start_offset"] = 0
        if version >= 8:
            expected |= {"record_errors": [], "error_message": None}
        if version >= 10:
            expected["current_leader"] = {"leader_id": -1, "leader_epoch": -1}
            assert answer["node_endpoints"] == []
        assert partition == expected


@pytest.mark.parametrize("codec", [0, GZIP, SNAPPY, LZ4, ZSTD])
def test_every_codec_comes_back_as_it_was_sent(address: str, topic: str, codec: int) -> None:
    records = [
        record(b"key", b"value" * 50, offset_delta=i, headers=[(b"h", b"x"), (b"", None)]) for i in range(3)
    ]
    sent = Batch(records, attributes=codec, base_timestamp=raw.now_ms()).bytes()
    check_stored(raw.produce(address, topic, sent), 0)
    (stored,) = stored_batches(address, topic)
    assert stored.crc_good
    assert stored.leader_epoch == 0
    assert stored.body == sent[61:]
    assert [r[0] for r in raw.parse_records(stored)] == [0, 1, 2]


@pytest.mark.parametrize("acks", [-1, 1])
@pytest.mark.parametrize("timeout", [0, -1, 2**31 - 1])
def test_any_timeout_is_accepted(
    address: str, shared_topic: tuple[str, bytes], acks: int, timeout: int
) -> None:
    check_stored(raw.produce(address, shared_topic[0], batch(), acks=acks, timeout=timeout))


def test_several_topics_and_partitions_in_one_request(connection: Connection) -> None:
    names = [raw.create_topic(connection, partitions=3)[0] for _ in range(2)]
    data = [
        {"name": name, "partition_data": [{"index": i, "records": raw.simple_batch(i + 1)} for i in range(3)]}
        for name in names
    ]
    answer = connection.call(PRODUCE, 9, {"acks": -1, "timeout": 1000, "topic_data": data})
    assert {t["name"] for t in answer["responses"]} == set(names)
    for topic in answer["responses"]:
        assert sorted(p["index"] for p in topic["partition_responses"]) == [0, 1, 2]
        assert all(p["error_code"] == 0 for p in topic["partition_responses"])
    assert [raw.high_watermark(connection, names[0], i) for i in range(3)] == [1, 2, 3]


def test_no_topics_and_no_partitions(connection: Connection, shared_topic: tuple[str, bytes]) -> None:
    empty = {"acks": 1, "timeout": 1000, "topic_data": []}
    assert connection.call(PRODUCE, 9, empty)["responses"] == []
    empty["topic_data"] = [{"name": shared_topic[0], "partition_data": []}]
    assert connection.call(PRODUCE, 9, empty)["responses"] == []


def test_the_same_partition_twice_stores_the_last_batch(connection: Connection, topic: str) -> None:
    data = [{"index": 0, "records": raw.simple_batch(1)}, {"index": 0, "records": raw.simple_batch(5)}]
    values = {"acks": -1, "timeout": 1000, "topic_data": [{"name": topic, "partition_data": data}]}
    (answered,) = connection.call(PRODUCE, 9, values)["responses"]
    assert len(answered["partition_responses"]) == 1
    assert answered["partition_responses"][0]["error_code"] == 0
    assert raw.high_watermark(connection, topic) == 5


# Names, ids, acks


@pytest.mark.parametrize("name", ["does-not-exist-at-all", "not/legal", "", "__cluster_metadata", "x" * 250])
@pytest.mark.parametrize("acks", [-1, 1])
def test_unknown_topics(address: str, name: str, acks: int) -> None:
    check_plain(raw.produce(address, name, batch(), acks=acks), 3)


@pytest.mark.parametrize("partition", [7, -1, 2**31 - 1, -(2**31)])
def test_unknown_partitions(address: str, shared_topic: tuple[str, bytes], partition: int) -> None:
    check_plain(raw.produce(address, shared_topic[0], {partition: batch()}), 3)


@pytest.mark.parametrize("topic_id", [bytes(16), b"\x07" * 16])
def test_unknown_topic_ids(address: str, topic_id: bytes) -> None:
    check_plain(raw.produce(address, topic_id, batch(), version=13), 100)


@pytest.mark.parametrize("acks", [2, -2, 127, 32767])
def test_bad_acks(address: str, shared_topic: tuple[str, bytes], acks: int) -> None:
    check_plain(raw.produce(address, shared_topic[0], batch(), acks=acks), 21)


@pytest.mark.parametrize(
    ("name", "data", "version", "error"),
    [
        ("does-not-exist-at-all", batch(), 9, 3),
        (None, batch(attributes=ZSTD), 6, 76),
        (None, batch() + batch(), 9, 87),
        (None, b"", 9, 87),
        (None, raw.message_set(1), 9, 87),
        (None, batch(crc=1), 9, 21),
        (None, batch(count=0), 9, 21),
    ],
    ids=["unknown topic", "zstd too early", "two batches", "empty", "old format", "crc", "count"],
)
def test_what_is_checked_before_bad_acks(
    address: str, shared_topic: tuple[str, bytes], name: str | None, data: bytes, version: int, error: int
) -> None:
    answer = raw.produce(address, name or shared_topic[0], data, version=version, acks=2)
    assert answer["error_code"] == error


def test_an_unknown_magic_is_checked_before_bad_acks(address: str, shared_topic: tuple[str, bytes]) -> None:
    answer = raw.produce(address, shared_topic[0], batch(magic=3), acks=2)
    assert (answer["error_code"], answer["error_message"]) == (2, "Invalid magic found in record: 3")


def test_acks_0_is_not_answered(connection: Connection, topic: str) -> None:
    connection.send(PRODUCE, 9, raw.produce_values(topic, batch(), acks=0))
    # The next request is the next answer.
    deadline = time.monotonic() + 5
    while raw.high_watermark(connection, topic) < 1:
        assert time.monotonic() < deadline


@pytest.mark.parametrize("error", ["topic", "crc"])
def test_acks_0_closes_the_connection_after_an_error(
    connection: Connection, shared_topic: tuple[str, bytes], error: str
) -> None:
    name, data = (shared_topic[0], batch(crc=1)) if error == "crc" else ("does-not-exist-at-all", batch())
    connection.send(PRODUCE, 9, raw.produce_values(name, data, acks=0))
    assert connection.read_frame(5) is CLOSED


# Damaged batches

GOOD = Batch()


def test_null_records(connection: Connection, shared_topic: tuple[str, bytes], is_pybroker: bool) -> None:
    """The reference never answers, a bug: pybroker refuses them as it refuses empty ones."""
    for version in (3, 9):
        answer = raw.produce(connection, shared_topic[0], None, version=version, read_timeout=0.5)
        if not is_pybroker:
            assert answer is SILENT
            return
        assert answer["error_code"] == 87


def test_empty_records(address: str, shared_topic: tuple[str, bytes]) -> None:
    check_plain(raw.produce(address, shared_topic[0], b""), 87)


def test_two_batches_in_one_partition(address: str) -> None:
    name, _ = raw.create_topic(address, partitions=2)
    with Connection(address) as connection:
        answer = connection.call(PRODUCE, 9, raw.produce_values(name, {0: batch() + batch(), 1: batch()}))
        partitions = {p["index"]: p for p in answer["responses"][0]["partition_responses"]}
        check_plain(partitions[0], 87)
        check_stored(partitions[1], 0)
        assert raw.high_watermark(connection, name, 0) == 0


@pytest.mark.parametrize("version", [3, 9])
def test_a_wrong_crc(address: str, shared_topic: tuple[str, bytes], version: int) -> None:
    answer = raw.produce(address, shared_topic[0], batch(crc=0xDEADBEEF), version=version)
    assert answer["error_code"] == 2
    assert answer["base_offset"] == -1
    if version == 9:
        check_plain(answer, 2)


@pytest.mark.parametrize("magic", [0, 1])
def test_the_old_message_formats(address: str, shared_topic: tuple[str, bytes], magic: int) -> None:
    check_plain(raw.produce(address, shared_topic[0], raw.message_set(magic)), 87)


@pytest.mark.parametrize("magic", [3, -1])
def test_an_unknown_magic_refuses_the_whole_request(address: str, magic: int) -> None:
    name, _ = raw.create_topic(address, partitions=2)
    with Connection(address) as connection:
        answer = connection.call(PRODUCE, 9, raw.produce_values(name, {0: batch(), 1: batch(magic=magic)}))
        for partition in answer["responses"][0]["partition_responses"]:
            assert partition["error_code"] == 2
            assert partition["error_message"] == f"Invalid magic found in record: {magic}"
        assert raw.high_watermark(connection, name, 0) == 0


@pytest.mark.parametrize(("length", "said"), [(10, 10), (0, 0), (-1, -1)])
def test_a_batch_length_below_any_record(
    address: str, shared_topic: tuple[str, bytes], length: int, said: int
) -> None:
    answer = raw.produce(address, shared_topic[0], batch(length=length))
    assert answer["error_code"] == 2
    assert answer["error_message"].startswith(
        f"Record size {said} is less than the minimum record overhead (14)"
    )


def test_a_hundred_bytes_of_ff(address: str, shared_topic: tuple[str, bytes]) -> None:
    answer = raw.produce(address, shared_topic[0], b"\xff" * 100)
    assert answer["error_code"] == 2
    assert answer["error_message"].startswith("Record size -1 is less than the minimum record overhead (14)")


def test_a_batch_length_that_ends_at_the_header(address: str, shared_topic: tuple[str, bytes]) -> None:
    check_plain(raw.produce(address, shared_topic[0], batch(length=49)), 2)


@pytest.mark.parametrize(
    "data",
    [batch(length=5000), batch(length=2**31 - 100), batch()[:-1], batch()[:30], batch()[:16]],
    ids=["length beyond", "length 2^31-100", "one byte short", "30 bytes", "16 bytes"],
)
def test_a_batch_that_is_not_all_there(address: str, shared_topic: tuple[str, bytes], data: bytes) -> None:
    check_plain(raw.produce(address, shared_topic[0], data), 87)


def test_a_batch_length_at_the_limit_of_int32(address: str, shared_topic: tuple[str, bytes]) -> None:
    """The reference's own sum overflows there, and that refuses the whole request."""
    check_plain(raw.produce(address, shared_topic[0], batch(length=2**31 - 1)), -1)
    check_plain(raw.produce(address, shared_topic[0], batch(length=2**31 - 13)), 87)


def test_bytes_after_a_good_batch_are_dropped(address: str, topic: str) -> None:
    check_stored(raw.produce(address, topic, batch() + b"abc"), 0)
    assert len(raw.fetch(address, topic)["records"]) == len(batch())


COUNTS = {
    "count 0": {"count": 0},
    "count 2 of 1": {"count": 2, "last_offset_delta": 1},
    "count 2 of 1, delta 0": {"count": 2},
    "count 1 of 2": {"records": [record(), record(offset_delta=1)], "count": 1, "last_offset_delta": 0},
    "count -1": {"count": -1},
    "count 2^31-1": {"count": 2**31 - 1, "last_offset_delta": 2**31 - 2},
    "last offset delta 5": {"last_offset_delta": 5},
    "last offset delta -1": {"last_offset_delta": -1},
}


@pytest.mark.parametrize("codec", [0, GZIP, ZSTD])
@pytest.mark.parametrize("case", COUNTS)
def test_counts_that_do_not_fit(address: str, shared_topic: tuple[str, bytes], case: str, codec: int) -> None:
    check_validated(
        raw.produce(address, shared_topic[0], Batch(**COUNTS[case], attributes=codec).bytes()), 87
    )


BROKEN_RECORDS = {
    "length beyond the batch": record(length=500),
    "length shorter than its content": record(length=3),
    "header count -1": record(header_count=-1),
    "header count beyond": record(header_count=1000),
    "null header key": record(headers=[(None, b"x")]),
    "key length beyond": record(key_length=100),
    "length 0": b"\0" + record()[1:],
    "length negative": record(length=-5),
}


@pytest.mark.parametrize("case", BROKEN_RECORDS)
@pytest.mark.parametrize("codec", [0, GZIP])
def test_records_that_do_not_fit(address: str, topic: str, case: str, codec: int) -> None:
    answer = raw.produce(address, topic, batch(BROKEN_RECORDS[case], attributes=codec))
    if codec and case.startswith("length"):
        # The reference does not compare the length of a compressed record with its content and stores what
        # its own
        # consumers cannot read; refusing it is right too.
        assert answer["error_code"] in (0, 87), answer
    else:
        check_validated(answer, 87)


@pytest.mark.parametrize(
    "odd",
    [
        record(None, b"v", key_length=-2),
        record(length_bytes=bytes([len(record()[1:]) * 2 | 0x80, 0x80, 0])),
        record(attributes=1),
        record(None, None),
    ],
    ids=["key length -2", "overlong varint", "record attributes", "nulls"],
)
def test_odd_records_are_stored(address: str, shared_topic: tuple[str, bytes], odd: bytes) -> None:
    check_stored(raw.produce(address, shared_topic[0], batch(odd)))


def test_a_base_offset_that_is_not_zero(address: str, shared_topic: tuple[str, bytes]) -> None:
    check_validated(raw.produce(address, shared_topic[0], batch(base_offset=17)), 87)


def test_an_inner_offset_delta_that_is_not_its_place(
    address: str, shared_topic: tuple[str, bytes], topic: str, is_pybroker: bool
) -> None:
    """Uncompressed, the reference stores what breaks its consumers, a bug; pybroker refuses it."""
    wrong = record(offset_delta=5)
    answer = raw.produce(address, topic, batch(wrong))
    if is_pybroker:
        check_validated(answer, 87)
        check_validated(raw.produce(address, topic, batch(record(), record(offset_delta=0))), 87)
    else:
        check_stored(answer)
    check_validated(raw.produce(address, shared_topic[0], batch(wrong, attributes=GZIP)), -1)


def test_control_and_transactional_bits(address: str, shared_topic: tuple[str, bytes]) -> None:
    check_validated(raw.produce(address, shared_topic[0], batch(attributes=0x20)), 87)
    transactional = batch(attributes=0x10, producer_id=1, producer_epoch=0, base_sequence=0)
    check_plain(raw.produce(address, shared_topic[0], transactional), 53)


@pytest.mark.parametrize("codec", [5, 6, 7])
def test_unknown_codecs(address: str, shared_topic: tuple[str, bytes], codec: int) -> None:
    check_validated(raw.produce(address, shared_topic[0], batch(attributes=codec)), -1)


@pytest.mark.parametrize("codec", [GZIP, SNAPPY, LZ4, ZSTD])
@pytest.mark.parametrize("body", [b"this is not compressed at all", bytes(40)], ids=["text", "zeros"])
def test_bodies_that_the_codec_cannot_read(
    address: str, shared_topic: tuple[str, bytes], codec: int, body: bytes
) -> None:
    answer = raw.produce(address, shared_topic[0], batch(attributes=codec, body=body))
    check_validated(answer, answer["error_code"])
    assert answer["error_code"] in (-1, 87)


def test_an_empty_gzip_body(address: str, shared_topic: tuple[str, bytes]) -> None:
    check_validated(raw.produce(address, shared_topic[0], batch(attributes=GZIP, body=b"")), -1)


def test_a_compressed_body_cut_short(address: str, shared_topic: tuple[str, bytes]) -> None:
    for codec in (GZIP, SNAPPY, LZ4, ZSTD):
        whole = raw.compress(codec, b"".join(record(offset_delta=i, value=b"abc" * i) for i in range(50)))
        data = batch(attributes=codec, body=whole[: len(whole) // 2], count=50, last_offset_delta=49)
        answer = raw.produce(address, shared_topic[0], data)
        assert answer["error_code"] in (-1, 87), (codec, answer)


def test_zstd_needs_version_7(address: str, shared_topic: tuple[str, bytes]) -> None:
    answer = raw.produce(address, shared_topic[0], batch(attributes=ZSTD), version=6)
    assert answer["error_code"] == 76
    assert answer["base_offset"] == -1
    check_stored(raw.produce(address, shared_topic[0], batch(attributes=ZSTD), version=7))


@pytest.mark.parametrize("codec", [5, 7])
def test_unknown_codecs_before_version_7(address: str, shared_topic: tuple[str, bytes], codec: int) -> None:
    """There the codec is looked at before the log is asked."""
    for version in (3, 5, 6):
        answer = raw.produce(address, shared_topic[0], batch(attributes=codec), version=version)
        assert answer["error_code"] == -1
        assert answer.get("log_start_offset", -1) == -1


def test_a_gzip_member_followed_by_garbage(address: str, shared_topic: tuple[str, bytes]) -> None:
    body = gzip.compress(record()) + b"garbage after the member"
    check_stored(raw.produce(address, shared_topic[0], batch(attributes=GZIP, body=body)))


# What the broker corrects


@pytest.mark.parametrize("bits", [0x08, 0x40, 0x80])
def test_attribute_bits(address: str, topic: str, bits: int) -> None:
    answer = raw.produce(address, topic, batch(attributes=bits))
    check_stored(answer, 0)
    assert answer["log_append_time"] == -1
    (stored,) = stored_batches(address, topic)
    assert stored.crc_good
    assert stored.attributes == (0 if bits == 0x08 else bits)


def test_the_leader_epoch_is_overwritten(address: str, topic: str) -> None:
    check_stored(raw.produce(address, topic, batch(leader_epoch=99)), 0)
    assert stored_batches(address, topic)[0].leader_epoch == 0


@pytest.mark.parametrize("codec", [0, GZIP])
@pytest.mark.parametrize("wrong", [-1000, 5000])
def test_the_maximum_timestamp_is_corrected(address: str, topic: str, wrong: int, codec: int) -> None:
    now = raw.now_ms()
    records = [record(timestamp_delta=3), record(offset_delta=1, timestamp_delta=1)]
    data = Batch(records, base_timestamp=now, max_timestamp=now + wrong, attributes=codec).bytes()
    check_stored(raw.produce(address, topic, data), 0)
    (stored,) = stored_batches(address, topic)
    assert stored.max_timestamp == now + 3
    assert stored.crc_good


# Timestamps


def test_log_append_time(address: str) -> None:
    name, _ = raw.create_topic(address, configs={"message.timestamp.type": "LogAppendTime"})
    before = raw.now_ms()
    answer = raw.produce(address, name, batch(base_timestamp=before + 2 * HOUR_MS))
    check_stored(answer, 0)
    assert before - 1000 <= answer["log_append_time"] <= raw.now_ms() + 1000
    (stored,) = stored_batches(address, name)
    assert stored.attributes == 0x08
    assert stored.max_timestamp == answer["log_append_time"]
    assert stored.crc_good


@pytest.mark.parametrize("shift", [30 * 60_000, None])
def test_timestamps_in_bounds(address: str, shared_topic: tuple[str, bytes], shift: int | None) -> None:
    stamps = [0, -1, -5] if shift is None else [raw.now_ms() + shift]
    for stamp in stamps:
        check_stored(raw.produce(address, shared_topic[0], batch(base_timestamp=stamp)))


def check_timestamp_refused(answer: dict[str, Any], topic: str, stamp: int) -> None:
    check_validated(answer, 32)
    assert answer["error_message"] == "One or more records have been rejected due to invalid timestamp"
    (error,) = answer["record_errors"]
    assert error["batch_index"] == 0
    assert re.fullmatch(
        rf"Timestamp {stamp} of message with offset 0 is out of range\. "
        r"The timestamp should be within \[-?\d+, \d+\]",
        error["batch_index_error_message"],
    )


@pytest.mark.parametrize("codec", [0, GZIP])
def test_timestamps_out_of_bounds(address: str, shared_topic: tuple[str, bytes], codec: int) -> None:
    future = raw.now_ms() + 2 * HOUR_MS
    name = shared_topic[0]
    answer = raw.produce(address, name, batch(base_timestamp=future, attributes=codec))
    check_timestamp_refused(answer, name, future)
    name, _ = raw.create_topic(address, configs={"message.timestamp.before.max.ms": "1000"})
    past = raw.now_ms() - 100_000
    answer = raw.produce(address, name, batch(base_timestamp=past, attributes=codec))
    check_timestamp_refused(answer, name, past)
    assert raw.high_watermark(Connection(address), name) == 0


# Topic configuration


@pytest.mark.parametrize("codec", [0, GZIP])
def test_records_without_a_key_on_a_compacted_topic(address: str, codec: int) -> None:
    name, _ = raw.create_topic(address, configs={"cleanup.policy": "compact"})
    records = [record(b"k" if i % 2 else None, offset_delta=i) for i in range(10)]
    answer = raw.produce(address, name, batch(*records, attributes=codec))
    check_validated(answer, 87)
    assert [e["batch_index"] for e in answer["record_errors"]] == [0, 2, 4, 6, 8]
    assert {e["batch_index_error_message"] for e in answer["record_errors"]} == {
        f"Compacted topic cannot accept message without key in topic partition {name}-0"
    }
    assert answer["error_message"].startswith(
        "One or more records have been rejected due to 5 record errors in total, and only showing the first "
        "three errors at most: ["
    )
    with Connection(address) as connection:
        assert raw.high_watermark(connection, name) == 0
        check_stored(raw.produce(connection, name, batch(record(), attributes=codec)), 0)


def test_the_largest_batch(address: str, topic: str) -> None:
    overhead = len(batch(record(value=bytes(1_048_000)))) - 1_048_000
    good = batch(record(value=bytes(1_048_588 - overhead)))
    assert len(good) == 1_048_588
    check_stored(raw.produce(address, topic, good), 0)
    check_plain(raw.produce(address, topic, batch(record(value=bytes(1_048_589 - overhead)))), 10)


def test_a_small_batch_with_large_content(address: str, topic: str) -> None:
    data = batch(*(record(value=bytes(300_000), offset_delta=i) for i in range(5)), attributes=GZIP)
    check_stored(raw.produce(address, topic, data), 0)
    name, _ = raw.create_topic(address, configs={"compression.type": "uncompressed"})
    check_plain(raw.produce(address, name, data), 10)


@pytest.mark.parametrize(
    ("setting", "codec"), [("gzip", 1), ("snappy", 2), ("lz4", 3), ("zstd", 4), ("uncompressed", 0)]
)
def test_recompression(address: str, setting: str, codec: int) -> None:
    name, _ = raw.create_topic(address, configs={"compression.type": setting})
    now = raw.now_ms()
    records = [
        record(b"k%d" % i, b"value" * 20, offset_delta=i, timestamp_delta=i, headers=[(b"h", b"1")])
        for i in range(4)
    ]
    for sent_codec in (0, GZIP, ZSTD):
        check_stored(
            raw.produce(address, name, Batch(records, attributes=sent_codec, base_timestamp=now).bytes())
        )
    for index, stored in enumerate(stored_batches(address, name)):
        assert stored.attributes == codec
        assert stored.crc_good
        assert stored.max_timestamp == now + 3
        assert raw.parse_records(stored) == [
            (index * 4 + i, now + i, b"k%d" % i, b"value" * 20) for i in range(4)
        ]


def test_minimum_in_sync_replicas_is_capped_by_the_replication_factor(address: str) -> None:
    name, _ = raw.create_topic(address, configs={"min.insync.replicas": "2"})
    check_stored(raw.produce(address, name, batch()), 0)


def test_max_message_bytes_of_a_topic(address: str) -> None:
    name, _ = raw.create_topic(address, configs={"max.message.bytes": "1000"})
    check_stored(raw.produce(address, name, batch(record(value=bytes(500)))), 0)
    check_plain(raw.produce(address, name, batch(record(value=bytes(1000)))), 10)


def test_a_good_batch_beside_bad_ones(address: str) -> None:
    name, _ = raw.create_topic(address, partitions=4)
    data = {0: batch(crc=5), 1: batch(), 2: batch(count=0), 3: b"", 9: batch()}
    with Connection(address) as connection:
        answer = connection.call(PRODUCE, 9, raw.produce_values(name, data))
        errors = {p["index"]: p["error_code"] for p in answer["responses"][0]["partition_responses"]}
        assert errors == {0: 2, 1: 0, 2: 87, 3: 87, 9: 3}
        assert [raw.high_watermark(connection, name, i) for i in range(4)] == [0, 1, 0, 0]


def test_many_requests_in_flight_are_answered_in_order(connection: Connection, topic: str) -> None:
    values = raw.produce_values(topic, batch())
    correlations = [connection.send(PRODUCE, 9, values) for _ in range(200)]
    offsets = [
        connection.receive(PRODUCE, 9, c)["responses"][0]["partition_responses"][0]["base_offset"]
        for c in correlations
    ]
    assert offsets == list(range(200))


def test_frames_with_a_record_length_that_lies(
    connection: Connection, shared_topic: tuple[str, bytes]
) -> None:
    """The bytes field says more than the frame holds."""
    name = shared_topic[0].encode()
    body = struct.pack(">hhi", -1, -1, 1000) + struct.pack(">ih", 1, len(name)) + name
    body += struct.pack(">iii", 1, 0, 2**31 - 1) + batch()
    assert connection.call(PRODUCE, 3, body) is CLOSED
