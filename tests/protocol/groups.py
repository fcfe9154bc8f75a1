"""Groups by hand: members that join, sync and leave as the tests say, over the raw client."""

from __future__ import annotations

import time
from typing import Any

from tests.protocol import raw, schema
from tests.protocol.raw import Connection

OFFSET_COMMIT, OFFSET_FETCH, JOIN_GROUP, HEARTBEAT, LEAVE_GROUP, SYNC_GROUP = 8, 9, 11, 12, 13, 14
DESCRIBE_GROUPS, LIST_GROUPS, DELETE_GROUPS, OFFSET_DELETE = 15, 16, 42, 47
LOADING = 14
RETRIABLE = (14, 15, 16)


def fitted(key: int, version: int, values: dict[str, Any]) -> dict[str, Any]:
    """The values that a version of a request has fields for: one request for all versions."""
    return _fitted(schema.request_schema(key, version), values)


def _fitted(struct: schema.Struct, values: dict[str, Any]) -> dict[str, Any]:
    found = {}
    for field in struct.fields:
        if field.name in values:
            value = values[field.name]
            if field.struct is not None and field.array and value is not None:
                value = [_fitted(field.struct, entry) for entry in value]
            found[field.name] = value
    return found


def call(connection: Connection, key: int, version: int, values: dict[str, Any]) -> Any:
    """The answer to a request of which only what the version knows is sent."""
    return connection.call(key, version, fitted(key, version, values))


def find_coordinator(connection: Connection, group: str, version: int = 4) -> dict[str, Any]:
    """The coordinator of a group, once there is one and it has loaded."""
    deadline = time.monotonic() + 30
    while True:
        answer = call(
            connection, raw.FIND_COORDINATOR, version, {"key_type": 0, "coordinator_keys": [group]}
        )["coordinators"][0]
        if answer["error_code"] == 0:
            described = call(connection, DESCRIBE_GROUPS, 5, {"groups": [group]})["groups"][0]
            if described["error_code"] not in RETRIABLE:
                return answer
        assert time.monotonic() < deadline, answer
        time.sleep(0.05)


def protocols(*names: str, metadata: bytes = b"m") -> list[dict[str, Any]]:
    return [{"name": name, "metadata": metadata} for name in names]


def subscription(*topics: str) -> bytes:
    """The metadata of a member of the classic consumer protocol, version 0."""
    out = (0).to_bytes(2, "big") + len(topics).to_bytes(4, "big")
    for topic in topics:
        out += len(topic).to_bytes(2, "big") + topic.encode()
    return out + (-1).to_bytes(4, "big", signed=True)


def join_request(
    group: str,
    member: str = "",
    *,
    instance: str | None = None,
    session: int = 10_000,
    rebalance: int = 10_000,
    kind: str = "consumer",
    offered: list[dict[str, Any]] | None = None,
) -> dict[str, Any]:
    return {
        "group_id": group,
        "session_timeout": session,
        "rebalance_timeout": rebalance,
        "member_id": member,
        "group_instance_id": instance,
        "protocol_type": kind,
        "protocols": protocols("range") if offered is None else offered,
        "reason": None,
    }


def sync_request(
    group: str,
    generation: int,
    member: str,
    assignments: dict[str, bytes] | None = None,
    *,
    instance: str | None = None,
    kind: str | None = "consumer",
    name: str | None = "range",
) -> dict[str, Any]:
    return {
        "group_id": group,
        "generation_id": generation,
        "member_id": member,
        "group_instance_id": instance,
        "protocol_type": kind,
        "protocol_name": name,
        "assignments": [
            {"member_id": to, "assignment": content} for to, content in (assignments or {}).items()
        ],
    }


class Member:
    """One member with a connection of its own, so that its JoinGroup may wait."""

    def __init__(self, address: str, group: str, version: int = 9, **options: Any) -> None:
        self.connection = Connection(address, timeout=30)
        self.group = group
        self.version = version
        self.options = options
        self.instance = options.get("instance")
        self.member_id = ""
        self.generation = -1
        self.leader = ""
        self.members: list[str] = []
        self.answer: dict[str, Any] = {}
        self._waiting = 0

    def close(self) -> None:
        self.connection.close()

    def start_join(self, **changes: Any) -> None:
        """Send JoinGroup, with a member id (asked for first where that is needed)."""
        options = {**self.options, **changes}
        if not self.member_id and self.version >= 4 and self.instance is None:
            answer = call(self.connection, JOIN_GROUP, self.version, join_request(self.group, **options))
            assert answer["error_code"] == 79, answer
            self.member_id = answer["member_id"]
        request = join_request(self.group, self.member_id, **options)
        self._waiting = self.connection.send(
            JOIN_GROUP, self.version, fitted(JOIN_GROUP, self.version, request)
        )

    def end_join(self) -> dict[str, Any]:
        """The answer to `start_join`."""
        answer = self.answer = self.connection.receive(JOIN_GROUP, self.version, self._waiting)
        if not answer["error_code"]:
            self.member_id = answer["member_id"]
            self.generation = answer["generation_id"]
            self.leader = answer["leader"]
            self.members = [member["member_id"] for member in answer["members"]]
        return answer

    def join(self, **changes: Any) -> dict[str, Any]:
        self.start_join(**changes)
        answer = self.end_join()
        assert answer["error_code"] == 0, answer
        return answer

    def start_sync(self, assignments: dict[str, bytes] | None = None) -> None:
        request = sync_request(
            self.group, self.generation, self.member_id, assignments, instance=self.instance
        )
        request["protocol_type"] = self.options.get("kind", "consumer")
        request["protocol_name"] = self.answer["protocol_name"]
        self._waiting = self.connection.send(SYNC_GROUP, 5, request)

    def end_sync(self) -> dict[str, Any]:
        return self.connection.receive(SYNC_GROUP, 5, self._waiting)

    def sync(self, assignments: dict[str, bytes] | None = None) -> bytes:
        """The own assignment."""
        self.start_sync(assignments)
        answer = self.end_sync()
        assert answer["error_code"] == 0, answer
        return answer["assignment"]

    def heartbeat(self, version: int = 4) -> int:
        return call(
            self.connection,
            HEARTBEAT,
            version,
            {
                "group_id": self.group,
                "generation_id": self.generation,
                "member_id": self.member_id,
                "group_instance_id": self.instance,
            },
        )["error_code"]

    def leave(self) -> None:
        answer = call(
            self.connection,
            LEAVE_GROUP,
            5,
            {
                "group_id": self.group,
                "members": [{"member_id": self.member_id, "group_instance_id": None, "reason": "test"}],
            },
        )
        assert answer["error_code"] == 0, answer


def alone(address: str, group: str, **options: Any) -> Member:
    """A stable group of one member."""
    member = Member(address, group, **options)
    member.join()
    member.sync({member.member_id: b"mine"})
    return member


def commit_request(
    group: str,
    topic: str,
    *offsets: int,
    member: str = "",
    generation: int = -1,
    metadata: str | None = "",
    topic_id: bytes = raw.ZERO_UUID,
    instance: str | None = None,
    first: int = 0,
) -> dict[str, Any]:
    return {
        "group_id": group,
        "generation_id_or_member_epoch": generation,
        "member_id": member,
        "group_instance_id": instance,
        "retention_time": -1,
        "topics": [
            {
                "name": topic,
                "topic_id": topic_id,
                "partitions": [
                    {
                        "partition_index": index,
                        "committed_offset": offset,
                        "committed_leader_epoch": 0,
                        "commit_timestamp": -1,
                        "committed_metadata": metadata,
                    }
                    for index, offset in enumerate(offsets, first)
                ],
            }
        ],
    }


def commit(
    connection: Connection, group: str, topic: str, *offsets: int, version: int = 9, **options: Any
) -> list[int]:
    """The error codes of a commit of offsets to partitions 0, 1, ..."""
    answer = call(connection, OFFSET_COMMIT, version, commit_request(group, topic, *offsets, **options))
    return [partition["error_code"] for found in answer["topics"] for partition in found["partitions"]]


def fetch_request(
    group: str, topics: dict[str, list[int]] | None, *, stable: bool = False, **member: Any
) -> dict[str, Any]:
    """OffsetFetch v8-v9."""
    return {
        "groups": [
            {
                "group_id": group,
                "member_id": member.get("member_id"),
                "member_epoch": member.get("member_epoch", -1),
                "topics": None
                if topics is None
                else [
                    {"name": name, "topic_id": raw.ZERO_UUID, "partition_indexes": indexes}
                    for name, indexes in topics.items()
                ],
            }
        ],
        "require_stable": stable,
    }


def committed(
    connection: Connection, group: str, topics: dict[str, list[int]] | None, version: int = 9
) -> dict[str, dict[int, int]]:
    """Topic -> partition -> offset, without errors."""
    (answer,) = call(connection, OFFSET_FETCH, version, fetch_request(group, topics))["groups"]
    assert answer["error_code"] == 0, answer
    found: dict[str, dict[int, int]] = {}
    for topic in answer["topics"]:
        for partition in topic["partitions"]:
            assert partition["error_code"] == 0, answer
            found.setdefault(topic["name"], {})[partition["partition_index"]] = partition["committed_offset"]
    return found
