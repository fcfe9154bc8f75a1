"""DescribeQuorum on the wire: the answers of Apache Kafka 4.3.0, but for the listeners of its controller."""

from __future__ import annotations

import time

import pytest

from tests.protocol import raw

DESCRIBE_QUORUM = 55
UNKNOWN_TOPIC_OR_PARTITION = 3
MESSAGE = "This server does not host this topic-partition."


def ask(address, version, *topics):
    values = {
        "topics": [
            {"topic_name": name, "partitions": [{"partition_index": index} for index in partitions]}
            for name, partitions in topics
        ]
    }
    return raw.call(address, DESCRIBE_QUORUM, version, values)


@pytest.mark.parametrize("version", [0, 1, 2])
def test_the_quorum_is_this_node(broker, version):
    before = int(time.time() * 1000)
    answer = ask(broker.bootstrap, version, ("__cluster_metadata", [0]))
    after = int(time.time() * 1000)
    assert answer["error_code"] == 0
    ((topic,),) = (answer["topics"],)
    (partition,) = topic["partitions"]
    (voter,) = partition["current_voters"]
    assert topic["topic_name"] == "__cluster_metadata"
    assert (partition["partition_index"], partition["error_code"]) == (0, 0)
    assert partition["leader_id"] == voter["replica_id"] == 1
    assert partition["leader_epoch"] >= 1
    assert partition["high_watermark"] == voter["log_end_offset"] > 0
    assert partition["observers"] == []
    if version >= 1:
        # The two clocks are read one after the other.
        assert before - 50 <= voter["last_fetch_timestamp"] <= after + 50
        assert voter["last_caught_up_timestamp"] == voter["last_fetch_timestamp"]
    if version >= 2:
        assert answer["error_message"] == partition["error_message"] == ""
        assert voter["replica_directory_id"] != bytes(16)
        assert [node["node_id"] for node in answer["nodes"]] == [1]


@pytest.mark.parametrize("version", [0, 1, 2])
@pytest.mark.parametrize(
    "topics",
    [
        [],
        [("x", [0, 1])],
        [("__cluster_metadata", [1])],
        [("__cluster_metadata", [0]), ("y", [2])],
        [("__cluster_metadata", [0, 0])],
        [("__cluster_metadata", [])],
    ],
    ids=str,
)
def test_other_partitions_are_refused(broker, version, topics):
    answer = ask(broker.bootstrap, version, *topics)
    assert answer["error_code"] == 0
    assert [
        (topic["topic_name"], [partition["partition_index"] for partition in topic["partitions"]])
        for topic in answer["topics"]
    ] == topics
    for topic in answer["topics"]:
        for partition in topic["partitions"]:
            assert partition["error_code"] == UNKNOWN_TOPIC_OR_PARTITION
            assert partition["current_voters"] == []
            assert partition.get("error_message", MESSAGE) == MESSAGE
