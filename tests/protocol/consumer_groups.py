"""Consumer groups by hand: heartbeats as the tests say, over the raw client, and the records they leave."""

from __future__ import annotations

import time
from typing import Any

from pybroker.coordinator.partitioning import partition_for
from pybroker.records.batch import CONTROL_BIT
from pybroker.wire.schemas.coordinator_records import decode_key, decode_value, record_type
from tests.protocol import raw
from tests.protocol.groups import call, find_coordinator
from tests.protocol.raw import Connection

HEARTBEAT, DESCRIBE = 68, 69
INCREMENTAL_ALTER_CONFIGS, DESCRIBE_CONFIGS = 44, 32
GROUP_RESOURCE = 32
OFFSETS_TOPIC = "__consumer_offsets"


def beat(connection: Connection, group: str, member: str, epoch: int, version: int = 1, **fields: Any) -> Any:
    """The answer to one heartbeat. `owned`: topic id to partitions; None: not said."""
    owned = fields.pop("owned", None)
    request = {
        "group_id": group,
        "member_id": member,
        "member_epoch": epoch,
        "instance_id": None,
        "rack_id": None,
        "rebalance_timeout": -1,
        "subscribed_topic_names": fields.pop("topics", None),
        "subscribed_topic_regex": fields.pop("regex", None),
        "server_assignor": fields.pop("assignor", None),
        "topic_partitions": None
        if owned is None
        else [{"topic_id": topic, "partitions": partitions} for topic, partitions in owned.items()],
        **fields,
    }
    return call(connection, HEARTBEAT, version, request)


def join(connection: Connection, group: str, member: str, topics: list[str] | None, **fields: Any) -> Any:
    fields.setdefault("rebalance_timeout", 60_000)
    return beat(connection, group, member, 0, topics=topics, owned={}, **fields)


def assigned(answer: Any) -> dict[bytes, list[int]] | None:
    """Topic id to partitions; None when the answer has no assignment."""
    assignment = answer["assignment"]
    if assignment is None:
        return None
    return {entry["topic_id"]: sorted(entry["partitions"]) for entry in assignment["topic_partitions"]}


class Consumer:
    """A member that does as it is told with every heartbeat."""

    def __init__(self, connection: Connection, group: str, member: str, **fields: Any) -> None:
        self.connection = connection
        self.group = group
        self.member = member
        self.fields = {"rebalance_timeout": 60_000, **fields}
        self.epoch = 0
        self.owned: dict[bytes, list[int]] = {}

    def beat(self) -> Any:
        answer = beat(self.connection, self.group, self.member, self.epoch, owned=self.owned, **self.fields)
        assert answer["error_code"] == 0, answer
        self.epoch = answer["member_epoch"]
        given = assigned(answer)
        if given is not None:
            self.owned = given
        return answer


def settle(*consumers: Consumer) -> None:
    """Let all of them send heartbeats until nothing moves any more."""
    deadline = time.monotonic() + 30
    quiet = 0
    while quiet < 3:
        before = [(consumer.epoch, dict(consumer.owned)) for consumer in consumers]
        for consumer in consumers:
            consumer.beat()
        moved = before != [(consumer.epoch, dict(consumer.owned)) for consumer in consumers]
        quiet = 0 if moved else quiet + 1
        assert time.monotonic() < deadline, before


def set_group_config(connection: Connection, group: str, **configs: str) -> list[int]:
    """Error codes of an incremental change of a group's settings."""
    answer = call(
        connection,
        INCREMENTAL_ALTER_CONFIGS,
        1,
        {
            "resources": [
                {
                    "resource_type": GROUP_RESOURCE,
                    "resource_name": group,
                    "configs": [
                        {"name": name.replace("_", "."), "config_operation": 0, "value": value}
                        for name, value in configs.items()
                    ],
                }
            ],
            "validate_only": False,
        },
    )
    return [entry["error_code"] for entry in answer["responses"]]


def new_group(connection: Connection, **configs: str) -> str:
    """A group id whose coordinator is up, without a pause between assignments."""
    group = raw.unique("cg")
    find_coordinator(connection, group)
    assert set_group_config(connection, group, consumer_assignment_interval_ms="0", **configs) == [0]
    return group


def describe(connection: Connection, group: str, version: int = 1) -> Any:
    (found,) = call(
        connection, DESCRIBE, version, {"group_ids": [group], "include_authorized_operations": False}
    )["groups"]
    return found


def records(connection: Connection, group: str) -> list[tuple[int, Any, Any]]:
    """(type, key, value or None) of the group's records in the internal topic, in their order."""
    values = {
        "topics": [{"topic_id": raw.ZERO_UUID, "name": OFFSETS_TOPIC}],
        "allow_auto_topic_creation": False,
    }
    (topic,) = connection.call(raw.METADATA, 12, values)["topics"]
    partition = partition_for(group, len(topic["partitions"]))
    found = []
    offset = 0
    while True:
        answer = raw.fetch(connection, OFFSETS_TOPIC, offset, partition=partition)
        assert answer["error_code"] == 0, answer
        batches = raw.parse_batches(answer["records"] or b"")
        if not batches:
            return found
        for stored in batches:
            if stored.attributes & CONTROL_BIT:
                # The end of another test's transaction that shares the partition.
                continue
            for _, _, key, value in raw.parse_records(stored):
                decoded = decode_key(key) if key is not None else None
                if decoded is None or group not in (
                    getattr(decoded, "group_id", None),
                    getattr(decoded, "group", None),
                ):
                    continue
                number = record_type(key)
                found.append((number, decoded, None if value is None else decode_value(number, value)))
        offset = batches[-1].end_offset


def types(found: list[tuple[int, Any, Any]]) -> list[int]:
    """Record types, negative for tombstones."""
    return [number if value is not None else -number for number, _, value in found]
