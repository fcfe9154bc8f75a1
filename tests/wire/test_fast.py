"""The hand-written codecs against their plain twins, the generated ones, on good and bad bytes."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pybroker.common.errors import ProtocolError
from pybroker.wire import codec
from pybroker.wire.fast import fetch_request, fetch_response, produce_request, produce_response
from pybroker.wire.messages.fetch import (
    AbortedTransaction,
    FetchableTopicResponse,
    FetchRequest,
    FetchResponse,
    PartitionData,
)
from pybroker.wire.messages.produce import (
    PartitionProduceResponse,
    ProduceRequest,
    ProduceResponse,
    TopicProduceResponse,
)
from tests.wire.samples import sample

DECODERS = [(produce_request.decode, ProduceRequest), (fetch_request.decode, FetchRequest)]
VERSIONS = [
    (decode, cls, version)
    for decode, cls in DECODERS
    for version in range(cls.VERSIONS[0], cls.VERSIONS[1] + 1)
]
ENCODERS = [
    (encode, cls, version)
    for encode, cls in ((produce_response.encode, ProduceResponse), (fetch_response.encode, FetchResponse))
    for version in range(cls.VERSIONS[0], cls.VERSIONS[1] + 1)
]


def outcome(decode, *arguments):
    try:
        result = decode(*arguments)
    except ProtocolError:
        return "refused"
    return result[0] if isinstance(result, tuple) else result


def plain(message, version, rng):
    """The common shape of a request: no tags, nothing forgotten. It is what the fast paths are for."""
    if isinstance(message, FetchRequest) and rng.random() < 0.7:
        message.cluster_id = None
        message.replica_state = type(message.replica_state)()
        message.forgotten_topics_data = []
        for topic in message.topics:
            for partition in topic.partitions:
                partition.replica_directory_id = bytes(16)
                partition.high_watermark = 2**63 - 1
    return message


def test_decoders_agree_on_good_bytes():
    rng = random.Random(6)
    for decode, cls, version in VERSIONS:
        for _ in range(40):
            message = plain(sample(cls, version, rng), version, rng)
            encoded = codec.encode(message, version)
            assert decode(version, encoded) == message
            assert decode(version, memoryview(bytearray(b"\1\2\3" + encoded + b"tail")), 3) == message


def test_decoders_agree_on_truncated_and_damaged_bytes():
    rng = random.Random(7)
    for decode, cls, version in VERSIONS:
        for _ in range(6):
            encoded = codec.encode(plain(sample(cls, version, rng), version, rng), version)[:300]
            for size in range(len(encoded)):
                part = encoded[:size]
                assert outcome(decode, version, part) == outcome(codec.decode, cls, version, part)
            for place in range(len(encoded)):
                damaged = bytearray(encoded)
                damaged[place] = rng.choice((0, 1, 0x7F, 0x80, 0xFF, rng.randrange(256)))
                damaged = memoryview(damaged)
                assert outcome(decode, version, damaged) == outcome(codec.decode, cls, version, damaged)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(VERSIONS), st.binary(max_size=120))
def test_decoders_agree_on_random_bytes(case, body):
    decode, cls, version = case
    assert outcome(decode, version, body) == outcome(codec.decode, cls, version, body)


@pytest.mark.parametrize("version", [-1, 0, 2, 14, 19])
def test_unknown_versions(version):
    if not 3 <= version <= 13:
        with pytest.raises(ProtocolError):
            produce_request.decode(version, b"\0" * 50)
        with pytest.raises(ValueError, match="version"):
            produce_response.encode(ProduceResponse(), version)
    if not 4 <= version <= 18:
        with pytest.raises(ProtocolError):
            fetch_request.decode(version, b"\0" * 50)
        with pytest.raises(ValueError, match="version"):
            fetch_response.encode(FetchResponse(), version)


def test_records_of_a_produce_request_are_views_of_the_frame():
    rng = random.Random(8)
    for version in range(3, 14):
        frame = memoryview(bytearray(codec.encode(sample(ProduceRequest, version, rng), version)))
        for topic in produce_request.decode(version, frame).topic_data:
            for partition in topic.partition_data:
                assert partition.records is None or partition.records.obj is frame.obj


def test_encoders_agree():
    rng = random.Random(9)
    for encode, cls, version in ENCODERS:
        assert encode(cls(), version) == codec.encode(cls(), version)
        for _ in range(60):
            message = sample(cls, version, rng)
            if rng.random() < 0.5:
                message.node_endpoints = []
            assert encode(message, version) == codec.encode(message, version), version


def test_ordinary_answers_agree():
    for version in range(3, 14):
        partition = PartitionProduceResponse(
            index=1, error_code=2, base_offset=3, log_append_time=4, log_start_offset=5
        )
        topic = TopicProduceResponse(name="t", topic_id=b"i" * 16, partition_responses=[partition] * 2)
        response = ProduceResponse(responses=[topic], throttle_time=9)
        assert produce_response.encode(response, version) == codec.encode(response, version)
    for version in range(4, 19):
        for aborted in (None, [], [AbortedTransaction(producer_id=5, first_offset=6)]):
            data = PartitionData(records=b"r" * 1000, high_watermark=7, aborted_transactions=aborted)
            topic = FetchableTopicResponse(topic="t", topic_id=b"i" * 16, partitions=[data, data])
            response = FetchResponse(responses=[topic], session_id=3)
            assert fetch_response.encode(response, version) == codec.encode(response, version)


def test_fetch_response_does_not_copy_records():
    records = memoryview(bytes(100_000))
    for version in range(4, 19):
        topic = FetchableTopicResponse(topic="t", partitions=[PartitionData(records=records)] * 3)
        parts = fetch_response.encode_parts(FetchResponse(responses=[topic]), version)
        assert sum(part is records for part in parts) == 3
        assert len(parts) <= 7


@pytest.mark.parametrize("version", [3, 8, 9, 13])
def test_values_that_do_not_fit_are_a_value_error(version):
    topic = TopicProduceResponse(
        name="x" * 40_000 if version < 9 else "x",
        topic_id=b"short",
        partition_responses=[PartitionProduceResponse(base_offset=2**63)],
    )
    with pytest.raises(ValueError, match="version"):
        produce_response.encode(ProduceResponse(responses=[topic]), version)
    with pytest.raises(ValueError, match="version"):
        fetch_response.encode(FetchResponse(responses=[None]), version + 4)
