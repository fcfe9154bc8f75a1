"""What clients did and saw: the operations that the workload records and the analysis reads.

Keys are partitions: key k is partition k % 2 of topic `t{k // 2}`. Values are integers, unique per key.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

OK, FAIL, INFO = "ok", "fail", "info"


@dataclass
class Send:
    key: int
    value: int
    offset: int | None = None


@dataclass
class Poll:
    """key -> [(offset, value)] in the order in which they came."""

    records: dict[int, list[tuple[int, int]]] = field(default_factory=dict)


@dataclass
class Operation:
    """One operation of one worker. `kind` is assign, subscribe, send, poll or txn.

    ok: it happened; fail: it surely did not (nothing of it may be seen); info: nobody knows.
    """

    worker: int
    kind: str
    outcome: str = INFO
    steps: list[Send | Poll] = field(default_factory=list)
    # Of assign and subscribe: the keys asked for. Of the others: whether the consumer has assigned keys.
    keys: tuple[int, ...] = ()
    assigned: bool = True
    # Of assign: the keys that go on where the worker was. Others start at the group's committed offset.
    carried: tuple[int, ...] = ()
    # Keys that were given or taken during the operation.
    rebalanced: set[int] = field(default_factory=set)
    error: str = ""
    start: float = 0.0
    end: float = 0.0
    final: bool = False

    @property
    def sends(self) -> list[Send]:
        return [step for step in self.steps if isinstance(step, Send)]

    @property
    def polls(self) -> list[Poll]:
        return [step for step in self.steps if isinstance(step, Poll)]

    def to_json(self) -> dict[str, Any]:
        steps: list[Any] = [
            ["send", step.key, step.value, step.offset]
            if isinstance(step, Send)
            else ["poll", {str(key): found for key, found in step.records.items()}]
            for step in self.steps
        ]
        return {
            "worker": self.worker,
            "kind": self.kind,
            "outcome": self.outcome,
            "steps": steps,
            "keys": list(self.keys),
            "assigned": self.assigned,
            "carried": list(self.carried),
            "rebalanced": sorted(self.rebalanced),
            "error": self.error,
            "start": round(self.start, 4),
            "end": round(self.end, 4),
            "final": self.final,
        }


def partition_of(key: int) -> tuple[str, int]:
    return f"t{key // 2}", key % 2


def key_of(topic: str, partition: int) -> int:
    return int(topic[1:]) * 2 + partition
