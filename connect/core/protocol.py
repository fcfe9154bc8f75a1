"""What workers tell each other through the group: subscriptions and assignments, versions 0 to 2.

In: bytes from JoinGroup and SyncGroup, or what to write into them. Out: `Subscription` and `Assignment`.
What must hold: byte for byte a Java worker's form; foreign bytes end in ProtocolError, whatever they are.

    header        int16 version
    subscription  string url | int64 config offset | (v1, v2) nullable bytes: current assignment, with header
    assignment    int16 error | string leader | string leader url | int64 config offset | [connector, [task]]
                  | (v1, v2) [connector, [task]] revoked | int32 delay

Task -1 is the connector itself. In v1 and v2 an assignment holds what is new and what is revoked, not
everything.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from connect.api.errors import ConnectError
from connect.core.config_state import TaskId

EAGER: Final = 0
COMPATIBLE: Final = 1
SESSIONED: Final = 2
# As offered in JoinGroup, best first.
PROTOCOL_NAMES: Final = {SESSIONED: "sessioned", COMPATIBLE: "compatible", EAGER: "default"}
VERSIONS: Final = {name: version for version, name in PROTOCOL_NAMES.items()}

NO_ERROR: Final = 0
CONFIG_MISMATCH: Final = 1
_CONNECTOR: Final = -1


class ProtocolError(ConnectError):
    """The bytes are no message of this protocol."""


@dataclass(frozen=True)
class Assignment:
    leader: str = ""
    leader_url: str = ""
    config_offset: int = -1
    connectors: tuple[str, ...] = ()
    tasks: tuple[TaskId, ...] = ()
    revoked_connectors: tuple[str, ...] = ()
    revoked_tasks: tuple[TaskId, ...] = ()
    delay_ms: int = 0
    error: int = NO_ERROR


@dataclass(frozen=True)
class Subscription:
    url: str
    config_offset: int
    current: Assignment | None = field(default=None)


def encode_subscription(value: Subscription, version: int) -> bytes:
    out = [struct.pack(">h", version), _string(value.url), struct.pack(">q", value.config_offset)]
    if version > EAGER:
        if value.current is None:
            out.append(struct.pack(">i", -1))
        else:
            current = encode_assignment(value.current, version)
            out += [struct.pack(">i", len(current)), current]
    return b"".join(out)


def decode_subscription(data: bytes | memoryview) -> Subscription:
    reader = _Reader(bytes(data))
    version = reader.version()
    url, offset = reader.string(), reader.int64()
    current = None
    if version > EAGER:
        nested = reader.nullable_bytes()
        current = decode_assignment(nested) if nested else None
    return Subscription(url, offset, current)


def encode_assignment(value: Assignment, version: int) -> bytes:
    out = [
        struct.pack(">hh", version, value.error),
        _string(value.leader),
        _string(value.leader_url),
        struct.pack(">q", value.config_offset),
        _group(value.connectors, value.tasks),
    ]
    if version > EAGER:
        out += [_group(value.revoked_connectors, value.revoked_tasks), struct.pack(">i", value.delay_ms)]
    return b"".join(out)


def decode_assignment(data: bytes | memoryview) -> Assignment:
    reader = _Reader(bytes(data))
    version = reader.version()
    error, leader, url, offset = reader.int16(), reader.string(), reader.string(), reader.int64()
    connectors, tasks = reader.group()
    if version == EAGER:
        return Assignment(leader, url, offset, connectors, tasks, error=error)
    revoked_connectors, revoked_tasks = reader.group()
    delay = reader.int32()
    return Assignment(leader, url, offset, connectors, tasks, revoked_connectors, revoked_tasks, delay, error)


def _string(text: str) -> bytes:
    encoded = text.encode()
    return struct.pack(">h", len(encoded)) + encoded


def _group(connectors: Iterable[str], tasks: Iterable[TaskId]) -> bytes:
    by_connector: dict[str, list[int]] = {name: [_CONNECTOR] for name in connectors}
    for task in tasks:
        by_connector.setdefault(task.connector, []).append(task.task)
    out = [struct.pack(">i", len(by_connector))]
    for name, numbers in by_connector.items():
        out += [_string(name), struct.pack(f">i{len(numbers)}i", len(numbers), *numbers)]
    return b"".join(out)


class _Reader:
    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def _take(self, form: str) -> int:
        try:
            (value,) = struct.unpack_from(form, self._data, self._at)
        except struct.error:
            raise ProtocolError(f"Group metadata of {len(self._data)} bytes ends too early") from None
        self._at += struct.calcsize(form)
        return int(value)

    def int16(self) -> int:
        return self._take(">h")

    def int32(self) -> int:
        return self._take(">i")

    def int64(self) -> int:
        return self._take(">q")

    def version(self) -> int:
        version = self.int16()
        if version < EAGER:
            raise ProtocolError(f"Unsupported subscription version: {version}")
        # Newer versions add to the end, which is not read.
        return min(version, SESSIONED)

    def string(self) -> str:
        length = self.int16()
        return self._bytes(length).decode("utf-8", "replace")

    def nullable_bytes(self) -> bytes | None:
        length = self.int32()
        return None if length < 0 else self._bytes(length)

    def _bytes(self, length: int) -> bytes:
        if length < 0 or self._at + length > len(self._data):
            raise ProtocolError(f"Length {length} at {self._at} of {len(self._data)} bytes")
        value = self._data[self._at : self._at + length]
        self._at += length
        return value

    def group(self) -> tuple[tuple[str, ...], tuple[TaskId, ...]]:
        connectors: list[str] = []
        tasks: list[TaskId] = []
        for _ in range(self._count(6)):
            name = self.string()
            for _ in range(self._count(4)):
                number = self.int32()
                if number == _CONNECTOR:
                    connectors.append(name)
                else:
                    tasks.append(TaskId(name, number))
        return tuple(connectors), tuple(tasks)

    def _count(self, smallest: int) -> int:
        count = self.int32()
        # Java writes a null array as -1.
        if count > (len(self._data) - self._at) // smallest:
            raise ProtocolError(f"{count} entries do not fit {len(self._data)} bytes")
        return max(count, 0)
