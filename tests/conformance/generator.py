"""Makes requests, good and bad, for every key and version served, from a seed.

In: a seed, and the reference's answers (to know which topics there are). Out: `Step`s. What must hold: the
same seed and the same answers give the same steps; nothing is generated whose answer depends on chance or on
the time of day.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from pybroker.wire.api_keys import API_TABLE
from tests.conformance.normal import RECOMPRESSED
from tests.conformance.symbols import ProducerId, Records, SessionId, TopicId
from tests.protocol import schema
from tests.protocol.raw import Batch, compress, record

KEYS = (0, 1, 2, 3, 18, 19, 20, 21, 22, 23, 32, 33, 35, 37, 43, 44, 45, 46, 57, 60, 64, 71, 72, 74, 75)
# Key: versions. Metadata is not asked for more often than others although clients do.
ALL_VERSIONS = {row.key: range(row.min_version, row.max_version + 1) for row in API_TABLE}
VERSIONS = {key: ALL_VERSIONS[key] for key in KEYS}
WEIGHTS = {0: 5, 1: 5, 2: 2, 3: 2, 19: 2, 32: 2, 44: 2, 23: 1}
NODE_ID = 1

UNKNOWN_ID = b"\x07" * 16
ILLEGAL_NAMES = ["", ".", "..", "a/b", "a b", "x" * 250, "ü"]
UNKNOWN_NAMES = ["not-there", "x" * 249, "not.there_either"]


@dataclass
class Topic:
    name: str
    partitions: int
    number: int = 0  # how many topics of this name came before
    fixed: bool = False
    ends: dict[int, int] = field(default_factory=dict)
    # Partitions whose first records were deleted.
    trimmed: set[int] = field(default_factory=set)

    @property
    def id(self) -> TopicId:
        return TopicId(self.name, self.number)


@dataclass
class Step:
    key: int
    version: int
    values: dict[str, Any]
    # What is done to the frame: "" nothing, "cut", "trailing", "tags", "version", "null" (a null where none
    # may be).
    damage: str = ""
    parameter: int = 0
    # The connection it is sent on.
    actor: int = 0

    @property
    def silent(self) -> bool:
        """No answer is due: produce with acks 0."""
        return self.key == 0 and self.values.get("acks") == 0 and self.damage in ("", "trailing", "tags")


def prune(struct: schema.Struct, values: dict[str, Any]) -> dict[str, Any]:
    """Leaves out the fields that this version does not have."""
    known = {f.name: f for f in struct.fields}
    out = {}
    for name, value in values.items():
        found = known.get(name)
        if found is None:
            continue
        if found.struct and isinstance(value, list):
            value = [prune(found.struct, item) if isinstance(item, dict) else item for item in value]
        elif found.struct and isinstance(value, dict):
            value = prune(found.struct, value)
        out[name] = value
    return out


TOPIC_CONFIGS = {
    "retention.ms": ["-1", "864000000000", "soon", "-2", "", None, " 864000000000 "],
    "retention.bytes": ["-1", "1000000000", "x"],
    "max.message.bytes": ["1000", "0", "-1", "2147483648"],
    "cleanup.policy": ["delete", "compact", "compact,delete", "delete,compact", "none", "", "delete,delete"],
    "compression.type": ["producer", "uncompressed", "brotli", "none", ""],
    "message.timestamp.type": ["CreateTime", "LogAppendTime", "createtime", ""],
    "segment.bytes": ["1048576", "1048575", "1", "99999999999"],
    "segment.ms": ["864000000", "0", "-1"],
    "min.insync.replicas": ["1", "2", "0"],
    "flush.messages": ["1000", "0", "9223372036854775807", "9223372036854775808"],
    "index.interval.bytes": ["0", "4096", "-1"],
    "preallocate": ["true", "false", "TRUE", "yes"],
    "unclean.leader.election.enable": ["false", "true", "1"],
    "min.cleanable.dirty.ratio": ["0.5", "1", "1.01", "x"],
    "leader.replication.throttled.replicas": ["*", "0:1,1:1", "none", "x"],
    "remote.storage.enable": ["false", "true"],
    "delete.retention.ms": ["1", "-1"],
    "min.compaction.lag.ms": ["9223372036854775807", "-1"],
    "message.timestamp.before.max.ms": ["9223372036854775807", "-1"],
    "local.retention.ms": ["-2", "5", "-3"],
    "compression.gzip.level": ["-1", "9", "0", "10"],
    "compression.zstd.level": ["3", "22", "23"],
    "no.such.config": ["1"],
    "message.format.version": ["3.0"],
}
BROKER_CONFIGS = {
    "log.segment.delete.delay.ms": ["60000", "-1", "x"],
    "background.threads": ["10", "0", "1000", "6"],
    "num.io.threads": ["8", "12", "1000", "1"],
    "message.max.bytes": ["1048588", "2000000", "-1"],
    "node.id": ["5"],
    "log.dirs": ["/elsewhere"],
    "log.cleaner.threads": ["1", "2", "0"],
    "log.flush.interval.messages": ["5000", "0"],
    "compression.type": ["producer", "brotli"],
    "max.connections": ["1000", "-1"],
    "some.plugin.name": ["x"],
    "min.insync.replicas": ["1"],
    "log.retention.ms": ["-1", "soon"],
    "auto.create.topics.enable": ["false"],
    "log.message.timestamp.type": ["CreateTime", "nonsense"],
}
GROUP_CONFIGS = {
    "consumer.session.timeout.ms": ["45000", "50000", "1", "x"],
    "consumer.heartbeat.interval.ms": ["5000", "1"],
    "share.record.lock.duration.ms": ["30000", "1"],
    "no.such.config": ["1"],
}
METRICS_CONFIGS = {
    "interval.ms": ["30000", "1", "x"],
    "metrics": ["org.apache.kafka.", "*"],
    "match": ["client_id=a.*", "nonsense"],
    "no.such.config": ["1"],
}
TOPIC, BROKER, CLIENT_METRICS, GROUP = 2, 4, 16, 32
FEATURES = {
    "eligible.leader.replicas.version": 1,
    "group.version": 1,
    "kraft.version": 1,
    "metadata.version": 30,
    "transaction.version": 2,
}
"""What a new cluster finalizes."""


class Generator:
    def __init__(self, seed: int, now_ms: int) -> None:
        self.random = random.Random(seed)
        self.now = now_ms
        self.topics: dict[str, Topic] = {}
        self.created: dict[str, int] = {}
        self.producers = 0
        self.sequences: dict[tuple[int, str, int], int] = {}
        self.sessions: list[int] = []  # the epoch that each expects next
        self.sent_times: set[int] = set()
        self.counter = 0
        # (name, type, value) of every config that the reference describes.
        self.learned_topic: list[tuple[str, int, str | None]] = []
        self.learned_broker: list[tuple[str, int, str | None]] = []
        self._pool: list[tuple[int, int]] = []
        self._builders: dict[int, Callable[[int], dict[str, Any]]] = {
            0: self.produce,
            1: self.fetch,
            2: self.list_offsets,
            3: self.metadata,
            18: self.api_versions,
            19: self.create_topics,
            20: self.delete_topics,
            21: self.delete_records,
            22: self.init_producer_id,
            23: self.offset_for_leader_epoch,
            32: self.describe_configs,
            33: self.alter_configs,
            35: self.describe_log_dirs,
            37: self.create_partitions,
            43: self.elect_leaders,
            44: self.incremental_alter_configs,
            45: self.alter_reassignments,
            46: self.list_reassignments,
            57: self.update_features,
            60: self.describe_cluster,
            64: self.unregister_broker,
            71: self.telemetry_subscriptions,
            72: self.push_telemetry,
            74: self.list_config_resources,
            75: self.describe_topic_partitions,
        }

    # Choices

    def chance(self, probability: float) -> bool:
        return self.random.random() < probability

    def pick(self, *options: Any) -> Any:
        return self.random.choice(options)

    def mostly(self, usual: Any, *others: Any, probability: float = 0.8) -> Any:
        return usual if self.chance(probability) else self.random.choice(others)

    def topic(self) -> Topic:
        return self.random.choice(list(self.topics.values()))

    def topic_name(self) -> str:
        if self.chance(0.85):
            return self.topic().name
        return self.random.choice(ILLEGAL_NAMES + UNKNOWN_NAMES)

    def fresh_name(self) -> str:
        self.counter += 1
        return f"d{self.counter}"

    def partition(self, topic: str) -> int:
        known = self.topics.get(topic)
        return self.mostly(
            self.random.randrange(max(known.partitions, 1) if known else 1),
            7,
            -1,
            2**31 - 1,
            probability=0.93,
        )

    def several(self, make: Callable[[], Any], most: int = 3) -> list[Any]:
        return [make() for _ in range(self.random.choice([1, 1, 1, 2, most]))]

    def distinct_names(self, most: int = 3) -> list[str]:
        names = self.several(self.topic_name, most)
        return names if self.chance(0.1) else list(dict.fromkeys(names))

    def topic_reference(self, name: str) -> dict[str, Any]:
        """A topic by all the names that versions know it by; `prune` keeps the right one."""
        known = self.topics.get(name)
        topic_id: Any = known.id if known else self.pick(UNKNOWN_ID, bytes(16))
        return {"name": name, "topic": name, "topic_id": topic_id}

    # Steps

    def next_step(self) -> Step:
        if not self._pool:
            # Every key and version comes once a round; the weighted ones more often.
            for key, versions in VERSIONS.items():
                self._pool += [(key, v) for v in versions for _ in range(WEIGHTS.get(key, 1))]
            self.random.shuffle(self._pool)
        key, version = self._pool.pop()
        return self.spoiled(key, version, self._builders[key](version))

    def spoiled(self, key: int, version: int, given: dict[str, Any]) -> Step:
        """The request, with something wrong in one of nine."""
        struct = schema.request_schema(key, version)
        values = prune(struct, given)
        step = Step(key, version, values)
        fate = self.random.random()
        if fate < 0.03:
            step.damage, step.parameter = "cut", self.random.randrange(1, 1000)
        elif fate < 0.05:
            step.damage = "trailing"
        elif fate < 0.07 and struct.flexible:
            step.damage = "tags"
            values.pop("replica_state", None)  # A tag itself, so the body would not end in an empty section.
        elif fate < 0.08:
            step.damage = "version"
            served = ALL_VERSIONS[key]
            step.parameter = self.pick(served.stop, -1, 99, served.start - 1)
            if step.parameter in served:
                step.parameter = 99
        elif fate < 0.11:
            self.spoil(struct, values)
        return step

    def spoil(self, struct: schema.Struct, values: dict[str, Any]) -> None:
        """One field gets an extreme value, or null where none may be."""
        places: list[tuple[dict[str, Any], schema.Field]] = []

        def collect(struct: schema.Struct, values: dict[str, Any]) -> None:
            for item in struct.fields:
                value = values.get(item.name)
                if item.struct and isinstance(value, list):
                    for element in value:
                        collect(item.struct, element)
                if item.name in (
                    "records",
                    "max_wait",
                    "acks",
                    "transactional_id",
                    "metrics",
                    "name",
                    "topic",
                    "session_timeout",
                    "rebalance_timeout",
                    "transaction_timeout",
                    "transaction_version",
                    "max_version_level",
                    "feature",
                    "member_epoch",
                ):
                    # Waits without end, acks that want no answer, and what ends by itself in the middle of a run.
                    continue
                if item.array or item.kind == "string" or item.bits >= 16:
                    places.append((values, item))

        collect(struct, values)
        if not places:
            return
        holder, item = self.random.choice(places)
        if item.array or item.kind == "string":
            holder[item.name] = None
        else:
            top = 2 ** (item.bits - 1) - 1
            # So many partitions overflow in the reference's sum, and it makes them.
            largest = 1 if item.name in ("num_partitions", "count") else top
            holder[item.name] = self.pick(largest, -top - 1, -1, 0, -2)

    # Learning

    def learn_created(self, name: str, partitions: int, *, fixed: bool = False) -> None:
        number = self.created.get(name, 0)
        self.created[name] = number + 1
        self.topics[name] = Topic(name, partitions, number, fixed)

    # Produce and fetch

    def time(self) -> int:
        stamp = self.now + self.mostly(
            self.random.randrange(-100_000, 1000), -(10**9), 30 * 60_000, probability=0.9
        )
        return self.mostly(stamp, 0, -1, self.now + 10 * 3_600_000, probability=0.96)

    def batch(self, topic: str, partition: int) -> Batch:
        count = self.random.choice([1, 1, 2, 3, 10])
        size = self.random.choice([0, 1, 10, 100, 100, 700])
        codec = self.random.choice([0, 0, 0, 1, 2, 3, 4])
        base = self.time()
        deltas = [self.random.randrange(0, 50) for _ in range(count)]
        records = [
            record(
                self.mostly(b"key-%d" % i, None, b"", probability=0.8),
                self.mostly(bytes([self.random.randrange(65, 90)]) * size, None, probability=0.9),
                offset_delta=i,
                timestamp_delta=deltas[i],
                headers=[(b"h", b"x"), (b"", None)] if self.chance(0.2) else [],
            )
            for i in range(count)
        ]
        self.sent_times.update({base, base + max(deltas), *(base + delta for delta in deltas)})
        fields: dict[str, Any] = {
            "attributes": codec,
            "base_timestamp": base,
            "max_timestamp": base + max(deltas),
        }
        if self.producers and self.chance(0.4):
            fields |= self.identity(topic, partition, count)
        made = Batch(records, **fields)
        if self.chance(0.2):
            made = self.damage(made, records, base)
        return made

    def identity(self, topic: str, partition: int, count: int) -> dict[str, Any]:
        number = self.random.randrange(self.producers)
        place = (number, topic, partition)
        expected = self.sequences.get(place, 0)
        sequence = self.mostly(
            expected, expected + 5, max(0, expected - count), 0, -1, 2**31 - 1, probability=0.8
        )
        if sequence == expected:
            self.sequences[place] = expected + count
        epoch = self.mostly(0, 1, -1, probability=0.97)
        return {"producer_id": ProducerId(number), "producer_epoch": epoch, "base_sequence": sequence}

    def damage(self, good: Batch, records: list[bytes], base: int) -> Batch:
        count = len(records)
        codec = self.pick(1, 2, 3, 4)
        packed = compress(codec, b"".join(records))
        one: dict[str, Any] = {"count": 1, "last_offset_delta": 0}
        changes: list[dict[str, Any]] = [
            {"crc": 0x12345678},
            {"magic": self.pick(0, 1, 3, -1, 127)},
            {"length": self.pick(-1, 0, 10, 13, 14, 49, 50, 100_000, 2**31 - 1)},
            {"count": self.pick(0, -1, count + 1, 2**31 - 1)},
            {"count": count + 1, "last_offset_delta": count},
            {"last_offset_delta": self.pick(-1, 5 + count, 2**31 - 1, -(2**31))},
            {"base_offset": self.pick(17, -1, 2**62)},
            *({"attributes": good.attributes | bit} for bit in (0x20, 0x10, 0x08, 0x40, 0x80, 0x4000)),
            {"attributes": self.pick(5, 6, 7)},
            {"attributes": codec, "body": b"this is not compressed"},
            {"attributes": codec, "body": b""},
            {"attributes": codec, "body": packed[: len(packed) // 2]},
            {"attributes": codec, "body": packed[:-1]},
            {"attributes": codec, "body": packed + b"garbage"},
            {"attributes": codec, "body": compress(codec, b"")},
            {"attributes": codec, "body": compress(codec, b"".join(records) + b"more")},
            {"attributes": 0, "body": packed},
            {"leader_epoch": self.pick(99, -5)},
            {"max_timestamp": base + 5000},
            {"max_timestamp": base - 1},
            {"base_timestamp": self.pick(-5, -(2**63), 2**63 - 1)},
            {"records": [record(header_count=self.pick(-1, 5))], **one, "attributes": 0},
            {"records": [record(headers=[(None, b"")])], **one, "attributes": self.pick(0, codec)},
            # In a compressed batch the reference does not compare a record's length with its fields.
            {"records": [record(length=self.pick(500, 3, 0, -1))], **one, "attributes": 0},
            {"records": [record(key_length=self.pick(-2, 100))], **one, "attributes": self.pick(0, codec)},
            {"records": [record(offset_delta=4)], **one, "attributes": codec},
            {"producer_id": 10**12, "producer_epoch": 0, "base_sequence": 3},
            {"producer_id": -2, "producer_epoch": 0, "base_sequence": 3},
            {"producer_id": 10**12 + 1, "producer_epoch": -1, "base_sequence": 3},
            {"producer_id": 10**12 + 1, "producer_epoch": 3, "base_sequence": -1},
            {"producer_id": -1, "producer_epoch": 3, "base_sequence": 4},
        ]
        chosen = self.random.choice(changes)
        if "max_timestamp" in chosen:
            self.sent_times.add(chosen["max_timestamp"])
        return good.but(**chosen)

    def records(self, topic: str, partition: int) -> Records:
        batches = (self.batch(topic, partition),)
        fate = self.random.random()
        if fate < 0.02:
            return Records(batches, tail=b"abc")
        if fate < 0.03:
            return Records(batches, tail=self.pick(b"\0" * 12, b"\0" * 17, b"\xff" * 30, b"\0" * 200))
        if fate < 0.05:
            return Records((*batches, self.batch(topic, partition)))
        if fate < 0.07:
            return Records(batches, keep=self.pick(0, -1, 11, 12, 16, 17, 30, 61))
        return Records(batches)

    def produce(self, version: int) -> dict[str, Any]:
        topics = []
        for name in self.distinct_names(2):
            partitions = self.several(lambda name=name: self.partition(name), 2)
            if not self.chance(0.1):
                partitions = list(dict.fromkeys(partitions))
            data = [{"index": index, "records": self.records(name, index)} for index in partitions]
            topics.append({**self.topic_reference(name), "partition_data": data})
        return {
            "transactional_id": None,
            "acks": self.mostly(-1, 1, 1, 0, 2, -2, probability=0.6),
            "timeout": self.mostly(5000, 0, -1, probability=0.9),
            "topic_data": topics if self.chance(0.98) else [],
        }

    def fetch(self, version: int) -> dict[str, Any]:
        topics = []
        limited = self.chance(0.3)
        for name in self.distinct_names():
            # Where the broker compresses by itself sizes differ, so limits would cut elsewhere.
            free = limited and not name.startswith(RECOMPRESSED)
            partitions = []
            wanted = self.several(lambda name=name: self.partition(name))
            for index in wanted if self.chance(0.05) else dict.fromkeys(wanted):
                end = self.topics[name].ends.get(index, 0) if name in self.topics else 0
                partitions.append(
                    {
                        "partition": index,
                        "current_leader_epoch": self.mostly(-1, 0, 5, -2, probability=0.9),
                        "fetch_offset": self.mostly(
                            self.random.randrange(end + 1), 0, end, end + 10, -1, 10**12, probability=0.7
                        ),
                        "last_fetched_epoch": self.mostly(-1, 0, 3, -2, probability=0.95),
                        "partition_max_bytes": self.pick(0, 1, 100, 300, -1) if free else 1 << 20,
                    }
                )
            topics.append({**self.topic_reference(name), "partitions": partitions})
        values: dict[str, Any] = {
            "replica_id": self.mostly(-1, -2, -3, -7, 1, 5, probability=0.95),
            "max_wait": self.pick(0, 0, 0, 5, 50, -1),
            "min_bytes": self.pick(0, 1, 1, 10**6),
            "max_bytes": 50 << 20,
            "isolation_level": self.mostly(self.pick(0, 1), 7, probability=0.97),
            "topics": topics,
            "rack_id": self.pick("", "rack"),
        }
        values["replica_state"] = {"replica_id": values["replica_id"], "replica_epoch": self.pick(-1, 0, 5)}
        if limited and all(not t["name"].startswith(RECOMPRESSED) for t in topics):
            values["max_bytes"] = self.pick(0, 1, 200, 1 << 20)
        if any(t["topic_id"] == bytes(16) for t in topics):
            # The reference trips over a zero id that is not the last, and never answers when it has waited.
            values["max_wait"] = 0
        elif version >= 7 and self.chance(0.4):
            values |= self.session(topics)
        return values

    def session(self, topics: list[dict[str, Any]]) -> dict[str, Any]:
        if not self.sessions or self.chance(0.4):
            return {
                "session_id": self.pick(0, 0, 77, -5, 2**31 - 1, -(2**31)),
                "session_epoch": self.mostly(0, -1, 3, probability=0.7),
            }
        number = self.random.randrange(len(self.sessions))
        expected = self.sessions[number]
        values: dict[str, Any] = {
            "session_id": SessionId(number),
            "session_epoch": self.mostly(expected, expected + 1, expected - 1, 0, -1, probability=0.8),
        }
        if self.chance(0.5):
            values["topics"] = []
        if self.chance(0.2) and topics:
            values["forgotten_topics_data"] = [
                {"topic": t["topic"], "topic_id": t["topic_id"], "partitions": [0]} for t in topics
            ]
        return values

    # Offsets

    def list_offsets(self, version: int) -> dict[str, Any]:
        stamps = sorted(self.sent_times) or [self.now]
        topics = []
        for name in self.distinct_names():
            partitions = []
            for index in [self.partition(name) for _ in range(self.pick(1, 1, 2))]:
                timestamps = [-1, -2, -3, -4, -5, -6, -7, 0]
                timestamps += [self.random.choice(stamps), self.random.choice(stamps) + 1]
                if name in self.topics and index in self.topics[name].trimmed:
                    # The reference finds nothing by time while the first segment holds deleted records only.
                    timestamps = timestamps[:7]
                partitions.append(
                    {
                        "partition_index": index,
                        "current_leader_epoch": self.mostly(-1, 0, 9, -2, probability=0.9),
                        "timestamp": self.random.choice(timestamps),
                    }
                )
            topics.append({"name": name, "partitions": partitions})
        return {
            "replica_id": self.mostly(-1, -2, 5, probability=0.95),
            "isolation_level": self.mostly(self.pick(0, 1), 9, probability=0.97),
            "topics": topics,
            "timeout": 5000,
        }

    def offset_for_leader_epoch(self, version: int) -> dict[str, Any]:
        topics = []
        for name in self.distinct_names():
            partitions = [
                {
                    "partition": self.partition(name),
                    "current_leader_epoch": self.mostly(-1, 0, 5, -2, probability=0.8),
                    "leader_epoch": self.pick(0, 0, 1, 5, -1, -2, 2**31 - 1),
                }
                for _ in range(self.pick(1, 1, 2))
            ]
            topics.append({"topic": name, "partitions": partitions})
        return {"replica_id": self.pick(-1, -2, -1), "topics": topics}

    def delete_records(self, version: int) -> dict[str, Any]:
        topics = []
        for name in self.distinct_names(2):
            partitions = []
            for index in self.several(lambda name=name: self.partition(name), 2):
                end = self.topics[name].ends.get(index, 0) if name in self.topics else 0
                offset = self.mostly(0, end // 3, end // 3, -1, end, end + 100, -2, probability=0.4)
                partitions.append({"partition_index": index, "offset": offset})
            topics.append({"name": name, "partitions": partitions})
        return {"topics": topics, "timeout": self.mostly(5000, 0, probability=0.9)}

    def init_producer_id(self, version: int) -> dict[str, Any]:
        producer = self.mostly((-1, -1), (5, 0), (5, -1), (-1, 3), probability=0.7)
        return {
            "transactional_id": self.mostly(None, "", probability=0.85),
            "transaction_timeout": self.mostly(60000, 0, -1, probability=0.8),
            "producer_id": producer[0],
            "producer_epoch": producer[1],
        }

    # Metadata

    def metadata(self, version: int) -> dict[str, Any]:
        names: Any = self.distinct_names()
        topics: Any = [{"name": name, "topic_id": bytes(16)} for name in names]
        if version >= 12 and self.chance(0.5):
            topics = [{**self.topic_reference(name), "name": self.pick(None, name)} for name in names]
        elif version >= 10 and self.chance(0.1):
            topics = [{"name": self.pick(None, names[0]), "topic_id": self.pick(bytes(16), UNKNOWN_ID)}]
        if self.chance(0.15):
            topics = [] if version == 0 or self.chance(0.5) else None
        create = version < 4 or self.chance(0.15)
        if create and topics and self.chance(0.3):
            topics = [{"name": self.fresh_name(), "topic_id": bytes(16)}]
        elif version < 4 and topics:
            # Everything that is not there would be made.
            topics = [t for t in topics if t["name"] not in UNKNOWN_NAMES]
        elif create and topics:
            create = not any(t["name"] in UNKNOWN_NAMES for t in topics)
        return {
            "topics": topics,
            "allow_auto_topic_creation": create,
            "include_cluster_authorized_operations": self.chance(0.3),
            "include_topic_authorized_operations": self.chance(0.3),
        }

    def describe_topic_partitions(self, version: int) -> dict[str, Any]:
        names = self.distinct_names()
        cursor = None
        if self.chance(0.3):
            name = self.mostly(self.random.choice(names), self.topic_name(), probability=0.7)
            cursor = {"topic_name": name, "partition_index": self.pick(0, 0, 1, 2, 9, -1)}
        return {
            "topics": [{"name": name} for name in names] if self.chance(0.85) else [],
            "response_partition_limit": self.mostly(2000, 0, 1, 2, 3, -1, probability=0.5),
            "cursor": cursor,
        }

    def describe_cluster(self, version: int) -> dict[str, Any]:
        return {
            "include_cluster_authorized_operations": self.chance(0.5),
            "endpoint_type": self.mostly(1, 2, 9, 0, -1, probability=0.6),
            "include_fenced_brokers": self.chance(0.5),
        }

    def describe_log_dirs(self, version: int) -> dict[str, Any]:
        if self.chance(0.2):
            return {"topics": None}
        return {
            "topics": [
                {"topic": name, "partitions": self.several(lambda name=name: self.partition(name))}
                for name in dict.fromkeys(self.distinct_names())
            ]
        }

    def elect_leaders(self, version: int) -> dict[str, Any]:
        topics = [
            {"topic": name, "partitions": self.several(lambda name=name: self.partition(name))}
            for name in self.distinct_names()
        ]
        return {
            "election_type": self.pick(0, 0, 1, 2, -1),
            "topic_partitions": self.pick(None, [], topics, topics, topics),
            "timeout": self.mostly(5000, 0, probability=0.8),
        }

    def alter_reassignments(self, version: int) -> dict[str, Any]:
        replicas = [[NODE_ID], [NODE_ID], [], [2], [NODE_ID, NODE_ID], [NODE_ID, 2], [-1], None]
        return {
            "timeout": self.mostly(5000, 0, probability=0.8),
            "allow_replication_factor_change": self.chance(0.5),
            "topics": [
                {
                    "name": name,
                    "partitions": self.several(
                        lambda name=name: {
                            "partition_index": self.partition(name),
                            "replicas": self.pick(*replicas),
                        }
                    ),
                }
                for name in self.distinct_names()
            ],
        }

    def unregister_broker(self, version: int) -> dict[str, Any]:
        # The only broker without its registration would answer nothing more.
        return {"broker_id": self.pick(0, 2, -1, 2**31 - 1)}

    def list_reassignments(self, version: int) -> dict[str, Any]:
        topics = [
            {"name": name, "partition_indexes": [self.partition(name)]} for name in self.distinct_names()
        ]
        return {
            "timeout": self.mostly(5000, 0, probability=0.8),
            "topics": self.pick(None, [], topics, topics),
        }

    def api_versions(self, version: int) -> dict[str, Any]:
        return {
            "client_software_name": self.mostly("raw", "", "a b", "-a", "a.b-c", "ü", probability=0.6),
            "client_software_version": self.mostly("1.0", "", "?", probability=0.8),
        }

    def telemetry_subscriptions(self, version: int) -> dict[str, Any]:
        return {"client_instance_id": bytes(16)}

    def push_telemetry(self, version: int) -> dict[str, Any]:
        return {
            "client_instance_id": self.pick(bytes(16), UNKNOWN_ID),
            "subscription_id": 5,
            "terminating": False,
            "compression_type": self.pick(0, 1, 9),
            "metrics": b"",
        }

    # Topics

    def new_topic(self, learned: bool = False) -> dict[str, Any]:
        name = self.mostly(
            self.fresh_name(), self.topic().name, self.random.choice(ILLEGAL_NAMES), probability=0.75
        )
        if self.chance(0.05):
            # These collide with one another, or are the cluster's own.
            name = self.pick("c.d", "c_d", "c.d_e", "__cluster_metadata", "not.there-either")
        configs: list[dict[str, Any]] = []
        if learned:
            configs = [self.learned(self.learned_topic)]
        elif self.chance(0.4):
            keys = self.random.sample(sorted(TOPIC_CONFIGS), self.pick(1, 1, 2))
            configs = [{"name": key, "value": self.random.choice(TOPIC_CONFIGS[key])} for key in keys]
        count = self.mostly(self.pick(1, 2, 3), -1, 0, -2, 10_001, probability=0.8)
        factor = self.mostly(1, -1, 0, 2, -2, probability=0.8)
        assignments: list[dict[str, Any]] = []
        if self.chance(0.15):
            chosen = self.pick(
                [(0, [NODE_ID])],
                [(0, [NODE_ID]), (1, [NODE_ID])],
                [(1, [NODE_ID]), (0, [NODE_ID])],
                [(0, [77])],
                [(0, [NODE_ID, 77])],
                [(0, [NODE_ID, NODE_ID])],
                [(0, [NODE_ID]), (0, [NODE_ID])],
                [(0, [NODE_ID]), (1, [NODE_ID, 77])],
                [(1, [NODE_ID])],
                [(-1, [NODE_ID])],
                [(0, [])],
            )
            assignments = [{"partition_index": index, "broker_ids": brokers} for index, brokers in chosen]
            if self.chance(0.7):
                count = factor = -1
        return {
            "name": name,
            "num_partitions": count,
            "replication_factor": factor,
            "assignments": assignments,
            "configs": configs,
        }

    def create_topics(self, version: int) -> dict[str, Any]:
        if self.chance(0.15):
            # Any config there is, with any value: only checked.
            topics = self.several(lambda: self.new_topic(learned=True), 3)
            return {"topics": topics, "timeout": 10000, "validate_only": True}
        # Beyond a certain number they are only checked, so that "all topics" stays readable.
        return {
            "topics": self.several(self.new_topic, 3) if self.chance(0.97) else [],
            "timeout": self.mostly(10000, 0, -1, probability=0.95),
            "validate_only": len(self.topics) > 25 or self.chance(0.3),
        }

    def create_partitions(self, version: int) -> dict[str, Any]:
        topics = []
        for name in self.distinct_names(2):
            known = self.topics.get(name)
            count = known.partitions if known else 1
            assignments = None
            if self.chance(0.2):
                lists = self.pick([[NODE_ID]], [[77]], [[]], [[NODE_ID], [NODE_ID]], [[NODE_ID, NODE_ID]], [])
                assignments = [{"broker_ids": brokers} for brokers in lists]
            wanted = self.mostly(min(count + 1, 6), count, count + 2, 0, -1, probability=0.7)
            topics.append({"name": name, "count": wanted, "assignments": assignments})
        if topics and self.chance(0.05):
            # Alone: what else the request has room for depends on the reference's hash order.
            topics = [{**topics[0], "count": 10_500}]
        return {
            "topics": topics if self.chance(0.97) else [],
            "timeout": self.mostly(10000, 0, -1, probability=0.95),
            # Of too many partitions the reference makes as many as fit into a batch of records.
            "validate_only": self.chance(0.5) or any(topic["count"] > 100 for topic in topics),
        }

    def delete_topics(self, version: int) -> dict[str, Any]:
        disposable = [name for name, known in self.topics.items() if not known.fixed]
        names = []
        for _ in range(self.pick(1, 1, 2)):
            if disposable and self.chance(0.6):
                names.append(self.random.choice(disposable))
            else:
                names.append(self.random.choice(ILLEGAL_NAMES + UNKNOWN_NAMES))
        if not self.chance(0.1):
            names = list(dict.fromkeys(names))
        topics = []
        for name in names:
            known = self.topics.get(name)
            topic_id: Any = known.id if known else UNKNOWN_ID
            topics.append(
                self.random.choice(
                    [{"name": name, "topic_id": bytes(16)}] * 3
                    + [{"name": None, "topic_id": topic_id}] * 3
                    + [{"name": name, "topic_id": topic_id}, {"name": None, "topic_id": bytes(16)}]
                )
            )
        return {"topic_names": names, "topics": topics, "timeout": self.mostly(10000, 10000, probability=0.9)}

    # Configs

    def resource(self) -> tuple[int, str]:
        kind = self.random.choice([TOPIC] * 6 + [BROKER] * 4 + [CLIENT_METRICS, GROUP, 0, 99])
        if kind == TOPIC:
            return kind, self.topic_name()
        if kind == BROKER:
            return kind, self.pick(str(NODE_ID), str(NODE_ID), "", "77", "one")
        return kind, self.pick("some", "other", "")

    def configs_for(self, kind: int) -> dict[str, list[Any]]:
        return {BROKER: BROKER_CONFIGS, GROUP: GROUP_CONFIGS, CLIENT_METRICS: METRICS_CONFIGS}.get(
            kind, TOPIC_CONFIGS
        )

    def learned(self, known: list[tuple[str, int, str | None]]) -> dict[str, Any]:
        """One of the configs that the reference described (name, type, value), with a value of its kind or
        not."""
        name, kind, value = self.random.choice(known)
        numbers = ["0", "1", "-1", "-2", "2", "7", "100", "2147483647", "2147483648", "9223372036854775808"]
        kinds = {
            1: ["true", "false", "True", "on"],
            3: numbers,
            4: [*numbers, "32768"],
            5: numbers,
            6: [*numbers, "0.5", ".5", "1e2", "NaN", "1.01"],
            7: ["a,b", ",", " a , b "],
        }
        odd = ["", "x", " ", "1.5", " 7 ", "+3", "0x10", "1_000", "\u0663", None]
        pool = [value, *kinds.get(kind, ["some", "none"])]
        return {"name": name, "value": self.random.choice(pool if self.chance(0.75) else odd)}

    def learned_resource(self) -> tuple[int, str, list[dict[str, Any]]]:
        if self.chance(0.5):
            return TOPIC, self.topic().name, self.several(lambda: self.learned(self.learned_topic), 2)
        name = self.pick(str(NODE_ID), "")
        return BROKER, name, self.several(lambda: self.learned(self.learned_broker), 2)

    def describe_configs(self, version: int) -> dict[str, Any]:
        resources = []
        for _ in range(self.pick(1, 1, 2)):
            kind, name = self.resource()
            keys = None
            if self.chance(0.5):
                keys = self.random.sample(sorted(self.configs_for(kind)), self.pick(0, 1, 2))
                if self.chance(0.5):
                    known = self.learned_broker if kind == BROKER else self.learned_topic
                    keys.append(self.random.choice(known)[0])
            resources.append({"resource_type": kind, "resource_name": name, "configuration_keys": keys})
        return {
            "resources": resources,
            "include_synonyms": self.chance(0.5),
            "include_documentation": self.chance(0.3),
        }

    def incremental_alter_configs(self, version: int) -> dict[str, Any]:
        resources: list[dict[str, Any]] = []
        if self.chance(0.3):
            kind, name, configs = self.learned_resource()
            for config in configs:
                config["config_operation"] = self.mostly(0, 1, 2, 3, probability=0.8)
            resources = [{"resource_type": kind, "resource_name": name, "configs": configs}]
            return {"resources": resources, "validate_only": True}
        for _ in range(self.pick(1, 1, 1, 2)):
            kind, name = self.resource()
            pool = self.configs_for(kind)
            configs = [
                {
                    "name": key,
                    "config_operation": self.mostly(self.pick(0, 0, 1), 2, 3, 9, probability=0.85),
                    "value": self.random.choice(pool[key]),
                }
                for key in self.random.sample(sorted(pool), self.pick(1, 1, 2))
            ]
            if self.chance(0.05):
                configs.append(configs[0])
            resources.append({"resource_type": kind, "resource_name": name, "configs": configs})
        if self.chance(0.05):
            resources.append(resources[0])
        return {"resources": resources, "validate_only": self.chance(0.4)}

    def alter_configs(self, version: int) -> dict[str, Any]:
        resources: list[dict[str, Any]] = []
        if self.chance(0.3):
            kind, name, configs = self.learned_resource()
            resources = [{"resource_type": kind, "resource_name": name, "configs": configs}]
            return {"resources": resources, "validate_only": True}
        for _ in range(self.pick(1, 1, 2)):
            kind, name = self.resource()
            known = (TOPIC, BROKER, CLIENT_METRICS, GROUP)
            if any(
                name == r["resource_name"]
                and (kind == r["resource_type"] or not {kind, r["resource_type"]} & {*known})
                for r in resources
            ):
                # The reference never answers a request that names a resource twice; all unknown types are one.
                continue
            pool = self.configs_for(kind)
            configs = [
                {"name": key, "value": self.random.choice(pool[key])}
                for key in self.random.sample(sorted(pool), self.pick(0, 1, 2))
            ]
            resources.append({"resource_type": kind, "resource_name": name, "configs": configs})
        return {"resources": resources, "validate_only": self.chance(0.4)}

    def update_features(self, version: int) -> dict[str, Any]:
        """Levels that are there, and bad ones: others would change what the requests after it mean."""
        updates = []
        for _ in range(self.pick(0, 1, 1, 2)):
            name, level = self.random.choice(sorted(FEATURES.items()))
            level = self.mostly(level, -1, level + 1, 99, -(2**15), probability=0.5)
            kind = self.mostly(1, 2, 3, 0, 4, -1, probability=0.6)
            updates.append(
                {
                    "feature": self.mostly(name, "nope", "", probability=0.9),
                    "max_version_level": level,
                    "allow_downgrade": self.chance(0.5),
                    "upgrade_type": kind,
                }
            )
        if self.chance(0.15):
            updates.append(
                {
                    "feature": "metadata.version",
                    "max_version_level": self.pick(29, 7, 6),
                    "upgrade_type": self.pick(1, 2, 3),
                }
            )
        return {
            "timeout": 60_000,
            "feature_updates": updates,
            "validate_only": self.chance(0.3),
        }

    def list_config_resources(self, version: int) -> dict[str, Any]:
        types = self.pick(
            [], [TOPIC], [BROKER], [8], [CLIENT_METRICS], [GROUP, CLIENT_METRICS], [99], [0], [TOPIC, TOPIC]
        )
        return {"resource_types": types}
