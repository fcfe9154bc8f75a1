"""Writes the records of one put in one transaction.

In: records. Out: rows in the database and the list of records that cannot be written, each with its reason;
or a `DatabaseError`, when the whole put has to be tried again. What must hold: either everything that can
be written is committed, with the offsets where they are kept, or nothing is.

The quick way writes whole batches. When that fails for a reason that lies in a row, everything is rolled
back and written again the careful way: each batch in a savepoint, and a batch that fails is halved until
the rows that cannot be written stand alone.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

from connect.api.data import Schema, Struct
from connect.api.errors import ConnectError
from connect.api.records import SinkRecord
from connect.api.sink import TopicPartition
from connect.jdbc.drivers import Connection
from connect.jdbc.identifiers import IdentifierError
from connect.jdbc.sink.binding import Binder
from connect.jdbc.sink.buffer import Batch, TableBuffer
from connect.jdbc.sink.config import SinkSettings
from connect.jdbc.sink.offsets import OffsetTable
from connect.jdbc.sink.plan import RowPlan, Shape, table_of
from connect.jdbc.sink.tables import Tables
from connect.jdbc.types import DatabaseError, ErrorKind, TableId

log = logging.getLogger(__name__)

MAX_PLANS = 1000
BadRecord = tuple[SinkRecord, Exception]
_ShapeKey = tuple[str, Schema | None, Schema | None, object, object]


class Writer:
    """Belongs to one connection; is thrown away with it."""

    def __init__(
        self,
        connection: Connection,
        settings: SinkSettings,
        binder: Binder,
        offsets: OffsetTable | None = None,
    ) -> None:
        self.connection = self._connection = connection
        self._settings = settings
        self._binder = binder
        self._offsets = offsets
        self._tables = Tables(connection, settings)
        self._plans: dict[_ShapeKey, RowPlan] = {}
        self.skipped_tombstones = 0

    def write(
        self,
        records: Sequence[SinkRecord],
        on_bad: Callable[[Sequence[BadRecord]], None],
        *,
        careful: bool = True,
        every_error_is_a_rows: bool = False,
    ) -> None:
        """`careful`: look for the rows that are to blame; else the first error is raised.
        `every_error_is_a_rows`: retries are used up, so blame rows for whatever is not the connection's."""
        records = self._not_yet_written(records)
        bad: list[BadRecord] = []
        try:
            batches = self._sorted(records, bad)
            row_by_row = every_error_is_a_rows
            if not row_by_row:
                try:
                    for batch in batches:
                        self._write_batch(batch)
                except DatabaseError as error:
                    if error.kind is not ErrorKind.DATA or not careful:
                        raise
                    self._roll_back()
                    row_by_row = True
                    bad.clear()
                    batches = self._sorted(records, bad)
            if row_by_row:
                for batch in batches:
                    self._write_carefully(batch, bad, every_error_is_a_rows)
            if bad:
                on_bad(bad)
            if self._offsets is not None:
                self._offsets.advance(_next_offsets(records))
            self._connection.commit()
        except BaseException:
            self._roll_back()
            raise
        if self._offsets is not None:
            self._offsets.reached.update(_next_offsets(records))

    def _roll_back(self) -> None:
        self._plans.clear()
        self._tables.forget()
        try:
            self._connection.rollback()
        except DatabaseError as error:
            log.debug("rolling back: %s", error)

    def _not_yet_written(self, records: Sequence[SinkRecord]) -> Sequence[SinkRecord]:
        if self._offsets is None or not self._offsets.reached:
            return records
        reached = self._offsets.reached
        return [
            record
            for record in records
            if record.original_kafka_offset
            >= reached.get(TopicPartition(record.original_topic, record.original_kafka_partition), 0)
        ]

    # ---- from records to batches ----

    def _sorted(self, records: Sequence[SinkRecord], bad: list[BadRecord]) -> list[Batch]:
        settings = self._settings
        mode = settings.insert_mode
        keyed = mode == "upsert" or settings.delete_enabled
        tables: dict[TableId, TableBuffer] = {}
        at = 0
        while at < len(records):
            run = _alike(records, at)
            at += len(run)
            if len(run) > 1:
                try:
                    plan = self._plan(run[0])
                    rows = plan.rows(run)
                except (ConnectError, IdentifierError):
                    rows = None
                if rows is not None:
                    self._buffer(tables, plan.table, mode, keyed).add_all(plan, rows, run)
                    continue
            for record in run:
                try:
                    if record.value is not None:
                        plan = self._plan(record)
                        self._buffer(tables, plan.table, mode, keyed).add(plan, plan.row(record), record)
                    elif settings.delete_enabled:
                        plan = self._plan(record)
                        buffer = self._buffer(tables, plan.table, mode, keyed)
                        buffer.add_delete(plan, plan.row(record), record)
                    else:
                        self.skipped_tombstones += 1
                except (ConnectError, IdentifierError) as error:
                    bad.append((record, error))
        return [batch for table in tables.values() for batch in table.batches(settings.batch_size)]

    def _buffer(
        self, tables: dict[TableId, TableBuffer], table: TableId, mode: str, keyed: bool
    ) -> TableBuffer:
        found = tables.get(table)
        if found is None:
            found = tables[table] = TableBuffer(table, mode, keyed=keyed)
        return found

    def _plan(self, record: SinkRecord) -> RowPlan:
        value = record.value
        key, key_schema = record.key, record.key_schema
        if self._settings.pk_mode != "record_key":  # Whatever the key is, the row does not have it.
            key = key_schema = None
        shape_key: _ShapeKey = (
            record.topic,
            key_schema,
            record.value_schema if value is not None else None,
            tuple(value) if type(value) is dict else type(value),
            tuple(key) if type(key) is dict else type(key),
        )
        plan = self._plans.get(shape_key)
        if plan is None:
            plan = self._make_plan(record)
            if len(self._plans) >= MAX_PLANS:
                self._plans.clear()
            self._plans[shape_key] = plan
        return plan

    def _make_plan(self, record: SinkRecord) -> RowPlan:
        settings = self._settings
        table = table_of(record.topic, settings, self._connection.dialect)
        shape = Shape(record, settings)
        if settings.insert_mode in ("upsert", "update") and not shape.key_fields:
            raise ConnectError(
                f"insert.mode={settings.insert_mode} needs a primary key (see pk.mode and pk.fields)"
            )
        schemaless = any(field.schema is None for field in shape.fields)
        table, columns = self._tables.columns_for(table, shape.fields, schemaless=schemaless)
        return RowPlan(table, shape, columns, self._binder, settings)

    # ---- from batches to the database ----

    def _write_batch(self, batch: Batch) -> None:
        plan, connection = batch.plan, self._connection
        if batch.mode == "upsert":
            connection.upsert_rows(plan.table, plan.keys, plan.others, batch.rows)
        elif batch.mode == "insert":
            connection.insert_rows(plan.table, plan.columns, batch.rows)
        elif batch.mode == "update":
            count = plan.key_count
            if plan.others:
                turned = [[*row[count:], *row[:count]] for row in batch.rows]
                connection.update_rows(plan.table, plan.keys, plan.others, turned)
        else:
            connection.delete_rows(plan.table, plan.keys, [row[: plan.key_count] for row in batch.rows])

    def _write_carefully(self, batch: Batch, bad: list[BadRecord], every_error_is_a_rows: bool) -> None:
        """Halves the batch until the rows that fail stand alone."""
        waiting = [batch]
        dialect = self._connection.dialect
        while waiting:
            part = waiting.pop()
            savepoint = dialect.savepoint("pybroker_part")
            if savepoint is not None:
                self._connection.execute(savepoint)
            try:
                self._write_batch(part)
                release = dialect.release("pybroker_part")
                if savepoint is None:
                    self._connection.commit()
                elif release is not None:
                    self._connection.execute(release)
            except DatabaseError as error:
                if error.kind is ErrorKind.CONNECTION or (
                    error.kind is not ErrorKind.DATA and not every_error_is_a_rows
                ):
                    raise
                if savepoint is None:
                    self._connection.rollback()
                else:
                    self._connection.execute(dialect.rollback_to("pybroker_part"))
                    release = dialect.release("pybroker_part")
                    if release is not None:  # Derby has room for one.
                        self._connection.execute(release)
                self._connection.forget_staging()
                if len(part.rows) == 1:
                    bad.append((part.records[0], error))
                    continue
                half = len(part.rows) // 2
                waiting.append(Batch(part.plan, part.mode, part.rows[half:], part.records[half:]))
                waiting.append(Batch(part.plan, part.mode, part.rows[:half], part.records[:half]))


def _alike(records: Sequence[SinkRecord], at: int) -> Sequence[SinkRecord]:
    """The records from there on that are structs of the first one's topic, schemas and kind of key: they have
    one plan. Of any other kind of record one alone."""
    first = records[at]
    if type(first.value) is not Struct:
        return records[at : at + 1]
    topic, key_schema, value_schema = first.topic, first.key_schema, first.value_schema
    key_type = type(first.key)
    end = at + 1
    for end in range(at + 1, len(records)):
        record = records[end]
        if (
            record.value_schema is not value_schema
            or record.key_schema is not key_schema
            or type(record.value) is not Struct
            or type(record.key) is not key_type
            or record.topic != topic
        ):
            return records[at:end]
    return records[at:]


def _next_offsets(records: Sequence[SinkRecord]) -> dict[TopicPartition, int]:
    reached: dict[TopicPartition, int] = {}
    for record in records:
        place = TopicPartition(record.original_topic, record.original_kafka_partition)
        reached[place] = record.original_kafka_offset + 1
    return reached
