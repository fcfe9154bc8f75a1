"""Parts of a request whose bytes differ from node to node: ids of topics, producers, sessions and members, batches
that carry them.

In: a request with symbols in it and the `Names` of one node. Out: the request with that node's values. The
way back, from an answer to symbols, is in `normal.py`. What must hold: both nodes get requests that mean the
same.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from typing import Any

from tests.protocol.raw import Batch


@dataclass(frozen=True)
class TopicId:
    """The id that the node gave to its `number`-th topic of this name."""

    name: str
    number: int = 0


@dataclass(frozen=True)
class ProducerId:
    number: int


@dataclass(frozen=True)
class SessionId:
    number: int


@dataclass(frozen=True)
class MemberId:
    """The id that the node made for the `number`-th member that asked for one."""

    number: int


@dataclass(frozen=True)
class Directory:
    """The path of a log directory, with something after it."""

    number: int
    after: str = ""


@dataclass(frozen=True)
class Records:
    """Batches one after the other, then `tail`, of all that the first `keep` bytes (or all but the last
    -keep).
    """

    batches: tuple[Batch, ...]
    tail: bytes = b""
    keep: int | None = None


@dataclass
class Names:
    """What one node has given out so far."""

    topics: dict[tuple[str, int], bytes] = field(default_factory=dict)
    producers: list[int] = field(default_factory=list)
    sessions: list[int] = field(default_factory=list)
    members: list[str] = field(default_factory=list)
    directories: list[str] = field(default_factory=list)

    def learn_topic(self, name: str, topic_id: bytes) -> None:
        if topic_id not in self.topics.values():
            self.topics[name, sum(known == name for known, _ in self.topics)] = topic_id

    def resolve(self, value: Any) -> Any:
        if isinstance(value, TopicId):
            # A node that refused to create the topic has no id for it.
            return self.topics.get((value.name, value.number), b"\xee" * 16)
        if isinstance(value, ProducerId):
            return (
                self.producers[value.number] if value.number < len(self.producers) else 10**12 + value.number
            )
        if isinstance(value, SessionId):
            return self.sessions[value.number] if value.number < len(self.sessions) else 10**9 + value.number
        if isinstance(value, MemberId):
            return self.members[value.number]
        if isinstance(value, Directory):
            return self.directories[value.number] + value.after
        if isinstance(value, Records):
            data = b"".join(b.but(producer_id=self.resolve(b.producer_id)).bytes() for b in value.batches)
            data += value.tail
            return data if value.keep is None else data[: value.keep]
        if isinstance(value, dict):
            return {name: self.resolve(item) for name, item in value.items()}
        if isinstance(value, list):
            return [self.resolve(item) for item in value]
        return value

    def topic_symbol(self, topic_id: bytes) -> str | None:
        for (name, number), known in self.topics.items():
            if known == topic_id:
                return f"<id {number} of {name}>"
        return None


def id_text(topic_id: bytes) -> str:
    """A topic id as Kafka prints it."""
    return base64.urlsafe_b64encode(topic_id).decode().rstrip("=")
