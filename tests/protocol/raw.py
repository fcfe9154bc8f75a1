"""A tiny synchronous raw client: frames in and out of a socket, and batches built by hand with every kind of
damage.

In: an address. Out: decoded answers as nested dicts (`tests.protocol.schema`), `CLOSED` when the broker hung
up, `SILENT` when nothing came in time. What must hold: nothing here retries, reconnects, negotiates or hides
an error.
"""

from __future__ import annotations

import contextlib
import gzip
import itertools
import random
import socket
import struct
import time
from dataclasses import dataclass, field, replace
from typing import Any

import cramjam
import crc32c
import lz4.frame
import zstandard

from tests.protocol import schema
from tests.protocol.schema import varint

PRODUCE, FETCH, LIST_OFFSETS, METADATA = 0, 1, 2, 3
FIND_COORDINATOR = 10
API_VERSIONS, CREATE_TOPICS, DELETE_TOPICS, DELETE_RECORDS, INIT_PRODUCER_ID = 18, 19, 20, 21, 22
OFFSET_FOR_LEADER_EPOCH = 23
DESCRIBE_CONFIGS, ALTER_CONFIGS, ALTER_REPLICA_LOG_DIRS, DESCRIBE_LOG_DIRS = 32, 33, 34, 35
CREATE_PARTITIONS, INCREMENTAL_ALTER_CONFIGS = 37, 44
LIST_PARTITION_REASSIGNMENTS, DESCRIBE_CLUSTER = 46, 60
CONSUMER_GROUP_HEARTBEAT, CONSUMER_GROUP_DESCRIBE = 68, 69
GET_TELEMETRY_SUBSCRIPTIONS, PUSH_TELEMETRY, LIST_CONFIG_RESOURCES, DESCRIBE_TOPIC_PARTITIONS = 71, 72, 74, 75

ZERO_UUID = bytes(16)
NEVER = 2**63 - 1


class _Sign:
    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return self.name

    def __bool__(self) -> bool:
        return False


CLOSED: Any = _Sign("CLOSED")
SILENT: Any = _Sign("SILENT")


def parse_address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    return host.strip("[]"), int(port)


def request_header(
    key: int,
    version: int,
    correlation_id: int,
    client_id: str | bytes | None = "raw",
    *,
    flexible: bool | None = None,
    tags: bytes = b"\0",
) -> bytes:
    """Header v1, or v2 where the version is flexible. `tags` replaces the tagged-field section of v2."""
    if flexible is None:
        flexible = schema.is_flexible(key, version)
    data = client_id.encode() if isinstance(client_id, str) else client_id
    out = struct.pack(">hhi", key, version, correlation_id)
    out += struct.pack(">h", -1) if data is None else struct.pack(">h", len(data)) + data
    return out + tags if flexible else out


class Connection:
    """One socket. Every read is bounded by `timeout` seconds."""

    def __init__(self, address: str, timeout: float = 10.0) -> None:
        self.address = address
        self.timeout = timeout
        self.socket = socket.create_connection(parse_address(address), timeout=timeout)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._correlation = itertools.count(1)

    def __enter__(self) -> Connection:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self.socket.close()

    # Frames

    def send_bytes(self, data: bytes) -> None:
        """Raw bytes; a broker that has hung up is noticed by the next read."""
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self.socket.sendall(data)

    def send_frame(self, body: bytes) -> None:
        self.send_bytes(struct.pack(">i", len(body)) + body)

    def _read(self, count: int, deadline: float) -> Any:
        parts = []
        while count:
            left = deadline - time.monotonic()
            if left <= 0:
                return SILENT
            self.socket.settimeout(left)
            try:
                data = self.socket.recv(min(count, 1 << 20))
            except TimeoutError:
                return SILENT
            except (ConnectionResetError, BrokenPipeError):
                return CLOSED
            if not data:
                return CLOSED
            parts.append(data)
            count -= len(data)
        return b"".join(parts)

    def read_frame(self, timeout: float | None = None) -> Any:
        """A frame without its length, or CLOSED, or SILENT."""
        deadline = time.monotonic() + (self.timeout if timeout is None else timeout)
        length = self._read(4, deadline)
        if not isinstance(length, bytes):
            return length
        return self._read(struct.unpack(">i", length)[0], deadline)

    # Requests

    def send(
        self,
        key: int,
        version: int,
        values: dict[str, Any] | bytes,
        *,
        client_id: str | bytes | None = "raw",
        **header: Any,
    ) -> int:
        correlation = next(self._correlation)
        body = (
            values
            if isinstance(values, bytes)
            else schema.encode(schema.request_schema(key, version), values)
        )
        self.send_frame(request_header(key, version, correlation, client_id, **header) + body)
        return correlation

    def receive(self, key: int, version: int, correlation: int, timeout: float | None = None) -> Any:
        """The decoded answer; its correlation id must be the one given."""
        frame = self.read_frame(timeout)
        if not isinstance(frame, bytes):
            return frame
        (got,) = struct.unpack_from(">i", frame)
        assert got == correlation, f"correlation id {got} came back for {correlation}"
        pos = 4
        if schema.is_flexible(key, version) and key != API_VERSIONS:
            assert frame[4] == 0, "a tagged field in the response header"
            pos = 5
        return schema.decode(schema.response_schema(key, version), frame, pos)

    def call(
        self,
        key: int,
        version: int,
        values: dict[str, Any] | bytes,
        *,
        timeout: float | None = None,
        **header: Any,
    ) -> Any:
        correlation = self.send(key, version, values, **header)
        return self.receive(key, version, correlation, timeout)


def call(
    address: str,
    key: int,
    version: int,
    values: dict[str, Any] | bytes,
    *,
    timeout: float = 10.0,
    **header: Any,
) -> Any:
    with Connection(address, timeout) as connection:
        return connection.call(key, version, values, **header)


# Record batches


def record(
    key: bytes | None = b"k",
    value: bytes | None = b"v",
    *,
    offset_delta: int = 0,
    timestamp_delta: int = 0,
    headers: list[tuple[bytes | None, bytes | None]] | None = None,
    attributes: int = 0,
    key_length: int | None = None,
    length: int | None = None,
    length_bytes: bytes | None = None,
    header_count: int | None = None,
) -> bytes:
    """One record with its length prefix; the keyword arguments from `key_length` on tell lies."""

    def blob(data: bytes | None, said: int | None = None) -> bytes:
        size = said if said is not None else -1 if data is None else len(data)
        return varint(size) + (data or b"")

    headers = headers or []
    body = (
        bytes([attributes])
        + varint(timestamp_delta)
        + varint(offset_delta)
        + blob(key, key_length)
        + blob(value)
    )
    body += varint(len(headers) if header_count is None else header_count)
    for name, content in headers:
        body += blob(name) + blob(content)
    prefix = length_bytes if length_bytes is not None else varint(len(body) if length is None else length)
    return prefix + body


GZIP, SNAPPY, LZ4, ZSTD = 1, 2, 3, 4
XERIAL = b"\x82SNAPPY\x00" + struct.pack(">ii", 1, 1)


def compress(codec: int, data: bytes) -> bytes:
    if codec == GZIP:
        return gzip.compress(data, mtime=0)
    if codec == SNAPPY:
        block = bytes(cramjam.snappy.compress_raw(data))
        return XERIAL + struct.pack(">i", len(block)) + block
    if codec == LZ4:
        return lz4.frame.compress(data)
    if codec == ZSTD:
        return zstandard.compress(data)
    return data


def now_ms() -> int:
    return int(time.time() * 1000)


@dataclass
class Batch:
    """A v2 record batch. What is None is computed honestly; anything else is written as it is."""

    records: list[bytes] = field(default_factory=lambda: [record()])
    base_offset: int = 0
    length: int | None = None
    leader_epoch: int = -1
    magic: int = 2
    crc: int | None = None
    attributes: int = 0
    last_offset_delta: int | None = None
    base_timestamp: int | None = None
    max_timestamp: int | None = None
    producer_id: int = -1
    producer_epoch: int = -1
    base_sequence: int = -1
    count: int | None = None
    body: bytes | None = None  # replaces the (compressed) records

    def bytes(self) -> bytes:
        body = compress(self.attributes & 7, b"".join(self.records)) if self.body is None else self.body
        timestamp = now_ms() if self.base_timestamp is None else self.base_timestamp
        after_crc = struct.pack(
            ">hiqqqhii",
            self.attributes,
            len(self.records) - 1 if self.last_offset_delta is None else self.last_offset_delta,
            timestamp,
            timestamp if self.max_timestamp is None else self.max_timestamp,
            self.producer_id,
            self.producer_epoch,
            self.base_sequence,
            len(self.records) if self.count is None else self.count,
        )
        after_crc += body
        crc = crc32c.crc32c(after_crc) if self.crc is None else self.crc
        length = len(after_crc) + 9 if self.length is None else self.length
        return struct.pack(">qiibI", self.base_offset, length, self.leader_epoch, self.magic, crc) + after_crc

    def but(self, **changes: Any) -> Batch:
        return replace(self, **changes)


def batch(*records: bytes, **fields: Any) -> bytes:
    """The bytes of a batch; without records, one record k/v."""
    if records:
        fields["records"] = list(records)
    return Batch(**fields).bytes()


def simple_batch(count: int = 1, *, size: int | None = None, **fields: Any) -> bytes:
    """`count` good records k/v; `size` fixes the value length."""
    value = b"v" if size is None else bytes(size)
    return batch(*(record(value=value, offset_delta=i) for i in range(count)), **fields)


def message_set(magic: int, value: bytes = b"v", *, timestamp: int = 0) -> bytes:
    """One message of the old formats 0 and 1."""
    import zlib

    body = struct.pack(">bb", magic, 0) + (struct.pack(">q", timestamp) if magic else b"")
    body += struct.pack(">i", -1) + struct.pack(">i", len(value)) + value
    message = struct.pack(">I", zlib.crc32(body)) + body
    return struct.pack(">qi", 0, len(message)) + message


HEADER = struct.Struct(">qiibIhiqqqhii")


@dataclass(frozen=True)
class StoredBatch:
    base_offset: int
    length: int
    leader_epoch: int
    magic: int
    crc: int
    attributes: int
    last_offset_delta: int
    base_timestamp: int
    max_timestamp: int
    producer_id: int
    producer_epoch: int
    base_sequence: int
    count: int
    body: bytes
    crc_good: bool

    @property
    def end_offset(self) -> int:
        return self.base_offset + self.last_offset_delta + 1


def parse_batches(data: bytes) -> list[StoredBatch]:
    """The whole batches in the answer of a fetch; a partial one at the end is dropped."""
    batches = []
    pos = 0
    while pos + HEADER.size <= len(data):
        values = HEADER.unpack_from(data, pos)
        end = pos + 12 + values[1]
        if end > len(data):
            break
        good = crc32c.crc32c(data[pos + 21 : end]) == values[4]
        batches.append(StoredBatch(*values, data[pos + HEADER.size : end], good))
        pos = end
    return batches


def decompress(codec: int, data: bytes) -> bytes:
    if codec == GZIP:
        return gzip.decompress(data)
    if codec == SNAPPY:
        if not data.startswith(XERIAL[:8]):
            return bytes(cramjam.snappy.decompress_raw(data))
        out, pos = b"", 16
        while pos < len(data):
            (size,) = struct.unpack_from(">i", data, pos)
            out += bytes(cramjam.snappy.decompress_raw(data[pos + 4 : pos + 4 + size]))
            pos += 4 + size
        return out
    if codec == LZ4:
        return lz4.frame.decompress(data)
    if codec == ZSTD:
        return zstandard.ZstdDecompressor().decompressobj().decompress(data)
    return data


def parse_records(stored: StoredBatch) -> list[tuple[int, int, bytes | None, bytes | None]]:
    """(offset, timestamp, key, value) of the records of a batch."""
    reader = schema.Reader(decompress(stored.attributes & 7, stored.body))
    out = []
    for _ in range(stored.count):
        size = reader.varint()
        end = reader.pos + size
        reader.take(1)
        timestamp = stored.base_timestamp + reader.varint()
        offset = stored.base_offset + reader.varint()
        blobs = []
        for _blob in range(2):
            length = reader.varint()
            blobs.append(None if length < 0 else reader.take(length))
        out.append((offset, timestamp, blobs[0], blobs[1]))
        reader.pos = end
    return out


# Requests that many tests send


def unique(prefix: str = "t") -> str:
    return f"{prefix}-{random.getrandbits(48):012x}"


def produce_values(
    topic: str | bytes,
    partitions: dict[int, bytes | None] | bytes | None,
    *,
    acks: int = -1,
    timeout: int = 10000,
    **extra: Any,
) -> dict[str, Any]:
    """The body of a produce to one topic: by name, or by id when `topic` is 16 bytes."""
    if not isinstance(partitions, dict):
        partitions = {0: partitions}
    name = {"topic_id": topic} if isinstance(topic, bytes) else {"name": topic}
    data = [{"index": index, "records": records} for index, records in partitions.items()]
    return {"acks": acks, "timeout": timeout, "topic_data": [{**name, "partition_data": data}], **extra}


def produce(
    address: str | Connection,
    topic: str | bytes,
    partitions: dict[int, bytes | None] | bytes | None,
    *,
    version: int = 9,
    **extra: Any,
) -> Any:
    """The answer for the first partition, or CLOSED or SILENT."""
    timeout = extra.pop("read_timeout", None)
    values = produce_values(topic, partitions, **extra)
    if isinstance(address, Connection):
        answer = address.call(PRODUCE, version, values, timeout=timeout)
    else:
        answer = call(address, PRODUCE, version, values, timeout=timeout or 10.0)
    if not isinstance(answer, dict):
        return answer
    return answer["responses"][0]["partition_responses"][0]


def fetch_values(
    topic: str | bytes,
    offset: int = 0,
    *,
    partition: int = 0,
    version: int = 12,
    max_wait: int = 0,
    min_bytes: int = 1,
    max_bytes: int = 50 << 20,
    partition_max_bytes: int = 1 << 20,
    isolation_level: int = 0,
    partition_extra: dict[str, Any] | None = None,
    **extra: Any,
) -> dict[str, Any]:
    data = {
        "partition": partition,
        "fetch_offset": offset,
        "partition_max_bytes": partition_max_bytes,
        **(partition_extra or {}),
    }
    name = {"topic_id": topic} if version >= 13 else {"topic": topic}
    return {
        "max_wait": max_wait,
        "min_bytes": min_bytes,
        "max_bytes": max_bytes,
        "isolation_level": isolation_level,
        "topics": [{**name, "partitions": [data]}],
        **({"replica_id": -1} if version <= 14 else {}),
        **extra,
    }


def fetch(
    address: str | Connection, topic: str | bytes, offset: int = 0, *, version: int = 12, **arguments: Any
) -> Any:
    """The answer for the one partition asked for."""
    values = fetch_values(topic, offset, version=version, **arguments)
    if isinstance(address, Connection):
        answer = address.call(FETCH, version, values)
    else:
        answer = call(address, FETCH, version, values)
    if not isinstance(answer, dict):
        return answer
    return answer["responses"][0]["partitions"][0]


def create_topic(
    address: str | Connection,
    name: str | None = None,
    *,
    partitions: int = 1,
    configs: dict[str, str] | None = None,
) -> tuple[str, bytes]:
    """A new topic that can be written to; its name and id."""
    name = unique() if name is None else name
    values = {
        "topics": [
            {
                "name": name,
                "num_partitions": partitions,
                "replication_factor": 1,
                "assignments": [],
                "configs": [{"name": key, "value": value} for key, value in (configs or {}).items()],
            }
        ],
        "timeout": 10000,
        "validate_only": False,
    }
    connection = address if isinstance(address, Connection) else Connection(address)
    try:
        (topic,) = connection.call(CREATE_TOPICS, 7, values)["topics"]
        assert topic["error_code"] == 0, topic
        wait_for_topic(connection, name, partitions)
    finally:
        if connection is not address:
            connection.close()
    return name, topic["topic_id"]


def wait_for_topic(connection: Connection, name: str, partitions: int = 1, timeout: float = 10.0) -> None:
    """Apache Kafka answers before its own log manager knows the partitions; ask until each has a leader."""
    deadline = time.monotonic() + timeout
    values = {"topics": [{"topic_id": ZERO_UUID, "name": name}], "allow_auto_topic_creation": False}
    while True:
        (topic,) = connection.call(METADATA, 12, values)["topics"]
        ready = [p for p in topic["partitions"] if p["error_code"] == 0]
        if topic["error_code"] == 0 and len(ready) >= partitions:
            offsets = {
                "replica_id": -1,
                "isolation_level": 0,
                "topics": [
                    {
                        "name": name,
                        "partitions": [
                            {"partition_index": p["partition_index"], "timestamp": -1} for p in ready
                        ],
                    }
                ],
            }
            (listed,) = connection.call(LIST_OFFSETS, 4, offsets)["topics"]
            if all(p["error_code"] == 0 for p in listed["partitions"]):
                return
        assert time.monotonic() < deadline, f"topic {name} is not there after {timeout} s"
        time.sleep(0.01)


def delete_topic(connection: Connection, name: str, timeout: float = 10.0) -> None:
    """Gone from the metadata when this returns, and from the reference's log manager as well as can be told."""
    answer = connection.call(DELETE_TOPICS, 4, {"topic_names": [name], "timeout": 10000})
    assert answer["responses"][0]["error_code"] == 0, answer
    deadline = time.monotonic() + timeout
    values = {"topics": [{"topic_id": ZERO_UUID, "name": name}], "allow_auto_topic_creation": False}
    while connection.call(METADATA, 12, values)["topics"][0]["error_code"] == 0:
        assert time.monotonic() < deadline, f"topic {name} is still there"
        time.sleep(0.01)
    time.sleep(0.05)


def high_watermark(address: str | Connection, topic: str, partition: int = 0) -> int:
    values = {
        "replica_id": -1,
        "isolation_level": 0,
        "topics": [{"name": topic, "partitions": [{"partition_index": partition, "timestamp": -1}]}],
    }
    answer = (
        address.call(LIST_OFFSETS, 4, values)
        if isinstance(address, Connection)
        else call(address, LIST_OFFSETS, 4, values)
    )
    (found,) = answer["topics"][0]["partitions"]
    assert found["error_code"] == 0, found
    return found["offset"]
