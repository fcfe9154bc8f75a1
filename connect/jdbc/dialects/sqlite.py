"""SQLite: ON CONFLICT (never INSERT OR REPLACE, which loses the columns that are not listed), one ALTER per
column.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from connect.api.data import Type
from connect.jdbc.dialects.base import DATE, TIME, TIMESTAMP, Dialect, FieldSpec, TypeNames
from connect.jdbc.types import Column, SqlType, TableId


class SqliteDialect(Dialect):
    name = "sqlite"
    checked = "tested"
    fold = "keep"
    max_name_length = None
    type_names: ClassVar[TypeNames] = {
        Type.INT8: "INTEGER",
        Type.INT16: "INTEGER",
        Type.INT32: "INTEGER",
        Type.INT64: "INTEGER",
        Type.FLOAT32: "REAL",
        Type.FLOAT64: "REAL",
        Type.BOOLEAN: "INTEGER",
        Type.STRING: "TEXT",
        Type.BYTES: "BLOB",
        DATE: "NUMERIC",
        TIME: "NUMERIC",
        TIMESTAMP: "NUMERIC",
    }

    def decimal_type(self, scale: int) -> str:
        return "NUMERIC"

    def boolean_literal(self, value: bool) -> str:
        return "1" if value else "0"

    def add_columns(self, table: TableId, fields: Sequence[FieldSpec]) -> list[str]:
        return [f"ALTER TABLE {self.table(table)} ADD {self.column_definition(field)}" for field in fields]

    def upsert(self, table: TableId, keys: Sequence[Column], others: Sequence[Column], rows: int = 1) -> str:
        target = f"ON CONFLICT ({self.columns([column.name for column in keys])})"
        changes = ", ".join(
            f"{name} = excluded.{name}" for name in (self.quoter.exact(c.name) for c in others)
        )
        action = f"DO UPDATE SET {changes}" if others else "DO NOTHING"
        return f"{self.insert(table, [*keys, *others], rows)} {target} {action}"

    def set_isolation(self, level: str) -> str | None:
        return None

    def now(self, sql_type: SqlType) -> str:
        return "SELECT strftime('%Y-%m-%d %H:%M:%f', 'now')"
