"""Offsets kept beside the rows, for a sink that writes nothing twice.

In: partitions that are opened, and the offsets reached. Out: where to read on. What must hold: the offset
changes in the transaction that writes the rows, and only for the task that opened the partition last:
opening raises the partition's epoch, and a change that names an older epoch finds no row, so a task that is
no longer the owner fails.
"""

from __future__ import annotations

from collections.abc import Iterable

from connect.api.data import Schema, Type
from connect.api.errors import ConnectError
from connect.api.sink import TopicPartition
from connect.jdbc.dialects import MARK, FieldSpec
from connect.jdbc.drivers import Connection
from connect.jdbc.types import DatabaseError, TableId

_STRING = Schema(Type.STRING)
_INT32 = Schema(Type.INT32)
_INT64 = Schema(Type.INT64)
_FIELDS = [
    FieldSpec("connector", _STRING, True),
    FieldSpec("topic", _STRING, True),
    FieldSpec("partition", _INT32, True),
    FieldSpec("offset", _INT64),
    FieldSpec("epoch", _INT64),
]


class OffsetTable:
    def __init__(self, connection: Connection, connector: str, name: str) -> None:
        self._connection = connection
        self._connector = connector
        dialect = connection.dialect
        self._table: TableId = dialect.parse_table(name)
        quote = dialect.quoter.new
        self._name = dialect.new_table(self._table)
        self._where = (
            f"{quote('connector')} = {MARK} AND {quote('topic')} = {MARK} AND {quote('partition')} = {MARK}"
        )
        self._offset, self._epoch = quote("offset"), quote("epoch")
        self._columns = ", ".join(quote(field.name) for field in _FIELDS)
        self._epochs: dict[TopicPartition, int] = {}
        self.reached: dict[TopicPartition, int] = {}

    def create(self) -> None:
        if not self._connection.find_table(self._table)[1]:
            self._connection.rollback()
            try:
                self._connection.execute(self._connection.dialect.create_table(self._table, _FIELDS))
                self._connection.commit()
            except DatabaseError:
                self._connection.rollback()
                if not self._connection.find_table(self._table)[1]:  # Otherwise another task was quicker.
                    raise
        self._connection.rollback()

    def open(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        """Takes the partitions over; the next offset of each of those that have one."""
        for partition in partitions:
            place = [self._connector, partition.topic, partition.partition]
            changed = self._connection.execute(
                f"UPDATE {self._name} SET {self._epoch} = {self._epoch} + 1 WHERE {self._where}", place
            )
            if changed == 0:
                marks = ", ".join([MARK] * 5)
                self._connection.execute(
                    f"INSERT INTO {self._name} ({self._columns}) VALUES ({marks})", [*place, -1, 1]
                )
            row = self._connection.query(
                f"SELECT {self._offset}, {self._epoch} FROM {self._name} WHERE {self._where}", place
            )[0]
            self._epochs[partition] = int(row[1])
            if int(row[0]) >= 0:
                self.reached[partition] = int(row[0])
            else:
                self.reached.pop(partition, None)
        self._connection.commit()
        return {partition: self.reached[partition] for partition in partitions if partition in self.reached}

    def advance(self, offsets: dict[TopicPartition, int]) -> None:
        """Within the transaction of the rows; ConnectError when another task has taken a partition over."""
        for partition, offset in offsets.items():
            changed = self._connection.execute(
                f"UPDATE {self._name} SET {self._offset} = {MARK} WHERE {self._where} AND "
                f"{self._epoch} = {MARK}",
                [
                    offset,
                    self._connector,
                    partition.topic,
                    partition.partition,
                    self._epochs.get(partition, 0),
                ],
            )
            if changed == 0:
                raise ConnectError(
                    f"another task has taken over {partition.topic}-{partition.partition}: nothing "
                    "was written"
                )

    def alter(self, offsets: dict[TopicPartition, int | None]) -> None:
        for partition, offset in offsets.items():
            place = [self._connector, partition.topic, partition.partition]
            if offset is None:
                self._connection.execute(f"DELETE FROM {self._name} WHERE {self._where}", place)
                continue
            changed = self._connection.execute(
                f"UPDATE {self._name} SET {self._offset} = {MARK} WHERE {self._where}", [offset, *place]
            )
            if changed == 0:
                marks = ", ".join([MARK] * 5)
                self._connection.execute(
                    f"INSERT INTO {self._name} ({self._columns}) VALUES ({marks})", [*place, offset, 1]
                )
        self._connection.commit()

    @property
    def opened(self) -> set[TopicPartition]:
        return set(self._epochs)

    def close(self, partitions: Iterable[TopicPartition]) -> None:
        for partition in partitions:
            self._epochs.pop(partition, None)
            self.reached.pop(partition, None)
