"""The short way of plain produce requests against its twin, the general path: the same bytes into both.

Two brokers with the same clock and the same random numbers; one connection may use the lane, the other may
not. Every reply, every file, every offset, index and producer entry must come out equal, whatever comes in.
"""

from __future__ import annotations

import asyncio
import errno
import itertools
import os
import random
from collections import Counter
from dataclasses import replace

import pytest
from crc32c import crc32c

from pybroker.broker import CLOSE, Broker
from pybroker.common.clock import ManualClock
from pybroker.common.config import BrokerConfig
from pybroker.common.memory_files import MemoryFileSystem
from pybroker.records.batch import Record, build_batch
from pybroker.runtime.metrics import ServerMetrics
from pybroker.server import connection as connections
from pybroker.server.connection import Connection
from pybroker.server.gate import Gate
from pybroker.server.limits import ServerLimits
from pybroker.wire import codec
from pybroker.wire.headers import request_header
from pybroker.wire.messages.create_topics import CreatableTopic, CreatableTopicConfig, CreateTopicsRequest
from pybroker.wire.messages.delete_topics import DeleteTopicsRequest
from pybroker.wire.messages.produce import PartitionProduceData, ProduceRequest, TopicProduceData

NOW = 1_700_000_000_000
TOPICS = {
    "plain": {"index.interval.bytes": "300"},
    "bounded": {"message.timestamp.after.max.ms": "1000", "message.timestamp.before.max.ms": "5000"},
    "compacted": {"cleanup.policy": "compact"},
    "append-time": {"message.timestamp.type": "LogAppendTime"},
    "small": {"max.message.bytes": "400", "segment.ms": "1000"},
    "recompressed": {"compression.type": "lz4"},
    "flushed": {"flush.messages": "1"},
}
WAYS = ("lane", "general")


@pytest.fixture(autouse=True)
def unhurried(monkeypatch):
    """On a slow machine a round may end early, which changes what falls together with what."""
    monkeypatch.setattr(connections, "_ROUND_NS", 1 << 60)


class Transport:
    """What the connection wrote, and whether it closed."""

    def __init__(self, written):
        self.written = written
        self.closed = False

    def get_extra_info(self, name):
        return ("127.0.0.1", 1) if name == "peername" else None

    def set_write_buffer_limits(self, **limits):
        pass

    def get_write_buffer_size(self):
        return 0

    def write(self, data):
        self.written += data

    def writelines(self, parts):
        self.written += b"".join(parts)

    def pause_reading(self):
        pass

    resume_reading = pause_reading

    def close(self):
        self.closed = True

    abort = close


class FaultyFiles(MemoryFileSystem):
    """Refuses writes to segments while `full`, after taking `room` bytes of the first one."""

    full = False
    room = 0

    def open(self, path, *, create=False, read_only=False):
        file = super().open(path, create=create, read_only=read_only)
        if path.endswith(".log"):
            return FaultyFile(file, self)
        return file

    def free_bytes(self, path):
        return (1 << 30, 0 if self.full else 1 << 29)


class FaultyFile:
    def __init__(self, file, owner):
        self._file = file
        self._owner = owner

    def __getattr__(self, name):
        return getattr(self._file, name)

    def pwrite(self, buffers, offset):
        if not self._owner.full:
            return self._file.pwrite(buffers, offset)
        room, self._owner.room = self._owner.room, 0
        if not room:
            raise OSError(errno.ENOSPC, "no space left")
        return self._file.pwrite([b"".join(buffers)[:room]], offset)


class World:
    """One broker with one connection."""

    def __init__(self, way, validation="adaptive"):
        self.files = FaultyFiles()
        self.clock = ManualClock(NOW)
        config = BrokerConfig.from_properties(
            {
                "log.dirs": "/data",
                "listeners": "PLAINTEXT://127.0.0.1:9092",
                "pybroker.record.validation": validation,
            }
        )
        self.broker = Broker(config, self.files, self.clock, random.Random(1))
        self.broker.set_listener_port("PLAINTEXT", "127.0.0.1", 9092)
        self.broker.start()
        self.loop = asyncio.new_event_loop()
        self.gate = Gate(
            self.broker, self.loop, ServerLimits(request_max_bytes=50_000), ServerMetrics(), print, CLOSE
        )
        self.way = way
        self.stored_count = 0
        self.written = bytearray()
        self.connect()
        topics = [
            CreatableTopic(
                name=name,
                num_partitions=2,
                replication_factor=1,
                configs=[CreatableTopicConfig(name=key, value=value) for key, value in configs.items()],
            )
            for name, configs in TOPICS.items()
        ]
        self.receive(frame(19, 5, CreateTopicsRequest(topics=topics)))
        for partition in self.broker._context.topics["plain"].partitions:
            # Smaller than a request may ask for, so that segments roll and indexes fill.
            config = replace(partition.log.config, segment_bytes=4000, segment_index_bytes=48)
            partition.log.active.index_max_bytes = 48
            partition.log.active.new_indexes()
            partition.update_config(config)
        self.topic_ids = {name: topic.topic_id for name, topic in self.broker._context.topics.items()}

    def connect(self):
        """A new connection, after the old one was closed for what came in."""
        self.transport = Transport(self.written)
        self.connection = Connection(self.gate, "PLAINTEXT")
        self.connection.connection_made(self.transport)
        # The first batches of a connection are walked whatever they are: here only a few.
        self.policy = self.connection._state.walk_policy
        self.policy.remaining = min(self.policy.remaining, 7)
        self.lane = self.connection._state.lane
        if self.way == "general":
            self.connection._lane = None

    def receive(self, data):
        if self.transport.closed:
            self.disconnect()
            self.written += b"closed"
            self.connect()
        self.connection.data_received(data)
        self.settle()

    def disconnect(self):
        self.stored_count += self.lane.stored_count
        self.connection.connection_lost(None)

    def settle(self):
        while True:
            effects = self.broker.take_effects()
            for effect in effects:
                try:
                    effect.run()
                except BaseException as error:
                    effect.complete(error)
                else:
                    effect.complete(None)
            self.broker.timers.advance(self.clock.monotonic_ms())
            if self.gate._dirty:
                self.gate._advance_dirty()
            elif not effects:
                return

    def state(self, *, of=None):
        """All that must come out equal; `of` one topic only what a request can still change: its newest segments."""
        logs = {}
        names = self.broker._context.topics if of is None else [of]
        for topic in map(self.broker._context.topics.get, names):
            for partition in topic.partitions:
                log = partition.log
                logs[topic.name, partition.partition] = (
                    log.log_start_offset,
                    log.log_end_offset,
                    log.high_watermark,
                    log.unflushed_count,
                    log.blocked,
                    [
                        (
                            segment.base_offset,
                            segment.size,
                            segment.bytes_since_index,
                            segment.largest,
                            segment.index_full,
                            segment.offset_index._offsets.tolist(),
                            segment.offset_index._positions.tolist(),
                            segment.time_index._timestamps.tolist(),
                            segment.time_index._offsets.tolist(),
                        )
                        for segment in log.segments[0 if of is None else -3 :]
                    ],
                    {
                        producer_id: (entry.epoch, entry.batches, entry.last_timestamp)
                        for producer_id, entry in log.producers.entries.items()
                    },
                )
        files = {
            path: bytes(node.data) if of is None else len(node.data)
            for path, node in self.files._files.items()
            if path.endswith(".log")
        }
        return logs, files, self.transport.closed, (self.policy.remaining, self.policy.walks_all)

    def close(self):
        self.disconnect()
        self.gate.close()
        self.loop.close()
        self.files.full = False
        self.broker.shutdown()


def frame(key, version, message, client_id="client"):
    body = request_header(key, version, 7, client_id) + codec.encode(message, version)
    return len(body).to_bytes(4, "big") + body


def records_of(count, size, first_timestamp, step, keyed):
    return [
        Record(
            0,
            first_timestamp + step * number,
            b"key-%d" % number if keyed else None,
            bytes(size),
            ((b"name", b"value"),) if number % 5 == 4 else (),
        )
        for number in range(count)
    ]


class Streams:
    """Makes streams of requests: mostly plain ones of one kind, some damaged, some that do not belong there."""

    def __init__(self, seed):
        self.generator = random.Random(seed)
        self.sequences = Counter()

    def one_in(self, count):
        return self.generator.randrange(count) == 0

    def choose(self, *values):
        return self.generator.choice(values)

    def batch(self, usual_count):
        count = usual_count if not self.one_in(4) else self.choose(1, 2, 16, 17, 40)
        sequence = {}
        if self.one_in(4):
            producer = self.choose(5, 6)
            expected = self.sequences[producer]
            base = expected if not self.one_in(10) else max(expected + self.choose(-count, 1), -1)
            sequence = {
                "producer_id": producer,
                "producer_epoch": 1 if self.one_in(30) else 0,
                "base_sequence": base,
            }
            self.sequences[producer] = base + count
        first_timestamp = NOW
        if self.one_in(12):
            first_timestamp += self.choose(500, -6000, 2000, -NOW - 1, -NOW - 7, 4_000_000)
        step = 0 if not self.one_in(6) else self.choose(1, -3, 1000)
        records = records_of(count, self.choose(0, 10, 100, 300), first_timestamp, step, self.one_in(2))
        batch = bytearray(
            build_batch(records, codec=self.choose(1, 3, 4) if self.one_in(8) else 0, **sequence)
        )
        if self.one_in(15):
            self.damage(batch)
        return bytes(batch)

    def damage(self, batch):
        kind = self.choose("byte", "header", "header", "records", "records", "cut", "tail", "two")
        generator = self.generator
        if kind == "byte":
            batch[generator.randrange(len(batch))] ^= generator.randint(1, 255)
        elif kind in ("header", "records"):
            # Damage that the checksum does not tell.
            first, last = (21, 60) if kind == "header" else (61, len(batch) - 1)
            batch[generator.randint(first, last)] ^= 1 << generator.randrange(8)
            batch[17:21] = crc32c(bytes(batch[21:])).to_bytes(4, "big")
        elif kind == "cut":
            del batch[generator.randrange(len(batch)) :]
        elif kind == "tail":
            batch += bytes(generator.randint(1, 20))
        else:
            batch += bytes(batch)

    def make(self):
        version = self.choose(3, 5, 7, 8, 9, 9, 10, 11, 12, 13, 13)
        favourite = self.choose("plain", "plain", "bounded", "small", *TOPICS)
        usual_acks = self.choose(1, 1, -1, 0)
        usual_count = self.choose(1, 1, 3, 20)
        for _ in range(self.generator.randint(5, 60)):
            match self.generator.randrange(60):
                case 0:
                    yield "advance", self.choose(1, 400, 2000)
                case 1:
                    yield "full", self.choose(0, 30)
                    yield self.request(version, favourite, usual_acks, usual_count)
                    yield self.request(version, favourite, usual_acks, usual_count)
                    yield "free", 0
                    yield "advance", 2000
                case 2:
                    yield "versions", 0
                case _:
                    yield self.request(version, favourite, usual_acks, usual_count)

    def request(self, version, topic, acks, count):
        if self.one_in(15):
            topic = self.choose("plain", "bounded", "missing")
        partition = self.choose(1, 1, 1, 2, -1) if self.one_in(8) else 0
        if self.one_in(15):
            acks = self.choose(-1, 0, 1, 2)
        if self.one_in(15):
            version = self.choose(3, 8, 9, 13)
        again = 3 if self.one_in(4) else 1
        extra = self.choose(1, 20, -3) if self.one_in(30) else 0
        batch = None if self.one_in(40) else self.batch(count)
        client = self.choose(None, "Kunde-\u00e4") if self.one_in(15) else "client"
        return "produce", (version, topic, partition, acks, again, extra, batch, client)


def frames_of(world, item):
    """The bytes of one item of a stream for this world (topic ids are its own)."""
    version, topic, partition, acks, again, cut, batch, client = item
    message = ProduceRequest(
        acks=acks,
        timeout=1000,
        topic_data=[
            TopicProduceData(
                name=topic,
                topic_id=world.topic_ids.get(topic, b"\1" * 16),
                partition_data=[PartitionProduceData(index=partition, records=batch)],
            )
        ],
    )
    one = bytearray(frame(0, version, message, client))
    if cut > 0:
        # Bytes after the message, which belong to it.
        one += bytes(cut)
    elif cut < 0:
        del one[cut:]
    one[:4] = (len(one) - 4).to_bytes(4, "big")
    return bytes(one) * again


def play(world, stream, pieces):
    """Feed a stream, cut into pieces whose borders do not care about frames."""
    taken = bytearray()

    def flush():
        while taken:
            size = next(pieces)
            world.receive(bytes(taken[:size]))
            del taken[:size]

    for kind, value in stream:
        if kind == "produce":
            taken += frames_of(world, value)
            if len(value[6] or b"") % 3:
                # Arbitrary, but the same in both worlds: some requests come together.
                flush()
            continue
        flush()
        if kind == "advance":
            world.clock.advance(value)
            world.broker.tick(world.clock.monotonic_ms())
            world.settle()
        elif kind == "versions":
            world.receive(bytes.fromhex("0000000f 0012 0000 00000001 0005 72617723 21"))
        else:
            world.files.full = kind == "full"
            world.files.room = value
    flush()


def pieces_of(seed):
    generator = random.Random(seed)
    whole = generator.random() < 0.5
    while True:
        yield 1 << 20 if whole else generator.choice((1, 7, 100, 500, 2000, 10_000))


@pytest.mark.parametrize("seed", range(int(os.environ.get("PYBROKER_LANE_STREAMS", "150"))))
def test_both_ways_answer_and_store_the_same(seed):
    stream = list(Streams(seed).make())
    validation = ("adaptive", "adaptive", "adaptive", "header", "full")[seed % 5]
    worlds = [World(way, validation) for way in WAYS]
    try:
        for world in worlds:
            play(world, stream, pieces_of(seed))
        lane, general = worlds
        assert bytes(lane.written).hex() == bytes(general.written).hex()
        assert lane.state() == general.state()
        assert general.lane.stored_count == general.stored_count == 0
    finally:
        for world in worlds:
            world.close()


class Seat:
    """One of several connections to a world."""

    def __init__(self, world):
        self.written = bytearray()
        self.world = world
        self.stored_count = 0
        self.connect()

    def connect(self):
        self.transport = Transport(self.written)
        self.connection = Connection(self.world.gate, "PLAINTEXT")
        self.connection.connection_made(self.transport)
        self.policy = self.connection._state.walk_policy
        self.policy.remaining = min(self.policy.remaining, 3)
        self.lane = self.connection._state.lane
        if self.world.way == "general":
            self.connection._lane = None

    def reconnect_if_closed(self):
        if self.transport.closed:
            self.written += b"closed"
            self.leave()
            self.connect()

    def leave(self):
        self.stored_count += self.lane.stored_count
        self.connection.connection_lost(None)

    def state(self):
        return bytes(self.written), self.transport.closed, self.policy.remaining, self.policy.walks_all


@pytest.fixture
def handled(monkeypatch):
    """The connections of a world in the order in which what they sent was handled."""
    order = []
    receive, handle_group = Connection._receive, connections._handle_group

    def receive_noted(connection, data):
        order.append(connection)
        receive(connection, data)

    def handle_group_noted(gate, members, turns):
        order.extend(members)
        handle_group(gate, members, turns)

    monkeypatch.setattr(Connection, "_receive", receive_noted)
    monkeypatch.setattr(connections, "_handle_group", handle_group_noted)
    return order


@pytest.mark.parametrize("seed", range(int(os.environ.get("PYBROKER_LANE_CROWDS", "60"))))
def test_connections_that_send_at_once_are_answered_as_one_by_one(seed, handled):
    worlds = lane, general = [World(way) for way in WAYS]
    assert lane.topic_ids == general.topic_ids
    streams = Streams(seed)
    choose, one_in = streams.choose, streams.one_in
    crowd, reference = ([Seat(world) for _ in range(6)] for world in worlds)
    topic = choose("plain", "bounded", "bounded", "small")
    version = choose(5, 8, 9, 9, 11, 13)
    # Mostly of one kind: then what they send is handled together.
    habits = [
        (
            choose(version, version, version, 7, 10),
            choose(topic, topic, topic, topic, "compacted"),
            choose(0, 0, 0, 1),
            choose(1, 1, 1, 0, -1),
            choose("client", "client", "another"),
            choose(1, 1, 20),
        )
        for _ in crowd
    ]
    try:
        for _ in range(25):
            arrivals = {}
            for number, (version, topic, partition, acks, client, count) in enumerate(habits):
                if one_in(8):
                    continue
                data = b""
                for _ in range(choose(1, 1, 1, 2)):
                    sent = version if not one_in(12) else choose(5, 9, 13)
                    batch = streams.batch(count) if one_in(3) else batch_of(count, 10)
                    data += frames_of(lane, (sent, topic, partition, acks, 1, 0, batch, client))
                if one_in(15):
                    # The rest comes with the next one, or never.
                    data = data[: choose(-1, -30, 11)]
                arrivals[number] = data
            if one_in(10):
                room = choose(0, 30)
                for world in worlds:
                    world.files.full, world.files.room = True, room
            lane.gate.gathers = True
            handled.clear()
            for number, data in arrivals.items():
                crowd[number].connection.data_received(data)
            connections.handle_gathered(lane.gate)
            order = [[seat.connection for seat in crowd].index(connection) for connection in handled]
            assert sorted(order) == sorted(arrivals)
            for number in order:
                reference[number].connection.data_received(arrivals[number])
            for world in worlds:
                world.settle()
            assert [seat.state() for seat in crowd] == [seat.state() for seat in reference]
            leaving = one_in(8)
            for seat in (crowd[0], reference[0]) if leaving else ():
                seat.transport.closed = True
            for seat in crowd + reference:
                seat.reconnect_if_closed()
            for world in worlds:
                if world.files.full and not leaving:
                    world.files.full = False
                    world.clock.advance(2000)
                    world.broker.tick(world.clock.monotonic_ms())
                    world.settle()
        assert lane.state() == general.state()
    finally:
        for seat in crowd + reference:
            seat.leave()
        for world in worlds:
            world.close()
    assert not any(seat.stored_count for seat in reference)


@pytest.mark.parametrize("caught", ["remaining", "walks_all"])
def test_a_connection_is_looked_at_closely_also_among_others(caught):
    damaged = bytearray(batch_of(20, 10))
    damaged[61 + 3] ^= 1
    outcomes = []
    for way in WAYS:
        world = World(way)
        seats = [Seat(world) for _ in range(3)]
        try:
            for _ in range(8):
                for seat in seats:
                    seat.connection.data_received(
                        frames_of(world, produced(batch_of(20, 10), topic="bounded")[1])
                    )
            setattr(seats[1].policy, caught, 3 if caught == "remaining" else True)
            world.gate.gathers = True
            for seat in seats:
                batch = sealed(damaged) if seat is seats[1] else batch_of(20, 10)
                seat.connection.data_received(frames_of(world, produced(batch, topic="bounded")[1]))
            connections.handle_gathered(world.gate)
            outcomes.append(([seat.state() for seat in seats], world.state()))
        finally:
            for seat in seats:
                seat.leave()
            world.close()
    assert outcomes[0] == outcomes[1]


def test_requests_of_many_connections_share_one_write(monkeypatch):
    world = World("lane")
    seats = [Seat(world) for _ in range(40)]
    one = frames_of(world, produced(batch_of(), topic="bounded")[1])
    sizes = []
    log = world.broker._context.topics["bounded"].partitions[0].log
    write = type(log.active).write
    monkeypatch.setattr(
        type(log.active),
        "write",
        lambda segment, buffers, total: (sizes.append(total), write(segment, buffers, total))[1],
    )
    try:
        for _ in range(4):
            for seat in seats:
                seat.connection.data_received(one)
        before = log.log_end_offset
        sizes.clear()
        for seat in seats:
            seat.written.clear()
        world.gate.gathers = True
        for number, seat in enumerate(seats):
            seat.connection.data_received(one * (2 if number == 10 else 1))
        assert not sizes
        connections.handle_gathered(world.gate)
        assert sizes == [41 * len(batch_of())]
        assert log.log_end_offset == before + 41
        replies = [bytes(seat.written) for seat in seats]
        assert len(replies[10]) == 2 * len(replies[0])
        assert len({reply[-30:] for reply in replies}) == 40
        # Few at a time are not worth waiting for.
        seats[0].connection.data_received(one)
        connections.handle_gathered(world.gate)
        assert not world.gate.gathers
    finally:
        for seat in seats:
            seat.leave()
        world.close()


def batch_of(count=1, size=100, **options):
    return build_batch(records_of(count, size, NOW, 0, keyed=False), **options)


def sealed(batch):
    """With its length and checksum put right."""
    batch = bytearray(batch)
    batch[8:12] = (len(batch) - 12).to_bytes(4, "big")
    batch[17:21] = crc32c(bytes(batch[21:])).to_bytes(4, "big")
    return bytes(batch)


FIELDS = {
    "base offset": (0, 8),
    "length": (8, 4),
    "leader epoch": (12, 4),
    "magic": (16, 1),
    "checksum": (17, 4),
    "attributes": (21, 2),
    "last offset delta": (23, 4),
    "base timestamp": (27, 8),
    "max timestamp": (35, 8),
    "producer id": (43, 8),
    "producer epoch": (51, 2),
    "base sequence": (53, 4),
    "record count": (57, 4),
}


def odd_batches(count):
    """Sound batches but for one thing each."""
    good = batch_of(count)
    for name, (start, size) in FIELDS.items():
        true = int.from_bytes(good[start : start + size], "big", signed=True)
        limit = 1 << (8 * size - 1)
        bits = [true ^ (1 << bit) for bit in range(8)]
        near = [true - 6000, true - 1, true + 1, true + 500, true + 1500, true + 4_000_000]
        for value in dict.fromkeys((*bits, *near, -limit, -7, -2, -1, 0, 1, 5, 16, 17, limit - 1)):
            if -limit <= value < limit:
                batch = bytearray(good)
                batch[start : start + size] = value.to_bytes(size, "big", signed=True)
                yield f"{name} {value}", bytes(batch)
                batch[17:21] = crc32c(bytes(batch[21:])).to_bytes(4, "big")
                yield f"{name} {value}, checksum right", bytes(batch)
    for position in range(61, min(len(good), 61 + 12)):
        for bit in range(8):
            batch = bytearray(good)
            batch[position] ^= 1 << bit
            yield f"bit {bit} of byte {position}", sealed(batch)
    for cut in (0, 11, 12, 16, 17, 60, 61, 62, len(good) - 1):
        yield f"{cut} bytes", good[:cut]
        if cut > 61:
            yield f"{cut} bytes, length right", sealed(good[:cut])
    yield "a byte too many", good + b"\0"
    yield "a byte too many, length right", sealed(good + b"\0")
    yield "two", good * 2
    for codec_number in range(5):
        yield f"codec {codec_number}", batch_of(count, codec=codec_number)
    for step in (-6000, -500, -1, 1, 500, 1500):
        yield f"timestamps {step} apart", build_batch(records_of(count, 10, NOW, step, keyed=True))
    for timestamp in (-1, -7):
        batch = bytearray(build_batch(records_of(count, 10, timestamp, 0, keyed=False)))
        batch[35:43] = timestamp.to_bytes(8, "big", signed=True)
        yield f"all at {timestamp}", sealed(batch)
    batch = bytearray(good)
    batch[23:27] = ((1 << 31) - 2).to_bytes(4, "big")
    batch[57:61] = ((1 << 31) - 1).to_bytes(4, "big")
    yield "as many records as can be named", sealed(batch)
    # Up to what makes a segment roll, or is too far ahead, and beyond it.
    for later in (1, 999, 1000, 1001, 1500, 3_600_000):
        yield f"{later} ms later", build_batch(records_of(count, 10, NOW + later, 0, keyed=False))
    empty = bytearray(good[:61])
    empty[57:61] = bytes(4)
    for delta in (-1, 0, 5):
        empty[23:27] = delta.to_bytes(4, "big", signed=True)
        yield f"no records, last offset delta {delta}", sealed(empty)
    yield "later first", build_batch(records_of(count, 10, NOW - 5000, 0, keyed=False))
    for size in (0, 1, 63, 64, 200, 8191, 8192, 20_000):
        yield f"values of {size} bytes", batch_of(count, size)


@pytest.mark.parametrize(
    ("version", "topic", "validation", "count"),
    [
        *[(version, "plain", "adaptive", count) for version in (5, 8, 9, 13) for count in (1, 20)],
        *[(9, topic, "adaptive", count) for topic in ("bounded", "small") for count in (1, 3, 20)],
        (9, "bounded", "header", 3),
    ],
)
def test_every_odd_batch_is_answered_as_by_the_general_path(version, topic, validation, count):
    worlds = [World(way, validation) for way in WAYS]
    usual = produced(batch_of(), version=version, topic=topic, acks=-1)
    try:
        for what, batch in odd_batches(count):
            for world in worlds:
                # Back on the short way, whatever the last one was.
                world.policy.walks_all = False
                world.policy.remaining = 3 if world.policy.walks_small else 0
                play_whole(world, usual)
                world.written.clear()
                play_whole(world, usual, produced(batch, version=version, topic=topic, acks=-1), usual)
            lane, general = worlds
            assert lane.written == general.written, what
            assert lane.state(of=topic) == general.state(of=topic), what
        assert lane.state() == general.state()
        assert lane.lane.stored_count + lane.stored_count > 300
    finally:
        for world in worlds:
            world.close()


@pytest.mark.parametrize("version", [5, 8, 9, 13])
def test_bytes_behind_the_batch_are_left_to_the_general_path(version):
    worlds = [World(way) for way in WAYS]
    try:
        for extra in (b"", b"\0", b"\1\0\0", b"\0" * 20):
            for tail in range(4):
                for world in worlds:
                    play_whole(world, produced(batch_of(), version=version))
                    one = frames_of(world, produced(batch_of(), version=version)[1])
                    one = one[: len(one) - tail] + extra
                    # Another one follows, so that there are bytes behind a frame that is too short.
                    world.receive((len(one) - 4).to_bytes(4, "big") + one[4:] + one)
                assert worlds[0].written == worlds[1].written
                assert worlds[0].state() == worlds[1].state()
    finally:
        for world in worlds:
            world.close()


def produced(batch, *, version=9, topic="plain", partition=0, acks=1, again=1):
    return ("produce", (version, topic, partition, acks, again, 0, batch, "client"))


@pytest.fixture
def world():
    world = World("lane")
    yield world
    world.close()


def play_whole(world, *stream):
    """Each item in a read of its own."""
    for item in stream:
        play(world, [item], itertools.repeat(1 << 20))


@pytest.mark.parametrize("version", [5, 7, 8, 9, 11, 12, 13])
@pytest.mark.parametrize("acks", [0, 1, -1])
def test_plain_requests_do_go_the_short_way(world, version, acks):
    for _ in range(3):
        play_whole(world, produced(batch_of(), version=version, acks=acks, again=4))
    # The first read teaches the lane, which takes the others.
    assert world.lane.stored_count == 8
    assert world.broker._context.topics["plain"].partitions[0].log_end_offset == 12


def test_producers_with_sequences_go_the_short_way(world):
    for number in range(10):
        play_whole(world, produced(batch_of(producer_id=5, producer_epoch=0, base_sequence=number)))
    assert world.lane.stored_count == 9


def test_partitions_in_turns_go_the_short_way(world):
    for _ in range(10):
        play_whole(
            world,
            produced(batch_of()),
            produced(batch_of(), partition=1),
            produced(batch_of(), topic="bounded"),
        )
    assert world.lane.stored_count >= 24


@pytest.mark.parametrize("topic", ["compacted", "append-time", "recompressed", "flushed"])
def test_topics_that_need_a_closer_look_do_not(world, topic):
    for _ in range(5):
        play_whole(world, produced(batch_of(), topic=topic, again=2))
    assert world.lane.stored_count == 0


def test_nothing_goes_the_short_way_once_a_batch_was_damaged(world):
    play_whole(world, *[produced(batch_of())] * 3)
    stored = world.lane.stored_count
    damaged = bytearray(batch_of())
    damaged[-3] ^= 1
    play_whole(world, produced(bytes(damaged)), *[produced(batch_of())] * 3)
    assert world.policy.walks_all
    assert world.lane.stored_count == stored


def test_a_deleted_topic_is_refused(world):
    play_whole(world, *[produced(batch_of(), topic="bounded")] * 4)
    assert world.lane.stored_count
    context = world.broker._context
    deleted = context.controller.delete_topics(DeleteTopicsRequest(topic_names=["bounded"], timeout=1_000), 5)
    context.quorum.flush()
    assert [answer.error_code for answer in deleted.value.responses] == [0]
    stored = world.lane.stored_count
    before = len(world.written)
    play_whole(world, produced(batch_of(), topic="bounded"))
    assert world.lane.stored_count == stored
    # Header, one topic of 7 characters, one partition, its index, its error.
    assert world.written[before + 9 + 1 + 8 + 1 + 4 :][:2] == b"\0\3"


def test_a_changed_configuration_counts_for_the_next_request():
    worlds = [World(way) for way in WAYS]
    try:
        for world in worlds:
            play_whole(world, *[produced(batch_of())] * 3)
            partition = world.broker._context.topics["plain"].partitions[0]
            partition.update_config(replace(partition.log.config, max_message_bytes=170))
            play_whole(world, produced(batch_of()), produced(batch_of(size=50)))
            partition.update_config(replace(partition.log.config, message_timestamp_type="LogAppendTime"))
            play_whole(world, *[produced(batch_of(size=50))] * 2)
            partition.become_leader(partition.leader_epoch + 1)
            play_whole(world, *[produced(batch_of(size=50))] * 2)
        assert worlds[0].lane.stored_count >= 2
        assert worlds[0].written == worlds[1].written
        assert worlds[0].state() == worlds[1].state()
    finally:
        for world in worlds:
            world.close()


def test_a_run_ends_where_the_index_is_full():
    worlds = [World(way) for way in WAYS]
    try:
        for world in worlds:
            play_whole(world, *[produced(batch_of())] * 2)
            play_whole(world, produced(batch_of(), again=40))
        assert worlds[0].lane.stored_count > 10
        assert worlds[0].state() == worlds[1].state()
        assert len(worlds[0].broker._context.topics["plain"].partitions[0].log.segments) > 3
    finally:
        for world in worlds:
            world.close()
