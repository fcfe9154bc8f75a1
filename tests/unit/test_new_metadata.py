"""Metadata that make thousands of partitions, or remove them: in slices, with others in between."""

from __future__ import annotations

import random

import pytest

from pybroker.broker import Broker
from pybroker.common.config import BrokerConfig
from pybroker.common.deferred import Deferred
from pybroker.common.errors import ErrorCode
from pybroker.common.memory_files import MemoryFileSystem
from pybroker.wire import codec
from pybroker.wire.messages.create_partitions import (
    CreatePartitionsRequest,
    CreatePartitionsResponse,
    CreatePartitionsTopic,
)
from pybroker.wire.messages.create_topics import CreatableTopic, CreateTopicsRequest, CreateTopicsResponse
from pybroker.wire.messages.delete_topics import DeleteTopicsRequest, DeleteTopicsResponse
from pybroker.wire.messages.incremental_alter_configs import (
    AlterableConfig,
    AlterConfigsResource,
    IncrementalAlterConfigsRequest,
    IncrementalAlterConfigsResponse,
)
from pybroker.wire.messages.list_offsets import (
    ListOffsetsPartition,
    ListOffsetsRequest,
    ListOffsetsResponse,
    ListOffsetsTopic,
)
from tests.unit.test_large_requests import TickingClock

NOW = 1_700_000_000_000
COUNT = 200


class Served:
    """A broker with a clock that goes on a millisecond whenever somebody looks: a slice is a few partitions."""

    def __init__(self, files=None):
        config = BrokerConfig.from_properties({"log.dirs": "/a", "listeners": "PLAINTEXT://:0"})
        self.clock = TickingClock(NOW)
        self.files = files or MemoryFileSystem()
        self.broker = Broker(config, self.files, self.clock, random.Random(1))
        self.broker.set_listener_port("PLAINTEXT", "localhost", 9092)
        self.broker.start()
        self.connection = self.broker.connect("127.0.0.1", 5, "PLAINTEXT")

    def ask(self, key, version, message, answer):
        header = key.to_bytes(2, "big") + version.to_bytes(2, "big") + bytes(4) + b"\xff\xff\0"
        frame = memoryview(bytearray(header + codec.encode(message, version)))
        reply = self.broker.handle(self.connection, frame)
        return lambda: self._answer(reply, version, answer)

    def _answer(self, reply, version, answer):
        """The decoded answer, None before it is there."""
        if isinstance(reply, Deferred):
            if not reply.done:
                return None
            reply = reply.value
        return codec.decode(answer, version, b"".join(bytes(part) for part in reply), 5)[0]

    def turn(self):
        self.broker.timers.advance(self.clock.monotonic_ms())
        for effect in self.broker.take_effects():
            effect.run()
            effect.complete(None)

    def until(self, answered):
        turns = 0
        while (answer := answered()) is None:
            turns += 1
            assert turns < 10_000
            self.turn()
        return answer, turns

    def settle(self):
        while self.broker._applying is not None:
            self.turn()

    def create(self, name, partitions=COUNT):
        topic = CreatableTopic(name=name, num_partitions=partitions, replication_factor=1)
        return self.ask(19, 7, CreateTopicsRequest(topics=[topic]), CreateTopicsResponse)

    def delete(self, name):
        return self.ask(20, 5, DeleteTopicsRequest(topic_names=[name], timeout=60_000), DeleteTopicsResponse)

    def errors(self, name, partitions=COUNT, first=0):
        """What ListOffsets says of each partition from the first on."""
        indexes = range(first, partitions)
        asked = [ListOffsetsPartition(partition_index=index, timestamp=-1) for index in indexes]
        request = ListOffsetsRequest(replica_id=-1, topics=[ListOffsetsTopic(name=name, partitions=asked)])
        answer, _ = self.until(self.ask(2, 6, request, ListOffsetsResponse))
        return [partition.error_code for partition in answer.topics[0].partitions]

    @property
    def logs(self):
        return {name for name in self.files.list_dir("/a") if name[-1].isdigit() and name[0] != "_"}


def test_others_have_their_turn_while_partitions_are_made():
    served = Served()
    many = 10 * COUNT
    created = served.create("a", many)
    for _ in range(3):
        served.turn()
    assert created() is None
    assert 0 < len(served.logs) < many
    assert served.errors("a", 1) == [0]
    assert served.errors("a", many, first=many - 1) == [ErrorCode.NOT_LEADER_OR_FOLLOWER]
    # The answer waits 100 ms for them: with this clock less than all of them take.
    answer, turns = served.until(created)
    assert answer.topics[0].error_code == 0
    assert turns > 3
    assert len(served.logs) < many
    served.settle()
    assert served.errors("a", many) == [0] * many


def test_a_request_for_some_partitions_is_answered_when_they_are_there():
    served = Served()
    for number, count in enumerate((1, 8, 20, 40)):
        name = f"t{number}"
        served.until(served.create(name, count))
        assert served.errors(name, count) == [0] * count


def test_partitions_that_are_added_come_in_slices_too():
    served = Served()
    served.until(served.create("a", 1))
    wanted = CreatePartitionsRequest(
        topics=[CreatePartitionsTopic(name="a", count=COUNT, assignments=None)], timeout=1000
    )
    answer, turns = served.until(served.ask(37, 2, wanted, CreatePartitionsResponse))
    assert answer.results[0].error_code == 0
    assert turns > 3
    served.settle()
    assert served.errors("a") == [0] * COUNT


def test_what_is_committed_meanwhile_comes_after():
    served = Served()
    first, second = served.create("a"), served.create("b", 2)
    resource = AlterConfigsResource(
        resource_type=2, resource_name="a", configs=[AlterableConfig(name="retention.ms", value="7")]
    )
    altered = served.ask(
        44, 1, IncrementalAlterConfigsRequest(resources=[resource]), IncrementalAlterConfigsResponse
    )
    answer, _ = served.until(altered)
    assert answer.responses[0].error_code == 0
    # Only requests that make partitions wait for them.
    assert first() is None
    for created in (first, second):
        served.until(created)
    served.settle()
    assert served.errors("a") + served.errors("b", 2) == [0] * (COUNT + 2)
    logs = served.broker._context.logs
    assert {logs.get("a", index).config.retention_ms for index in range(COUNT)} == {7}


@pytest.mark.parametrize("again", [False, True])
def test_a_topic_that_is_deleted_while_it_is_made(again):
    served = Served()
    created = served.create("a")
    served.turn()
    deleted = served.delete("a")
    waiting = [created, deleted, *([served.create("a", 3)] if again else [])]
    for answered in waiting:
        served.until(answered)
    for _ in range(200):
        served.turn()
    assert served.logs == {f"a-{index}" for index in range(3 if again else 0)}
    if again:
        assert served.errors("a", 3) == [0] * 3


def test_a_stop_while_partitions_are_made():
    served = Served()
    created = served.create("a")
    served.turn()
    served.broker.shutdown()
    assert created() is None
    assert len(served.logs) < COUNT
    again = Served(served.files)
    assert len(again.logs) == COUNT
    assert again.errors("a") == [0] * COUNT
