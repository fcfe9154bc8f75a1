"""PostgreSQL (and what speaks its SQL): ON CONFLICT, arrays, never a catalog in a name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from connect.api.data import Type
from connect.jdbc.dialects.base import DATE, TIME, TIMESTAMP, Dialect, FieldSpec, TypeNames
from connect.jdbc.types import Column, SqlType, TableId


class PostgresDialect(Dialect):
    name = "postgresql"
    checked = "tested"
    fold = "lower"
    max_name_length = None  # In bytes, 63 by default; the driver asks the server.
    multi_row = 1000
    type_names: ClassVar[TypeNames] = {
        Type.INT8: "SMALLINT",
        Type.INT16: "SMALLINT",
        Type.INT32: "INT",
        Type.INT64: "BIGINT",
        Type.FLOAT32: "REAL",
        Type.FLOAT64: "DOUBLE PRECISION",
        Type.BOOLEAN: "BOOLEAN",
        Type.STRING: "TEXT",
        Type.BYTES: "BYTEA",
        DATE: "DATE",
        TIME: "TIME",
        TIMESTAMP: "TIMESTAMP",
    }

    def table(self, table: TableId) -> str:
        return super().table(table._replace(catalog=None))

    def new_table(self, table: TableId) -> str:
        return super().new_table(table._replace(catalog=None))

    def decimal_type(self, scale: int) -> str:
        return "DECIMAL"

    def type_name(self, field: FieldSpec) -> str:
        items = field.schema.value_schema
        if field.schema.type is Type.ARRAY and items is not None and items.type.is_primitive:
            return f"{self.type_name(FieldSpec(field.name, items))}[]"
        return super().type_name(field)

    def bytes_literal(self, value: bytes) -> str:
        return f"'\\x{value.hex()}'"

    def upsert(self, table: TableId, keys: Sequence[Column], others: Sequence[Column], rows: int = 1) -> str:
        return f"{self.insert(table, [*keys, *others], rows)} {self._on_conflict(keys, others)}"

    def _on_conflict(self, keys: Sequence[Column], others: Sequence[Column]) -> str:
        target = f"ON CONFLICT ({self.columns([column.name for column in keys])})"
        if not others:
            return f"{target} DO NOTHING"
        changes = ", ".join(
            f"{name} = EXCLUDED.{name}" for name in (self.quoter.exact(c.name) for c in others)
        )
        return f"{target} DO UPDATE SET {changes}"

    def create_staging(self, table: TableId, staging: str, columns: Sequence[Column]) -> list[str]:
        names = self.columns([column.name for column in columns])
        return [
            f"CREATE TEMPORARY TABLE {self.quoter.exact(staging)} ON COMMIT DELETE ROWS AS "
            f"SELECT {names} FROM {self.table(table)} WITH NO DATA"
        ]

    def staged_upsert(
        self, table: TableId, staging: str, keys: Sequence[Column], others: Sequence[Column]
    ) -> list[str]:
        names = self.columns([column.name for column in [*keys, *others]])
        return [
            f"INSERT INTO {self.table(table)} ({names}) SELECT {names} FROM {self.quoter.exact(staging)} "
            f"{self._on_conflict(keys, others)}"
        ]

    def set_isolation(self, level: str) -> str | None:
        return f"SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL {level}"

    def now(self, sql_type: SqlType) -> str:
        return (
            "SELECT clock_timestamp()"
            if sql_type is SqlType.TIMESTAMP_TZ
            else "SELECT clock_timestamp()::timestamp"
        )
