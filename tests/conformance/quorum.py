"""The differential test of the controller's listener: the requests of the metadata quorum, and those that brokers and
controllers send, to Apache Kafka and to pybroker, each alone in its quorum.

    python -m tests.conformance.quorum --requests N --seed S [--self] [--write-docs]

In: the addresses of two controllers, a seed. Out: a `Report`. What must hold: both get requests that mean the same:
what differs from node to node (cluster and directory id, epochs, offsets, topic ids) stands in a request as `Of`, and
in an answer becomes a symbol again. Brokers 6 to 9 and controllers from 3000 on exist only in these requests. A
request that ends the leadership is followed by the next one when both nodes lead again.
"""

from __future__ import annotations

import argparse
import datetime
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from pybroker.metadata.features import SUPPORTED_FEATURES
from pybroker.wire.api_keys import CONTROLLER_ADVERTISED
from tests.conformance import docs
from tests.conformance.normal import differences, is_message
from tests.processes import KafkaProcess, PybrokerProcess, Server, free_port
from tests.protocol import schema
from tests.protocol.raw import ZERO_UUID, Connection

FETCH, API_VERSIONS, CREATE_TOPICS = 1, 18, 19
VOTE, BEGIN, END, DESCRIBE = 52, 53, 54, 55
ALTER_PARTITION, UPDATE_FEATURES, FETCH_SNAPSHOT, DESCRIBE_CLUSTER = 56, 57, 59, 60
REGISTER, HEARTBEAT, UNREGISTER, ALLOCATE, REGISTER_CONTROLLER, ASSIGN = 62, 63, 64, 67, 70, 73
ADD, REMOVE, UPDATE = 80, 81, 82

VERSIONS: dict[int, range] = {
    FETCH: range(4, 19),
    API_VERSIONS: range(5),
    VOTE: range(3),
    BEGIN: range(2),
    END: range(2),
    DESCRIBE: range(3),
    ALTER_PARTITION: range(2, 4),
    UPDATE_FEATURES: range(3),
    FETCH_SNAPSHOT: range(2),
    DESCRIBE_CLUSTER: range(1, 3),
    REGISTER: range(5),
    HEARTBEAT: range(3),
    UNREGISTER: range(1),
    ALLOCATE: range(1),
    REGISTER_CONTROLLER: range(1),
    ASSIGN: range(1),
    ADD: range(2),
    REMOVE: range(1),
    UPDATE: range(1),
}
_BUILT = {row.key for row in CONTROLLER_ADVERTISED}
NODE_ID = 1
METADATA = "__cluster_metadata"
METADATA_ID = bytes(15) + b"\1"
# Brokers that exist only here. The first one holds no replica and is removed now and then, the last one leaves.
FAKES = (6, 7, 8, 9)
GONE, LEAVING = 6, 9
_NOT_READY = "is not ready to receive requests"
UNKNOWN, NOT_CONTROLLER = -1, 41
PROPERTIES = {
    "broker.session.timeout.ms": "3600000",
    # Nothing is written to the metadata log but what the requests bring about.
    "metadata.max.idle.interval.ms": "0",
}
FEATURES = (
    ("metadata.version", 7, 30),
    ("kraft.version", 0, 1),
    ("eligible.leader.replicas.version", 0, 1),
    ("transaction.version", 0, 2),
    ("group.version", 0, 1),
    ("share.version", 0, 1),
    ("streams.version", 0, 1),
)


class Of(NamedTuple):
    """A value of the node that gets the request: `epoch`, `end`, `cluster`, `directory`, `broker` and `topic`."""

    kind: str
    plus: int = 0
    name: object = None


class Step(NamedTuple):
    key: int
    version: int
    values: dict[str, Any]


class Peer:
    """One controller."""

    def __init__(self, address: str, cluster_id: str) -> None:
        self.connection = Connection(address, timeout=15.0)
        self.cluster_id = cluster_id
        self.directory = ZERO_UUID
        self.epoch = self.end = 0
        self.brokers: dict[object, int] = {}
        self.topics: dict[str, bytes] = {}

    def look(self) -> bool:
        """Learn epoch and end of the log; False while this node does not lead or its controller is not active."""
        topics = [{"topic_name": METADATA, "partitions": [{"partition_index": 0}]}]
        found = self.connection.call(DESCRIBE, 2, {"topics": topics})["topics"][0]["partitions"][0]
        if found["error_code"]:
            return False
        beat = {"broker_id": 99, "broker_epoch": 0, "current_metadata_offset": 0}
        if self.connection.call(HEARTBEAT, 0, beat)["error_code"] == NOT_CONTROLLER:
            return False
        voter = found["current_voters"][0]
        self.directory = voter["replica_directory_id"]
        self.epoch, self.end = found["leader_epoch"], voter["log_end_offset"]
        return bool(found["high_watermark"] == self.end)

    def await_leadership(self) -> None:
        deadline = time.monotonic() + 30
        while not self.look():
            assert time.monotonic() < deadline, f"{self.connection.address} does not lead again"
            time.sleep(0.02)

    def value(self, value: Any) -> Any:
        if isinstance(value, Of):
            return self._of(value)
        if isinstance(value, dict):
            return {name: self.value(item) for name, item in value.items()}
        if isinstance(value, list):
            return [self.value(item) for item in value]
        return value

    def _of(self, of: Of) -> Any:
        if of.kind == "cluster":
            return self.cluster_id
        if of.kind == "directory":
            return self.directory
        if of.kind == "topic":
            return self.topics.get(str(of.name), bytes([250]) * 16)
        if of.kind == "broker":
            return self.brokers.get(of.name, 3) + of.plus
        return max(getattr(self, of.kind) + of.plus, 0)

    def send(self, step: Step) -> Any:
        values = _fitting(schema.request_schema(step.key, step.version), self.value(step.values))
        answer = self.connection.call(step.key, step.version, values)
        for _ in range(100):
            if step.key != ADD or not str(answer["error_message"]).endswith(_NOT_READY):
                break
            # The reference keeps a pause after a connection that failed.
            time.sleep(0.05)
            answer = self.connection.call(step.key, step.version, values)
        if not isinstance(answer, dict):
            # Closed or silent: the next request needs another connection.
            self.connection.close()
            self.connection = Connection(self.connection.address, timeout=15.0)
        return answer

    def learn(self, step: Step, answer: Any) -> None:
        if step.key == REGISTER and isinstance(answer, dict) and answer["error_code"] == 0:
            self.brokers[step.values["broker_id"]] = answer["broker_epoch"]

    # Answers

    def plain(self, key: int, answer: Any) -> Any:
        return self._plain(key, "", answer) if isinstance(answer, dict) else repr(answer)

    def _plain(self, key: int, name: str, value: Any) -> Any:
        if isinstance(value, dict):
            return {field: self._plain(key, field, item) for field, item in value.items()}
        if isinstance(value, list):
            items = [self._plain(key, name, item) for item in value]
            if name == "api_keys":
                items = [item for item in items if item["api_key"] in _BUILT]
            if name in ("supported_features", "finalized_features"):
                items = [item for item in items if item["name"] in SUPPORTED_FEATURES]
            if name in (
                "supported_features",
                "finalized_features",
                "api_keys",
                "nodes",
                "brokers",
                "observers",
            ):
                items.sort(key=repr)
            return items
        if isinstance(value, bytes):
            if name in ("records", "unaligned_records"):
                return "<records>" if value else "<none>"
            if value == self.directory:
                return "<directory>"
            named = [topic for topic, topic_id in self.topics.items() if topic_id == value]
            return f"<id of {named[0]}>" if named else value.hex()
        if isinstance(value, str):
            for own, symbol in ((self.cluster_id, "<cluster>"), (_base64(self.directory), "<directory>")):
                value = value.replace(own, symbol)
            return value
        if name in ("port", "finalized_features_epoch", "producer_id_start"):
            return value if value in (-1, 0) else f"<{name}>"
        if name.endswith("_timestamp"):
            return value if value == -1 else "<time>"
        if name in ("log_end_offset", "end_offset") and value != self.end:
            # What an observer has asked for, or where an epoch ends: an offset of that time.
            return "<offset>" if value >= 0 else value
        if name in ("high_watermark", "log_end_offset", "end_offset") and value == self.end:
            return "<end>"
        if name in ("leader_epoch", "epoch") and key in (
            FETCH,
            VOTE,
            BEGIN,
            END,
            DESCRIBE,
            FETCH_SNAPSHOT,
            UPDATE,
        ):
            return value if value in (-1, 0) else f"<epoch {value - self.epoch:+}>"
        if name == "broker_epoch":
            return value if value == -1 else "<broker epoch>"
        return value


def _base64(value: bytes) -> str:
    from pybroker.log.partition_log import encode_uuid

    return encode_uuid(value)


def _fitting(struct: schema.Struct, values: dict[str, Any]) -> dict[str, Any]:
    """Only the fields that this version has."""
    fitting = {}
    for field in struct.fields:
        if field.name not in values:
            continue
        value = values[field.name]
        if field.struct is not None and isinstance(value, list):
            value = [_fitting(field.struct, item) for item in value]
        elif field.struct is not None and isinstance(value, dict):
            value = _fitting(field.struct, value)
        fitting[field.name] = value
    return fitting


class Generator:
    """Requests, good ones and such with one or two things wrong."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(f"quorum {seed}")
        self.controllers = 3000

    def chance(self, share: float) -> bool:
        return self.rng.random() < share

    def one_of(self, good: Any, *bad: Any, share: float = 0.2) -> Any:
        return self.rng.choice(bad) if bad and self.chance(share) else good

    def step(self) -> Step:
        keys = list(_MAKERS)
        key = self.rng.choices(keys, [_WEIGHTS.get(key, 3) for key in keys])[0]
        return Step(key, self.rng.choice(VERSIONS[key]), _MAKERS[key](self))

    def cluster(self) -> Any:
        return self.one_of(Of("cluster"), None, "", "another", share=0.15)

    def epoch(self, *, later: bool = False) -> Any:
        bad = [Of("epoch", -1), 0, -1, *([Of("epoch", 1), Of("epoch", 5)] if later else [])]
        return self.one_of(Of("epoch"), *bad)

    def directory(self) -> Any:
        return self.one_of(Of("directory"), ZERO_UUID, bytes([9]) * 16)

    def topics(
        self, partition: dict[str, Any], label: str = "topic_name", index: str = "partition_index"
    ) -> Any:
        """The list with the one partition; sometimes with another one, none, or two."""
        name = self.one_of(METADATA, "other", "", share=0.06)
        own = {**partition, index: self.one_of(0, 1, -1, share=0.06)}
        partitions = self.one_of([own], [], [own, own], share=0.05)
        topic = {label: name, "topic": name, "topic_id": METADATA_ID, "partitions": partitions}
        if name != METADATA:
            topic["topic_id"] = self.rng.choice((ZERO_UUID, bytes([8]) * 16))
        return self.one_of([topic], [], [topic, topic], share=0.05)

    # The quorum

    def vote(self) -> dict[str, Any]:
        pre_vote = self.chance(0.6)
        # A vote of a later epoch ends the leadership for a moment, so there are few.
        later = pre_vote or self.chance(0.1)
        partition = {
            "replica_epoch": self.epoch(later=later),
            # Its own id in a vote of a later epoch ends the reference's process.
            "replica_id": self.one_of(2, -1, 7, *([NODE_ID] if pre_vote else [])),
            "replica_directory_id": self.one_of(bytes([2]) * 16, ZERO_UUID),
            "voter_directory_id": self.directory(),
            "last_offset_epoch": self.one_of(Of("epoch", -1), Of("epoch"), Of("epoch", 1), 0, -1, share=0.4),
            "last_offset": self.one_of(Of("end"), 0, -1, Of("end", 100)),
            "pre_vote": pre_vote,
        }
        return {
            "cluster_id": self.cluster(),
            "voter_id": self.one_of(NODE_ID, -1, 2),
            "topics": self.topics(partition),
        }

    def begin(self) -> dict[str, Any]:
        partition = {
            "voter_directory_id": self.directory(),
            "leader_id": self.one_of(NODE_ID, -1),
            "leader_epoch": self.epoch(),
        }
        return {
            "cluster_id": self.cluster(),
            "voter_id": self.one_of(NODE_ID, -1, 2),
            "topics": self.topics(partition),
            "leader_endpoints": self.one_of(
                [], [{"name": "CONTROLLER", "host": "localhost", "port": 9}], share=0.5
            ),
        }

    def end(self) -> dict[str, Any]:
        candidate = {"candidate_id": self.one_of(NODE_ID, 2), "candidate_directory_id": self.directory()}
        partition = {
            "leader_id": self.one_of(NODE_ID, -1),
            "leader_epoch": self.epoch(),
            "preferred_successors": self.one_of([NODE_ID], [], [2, NODE_ID]),
            "preferred_candidates": self.one_of([candidate], []),
        }
        return {
            "cluster_id": self.cluster(),
            "topics": self.topics(partition),
            "leader_endpoints": self.one_of(
                [], [{"name": "CONTROLLER", "host": "localhost", "port": 9}], share=0.5
            ),
        }

    def describe(self) -> dict[str, Any]:
        return {"topics": self.topics({})}

    def fetch(self) -> dict[str, Any]:
        partition = {
            "current_leader_epoch": self.epoch(later=True),
            "fetch_offset": self.one_of(Of("end"), 0, 1, 3, Of("end", -1), Of("end", 50), -1, share=0.6),
            "last_fetched_epoch": self.one_of(Of("epoch"), 0, 1, -1, Of("epoch", 1), share=0.4),
            "log_start_offset": 0,
            "partition_max_bytes": self.one_of(0, 1000),
            "replica_directory_id": self.one_of(bytes([2]) * 16, ZERO_UUID, Of("directory")),
            "high_watermark": self.one_of(9223372036854775807, Of("end"), 0, -1),
        }
        replica = self.one_of(-1, 2, 7, NODE_ID, share=0.6)
        return {
            "cluster_id": self.cluster(),
            "replica_id": replica,
            "replica_state": {"replica_id": replica, "replica_epoch": -1},
            "max_wait": self.one_of(0, 20, -1, share=0.3),
            "min_bytes": self.one_of(0, 1),
            "max_bytes": self.one_of(1 << 20, 0, 1),
            "topics": self.topics(partition, "topic", "partition"),
            "rack_id": "",
        }

    def fetch_snapshot(self) -> dict[str, Any]:
        snapshot = self.one_of(
            {"end_offset": 0, "epoch": 0},
            {"end_offset": Of("end"), "epoch": Of("epoch")},
            {"end_offset": 5, "epoch": 1},
            {"end_offset": -1, "epoch": -1},
            share=0.7,
        )
        partition = {
            "current_leader_epoch": self.epoch(later=True),
            "snapshot_id": snapshot,
            "position": self.one_of(0, 10, -1, 1 << 40),
            "replica_directory_id": self.one_of(bytes([2]) * 16, ZERO_UUID),
        }
        topics = self.topics(partition, "name", "partition")
        if not topics or not topics[0]["partitions"]:
            # Ends the reference's process (CVE-2026-83525).
            topics = [{"name": METADATA, "partitions": [{**partition, "partition": 0}]}]
        return {
            "cluster_id": self.cluster(),
            "replica_id": self.one_of(2, -1, NODE_ID),
            "max_bytes": self.one_of(1 << 20, 0, -1),
            "topics": topics,
        }

    # Listeners with port 0 or an unknown protocol are left out below: the reference's controller resigns.

    def listeners(self) -> list[dict[str, Any]]:
        """Nobody listens at this port."""
        good = {"name": "CONTROLLER", "host": "127.0.0.1", "port": 1}
        return list(self.one_of([good], [], [{**good, "name": "OTHER"}], [good, {**good, "name": "OTHER"}]))

    def add_voter(self) -> dict[str, Any]:
        return {
            "cluster_id": self.cluster(),
            "timeout": 1000,
            "voter_id": self.one_of(2, NODE_ID, -1, share=0.6),
            "voter_directory_id": self.one_of(bytes([2]) * 16, ZERO_UUID, Of("directory"), share=0.5),
            "listeners": self.listeners(),
            "ack_when_committed": self.chance(0.5),
        }

    def remove_voter(self) -> dict[str, Any]:
        return {
            "cluster_id": self.cluster(),
            "voter_id": self.one_of(2, -1, 9, share=0.5),
            "voter_directory_id": self.one_of(bytes([2]) * 16, ZERO_UUID, Of("directory"), share=0.5),
        }

    def update_voter(self) -> dict[str, Any]:
        return {
            "cluster_id": self.cluster(),
            "current_leader_epoch": self.epoch(later=True),
            "voter_id": self.one_of(2, -1, 9),
            "voter_directory_id": self.one_of(bytes([2]) * 16, ZERO_UUID, Of("directory"), share=0.5),
            "listeners": self.listeners(),
            "k_raft_version_feature": {
                "min_supported_version": self.one_of(0, 1, 2, -1),
                "max_supported_version": self.one_of(1, 0, 2, -1),
            },
        }

    # Brokers and controllers

    def features(self) -> list[dict[str, Any]]:
        features = {name: [low, high] for name, low, high in FEATURES}
        if self.chance(0.3):
            # The last two are finalized by the reference alone.
            name = self.rng.choice([name for name, _, _ in FEATURES[:5]])
            change = self.rng.randrange(5)
            if change == 0:
                del features[name]
            elif change == 1:
                features[name] = [0, 0]
            elif change == 2:
                features[name][1] -= 1
            elif change == 3:
                features[name] = [features[name][1] + 1, features[name][1] + 3]
            else:
                features["unknown.version"] = [self.rng.choice((0, 1)), 2]
        return [
            {"name": name, "min_supported_version": low, "max_supported_version": high}
            for name, (low, high) in features.items()
        ]

    def fake(self) -> Any:
        return self.rng.choice(FAKES)

    def register(self) -> dict[str, Any]:
        broker_id = self.fake()
        own = [bytes([broker_id, number]) * 8 for number in (1, 2)]
        directories = self.one_of(
            own,
            own[:1],
            [],
            [own[0], own[0]],
            [bytes(15) + b"\5"],
            [ZERO_UUID],
            [bytes([FAKES[0], 1]) * 8, own[1]],
            share=0.3,
        )
        listener = {"name": "PLAINTEXT", "host": "nowhere", "port": 9, "security_protocol": 0}
        return {
            "broker_id": self.one_of(broker_id, -1, NODE_ID, share=0.08),
            "cluster_id": self.one_of(Of("cluster"), "another", "", share=0.1),
            # One that was told to shut down has no session here, in the reference it has (ADR 17).
            "incarnation_id": bytes([broker_id, 1 if broker_id == LEAVING else self.rng.choice((1, 1, 1, 2))])
            * 8,
            "listeners": self.one_of([listener], [], [listener, {**listener, "name": "SECOND"}], share=0.1),
            "features": self.features(),
            "rack": self.one_of(None, "r1", "", share=0.4),
            "is_migrating_zk_broker": self.chance(0.03),
            "log_dirs": directories,
            "previous_broker_epoch": self.one_of(-1, Of("broker", 0, broker_id), 3, share=0.4),
        }

    def broker_epoch(self, broker_id: int) -> Any:
        own = Of("broker", 0, broker_id)
        return self.one_of(own, Of("broker", 1, broker_id), Of("broker", -1, broker_id), -1, 0, share=0.2)

    def heartbeat(self) -> dict[str, Any]:
        broker_id = self.fake()
        cordoned = self.one_of(None, [], [bytes([broker_id, 1]) * 8], [bytes([77]) * 16], share=0.2)
        return {
            "broker_id": self.one_of(broker_id, 55, -1, share=0.1),
            "broker_epoch": self.broker_epoch(broker_id),
            "current_metadata_offset": self.one_of(Of("end", 10), 0, -1, share=0.2),
            "want_fence": self.chance(0.2),
            "want_shut_down": broker_id == LEAVING and self.chance(0.2),
            "offline_log_dirs": self.one_of([], [bytes([broker_id, 2]) * 8], [bytes([77]) * 16], share=0.1),
            "cordoned_log_dirs": cordoned,
        }

    def unregister(self) -> dict[str, Any]:
        return {"broker_id": self.one_of(GONE, 55, -1, share=0.4)}

    def allocate(self) -> dict[str, Any]:
        broker_id = self.fake()
        return {
            "broker_id": self.one_of(broker_id, 55, -1, share=0.15),
            "broker_epoch": self.broker_epoch(broker_id),
        }

    def register_controller(self) -> dict[str, Any]:
        listener = {"name": "CONTROLLER", "host": "nowhere", "port": 9, "security_protocol": 0}
        return {
            "controller_id": self.one_of(3000, 3001, -1, share=0.3),
            "incarnation_id": self.rng.choice((b"\1", b"\2")) * 16,
            "zk_migration_ready": self.chance(0.1),
            "listeners": self.one_of([listener], [], [listener, {**listener, "name": "SECOND"}], share=0.1),
            "features": self.features(),
        }

    def topic_id(self) -> Any:
        return self.one_of(
            Of("topic", 0, "quorum-one"),
            Of("topic", 0, "quorum-three"),
            ZERO_UUID,
            bytes([88]) * 16,
            share=0.5,
        )

    def alter_partition(self) -> dict[str, Any]:
        broker_id = self.fake()
        members = self.rng.sample(FAKES, self.rng.choice((0, 1, 2, 3, 3)))
        in_sync = [
            {"broker_id": member, "broker_epoch": self.one_of(Of("broker", 0, member), -1, 2)}
            for member in members
        ]
        partition = {
            "partition_index": self.one_of(0, 1, 5, -1),
            "leader_epoch": self.one_of(0, 1, 2, -1, 100, share=0.5),
            "new_isr_with_epochs": in_sync,
            "leader_recovery_state": self.one_of(0, 1, 2, -1, share=0.1),
            "partition_epoch": self.one_of(0, 1, 2, 3, 100, share=0.6),
        }
        return {
            "broker_id": self.one_of(broker_id, 55, share=0.1),
            "broker_epoch": self.broker_epoch(broker_id),
            "topics": self.one_of(
                [
                    {
                        "topic_id": self.topic_id(),
                        "partitions": self.one_of([partition], [], share=0.1),
                    }
                ],
                [],
                share=0.05,
            ),
        }

    def assign(self) -> dict[str, Any]:
        broker_id = self.fake()
        directory = self.one_of(
            bytes([broker_id, 1]) * 8,
            bytes([broker_id, 2]) * 8,
            ZERO_UUID,
            bytes([66]) * 16,
            *(bytes(15) + bytes([reserved]) for reserved in (1, 2, 3)),
            share=0.5,
        )
        partitions = [{"partition_index": self.one_of(0, 1, 7, -1)}]
        topics = [{"topic_id": self.topic_id(), "partitions": self.one_of(partitions, [], share=0.1)}]
        return {
            "broker_id": self.one_of(broker_id, 55, share=0.1),
            "broker_epoch": self.broker_epoch(broker_id),
            "directories": self.one_of([{"id_": directory, "topics": topics}], [], share=0.05),
        }

    def update_features(self) -> dict[str, Any]:
        def one() -> dict[str, Any]:
            name, _, high = self.rng.choice(FEATURES[:5])
            return {
                "feature": self.one_of(name, "unknown.version", "", share=0.1),
                "max_version_level": self.rng.choice((high, high, high - 1, high + 1, 0, 1, -1)),
                "allow_downgrade": self.chance(0.5),
                "upgrade_type": self.rng.choice((1, 1, 2, 3, 0, 9)),
            }

        return {
            "timeout": 5000,
            "feature_updates": [one() for _ in range(self.rng.choice((1, 1, 1, 2, 0)))],
            # Nothing that lasts: the levels decide what all the others answer.
            "validate_only": True,
        }

    def api_versions(self) -> dict[str, Any]:
        return {
            "client_software_name": self.one_of("test", "", "with space"),
            "client_software_version": self.one_of("1.0", "", "-"),
        }

    def describe_cluster(self) -> dict[str, Any]:
        return {
            "include_cluster_authorized_operations": self.chance(0.2),
            "endpoint_type": self.one_of(2, 1, 0, 3, -1, share=0.4),
            "include_fenced_brokers": self.chance(0.5),
        }


_MAKERS = {
    VOTE: Generator.vote,
    BEGIN: Generator.begin,
    END: Generator.end,
    DESCRIBE: Generator.describe,
    FETCH: Generator.fetch,
    FETCH_SNAPSHOT: Generator.fetch_snapshot,
    ADD: Generator.add_voter,
    REMOVE: Generator.remove_voter,
    UPDATE: Generator.update_voter,
    REGISTER: Generator.register,
    HEARTBEAT: Generator.heartbeat,
    UNREGISTER: Generator.unregister,
    ALLOCATE: Generator.allocate,
    REGISTER_CONTROLLER: Generator.register_controller,
    ALTER_PARTITION: Generator.alter_partition,
    ASSIGN: Generator.assign,
    UPDATE_FEATURES: Generator.update_features,
    API_VERSIONS: Generator.api_versions,
    DESCRIBE_CLUSTER: Generator.describe_cluster,
}
_WEIGHTS = {REGISTER: 6, HEARTBEAT: 6, ALTER_PARTITION: 6, FETCH: 5, VOTE: 4, UNREGISTER: 1, API_VERSIONS: 1}


class Difference(NamedTuple):
    number: int
    step: Step
    found: list[tuple[str, Any, Any]]

    @property
    def signature(self) -> str:
        parts = sorted({f"{path}: {a!r} != {b!r}"[:200] for path, a, b in self.found if not is_message(path)})
        return f"key {self.step.key} {parts[:3] or 'messages'}"


class Report:
    def __init__(self) -> None:
        self.requests: Counter[int] = Counter()
        self.equal: Counter[int] = Counter()
        self.messages: Counter[int] = Counter()
        self.refused: Counter[int] = Counter()
        """Requests that the reference answers with an error."""
        self.failed: Counter[int] = Counter()
        """Requests that the reference fails on by itself."""
        self.found: list[Difference] = []

    def table(self) -> str:
        lines = [
            "| API | versions | requests | with an error | reference fails | equal | equal but for texts | score |",
            "|---|---|---|---|---|---|---|---|",
        ]
        keys = sorted(VERSIONS)
        rows = [
            (f"{key} {schema.API_NAMES[key]}", f"{VERSIONS[key].start}-{VERSIONS[key].stop - 1}", (key,))
            for key in keys
        ]
        for name, span, counted in [*rows, ("all", "", tuple(keys))]:
            columns = (self.requests, self.refused, self.failed, self.equal, self.messages)
            requests, refused, failed, equal, messages = (sum(c[key] for key in counted) for c in columns)
            comparable = requests - failed
            score = f"{100 * equal / comparable:.1f} %" if comparable else "-"
            cells = (name, span, requests, refused, failed, equal, equal + messages, score)
            lines.append(f"| {' | '.join(map(str, cells))} |")
        return "\n".join(lines)


def _prepare(peers: list[Peer]) -> None:
    """The brokers registered and unfenced, and two topics with replicas there."""
    for peer in peers:
        generator = Generator(0)
        generator.chance = lambda share: False  # type: ignore[method-assign]
        peer.await_leadership()
        for broker_id in FAKES:
            generator.fake = lambda broker_id=broker_id: broker_id  # type: ignore[method-assign]
            for key, maker in ((REGISTER, generator.register), (HEARTBEAT, generator.heartbeat)):
                step = Step(key, VERSIONS[key].stop - 1, maker())
                answer = peer.send(step)
                assert answer["error_code"] == 0, answer
                peer.learn(step, answer)
                peer.await_leadership()
        for name, replicas in (("quorum-one", [7]), ("quorum-three", [8, 9, 7])):
            topic = {
                "name": name,
                "num_partitions": -1,
                "replication_factor": -1,
                "assignments": [{"partition_index": index, "broker_ids": replicas} for index in range(2)],
            }
            answer = peer.connection.call(CREATE_TOPICS, 7, {"topics": [topic], "timeout": 10_000})
            assert answer["topics"][0]["error_code"] == 0, answer
            peer.topics[name] = answer["topics"][0]["topic_id"]
        peer.await_leadership()


def _has_error(answer: Any) -> bool:
    if isinstance(answer, dict):
        return bool(answer.get("error_code")) or any(map(_has_error, answer.values()))
    return isinstance(answer, list) and any(map(_has_error, answer))


def _fails(step: Step, answer: Any) -> bool:
    """Apache Kafka cannot encode its answer to a FetchSnapshot that it refuses (its records are null)."""
    return step.key == FETCH_SNAPSHOT and isinstance(answer, dict) and answer["error_code"] == UNKNOWN


def run(reference: Peer, other: Peer, requests: int, seed: int, log: Any = None) -> Report:
    report, generator, peers = Report(), Generator(seed), [reference, other]
    _prepare(peers)
    for number in range(requests):
        step = generator.step()
        answers = []
        for peer in peers:
            peer.await_leadership()
            answers.append(peer.send(step))
            peer.learn(step, answers[-1])
        if log is not None:
            log(number, step, answers)
        report.requests[step.key] += 1
        report.refused[step.key] += _has_error(answers[0])
        if _fails(step, answers[0]):
            report.failed[step.key] += 1
            assert _has_error(answers[1]), (step, answers)
            continue
        first, second = (peer.plain(step.key, answer) for peer, answer in zip(peers, answers, strict=True))
        found = differences(first, second)
        if not found:
            report.equal[step.key] += 1
            continue
        if all(is_message(path) for path, _, _ in found):
            report.messages[step.key] += 1
        report.found.append(Difference(number, step, found))
    return report


def start(
    kind: type[Server], directory: Path, properties: Mapping[str, str] = PROPERTIES
) -> tuple[Server, Peer]:
    """A node of its own, and its controller's listener."""
    if kind is KafkaProcess:
        server: Server = KafkaProcess(directory, properties)
        controller = server.properties["controller.quorum.bootstrap.servers"]  # type: ignore[attr-defined]
    else:
        port, controller = free_port(), f"127.0.0.1:{free_port()}"
        listeners = {"listeners": f"PLAINTEXT://127.0.0.1:{port},CONTROLLER://{controller}"}
        server = PybrokerProcess(directory, {**properties, **listeners}, port=port)
    assert server.data_dir is not None
    lines = (server.data_dir / "meta.properties").read_text().splitlines()
    cluster_id = next(line.partition("=")[2] for line in lines if line.startswith("cluster.id="))
    return server, Peer(controller, cluster_id)


def write(report: Report, seed: int) -> None:
    today = datetime.datetime.now(tz=datetime.UTC).date().isoformat()
    requests = sum(report.requests.values())
    lines = [
        f"{requests} generated requests, seed {seed}, {today}, Apache Kafka 4.3.0.",
        "",
        report.table(),
        "",
    ]
    lines.append(f"{len(report.found)} differences." if report.found else "No difference.")
    docs.replace(("<!-- quorum score begins -->", "<!-- quorum score ends -->"), lines)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.conformance.quorum")
    parser.add_argument("--requests", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--self", dest="itself", action="store_true", help="Apache Kafka against itself")
    parser.add_argument("--examples", type=int, default=1)
    parser.add_argument("--write-docs", action="store_true", help="write the table to docs/conformance.md")
    options = parser.parse_args(arguments)
    servers: list[Server] = []
    peers: list[Peer] = []
    with tempfile.TemporaryDirectory(prefix="quorum-") as directory:
        try:
            for index, kind in enumerate((KafkaProcess, KafkaProcess if options.itself else PybrokerProcess)):
                server, peer = start(kind, Path(directory) / str(index))
                servers.append(server)
                peers.append(peer)
            report = run(*peers, options.requests, options.seed)
        finally:
            for server in servers:
                server.kill()
    print(report.table())
    if options.write_docs:
        write(report, options.seed)
    groups: dict[str, list[Difference]] = {}
    for difference in report.found:
        groups.setdefault(difference.signature, []).append(difference)
    for signature, group in sorted(groups.items(), key=lambda item: -len(item[1])):
        print(f"{len(group)} x {signature}")
        for difference in group[: options.examples]:
            print(f"  #{difference.number} v{difference.step.version} {difference.step.values}")
            for path, first, second in difference.found[:5]:
                print(f"      {path}: {first!r} != {second!r}")
    return 1 if report.found else 0


if __name__ == "__main__":
    sys.exit(main())
