"""Kafka's own command-line tools against the broker, and kafka-dump-log on the files that it leaves.

Left out: ConsumerPerformance, VerifiableConsumer and EndToEndLatency, which subscribe and so need groups;
kafka-acls, kafka-transactions and the group tools, whose APIs are not served yet.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.clients import records as r
from tests.clients.adapters import ConfluentKafka
from tests.clients.conftest import Clients
from tests.conftest import make_server
from tests.processes import KafkaTools, Server, ToolResult, wait_until
from tests.protocol import groups, raw

pytestmark = pytest.mark.interop

Tool = Callable[..., ToolResult]


@pytest.fixture
def tool(kafka: KafkaTools, broker: Server) -> Tool:
    """Runs a tool against the shared broker."""

    def run(name: str, *arguments: str, send: str = "") -> ToolResult:
        return kafka.run(name, "--bootstrap-server", broker.bootstrap, *arguments, send=send)

    return run


def create(tool: Tool, topic: str, partitions: int = 1, **configs: str) -> None:
    options = [
        option
        for name, value in configs.items()
        for option in ("--config", f"{name.replace('_', '.')}={value}")
    ]
    out = tool(
        "TopicCommand", "--create", "--topic", topic, "--partitions", str(partitions), *options
    ).check()
    assert f"Created topic {topic}." in out
    wait_until(lambda: topic in tool("TopicCommand", "--list").check().split(), f"topic {topic}")


def test_kafka_topics(tool: Tool, topic_name: str) -> None:
    create(tool, topic_name, 3, retention_ms="86400000", max_message_bytes="2000000")

    def described() -> str:
        return tool("TopicCommand", "--describe", "--topic", topic_name).check()

    out = described()
    assert f"Topic: {topic_name}" in out
    assert "PartitionCount: 3" in out
    assert "ReplicationFactor: 1" in out
    assert set(re.search(r"Configs: (\S+)", out)[1].split(",")) >= {  # type: ignore[index]
        "retention.ms=86400000",
        "max.message.bytes=2000000",
    }
    node = re.search(r"Leader: (\d+)", out)[1]  # type: ignore[index]
    for partition in range(3):
        assert re.search(rf"Partition: {partition}\s+Leader: {node}\s+Replicas: {node}\s+Isr: {node}", out)

    tool("TopicCommand", "--alter", "--topic", topic_name, "--partitions", "5").check()
    wait_until(lambda: "PartitionCount: 5" in described(), "five partitions")
    refused = tool("TopicCommand", "--alter", "--topic", topic_name, "--partitions", "2")
    assert refused.status == 1
    assert "InvalidPartitionsException" in refused.out + refused.err

    exists = tool("TopicCommand", "--create", "--topic", topic_name)
    assert exists.status == 1
    assert f"Topic '{topic_name}' already exists." in exists.out + exists.err
    tool("TopicCommand", "--create", "--if-not-exists", "--topic", topic_name).check()

    tool("TopicCommand", "--delete", "--topic", topic_name).check()
    wait_until(
        lambda: topic_name not in tool("TopicCommand", "--list").check().split(), "the topic to be gone"
    )
    unknown = tool("TopicCommand", "--describe", "--topic", topic_name)
    assert unknown.status == 1
    assert f"Topic '{topic_name}' does not exist as expected" in unknown.out + unknown.err


def test_kafka_configs_of_a_topic(tool: Tool, topic_name: str) -> None:
    create(tool, topic_name)
    entity = ("--entity-type", "topics", "--entity-name", topic_name)

    def described(*options: str) -> str:
        return tool("ConfigCommand", *entity, "--describe", *options).check()

    changes = "retention.ms=1000000,cleanup.policy=[compact,delete]"
    assert (
        "Completed updating config"
        in tool("ConfigCommand", *entity, "--alter", "--add-config", changes).check()
    )
    wait_until(lambda: "retention.ms=1000000" in described(), "the new value")
    assert "cleanup.policy=compact,delete" in described()
    everything = described("--all")
    for line in ("segment.bytes=1073741824", "min.insync.replicas=1", "compression.type=producer"):
        assert f"  {line} sensitive=false" in everything
    tool("ConfigCommand", *entity, "--alter", "--delete-config", "retention.ms").check()
    wait_until(lambda: "retention.ms" not in described(), "the value to be gone")
    refused = tool("ConfigCommand", *entity, "--alter", "--add-config", "retention.ms=soon")
    assert refused.status == 1
    assert "InvalidConfigurationException" in refused.out + refused.err


def test_kafka_configs_of_brokers(tool: Tool, clients: Clients) -> None:
    node = str(clients.get(ConfluentKafka).describe_cluster()["nodes"][0][0])
    one = ("--entity-type", "brokers", "--entity-name", node)
    everyone = ("--entity-type", "brokers", "--entity-default")

    out = tool("ConfigCommand", *one, "--describe", "--all").check()
    assert "  message.max.bytes=1048588 sensitive=false" in out
    tool("ConfigCommand", *one, "--alter", "--add-config", "log.cleaner.threads=2").check()
    wait_until(
        lambda: "log.cleaner.threads=2" in tool("ConfigCommand", *one, "--describe").check(),
        "the broker's value",
    )
    tool("ConfigCommand", *everyone, "--alter", "--add-config", "log.retention.ms=700000000").check()
    wait_until(
        lambda: "log.retention.ms=700000000" in tool("ConfigCommand", *everyone, "--describe").check(),
        "the default value",
    )
    tool("ConfigCommand", *one, "--alter", "--delete-config", "log.cleaner.threads").check()
    tool("ConfigCommand", *everyone, "--alter", "--delete-config", "log.retention.ms").check()
    refused = tool("ConfigCommand", *one, "--alter", "--add-config", "node.id=7")
    assert refused.status == 1


def test_producer_performance_and_get_offsets(
    tool: Tool, kafka: KafkaTools, broker: Server, topic_name: str
) -> None:
    create(tool, topic_name, 2)
    out = kafka.run(
        "ProducerPerformance",
        *("--topic", topic_name, "--num-records", "20000", "--record-size", "100", "--throughput", "-1"),
        *("--bootstrap-server", broker.bootstrap, "--command-property", "compression.type=lz4"),
    ).check()
    assert "20000 records sent" in out

    def offsets(time: str) -> list[int]:
        lines = tool("GetOffsetShell", "--topic", topic_name, "--time", time).check().split()
        return [int(line.rpartition(":")[2]) for line in lines]

    assert sum(offsets("latest")) == sum(offsets("-1")) == 20_000
    assert offsets("earliest") == [0, 0]
    assert [line for line in offsets("max-timestamp") if line < 0] == []
    assert offsets(str(r.BASE_TIMESTAMP)) == [0, 0]


def test_verifiable_producer(kafka: KafkaTools, tool: Tool, broker: Server, topic_name: str) -> None:
    create(tool, topic_name)
    # It sends its records and its summary while its JVM ends.
    out = kafka.run_apart(
        "VerifiableProducer",
        *("--bootstrap-server", broker.bootstrap, "--topic", topic_name),
        *("--max-messages", "500", "--acks", "-1", "--repeating-keys", "5"),
    ).check()

    events = [json.loads(line) for line in out.splitlines()]
    offsets = [event["offset"] for event in events if event["name"] == "producer_send_success"]
    assert sorted(offsets) == list(range(500))
    (summary,) = [event for event in events if event["name"] == "tool_data"]
    assert (summary["sent"], summary["acked"]) == (500, 500)


def test_console_producer_and_consumer(tool: Tool, topic_name: str) -> None:
    create(tool, topic_name)
    lines = [f"key {i}\tvalue {i}" for i in range(20)]
    tool(
        "ConsoleProducer",
        *("--topic", topic_name, "--reader-property", "parse.key=true", "--compression-codec", "zstd"),
        send="\n".join(lines) + "\n",
    ).check()
    partition = ("--topic", topic_name, "--partition", "0", "--formatter-property", "print.key=true")
    out = tool("ConsoleConsumer", *partition, "--offset", "earliest", "--max-messages", "20").check()
    assert out.splitlines() == lines
    out = tool("ConsoleConsumer", *partition, "--offset", "15", "--max-messages", "5").check()
    assert out.splitlines() == lines[15:]


def test_kafka_delete_records(tool: Tool, clients: Clients, topic_name: str, tmp_path: Path) -> None:
    create(tool, topic_name)
    clients.get(ConfluentKafka).produce(topic_name, r.mixed_records(10, 1))
    file = tmp_path / "offsets.json"
    file.write_text(
        json.dumps({"partitions": [{"topic": topic_name, "partition": 0, "offset": 4}], "version": 1})
    )
    out = tool("DeleteRecordsCommand", "--offset-json-file", str(file)).check()
    assert f"partition: {topic_name}-0\tlow_watermark: 4" in out
    assert f"{topic_name}:0:4" in tool("GetOffsetShell", "--topic", topic_name, "--time", "earliest").check()


def test_kafka_log_dirs(tool: Tool, clients: Clients, broker: Server, topic_name: str) -> None:
    create(tool, topic_name, 2)
    clients.get(ConfluentKafka).produce(topic_name, r.mixed_records(40, 2))
    out = tool("LogDirsCommand", "--describe", "--topic-list", topic_name).check()
    answer = json.loads(out[out.index('{"') :])
    ((directory,),) = [node["logDirs"] for node in answer["brokers"]]
    assert directory["error"] is None
    sizes = {partition["partition"]: partition for partition in directory["partitions"]}
    assert sorted(sizes) == [f"{topic_name}-0", f"{topic_name}-1"]
    for name, partition in sizes.items():
        assert (partition["offsetLag"], partition["isFuture"]) == (0, False)
        if broker.data_dir is not None:
            segments = broker.log_dir.glob(f"{name}/*.log")
            assert partition["size"] == sum(segment.stat().st_size for segment in segments)


def test_kafka_cluster(tool: Tool, kafka: KafkaTools, broker: Server, clients: Clients) -> None:
    described = clients.get(ConfluentKafka).describe_cluster()
    out = kafka.run("ClusterTool", "cluster-id", "--bootstrap-server", broker.bootstrap).check()
    assert out.strip() == f"Cluster ID: {described['cluster_id']}"
    out = kafka.run("ClusterTool", "list-endpoints", "--bootstrap-server", broker.bootstrap).check()
    assert str(broker.port) in out


def test_kafka_broker_api_versions(tool: Tool) -> None:
    out = tool("BrokerApiVersionsCommand").check()
    for line in (
        "Produce(0): 0 to 13",
        "Fetch(1): 4 to 18",
        "Metadata(3): 0 to 13",
        "ApiVersions(18): 0 to 4",
    ):
        assert line in out


def test_kafka_metadata_quorum(tool: Tool) -> None:
    status = tool("MetadataQuorumCommand", "describe", "--status").check()
    told = dict(re.findall(r"^(\w+):\s+(.*)$", status, re.M))
    assert told["LeaderId"] == "1"
    assert int(told["LeaderEpoch"]) > 0
    assert int(told["HighWatermark"]) > 0
    assert told["MaxFollowerLag"] == "0"
    assert re.fullmatch(r'\[{"id": 1, "directoryId": "[\w-]{22}".*}\]', told["CurrentVoters"])
    assert told["CurrentObservers"] == "[]"
    rows = tool("MetadataQuorumCommand", "describe", "--replication").check().splitlines()
    header, row = (line.split() for line in rows if line.strip())
    assert header[0] == "NodeId"
    assert (row[0], row[header.index("Lag")], row[-1]) == ("1", "0", "Leader")


def test_kafka_features(tool: Tool) -> None:
    out = tool("FeatureCommand", "describe").check()
    assert re.search(r"Feature: metadata.version\s+SupportedMinVersion: \S+\s+SupportedMaxVersion: \S+", out)


def dump(kafka: KafkaTools, files: list[Path], *options: str) -> str:
    assert files
    out = kafka.run("DumpLogSegments", "--files", ",".join(map(str, files)), *options)
    text = out.check()
    for complaint in (
        "Mismatches",
        "mismatch",
        "isvalid: false",
        "Exception",
        "Invalid",
        "out of order",
        "corrupt",
    ):
        assert complaint not in text, text[-2000:]
    assert "Exception" not in out.err
    return text


def test_kafka_dump_log_reads_our_files(
    kafka: KafkaTools, start_broker: Callable[..., Server], topic_name: str
) -> None:
    server = start_broker(**{"log.segment.bytes": "1048576", "log.index.interval.bytes": "1024"})
    client = ConfluentKafka(server.bootstrap)
    client.make_topic(topic_name, 1, {"retention.ms": "86400000"})
    records = r.mixed_records(120, 1)
    count = 0
    for codec in r.CODECS:
        client.produce(topic_name, records, codec=codec, idempotent=codec == "gzip")
        count += len(records)
    noise = r.big_records()[0].value
    assert noise is not None
    bulk = [r.Record(0, None, noise[at : at + 20_000]) for at in range(0, 1_000_000, 20_000)] * 3
    client.produce(topic_name, bulk)
    count += len(bulk)
    client.delete_records(topic_name, 0, 5)
    server.stop()

    directory = server.log_dir / f"{topic_name}-0"
    segments = sorted(directory.glob("*.log"))
    assert len(segments) >= 3
    text = dump(kafka, segments, "--deep-iteration", "--print-data-log")
    offsets = [int(offset) for offset in re.findall(r"^\| offset: (\d+)", text, re.MULTILINE)]
    assert offsets == list(range(count))
    for codec in r.CODECS:
        assert f"compresscodec: {codec}" in text
    dump(kafka, sorted(directory.glob("*.index")), "--verify-index-only")
    dump(kafka, sorted(directory.glob("*.index")), "--index-sanity-check")
    dump(kafka, sorted(directory.glob("*.timeindex")), "--verify-index-only")
    snapshots = dump(kafka, sorted(directory.glob("*.snapshot")))
    assert "producerId: " in snapshots

    metadata = server.log_dir / "__cluster_metadata-0"
    text = dump(kafka, sorted(metadata.glob("*.log")), "--cluster-metadata-decoder")
    for kind in (
        "TOPIC_RECORD",
        "PARTITION_RECORD",
        "CONFIG_RECORD",
        "REGISTER_BROKER_RECORD",
        "PRODUCER_IDS_RECORD",
    ):
        assert f'"type":"{kind}"' in text
    assert f'"name":"{topic_name}"' in text


def test_kafka_dump_log_reads_the_files_of_a_killed_broker(
    kafka: KafkaTools, start_broker: Callable[..., Server], topic_name: str
) -> None:
    """As the kill left them, and again after a recovery."""
    server = start_broker(**{"log.segment.bytes": "1048576", "log.index.interval.bytes": "1024"})
    client = ConfluentKafka(server.bootstrap)
    client.make_topic(topic_name, 1)
    noise = r.big_records()[0].value
    assert noise is not None
    bulk = [r.Record(0, b"k", noise[at : at + 20_000]) for at in range(0, 1_000_000, 20_000)] * 3
    for codec in ("none", "zstd"):
        client.produce(topic_name, bulk, codec=codec, idempotent=True)
    server.kill()
    count = 2 * len(bulk)
    for recovered in (False, True):
        if recovered:
            server.start()
            client.produce(topic_name, bulk[:10])
            count += 10
            server.stop()
        directory = server.log_dir / f"{topic_name}-0"
        text = dump(kafka, sorted(directory.glob("*.log")), "--deep-iteration")
        offsets = [int(offset) for offset in re.findall(r"^\| offset: (\d+)", text, re.MULTILINE)]
        assert offsets == list(range(count))
        dump(kafka, sorted(directory.glob("*.index")), "--verify-index-only")
        dump(kafka, sorted(directory.glob("*.timeindex")), "--verify-index-only")
        metadata = server.log_dir / "__cluster_metadata-0"
        text = dump(kafka, sorted(metadata.glob("*.log")), "--cluster-metadata-decoder")
        assert f'"name":"{topic_name}"' in text


def test_kafka_dump_log_reads_our_groups_and_offsets(
    kafka: KafkaTools, start_broker: Callable[..., Server], topic_name: str
) -> None:
    """What Kafka's tool makes of `__consumer_offsets`, and that `pybroker dump-log` prints the same."""
    server = start_broker(
        **{"offsets.topic.num.partitions": "1", "group.initial.rebalance.delay.ms": "0"},
    )
    ConfluentKafka(server.bootstrap).make_topic(topic_name, 1, {})
    with raw.Connection(server.bootstrap) as connection:
        groups.find_coordinator(connection, "g")
        groups.commit(connection, "g", topic_name, 5, metadata="nöte")
        request = groups.commit_request("g", topic_name, 6)
        groups.call(connection, groups.OFFSET_COMMIT, 3, {**request, "retention_time": 1000})
        metadata = groups.subscription(topic_name)
        offered = groups.protocols("range", metadata=metadata)
        member = groups.alone(server.bootstrap, "h", instance="i", offered=offered)
        member.leave()
        member = groups.Member(server.bootstrap, "h", offered=offered)
        member.join()
        # In an assignment of version 0 the partitions stand where a subscription has nothing.
        assignment = metadata[:-4] + (2).to_bytes(4, "big") + bytes(8) + (-1).to_bytes(4, "big", signed=True)
        member.sync({member.member_id: assignment})
        groups.call(
            connection,
            groups.OFFSET_DELETE,
            0,
            {"group_id": "g", "topics": [{"name": topic_name, "partitions": [{"partition_index": 0}]}]},
        )
    server.stop()
    segment = server.log_dir / "__consumer_offsets-0" / f"{0:020}.log"
    theirs = dump(kafka, [segment], "--offsets-decoder")
    assert '"metadata":"nöte"' in theirs
    assert f'"subscription":{{"topics":["{topic_name}"],"userData":null}}' in theirs
    assert '"assignedPartitions":[{"topic":' in theirs
    assert "payload: <DELETE>" in theirs
    ours = subprocess.run(
        [sys.executable, "-m", "pybroker", "dump-log", "--decoder", "offsets", str(segment)],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert ours.splitlines() == theirs.splitlines()


@pytest.fixture(scope="module")
def own_broker(pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """For what concerns everybody at a broker. It has two log directories, `data` and `data2`."""
    directory = tmp_path_factory.mktemp("own")
    server = make_server(pytestconfig, directory, {"log.dirs": f"{directory}/data,{directory}/data2"})
    yield server
    server.stop()


def test_replicas_between_directories(
    kafka: KafkaTools, own_broker: Server, topic_name: str, tmp_path: Path
) -> None:
    directories = [str(own_broker.log_dir), f"{own_broker.log_dir}2"]

    def run(name: str, *arguments: str) -> str:
        return kafka.run(name, "--bootstrap-server", own_broker.bootstrap, *arguments).check()

    def described() -> list[list[tuple[str, bool]]]:
        """Of each directory the replicas, and whether they are future ones."""
        out = run("LogDirsCommand", "--describe", "--topic-list", topic_name)
        ((*found,),) = [node["logDirs"] for node in json.loads(out[out.index('{"') :])["brokers"]]
        by_path = {directory["logDir"]: directory for directory in found}
        assert not any(directory["error"] for directory in found)
        return [
            sorted((replica["partition"], replica["isFuture"]) for replica in by_path[path]["partitions"])
            for path in directories
        ]

    def moved(*options: str) -> str:
        return run("ReassignPartitionsCommand", "--reassignment-json-file", str(file), *options)

    raw.create_topic(own_broker.bootstrap, topic_name, partitions=2)
    for index in range(2):
        raw.produce(own_broker.bootstrap, topic_name, {index: raw.batch(raw.record(b"", b"x" * 300_000))})
    replicas = [f"{topic_name}-{index}" for index in range(2)]
    here = next(number for number, found in enumerate(described()) if (replicas[0], False) in found)
    # The first one is there already, the second one may be.
    file = tmp_path / "plan.json"
    plan = [
        {"topic": topic_name, "partition": index, "replicas": [1], "log_dirs": [directories[here]]}
        for index in range(2)
    ]
    file.write_text(json.dumps({"version": 1, "partitions": plan}))
    moved("--execute")
    done = "Reassignment of replica {}-1 completed successfully."
    wait_until(lambda: "in progress" not in moved("--verify"), "the first move")
    # Both go to the other one, slowly: one copy is more than is allowed for long.
    for entry in plan:
        entry["log_dirs"] = [directories[1 - here]]
    file.write_text(json.dumps({"version": 1, "partitions": plan}))
    out = moved("--execute", "--replica-alter-log-dirs-throttle", "1000")
    assert "The replica-alter-dir throttle limit was set to 1000 B/s" in out
    for replica in replicas:
        assert (
            f"Successfully started moving log directory to {directories[1 - here]} for replica {replica}"
            in out
        )
    out = moved("--verify", "--preserve-throttles")
    assert "is still in progress." in out
    assert any(is_future for _, is_future in described()[1 - here])
    moved("--execute", "--additional", "--replica-alter-log-dirs-throttle", "100000000")
    wait_until(lambda: "in progress" not in moved("--verify", "--preserve-throttles"), "the moves")
    out = moved("--verify")
    assert all(done.format(replica) in out for replica in replicas)
    assert "Clearing broker-level throttles on broker 1" in out
    assert described()[1 - here] == [(replica, False) for replica in replicas]
    assert described()[here] == []
    assert raw.high_watermark(own_broker.bootstrap, topic_name) == 1
    assert "io.max.bytes" not in run("ConfigCommand", "--describe", "--broker", "1")

    plan[0]["log_dirs"] = ["/not/there"]
    file.write_text(json.dumps({"version": 1, "partitions": plan}))
    arguments = ("--reassignment-json-file", str(file), "--execute", "--timeout", "500")
    refused = kafka.run("ReassignPartitionsCommand", "--bootstrap-server", own_broker.bootstrap, *arguments)
    assert refused.status == 1
    assert f"Failed to alter dir for {replicas[0]}-1" in refused.out
    assert "not being moved from log dir" in moved("--verify")


def test_kafka_features_up_and_down(kafka: KafkaTools, own_broker: Server) -> None:
    """On a broker of its own: levels are the cluster's."""
    server = own_broker

    def features(command: str, *options: str) -> ToolResult:
        return kafka.run("FeatureCommand", "--bootstrap-server", server.bootstrap, command, *options)

    def levels() -> dict[str, str]:
        out = features("describe").check()
        return dict(re.findall(r"Feature: (\S+).*FinalizedVersionLevel: (\S+)", out))

    assert levels()["metadata.version"] == "4.3-IV0"
    out = features("downgrade", "--feature", "group.version=0", "--dry-run").check()
    assert "group.version can be downgraded to 0." in out
    assert levels()["group.version"] == "1"
    out = features("downgrade", "--feature", "group.version=0", "--feature", "transaction.version=1").check()
    assert "group.version was downgraded to 0." in out
    assert (levels()["group.version"], levels()["transaction.version"]) == ("0", "1")
    assert (
        "transaction.version was disabled." in features("disable", "--feature", "transaction.version").check()
    )
    server.restart()
    assert (levels()["group.version"], levels()["transaction.version"]) == ("0", "0")
    out = features("upgrade", "--feature", "group.version=1", "--feature", "transaction.version=2").check()
    assert "transaction.version was upgraded to 2." in out
    assert (levels()["group.version"], levels()["transaction.version"]) == ("1", "2")

    # A release is all its features: one that this broker has not built refuses them all, and says which.
    upgraded = features("upgrade", "--release-version", "4.3")
    if server.name == "Apache Kafka":
        assert "metadata.version was upgraded to 30." in upgraded.check()
    else:
        assert (
            "share.version. Local controller 1 does not support this feature." in upgraded.out + upgraded.err
        )
        assert upgraded.status == 1
    refused = features("downgrade", "--release-version", "4.0", "--dry-run")
    assert refused.status == 1
    refused = features("downgrade", "--metadata", "4.0")
    assert "Unsupported metadata.version downgrade from 30 to 25." in refused.out + refused.err
