"""`PeerClient`: whatever another node answers, a call ends with one message or with None."""

from __future__ import annotations

from typing import Any

import pytest

from pybroker.wire import codec
from pybroker.wire.client import PeerClient
from pybroker.wire.headers import response_header
from pybroker.wire.messages import api_versions, fetch, vote
from tests.fake_peers import FakePeers

ADDRESS = ("controller-2", 9093)


@pytest.fixture
def peers() -> FakePeers:
    return FakePeers()


@pytest.fixture
def client(peers: FakePeers) -> PeerClient:
    return PeerClient(peers, "raft-client-1")


@pytest.fixture
def answers() -> list[Any]:
    return []


def test_request_and_response_cross_unchanged(peers, client, answers):
    request = vote.VoteRequest(cluster_id="c", voter_id=2)
    client.call("raft", ADDRESS, request, 2, 2000.0, answers.append)
    sent = peers.take()
    assert (sent.channel, sent.address, sent.timeout_ms) == ("raft", ADDRESS, 2000.0)
    assert (sent.header.api_key, sent.header.api_version) == (52, 2)
    assert sent.header.client_id == "raft-client-1"
    assert sent.message == request
    assert answers == []
    response = vote.VoteResponse(error_code=41)
    sent.answer(response)
    assert answers == [response]


@pytest.mark.parametrize("version", [0, 3, 4])
def test_api_versions_has_its_own_response_header(peers, client, answers, version):
    client.call("controller", ADDRESS, api_versions.ApiVersionsRequest(), version, 1.0, answers.append)
    peers.take().answer(api_versions.ApiVersionsResponse(error_code=35))
    assert answers[0].error_code == 35


def test_correlation_ids_differ_and_answers_may_come_in_any_order(peers, client, answers):
    for _ in range(2):
        client.call("raft", ADDRESS, vote.VoteRequest(), 0, 1.0, answers.append)
    first, second = peers.take(), peers.take()
    assert first.header.correlation_id != second.header.correlation_id
    second.answer(vote.VoteResponse(error_code=2))
    first.answer(vote.VoteResponse(error_code=1))
    assert [answer.error_code for answer in answers] == [2, 1]


def test_no_answer_is_none(peers, client, answers):
    client.call("raft", ADDRESS, vote.VoteRequest(), 0, 1.0, answers.append)
    peers.take().fail()
    assert answers == [None]


def test_what_cannot_be_decoded_is_none_and_reported(peers, client, answers):
    lines: list[str] = []
    client.report = lines.append
    good = response_header(52, 0, 0) + codec.encode(vote.VoteResponse(error_code=1), 0)
    for frame in (b"", b"\0\0", good[:5], good[:-1], response_header(52, 0, 7) + good[5:], b"\xff" * 40):
        client.call("raft", ADDRESS, vote.VoteRequest(), 0, 1.0, answers.append)
        sent = peers.take()
        if frame[:4] == good[:4]:
            frame = sent.header.correlation_id.to_bytes(4, "big") + frame[4:]
        sent.answer_bytes(frame)
    assert answers == [None] * 6
    assert len(lines) == 6
    assert all("controller-2:9093" in line for line in lines)
    assert "correlation id 7 where 4 was sent" in lines[4]


def test_records_of_a_response_can_be_written_to(peers, client, answers):
    """A follower stamps nothing, but the log's append takes writable batches."""
    client.call("fetch-2", ADDRESS, fetch.FetchRequest(), 17, 1.0, answers.append)
    partition = fetch.PartitionData(partition_index=0, high_watermark=0, records=b"batch")
    peers.take().answer(
        fetch.FetchResponse(
            responses=[fetch.FetchableTopicResponse(topic_id=bytes(16), partitions=[partition])]
        )
    )
    records = answers[0].responses[0].partitions[0].records
    assert bytes(records) == b"batch"
    assert not records.readonly


def test_a_message_that_does_not_fit_its_version_is_the_callers_error(peers, client, answers):
    with pytest.raises(ValueError):
        client.call("raft", ADDRESS, vote.VoteRequest(), 99, 1.0, answers.append)
    assert (list(peers.sent), answers) == ([], [])
