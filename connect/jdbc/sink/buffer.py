"""One put's records, sorted into what can be written together.

In: rows in the order of their records, each with its plan, and deletes. Out: `Batch`es in the order in
which they must be written. What must hold: after all batches, every key is as if its records had been
written one by one. That is why, of one key, only the last row of a plan is kept (an upsert may not touch a
key twice), why a delete takes back the rows before it, why all deletes of a table go before its rows (a row
that stands after its delete stays), and why a key that comes in two shapes ends a round when the order of
the shapes would be wrong.

Records without a key (insert with pk.mode=none) are only collected.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from connect.api.records import SinkRecord
from connect.jdbc.sink.plan import RowPlan
from connect.jdbc.types import TableId

Row = Sequence[Any]


@dataclass(slots=True)
class Batch:
    """Rows for one statement, with the records they come from, row by row."""

    plan: RowPlan
    mode: str  # insert, upsert, update or delete.
    rows: list[Row]
    records: list[SinkRecord]


@dataclass(slots=True)
class _Group:
    plan: RowPlan
    rows: dict[Any, tuple[Row, SinkRecord]] = field(default_factory=dict)


class TableBuffer:
    """The rows of one table. `keyed` when the order of a key's records matters."""

    def __init__(self, table: TableId, mode: str, *, keyed: bool) -> None:
        self.table = table
        self.mode = mode
        self.keyed = keyed
        self._done: list[Batch] = []
        self._groups: dict[RowPlan, _Group] = {}
        self._owners: dict[Any, _Group] = {}
        self._deletes: _Group | None = None
        self._plain: dict[RowPlan, Batch] = {}

    def add(self, plan: RowPlan, row: Row, record: SinkRecord) -> None:
        if not self.keyed:
            batch = self._plain.get(plan)
            if batch is None:
                batch = self._plain[plan] = Batch(plan, self.mode, [], [])
            batch.rows.append(row)
            batch.records.append(record)
            return
        key = plan.key_of(row)
        group = self._groups.get(plan)
        if group is None:
            group = self._groups[plan] = _Group(plan)
            plan.index = len(self._groups)
        owner = self._owners.get(key)
        if owner is not None:
            if self.mode == "insert" or (
                owner is not group and not owner.plan.names <= plan.names and owner.plan.index > plan.index
            ):
                # A second insert of a key is the database's to judge; a row in a shape that is written
                # earlier than the key's last one has to wait for it.
                self._end_round()
                group = self._groups[plan] = _Group(plan)
                plan.index = 1
            elif owner is not group and owner.plan.names <= plan.names:
                del owner.rows[key]
        self._owners[key] = group
        group.rows[key] = (row, record)

    def add_all(self, plan: RowPlan, rows: Sequence[Row], records: Sequence[SinkRecord]) -> None:
        """`add`, for rows of one plan."""
        if not self.keyed:
            batch = self._plain.get(plan)
            if batch is None:
                batch = self._plain[plan] = Batch(plan, self.mode, [], [])
            batch.rows += rows
            batch.records += records
            return
        group = self._groups.get(plan)
        if self.mode == "insert" or len(self._groups) != (group is not None):
            for row, record in zip(rows, records, strict=True):
                self.add(plan, row, record)
            return
        if group is None:
            group = self._groups[plan] = _Group(plan)
            plan.index = 1
        # All keys there are belong to this group: the last row of each counts.
        keys = list(map(plan.key_of, rows))
        self._owners.update(dict.fromkeys(keys, group))
        group.rows.update(zip(keys, zip(rows, records, strict=True), strict=True))

    def add_delete(self, plan: RowPlan, row: Row, record: SinkRecord) -> None:
        key = plan.key_of(row)
        self._owners.pop(key, None)
        for group in self._groups.values():
            group.rows.pop(key, None)
        if self._deletes is None:
            self._deletes = _Group(plan)
        self._deletes.rows[key] = (row, record)

    def batches(self, size: int) -> Iterator[Batch]:
        """Everything, in order, in batches of at most `size` rows."""
        self._end_round()
        for batch in [*self._done, *self._plain.values()]:
            for start in range(0, len(batch.rows), size):
                yield Batch(
                    batch.plan,
                    batch.mode,
                    batch.rows[start : start + size],
                    batch.records[start : start + size],
                )

    def _end_round(self) -> None:
        if self._deletes is not None:
            self._finish(self._deletes, "delete")
            self._deletes = None
        for group in self._groups.values():
            self._finish(group, self.mode)
        self._groups = {}
        self._owners = {}

    def _finish(self, group: _Group, mode: str) -> None:
        if group.rows:
            rows, records = zip(*group.rows.values(), strict=True)
            self._done.append(Batch(group.plan, mode, list(rows), list(records)))
