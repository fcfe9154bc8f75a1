"""Sends the generated requests to two nodes in the same order, compares the answers and keeps the score.

In: two addresses of fresh nodes, a seed, a number of requests. Out: a `Report`. What must hold: both nodes
have done what was asked before the next request is sent (the reference answers before it has), so that an
answer depends on the requests before it and on nothing else.
"""

from __future__ import annotations

import re
import select
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from tests.conformance import normal
from tests.conformance.generator import ALL_VERSIONS, NODE_ID, VERSIONS, Generator, Step, Topic
from tests.conformance.normal import Normalizer, differences, is_message
from tests.conformance.scenes import (
    BEAT,
    FIND,
    JOIN,
    LIST,
    LIST_TRANSACTIONS,
    MAY_WAIT,
    TOPICS,
    TRANSACTIONS,
    Action,
    Answer,
    Await,
    Scenes,
    Settle,
)
from tests.conformance.scenes import (
    KEYS as SCENE_KEYS,
)
from tests.conformance.symbols import MemberId, Names
from tests.protocol import raw, schema
from tests.protocol.raw import (
    API_VERSIONS,
    CREATE_PARTITIONS,
    CREATE_TOPICS,
    DELETE_RECORDS,
    DELETE_TOPICS,
    DESCRIBE_CONFIGS,
    FETCH,
    INIT_PRODUCER_ID,
    METADATA,
    PRODUCE,
    ZERO_UUID,
    Connection,
)

BASE_TOPICS: dict[str, tuple[int, dict[str, str]]] = {
    "one": (1, {}),
    "three": (3, {}),
    "compacted": (1, {"cleanup.policy": "compact"}),
    "both": (1, {"cleanup.policy": "compact,delete"}),
    "append-time": (1, {"message.timestamp.type": "LogAppendTime"}),
    "small": (1, {"max.message.bytes": "500"}),
    "plain": (1, {"compression.type": "uncompressed"}),
    normal.RECOMPRESSED + "gzip": (1, {"compression.type": "gzip"}),
    normal.RECOMPRESSED + "zstd": (2, {"compression.type": "zstd"}),
}

# What both nodes are started with: nothing may be deleted for its age, rolled or compacted while the requests
# run.
PROPERTIES = {
    "log.cleaner.min.compaction.lag.ms": "9223372036854775807",
    "log.retention.ms": "-1",
    "log.retention.check.interval.ms": "36000000",
    "offsets.topic.replication.factor": "1",
    "offsets.topic.num.partitions": "5",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "transaction.state.log.num.partitions": "5",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    "share.coordinator.state.topic.num.partitions": "5",
    "group.initial.rebalance.delay.ms": "0",
    "group.consumer.assignment.interval.ms": "0",
    "group.consumer.max.session.timeout.ms": "3600000",
    "group.consumer.session.timeout.ms": "3600000",
}

NO_ANSWER_WAIT = 8.0
# How long a request that may have to wait for others is given before it counts as waiting.
QUICK = 0.12
# Where the ids begin that stand for those that a node has not given.
_NOT_GIVEN = 900_000_000


class Peer:
    """One node: its connection and what it has given out."""

    def __init__(self, address: str, sent_times: set[int]) -> None:
        self.address = address
        self.names = Names()
        self.normalizer = Normalizer(self.names, address, sent_times)
        # Requests that wait keep the connection of their actor.
        self.actors: dict[int, Connection] = {}
        self.side = Connection(address)

    def close(self) -> None:
        for actor in list(self.actors):
            self.drop(actor)
        self.side.close()

    def connection(self, actor: int) -> Connection:
        if actor not in self.actors:
            self.actors[actor] = Connection(self.address)
        return self.actors[actor]

    def drop(self, actor: int) -> None:
        self.actors.pop(actor).close()

    def answered(self, actor: int, seconds: float) -> bool:
        """Whether there is something to read within that time."""
        return bool(select.select([self.connection(actor).socket], [], [], seconds)[0])

    def send(self, step: Step) -> int:
        struct = schema.request_schema(step.key, step.version)
        body = schema.encode(struct, self.names.resolve(step.values))
        header: dict[str, Any] = {}
        if step.damage == "cut":
            body = body[: len(body) * step.parameter // 1000]
        elif step.damage == "trailing":
            body += b"trailing"
        elif step.damage == "tags":
            # An unknown tag in the header and, in place of an empty section, at the end of the body.
            header["tags"] = b"\1\x63\2ab"
            if body.endswith(b"\0"):
                body = body[:-1] + b"\1\x63\2ab"
        version = step.parameter if step.damage == "version" else step.version
        # The ids that nodes draw begin with the client's, so their order is the same on both.
        client = f"raw{step.actor}" if step.actor else "raw"
        return self.connection(step.actor).send(step.key, version, body, client_id=client, **header)

    def receive(self, step: Step, correlation: int) -> Any:
        connection = self.connection(step.actor)
        if step.silent:
            # An error closes the connection; otherwise the next request is answered.
            follow = connection.send(API_VERSIONS, 0, {})
            frame = connection.read_frame(NO_ANSWER_WAIT)
            answer: Any = (
                "served" if isinstance(frame, bytes) and frame[:4] == follow.to_bytes(4, "big") else frame
            )
        elif step.damage == "version":
            answer = connection.read_frame(NO_ANSWER_WAIT)
            if isinstance(answer, bytes):
                answer = answer[4:].hex()
        else:
            try:
                answer = connection.receive(step.key, step.version, correlation, NO_ANSWER_WAIT)
            except Exception as error:
                answer = f"unreadable: {error}"
        if not isinstance(answer, (dict, str)) or (
            isinstance(answer, str) and answer.startswith("unreadable")
        ):
            self.drop(step.actor)
        return answer

    # What has to be there before the next request

    def settle(self, step: Step, answer: Any, created: list[str]) -> None:
        if not isinstance(answer, dict):
            return
        if step.key in (CREATE_TOPICS, CREATE_PARTITIONS) and not step.values.get("validate_only"):
            for result in answer["topics" if step.key == CREATE_TOPICS else "results"]:
                if result["error_code"] == 0:
                    counts = [
                        t["count"]
                        for t in step.values["topics"]
                        if t["name"] == result["name"] and "count" in t
                    ]
                    self.await_topic(result["name"], partitions=max(counts, default=1))
        elif step.key == METADATA:
            for name in created:
                self.await_topic(name, ask_again=True)
        elif step.key == DELETE_TOPICS:
            deleted = [r for r in answer["responses"] if r["error_code"] == 0]
            for result in deleted:
                self.await_no_topic(result["name"])
            if deleted:
                time.sleep(0.05)  # The reference closes the files after its metadata says that they are gone.
        elif step.key in (raw.ALTER_CONFIGS, raw.INCREMENTAL_ALTER_CONFIGS):
            # No request tells when the logs have taken a new config.
            time.sleep(0 if step.values["validate_only"] else 0.08)

    def metadata(self, name: str) -> dict[str, Any]:
        values = {"topics": [{"topic_id": ZERO_UUID, "name": name}], "allow_auto_topic_creation": False}
        return self.side.call(METADATA, 12, values)["topics"][0]

    def await_topic(self, name: str, *, partitions: int = 1, ask_again: bool = False) -> None:
        try:
            raw.wait_for_topic(self.side, name, partitions, timeout=10.0)
        except AssertionError:
            if ask_again:
                # The reference drops the creation when its controller is busy.
                self.side.call(METADATA, 1, {"topics": [{"name": name}]})
                self.await_topic(name)
        topic_id = self.metadata(name)["topic_id"]
        if any(topic_id):
            self.names.learn_topic(name, topic_id)

    def await_coordinators(self) -> None:
        """Until the internal topics are there and loaded."""
        deadline = time.monotonic() + 30
        for key_type, asked in ((0, LIST), (1, LIST_TRANSACTIONS)):
            for name in (f"warm-{i}" for i in range(20)):
                find = {"key": name, "key_type": key_type}
                while (
                    self.side.call(FIND, 3, find)["error_code"] or self.side.call(asked, 0, {})["error_code"]
                ):
                    assert time.monotonic() < deadline, f"no coordinator of type {key_type} at {self.address}"
                    time.sleep(0.05)

    def learn_producer(self) -> None:
        """The first producer id; the first answer after a start may be "try again"."""
        values = {
            "transactional_id": None,
            "transaction_timeout": 60000,
            "producer_id": -1,
            "producer_epoch": -1,
        }
        deadline = time.monotonic() + 10
        while (answer := self.side.call(INIT_PRODUCER_ID, 4, values))["error_code"] == 14:
            assert time.monotonic() < deadline, f"no producer id from {self.address}"
            time.sleep(0.05)
        self.names.producers.append(answer["producer_id"])

    def await_transaction(self, name: str) -> None:
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            (found,) = self.side.call(TRANSACTIONS, 0, {"transactional_ids": [name]})["transaction_states"]
            if not found["transaction_state"].startswith("Prepare"):
                return
            time.sleep(0.005)

    def await_no_topic(self, name: str) -> None:
        deadline = time.monotonic() + 10
        while name and self.metadata(name)["error_code"] == 0 and time.monotonic() < deadline:
            time.sleep(0.005)


@dataclass
class Difference:
    number: int
    step: Step
    found: list[tuple[str, Any, Any]]

    @property
    def signature(self) -> str:
        paths = sorted({re.sub(r"\[\d+\]", "[]", path) for path, _, _ in self.found})
        path, first, second = next((f for f in self.found if not is_message(f[0])), self.found[0])
        shown = re.sub(r"\[\d+\]", "[]", path)
        values = f"{shown}: {short(first)} != {short(second)}" if not is_message(path) else "only messages"
        return f"{schema.API_NAMES[self.step.key]}: {values} ({len(paths)} fields)"

    @property
    def only_messages(self) -> bool:
        return all(is_message(path) for path, _, _ in self.found)


def short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


@dataclass
class Report:
    requests: Counter[int] = field(default_factory=Counter)
    equal: Counter[int] = field(default_factory=Counter)
    messages: Counter[int] = field(default_factory=Counter)
    versions: set[tuple[int, int]] = field(default_factory=set)
    found: list[Difference] = field(default_factory=list)
    seconds: float = 0.0

    def table(self, keys: Iterable[int] = (*VERSIONS, *SCENE_KEYS)) -> str:
        lines = [
            "| API | versions | requests | equal | equal but for message texts | score |",
            "|---|---|---|---|---|---|",
        ]
        rows = [
            (
                f"{key} {schema.API_NAMES[key]}",
                _span(key),
                self.requests[key],
                self.equal[key],
                self.messages[key],
            )
            for key in sorted(set(keys))
        ]
        total = [sum(row[i] for row in rows) for i in (2, 3, 4)]
        for name, span, requests, equal, messages in [*rows, ("all", "", *total)]:
            score = f"{100 * equal / requests:.1f} %" if requests else "-"
            lines.append(f"| {name} | {span} | {requests} | {equal} | {equal + messages} | {score} |")
        return "\n".join(lines)

    def add(self, other: Report) -> None:
        self.requests += other.requests
        self.equal += other.equal
        self.messages += other.messages
        self.versions |= other.versions
        self.found += other.found
        self.seconds += other.seconds

    def groups(self) -> dict[str, list[Difference]]:
        grouped: dict[str, list[Difference]] = {}
        for difference in self.found:
            grouped.setdefault(difference.signature, []).append(difference)
        return dict(sorted(grouped.items(), key=lambda item: -len(item[1])))


def _span(key: int) -> str:
    versions = ALL_VERSIONS[key]
    return f"{versions.start}-{versions.stop - 1}"


def _prepare(peers: list[Peer], generator: Generator) -> None:
    for name, (partitions, configs) in BASE_TOPICS.items():
        for peer in peers:
            _, topic_id = raw.create_topic(peer.side, name, partitions=partitions, configs=configs)
            peer.names.learn_topic(name, topic_id)
        generator.learn_created(name, partitions, fixed=True)
    for kind, name, known in (
        (2, "one", generator.learned_topic),
        (4, str(NODE_ID), generator.learned_broker),
    ):
        resource = {"resource_type": kind, "resource_name": name, "configuration_keys": None}
        values = {"resources": [resource], "include_synonyms": False, "include_documentation": False}
        for config in peers[0].side.call(DESCRIBE_CONFIGS, 4, values)["results"][0]["configs"]:
            known.append((config["name"], config["config_type"], config["value"]))
    for peer in peers:
        peer.learn_producer()
    generator.producers = 1


def _given(step: Step, answer: Any) -> int | None:
    """The producer or session id in this answer, if there is one."""
    if not isinstance(answer, dict) or answer.get("error_code"):
        return None
    if step.key == INIT_PRODUCER_ID:
        return int(answer["producer_id"])
    return answer.get("session_id") or None


def _learn_numbers(peers: list[Peer], step: Step, answers: list[Any]) -> None:
    """Ids are known by the request that asked for them; a node that gave none then has an impossible one."""
    if step.key not in (INIT_PRODUCER_ID, FETCH):
        return
    lists = [p.names.producers if step.key == INIT_PRODUCER_ID else p.names.sessions for p in peers]
    given = [_given(step, answer) for answer in answers]
    fresh = [value is not None and value not in known for known, value in zip(lists, given, strict=True)]
    if any(fresh):
        for known, value, is_fresh in zip(lists, given, fresh, strict=True):
            known.append(value if is_fresh and value is not None else _NOT_GIVEN + len(known))


def _learn_session(generator: Generator, peer: Peer, step: Step, answer: Any, known: int) -> None:
    """The epoch that the reference expects next in the session of this fetch."""
    sessions = peer.names.sessions
    generator.sessions += [1] * (len(sessions) - len(generator.sessions))
    if step.key != FETCH or not isinstance(answer, dict) or answer.get("session_id") not in sessions:
        return
    number = sessions.index(answer["session_id"])
    if number < known:
        generator.sessions[number] = step.values.get("session_epoch", -1) + 1


def _created_by_metadata(generator: Generator, step: Step, answer: Any) -> list[str]:
    """The topics that this Metadata request makes, in the background."""
    if step.key != METADATA or not isinstance(answer, dict):
        return []
    if not step.values.get("allow_auto_topic_creation", True):
        return []
    missing = [t["name"] for t in answer["topics"] if t["error_code"] in (3, 5) and t["name"] is not None]
    created = [name for name in missing if name not in generator.topics]
    for name in created:
        generator.learn_created(name, 1)
    return created


def _learn(generator: Generator, peer: Peer, step: Step, answer: Any) -> None:
    """What else the generator has to know about the reference now."""
    if step.key == PRODUCE and step.damage not in ("cut", "version"):
        for topic in step.values["topic_data"] or ():
            name = topic.get("name") or getattr(topic.get("topic_id"), "name", None)
            known = generator.topics.get(name)
            for data in (topic["partition_data"] or ()) if known else ():
                if isinstance(known, Topic) and 0 <= data["index"] < known.partitions:
                    known.ends[data["index"]] = raw.high_watermark(peer.side, known.name, data["index"])
    if not isinstance(answer, dict):
        return
    if step.key == CREATE_TOPICS and not step.values["validate_only"]:
        for result in answer["topics"]:
            if result["error_code"] == 0:
                generator.learn_created(result["name"], len(peer.metadata(result["name"])["partitions"]))
    elif step.key == CREATE_PARTITIONS and not step.values["validate_only"]:
        for result in answer["results"]:
            if result["error_code"] == 0:
                generator.topics[result["name"]].partitions = len(peer.metadata(result["name"])["partitions"])
    elif step.key == DELETE_TOPICS:
        for result in answer["responses"]:
            if result["error_code"] == 0:
                generator.topics.pop(result["name"], None)
    elif step.key == DELETE_RECORDS:
        for topic in answer["topics"]:
            for result in topic["partitions"]:
                if result["low_watermark"] > 0:
                    generator.topics[topic["name"]].trimmed.add(result["partition_index"])


def run(
    reference: str, other: str, requests: int, seed: int, *, log: Any = None, only: set[int] | None = None
) -> Report:
    started = time.monotonic()
    generator = Generator(seed, raw.now_ms())
    peers = [Peer(reference, generator.sent_times), Peer(other, generator.sent_times)]
    report = Report()
    try:
        _prepare(peers, generator)
        number = 0
        while number < requests:
            step = generator.next_step()
            if only and step.key not in only and step.key not in (PRODUCE, CREATE_TOPICS):
                continue
            number += 1
            correlations = [peer.send(step) for peer in peers]
            answers = [peer.receive(step, c) for peer, c in zip(peers, correlations, strict=True)]
            known_sessions = len(peers[0].names.sessions)
            _learn_numbers(peers, step, answers)
            generator.producers = len(peers[0].names.producers)
            _learn_session(generator, peers[0], step, answers[0], known_sessions)
            created = _created_by_metadata(generator, step, answers[0])
            for peer, answer in zip(peers, answers, strict=True):
                peer.settle(step, answer, created)
            for name in created:
                codes = [peer.metadata(name)["error_code"] for peer in peers]
                assert codes == [0, 0], f"{name} after request {number}, a Metadata: errors {codes}"
            _learn(generator, peers[0], step, answers[0])
            score(report, peers, number, step, answers, log)
    finally:
        for peer in peers:
            peer.close()
    report.seconds = time.monotonic() - started
    return report


class _Stage:
    """Plays scenes on both nodes and scores their answers."""

    def __init__(self, peers: list[Peer], generator: Generator, report: Report, log: Any) -> None:
        self.peers = peers
        self.report = report
        self.log = log
        self.generator = generator
        self.scenes = Scenes(generator, peers[0].names)
        self.number = 0
        # What waits for its answer, and the last answer, on the connection of each actor.
        self.waiting: dict[int, tuple[int, Step, list[int]]] = {}
        self.last: dict[int, Answer] = {}

    def play(self) -> None:
        scene = self.scenes.next_scene()
        answer = None
        try:
            while True:
                action = next(scene) if answer is None else scene.send(answer)
                answer = self.act(action)
        except StopIteration:
            pass
        for actor in list(self.waiting):
            self.collect(actor, 0.0)
        self.waiting.clear()
        self.last.clear()
        for peer in self.peers:
            for actor in [a for a in peer.actors if a]:
                peer.drop(actor)

    def act(self, action: Action) -> Answer:
        if isinstance(action, Settle):
            for peer in self.peers:
                peer.await_transaction(action.transactional_id)
            return Answer()
        if isinstance(action, Await):
            if action.actor in self.waiting:
                self.collect(action.actor, 1.0)
            return self.last.get(action.actor, Answer())
        for actor in list(self.waiting):
            self.collect(actor, 0.0)
        if action.actor in self.waiting:
            # Somebody else stopped what it waits for; the member goes on.
            return Answer()
        self.number += 1
        self.waiting[action.actor] = self.number, action, [peer.send(action) for peer in self.peers]
        self.last[action.actor] = Answer()
        self.collect(action.actor, QUICK if action.key in MAY_WAIT else NO_ANSWER_WAIT)
        return self.last[action.actor]

    def collect(self, actor: int, seconds: float) -> None:
        """Takes the answers of this actor when one of the nodes gives one within that time."""
        number, step, correlations = self.waiting[actor]
        deadline = time.monotonic() + seconds
        while not any(peer.answered(actor, 0) for peer in self.peers):
            if time.monotonic() >= deadline:
                if step.key in MAY_WAIT:
                    return
                break
            self.peers[0].answered(actor, 0.005)
        del self.waiting[actor]
        answers = [peer.receive(step, c) for peer, c in zip(self.peers, correlations, strict=True)]
        _learn_numbers(self.peers, step, answers)
        member = _learn_member(self.peers, step, answers)
        self.last[actor] = Answer(answers[0], member)
        score(self.report, self.peers, number, step, answers, self.log)


def _learn_member(peers: list[Peer], step: Step, answers: list[Any]) -> MemberId | None:
    """The symbol of the member that the reference answers about; a node that made no id has an impossible one."""
    if step.key not in (JOIN, BEAT):
        return None
    given = [answer.get("member_id") if isinstance(answer, dict) else None for answer in answers]
    sent = [peer.names.resolve(step.values.get("member_id")) for peer in peers]
    known = [peer.names.members for peer in peers]
    if not given[0]:
        return None
    if given[0] in known[0]:
        return MemberId(known[0].index(given[0]))
    if given[0] == sent[0]:
        return None
    for peer, value in zip(peers, given, strict=True):
        peer.names.members.append(value or f"<none {len(peer.names.members)}>")
        peer.normalizer.drawn.add(step.values["group_id"])
    return MemberId(len(known[0]) - 1)


def score(
    report: Report, peers: list[Peer], number: int, step: Step, answers: list[Any], log: Any = None
) -> None:
    group = step.values.get("group_id")
    compared = [p.normalizer.answer(step.key, a, group) for p, a in zip(peers, answers, strict=True)]
    found = differences(*compared)
    report.requests[step.key] += 1
    report.versions.add((step.key, step.version))
    if not found:
        report.equal[step.key] += 1
        return
    difference = Difference(number, step, found)
    report.found.append(difference)
    if difference.only_messages:
        report.messages[step.key] += 1
    if log:
        log(difference)


def run_scenes(reference: str, other: str, requests: int, seed: int, *, log: Any = None) -> Report:
    """The same for groups and transactions."""
    started = time.monotonic()
    generator = Generator(seed, raw.now_ms())
    peers = [Peer(reference, generator.sent_times), Peer(other, generator.sent_times)]
    report = Report()
    try:
        for peer in peers:
            for name, partitions in {"solo": 1, "trio": 3, **TOPICS}.items():
                raw.create_topic(peer.side, name, partitions=partitions)
                peer.names.learn_topic(name, peer.metadata(name)["topic_id"])
            peer.await_coordinators()
            peer.learn_producer()
        stage = _Stage(peers, generator, report, log)
        while stage.number < requests:
            stage.play()
    finally:
        for peer in peers:
            peer.close()
    report.seconds = time.monotonic() - started
    return report


__all__ = ["PROPERTIES", "Difference", "Report", "run", "run_scenes", "score", "short"]
