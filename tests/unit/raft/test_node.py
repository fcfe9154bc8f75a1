"""One member of the quorum: what it answers, what it refuses, and what it waits for."""

from __future__ import annotations

import random

import pytest

from pybroker.common.clock import ManualClock
from pybroker.common.errors import ErrorCode
from pybroker.raft import messages
from pybroker.raft.hard_state import HardState
from pybroker.raft.leader import OBSERVERS_MAX, LeaderState
from pybroker.raft.log import MemoryRaftLog
from pybroker.raft.node import Node, QuorumSettings, Reply, Send
from pybroker.raft.role import Role
from pybroker.raft.snapshot import SnapshotId
from pybroker.raft.voters import ReplicaKey, Voter, VoterHistory, VoterSet, voter_records
from pybroker.records.batch import Record, build_batch
from pybroker.records.control import ControlRecord
from pybroker.wire.messages import (
    add_raft_voter,
    begin_quorum_epoch,
    describe_quorum,
    fetch,
    fetch_snapshot,
    remove_raft_voter,
    vote,
)
from pybroker.wire.messages.api_versions import ApiVersionsRequest

CLUSTER = "test-cluster"
KEYS = {number: ReplicaKey(number, bytes([number]) * 16) for number in range(1, 6)}
VOTERS = [
    Voter(number, KEYS[number].directory_id, (("CONTROLLER", f"h{number}", 9093),)) for number in (1, 2, 3)
]


class FakeSnapshots:
    def __init__(self):
        self.files = {}
        self.part = b""

    def latest(self):
        return max(self.files, default=None)

    def ending_at(self, offset):
        return next((s for s in self.files if s.end_offset == offset), None)

    def size(self, snapshot):
        return len(self.files[snapshot]) if snapshot in self.files else None

    def read(self, snapshot, position, max_bytes):
        return self.files[snapshot][position : position + max_bytes]

    def begin(self, snapshot):
        self.part = b""

    def append(self, snapshot, position, data):
        self.part += data


class Harness:
    """A node whose storage is as fast as thought, unless told otherwise."""

    def __init__(self, voters=VOTERS, hard_state=None, node_id=1, log=None, kraft_version=1, store=True):
        self.clock = ManualClock()
        self.log = log or MemoryRaftLog()
        self.snapshots = FakeSnapshots()
        self.store = store
        history = VoterHistory(VoterSet(voters))
        if kraft_version:
            controls = [ControlRecord(0, 0, kind, 0, value) for kind, value in voter_records(voters)]
            history.reset(0, controls)
        self.node = Node(
            KEYS[node_id],
            CLUSTER,
            hard_state,
            history,
            log=self.log,
            snapshots=self.snapshots,
            clock=self.clock,
            rng=random.Random(1),
            settings=QuorumSettings(),
            endpoints=(("CONTROLLER", f"h{node_id}", 9093),),
        )
        self.stored = hard_state
        self.sent: list[Send] = []
        self.replies: dict[object, object] = {}
        self.pump()

    def pump(self):
        while True:
            ready = self.node.take_ready()
            for message in ready.messages:
                if isinstance(message, Reply):
                    assert message.token not in self.replies
                    self.replies[message.token] = message.message
                else:
                    self.sent.append(message)
            if ready.flush is not None:
                self.node.flushed(ready.flush)
            if ready.hard_state is None or not self.store:
                if ready.flush is None:
                    return self
                continue
            self.stored = ready.hard_state
            self.node.stored(ready.hard_state_version)

    def advance(self, milliseconds):
        self.clock.advance(milliseconds)
        self.node.tick()
        return self.pump()

    def ask(self, message, token="t"):
        self.replies.pop(token, None)
        self.node.request(token, message)
        self.pump()
        return self.replies.get(token)

    def vote(self, *, epoch, candidate=2, log_end=(0, 0), pre_vote=False, voter=1):
        request = messages.vote_request(
            CLUSTER, KEYS[voter], KEYS[candidate], epoch, log_end, pre_vote=pre_vote
        )
        return self.ask(request).topics[0].partitions[0]

    def begin(self, *, epoch, leader=2):
        request = messages.begin_quorum_epoch_request(CLUSTER, KEYS[1], leader, epoch, ())
        return self.ask(request).topics[0].partitions[0]

    def fetch(self, *, epoch, offset=0, last_epoch=0, replica=2, wait_ms=0, high_watermark=2**62, token="t"):
        request = messages.fetch_request(
            CLUSTER,
            KEYS[replica],
            epoch,
            (last_epoch, offset),
            high_watermark=high_watermark,
            max_wait_ms=wait_ms,
            max_bytes=10**6,
        )
        response = self.ask(request, token)
        return response and response.responses[0].partitions[0]

    def take_sent(self):
        sent, self.sent = self.sent, []
        return sent

    def elect(self):
        """Win an election against two silent members who answer votes."""
        self.advance(2_000)
        for _ in range(2):
            for send in self.take_sent():
                if isinstance(send.message, vote.VoteRequest):
                    epoch = send.message.topics[0].partitions[0].replica_epoch
                    answer = messages.vote_response(0, epoch, -1, (), granted=True)
                    self.node.response(send.node_id, send.correlation_id, answer)
                    self.pump()
        assert self.node.is_leader
        return self


def batch(base_offset, epoch, value=b"x"):
    return build_batch([Record(0, 0, None, value)], base_offset=base_offset, leader_epoch=epoch)


# Elections


def test_pre_vote_changes_nothing():
    harness = Harness()
    answer = harness.vote(epoch=0, pre_vote=True)
    assert (answer.error_code, answer.vote_granted) == (0, True)
    assert harness.node.voted.node_id == -1
    assert harness.node.epoch == 0


def test_one_vote_in_an_epoch():
    harness = Harness()
    assert harness.vote(epoch=3).vote_granted
    assert harness.stored == HardState(-1, 3, 2, KEYS[2].directory_id)
    assert harness.vote(epoch=3).vote_granted
    assert not harness.vote(epoch=3, candidate=3).vote_granted
    assert harness.vote(epoch=4, candidate=3).vote_granted


def test_a_vote_is_told_when_it_is_stored():
    harness = Harness(store=False)
    request = messages.vote_request(CLUSTER, KEYS[1], KEYS[2], 3, (0, 0), pre_vote=False)
    assert harness.ask(request) is None
    harness.node.stored(harness.node._state_version)
    harness.pump()
    assert harness.replies["t"].topics[0].partitions[0].vote_granted


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"epoch": 2}, ErrorCode.FENCED_LEADER_EPOCH),
        ({"epoch": 6, "candidate": 2, "log_end": (6, 1)}, ErrorCode.INVALID_REQUEST),
        ({"epoch": 6, "log_end": (-1, 1)}, ErrorCode.INVALID_REQUEST),
        ({"epoch": 6, "log_end": (1, -1)}, ErrorCode.INVALID_REQUEST),
        ({"epoch": 6, "voter": 3}, ErrorCode.INVALID_VOTER_KEY),
    ],
)
def test_refused_votes(fields, error):
    harness = Harness(hard_state=HardState(-1, 5))
    answer = harness.vote(**fields)
    assert (answer.error_code, answer.vote_granted) == (error, False)


def test_requests_of_others():
    harness = Harness()
    partition = vote.RequestPartitionData(replica_epoch=9, replica_id=2)
    foreign = vote.VoteRequest(
        cluster_id="other", topics=[vote.RequestTopicData(topic_name=messages.TOPIC, partitions=[partition])]
    )
    assert harness.ask(foreign).error_code == ErrorCode.INCONSISTENT_CLUSTER_ID
    for topics in (
        [],
        [vote.RequestTopicData(topic_name="x", partitions=[partition])],
        [vote.RequestTopicData(topic_name=messages.TOPIC)],
    ):
        assert harness.ask(vote.VoteRequest(topics=topics)).error_code == ErrorCode.INVALID_REQUEST
    assert harness.ask(begin_quorum_epoch.BeginQuorumEpochRequest()).error_code == ErrorCode.INVALID_REQUEST
    assert harness.ask(fetch.FetchRequest()).error_code == ErrorCode.INVALID_REQUEST
    assert harness.node.epoch == 0


def test_followers_that_were_answered_at_the_same_moment_stand_at_different_ones():
    """Otherwise each asks for votes when the other does, and nobody leads before the next election."""
    harness = Harness()
    harness.begin(epoch=4)
    deadlines = set()
    for _ in range(20):
        harness.node.new_fetch_deadline()
        deadlines.add(harness.node.fetch_deadline - harness.node.now())
    timeout = harness.node.settings.fetch_timeout_ms
    assert len(deadlines) > 10
    assert timeout <= min(deadlines) < max(deadlines) <= timeout * 1.1


def test_a_follower_keeps_to_its_leader():
    harness = Harness()
    assert harness.begin(epoch=4).error_code == 0
    assert harness.node.role is Role.FOLLOWER
    # It has not fetched yet, so the leader may be gone.
    assert harness.vote(epoch=4, candidate=3, pre_vote=True).vote_granted
    send = harness.take_sent()[-1]
    assert isinstance(send.message, fetch.FetchRequest)
    assert send.address == ("h2", 9093)
    harness.node.response(2, send.correlation_id, messages.fetch_response(0, 4, 2, (), log_start_offset=0))
    assert not harness.vote(epoch=4, candidate=3, pre_vote=True).vote_granted
    assert not harness.vote(epoch=4, candidate=3).vote_granted
    # Another leader in the same epoch is a lie.
    assert harness.begin(epoch=4, leader=3).error_code == ErrorCode.INVALID_REQUEST
    assert harness.node.leader_id == 2
    assert harness.begin(epoch=3, leader=3).error_code == ErrorCode.FENCED_LEADER_EPOCH


def test_a_member_that_only_knows_what_is_known_is_not_asked_again_at_once():
    """While the leader cannot be reached another one is asked; it says what this node has heard already."""
    harness = Harness()
    harness.begin(epoch=4)
    send = harness.take_sent()[-1]
    harness.node.failed(2, send.correlation_id)
    harness.pump()
    asked = 0
    for _ in range(100):
        sent = [send for send in harness.take_sent() if isinstance(send.message, fetch.FetchRequest)]
        for send in sent:
            asked += 1
            endpoints = (("CONTROLLER", "h2", 9093),)
            error = ErrorCode.NOT_LEADER_OR_FOLLOWER
            answer = messages.fetch_response(error, 4, 2, endpoints, log_start_offset=0)
            harness.node.response(send.node_id, send.correlation_id, answer)
            harness.pump()
        harness.advance(1)
    assert harness.node.leader_id == 2
    assert 2 <= asked <= 10


def test_the_only_voter_leads_at_once():
    harness = Harness(voters=VOTERS[:1])
    assert harness.node.is_leader
    assert harness.node.epoch == 1
    assert harness.stored == HardState(1, 1)
    assert harness.log.end_offset == 3
    assert harness.node.high_watermark == 3
    again = Harness(voters=VOTERS[:1], hard_state=harness.stored, log=MemoryRaftLog(bytes(harness.log.data)))
    assert again.stored == HardState(1, 2)
    assert again.log.end_offset == 4
    assert again.node.high_watermark == 4


def test_a_former_leader_is_resigned():
    harness = Harness(hard_state=HardState(1, 5), log=MemoryRaftLog(batch(0, 5)))
    assert harness.node.role is Role.RESIGNED
    assert not harness.vote(epoch=5, log_end=(4, 9)).vote_granted
    assert harness.fetch(epoch=5, offset=1, last_epoch=5).error_code == ErrorCode.NOT_LEADER_OR_FOLLOWER
    harness.advance(2_000)
    assert harness.node.epoch == 6
    assert harness.node.role is Role.PROSPECTIVE


def test_a_voter_without_its_vote_waits_for_a_leader():
    harness = Harness(log=MemoryRaftLog(batch(0, 5)))
    assert harness.node.epoch == 5
    assert not harness.vote(epoch=7, log_end=(6, 9)).vote_granted
    harness.advance(60_000)
    assert harness.node.role is Role.UNATTACHED
    harness.begin(epoch=8)
    harness.take_sent()
    harness.advance(3_000)
    send = harness.take_sent()[-1]
    answer = messages.fetch_response(0, 8, 2, (), log_start_offset=0, high_watermark=1)
    harness.node.response(2, send.correlation_id, answer)
    assert send.node_id != 2 or not harness.node.lost_vote


def test_election_and_check_quorum():
    harness = Harness().elect()
    node = harness.node
    assert node.epoch == 1
    assert harness.log.end_offset == 3
    assert node.high_watermark == 0
    assert {type(send.message) for send in harness.take_sent()} == {
        begin_quorum_epoch.BeginQuorumEpochRequest
    }
    assert harness.fetch(epoch=1).error_code == 0
    assert harness.fetch(epoch=1, offset=3, last_epoch=1).high_watermark == 3
    harness.advance(2_999)
    assert node.is_leader
    harness.advance(2)
    assert node.role is Role.RESIGNED
    answer = harness.ask(
        describe_quorum.DescribeQuorumRequest(
            topics=[
                describe_quorum.RequestTopicData(
                    topic_name=messages.TOPIC, partitions=[describe_quorum.RequestPartitionData()]
                )
            ]
        )
    )
    assert answer.topics[0].partitions[0].error_code == ErrorCode.NOT_LEADER_OR_FOLLOWER


def test_a_leader_gives_way_to_a_later_epoch():
    harness = Harness().elect()
    harness.fetch(epoch=1, wait_ms=500, offset=3, last_epoch=1, replica=3, token="waits")
    harness.fetch(epoch=1, wait_ms=500, offset=3, last_epoch=1, replica=3, token="waits too")
    assert harness.replies["waits"].responses[0].partitions[0].error_code == 0
    assert not harness.vote(epoch=2, log_end=(0, 0)).vote_granted
    assert harness.node.role is Role.UNATTACHED
    assert harness.replies["waits too"].responses[0].partitions[0].error_code == ErrorCode.FENCED_LEADER_EPOCH


# Replication


def test_fetch_errors():
    harness = Harness().elect()
    assert harness.fetch(epoch=0).error_code == ErrorCode.FENCED_LEADER_EPOCH
    assert harness.fetch(epoch=2).error_code == ErrorCode.UNKNOWN_LEADER_EPOCH
    assert harness.fetch(epoch=1, offset=-1).error_code == ErrorCode.INVALID_REQUEST
    assert harness.fetch(epoch=1, last_epoch=2).error_code == ErrorCode.INVALID_REQUEST
    assert harness.fetch(epoch=1, last_epoch=-1).error_code == ErrorCode.INVALID_REQUEST
    assert harness.fetch(epoch=1, wait_ms=-1).error_code == ErrorCode.INVALID_REQUEST


def test_divergence():
    harness = Harness(
        hard_state=HardState(-1, 6), log=MemoryRaftLog(batch(0, 2) + batch(1, 2) + batch(2, 5))
    ).elect()
    assert harness.node.epoch == 7
    for offset, last_epoch, expected in (
        (4, 2, (2, 2)),
        (3, 4, (2, 2)),
        (9, 5, (5, 3)),
        (1, 1, (0, 0)),
        (4, 7, (-1, -1)),
    ):
        diverging = harness.fetch(epoch=7, offset=offset, last_epoch=last_epoch).diverging_epoch
        assert (diverging.epoch, diverging.end_offset) == expected


def test_a_follower_cuts_and_appends():
    harness = Harness(hard_state=HardState(-1, 6), log=MemoryRaftLog(batch(0, 2) + batch(1, 2) + batch(2, 5)))
    harness.begin(epoch=7)
    send = harness.take_sent()[-1]
    assert send.message.topics[0].partitions[0].fetch_offset == 3
    diverging = messages.fetch_response(0, 7, 2, (), log_start_offset=0, diverging=(2, 9))
    harness.node.response(2, send.correlation_id, diverging)
    harness.pump()
    assert harness.log.end_offset == 2
    send = harness.take_sent()[-1]
    records = batch(2, 7) + batch(3, 7)
    answer = messages.fetch_response(0, 7, 2, (), log_start_offset=0, high_watermark=3, records=records)
    harness.node.response(2, send.correlation_id, answer)
    harness.pump()
    assert harness.log.end_offset == 4
    assert harness.node.high_watermark == 3
    send = harness.take_sent()[-1]
    below = messages.fetch_response(0, 7, 2, (), log_start_offset=0, diverging=(2, 1))
    harness.node.response(2, send.correlation_id, below)
    assert harness.log.end_offset == 4
    assert harness.node.faults == 1


@pytest.mark.parametrize(
    "records",
    [batch(1, 7), batch(0, 8), batch(0, 7)[:-1] + b"?", b"\x00" * 80, batch(0, 7) + batch(0, 7)],
    ids=["gap", "later epoch", "damaged", "rubbish", "twice"],
)
def test_a_leader_that_sends_rubbish(records):
    harness = Harness()
    harness.begin(epoch=7)
    send = harness.take_sent()[-1]
    answer = messages.fetch_response(0, 7, 2, (), log_start_offset=0, high_watermark=1, records=records)
    harness.node.response(2, send.correlation_id, answer)
    harness.pump()
    assert harness.node.faults == 1
    assert harness.log.end_offset <= 1
    assert harness.node.high_watermark == 0


def test_a_fetch_waits_for_records():
    harness = Harness().elect()
    harness.fetch(epoch=1, offset=3, last_epoch=1)
    assert harness.fetch(epoch=1, offset=3, last_epoch=1, wait_ms=500, token="w") is None
    harness.node.propose([b"a", b"b"])
    harness.pump()
    assert harness.replies["w"].responses[0].partitions[0].records
    assert (
        harness.fetch(epoch=1, offset=5, last_epoch=1, wait_ms=500, high_watermark=3, token="v") is not None
    )
    assert harness.fetch(epoch=1, offset=5, last_epoch=1, wait_ms=500, token="u") is None
    harness.advance(500)
    assert not harness.replies["u"].responses[0].partitions[0].records


# Snapshots


def snapshot_request(epoch, snapshot=(8, 1), position=0, max_bytes=100, topics=None):
    partition = fetch_snapshot.RequestPartitionSnapshot(
        current_leader_epoch=epoch,
        snapshot_id=fetch_snapshot.RequestSnapshotId(end_offset=snapshot[0], epoch=snapshot[1]),
        position=position,
    )
    whole = [fetch_snapshot.RequestTopicSnapshot(name=messages.TOPIC, partitions=[partition])]
    return fetch_snapshot.FetchSnapshotRequest(
        replica_id=2, max_bytes=max_bytes, topics=whole if topics is None else topics
    )


def test_fetch_snapshot():
    harness = Harness().elect()
    harness.snapshots.files[SnapshotId(8, 1)] = bytes(range(150))
    harness.snapshots.files[SnapshotId(0, 0)] = b"bootstrap"

    def ask(*arguments, **fields):
        return harness.ask(snapshot_request(*arguments, **fields)).topics[0].partitions[0]

    chunk = ask(1)
    assert (chunk.error_code, chunk.size, chunk.position, len(chunk.unaligned_records)) == (0, 150, 0, 100)
    assert ask(1, position=100).unaligned_records == bytes(range(100, 150))
    assert ask(1, max_bytes=-5).unaligned_records == b""
    assert ask(1, position=150).error_code == ErrorCode.POSITION_OUT_OF_RANGE
    assert ask(1, position=-1).error_code == ErrorCode.POSITION_OUT_OF_RANGE
    assert ask(1, snapshot=(8, 2)).error_code == ErrorCode.SNAPSHOT_NOT_FOUND
    assert ask(1, snapshot=(0, 0)).error_code == ErrorCode.SNAPSHOT_NOT_FOUND
    assert ask(0).error_code == ErrorCode.FENCED_LEADER_EPOCH
    other = [
        fetch_snapshot.RequestTopicSnapshot(name="x", partitions=[fetch_snapshot.RequestPartitionSnapshot()])
    ]
    assert ask(1, topics=other).error_code == ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
    for topics in ([], [fetch_snapshot.RequestTopicSnapshot(name=messages.TOPIC)], other * 2):
        assert harness.ask(snapshot_request(1, topics=topics)).error_code == ErrorCode.INVALID_REQUEST


@pytest.mark.parametrize(
    "wrong",
    [
        {"position": 5},
        {"size": 0},
        {"size": 2**40},
        {"data": b""},
        {"data": b"x" * 11},
        {"snapshot": SnapshotId(9, 1)},
    ],
    ids=str,
)
def test_a_leader_that_sends_a_wrong_chunk(wrong):
    harness = Harness()
    harness.begin(epoch=7)
    send = harness.take_sent()[-1]
    named = messages.fetch_response(0, 7, 2, (), log_start_offset=8, snapshot=SnapshotId(8, 1))
    harness.node.response(2, send.correlation_id, named)
    harness.pump()
    send = harness.take_sent()[-1]
    assert isinstance(send.message, fetch_snapshot.FetchSnapshotRequest)
    fields = {"snapshot": SnapshotId(8, 1), "size": 10, "position": 0, "data": b"half.", **wrong}
    harness.node.response(2, send.correlation_id, messages.fetch_snapshot_response(0, 7, 2, (), **fields))
    assert harness.node.faults == 1
    assert harness.node.download is None


# Voters


def add_request(node_id=4, **fields):
    listeners = [add_raft_voter.Listener(name="CONTROLLER", host=f"h{node_id}", port=9093)]
    given = {
        "cluster_id": CLUSTER,
        "voter_id": node_id,
        "voter_directory_id": KEYS[node_id].directory_id,
        "listeners": listeners,
    }
    return add_raft_voter.AddRaftVoterRequest(**{**given, **fields})


def test_refused_voter_changes():
    harness = Harness()
    assert harness.ask(add_request()).error_code == ErrorCode.NOT_LEADER_OR_FOLLOWER
    harness.elect()
    # Nothing of this epoch is committed yet.
    assert harness.ask(add_request()).error_code == ErrorCode.REQUEST_TIMED_OUT
    harness.fetch(epoch=1, offset=3, last_epoch=1)
    assert harness.ask(add_request(cluster_id="other")).error_code == ErrorCode.INCONSISTENT_CLUSTER_ID
    assert harness.ask(add_request(voter_id=-1)).error_code == ErrorCode.INVALID_REQUEST
    assert harness.ask(add_request(listeners=[])).error_code == ErrorCode.INVALID_REQUEST
    assert harness.ask(add_request(2)).error_code == ErrorCode.DUPLICATE_VOTER
    unknown = remove_raft_voter.RemoveRaftVoterRequest(
        cluster_id=CLUSTER, voter_id=2, voter_directory_id=KEYS[3].directory_id
    )
    assert harness.ask(unknown).error_code == ErrorCode.VOTER_NOT_FOUND
    static = Harness(kraft_version=0).elect()
    static.fetch(epoch=1, offset=1, last_epoch=1)
    assert static.ask(add_request()).error_code == ErrorCode.UNSUPPORTED_VERSION


def test_a_new_voter_is_asked_when_the_dead_one_of_its_id_no_longer_is():
    """Its id was that of a voter which the leader still tries to reach when it is removed."""
    harness = Harness().elect()
    harness.fetch(epoch=1, offset=3, last_epoch=1)
    (called,) = [send for send in harness.take_sent() if send.node_id == 3]
    removal = remove_raft_voter.RemoveRaftVoterRequest(
        cluster_id=CLUSTER, voter_id=3, voter_directory_id=KEYS[3].directory_id
    )
    assert harness.ask(removal, "removal") is None
    harness.fetch(epoch=1, offset=harness.log.end_offset, last_epoch=1)
    assert harness.replies["removal"].error_code == 0
    assert harness.ask(add_request(3, voter_directory_id=bytes([33]) * 16), "addition") is None
    assert harness.take_sent() == []
    harness.node.failed(3, called.correlation_id)
    harness.advance(harness.node.settings.retry_backoff_ms)
    (asked,) = harness.take_sent()
    assert isinstance(asked.message, ApiVersionsRequest)
    assert asked.address == ("h3", 9093)
    # It does not answer either, which is told at once.
    harness.node.failed(3, asked.correlation_id)
    harness.pump()
    assert harness.replies["addition"].error_code == ErrorCode.REQUEST_TIMED_OUT
    assert "API_VERSIONS" in harness.replies["addition"].error_message
    assert harness.node.pending_change is None


def test_the_last_voter_stays():
    harness = Harness(voters=VOTERS[:1])
    request = remove_raft_voter.RemoveRaftVoterRequest(
        cluster_id=CLUSTER, voter_id=1, voter_directory_id=KEYS[1].directory_id
    )
    assert harness.ask(request).error_code == ErrorCode.VOTER_NOT_FOUND


def test_observers_are_bounded():
    leader = LeaderState(KEYS[1], VoterSet(VOTERS), (1, 2), now_ms=0, check_quorum_ms=3_000)
    for number in range(OBSERVERS_MAX + 10):
        leader.fetched(ReplicaKey(100 + number), 1, 0, 10)
    assert len(leader.observers) == OBSERVERS_MAX
    leader.fetched(ReplicaKey(5), 400_000, 0, 10)
    assert list(leader.observers) == [ReplicaKey(5)]


def test_describe_quorum():
    harness = Harness().elect()
    harness.fetch(epoch=1, offset=3, last_epoch=1)
    harness.fetch(epoch=1, offset=0, replica=5)
    request = describe_quorum.DescribeQuorumRequest(
        topics=[
            describe_quorum.RequestTopicData(
                topic_name=messages.TOPIC, partitions=[describe_quorum.RequestPartitionData()]
            )
        ]
    )
    partition = harness.ask(request).topics[0].partitions[0]
    assert (partition.error_code, partition.leader_id, partition.leader_epoch, partition.high_watermark) == (
        0,
        1,
        1,
        3,
    )
    assert [(v.replica_id, v.log_end_offset) for v in partition.current_voters] == [(1, 3), (2, 3), (3, -1)]
    assert [(v.replica_id, v.log_end_offset) for v in partition.observers] == [(5, 0)]
    assert partition.current_voters[1].last_fetch_timestamp == harness.clock.wall_ms()
    assert partition.current_voters[2].last_fetch_timestamp == -1
    request.topics[0].topic_name = "x"
    assert harness.ask(request).topics[0].partitions[0].error_code == ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
