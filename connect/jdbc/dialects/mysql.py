"""MySQL and MariaDB: backticks, ON DUPLICATE KEY, schemas are catalogs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from connect.api.data import Type
from connect.jdbc.dialects.base import DATE, TIME, TIMESTAMP, Dialect, TypeNames
from connect.jdbc.types import Column, SqlType, TableId


class MysqlDialect(Dialect):
    name = "mysql"
    checked = "tested"
    fold = "keep"
    opening = "`"
    closing = "`"
    schema_is_catalog = True
    max_name_length = 64
    multi_row = 1000
    max_parameters = 60_000
    type_names: ClassVar[TypeNames] = {
        Type.INT8: "TINYINT",
        Type.INT16: "SMALLINT",
        Type.INT32: "INT",
        Type.INT64: "BIGINT",
        Type.FLOAT32: "FLOAT",
        Type.FLOAT64: "DOUBLE",
        Type.BOOLEAN: "TINYINT",
        Type.STRING: "TEXT",
        Type.BYTES: "LONGBLOB",
        DATE: "DATE",
        TIME: "TIME(3)",
        TIMESTAMP: "DATETIME(3)",
    }
    key_type_names: ClassVar[TypeNames] = {Type.STRING: "VARCHAR(256)", Type.BYTES: "VARBINARY(1024)"}

    def decimal_type(self, scale: int) -> str:
        return f"DECIMAL(65,{min(max(scale, 0), 38)})"

    def string_literal(self, text: str) -> str:
        return super().string_literal(text.replace("\\", "\\\\"))

    def upsert(self, table: TableId, keys: Sequence[Column], others: Sequence[Column], rows: int = 1) -> str:
        changed = [self.quoter.exact(column.name) for column in others or keys[:1]]
        changes = ", ".join(f"{name} = VALUES({name})" if others else f"{name} = {name}" for name in changed)
        return f"{self.insert(table, [*keys, *others], rows)} ON DUPLICATE KEY UPDATE {changes}"

    def set_isolation(self, level: str) -> str | None:
        return f"SET SESSION TRANSACTION ISOLATION LEVEL {level}"

    def now(self, sql_type: SqlType) -> str:
        return "SELECT CURRENT_TIMESTAMP(6)"
