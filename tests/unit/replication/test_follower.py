"""The fetcher of one leader, with a leader made by hand."""

from __future__ import annotations

import pytest

from pybroker.common.errors import ErrorCode
from pybroker.common.timers import TimerQueue
from pybroker.replication.follower import Fetcher, FetcherEnvironment, FetcherSettings
from pybroker.wire.messages.fetch import EpochEndOffset, FetchableTopicResponse, FetchResponse, PartitionData
from pybroker.wire.messages.list_offsets import (
    ListOffsetsPartitionResponse,
    ListOffsetsResponse,
    ListOffsetsTopicResponse,
)
from tests.unit.log.log_helpers import TOPIC_ID
from tests.unit.replication.test_isr import Follower, batch

E = ErrorCode


class World(Follower):
    """Broker 2 follows broker 1."""

    def __init__(self):
        super().__init__()
        self.clock = self.manager.environment.clock
        self.timers = TimerQueue()
        self.sent = []
        self.reports = []
        self.fetcher = Fetcher(
            FetcherEnvironment(
                node_id=2,
                clock=self.clock,
                timers=self.timers,
                settings=FetcherSettings(backoff_ms=1000),
                broker_epoch=lambda: 20,
                call=self.call,
                report=self.reports.append,
                is_throttled=lambda partition: False,
                note_bytes=lambda partition, count: None,
            ),
            1,
        )

    def call(self, broker_id, message, version, timeout_ms, done):
        assert broker_id == 1
        self.sent.append((message, done))
        return True

    def run(self, milliseconds=0):
        self.clock.advance(milliseconds)
        while self.timers.advance(self.clock.monotonic_ms()):
            pass

    def follow(self):
        self.fetcher.follow(self.partition)
        self.run()
        return self

    def asked(self):
        """(session, epoch, fetch offset, last epoch) of the only request under way, and how to answer it."""
        ((message, done),) = self.sent
        self.sent = []
        assert (message.replica_state.replica_id, message.replica_state.replica_epoch) == (2, 20)
        offsets = [(p.fetch_offset, p.last_fetched_epoch) for t in message.topics for p in t.partitions]
        return (message.session_id, message.session_epoch, offsets), done

    def answer(self, done, session_id=7, **fields):
        data = PartitionData(partition_index=0, **fields)
        topic = FetchableTopicResponse(topic_id=TOPIC_ID, partitions=[data])
        done(FetchResponse(session_id=session_id, responses=[topic]))
        self.run()


def test_session_goes_on_with_what_changed():
    world = World().follow()
    asked, done = world.asked()
    assert asked == (0, 0, [(0, -1)])
    world.answer(done, records=batch(0, 1, 2), high_watermark=1)
    asked, done = world.asked()
    assert asked == (7, 1, [(2, 1)])
    assert world.log.high_watermark == 1
    done(FetchResponse(session_id=7))
    world.run()
    asked, done = world.asked()
    assert asked == (7, 2, [])
    done(FetchResponse(error_code=E.FETCH_SESSION_ID_NOT_FOUND))
    world.run()
    asked, done = world.asked()
    assert asked == (0, 0, [(2, 1)])
    done(None)
    world.run(999)
    assert not world.sent
    world.run(1)
    assert world.asked()[0] == (0, 0, [(2, 1)])


def test_late_response_is_ignored():
    world = World().follow()
    _, done = world.asked()
    world.partition.become_follower(4)
    world.fetcher.follow(world.partition)
    world.answer(done, records=batch(0, 1, 2), high_watermark=2)
    assert (world.log.log_end_offset, world.log.high_watermark) == (0, 0)
    asked, done = world.asked()
    assert asked == (7, 1, [(0, -1)])
    world.take(batch(0, 1))
    world.answer(done, records=batch(0, 1, 2), high_watermark=2)
    assert world.log.log_end_offset == 1


@pytest.mark.parametrize(
    ("error", "wait_ms"), [(E.UNKNOWN_LEADER_EPOCH, 20), (E.FENCED_LEADER_EPOCH, 1000)], ids=["soon", "later"]
)
def test_refusals_are_waited_for(error, wait_ms):
    world = World().follow()
    _, done = world.asked()
    world.answer(done, error_code=error)
    world.run(wait_ms - 1)
    assert not world.sent
    world.run(1)
    assert world.asked()[0][1] == 1


def test_diverging_end_is_cut():
    world = World()
    world.take(batch(0, 1, 3), batch(3, 2, 2))
    world.follow()
    asked, done = world.asked()
    assert asked[2] == [(5, 2)]
    world.answer(done, diverging_epoch=EpochEndOffset(epoch=1, end_offset=3), high_watermark=9)
    asked, done = world.asked()
    assert asked[2] == [(3, 1)]
    assert "truncated from 5 to" in world.reports[0]
    # Said again of a log that has nothing more to lose: it is not asked for ever.
    world.answer(done, diverging_epoch=EpochEndOffset(epoch=1, end_offset=9))
    assert not world.sent


def located(world, offset):
    ((message, done),) = world.sent
    world.sent = []
    timestamp = message.topics[0].partitions[0].timestamp
    answer = ListOffsetsPartitionResponse(partition_index=0, offset=offset)
    done(ListOffsetsResponse(topics=[ListOffsetsTopicResponse(name="T", partitions=[answer])]))
    world.run()
    return timestamp


def test_log_below_the_leaders_start():
    world = World()
    world.take(batch(0, 1, 3))
    world.follow()
    _, done = world.asked()
    world.answer(done, error_code=E.OFFSET_OUT_OF_RANGE)
    assert located(world, 50) == -1
    assert located(world, 40) == -2
    assert (world.log.log_start_offset, world.log.log_end_offset, world.log.high_watermark) == (40, 40, 40)
    assert world.asked()[0][2] == [(40, -1)]


def test_log_beyond_the_leaders_end():
    world = World()
    for offset in range(5):
        world.take(batch(offset, 1))
    world.follow()
    _, done = world.asked()
    world.answer(done, error_code=E.OFFSET_OUT_OF_RANGE)
    assert located(world, 3) == -1
    assert world.asked()[0][2] == [(3, 1)]


def test_broken_batch_delays_its_partition():
    world = World().follow()
    _, done = world.asked()
    world.answer(done, records=batch(0, 1)[:-1] + b"\1")
    assert not world.sent
    assert "damaged" in world.reports[0]
    world.run(1000)
    assert world.asked()[0][2] == []


def test_nothing_after_the_end():
    world = World().follow()
    _, done = world.asked()
    world.fetcher.stop()
    world.answer(done, records=batch(0, 1))
    assert (world.log.log_end_offset, world.sent) == (0, [])
