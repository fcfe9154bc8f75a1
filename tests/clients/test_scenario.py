"""One scenario for every client library: what it writes comes back byte for byte, its admin calls work."""

from __future__ import annotations

import pytest

from tests.clients import records as r
from tests.clients.adapters import EARLIEST, Adapter, ConfluentKafka
from tests.clients.conftest import CLIENT_CODECS, CLIENTS
from tests.processes import Server, wait_until

# kafka-python reads its schemas in a way that Python no longer likes.
pytestmark = pytest.mark.filterwarnings("ignore:.*is deprecated. Use files:DeprecationWarning")

MEGABYTES = {"max.message.bytes": str(4 << 20)}


@pytest.mark.parametrize("client_and_codec", CLIENT_CODECS, indirect=True)
def test_records_come_back_as_written(
    client_and_codec: tuple[Adapter, str], broker: Server, topic_name: str
) -> None:
    client, codec = client_and_codec
    client.make_topic(topic_name, 2)
    records = client.mixed_records(60, 2)
    written = r.with_offsets(records, client.produce(topic_name, records, codec=codec))
    if broker.data_dir is not None:
        # A client that takes the broker for too old writes without compression and says nothing.
        assert r.CODECS.index(codec) in broker.stored_codecs(topic_name)
    for partition in (0, 1):
        expected = r.in_partition(written, partition)
        assert [record.offset for record in expected] == list(range(30))
        assert client.consume(topic_name, partition, EARLIEST, 30) == expected
    assert client.consume(topic_name, 1, 13, 17) == r.in_partition(written, 1)[13:]


@pytest.mark.parametrize("client_and_codec", CLIENT_CODECS, indirect=True)
def test_records_of_a_megabyte(client_and_codec: tuple[Adapter, str], topic_name: str) -> None:
    client, codec = client_and_codec
    client.make_topic(topic_name, 1, MEGABYTES)
    records = r.big_records()
    written = r.with_offsets(records, client.produce(topic_name, records, codec=codec))
    assert client.consume(topic_name, 0, EARLIEST, len(written)) == written


@pytest.mark.parametrize("client", CLIENTS, indirect=True)
def test_idempotent_producer(client: Adapter, topic_name: str) -> None:
    client.make_topic(topic_name, 2)
    records = client.mixed_records(200, 2)
    written: list[r.Record] = []
    for at in range(0, len(records), 100):
        part = records[at : at + 100]
        written += r.with_offsets(part, client.produce(topic_name, part, codec="lz4", idempotent=True))
    for partition in (0, 1):
        assert client.offsets(topic_name, partition) == [0, 100]
        assert client.consume(topic_name, partition, EARLIEST, 100) == r.in_partition(written, partition)


@pytest.mark.parametrize("client", CLIENTS, indirect=True)
def test_consume_from_a_timestamp(client: Adapter, topic_name: str) -> None:
    client.make_topic(topic_name, 1)
    records = client.mixed_records(40, 1)
    # Two batches, so that the answer is once a batch's first record and once one inside a batch.
    written = r.with_offsets(
        records,
        client.produce(topic_name, records[:20], codec="gzip") + client.produce(topic_name, records[20:]),
    )
    for index in (0, 7, 20, 33):
        timestamp = written[index].timestamp
        assert client.offset_for_timestamp(topic_name, 0, timestamp) == index
        assert client.offset_for_timestamp(topic_name, 0, timestamp - 5) == index
    found = client.offset_for_timestamp(topic_name, 0, written[25].timestamp)
    assert client.consume(topic_name, 0, found, 15) == written[25:]
    # Where nothing is that late librdkafka says "the end" (-1) and the others "none", which adapters turn
    # into -1.
    assert client.offset_for_timestamp(topic_name, 0, written[-1].timestamp + 1) == -1


@pytest.mark.parametrize("client", CLIENTS, indirect=True)
def test_delete_records(client: Adapter, topic_name: str) -> None:
    client.make_topic(topic_name, 1)
    records = client.mixed_records(20, 1)
    written = r.with_offsets(records, client.produce(topic_name, records))
    assert client.delete_records(topic_name, 0, 12) == 12
    assert client.offsets(topic_name, 0) == [12, 20]
    assert client.consume(topic_name, 0, EARLIEST, 8) == written[12:]


@pytest.mark.parametrize("client", CLIENTS, indirect=True)
def test_life_of_a_topic(client: Adapter, topic_name: str) -> None:
    client.make_topic(topic_name, 3, {"retention.ms": "86400000", "compression.type": "lz4"})
    node = client.describe_cluster()["nodes"][0][0]

    def partitions(count: int) -> list[dict[str, object]]:
        return [{"partition": i, "leader": node, "replicas": [node], "isr": [node]} for i in range(count)]

    assert topic_name in client.list_topics()
    assert client.describe_topic(topic_name) == partitions(3)
    configs = client.describe_config(topic_name)
    assert configs["retention.ms"] == "86400000"
    assert configs["compression.type"] == "lz4"
    assert configs["cleanup.policy"] == "delete"
    assert configs["segment.bytes"] == str(1 << 30)
    assert len(configs) == 33

    # kafkajs and aiokafka only know AlterConfigs, which replaces everything, hence both names again.
    client.alter_config(topic_name, {"retention.ms": "1000000", "compression.type": "zstd"})

    def altered() -> bool:
        configs = client.describe_config(topic_name)
        return (configs["retention.ms"], configs["compression.type"]) == ("1000000", "zstd")

    assert wait_until(altered, "the new configuration")

    client.create_partitions(topic_name, 5)
    assert wait_until(lambda: len(client.describe_topic(topic_name)) == 5, "the new partitions")
    assert client.describe_topic(topic_name) == partitions(5)
    record = r.Record(4, b"k", b"in a new partition")
    assert client.produce(topic_name, [record]) == [0]

    client.delete_topic(topic_name)
    assert wait_until(lambda: topic_name not in client.list_topics(), "the topic to be gone")
    # A topic of the same name is a new one.
    client.make_topic(topic_name, 1)
    assert client.offsets(topic_name, 0) == [0, 0]


@pytest.mark.parametrize("client", CLIENTS, indirect=True)
def test_describe_cluster(client: Adapter, broker: Server) -> None:
    described = client.describe_cluster()
    ((node, host, port),) = described["nodes"]
    assert (host, port) == (broker.host, broker.port)
    assert described["controller"] == node
    assert len(described["cluster_id"]) == 22


@pytest.mark.interop
@pytest.mark.parametrize("client_and_codec", CLIENT_CODECS, indirect=True)
def test_every_client_reads_what_librdkafka_wrote(
    client_and_codec: tuple[Adapter, str], clients: object, topic_name: str
) -> None:
    client, codec = client_and_codec
    writer: Adapter = clients.get(ConfluentKafka)  # type: ignore[attr-defined]
    writer.make_topic(topic_name, 1)
    records = r.mixed_records(30, 1)
    written = r.with_offsets(records, writer.produce(topic_name, records, codec=codec))
    assert client.consume(topic_name, 0, EARLIEST, 30) == written
