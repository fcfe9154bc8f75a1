"""The tables that a sink writes to: found, created, and given the columns that are missing.

What must hold: a table is looked up once and again after anything went wrong; columns are only added, never
changed or dropped; two tasks that create the same table or column at once both go on.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

from connect.api.errors import ConnectError
from connect.jdbc.drivers import Connection
from connect.jdbc.sink.config import SinkSettings
from connect.jdbc.sink.plan import FieldSpec, match_fields
from connect.jdbc.types import Column, DatabaseError, ErrorKind, TableId

log = logging.getLogger(__name__)


class Tables:
    def __init__(self, connection: Connection, settings: SinkSettings) -> None:
        self._connection = connection
        self._settings = settings
        self._columns: dict[TableId, tuple[TableId, list[Column]]] = {}

    def forget(self) -> None:
        self._columns.clear()

    def columns_for(
        self, table: TableId, fields: Sequence[FieldSpec], *, schemaless: bool
    ) -> tuple[TableId, dict[str, Column]]:
        """The table as the database names it, and the column of each field. Definitions commit, in some
        databases by themselves: this must be called before any row of the transaction is written."""
        found, columns = self._columns.get(table) or self._connection.find_table(table)
        if not columns:
            self._create(table, fields, schemaless)
            found, columns = self._connection.find_table(table)
            if not columns:
                raise ConnectError(f"the table {table} cannot be found after it was created")
        matched, missing = match_fields(fields, columns)
        if missing:
            columns = self._connection.columns(found)  # Somebody else may have added them.
            matched, missing = match_fields(fields, columns)
        if missing:
            self._evolve(found, missing, schemaless)
            columns = self._connection.columns(found)
            matched, missing = match_fields(fields, columns)
            if missing:
                raise ConnectError(f"the table {table} still lacks {_names(missing)} after ALTER TABLE")
        self._columns[table] = found, columns
        return found, matched

    def _create(self, table: TableId, fields: Sequence[FieldSpec], schemaless: bool) -> None:
        if not self._settings.auto_create:
            raise ConnectError(f"the table {table} does not exist, and auto.create is false")
        if schemaless:
            raise ConnectError(
                f"the table {table} does not exist and cannot be created from records without schema: "
                "create it, "
                "or use a converter with schemas"
            )
        fields = [self._typed(field) for field in fields]
        self._check_names([table.table, *(field.name for field in fields)])
        self._define([self._connection.dialect.create_table(table, fields)], table)
        log.info("Created the table %s", table)

    def _evolve(self, table: TableId, missing: Sequence[FieldSpec], schemaless: bool) -> None:
        if not self._settings.auto_evolve:
            raise ConnectError(
                f"the table {table} has no column for {_names(missing)}, and auto.evolve is false"
            )
        if schemaless:
            raise ConnectError(
                f"the table {table} has no column for {_names(missing)}, and records without schema "
                "do not say "
                "of what type it should be"
            )
        required = [field for field in missing if not field.schema.optional and field.schema.default is None]
        if required:
            raise ConnectError(
                f"the table {table} has no column for {_names(required)}, and it cannot be added: the "
                "field is "
                "neither optional nor has it a default"
            )
        missing = [self._typed(field) for field in missing]
        self._check_names([field.name for field in missing])
        plain = [field._replace(key=False) for field in missing]
        self._define(self._connection.dialect.add_columns(table, plain), table)
        log.info("Added %s to the table %s", _names(missing), table)

    def _typed(self, field: FieldSpec) -> FieldSpec:
        if field.name not in self._settings.timestamp_fields:
            return field
        from connect.api.data import Timestamp

        builder = Timestamp.builder()
        return field._replace(schema=(builder.optional() if field.schema.optional else builder).build())

    def _check_names(self, names: Sequence[str]) -> None:
        limit = self._connection.dialect.max_name_length
        for name in names:
            if limit is not None and len(name) > limit:
                raise ConnectError(
                    f"the name {name[:80]!r} has {len(name)} characters, and "
                    f"{self._connection.dialect.name} takes "
                    f"{limit}"
                )

    def _define(self, statements: Sequence[str], table: TableId) -> None:
        try:
            for statement in statements:
                self._connection.execute(statement)
            self._connection.commit()
        except DatabaseError as error:
            self._connection.rollback()
            if error.kind is ErrorKind.CONNECTION:
                raise
            # Another task may have done the same at the same time: the caller looks again.
            if not self._connection.find_table(table)[1]:
                raise
            log.info("%s: %s", table, error)


def _names(fields: Sequence[FieldSpec]) -> str:
    return ", ".join(repr(field.name) for field in fields)
