"""Databases whose upsert goes through a staging table: Netezza, and Actian Vector with Ingres.

The rows are loaded into a temporary table, then one UPDATE changes the rows that are there and one INSERT
adds those that are not, in the same transaction. Checked as SQL text only.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from connect.api.data import Type
from connect.jdbc.dialects.base import DATE, TIME, TIMESTAMP, Dialect, FieldSpec, TypeNames, equal_columns
from connect.jdbc.types import Column, SqlType, TableId


class StagingDialect(Dialect):
    uses_staging = True

    def staging_name(self, staging: str) -> str:
        return self.quoter.exact(staging)

    def _insert_missing(
        self, table: TableId, staging: str, keys: Sequence[Column], others: Sequence[Column]
    ) -> str:
        quote = self.quoter.exact
        every = [*keys, *others]
        names = self.columns([column.name for column in every])
        values = ", ".join(f"incoming.{quote(column.name)}" for column in every)
        return (
            f"INSERT INTO {self.table(table)} ({names}) "
            f"SELECT {values} FROM {self.staging_name(staging)} incoming "
            f"WHERE NOT EXISTS (SELECT 1 FROM {self.table(table)} target "
            f"WHERE {equal_columns(self.quoter, 'target', 'incoming', keys)})"
        )


class NetezzaDialect(StagingDialect):
    name = "netezza"
    type_names: ClassVar[TypeNames] = {
        Type.INT8: "BYTEINT",
        Type.INT16: "SMALLINT",
        Type.INT32: "INTEGER",
        Type.INT64: "BIGINT",
        Type.FLOAT32: "REAL",
        Type.FLOAT64: "DOUBLE PRECISION",
        Type.BOOLEAN: "BOOLEAN",
        Type.STRING: "NVARCHAR(4000)",
        Type.BYTES: "VARBINARY(16000)",
        DATE: "DATE",
        TIME: "TIME",
        TIMESTAMP: "TIMESTAMP",
    }
    key_type_names: ClassVar[TypeNames] = {Type.STRING: "NVARCHAR(512)", Type.BYTES: "VARBINARY(1024)"}

    def decimal_type(self, scale: int) -> str:
        return f"NUMERIC(38,{min(max(scale, 0), 38)})"

    def create_table(self, table: TableId, fields: Sequence[FieldSpec]) -> str:
        # Rows are spread over the appliance by the key, or at random.
        keys = [self.quoter.new(field.name) for field in fields if field.key]
        return f"{super().create_table(table, fields)}\nDISTRIBUTE ON {f'({keys[0]})' if keys else 'RANDOM'}"

    def add_columns(self, table: TableId, fields: Sequence[FieldSpec]) -> list[str]:
        definitions = ", ".join(self.column_definition(field) for field in fields)
        return [f"ALTER TABLE {self.table(table)} ADD COLUMN {definitions}"]

    def create_staging(self, table: TableId, staging: str, columns: Sequence[Column]) -> list[str]:
        names = self.columns([column.name for column in columns])
        return [
            f"CREATE TEMPORARY TABLE {self.quoter.exact(staging)} AS "
            f"SELECT {names} FROM {self.table(table)} WHERE 1 = 0"
        ]

    def staged_upsert(
        self, table: TableId, staging: str, keys: Sequence[Column], others: Sequence[Column]
    ) -> list[str]:
        statements = []
        quote = self.quoter.exact
        if others:
            changes = ", ".join(f"{quote(c.name)} = incoming.{quote(c.name)}" for c in others)
            statements.append(
                f"UPDATE {self.table(table)} target SET {changes} FROM {quote(staging)} incoming "
                f"WHERE {equal_columns(self.quoter, 'target', 'incoming', keys)}"
            )
        statements.append(self._insert_missing(table, staging, keys, others))
        statements.append(f"DELETE FROM {quote(staging)}")
        return statements

    def savepoint(self, name: str) -> str | None:
        return None

    def external_load(self, table: TableId, columns: Sequence[Column], path: str) -> str:
        """A bulk load from a file of the client's (tab separated, backslash escapes, \\N for null)."""
        names = self.columns([column.name for column in columns])
        return (
            f"INSERT INTO {self.table(table)} ({names}) SELECT * FROM EXTERNAL {self.string_literal(path)} "
            "USING (REMOTESOURCE 'python' DELIMITER '\\t' ESCAPECHAR '\\' NULLVALUE '\\N' ENCODING "
            "'internal' "
            "CTRLCHARS TRUE CRINSTRING TRUE BOOLSTYLE 'T_F' MAXERRORS 0)"
        )


class IngresDialect(StagingDialect):
    name = "ingres"
    fold = "lower"
    max_decimal_precision = 38
    type_names: ClassVar[TypeNames] = {
        Type.INT8: "TINYINT",
        Type.INT16: "SMALLINT",
        Type.INT32: "INTEGER",
        Type.INT64: "BIGINT",
        Type.FLOAT32: "FLOAT4",
        Type.FLOAT64: "FLOAT8",
        Type.BOOLEAN: "BOOLEAN",
        Type.STRING: "NVARCHAR(4000)",
        Type.BYTES: "VARBYTE(16000)",
        DATE: "ANSIDATE",
        TIME: "TIME",
        TIMESTAMP: "TIMESTAMP",
    }
    key_type_names: ClassVar[TypeNames] = {Type.STRING: "NVARCHAR(256)", Type.BYTES: "VARBYTE(512)"}
    # A column that may be null says so by WITH NULL.
    null_text = " WITH NULL"

    def staging_name(self, staging: str) -> str:
        return f"session.{self.quoter.exact(staging)}"

    def add_columns(self, table: TableId, fields: Sequence[FieldSpec]) -> list[str]:
        return [
            f"ALTER TABLE {self.table(table)} ADD COLUMN {self.column_definition(field)}" for field in fields
        ]

    def create_staging(self, table: TableId, staging: str, columns: Sequence[Column]) -> list[str]:
        names = self.columns([column.name for column in columns])
        return [
            f"DECLARE GLOBAL TEMPORARY TABLE {self.staging_name(staging)} AS "
            f"SELECT {names} FROM {self.table(table)} WHERE 1 = 0 ON COMMIT PRESERVE ROWS WITH NORECOVERY"
        ]

    def staged_upsert(
        self, table: TableId, staging: str, keys: Sequence[Column], others: Sequence[Column]
    ) -> list[str]:
        statements = []
        quote = self.quoter.exact
        if others:
            changes = ", ".join(f"{quote(c.name)} = incoming.{quote(c.name)}" for c in others)
            statements.append(
                f"UPDATE {self.table(table)} target FROM {self.staging_name(staging)} incoming SET {changes} "
                f"WHERE {equal_columns(self.quoter, 'target', 'incoming', keys)}"
            )
        statements.append(self._insert_missing(table, staging, keys, others))
        statements.append(f"DELETE FROM {self.staging_name(staging)}")
        return statements

    def now(self, sql_type: SqlType) -> str:
        return "SELECT CURRENT_TIMESTAMP"
