"""Requests for groups, offsets and transactions: scenes, each a walk of a few members or producers through the
states of one group or transactional id, with odd requests of every key in between.

In: the generator of the single requests (its seed and its ways to spoil a request), and the reference's answers.
Out: scenes, generators of `Action`s that are sent the reference's answer to each. What must hold: an answer
depends on the requests before it only, so nothing here expires while a run lasts, at most two members can become
leader when one goes (the reference chooses by the hash of ids that it draws), and what a broker does after its
answer is waited for (`Settle`).
"""

from __future__ import annotations

from collections.abc import Generator as Coroutine
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from tests.conformance.generator import ALL_VERSIONS, Generator, Step, prune
from tests.conformance.symbols import MemberId, Names, ProducerId, Records, TopicId
from tests.protocol import groups, raw, schema
from tests.protocol.raw import Batch, record

COMMIT, OFFSET_FETCH, FIND, JOIN, HEARTBEAT, LEAVE, SYNC, DESCRIBE, LIST = 8, 9, 10, 11, 12, 13, 14, 15, 16
INIT, ADD_PARTITIONS, ADD_OFFSETS, END, MARKERS, TXN_COMMIT = 22, 24, 25, 26, 27, 28
DELETE, OFFSET_DELETE, PRODUCERS, TRANSACTIONS, LIST_TRANSACTIONS = 42, 47, 61, 65, 66
BEAT, DESCRIBE_CONSUMER = 68, 69

KEYS = (
    *range(COMMIT, LIST + 1),
    *range(ADD_PARTITIONS, TXN_COMMIT + 1),
    DELETE,
    OFFSET_DELETE,
    PRODUCERS,
    TRANSACTIONS,
    LIST_TRANSACTIONS,
    BEAT,
    DESCRIBE_CONSUMER,
)
MAY_WAIT = (JOIN, SYNC)
LONG = 300_000
TOPICS = {"txn-a": 2, "txn-b": 1}
"""What transactions write to; nothing else does."""
UNKNOWN_IDS = {"not-there": b"\7" * 16, "a/b": b"\6" * 16, "": bytes(16)}


@dataclass
class Answer:
    """The reference's answer, or None while it (or forever) gives none; the member id it made, as a symbol."""

    values: Any = None
    member: MemberId | None = None

    @property
    def error(self) -> int:
        return int(self.values.get("error_code", 0)) if isinstance(self.values, dict) else -1


class Await(NamedTuple):
    """Gives the last answer on that actor's connection, once there is one."""

    actor: int


class Settle(NamedTuple):
    """Waits until the coordinator has ended what it began with this transactional id."""

    transactional_id: str


Action = Step | Await | Settle
Scene = Coroutine[Action, Answer, None]


@dataclass
class Member:
    id: Any
    actor: int
    instance: str | None = None
    epoch: int = 0
    owned: list[dict[str, Any]] = field(default_factory=list)


@dataclass
class Group:
    name: str
    kind: str = "consumer"
    members: list[Member] = field(default_factory=list)
    generation: int = -1
    leader: Any = None
    protocol: str = "range"
    joins: int = 0
    # Of the new protocol, with members that keep their own ids.
    modern: bool = False
    may_be_empty: bool = False


@dataclass
class Producer:
    name: str
    number: int = 0
    epoch: int = 0
    sequences: dict[tuple[str, int], int] = field(default_factory=dict)

    @property
    def id(self) -> ProducerId:
        return ProducerId(self.number)


def share(index: int) -> bytes:
    """The assignment of one partition of `trio`. One that cannot be read would stop the reference in the middle
    of turning the group into one of the new protocol."""
    return b"\0\0" + b"\0\0\0\1" + b"\0\4trio" + b"\0\0\0\1" + index.to_bytes(4, "big") + b"\xff" * 4


class Scenes:
    """`names`: what the reference has given out."""

    def __init__(self, generator: Generator, names: Names) -> None:
        self.generator = generator
        self.random = generator.random
        self.names = names
        self.pick, self.mostly, self.chance = generator.pick, generator.mostly, generator.chance
        self.counter = 0
        self.actors = 0
        self.group_names: list[str] = []
        self.transactional_ids: list[str] = []
        self._versions: dict[int, list[int]] = {}
        self._kinds: list[Any] = []

    def next_scene(self) -> Scene:
        if not self._kinds:
            self._kinds = [self.classic, self.classic, self.consumer, self.consumer, self.transactions]
            self._kinds += [self.transactions, self.simple]
            self.random.shuffle(self._kinds)
        return self._kinds.pop()()

    # Small choices

    def fresh(self, prefix: str) -> str:
        self.counter += 1
        return f"{prefix}{self.counter}"

    def actor(self) -> int:
        self.actors += 1
        return self.actors

    def version(self, key: int) -> int:
        """Each comes once in every round."""
        left = self._versions.setdefault(key, [])
        if not left:
            left += ALL_VERSIONS[key]
            self.random.shuffle(left)
        return left.pop()

    def step(self, key: int, values: dict[str, Any], actor: int = 0, version: int | None = None) -> Step:
        """As it is meant."""
        chosen = self.version(key) if version is None else version
        return Step(key, chosen, prune(schema.request_schema(key, chosen), values), actor=actor)

    def odd(self, key: int, values: dict[str, Any]) -> Step:
        """Perhaps damaged. What may wait has a connection of its own."""
        made = self.generator.spoiled(key, self.version(key), values)
        made.actor = self.actor() if key in MAY_WAIT else 0
        if key == OFFSET_FETCH:
            for entry in made.values.get("groups") or ():
                if entry.get("member_id") is None and "member_epoch" in entry:
                    entry["member_epoch"] = -1  # The reference trips over a null id with an epoch.
        return made

    def any_group(self, group: str) -> str:
        others = self.group_names or [group]
        return self.mostly(group, self.random.choice(others), "no-such-group", "", probability=0.85)

    def a_member(self, group: Group) -> Member:
        return self.random.choice(group.members) if group.members else Member("nobody", 0)

    def member_id(self, group: Group) -> Any:
        return self.mostly(self.a_member(group).id, "nobody", "", probability=0.8)

    def generation(self, group: Group) -> int:
        known = group.generation
        return self.mostly(known, known + 1, known - 1, -1, 0, 2**31 - 1, probability=0.75)

    def topics(self, entry: Any) -> list[dict[str, Any]]:
        """Some topics, each with some partitions that `entry` makes from (name, index)."""
        names = self.generator.several(
            lambda: self.mostly("trio", "solo", "solo", "not-there", "a/b", "", probability=0.5), 2
        )
        found = []
        for name in dict.fromkeys(names):
            indexes = dict.fromkeys(
                self.generator.several(lambda: self.mostly(0, 1, 2, 3, -1, probability=0.6))
            )
            known: Any = UNKNOWN_IDS.get(name) or TopicId(name)
            entries = [entry(index) for index in indexes]
            found.append({"name": name, "topic_id": known, "partitions": entries})
        return found

    # Classic groups

    def offered(self) -> list[dict[str, Any]]:
        subscription = groups.subscription(self.pick("solo", "trio"))
        names = self.pick(["range"], ["range", "roundrobin"], ["roundrobin", "range"])
        return groups.protocols(*names, metadata=self.mostly(subscription, b"junk", b"", probability=0.9))

    def join_values(self, group: Group, member: Member, **changes: Any) -> dict[str, Any]:
        values = groups.join_request(
            group.name,
            member.id,
            instance=member.instance,
            session=LONG,
            rebalance=LONG,
            kind=group.kind,
            offered=self.offered(),
        )
        return {**values, "reason": self.pick(None, "", "because"), **changes}

    def join(self, group: Group, member: Member, *, version: int | None = None) -> Scene:
        """Sends JoinGroup, twice where the first answer is only an id; it may be left waiting."""
        chosen = self.version(JOIN) if version is None else version
        group.joins += 1
        answer = yield self.step(JOIN, self.join_values(group, member), member.actor, chosen)
        if answer.error == 79 and answer.member is not None:
            member.id = answer.member
            yield self.step(JOIN, self.join_values(group, member), member.actor, max(chosen, 4))

    def joined(self, group: Group) -> Scene:
        """Takes what the members' JoinGroups were answered with."""
        for member in group.members:
            answer = yield Await(member.actor)
            if answer.error == 0 and "generation_id" in answer.values:
                group.generation = answer.values["generation_id"]
                group.protocol = answer.values["protocol_name"] or ""
                if answer.values["leader"] in self.names.members:
                    group.leader = MemberId(self.names.members.index(answer.values["leader"]))
                if answer.member is not None:
                    member.id = answer.member

    def sync_values(self, group: Group, member: Member) -> dict[str, Any]:
        leads = member.id == group.leader
        shares = {entry.id: share(i) for i, entry in enumerate(group.members)} if leads else {}
        return groups.sync_request(
            group.name,
            group.generation,
            member.id,
            shares,
            instance=member.instance,
            kind=group.kind,
            name=group.protocol,
        )

    def rebalance(self, group: Group) -> Scene:
        """All members join, all sync."""
        for member in self.random.sample(group.members, len(group.members)):
            yield from self.join(group, member)
            yield from self.odds(group, self.pick(0, 0, 1))
        yield from self.joined(group)
        yield from self.odds(group, self.pick(0, 0, 1))
        for member in self.random.sample(group.members, len(group.members)):
            yield self.step(SYNC, self.sync_values(group, member), member.actor)
            yield from self.odds(group, self.pick(0, 0, 1))
        for member in group.members:
            yield Await(member.actor)

    def classic(self) -> Scene:
        group = Group(self.fresh("g"), kind=self.mostly("consumer", "connect", "x y", probability=0.7))
        self.group_names.append(group.name)
        yield from self.odds(group, self.pick(0, 1))
        for _ in range(self.pick(1, 1, 2)):
            instance = self.fresh("i") if self.chance(0.3) else None
            group.members.append(Member("", self.actor(), instance))
            yield from self.rebalance(group)
        yield from self.odds(group, self.random.randrange(4, 12))
        if self.chance(0.5):
            yield from self.rebalance(group)
            yield from self.odds(group, self.random.randrange(1, 5))
        if self.chance(0.6):
            for member in group.members:
                yield self.step(LEAVE, self.leave_values(group, [member]))
            yield from self.odds(group, self.random.randrange(1, 5))

    def leave_values(self, group: Group, members: list[Member]) -> dict[str, Any]:
        entries = [
            {"member_id": m.id, "group_instance_id": m.instance, "reason": self.pick(None, "done")}
            for m in members
        ]
        return {"group_id": group.name, "member_id": members[0].id, "members": entries}

    def odds(self, group: Group, count: int) -> Scene:
        for _ in range(count):
            key = self.pick(
                *range(COMMIT, LIST + 1), COMMIT, OFFSET_FETCH, DELETE, OFFSET_DELETE, OFFSET_DELETE
            )
            if self.chance(0.15):
                key = self.pick(BEAT, DESCRIBE_CONSUMER, DELETE)
            if key == JOIN and group.joins > 3:
                key = HEARTBEAT
            if key == BEAT and group.joins != 1:
                key = DESCRIBE_CONSUMER  # Two drawn ids would be in a group of the new protocol.
            step = self.odd(key, self.values(key, group))
            for member in group.members if key in MAY_WAIT else ():
                if member.id == step.values.get("member_id"):
                    # The reference never answers what one member asks again on another connection.
                    step.actor = member.actor
            answer = yield step
            if key == JOIN:
                group.joins += 1
                if answer.member is not None and self.chance(0.7):
                    group.members.append(Member(answer.member, self.actor()))

    def values(self, key: int, group: Group) -> dict[str, Any]:
        """What an odd request of this key says about the group."""
        name = self.any_group(group.name)
        member = self.a_member(group)
        instance = self.mostly(member.instance, None, "other-instance", probability=0.9)
        common = {
            "group_id": name,
            "member_id": self.member_id(group),
            "generation_id": self.generation(group),
            "generation_id_or_member_epoch": self.generation(group),
            "group_instance_id": instance,
        }
        if key == COMMIT:
            if self.chance(0.3):
                common |= {"member_id": "", "generation_id_or_member_epoch": -1, "group_instance_id": None}
            return {**common, "retention_time": -1, "topics": self.topics(self.commit_entry)}
        if key == OFFSET_FETCH:
            return self.fetch_values(group, name)
        if key == FIND:
            keys = self.generator.several(lambda: self.pick("g1", "t1", "", "x" * 300))
            # A well formed key of type 2 makes the reference create another internal topic.
            return {"key": keys[0], "key_type": self.pick(0, 0, 1, 1, 2, 3, -1), "coordinator_keys": keys}
        if key == JOIN:
            return {
                **self.join_values(
                    group,
                    self.mostly(member, Member("nobody" if group.modern else "", 0), Member("nobody", 0)),
                ),
                "group_id": self.mostly(name, ""),
                "protocol_type": self.mostly(group.kind, "other", "", probability=0.85),
                "protocols": self.mostly(
                    self.offered(), [], groups.protocols("unheard-of"), groups.protocols(""), probability=0.85
                ),
                "session_timeout": self.mostly(LONG, 1, 5999, 1_800_001, 0, -1, probability=0.85),
            }
        if key == LEAVE:
            leavable = [
                m for m in group.members if m.id != group.leader or group.joins <= len(group.members) <= 2
            ]
            some = [self.random.choice(leavable)] if leavable and self.chance(0.6) else [Member("nobody", 0)]
            if self.chance(0.2):
                some.append(Member(self.pick("", "nobody"), 0, self.pick(None, "other-instance")))
            return {**self.leave_values(group, some), "group_id": name}
        if key == SYNC:
            named = {
                "protocol_type": self.mostly(group.kind, None, "other", probability=0.85),
                "protocol_name": self.mostly(group.protocol, None, "other", probability=0.85),
            }
            return {**self.sync_values(group, member), **common, **named}
        if key == DESCRIBE:
            names = [name, *self.generator.several(lambda: self.any_group(group.name))]
            return {"groups": list(dict.fromkeys(names)), "include_authorized_operations": self.chance(0.5)}
        if key == LIST:
            return {
                "states_filter": self.pick([], [], ["Stable"], ["empty", "Dead"], ["nonsense"], [""]),
                "types_filter": self.pick([], [], ["classic"], ["Consumer"], ["share"], ["nonsense"]),
            }
        if key == DELETE:
            return {"groups_names": list(dict.fromkeys([name, self.pick("no-such-group", name, "")]))}
        if key == OFFSET_DELETE:
            return {"group_id": name, "topics": self.topics(lambda index: {"partition_index": index})}
        if key == BEAT:
            return self.beat_values(
                group, self.mostly(member, Member("nobody", 0)) if group.modern else member
            )
        if key == DESCRIBE_CONSUMER:
            return {
                "group_ids": list(dict.fromkeys([name, self.any_group(group.name)])),
                "include_authorized_operations": self.chance(0.5),
            }
        return common

    def commit_entry(self, index: int) -> dict[str, Any]:
        return {
            "partition_index": index,
            "committed_offset": self.mostly(self.random.randrange(100), 0, -1, 2**62, probability=0.9),
            "committed_leader_epoch": self.pick(-1, 0, 5),
            "commit_timestamp": -1,
            "committed_metadata": self.mostly("", None, "words", "x" * 4096, "x" * 4097, probability=0.6),
        }

    def fetch_values(self, group: Group, name: str) -> dict[str, Any]:
        def some() -> list[dict[str, Any]] | None:
            if self.chance(0.25):
                return None
            return [
                {**topic, "partition_indexes": topic["partitions"]}
                for topic in self.topics(lambda index: index)
            ]

        member = self.a_member(group)
        entries = [
            {
                "group_id": other,
                **self.pick(
                    {"member_id": None, "member_epoch": -1},
                    {"member_id": member.id, "member_epoch": self.mostly(member.epoch, member.epoch + 1)},
                    {"member_id": self.pick("nobody", ""), "member_epoch": self.pick(-1, 0, 1)},
                ),
                "topics": some(),
            }
            for other in dict.fromkeys([name, *self.pick([], [self.any_group(group.name)])])
        ]
        return {
            "group_id": name,
            "topics": some(),
            "groups": entries,
            "require_stable": self.chance(0.3),
        }

    def simple(self) -> Scene:
        """A group that only holds offsets."""
        group = Group(self.fresh("s"))
        self.group_names.append(group.name)
        for _ in range(self.random.randrange(2, 5)):
            values = {
                "group_id": group.name,
                "generation_id_or_member_epoch": -1,
                "member_id": "",
                "group_instance_id": None,
                "retention_time": -1,
                "topics": self.topics(self.commit_entry),
            }
            yield self.step(COMMIT, values)
            yield from self.odds(group, 2)

    # The new protocol

    def beat_values(self, group: Group, member: Member) -> dict[str, Any]:
        epoch = self.mostly(member.epoch, 0, member.epoch + 1, -1, -2, -5, probability=0.7)
        joins = epoch == 0
        return {
            "group_id": group.name
            if joins
            else self.mostly(group.name, "no-such-group", "", probability=0.9),
            "member_id": member.id,
            "member_epoch": epoch,
            "instance_id": self.mostly(member.instance, "other-instance", "", probability=0.9),
            "rack_id": self.mostly(None, "rack", "", probability=0.9),
            "rebalance_timeout": LONG if joins else self.mostly(-1, LONG),
            "subscribed_topic_names": self.mostly(
                ["trio"] if joins else None, [], ["not-there"], ["trio", "solo"], probability=0.8
            ),
            "subscribed_topic_regex": self.mostly(None, "", "(", probability=0.9),
            "server_assignor": self.mostly(None, "uniform", "range", "nonsense", "", probability=0.7),
            "topic_partitions": self.mostly(
                [] if joins else None,
                [{"topic_id": TopicId("trio"), "partitions": [0]}],
                [{"topic_id": b"\7" * 16, "partitions": [0, 1]}],
                probability=0.8,
            ),
        }

    def beat(self, group: Group, member: Member, **changes: Any) -> Scene:
        """One honest heartbeat; what it answers is the member's from then on."""
        joins = member.epoch == 0
        values = {
            "group_id": group.name,
            "member_id": member.id,
            "member_epoch": member.epoch,
            "instance_id": member.instance,
            "rack_id": None,
            "rebalance_timeout": LONG if joins else -1,
            "subscribed_topic_names": ["trio"] if joins else None,
            "subscribed_topic_regex": None,
            "server_assignor": None,
            "topic_partitions": member.owned,
            **changes,
        }
        answer = yield self.step(BEAT, values, version=None if member.id else 0)
        if answer.error != 0 or "member_epoch" not in answer.values:
            return
        if answer.member is not None:
            member.id = answer.member
        member.epoch = group.generation = answer.values["member_epoch"]
        if answer.values["assignment"] is not None:
            member.owned = [
                {"topic_id": self.topic_of(entry["topic_id"]), "partitions": entry["partitions"]}
                for entry in answer.values["assignment"]["topic_partitions"]
            ]

    def topic_of(self, topic_id: bytes) -> Any:
        for (name, number), known in self.names.topics.items():
            if known == topic_id:
                return TopicId(name, number)
        return topic_id

    def consumer(self) -> Scene:
        group = Group(self.fresh("c"))
        self.group_names.append(group.name)
        # Assignors go by the order of ids, so drawn ones do not mix.
        drawn = self.chance(0.3)
        group.modern = not drawn
        for _ in range(1 if drawn else self.pick(1, 1, 2)):
            member = Member("" if drawn else self.fresh("m"), 0)
            member.instance = self.fresh("i") if self.chance(0.3) else None
            group.members.append(member)
            yield from self.beat(group, member, server_assignor=self.pick(None, "uniform", "range"))
            for _ in range(2):
                for each in group.members:
                    yield from self.beat(group, each)
                    yield from self.consumer_odds(group, self.pick(0, 0, 1))
        yield from self.consumer_odds(group, self.random.randrange(4, 12))
        if self.chance(0.6):
            for member in group.members:
                yield from self.beat(group, member, member_epoch=self.pick(-1, -2) if member.instance else -1)
            yield from self.consumer_odds(group, self.random.randrange(1, 4))

    def consumer_odds(self, group: Group, count: int) -> Scene:
        for _ in range(count):
            key = self.pick(
                BEAT, BEAT, DESCRIBE_CONSUMER, DESCRIBE_CONSUMER, COMMIT, COMMIT, OFFSET_FETCH, *KEYS[:9]
            )
            if key == JOIN and (not group.modern or group.may_be_empty):
                # To an empty group it would be a classic one, which the reference forgets when it refuses the join.
                key = HEARTBEAT
            if key in (BEAT, LEAVE):
                group.may_be_empty = True
            if key in (BEAT, DESCRIBE_CONSUMER) or self.chance(0.6):
                yield self.odd(key, self.values(key, group))
            else:
                key = self.pick(DELETE, OFFSET_DELETE, DESCRIBE, LIST)
                yield self.odd(key, self.values(key, group))

    # Transactions

    def transactions(self) -> Scene:
        producer = Producer(self.fresh("t"))
        self.transactional_ids.append(producer.name)
        group = Group(self.fresh("x"))
        self.group_names.append(group.name)
        yield from self.initialize(producer)
        for _ in range(self.pick(1, 2, 3)):
            newest = self.chance(0.5)
            places = self.random.sample([("txn-a", 0), ("txn-a", 1), ("txn-b", 0)], self.pick(1, 2))
            if not newest:
                yield self.step(
                    ADD_PARTITIONS, self.add_values(producer, places), version=self.random.randrange(4)
                )
            yield from self.transaction_odds(producer, group, self.pick(0, 1, 2))
            for topic, index in places:
                yield self.produce(
                    producer, topic, index, version=self.pick(12, 13) if newest else self.pick(7, 9, 11)
                )
            if self.chance(0.5):
                if not newest:
                    yield self.step(ADD_OFFSETS, self.offsets_values(producer, group))
                values = self.txn_commit_values(producer, group)
                version = self.pick(*ALL_VERSIONS[TXN_COMMIT]) if not newest else 5
                yield self.step(TXN_COMMIT, values, version=version)
            yield from self.transaction_odds(producer, group, self.pick(1, 2, 4))
            if self.chance(0.85):
                yield from self.end(producer, version=5 if newest else self.random.randrange(5))
            yield from self.transaction_odds(producer, group, self.pick(0, 1, 2))
            if self.chance(0.3):
                yield from self.initialize(producer)
        for topic, partitions in TOPICS.items():
            yield self.read(topic, partitions)
            yield self.step(2, self.list_values(topic, partitions))

    def initialize(self, producer: Producer) -> Scene:
        values = {
            "transactional_id": producer.name,
            "transaction_timeout": LONG,
            "producer_id": -1,
            "producer_epoch": -1,
        }
        for _ in range(3):
            answer = yield self.step(INIT, values)
            yield Settle(producer.name)
            if answer.error == 0 and answer.values["producer_id"] in self.names.producers:
                producer.number = self.names.producers.index(answer.values["producer_id"])
                producer.epoch = answer.values["producer_epoch"]
                producer.sequences.clear()
                return

    def end(self, producer: Producer, version: int) -> Scene:
        values = {
            "transactional_id": producer.name,
            "producer_id": producer.id,
            "producer_epoch": producer.epoch,
            "committed": self.chance(0.6),
        }
        answer = yield self.step(END, values, version=version)
        yield Settle(producer.name)
        if answer.error == 0 and answer.values.get("producer_epoch", -1) >= 0:
            producer.epoch = answer.values["producer_epoch"]
            producer.sequences.clear()

    def add_values(self, producer: Producer, places: list[tuple[str, int]]) -> dict[str, Any]:
        topics: dict[str, list[int]] = {}
        for topic, index in places:
            topics.setdefault(topic, []).append(index)
        listed = [{"name": name, "partitions": indexes} for name, indexes in topics.items()]
        old = {
            "v3_and_below_transactional_id": producer.name,
            "v3_and_below_producer_id": producer.id,
            "v3_and_below_producer_epoch": producer.epoch,
            "v3_and_below_topics": listed,
        }
        new = {
            "transactional_id": producer.name,
            "producer_id": producer.id,
            "producer_epoch": producer.epoch,
            "verify_only": self.chance(0.5),
            "topics": listed,
        }
        return {**old, "transactions": [new]}

    def offsets_values(self, producer: Producer, group: Group) -> dict[str, Any]:
        return {
            "transactional_id": producer.name,
            "producer_id": producer.id,
            "producer_epoch": producer.epoch,
            "group_id": group.name,
        }

    def txn_commit_values(self, producer: Producer, group: Group) -> dict[str, Any]:
        return {
            **self.offsets_values(producer, group),
            "generation_id": -1,
            "member_id": "",
            "group_instance_id": None,
            "topics": self.topics(self.commit_entry),
        }

    def produce(self, producer: Producer, topic: str, index: int, *, version: int) -> Step:
        sequence = producer.sequences.get((topic, index), 0)
        count = self.pick(1, 2)
        producer.sequences[topic, index] = sequence + count
        stamp = self.generator.now + self.random.randrange(1000)
        self.generator.sent_times.add(stamp)
        made = Batch(
            [record(b"k", b"v", offset_delta=i) for i in range(count)],
            attributes=0x10,
            base_timestamp=stamp,
            max_timestamp=stamp,
            producer_id=producer.id,
            producer_epoch=producer.epoch,
            base_sequence=sequence,
        )
        data = [{"index": index, "records": Records((made,))}]
        values = {
            "transactional_id": producer.name,
            "acks": -1,
            "timeout": 5000,
            "topic_data": [{"name": topic, "topic_id": TopicId(topic), "partition_data": data}],
        }
        return self.step(raw.PRODUCE, values, version=version)

    def read(self, topic: str, partitions: int) -> Step:
        entries = [
            {
                "partition": index,
                "current_leader_epoch": -1,
                "fetch_offset": 0,
                "last_fetched_epoch": -1,
                "partition_max_bytes": 1 << 20,
            }
            for index in range(partitions)
        ]
        values = {
            "replica_id": -1,
            "max_wait": 0,
            "min_bytes": 0,
            "max_bytes": 50 << 20,
            "isolation_level": self.pick(0, 1, 1),
            "topics": [{"topic": topic, "topic_id": TopicId(topic), "partitions": entries}],
            "session_epoch": -1,
            "rack_id": "",
        }
        return self.step(raw.FETCH, values)

    def list_values(self, topic: str, partitions: int) -> dict[str, Any]:
        entries = [
            {"partition_index": index, "current_leader_epoch": -1, "timestamp": self.pick(-1, -1, -2)}
            for index in range(partitions)
        ]
        return {
            "replica_id": -1,
            "isolation_level": self.pick(0, 1),
            "topics": [{"name": topic, "partitions": entries}],
            "timeout": 5000,
        }

    def transaction_odds(self, producer: Producer, group: Group, count: int) -> Scene:
        keys = (
            INIT,
            *KEYS[9:14],
            PRODUCERS,
            TRANSACTIONS,
            LIST_TRANSACTIONS,
            TXN_COMMIT,
            END,
            ADD_PARTITIONS,
        )
        for _ in range(count):
            key = self.pick(*keys)
            step = self.odd(key, self.transaction_values(key, producer, group))
            answer = yield step
            for name in self.touched(step):
                yield Settle(name)
            same = step.values.get("transactional_id") == producer.name
            if (
                key in (INIT, END)
                and same
                and answer.error == 0
                and answer.values.get("producer_epoch", -1) >= 0
            ):
                if answer.values["producer_id"] in self.names.producers:
                    producer.number = self.names.producers.index(answer.values["producer_id"])
                producer.epoch = answer.values["producer_epoch"]
                producer.sequences.clear()

    def touched(self, step: Step) -> list[str]:
        name = step.values.get("transactional_id")
        return [name] if step.key in (INIT, END) and name in self.transactional_ids else []

    def transaction_values(self, key: int, producer: Producer, group: Group) -> dict[str, Any]:
        name = self.mostly(
            producer.name, self.random.choice(self.transactional_ids), "nobody", "", probability=0.9
        )
        epoch = self.mostly(
            producer.epoch, producer.epoch + 1, producer.epoch - 1, -1, 32767, probability=0.75
        )
        pid: Any = self.mostly(producer.id, 10**12, -1, probability=0.9)
        one = {"transactional_id": name, "producer_id": pid, "producer_epoch": epoch}
        if key == INIT:
            known = self.pick((-1, -1), (-1, -1), (pid, epoch), (pid, -1), (-1, 3))
            return {
                "transactional_id": name,
                "transaction_timeout": self.mostly(LONG, 0, -1, 900_001, probability=0.8),
                "producer_id": known[0],
                "producer_epoch": known[1],
            }
        if key == ADD_PARTITIONS:
            places = [("txn-a", 0), ("txn-b", 0), ("txn-a", 9), ("not-there", 0)]
            values = self.add_values(
                producer, self.random.sample(places[: self.pick(2, 2, 4)], self.pick(1, 2))
            )
            values["transactions"][0] |= one
            if self.chance(0.3):
                values["transactions"].append({**values["transactions"][0], "transactional_id": "nobody"})
            return {
                **values,
                "v3_and_below_transactional_id": name,
                "v3_and_below_producer_id": pid,
                "v3_and_below_producer_epoch": epoch,
            }
        if key == ADD_OFFSETS:
            return {**one, "group_id": self.mostly(group.name, "", "other")}
        if key == END:
            return {**one, "committed": self.chance(0.5)}
        if key == TXN_COMMIT:
            plain = {**self.txn_commit_values(producer, group), **one}
            return plain if self.chance(0.7) else {**plain, "generation_id": 3, "member_id": "nobody"}
        if key == MARKERS:
            return {"markers": [self.marker(producer)]}
        if key == PRODUCERS:
            return {
                "topics": [
                    {
                        "name": self.mostly("txn-a", "txn-b", "not-there", ""),
                        "partition_indexes": self.pick([0], [0, 1], [7]),
                    }
                ]
            }
        if key == TRANSACTIONS:
            return {"transactional_ids": list(dict.fromkeys([name, self.pick("nobody", producer.name, "")]))}
        return {
            "state_filters": self.pick([], [], ["Ongoing"], ["Empty", "CompleteCommit"], ["nonsense"]),
            "producer_id_filters": self.pick([], [], [pid]),
            "duration_filter": self.pick(-1, -1, -5, 2**40),
            "transactional_id_pattern": self.pick(None, None, "", "t.*", "(", "t1|t2"),
        }

    def marker(self, producer: Producer) -> dict[str, Any]:
        """For a producer that nobody is: a marker of a coordinator's future epoch would bar the real ones."""
        return {
            "producer_id": 10**12 + self.random.randrange(3),
            "producer_epoch": self.pick(0, 1, 5),
            "transaction_result": self.chance(0.5),
            "topics": [
                {"name": self.mostly("txn-b", "not-there"), "partition_indexes": self.pick([0], [0, 5])}
            ],
            "coordinator_epoch": self.pick(0, 0, 1, -1),
            "transaction_version": self.pick(0, 1, 2),
        }
