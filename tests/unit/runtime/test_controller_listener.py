"""The controller's listener of a running broker: its own keys, and no others."""

from __future__ import annotations

import asyncio
import struct

import pytest

from pybroker.common.config import BrokerConfig
from pybroker.common.memory_files import MemoryFileSystem
from pybroker.records.batch import iter_headers
from pybroker.runtime.main import RunningBroker
from pybroker.wire import codec
from pybroker.wire.api_keys import ADVERTISED, CONTROLLER_ADVERTISED
from pybroker.wire.client import api_key_of
from pybroker.wire.headers import parse_response_header, request_header
from pybroker.wire.messages import add_raft_voter, fetch, fetch_snapshot, remove_raft_voter, vote
from pybroker.wire.messages.api_versions import ApiVersionsRequest
from tests.unit.server.harness import run

INVALID_REQUEST = 42
FENCED_LEADER_EPOCH = 74
INCONSISTENT_CLUSTER_ID = 104
VOTER_NOT_FOUND = 127
CONFIG = {
    "listeners": "PLAINTEXT://127.0.0.1:0,CONTROLLER://127.0.0.1:0",
    "advertised.listeners": "PLAINTEXT://127.0.0.1:0",
}


async def ask(address, api_key, version, body=b""):
    """The frame of the answer; b"" when the connection is closed instead."""
    reader, writer = await asyncio.open_connection(*address)
    try:
        frame = request_header(api_key, version, 7, "t") + body
        writer.write(struct.pack(">i", len(frame)) + frame)
        prefix = await reader.read(4)
        return await reader.readexactly(struct.unpack(">i", prefix)[0]) if prefix else b""
    finally:
        writer.close()


def with_broker(script):
    async def whole():
        running = RunningBroker(BrokerConfig.from_properties(CONFIG), MemoryFileSystem(), in_memory=True)
        await running.start()
        try:
            controller = running._controller_listeners[0]
            await script(running.address, ("127.0.0.1", controller.port))
        finally:
            await running.stop()

    run(whole())


def test_each_kind_of_listener_advertises_its_own_keys():
    async def script(broker, controller):
        for address, rows in ((broker, ADVERTISED), (controller, CONTROLLER_ADVERTISED)):
            request = ApiVersionsRequest(client_software_name="t", client_software_version="1")
            frame = await ask(address, 18, 4, codec.encode(request, 4))
            _, position = parse_response_header(frame, 18, 4)
            answer, _ = codec.decode(codec.response_class(18), 4, frame, position)
            assert [(key.api_key, key.min_version, key.max_version) for key in answer.api_keys] == list(rows)
            assert answer.finalized_features

    with_broker(script)


@pytest.mark.parametrize(
    ("on_controller", "api_key", "version"), [(True, 3, 12), (True, 0, 9), (False, 52, 2), (False, 82, 0)]
)
def test_a_key_of_the_other_kind_closes_the_connection(on_controller, api_key, version):
    async def script(broker, controller):
        assert await ask(controller if on_controller else broker, api_key, version, bytes(64)) == b""

    with_broker(script)


async def call(address, request, version):
    api_key = api_key_of(request)
    frame = await ask(address, api_key, version, codec.encode(request, version))
    _, position = parse_response_header(frame, api_key, version)
    return codec.decode(codec.response_class(api_key), version, frame, position)[0]


@pytest.mark.parametrize("version", [4, 12, 13, 17, 18])
def test_an_observer_fetches_the_metadata_log(version):
    async def script(broker, controller):
        partition = fetch.FetchPartition(
            partition=0, fetch_offset=0, last_fetched_epoch=0, current_leader_epoch=1
        )
        topic = fetch.FetchTopic(
            topic="__cluster_metadata", topic_id=bytes(15) + b"\1", partitions=[partition]
        )
        answer = await call(controller, fetch.FetchRequest(replica_id=-1, topics=[topic]), version)
        if version < 13:
            # The metadata log is asked for by its id, not by its name.
            assert answer.responses == []
            assert answer.error_code == (INVALID_REQUEST if version >= 7 else 0)
            return
        assert bool(answer.node_endpoints) == (version >= 17)
        found = answer.responses[0].partitions[0]
        assert found.error_code == 0
        assert found.current_leader.leader_id == 1
        headers = [header for _, header in iter_headers(found.records)]
        assert headers[0].is_control
        assert headers[0].base_offset == 0
        assert found.high_watermark >= headers[-1].next_offset

    with_broker(script)


def test_requests_of_a_quorum_that_is_not_asked_for_change_nothing():
    async def script(broker, controller):
        partition = vote.RequestPartitionData(
            partition_index=0,
            replica_epoch=0,
            replica_id=9,
            last_offset_epoch=0,
            last_offset=5,
            pre_vote=True,
        )
        topic = vote.RequestTopicData(topic_name="__cluster_metadata", partitions=[partition])
        answer = await call(controller, vote.VoteRequest(voter_id=1, topics=[topic]), 2)
        assert answer.topics[0].partitions[0].error_code == FENCED_LEADER_EPOCH
        assert answer.topics[0].partitions[0].leader_id == 1
        foreign = vote.VoteRequest(cluster_id="another", voter_id=1, topics=[topic])
        assert (await call(controller, foreign, 2)).error_code == INCONSISTENT_CLUSTER_ID
        for version in (0, 1):
            # CVE-2026-83525.
            empty = fetch_snapshot.FetchSnapshotRequest(replica_id=9, max_bytes=100, topics=[])
            assert (await call(controller, empty, version)).error_code == INVALID_REQUEST
        for listener in (broker, controller):
            remove = remove_raft_voter.RemoveRaftVoterRequest(
                cluster_id=None, voter_id=9, voter_directory_id=bytes([9]) * 16
            )
            assert (await call(listener, remove, 0)).error_code == VOTER_NOT_FOUND
            add = add_raft_voter.AddRaftVoterRequest(
                cluster_id=None, voter_id=9, voter_directory_id=bytes(16)
            )
            assert (await call(listener, add, 1)).error_code == INVALID_REQUEST

    with_broker(script)
