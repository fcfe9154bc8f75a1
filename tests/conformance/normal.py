"""Makes the answers of two nodes comparable, and compares them.

In: a decoded answer and the `Names` of the node that gave it. Out: a nested structure without what
legitimately differs from node to node. What must hold: Apache Kafka against itself compares equal, and
nothing else is left out than this:

- topic, producer, session, member and telemetry instance ids become symbols; the cluster id, hosts, ports,
  directories, free and total disk space, the epoch of the finalized features and moments of the broker's
  clock become placeholders;
- several entries of one topic in a Produce or Fetch answer (the reference groups neighbours only) become one;
- the order of topics, partitions, groups, members, transactions, resources, configs and features (hash order in
  the reference), except where
  a cursor depends on it (DescribeTopicPartitions), and of synonyms, record errors and replicas, which is
  compared;
- documentation strings of configs: only whether there is one; the values of configs that name addresses,
  directories and controllers (`DEPLOYMENT`), names that begin with `pybroker.`;
- in ApiVersions the keys and features that this project has not built yet;
- in the groups of the new protocol, where a member's id was drawn by the node, how many partitions a member has
  instead of which: assignors go by the order of ids;
- of the aborted transactions in a Fetch answer those that begin above its last stable offset: they have no records
  in it (the reference looks them up to the end of the segment);
- compressed bytes that the broker made itself (topics whose `compression.type` is a codec): their records are
  compared, their sizes are not.
"""

from __future__ import annotations

import re
import time
from typing import Any

from pybroker.metadata.features import SUPPORTED_FEATURES
from pybroker.wire.api_keys import ADVERTISED
from tests.conformance.symbols import Names, id_text
from tests.protocol import raw
from tests.protocol.raw import (
    API_VERSIONS,
    CONSUMER_GROUP_DESCRIBE,
    CONSUMER_GROUP_HEARTBEAT,
    DESCRIBE_CONFIGS,
    DESCRIBE_LOG_DIRS,
    DESCRIBE_TOPIC_PARTITIONS,
    FETCH,
    PRODUCE,
)

ADVERTISED_KEYS = {row.key for row in ADVERTISED}

DEPLOYMENT = {
    "advertised.listeners",
    "broker.id",
    "controller.listener.names",
    "controller.quorum.bootstrap.servers",
    "controller.quorum.voters",
    "inter.broker.listener.name",
    "listener.security.protocol.map",
    "listeners",
    "log.dir",
    "log.dirs",
    "metadata.log.dir",
    "node.id",
    "process.roles",
    "security.inter.broker.protocol",
}

# Topics whose batches the broker compresses itself have this prefix.
RECOMPRESSED = "rc-"

_PLACEHOLDERS = {
    "host": "<host>",
    "port": "<port>",
    "cluster_id": "<cluster>",
    "log_dir": "<directory>",
    "total_bytes": "<bytes>",
    "usable_bytes": "<bytes>",
    "finalized_features_epoch": "<epoch>",
    "subscription_id": "<subscription>",
}
_UNORDERED = {
    "api_keys": ("api_key",),
    "supported_features": ("name",),
    "finalized_features": ("name",),
    "topics": ("name", "topic", "topic_id"),
    "responses": ("name", "topic", "topic_id", "resource_name"),
    "results": ("resource_name", "name", "log_dir", "group_id", "topic_name"),
    "configs": ("name",),
    "config_resources": ("resource_type", "resource_name"),
    "partitions": ("partition_index", "partition"),
    "partition_responses": ("index",),
    "brokers": ("node_id", "broker_id"),
    "node_endpoints": ("node_id",),
    "groups": ("group_id", "group"),
    "members": ("member_id",),
    "topic_partitions": ("topic_id",),
    "replica_election_results": ("topic",),
    "results_by_topic_v3_and_below": ("name",),
    "results_by_partition": ("partition_index",),
    "results_by_transaction": ("transactional_id",),
    "topic_results": ("name",),
    "transaction_states": ("transactional_id",),
    "active_producers": ("producer_id",),
    "markers": ("producer_id",),
}
# Bytes that are what a request gave, not ids.
_CONTENTS = ("metadata", "assignment", "member_metadata", "member_assignment")
_DRAWN_ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_NAME_SET = re.compile(r"\[([a-z][\w.]+(?:, [a-z][\w.]+)+)\]")
_MOMENT = re.compile(r"-?\b\d{13,19}\b")


class Normalizer:
    """One node's answers. `sent_times` are the timestamps that requests carried: they are compared as they
    are.
    """

    def __init__(self, names: Names, address: str, sent_times: set[int]) -> None:
        self.names = names
        self.address = address
        self.sent_times = sent_times
        # Groups with members whose ids the node drew.
        self.drawn: set[str] = set()

    def moment(self, value: int) -> object:
        if value in self.sent_times or abs(value - time.time() * 1000) > 3_600_000:
            return value
        return "<now>"

    def text(self, name: str, value: str) -> str:
        for (topic, number), topic_id in self.names.topics.items():
            value = value.replace(id_text(topic_id), f"<id {number} of {topic}>")
        value = value.replace(self.address, "<address>")
        for number, member in enumerate(self.names.members):
            if member in value:
                value = value.replace(member, f"<member {number}>")
        # Members whose own answer is still to come.
        value = _DRAWN_ID.sub("<uuid>", value)
        if not is_message(name):
            return value
        # Sets of names, in the order of their hashes.
        value = _NAME_SET.sub(lambda m: f"[{', '.join(sorted(m[1].split(', ')))}]", value)
        return _MOMENT.sub(lambda m: m.group() if int(m.group()) in self.sent_times else "<time>", value)

    def answer(self, key: int, answer: Any, group: object = None) -> Any:
        """`group`: the one that the request was about, where the answer does not say."""
        if not isinstance(answer, dict):
            return repr(answer)
        if key == CONSUMER_GROUP_HEARTBEAT and group in self.drawn:
            answer = _counted(answer)
        elif key == CONSUMER_GROUP_DESCRIBE:
            groups = [_counted(g) if g["group_id"] in self.drawn else g for g in answer["groups"]]
            answer = {**answer, "groups": groups}
        elif key == DESCRIBE_LOG_DIRS and not self.names.directories:
            answer = {**answer, "results": _in_one(answer["results"])}
        return self._value(key, "", answer, None)

    def _leaf(self, key: int, name: str, value: Any, topic: str | None) -> Any:
        if name == "log_dir" and value in self.names.directories:
            return f"<directory {self.names.directories.index(value)}>"
        if name in _PLACEHOLDERS:
            # The reference has null, empty or -1 where it has nothing to say.
            return value if value in (None, "", -1) else _PLACEHOLDERS[name]
        if isinstance(value, bytes):
            if name in _CONTENTS:
                return value.hex()
            if name == "records":
                return self.batches(value, topic)
            if name == "client_instance_id":
                return "<instance>" if any(value) else "<zero>"
            if not any(value):
                return "<zero>"
            symbol = self.names.topic_symbol(value)
            if symbol is None:
                # Made-up ids of requests repeat one byte; any other is one that the broker drew.
                symbol = f"<uuid {value.hex()}>" if len(set(value)) == 1 else "<uuid>"
            return symbol
        if isinstance(value, str):
            return self.text(name, value)
        if name == "producer_id" and value in self.names.producers:
            return f"<producer {self.names.producers.index(value)}>"
        if name == "session_id" and value in self.names.sessions:
            return f"<session {self.names.sessions.index(value)}>"
        if name in ("log_append_time", "timestamp", "last_timestamp", "transaction_start_time"):
            return self.moment(value)
        if name == "partition_size" and topic is not None and topic.startswith(RECOMPRESSED):
            return "<size>"
        return value

    def _value(self, key: int, name: str, value: Any, topic: str | None) -> Any:
        if isinstance(value, dict):
            for label in ("name", "topic"):
                if isinstance(value.get(label), str) and "partitions" in value:
                    topic = value[label]
            if topic is None and isinstance(value.get("topic_id"), bytes):
                symbol = self.names.topic_symbol(value["topic_id"])
                topic = symbol.partition(" of ")[2].rstrip(">") if symbol else None
            if key == DESCRIBE_CONFIGS and name == "configs":
                return self.config(value)
            if value.get("aborted_transactions"):
                stable = value["last_stable_offset"]
                kept = [e for e in value["aborted_transactions"] if e["first_offset"] < stable]
                value = {**value, "aborted_transactions": kept}
            return {field: self._value(key, field, item, topic) for field, item in value.items()}
        if isinstance(value, list):
            items = [self._value(key, name, item, topic) for item in value]
            if key in (PRODUCE, FETCH) and name == "responses":
                items = _merged(items)
            if key == API_VERSIONS and name == "api_keys":
                items = [item for item in items if item["api_key"] in ADVERTISED_KEYS]
            if key == API_VERSIONS and name in ("supported_features", "finalized_features"):
                items = [item for item in items if item["name"] in SUPPORTED_FEATURES]
            if key == DESCRIBE_CONFIGS and name == "configs":
                items = [item for item in items if not item["name"].startswith("pybroker.")]
            if name == "partitions" and all(type(item) is int for item in items):
                items.sort()
            labels = _UNORDERED.get(name)
            if labels and key != DESCRIBE_TOPIC_PARTITIONS:
                items.sort(
                    key=lambda item: (
                        [repr(item.get(label)) for label in labels] if isinstance(item, dict) else []
                    )
                )
            return items
        return self._leaf(key, name, value, topic)

    def config(self, value: dict[str, Any]) -> dict[str, Any]:
        value = dict(value)
        if value.get("documentation"):
            value["documentation"] = "<text>"
        if value["name"] in DEPLOYMENT:
            return {
                "name": value["name"],
                "read_only": value["read_only"],
                "config_type": value.get("config_type"),
            }
        return {
            field: [dict(item) for item in content] if field == "synonyms" else content
            for field, content in value.items()
        }

    def batches(self, data: bytes, topic: str | None) -> Any:
        recompressed = topic is not None and topic.startswith(RECOMPRESSED)
        out: list[Any] = []
        used = 0
        for stored in raw.parse_batches(data):
            used += 12 + stored.length
            header = {
                "base_offset": stored.base_offset,
                "leader_epoch": stored.leader_epoch,
                "attributes": stored.attributes,
                "crc_good": stored.crc_good,
                "last_offset_delta": stored.last_offset_delta,
                "base_timestamp": self.moment(stored.base_timestamp),
                "max_timestamp": self.moment(stored.max_timestamp),
                "producer_id": self._leaf(FETCH, "producer_id", stored.producer_id, None),
                "producer_epoch": stored.producer_epoch,
                "base_sequence": stored.base_sequence,
                "count": stored.count,
            }
            if recompressed:
                records = raw.parse_records(stored)
                header["records"] = [[o, self.moment(t), repr(k), repr(v)] for o, t, k, v in records]
            else:
                header["body"] = stored.body.hex()
            out.append(header)
        if recompressed:
            return out
        return [*out, f"<{len(data) - used} bytes of a batch>"] if used < len(data) else out


def _counted(value: Any) -> Any:
    """With the number of partitions in place of their list."""
    if isinstance(value, list):
        return [_counted(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {name: len(item) if name == "partitions" else _counted(item) for name, item in value.items()}


def _in_one(results: list[Any]) -> list[Any]:
    """All replicas as if they were in the first directory: where new ones go depends on the order they are made in."""
    topics: dict[str, Any] = {}
    for result in results:
        for topic in result["topics"]:
            known = topics.setdefault(topic["name"], {**topic, "partitions": []})
            known["partitions"] += topic["partitions"]
    return [
        {**result, "topics": list(topics.values()) if index == 0 else []}
        for index, result in enumerate(results)
    ]


def _merged(topics: list[Any]) -> list[Any]:
    """One entry for each topic."""
    merged: dict[str, Any] = {}
    for topic in topics:
        label = repr([value for value in topic.values() if not isinstance(value, list)])
        if label not in merged:
            merged[label] = topic
            continue
        for name, value in topic.items():
            if isinstance(value, list):
                merged[label][name] = sorted(merged[label][name] + value, key=_index)
    return list(merged.values())


def _index(partition: dict[str, Any]) -> int:
    return partition.get("index", partition.get("partition_index", 0))


def differences(first: Any, second: Any, path: str = "") -> list[tuple[str, Any, Any]]:
    """(path, first, second) for every leaf that differs; a missing one is `<absent>`."""
    if isinstance(first, dict) and isinstance(second, dict):
        found = []
        for name in {**first, **second}:
            found += differences(
                first.get(name, "<absent>"), second.get(name, "<absent>"), f"{path}.{name}".lstrip(".")
            )
        return found
    if isinstance(first, list) and isinstance(second, list):
        found = []
        if _labelled(first) and _labelled(second):
            left, right = ({item["name"]: item for item in items} for items in (first, second))
            for name in {**left, **right}:
                found += differences(
                    left.get(name, "<absent>"), right.get(name, "<absent>"), f"{path}[{name}]"
                )
            return found
        if len(first) != len(second):
            return [(f"{path}.length", len(first), len(second))]
        for index, (left, right) in enumerate(zip(first, second, strict=True)):
            found += differences(left, right, f"{path}[{index}]")
        return found
    return [] if first == second and type(first) is type(second) else [(path, first, second)]


def _labelled(items: list[Any]) -> bool:
    names = [item.get("name") for item in items if isinstance(item, dict)]
    return (
        len(names) == len(items) > 0
        and None not in names
        and len(set(names)) == len(names)
        and "value" in items[0]
    )


def is_message(path: str) -> bool:
    return path.endswith("error_message")
