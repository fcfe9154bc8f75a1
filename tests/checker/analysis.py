"""What must not be in a history: the anomalies of Jepsen's published Kafka workload, and a few of our own.

In: operations, each worker's in its order. Out: anomaly name -> descriptions. What must hold: it trusts only
what clients saw; write cycles (G0) are allowed, because Kafka does not isolate writes.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from itertools import pairwise
from typing import Any

from tests.checker.history import FAIL, INFO, OK, Operation, Poll

Found = dict[str, list[str]]


class Analysis:
    """The derived structures of a history. `complete`: the final phase read everything."""

    def __init__(self, operations: list[Operation], *, complete: bool = True) -> None:
        self.operations = operations
        self.complete = complete
        self.found: Found = defaultdict(list)
        # (key, value) -> who sent it; who polled it with success.
        self.writer: dict[tuple[int, int], Operation] = {}
        self.read_by: dict[tuple[int, int], list[Operation]] = defaultdict(list)
        for operation in operations:
            for send in operation.sends:
                self.writer[send.key, send.value] = operation
            if operation.outcome == OK:
                for key, _, value in polled(operation):
                    self.read_by[key, value].append(operation)
        self.committed = {id(operation) for operation in operations if self._is_committed(operation)}
        self.log: dict[int, dict[int, set[int]]] = defaultdict(lambda: defaultdict(set))
        for operation in operations:
            if id(operation) in self.committed:
                for send in operation.sends:
                    if send.offset is not None:
                        self.log[send.key][send.offset].add(send.value)
            for key, offset, value in polled(operation):
                self.log[key][offset].add(value)
        # Dense positions: markers and aborted records leave holes in the offsets.
        self.order: dict[int, list[int]] = {}
        self.positions: dict[int, dict[int, list[int]]] = {}
        for key, offsets in self.log.items():
            self.order[key] = [value for offset in sorted(offsets) for value in sorted(offsets[offset])]
            at: dict[int, list[int]] = defaultdict(list)
            for index, value in enumerate(self.order[key]):
                at[value].append(index)
            self.positions[key] = at

    def _is_committed(self, operation: Operation) -> bool:
        if operation.outcome == OK:
            return True
        return operation.outcome == INFO and any(
            (send.key, send.value) in self.read_by for send in operation.sends
        )

    def index(self, key: int, value: int) -> int | None:
        at = self.positions.get(key, {}).get(value)
        return at[0] if at else None

    def run(self) -> Found:
        self._offsets()
        self._aborted_reads()
        self._lost()
        self._order_of_polls()
        self._order_of_sends()
        self._cycles()
        return dict(self.found)

    def _offsets(self) -> None:
        for key, offsets in self.log.items():
            for offset, values in offsets.items():
                if len(values) > 1:
                    self.found["inconsistent-offsets"].append(f"key {key} offset {offset}: {sorted(values)}")
            for value, at in self.positions[key].items():
                if len(at) > 1:
                    self.found["duplicate"].append(f"key {key} value {value}: {len(at)} times")
        for operation in self.operations:
            for poll in operation.polls:
                for key, records in poll.records.items():
                    offsets_seen = [offset for offset, _ in records]
                    if key not in operation.rebalanced and offsets_seen != sorted(set(offsets_seen)):
                        self.found["offsets-of-a-poll"].append(f"key {key}: {offsets_seen}")

    def _aborted_reads(self) -> None:
        for operation in self.operations:
            sent = {(send.key, send.value) for send in operation.sends}
            for key, offset, value in polled(operation):
                writer = self.writer.get((key, value))
                where = f"key {key} offset {offset} value {value}"
                if writer is None:
                    self.found["never-sent"].append(where)
                elif operation.outcome == OK and writer.outcome == FAIL:
                    self.found["G1a"].append(where)
                if (key, value) in sent:
                    self.found["precommitted-read"].append(where)
        if not self.complete:
            return
        for operation in self.operations:
            if operation.kind != "txn" or not operation.sends:
                continue
            seen = [(send.key, send.value) in self.read_by for send in operation.sends]
            if any(seen) and not all(seen):
                missing = [
                    (send.key, send.value) for send, was in zip(operation.sends, seen, strict=True) if not was
                ]
                self.found["G1b"].append(f"transaction {operation.outcome}: {missing} never seen")

    def _lost(self) -> None:
        bound: dict[int, int] = {}
        for key, at in self.positions.items():
            read = [indexes[0] for value, indexes in at.items() if (key, value) in self.read_by]
            bound[key] = max(read, default=-1)
        for operation in self.operations:
            if id(operation) not in self.committed:
                continue
            for send in operation.sends:
                if (send.key, send.value) in self.read_by:
                    continue
                at = self.positions.get(send.key, {}).get(send.value)
                if at and at[-1] <= bound.get(send.key, -1):
                    self.found["lost-write"].append(f"key {send.key} offset {send.offset} value {send.value}")
                if self.complete and operation.outcome == OK:
                    self.found["unseen"].append(f"key {send.key} offset {send.offset} value {send.value}")

    def _order_of_polls(self) -> None:
        last: dict[int, dict[int, int]] = defaultdict(dict)
        for operation in self.operations:
            reads = last[operation.worker]
            if operation.kind in ("assign", "subscribe"):
                last[operation.worker] = {
                    key: value for key, value in reads.items() if key in operation.carried
                }
                continue
            sequence: dict[int, list[int]] = defaultdict(list)
            for key, _, value in polled(operation):
                sequence[key].append(value)
            for key, values in sequence.items():
                if operation.assigned and not operation.final and operation.outcome == OK:
                    self._step("", key, reads.get(key), values[0])
                if key not in operation.rebalanced:
                    for before, after in pairwise(values):
                        self._step("int-", key, before, after)
                if operation.outcome == OK:
                    reads[key] = values[-1]

    def _step(self, prefix: str, key: int, before: int | None, after: int) -> None:
        """From one value that a worker read to the next one of the same key."""
        if before is None:
            return
        first, second = self.index(key, before), self.index(key, after)
        delta = 1 if first is None or second is None else second - first
        if delta > 1:
            skipped = self.order[key][(first or 0) + 1 : second]
            counted = [value for value in skipped if self._counts(key, value)]
            if counted:
                self.found[f"{prefix}poll-skip"].append(
                    f"key {key}: {before} to {after} without {counted[:5]}"
                )
        elif delta < 1:
            self.found[f"{prefix}nonmonotonic-poll"].append(f"key {key}: {before} then {after}")

    def _counts(self, key: int, value: int) -> bool:
        writer = self.writer.get((key, value))
        return writer is not None and id(writer) in self.committed

    def _order_of_sends(self) -> None:
        last: dict[tuple[int, int], int] = {}
        for operation in self.operations:
            if operation.outcome == FAIL:
                continue
            seen: dict[int, int] = {}
            for send in operation.sends:
                at = self.index(send.key, send.value)
                if at is None:
                    continue
                if send.key in seen:
                    if at <= seen[send.key]:
                        self.found["int-nonmonotonic-send"].append(f"key {send.key} value {send.value}")
                elif at <= last.get((operation.worker, send.key), -1):
                    self.found["nonmonotonic-send"].append(f"key {send.key} value {send.value}")
                seen[send.key] = at
            for key, at in seen.items():
                last[operation.worker, key] = at

    def _cycles(self) -> None:
        """G1c: transactions that read from each other in a circle."""
        nodes = [operation for operation in self.operations if id(operation) in self.committed]
        edges: dict[int, set[int]] = {id(operation): set() for operation in nodes}
        for operation in nodes:
            for key, _, value in polled(operation):
                writer = self.writer.get((key, value))
                if writer is not None and writer is not operation and id(writer) in edges:
                    edges[id(writer)].add(id(operation))
        for component in components(edges):
            if len(component) > 1:
                self.found["G1c"].append(f"{len(component)} operations read from each other")


def polled(operation: Operation) -> Iterable[tuple[int, int, int]]:
    """(key, offset, value) of everything that an operation polled."""
    for step in operation.steps:
        if isinstance(step, Poll):
            for key, records in step.records.items():
                for offset, value in records:
                    yield key, offset, value


def components(edges: dict[int, set[int]]) -> list[list[int]]:
    """Strongly connected components (Tarjan), without recursion."""
    index: dict[int, int] = {}
    low: dict[int, int] = {}
    stack: list[int] = []
    on_stack: set[int] = set()
    found: list[list[int]] = []
    for root in edges:
        if root in index:
            continue
        work: list[tuple[int, Any]] = [(root, iter(edges[root]))]
        index[root] = low[root] = len(index)
        stack.append(root)
        on_stack.add(root)
        while work:
            node, following = work[-1]
            for other in following:
                if other not in index:
                    index[other] = low[other] = len(index)
                    stack.append(other)
                    on_stack.add(other)
                    work.append((other, iter(edges[other])))
                    break
                if other in on_stack:
                    low[node] = min(low[node], index[other])
            else:
                work.pop()
                if work:
                    low[work[-1][0]] = min(low[work[-1][0]], low[node])
                if low[node] == index[node]:
                    component = []
                    while True:
                        member = stack.pop()
                        on_stack.discard(member)
                        component.append(member)
                        if member == node:
                            break
                    found.append(component)
    return found


def allowed(found: Found) -> Found:
    """What is left of the anomalies after those that are no fault."""
    return {name: what for name, what in found.items() if what}
