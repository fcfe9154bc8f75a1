"""Large requests: slices, their order, what ends them; and requests cut into parts."""

from __future__ import annotations

import random
from types import SimpleNamespace

import pytest

from pybroker.broker import Broker
from pybroker.common.clock import ManualClock
from pybroker.common.config import BrokerConfig
from pybroker.common.deferred import Deferred
from pybroker.common.errors import ErrorCode, ProtocolError
from pybroker.common.memory_files import MemoryFileSystem
from pybroker.common.timers import TimerQueue
from pybroker.handlers.context import CLOSE, in_slices
from pybroker.handlers.parts import PART_PARTITIONS, join, parts
from pybroker.large_requests import LargeReply, LargeRequests
from pybroker.wire import codec
from pybroker.wire.limits import SMALL_REQUEST_OBJECTS
from pybroker.wire.messages.fetch import FetchPartition, FetchRequest, FetchResponse, FetchTopic
from pybroker.wire.messages.list_offsets import (
    ListOffsetsPartition,
    ListOffsetsRequest,
    ListOffsetsResponse,
    ListOffsetsTopic,
)
from pybroker.wire.messages.metadata import MetadataRequest, MetadataRequestTopic
from pybroker.wire.messages.produce import (
    PartitionProduceData,
    ProduceRequest,
    ProduceResponse,
    TopicProduceData,
)

NOW = 1_700_000_000_000


class TickingClock(ManualClock):
    """A millisecond passes whenever somebody looks."""

    def monotonic_ms(self):
        self.advance(1)
        return super().monotonic_ms()


class Lane:
    def __init__(self):
        self.clock = TickingClock(NOW)
        self.timers = TimerQueue()
        self.calls = []
        self.large = LargeRequests(self.clock, self.timers, lambda *call: self.calls.append(call))

    def turn(self):
        """One turn of the loop."""
        self.timers.advance(self.clock.monotonic_ms())
        calls, self.calls = self.calls, []
        for queue, function, done in calls:
            assert queue == "large requests"
            try:
                function()
            except Exception as error:
                done(error)
            else:
                done(None)

    def until(self, *replies):
        for _ in range(10_000):
            if all(reply.done for reply in replies):
                return
            self.turn()
        raise AssertionError("not answered")


def connection():
    return SimpleNamespace(closed=False)


def finish(value):
    return value
    yield


def test_short_work_is_done_at_once():
    lane = Lane()

    def steps():
        yield
        return 5

    assert lane.large.run(connection(), steps(), finish) == (True, 5)
    assert len(lane.large) == 0


def test_one_at_a_time_in_the_order_of_arrival():
    lane = Lane()
    trace = []

    def steps(name):
        for _ in range(60):
            trace.append(name)
            yield
        return name

    replies = [lane.large.queue(connection(), steps(name)) for name in "abc"]
    assert all(isinstance(reply, LargeReply) for reply in replies)
    lane.turn()
    assert 0 < len(trace) < 60
    lane.until(*replies)
    assert trace == ["a"] * 60 + ["b"] * 60 + ["c"] * 60
    assert [reply.value for reply in replies] == ["a", "b", "c"]


def test_what_a_slice_was_not_enough_for_goes_on():
    lane = Lane()

    def steps():
        for _ in range(1000):
            yield
        return 7

    def doubled(value):
        return (yield lambda: value * 2)

    ended, reply = lane.large.run(connection(), steps(), doubled)
    assert not ended
    lane.until(reply)
    assert reply.value == 14


def test_work_off_the_loop_and_deferreds():
    lane = Lane()
    arriving = Deferred()

    def steps():
        first = yield lambda: 3
        second = yield arriving
        last = Deferred()
        last.resolve(first + second)
        return last

    reply = lane.large.queue(connection(), steps())
    for _ in range(5):
        lane.turn()
    assert not reply.done
    arriving.resolve(4)
    lane.until(reply)
    assert reply.value == 7


def test_a_late_reply_does_not_hold_the_others_up():
    lane = Lane()
    late = Deferred()

    def waiting():
        yield
        return late

    def quick():
        yield
        return 1

    replies = [lane.large.queue(connection(), steps) for steps in (waiting(), quick())]
    lane.until(replies[1])
    assert not replies[0].done
    late.resolve(2)
    assert replies[0].value == 2


def test_failures_end_the_one_request():
    lane = Lane()

    def refused():
        yield
        raise ProtocolError("bad")

    def broken():
        yield
        raise KeyError("bug")

    def broken_off_the_loop():
        yield lambda: [][0]

    def good():
        yield
        return 1

    replies = [
        lane.large.queue(connection(), steps)
        for steps in (refused(), broken(), broken_off_the_loop(), good())
    ]
    for _ in range(20):
        try:
            lane.turn()
        except KeyError:
            continue
    assert isinstance(replies[0].value, ProtocolError)
    assert replies[1].value is CLOSE
    assert isinstance(replies[2].value, IndexError)
    assert replies[3].value == 1


def test_nothing_is_done_for_whoever_has_gone():
    lane = Lane()
    done = []

    def steps(name):
        for _ in range(100):
            done.append(name)
            yield

    first, second, third = connection(), connection(), connection()
    lane.large.queue(first, steps("first"))
    lane.large.queue(second, steps("second"))
    reply = lane.large.queue(third, steps("third"))
    lane.turn()
    first.closed = second.closed = True
    lane.until(reply)
    assert done.count("first") < 100
    assert "second" not in done
    assert done.count("third") == 100


def test_a_handler_in_slices_is_also_a_plain_one():
    @in_slices
    def handle(context, request):
        total = 0
        for number in request:
            yield
            total += number
        return total

    assert handle(None, [1, 2, 3]) == 6
    assert list(handle.steps(None, [1, 2])) == [None, None]


# --- parts ---


@pytest.mark.parametrize(
    "sizes", [[], [0], [5], [1] * 1000, [10_000], [0] * 900, [150, 3, 700, 0, 1], [199, 1], [200]]
)
def test_parts_are_the_whole_in_its_order(sizes):
    topics = [(name, list(range(size))) for name, size in enumerate(sizes)]
    found = []
    for part in parts(topics, lambda t: len(t[1]), lambda t, start, end: (t[0], t[1][start:end])):
        assert sum(len(t[1]) for t in part) <= PART_PARTITIONS
        assert 0 < len(part) <= PART_PARTITIONS + 1
        join(
            found, [(n, list(p)) for n, p in part], lambda a, b: a[0] == b[0], lambda a, b: a[1].extend(b[1])
        )
    assert found == topics


# --- the broker ---


class Served:
    def __init__(self):
        config = BrokerConfig.from_properties({"log.dirs": "/a", "listeners": "PLAINTEXT://:0"})
        self.broker = Broker(config, MemoryFileSystem(), ManualClock(NOW), random.Random(1))
        self.broker.set_listener_port("PLAINTEXT", "localhost", 9092)
        self.broker.start()
        self.connection = self.broker.connect("127.0.0.1", 5, "PLAINTEXT")

    def ask(self, key, version, message):
        flexible = version >= type(message).FLEXIBLE_FROM
        header = key.to_bytes(2, "big") + version.to_bytes(2, "big") + bytes(4) + b"\xff\xff"
        frame = header + (b"\0" if flexible else b"") + codec.encode(message, version)
        return self.broker.handle(self.connection, memoryview(bytearray(frame)))

    def settle(self, reply):
        for _ in range(10_000):
            if not isinstance(reply, Deferred):
                return reply
            if reply.done:
                return reply.value
            self.broker.timers.advance(NOW)
            for effect in self.broker.take_effects():
                error = None
                try:
                    effect.run()
                except ProtocolError as caught:
                    error = caught
                effect.complete(error)
        raise AssertionError("not answered")


def decoded(cls, version, buffers, flexible_header):
    body = b"".join(bytes(buffer) for buffer in buffers)
    return codec.decode(cls, version, body, 5 if flexible_header else 4)[0]


def test_a_large_list_is_answered_like_a_small_one():
    served = Served()
    count = SMALL_REQUEST_OBJECTS * 3

    def request(size):
        asked = [ListOffsetsPartition(partition_index=i % 4000, timestamp=-1) for i in range(size)]
        return ListOffsetsRequest(topics=[ListOffsetsTopic(name="t", partitions=asked)])

    small = served.ask(2, 6, request(10))
    assert isinstance(small, list)
    large = served.ask(2, 6, request(count))
    assert isinstance(large, LargeReply)
    answer = decoded(ListOffsetsResponse, 6, served.settle(large), True)
    (topic,) = answer.topics
    errors = {partition.partition_index: partition.error_code for partition in topic.partitions}
    assert len(errors) == 4000
    # The first 2000 were named twice.
    assert errors[0] == ErrorCode.INVALID_REQUEST
    assert errors[3999] == ErrorCode.UNKNOWN_TOPIC_OR_PARTITION


@pytest.mark.parametrize("count", [3000, 12_000])
def test_a_large_fetch(count):
    served = Served()
    asked = [FetchPartition(partition=i, fetch_offset=0, partition_max_bytes=1000) for i in range(count)]
    message = FetchRequest(max_wait=0, topics=[FetchTopic(topic="t", partitions=asked)])
    reply = served.ask(1, 12, message)
    assert isinstance(reply, LargeReply)
    answer = decoded(FetchResponse, 12, served.settle(reply), True)
    assert [p.partition_index for p in answer.responses[0].partitions] == list(range(count))
    assert len(answer.responses) == 1
    assert served.broker._context.fetch_sessions.partition_count <= 10_000


@pytest.mark.parametrize("acks", [0, 1])
def test_a_large_produce_is_in_order_and_closes_with_acks_0(acks):
    served = Served()
    data = [PartitionProduceData(index=i, records=b"x") for i in range(3000)]
    message = ProduceRequest(acks=acks, topic_data=[TopicProduceData(name="t", partition_data=data)])
    reply = served.ask(0, 9, message)
    # Nothing of this connection may be handled before it, not even another produce.
    assert type(reply) is LargeReply
    result = served.settle(reply)
    if acks == 0:
        assert result is CLOSE
        return
    answer = decoded(ProduceResponse, 9, result, True)
    (topic,) = answer.responses
    assert [p.index for p in topic.partition_responses] == list(range(3000))


def test_more_elements_than_the_limit():
    served = Served()
    topics = [MetadataRequestTopic(name="a")] * 200_001
    reply = served.ask(3, 1, MetadataRequest(topics=topics))
    assert isinstance(served.settle(reply), ProtocolError)
