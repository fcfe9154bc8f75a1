"""Every schema in every version: what is written is read back."""

from __future__ import annotations

import random

import pytest

from pybroker.common.errors import ProtocolError
from pybroker.wire import codec
from pybroker.wire.api_keys import ApiKey
from pybroker.wire.messages.create_topics import CreatableTopicResult
from pybroker.wire.messages.delete_topics import DeleteTopicsRequest
from pybroker.wire.messages.describe_topic_partitions import DescribeTopicPartitionsRequest, RequestCursor
from pybroker.wire.messages.fetch import FetchRequest, FetchResponse, PartitionData
from pybroker.wire.messages.join_group import JoinGroupRequest, JoinGroupRequestProtocol
from pybroker.wire.messages.metadata import MetadataRequest, MetadataRequestTopic, MetadataResponse
from pybroker.wire.messages.produce import PartitionProduceData, ProduceRequest, TopicProduceData
from tests.wire.samples import class_versions, message_classes, sample


def test_round_trip_of_every_class_and_version():
    rng = random.Random(1)
    for cls, version in class_versions():
        for _ in range(6):
            original = sample(cls, version, rng)
            encoded = codec.encode(original, version)
            decoded, end = codec.decode(cls, version, encoded)
            assert decoded == original, (cls, version)
            assert end == len(encoded)
            assert codec.encode(decoded, version) == encoded
            padded = memoryview(b"\x55" * 3 + encoded + b"\xaa")
            decoded, end = codec.decode(cls, version, padded, 3)
            assert (decoded, end) == (original, len(encoded) + 3)


def test_defaults_round_trip():
    for cls, version in class_versions():
        encoded = codec.encode(cls(), version)
        assert codec.decode(cls, version, encoded)[0] == cls(), (cls, version)


def test_eighty_nine_keys():
    assert len(ApiKey) == 89
    for key in ApiKey:
        assert codec.request_class(key).VERSIONS == codec.response_class(key).VERSIONS
    assert len(set(message_classes())) == len(message_classes())


def test_fields_that_a_version_lacks_are_skipped_and_keep_their_default():
    request = FetchRequest(replica_id=7, session_id=9, rack_id="r", max_wait=500)
    decoded, _ = codec.decode(FetchRequest, 4, codec.encode(request, 4))
    assert (decoded.replica_id, decoded.max_wait) == (7, 500)
    assert (decoded.session_id, decoded.session_epoch, decoded.rack_id) == (0, -1, "")


def test_defaults_are_kafkas():
    assert PartitionData().last_stable_offset == -1
    assert PartitionData().current_leader.leader_id == -1
    assert FetchRequest().max_bytes == 0x7FFFFFFF
    assert MetadataResponse().controller_id == -1
    assert CreatableTopicResult().replication_factor == -1
    assert JoinGroupRequest().rebalance_timeout == -1
    assert FetchRequest().topics == []
    assert DescribeTopicPartitionsRequest().cursor is None
    # A new list for every object.
    assert FetchRequest().topics is not FetchRequest().topics


def test_null_and_empty_are_told_apart():
    for version in range(1, 14):
        for topics in (None, []):
            encoded = codec.encode(MetadataRequest(topics=topics), version)
            assert codec.decode(MetadataRequest, version, encoded)[0].topics == topics
    with pytest.raises(ValueError, match="MetadataRequest version 0"):
        codec.encode(MetadataRequest(topics=None), 0)


def test_metadata_request_bytes():
    request = MetadataRequest(topics=[MetadataRequestTopic(name="abc")], allow_auto_topic_creation=True)
    assert codec.encode(request, 0).hex() == "000000010003616263"
    assert codec.encode(request, 8).hex() == "000000010003616263010000"
    assert codec.encode(request, 9).hex() == "02046162630001000000"
    assert codec.encode(request, 12).hex() == "02" + "00" * 16 + "04616263" + "00" + "0100" + "00"


def test_nullable_struct_has_a_presence_byte():
    request = DescribeTopicPartitionsRequest(cursor=RequestCursor(topic_name="t", partition_index=3))
    assert codec.encode(request, 0).hex() == "01" + "000007d0" + "01" + "0274" + "00000003" + "00" + "00"
    assert codec.encode(DescribeTopicPartitionsRequest(), 0).hex() == "01" + "000007d0" + "ff" + "00"


def test_nullable_tagged_fields_of_default_value_are_not_written():
    assert codec.encode(FetchResponse(), 18) == bytes.fromhex("000000000000000000000100")
    data = PartitionData(records=b"")
    data.current_leader.leader_epoch = 4
    encoded = codec.encode(data, 12)
    assert encoded.endswith(bytes.fromhex("010109ffffffff0000000400"))


def test_records_and_bytes_are_views_of_the_frame():
    request = ProduceRequest(
        topic_data=[TopicProduceData(name="t", partition_data=[PartitionProduceData(records=b"abc")])]
    )
    frame = memoryview(bytearray(codec.encode(request, 9)))
    records = codec.decode_request(0, 9, frame).topic_data[0].partition_data[0].records
    assert type(records) is memoryview
    assert records == b"abc"
    assert records.obj is frame.obj
    join = JoinGroupRequest(protocols=[JoinGroupRequestProtocol(name="p", metadata=b"m")])
    decoded = codec.decode_request(11, 9, memoryview(codec.encode(join, 9)))
    assert bytes(decoded.protocols[0].metadata) == b"m"


def test_trailing_bytes_are_counted_and_ignored():
    before = codec.counters.trailing_requests, codec.counters.trailing_bytes
    assert codec.decode_request(3, 1, codec.encode(MetadataRequest(), 1) + b"xyz") == MetadataRequest()
    assert codec.counters.trailing_requests == before[0] + 1
    assert codec.counters.trailing_bytes == before[1] + 3


def test_lenience_of_kafka():
    # A bool other than 0 is true.
    assert codec.decode(MetadataRequest, 4, b"\0\0\0\0\x02")[0].allow_auto_topic_creation is True
    # Any negative length of something nullable is null.
    for length in (b"\xff\xff\xff\xff", b"\x80\0\0\0", b"\xff\xff\xff\xfe"):
        assert codec.decode(MetadataRequest, 1, length)[0].topics is None
    # 2^32 - 1 as a compact length is negative in 32 bits.
    assert codec.decode(MetadataRequest, 9, b"\xff\xff\xff\xff\x0f" + b"\0" * 4)[0].topics is None
    # Bad UTF-8 becomes U+FFFD.
    assert codec.decode(MetadataRequest, 0, b"\0\0\0\1\0\2a\xff")[0].topics[0].name == "a\ufffd"
    # A varint may be longer than needed.
    assert codec.decode(MetadataRequest, 9, b"\x81\x80\x00" + b"\0" * 4)[0].topics == []


def test_unknown_tagged_fields_are_skipped_in_any_order():
    body = codec.encode(FetchRequest(cluster_id="c"), 12)
    assert body.endswith(bytes.fromhex("0100020263"))
    tags = bytes.fromhex("03c83e03aabbcc000202630500")
    decoded, end = codec.decode(FetchRequest, 12, body[:-5] + tags)
    assert decoded == FetchRequest(cluster_id="c")
    assert end == len(body) - 5 + len(tags)


@pytest.mark.parametrize("version", [-1, 7, 32767])
def test_unknown_version(version):
    with pytest.raises(ProtocolError):
        codec.decode_request(20, version, b"\0" * 20)
    with pytest.raises(ValueError, match="no version"):
        codec.encode(DeleteTopicsRequest(), version)


def test_unknown_key():
    for key in (4, 7, 93, -1):
        with pytest.raises(ProtocolError):
            codec.decode_request(key, 0, b"")


@pytest.mark.parametrize(
    "request_",
    [
        FetchRequest(max_wait=2**31),
        FetchRequest(max_wait="x"),
        FetchRequest(rack_id=None),
        FetchRequest(rack_id="x" * 40_000),
        FetchRequest(topics=None),
        FetchRequest(topics=[None]),
    ],
)
def test_values_that_do_not_fit_are_a_value_error(request_):
    with pytest.raises(ValueError, match="FetchRequest version 11"):
        codec.encode(request_, 11)


def test_lone_surrogates_do_not_stop_an_answer():
    encoded = codec.encode(CreatableTopicResult(error_message="disk \udc80"), 7)
    assert codec.decode(CreatableTopicResult, 7, encoded)[0].error_message == "disk ?"


def test_repr_does_not_show_megabytes():
    assert repr(PartitionProduceData(records=b"x" * 10**6)) == (
        "PartitionProduceData(index=0, records=<1000000 bytes>)"
    )
