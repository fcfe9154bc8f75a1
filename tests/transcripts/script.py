"""Coordinators by script: commands in, one line for everything that clients see or the log holds.

A transcript is a text file. A line that begins with `> ` is a command, the lines below it are what it must bring;
a line with `#` is a remark. The first command names the world: `group`, `consumer-group` or `transactions`.
`python -m tests.transcripts` writes what the commands bring today into the files: the difference is then read by a
person, against the protocol.
"""

from __future__ import annotations

from pybroker.common.errors import ApiError, ErrorCode
from pybroker.wire.schemas.coordinator_records import record_type
from tests.unit.groups import consumer_world
from tests.unit.groups import world as group_world
from tests.unit.transactions import harness

RECORDS = {0: "offset", 1: "offset", 2: "group", 3: "group epoch", 4: "group metadata", 5: "member", 6: "target epoch",
           7: "target of member", 8: "current assignment", 16: "regular expression"}  # fmt: skip


def name_of(code: int) -> str:
    return ErrorCode(code).name


def options_of(words: list[str]) -> dict[str, str]:
    return dict(word.split("=", 1) for word in words if "=" in word)


class GroupScript:
    """A classic group and its offsets. Members have names; their ids are the coordinator's."""

    def __init__(self) -> None:
        self.world = group_world.World()
        self.ids: dict[str, str] = {}
        self.generations: dict[str, int] = {}
        self.instances: dict[str, str] = {}
        self.waiting: list[tuple[str, str, object]] = []
        self.shown = 0

    def run(self, verb: str, words: list[str]) -> list[str]:
        lines = getattr(self, f"do_{verb}")(*words) or []
        return [*lines, *self.answers()]

    def named(self, member_id: str) -> str:
        return next((name for name, known in self.ids.items() if known == member_id), "somebody unknown")

    def answers(self) -> list[str]:
        """What those who waited were told."""
        lines = []
        for entry in list(self.waiting):
            member, kind, deferred = entry
            if not deferred.done:  # type: ignore[attr-defined]
                continue
            self.waiting.remove(entry)
            value = deferred.value  # type: ignore[attr-defined]
            code = group_world.code(deferred)
            if kind == "join" and getattr(value, "member_id", ""):
                self.ids[member] = value.member_id
            if code:
                lines.append(f"{kind} of {member}: {name_of(code)}")
            elif kind == "join":
                self.generations[member] = value.generation_id
                line = f"{member} joined: generation {value.generation_id}, {value.protocol_name}"
                if value.leader == value.member_id:
                    line += f", leads {' '.join(sorted(self.named(m.member_id) for m in value.members))}"
                lines.append(line)
            else:
                lines.append(f"{member} is assigned {bytes(value.assignment).decode() or 'nothing'}")
        return lines

    def do_join(self, member: str, *words: str) -> list[str]:
        given = options_of(list(words))
        fields: dict[str, object] = {key: int(given[key]) for key in ("session", "rebalance") if key in given}
        if "protocols" in given:
            fields["protocols"] = dict.fromkeys(given["protocols"].split(","), b"m")
        if "instance" in given:
            self.instances[member] = given["instance"]
            fields["instance"] = given["instance"]
        self.waiting.append((member, "join", self.world.join(self.ids.get(member, ""), **fields)))
        return []

    def do_sync(self, member: str, *words: str) -> list[str]:
        given = options_of(list(words))
        plan = {self.ids[name]: content.encode() for name, content in given.items()}
        self.waiting.append(
            (member, "sync", self.world.sync(self.ids[member], self.generations[member], plan))
        )
        return []

    def do_beat(self, member: str) -> list[str]:
        code = self.world.heartbeat(
            self.ids[member], self.generations.get(member, -1), instance=self.instances.get(member)
        )
        return [f"heartbeat of {member}: {name_of(code)}"]

    def do_leave(self, member: str) -> list[str]:
        codes = self.world.leave(self.ids[member])
        return [f"{member} leaves: {name_of(code)}" for code in codes]

    def do_commit(self, member: str, offset: str, partition: str = "0") -> list[str]:
        """`commit - 5`: by nobody, as the tools do it."""
        known = member != "-"
        code = self.world.commit(
            int(offset),
            partition=int(partition),
            member=self.ids[member] if known else "",
            generation=self.generations[member] if known else -1,
            instance=self.instances.get(member),
        )
        return [f"commit: {name_of(code)}"]

    def do_commit_in_transaction(self, offset: str, partition: str = "0") -> list[str]:
        return [f"commit: {name_of(self.world.commit_in_transaction(int(offset), partition=int(partition)))}"]

    def do_end_transaction(self, how: str) -> list[str]:
        self.world.end_transaction(how == "commit")
        return []

    def do_fetch(self, partition: str, how: str = "") -> list[str]:
        found = self.world.fetch(int(partition), stable=how == "stable")[int(partition)]
        is_error = found == ErrorCode.UNSTABLE_OFFSET_COMMIT and how == "stable"
        return [f"committed offset: {name_of(found) if is_error else found}"]

    def do_advance(self, milliseconds: str) -> None:
        self.world.advance(int(milliseconds))

    def do_crash(self) -> None:
        self.waiting.clear()
        self.world.crash()

    def do_state(self) -> list[str]:
        group = self.world.shard.groups.get(group_world.GROUP)
        if group is None:
            return ["no group"]
        names = " ".join(sorted(self.named(member_id) for member_id in group.members)) or "nobody"
        return [f"{group.state}, generation {group.generation}: {names}"]

    def do_log(self) -> list[str]:
        records = self.world.records(0)
        fresh, self.shown = records[self.shown :], len(records)
        lines = []
        for number, key, value in fresh:
            if number in (0, 1):
                what = "removed" if value is None else str(value.offset)
                lines.append(f"log: offset of {key.topic}-{key.partition}: {what}")
            elif value is None:
                lines.append(f"log: {RECORDS[number]} removed")
            else:
                members = " ".join(sorted(self.named(m.member_id) for m in value.members)) or "nobody"
                lines.append(f"log: {RECORDS[number]}: generation {value.generation}, {members}")
        return lines or ["log: nothing new"]


class ConsumerGroupScript:
    """A group of KIP-848. A member says in each heartbeat what it was last told to hold."""

    def __init__(self) -> None:
        self.world = consumer_world.World()
        self.epochs: dict[str, int] = {}
        self.told: dict[str, dict[str, list[int]]] = {}
        self.shown = 0

    def run(self, verb: str, words: list[str]) -> list[str]:
        return getattr(self, f"do_{verb}")(*words) or []

    def _beat(self, member: str, call) -> list[str]:  # type: ignore[no-untyped-def]
        try:
            answer = call()
        except ApiError as error:
            return [f"{member}: {name_of(error.code)}"]
        self.epochs[member] = answer.member_epoch
        assignment = consumer_world.partitions(self.world, answer)
        line = f"{member}: epoch {answer.member_epoch}"
        if assignment is not None:
            self.told[member] = assignment
            held = ", ".join(f"{topic} {' '.join(map(str, ps))}" for topic, ps in sorted(assignment.items()))
            line += f", to hold {held or 'nothing'}"
        return [line]

    def do_topic(self, name: str, partitions: str) -> None:
        self.world.set_topic(name, int(partitions))

    def do_delete_topic(self, name: str) -> None:
        self.world.delete_topic(name)

    def do_join(self, member: str, topics: str, *words: str) -> list[str]:
        given = options_of(list(words))
        fields: dict[str, object] = {"instance_id": given.get("instance"), "assignor": given.get("assignor")}
        return self._beat(member, lambda: self.world.join(member, topics.split(","), **fields))

    def do_beat(self, member: str, *words: str) -> list[str]:
        given = options_of(list(words))
        epoch = int(given.get("epoch", self.epochs.get(member, 0)))
        owned = self.told.get(member, {})
        known = {name: ps for name, ps in owned.items() if name in self.world.image.topics}
        return self._beat(member, lambda: self.world.beat(member, epoch, owned=known))

    def do_leave(self, member: str, *words: str) -> list[str]:
        static = options_of(list(words)).get("instance")
        epoch = -2 if static else -1
        return self._beat(member, lambda: self.world.beat(member, epoch, instance_id=static))

    def do_advance(self, milliseconds: str) -> None:
        self.world.advance(int(milliseconds))

    def do_reload(self) -> None:
        self.world.reload()

    def do_state(self) -> list[str]:
        group = self.world.group
        if group is None:
            return ["no group"]
        described = self.world.describe()
        lines = [f"{described.group_state}, epoch {described.group_epoch}, {described.assignor_name}"]
        for member in sorted(described.members, key=lambda entry: entry.member_id):
            held = ", ".join(
                f"{topic.topic_name} {' '.join(map(str, topic.partitions))}"
                for topic in sorted(member.assignment.topic_partitions, key=lambda entry: entry.topic_name)
            )
            lines.append(f"  {member.member_id}: epoch {member.member_epoch}, holds {held or 'nothing'}")
        return lines

    def do_log(self) -> list[str]:
        fresh, self.shown = self.world.log[self.shown :], len(self.world.log)
        names = [
            RECORDS[record_type(key)] + ("" if value is not None else " removed") for key, value in fresh
        ]
        return [f"log: {', '.join(names) or 'nothing new'}"]


class TransactionScript:
    """Producers, a coordinator, and four partitions of topic t."""

    def __init__(self) -> None:
        self.world = harness.World()
        self.producers: dict[str, harness.Producer] = {}

    def run(self, verb: str, words: list[str]) -> list[str]:
        return getattr(self, f"do_{verb}")(*words) or []

    def _answer(self, name: str, error: int, producer: harness.Producer) -> list[str]:
        if error:
            return [f"{name}: {name_of(error)}"]
        return [f"{name}: id {producer.id}, epoch {producer.epoch}"]

    def do_producer(self, name: str, transactional_id: str, *words: str) -> None:
        """The client's side: `version=0` for clients before KIP-890."""
        version = int(options_of(list(words)).get("version", "2"))
        self.producers[name] = harness.Producer(self.world, transactional_id, version)

    def do_init(self, name: str) -> list[str]:
        producer = self.producers[name]
        return self._answer(name, producer.init().error, producer)

    def do_add(self, name: str, *indexes: str) -> list[str]:
        return [f"{name}: {name_of(self.producers[name].add(*map(int, indexes)))}"]

    def do_send(self, name: str, index: str) -> list[str]:
        return [f"{name}: {name_of(self.producers[name].send(int(index)))}"]

    def do_end(self, name: str, how: str, *words: str) -> list[str]:
        """`epoch=N`: a request of an earlier transaction that comes late."""
        producer = self.producers[name]
        epoch = options_of(list(words)).get("epoch")
        answer = producer.end(how == "commit", epoch=None if epoch is None else int(epoch))
        return self._answer(name, answer.error, producer)

    def do_hold_markers(self) -> None:
        self.world.markers_paused = True

    def do_release_markers(self) -> None:
        self.world.resume_markers()

    def do_advance(self, milliseconds: str) -> None:
        self.world.advance(int(milliseconds))

    def do_crash(self) -> None:
        self.world.crash()

    def do_state(self, transactional_id: str) -> list[str]:
        return [f"{transactional_id}: {self.world.state(transactional_id)}"]

    def do_read(self, index: str) -> list[str]:
        stable, end = self.world.stable(int(index)), self.world.end_offset(int(index))
        seen = len(self.world.committed(int(index)))
        return [f"t-{index}: stable to {stable} of {end}, {seen} committed"]


WORLDS = {"group": GroupScript, "consumer-group": ConsumerGroupScript, "transactions": TransactionScript}


def play(text: str) -> str:
    """The transcript with the answers as they are now."""
    script: GroupScript | ConsumerGroupScript | TransactionScript | None = None
    lines: list[str] = []
    for line in text.splitlines():
        if line.startswith("#") or not line:
            lines.append(line)
        elif line.startswith("> "):
            lines.append(line)
            verb, *words = line[2:].split()
            if script is None:
                script = WORLDS[verb]()
            else:
                lines += script.run(verb.replace("-", "_"), words)
    return "\n".join(lines) + "\n"
