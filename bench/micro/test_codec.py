"""What the wire codecs cost. Run with `pytest bench/micro`.

Every hand-written codec stands beside its generated twin, so that it has to earn its place.
"""

from __future__ import annotations

import pytest

from pybroker.wire import codec
from pybroker.wire.api_keys import ADVERTISED
from pybroker.wire.fast import fetch_request, fetch_response, produce_request, produce_response
from pybroker.wire.framing import FrameSplitter
from pybroker.wire.headers import parse_request_header, request_header, response_header
from pybroker.wire.messages.api_versions import ApiVersion, ApiVersionsResponse
from pybroker.wire.messages.fetch import (
    FetchableTopicResponse,
    FetchPartition,
    FetchRequest,
    FetchResponse,
    FetchTopic,
    PartitionData,
)
from pybroker.wire.messages.metadata import (
    MetadataRequest,
    MetadataRequestTopic,
    MetadataResponse,
    MetadataResponseBroker,
    MetadataResponsePartition,
    MetadataResponseTopic,
)
from pybroker.wire.messages.produce import (
    PartitionProduceData,
    PartitionProduceResponse,
    ProduceRequest,
    ProduceResponse,
    TopicProduceData,
    TopicProduceResponse,
)
from pybroker.wire.schemas.metadata_records import PartitionRecord, decode_record, encode_record

TOPIC_ID = bytes(range(16))
RECORDS = bytes(16 * 1024)


def produce_body(version: int) -> memoryview:
    partition = PartitionProduceData(index=3, records=RECORDS)
    topic = TopicProduceData(name="a-topic-name", topic_id=TOPIC_ID, partition_data=[partition])
    return memoryview(codec.encode(ProduceRequest(acks=-1, timeout=30_000, topic_data=[topic]), version))


def produce_answer() -> ProduceResponse:
    partition = PartitionProduceResponse(index=3, base_offset=12345, log_start_offset=0)
    topic = TopicProduceResponse(name="a-topic-name", topic_id=TOPIC_ID, partition_responses=[partition])
    return ProduceResponse(responses=[topic])


def fetch_body(version: int) -> memoryview:
    partitions = [
        FetchPartition(partition=i, fetch_offset=i * 100, partition_max_bytes=2**20) for i in range(10)
    ]
    topic = FetchTopic(topic="a-topic-name", topic_id=TOPIC_ID, partitions=partitions)
    request = FetchRequest(max_wait=500, min_bytes=1, topics=[topic], rack_id="rack")
    return memoryview(codec.encode(request, version))


def fetch_answer() -> FetchResponse:
    partitions = [
        PartitionData(partition_index=i, high_watermark=100, last_stable_offset=100, records=RECORDS)
        for i in range(10)
    ]
    topic = FetchableTopicResponse(topic="a-topic-name", topic_id=TOPIC_ID, partitions=partitions)
    return FetchResponse(responses=[topic])


def metadata_answer(topics: int, partitions: int) -> MetadataResponse:
    return MetadataResponse(
        brokers=[MetadataResponseBroker(node_id=1, host="broker.example.org", port=9092)],
        cluster_id="A" * 22,
        controller_id=1,
        topics=[
            MetadataResponseTopic(
                name=f"topic-{topic}",
                topic_id=TOPIC_ID,
                partitions=[
                    MetadataResponsePartition(
                        partition_index=index, leader_id=1, leader_epoch=0, replica_nodes=[1], isr_nodes=[1]
                    )
                    for index in range(partitions)
                ],
            )
            for topic in range(topics)
        ],
    )


@pytest.mark.parametrize("version", [8, 9, 13])
@pytest.mark.parametrize("kind", ["fast", "generated"])
def test_produce_request_decode(benchmark, kind, version):
    body = produce_body(version)
    if kind == "fast":
        benchmark(produce_request.decode, version, body)
    else:
        benchmark(codec.decode, ProduceRequest, version, body)


@pytest.mark.parametrize("version", [8, 9, 13])
@pytest.mark.parametrize("kind", ["fast", "generated"])
def test_produce_response_encode(benchmark, kind, version):
    benchmark(produce_response.encode if kind == "fast" else codec.encode, produce_answer(), version)


@pytest.mark.parametrize("version", [11, 12, 17])
@pytest.mark.parametrize("kind", ["fast", "generated"])
def test_fetch_request_decode(benchmark, kind, version):
    body = fetch_body(version)
    if kind == "fast":
        benchmark(fetch_request.decode, version, body)
    else:
        benchmark(codec.decode, FetchRequest, version, body)


@pytest.mark.parametrize("version", [11, 12, 17])
@pytest.mark.parametrize("kind", ["fast", "generated"])
def test_fetch_response_encode(benchmark, kind, version):
    benchmark(fetch_response.encode_parts if kind == "fast" else codec.encode, fetch_answer(), version)


def test_api_versions_encode(benchmark):
    keys = [ApiVersion(api_key=key, max_version=9) for key in range(75)]
    assert len(ADVERTISED) <= 75
    benchmark(codec.encode, ApiVersionsResponse(api_keys=keys), 4)


def test_metadata_request_decode(benchmark):
    request = MetadataRequest(topics=[MetadataRequestTopic(name="a-topic-name")])
    benchmark(codec.decode_request, 3, 12, memoryview(codec.encode(request, 12)))


def test_metadata_response_encode_1000_partitions(benchmark):
    benchmark(codec.encode, metadata_answer(100, 10), 12)


def test_metadata_response_decode_1000_partitions(benchmark):
    benchmark(codec.decode, MetadataResponse, 12, codec.encode(metadata_answer(100, 10), 12))


def test_request_header(benchmark):
    benchmark(parse_request_header, memoryview(request_header(0, 9, 17, "a-client-id") + b"body"))


def test_response_header(benchmark):
    benchmark(response_header, 0, 9, 17)


def test_framing_16_kib(benchmark):
    chunk = len(RECORDS).to_bytes(4, "big") + RECORDS
    splitter = FrameSplitter(2**20)
    benchmark(splitter.feed, chunk)


def test_metadata_record(benchmark):
    record = PartitionRecord(partition_id=1, topic_id=TOPIC_ID, replicas=[1], isr=[1], leader=1)
    benchmark(lambda: decode_record(encode_record(record)))


def test_compile_of_a_message(benchmark):
    def compile_both() -> None:
        for table in (codec._READERS, codec._WRITERS):
            for cls, version in [key for key in table if key[0].__module__.endswith(".metadata")]:
                del table[(cls, version)]
        codec._reader(MetadataResponse, 12)
        codec._writer(MetadataResponse, 12)

    benchmark(compile_both)
