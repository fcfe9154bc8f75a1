"""Named attacks (testing.md section 8): memory, stalls and the service of other clients stay within their
bounds.

Every test is one attack on the same broker. Around it, `watch` measures: resident memory may not grow by more
than 256 MiB, and a second client's requests may not wait longer than 250 ms (`PYBROKER_STALL_MS` for slow
machines).
"""

from __future__ import annotations

import contextlib
import gzip
import os
import random
import re
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cramjam
import lz4.frame
import pytest
import zstandard

from tests.processes import PybrokerProcess, Server, wait_until
from tests.protocol import raw, schema
from tests.protocol.raw import (
    API_VERSIONS,
    CLOSED,
    CREATE_TOPICS,
    FETCH,
    LIST_OFFSETS,
    METADATA,
    PRODUCE,
    SILENT,
    ZERO_UUID,
    Connection,
)
from tests.protocol.test_connection import SERVED

STALL_MS = float(os.environ.get("PYBROKER_STALL_MS", "250"))
IDLE_CONNECTIONS = int(os.environ.get("PYBROKER_IDLE_CONNECTIONS", "2000"))
FLOOD = int(os.environ.get("PYBROKER_FLOOD", "300"))
GROWTH = 256 << 20
JOIN_GROUP, OFFSET_COMMIT, INIT_PRODUCER_ID = 11, 8, 22


def resident(pid: int) -> int:
    match = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert match is not None
    return int(match.group(1)) * 1024


class Watch:
    def __init__(self, server: Server) -> None:
        self.server = server
        self.pinger = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.pinger", server.bootstrap, str(server.pid)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=Path(__file__).resolve().parents[2],
            text=True,
        )
        self.report()
        self.baseline = resident(server.pid)

    def report(self) -> tuple[int, float]:
        assert self.pinger.stdin is not None
        assert self.pinger.stdout is not None
        self.pinger.stdin.write("\n")
        self.pinger.stdin.flush()
        line = self.pinger.stdout.readline().split()
        assert line, "the other client was not served"
        return int(line[0]), float(line[1])

    @contextlib.contextmanager
    def __call__(self) -> Iterator[None]:
        self.report()
        peak = resident(self.server.pid)
        done = threading.Event()

        def sample() -> None:
            nonlocal peak
            while not done.wait(0.01):
                peak = max(peak, resident(self.server.pid))

        sampler = threading.Thread(target=sample)
        sampler.start()
        try:
            yield
            time.sleep(0.05)
        finally:
            done.set()
            sampler.join()
        count, longest = self.report()
        growth = (peak - self.baseline) >> 20
        attack = os.environ["PYTEST_CURRENT_TEST"].partition("::")[2].removesuffix(" (call)")
        print(
            f"{attack}: other client {count} requests, longest {longest:.0f} ms; memory grew by {growth} MiB"
        )
        assert peak - self.baseline < GROWTH, f"memory grew by {growth} MiB"
        assert longest < STALL_MS, f"another client waited {longest:.0f} ms"
        with Connection(self.server.bootstrap) as newcomer:
            assert newcomer.call(API_VERSIONS, 0, {})["error_code"] == 0


class Target:
    """The broker under attack with its watch; a new one when an attack was too much for the last."""

    def __init__(self, factory: pytest.TempPathFactory) -> None:
        self.factory = factory
        self.server: PybrokerProcess | None = None
        self.watch: Watch | None = None
        self.broken = False

    def get(self) -> tuple[PybrokerProcess, Watch]:
        if self.broken:
            self.close()
        if self.server is None:
            self.server = PybrokerProcess(self.factory.mktemp("hostile"))
            self.watch = Watch(self.server)
        assert self.watch is not None
        return self.server, self.watch

    def close(self) -> None:
        if self.watch is not None:
            self.watch.pinger.kill()
            self.watch.pinger.wait()
        if self.server is not None:
            self.server.kill()
        self.server = self.watch = None
        self.broken = False


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    made = Target(tmp_path_factory)
    yield made
    made.close()


@pytest.fixture
def attacked(target: Target) -> Iterator[Target]:
    target.get()
    target.broken = True
    yield target
    server, watch = target.server, target.watch
    assert server is not None
    assert watch is not None
    with Connection(server.bootstrap, timeout=5) as newcomer:
        assert newcomer.call(API_VERSIONS, 0, {})["error_code"] == 0
    assert watch.pinger.poll() is None, "the other client was not served"
    # What one attack left behind is not held against the next.
    target.broken = resident(server.pid) - watch.baseline > GROWTH // 2


@pytest.fixture
def server(attacked: Target) -> PybrokerProcess:
    assert attacked.server is not None
    return attacked.server


@pytest.fixture
def watch(attacked: Target) -> Watch:
    assert attacked.watch is not None
    return attacked.watch


@pytest.fixture
def topic(server: PybrokerProcess) -> str:
    return raw.create_topic(server.bootstrap)[0]


def versions() -> Iterator[tuple[int, int]]:
    for key, (low, high) in SERVED.items():
        for version in range(3 if key == PRODUCE else low, high + 1):
            yield key, version


def check_not_ignored(answer: Any) -> None:
    assert answer is not SILENT, "neither an answer nor a closed connection"


# Lengths


def test_array_bombs(server: PybrokerProcess, watch: Watch) -> None:
    """Every request whose first array says it has more elements than memory."""
    with watch():
        for key, version in versions():
            struct_ = schema.request_schema(key, version)
            arrays = [f for f in struct_.fields if f.array and f.tag is None]
            if not arrays:
                continue
            values = {f.name: f.absent_value() for f in struct_.fields}
            for name in ("acks", "timeout", "max_wait"):
                if name in values:
                    values[name] = 1
            before = schema.encode(
                struct_._replace(fields=struct_.fields[: struct_.fields.index(arrays[0])], flexible=False), {}
            )
            if struct_.flexible:
                # The shorter struct wrote its strings in the old form; flexible requests begin with fixed
                # fields or tags.
                before = compact_prefix(struct_, arrays[0])
            counts = (
                (b"\xfe\xff\xff\xff\x0f", b"\xff\xff\xff\xff\x07", b"\xc1\x84\x3d")
                if struct_.flexible
                else (struct.pack(">i", 2**31 - 1), struct.pack(">i", 1_000_001))
            )
            for count in counts:
                with Connection(server.bootstrap, timeout=5) as connection:
                    check_not_ignored(connection.call(key, version, before + count + bytes(40)))


def compact_prefix(struct_: schema.Struct, until: schema.Field) -> bytes:
    fields = tuple(f for f in struct_.fields[: struct_.fields.index(until)] if f.tag is None)
    return schema.encode(struct_._replace(fields=fields), {})[:-1]


def test_tag_bombs(server: PybrokerProcess, watch: Watch) -> None:
    many = b"".join(schema.uvarint(100 + i) + b"\0" for i in range(300_000))
    bombs = [
        b"\xff\xff\xff\xff\x0f",
        b"\xff\xff\xff\xff\x07" + bytes(100),
        schema.uvarint(300_000) + many,
        b"\x01\x63\xff\xff\xff\xff\x07" + bytes(1000),
        schema.uvarint(1) + b"\x63" + schema.uvarint(8 << 20) + bytes(8 << 20),
    ]
    with watch():
        for bomb in bombs:
            for header in (False, True):
                with Connection(server.bootstrap, timeout=5) as connection:
                    if header:
                        check_not_ignored(connection.call(METADATA, 12, b"\1\1\0\0", tags=bomb))
                    else:
                        check_not_ignored(connection.call(METADATA, 12, b"\1\1\0" + bomb))


def test_lengths_of_two_gigabytes(server: PybrokerProcess, watch: Watch) -> None:
    with watch():
        for length in (2**31 - 1, -1, -(2**31), 104857601):
            with Connection(server.bootstrap, timeout=5) as connection:
                connection.send_bytes(struct.pack(">i", length) + bytes(1000))
                assert connection.read_frame() is CLOSED


def test_frames_that_are_announced_and_not_sent(server: PybrokerProcess, watch: Watch) -> None:
    """A hundred connections announce 100 MiB each and send 64 KiB."""
    with watch(), contextlib.ExitStack() as stack:
        for _ in range(100):
            connection = stack.enter_context(Connection(server.bootstrap))
            connection.send_bytes(struct.pack(">i", 100 << 20) + bytes(64 << 10))
        time.sleep(0.3)


def test_every_request_cut_short(server: PybrokerProcess, watch: Watch, topic: str) -> None:
    choice = random.Random(1)
    with watch():
        for key, version in versions():
            struct_ = schema.request_schema(key, version)
            body = schema.encode(struct_, filled(struct_))
            for cut in sorted(
                {0, 1, len(body) - 1, *(choice.randrange(len(body)) for _ in range(3))} if body else set()
            ):
                with Connection(server.bootstrap, timeout=5) as connection:
                    connection.send(key, version, body[:cut])
                    # A follow-up tells a request without a reply from one that hangs.
                    connection.send(API_VERSIONS, 0, {})
                    check_not_ignored(connection.read_frame())


def filled(struct_: schema.Struct) -> dict[str, Any]:
    """A value in every field, one element in every array."""
    values: dict[str, Any] = {}
    for item in struct_.fields:
        if item.tag is not None:
            continue
        if item.name in ("acks", "max_wait", "timeout", "min_bytes"):
            values[item.name] = 1
        elif item.struct:
            inner = filled(item.struct)
            values[item.name] = [inner] if item.array else inner
        else:
            value: Any = {"string": "not-there", "bytes": b"x", "records": b"x" * 70, "uuid": b"\7" * 16}.get(
                item.kind, False if item.kind == "bool" else 1
            )
            values[item.name] = [value] if item.array else value
    return values


def test_random_frames(server: PybrokerProcess, watch: Watch) -> None:
    choice = random.Random(7)
    all_versions = list(versions())
    with watch():
        for _ in range(400):
            key, version = choice.choice(all_versions)
            struct_ = schema.request_schema(key, version)
            body = bytearray(schema.encode(struct_, filled(struct_)))
            for _ in range(choice.randrange(1, 6)):
                if body:
                    body[choice.randrange(len(body))] = choice.choice(
                        [0, 1, 0x7F, 0x80, 0xFF, choice.randrange(256)]
                    )
            with Connection(server.bootstrap, timeout=0.2) as connection:
                connection.send(key, version, bytes(body))
                connection.read_frame(0.05 if key != FETCH else 0.01)


# Records


def bomb(codec: int, size: int) -> bytes:
    """`size` bytes of one zero-filled record value, compressed as far as the codec can."""
    length = size + 20
    inner = schema.varint(length) + bytes([0, 0, 0, 1]) + schema.varint(size) + bytes(size) + b"\0"
    if codec == raw.GZIP:
        return gzip.compress(inner, 9)
    if codec == raw.SNAPPY:
        block = bytes(cramjam.snappy.compress_raw(inner))
        return raw.XERIAL + struct.pack(">i", len(block)) + block
    if codec == raw.LZ4:
        return lz4.frame.compress(inner, block_size=lz4.frame.BLOCKSIZE_MAX4MB)
    return zstandard.compress(inner, 19)


@pytest.mark.parametrize(
    ("codec", "megabytes"), [(raw.GZIP, 600), (raw.SNAPPY, 20), (raw.LZ4, 240), (raw.ZSTD, 1000)]
)
def test_decompression_bombs(server: PybrokerProcess, watch: Watch, codec: int, megabytes: int) -> None:
    names = [
        raw.create_topic(server.bootstrap, configs=configs)[0]
        for configs in ({}, {"compression.type": "uncompressed"}, {"cleanup.policy": "compact"})
    ]
    data = raw.batch(attributes=codec, body=bomb(codec, megabytes << 20))
    many = bomb(codec, 1 << 20)
    liars = [
        raw.batch(attributes=raw.SNAPPY, body=b"\xff\xff\xff\xff\x07" + bytes(50)),
        raw.batch(attributes=raw.SNAPPY, body=raw.XERIAL + b"\x7f\xff\xff\xff" + bytes(50)),
        raw.batch(attributes=raw.ZSTD, body=bytes.fromhex("28b52ffda0ffffff7f") + bytes(50)),
        raw.batch(attributes=codec, body=many * 20),
    ]
    with watch():
        for name in names:
            for sent in (data, *liars):
                with Connection(server.bootstrap, timeout=10) as connection:
                    check_not_ignored(raw.produce(connection, name, sent))


def test_count_bombs(server: PybrokerProcess, watch: Watch, topic: str) -> None:
    batches = [
        raw.batch(raw.record(header_count=2**31 - 1)),
        raw.batch(raw.record(header_count=2**31 - 1), attributes=raw.GZIP),
        raw.batch(count=2**31 - 1, last_offset_delta=2**31 - 2),
        raw.batch(count=2**31 - 1, last_offset_delta=2**31 - 2, attributes=raw.ZSTD),
        raw.batch(raw.record(key_length=2**31 - 1)),
        raw.batch(raw.record(length=2**31 - 1)),
        raw.batch(raw.record(length_bytes=b"\xff" * 9 + b"\1")),
        raw.batch(raw.record(length_bytes=b"\xff" * 100)),
        # As many of the smallest records as fit: the most work for the bytes.
        raw.batch(*(raw.record(None, None, offset_delta=i) for i in range(100_000))),
    ]
    with watch():
        for data in batches:
            with Connection(server.bootstrap, timeout=20) as connection:
                check_not_ignored(raw.produce(connection, topic, data))


# Connections


def test_slowloris(server: PybrokerProcess, watch: Watch) -> None:
    """Three hundred connections send a frame a byte at a time."""
    body = raw.request_header(METADATA, 1, 1) + struct.pack(">i", 0)
    frame = struct.pack(">i", len(body)) + body
    with watch(), contextlib.ExitStack() as stack:
        connections = [stack.enter_context(Connection(server.bootstrap)) for _ in range(300)]
        for byte in frame[:12]:
            for connection in connections:
                connection.send_bytes(bytes([byte]))
            time.sleep(0.02)


def test_idle_connections(server: PybrokerProcess, watch: Watch) -> None:
    """Thousands, from several addresses, a third of them with half a request, a third with the beginning of
    TLS: a limit per address may close some, not the others."""
    host, port = raw.parse_address(server.bootstrap)
    opened = []
    with watch():
        try:
            for number in range(IDLE_CONNECTIONS):
                client = socket.socket()
                client.settimeout(2)
                client.bind((f"127.0.0.{2 + number % 8}", 0))
                with contextlib.suppress(OSError):
                    client.connect((host, port))
                    if number % 3 == 1:
                        client.send(struct.pack(">i", 100 << 20) + b"half a request")
                    elif number % 3 == 2:
                        client.send(bytes.fromhex("1603010200010001fc0303"))
                opened.append(client)
            time.sleep(0.2)
        finally:
            for client in opened:
                client.close()


def test_a_reconnect_storm(server: PybrokerProcess, watch: Watch) -> None:
    host, port = raw.parse_address(server.bootstrap)
    with watch():
        for number in range(3000):
            client = socket.socket()
            with contextlib.suppress(OSError):
                client.connect((host, port))
                if number % 3 == 0:
                    client.send(b"\0\0\0\x64half a frame")
                if number % 2 == 0:
                    # A reset instead of an orderly end.
                    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            client.close()


def test_tls_and_http_on_a_plain_port(server: PybrokerProcess, watch: Watch) -> None:
    with watch():
        for hello in (
            bytes.fromhex("16030102000100 01fc0303".replace(" ", "")) + bytes(500),
            b"GET / HTTP/1.1\r\n\r\n",
        ):
            for _ in range(50):
                with Connection(server.bootstrap) as connection:
                    connection.send_bytes(hello)
                    assert connection.read_frame(5) is CLOSED


# Large but legal


def giant_requests(topic: str) -> dict[str, tuple[int, int, dict[str, Any]]]:
    """Requests as large as they may be (200,000 elements), or such that their answers would be larger."""
    names = [f"giant-{i:06d}" for i in range(50_000)]
    partitions = [{"partition_index": i, "timestamp": -1} for i in range(100_000)]
    fetched = [{"partition": i, "fetch_offset": 0, "partition_max_bytes": 1000} for i in range(100_000)]
    new = [
        {"name": name, "num_partitions": 1, "replication_factor": 1, "assignments": [], "configs": []}
        for name in names[:10_000]
    ]
    wait = {"max_wait": 0, "min_bytes": 0, "replica_id": -1, "max_bytes": 1 << 20, "isolation_level": 0}
    produced = {"acks": 1, "timeout": 1000}
    return {
        "metadata": (
            METADATA,
            12,
            {
                "topics": [{"topic_id": ZERO_UUID, "name": n} for n in names],
                "allow_auto_topic_creation": False,
            },
        ),
        "metadata by id": (
            METADATA,
            12,
            {"topics": [{"topic_id": i.to_bytes(16, "big"), "name": None} for i in range(1, 50_000)]},
        ),
        "list offsets": (
            LIST_OFFSETS,
            6,
            {"replica_id": -1, "isolation_level": 0, "topics": [{"name": topic, "partitions": partitions}]},
        ),
        "fetch": (FETCH, 12, {**wait, "topics": [{"topic": topic, "partitions": fetched}]}),
        "fetch of many topics": (
            FETCH,
            12,
            {**wait, "topics": [{"topic": name, "partitions": fetched[:1]} for name in names]},
        ),
        "produce": (
            PRODUCE,
            9,
            {
                **produced,
                "topic_data": [{"name": n, "partition_data": [{"index": 0, "records": b"x"}]} for n in names],
            },
        ),
        "create topics": (CREATE_TOPICS, 7, {"topics": new, "timeout": 1000, "validate_only": True}),
        "describe topic partitions": (
            raw.DESCRIBE_TOPIC_PARTITIONS,
            0,
            {"topics": [{"name": n} for n in names], "response_partition_limit": 2000, "cursor": None},
        ),
        "describe configs": (
            raw.DESCRIBE_CONFIGS,
            4,
            {
                "resources": [
                    {"resource_type": 4, "resource_name": "", "configuration_keys": None}
                    for _ in range(20_000)
                ]
            },
        ),
        "describe every config again and again": (
            raw.DESCRIBE_CONFIGS,
            4,
            {
                "resources": [
                    {"resource_type": kind, "resource_name": name, "configuration_keys": None}
                    for kind, name in ((2, topic), (4, "1")) * 5_000
                ],
                "include_synonyms": True,
                "include_documentation": True,
            },
        ),
        "delete topics": (
            raw.DELETE_TOPICS,
            6,
            {"topics": [{"name": n, "topic_id": ZERO_UUID} for n in names], "timeout": 1000},
        ),
        "delete records": (
            raw.DELETE_RECORDS,
            2,
            {
                "topics": [
                    {
                        "name": topic,
                        "partitions": [{"partition_index": i, "offset": 0} for i in range(100_000)],
                    }
                ],
                "timeout": 1000,
            },
        ),
        "many creations by metadata": (
            METADATA,
            3,
            {"topics": [{"name": "a/b"} for _ in range(50_000)]},
        ),
    }


@pytest.mark.parametrize(
    "name",
    [
        "metadata",
        "metadata by id",
        "list offsets",
        "fetch",
        "fetch of many topics",
        "produce",
        "create topics",
        "describe topic partitions",
        "describe configs",
        "describe every config again and again",
        "delete topics",
        "delete records",
        "many creations by metadata",
    ],
)
def test_giant_lists(server: PybrokerProcess, watch: Watch, topic: str, name: str) -> None:
    key, version, values = giant_requests(topic)[name]
    body = schema.encode(schema.request_schema(key, version), values)
    with watch(), Connection(server.bootstrap, timeout=20) as connection:
        connection.send(key, version, body)
        answer = connection.read_frame()
        check_not_ignored(answer)
        connection.close()


def test_giant_lists_side_by_side(server: PybrokerProcess, watch: Watch, topic: str) -> None:
    """Every giant request three times over, all at once: one after the other is worked on, in slices."""
    frames = [
        (key, version, schema.encode(schema.request_schema(key, version), values))
        for key, version, values in giant_requests(topic).values()
    ]
    with watch(), contextlib.ExitStack() as stack:
        connections = []
        for key, version, body in frames * 3:
            connection = stack.enter_context(Connection(server.bootstrap, timeout=120))
            connection.send(key, version, body)
            connections.append(connection)
        for connection in connections:
            check_not_ignored(connection.read_frame())


def test_more_elements_than_any_request_may_have(server: PybrokerProcess, watch: Watch) -> None:
    with watch(), Connection(server.bootstrap, timeout=20) as connection:
        connection.send(METADATA, 1, struct.pack(">i", 900_000) + b"\0\1a" * 900_000)
        assert connection.read_frame() is CLOSED


def fill(address: str, megabytes: int) -> str:
    name, _ = raw.create_topic(address)
    data = raw.batch(raw.record(value=bytes(1_000_000)))
    with Connection(address, timeout=30) as connection:
        values = raw.produce_values(name, data)
        for _ in range(megabytes // 20):
            sent = [connection.send(PRODUCE, 9, values) for _ in range(20)]
            for correlation in sent:
                answer = connection.receive(PRODUCE, 9, correlation)
                assert answer["responses"][0]["partition_responses"][0]["error_code"] == 0
    return name


def test_slow_readers(server: PybrokerProcess, watch: Watch) -> None:
    """Ten clients ask for 100 MB many times and read nothing."""
    name = fill(server.bootstrap, 100)
    values = raw.fetch_values(name, partition_max_bytes=100 << 20, max_bytes=100 << 20)
    with watch(), contextlib.ExitStack() as stack:
        readers = []
        for _ in range(10):
            connection = stack.enter_context(Connection(server.bootstrap))
            connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            for _ in range(20):
                connection.send(FETCH, 12, values)
            readers.append(connection)
        time.sleep(1.0)


def test_greedy_producers(server: PybrokerProcess, watch: Watch, topic: str) -> None:
    """Ten clients write a megabyte after the other and read no answer."""
    data = raw.batch(raw.record(value=bytes(1_000_000)))
    body = schema.encode(schema.request_schema(PRODUCE, 9), raw.produce_values(topic, data))
    frame = raw.request_header(PRODUCE, 9, 1) + body
    frame = struct.pack(">i", len(frame)) + frame

    def flood(connection: Connection) -> None:
        connection.socket.settimeout(1.0)
        with contextlib.suppress(OSError):
            for _ in range(40):
                connection.socket.sendall(frame)

    with watch(), contextlib.ExitStack() as stack:
        connections = [stack.enter_context(Connection(server.bootstrap)) for _ in range(10)]
        threads = [threading.Thread(target=flood, args=(c,)) for c in connections]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()


def test_many_waiting_fetches(server: PybrokerProcess, watch: Watch) -> None:
    name, _ = raw.create_topic(server.bootstrap)
    values = raw.fetch_values(name, max_wait=60_000)
    with watch(), contextlib.ExitStack() as stack:
        for _ in range(20):
            connection = stack.enter_context(Connection(server.bootstrap))
            for _ in range(500):
                connection.send(FETCH, 12, values)
        time.sleep(0.2)


def test_many_requests_without_reading_an_answer(server: PybrokerProcess, watch: Watch) -> None:
    body = raw.request_header(API_VERSIONS, 0, 1)
    flood = (struct.pack(">i", len(body)) + body) * 20_000

    def send(connection: Connection) -> None:
        connection.socket.settimeout(1.0)
        with contextlib.suppress(OSError):
            for _ in range(20):
                connection.socket.sendall(flood)

    with watch(), contextlib.ExitStack() as stack:
        connections = [stack.enter_context(Connection(server.bootstrap)) for _ in range(4)]
        threads = [threading.Thread(target=send, args=(c,)) for c in connections]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()


def test_sessions_and_producer_ids_without_end(server: PybrokerProcess, watch: Watch, topic: str) -> None:
    """Each of them makes the broker remember something."""
    with watch(), Connection(server.bootstrap, timeout=20) as connection:
        session = schema.encode(
            schema.request_schema(FETCH, 12),
            raw.fetch_values(topic, session_id=0, session_epoch=0, min_bytes=0),
        )
        sent = [connection.send(FETCH, 12, session) for _ in range(3000)]
        for _ in sent:
            check_not_ignored(connection.read_frame())
        data: list[int] = []
        for number in range(3000):
            batch = raw.batch(producer_id=10**9 + number, producer_epoch=0, base_sequence=0)
            data.append(connection.send(PRODUCE, 9, raw.produce_values(topic, batch)))
        for _ in data:
            check_not_ignored(connection.read_frame())


def test_coordinators_flooded_with_names(server: PybrokerProcess, watch: Watch, topic: str) -> None:
    """Groups with a member and a committed offset each, transactional ids, and expressions that make a matcher
    that goes back take years."""
    wait_for_coordinators(server.bootstrap)
    with watch(), Connection(server.bootstrap, timeout=60) as connection:
        for first in range(0, FLOOD, 100):
            sent = []
            for number in range(first, min(first + 100, FLOOD)):
                name = f"flood-{number}-" + "x" * 200
                sent += [
                    connection.send(JOIN_GROUP, 9, joined(name)),
                    connection.send(OFFSET_COMMIT, 8, committed(name, topic)),
                    connection.send(INIT_PRODUCER_ID, 4, initialised(name)),
                ]
            for _ in sent:
                check_not_ignored(connection.read_frame())
        for pattern in ("(a*)*b", "(a|a)*b" * 20, "(" * 1000 + ")" * 1000, "a{1,1000}{1,1000}", ".*" * 500):
            heartbeat = {
                "group_id": "expressions",
                "member_id": "m" * 22,
                "member_epoch": 0,
                "rebalance_timeout": 60_000,
                "subscribed_topic_regex": pattern,
                "topic_partitions": [],
            }
            connection.send(raw.CONSUMER_GROUP_HEARTBEAT, 1, heartbeat)
            check_not_ignored(connection.read_frame())


def wait_for_coordinators(address: str) -> None:
    with Connection(address, timeout=10) as connection:
        for kind in (0, 1):

            def found(kind: int = kind) -> bool:
                asked = {"key_type": kind, "coordinator_keys": ["x"]}
                answer = connection.call(raw.FIND_COORDINATOR, 4, asked)
                return bool(answer["coordinators"][0]["error_code"] == 0)

            wait_until(found, "coordinators")


def joined(group: str) -> dict[str, Any]:
    return {
        "group_id": group,
        "session_timeout": 30_000,
        "rebalance_timeout": 30_000,
        "member_id": "",
        "protocol_type": "consumer",
        "protocols": [{"name": "range", "metadata": bytes(200)}],
    }


def committed(group: str, topic: str) -> dict[str, Any]:
    partition = {
        "partition_index": 0,
        "committed_offset": 1,
        "committed_leader_epoch": -1,
        "committed_metadata": "y" * 200,
    }
    return {
        "group_id": group,
        "generation_id_or_member_epoch": -1,
        "member_id": "",
        "topics": [{"name": topic, "partitions": [partition]}],
    }


def initialised(name: str) -> dict[str, Any]:
    return {
        "transactional_id": name,
        "transaction_timeout": 60_000,
        "producer_id": -1,
        "producer_epoch": -1,
    }
