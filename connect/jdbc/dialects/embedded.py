"""Databases reached by a JDBC driver jar: H2, HSQLDB, Derby, and whatever else ("generic": no DDL, and
upserts row by row)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from connect.api.data import Type
from connect.jdbc.dialects.base import DATE, TIME, TIMESTAMP, Dialect, FieldSpec, TypeNames
from connect.jdbc.dialects.merging import MergingDialect
from connect.jdbc.types import Column, TableId

_STANDARD: TypeNames = {
    Type.INT8: "SMALLINT",
    Type.INT16: "SMALLINT",
    Type.INT32: "INTEGER",
    Type.INT64: "BIGINT",
    Type.FLOAT32: "REAL",
    Type.FLOAT64: "DOUBLE PRECISION",
    Type.BOOLEAN: "BOOLEAN",
    Type.STRING: "VARCHAR(32672)",
    Type.BYTES: "BLOB",
    DATE: "DATE",
    TIME: "TIME",
    TIMESTAMP: "TIMESTAMP",
}


class GenericDialect(Dialect):
    """A database that nobody told us about. Its types and its upsert are unknown, so tables must exist, and
    an upsert is an UPDATE, and an INSERT where that finds no row."""

    name = "generic"
    has_upsert = False


class H2Dialect(Dialect):
    name = "h2"
    checked = "tested"

    def release(self, name: str) -> str | None:
        return None

    multi_row = 1
    type_names: ClassVar[TypeNames] = {**_STANDARD, Type.INT8: "TINYINT", Type.STRING: "VARCHAR"}
    key_type_names: ClassVar[TypeNames] = {Type.BYTES: "VARBINARY(1024)"}

    def decimal_type(self, scale: int) -> str:
        return f"NUMERIC(1000,{max(scale, 0)})"

    def add_columns(self, table: TableId, fields: Sequence[FieldSpec]) -> list[str]:
        return [f"ALTER TABLE {self.table(table)} ADD {self.column_definition(field)}" for field in fields]

    def upsert(self, table: TableId, keys: Sequence[Column], others: Sequence[Column], rows: int = 1) -> str:
        every = [*keys, *others]
        names = self.columns([column.name for column in every])
        return (
            f"MERGE INTO {self.table(table)} ({names}) KEY ({self.columns([c.name for c in keys])}) "
            f"VALUES {self.values(every, rows)}"
        )


class HsqldbDialect(MergingDialect):
    name = "hsqldb"
    null_text = ""
    type_names: ClassVar[TypeNames] = {**_STANDARD, Type.INT8: "TINYINT", Type.STRING: "LONGVARCHAR"}
    key_type_names: ClassVar[TypeNames] = {Type.STRING: "VARCHAR(1024)", Type.BYTES: "VARBINARY(1024)"}

    def add_columns(self, table: TableId, fields: Sequence[FieldSpec]) -> list[str]:
        return [f"ALTER TABLE {self.table(table)} ADD {self.column_definition(field)}" for field in fields]

    def merge_source(self, columns: Sequence[Column]) -> str:
        markers = ", ".join(f"CAST({self.marker(c)} AS {_sized(c)})" for c in columns)
        return f"(VALUES ({markers})) AS incoming ({self.columns([c.name for c in columns])})"


class DerbyDialect(Dialect):
    """Its MERGE wants a table as the source, which one row of parameters is not: an upsert is an UPDATE, and
    an INSERT where that finds no row."""

    name = "derby"
    checked = "tested"
    null_text = ""
    has_upsert = False
    max_decimal_precision = 31
    type_names: ClassVar[TypeNames] = {
        **_STANDARD, Type.FLOAT32: "FLOAT", Type.FLOAT64: "DOUBLE", Type.BOOLEAN: "SMALLINT",
        Type.BYTES: "BLOB(64000)",
    }  # fmt: skip
    key_type_names: ClassVar[TypeNames] = {
        Type.STRING: "VARCHAR(512)",
        Type.BYTES: "VARCHAR(512) FOR BIT DATA",
    }

    def boolean_literal(self, value: bool) -> str:
        return "1" if value else "0"

    def savepoint(self, name: str) -> str | None:
        return f"SAVEPOINT {name} ON ROLLBACK RETAIN CURSORS"

    def add_columns(self, table: TableId, fields: Sequence[FieldSpec]) -> list[str]:
        return [f"ALTER TABLE {self.table(table)} ADD {self.column_definition(field)}" for field in fields]


def _sized(column: Column) -> str:
    if column.length and column.type_name.upper() in ("VARCHAR", "CHAR", "CHARACTER", "VARBINARY", "BINARY"):
        return f"{column.type_name}({column.length})"
    if column.precision and column.type_name.upper() in ("DECIMAL", "NUMERIC"):
        return f"{column.type_name}({column.precision},{column.scale or 0})"
    return column.type_name
