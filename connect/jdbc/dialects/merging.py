"""Databases whose upsert is MERGE: Oracle, SQL Server, Db2. Checked as SQL text only."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from connect.api.data import Type
from connect.jdbc.dialects.base import DATE, TIME, TIMESTAMP, Dialect, FieldSpec, TypeNames, equal_columns
from connect.jdbc.types import Column, SqlType, TableId


class MergingDialect(Dialect):
    """`MERGE INTO target USING (one row) incoming ON keys WHEN MATCHED ... WHEN NOT MATCHED ...`."""

    # What follows the target's name, and what ends the statement.
    target_hint: ClassVar[str] = ""
    statement_end: ClassVar[str] = ""
    # Between the name of a subquery and its alias.
    alias_word: ClassVar[str] = "AS "

    def merge_source(self, columns: Sequence[Column]) -> str:
        items = ", ".join(f"{self.marker(column)} AS {self.quoter.exact(column.name)}" for column in columns)
        return f"(SELECT {items}) {self.alias_word}incoming"

    def upsert(self, table: TableId, keys: Sequence[Column], others: Sequence[Column], rows: int = 1) -> str:
        quote = self.quoter.exact
        every = [*keys, *others]
        text = (
            f"MERGE INTO {self.table(table)}{self.target_hint} {self.alias_word}target "
            f"USING {self.merge_source(every)} ON ({equal_columns(self.quoter, 'target', 'incoming', keys)})"
        )
        if others:
            changes = ", ".join(f"target.{quote(c.name)} = incoming.{quote(c.name)}" for c in others)
            text += f" WHEN MATCHED THEN UPDATE SET {changes}"
        values = ", ".join(f"incoming.{quote(column.name)}" for column in every)
        names = self.columns([column.name for column in every])
        return f"{text} WHEN NOT MATCHED THEN INSERT ({names}) VALUES ({values}){self.statement_end}"


class OracleDialect(MergingDialect):
    name = "oracle"
    alias_word = ""
    type_names: ClassVar[TypeNames] = {
        Type.INT8: "NUMBER(3,0)",
        Type.INT16: "NUMBER(5,0)",
        Type.INT32: "NUMBER(10,0)",
        Type.INT64: "NUMBER(19,0)",
        Type.FLOAT32: "BINARY_FLOAT",
        Type.FLOAT64: "BINARY_DOUBLE",
        Type.BOOLEAN: "NUMBER(1,0)",
        Type.STRING: "VARCHAR2(4000)",
        Type.BYTES: "BLOB",
        DATE: "DATE",
        TIME: "DATE",
        TIMESTAMP: "TIMESTAMP",
    }
    key_type_names: ClassVar[TypeNames] = {Type.STRING: "VARCHAR2(1000)", Type.BYTES: "RAW(1000)"}

    def decimal_type(self, scale: int) -> str:
        return f"NUMBER(*,{scale})"

    def boolean_literal(self, value: bool) -> str:
        return "1" if value else "0"

    def bytes_literal(self, value: bytes) -> str:
        return f"HEXTORAW('{value.hex()}')"

    def add_columns(self, table: TableId, fields: Sequence[FieldSpec]) -> list[str]:
        definitions = ", ".join(self.column_definition(field) for field in fields)
        return [f"ALTER TABLE {self.table(table)} ADD ({definitions})"]

    def merge_source(self, columns: Sequence[Column]) -> str:
        items = ", ".join(f"{self.marker(column)} AS {self.quoter.exact(column.name)}" for column in columns)
        return f"(SELECT {items} FROM dual) incoming"

    def subselect(self, query: str) -> str:
        return f"({query}\n) q"

    def release(self, name: str) -> str | None:
        return None

    def now(self, sql_type: SqlType) -> str:
        return "SELECT CURRENT_TIMESTAMP FROM dual"


class SqlServerDialect(MergingDialect):
    name = "sqlserver"
    fold = "keep"
    opening = "["
    closing = "]"
    statement_end = ";"
    target_hint = " WITH (HOLDLOCK)"
    multi_row = 1000
    max_parameters = 2000
    type_names: ClassVar[TypeNames] = {
        Type.INT8: "smallint",  # Its tinyint is unsigned.
        Type.INT16: "smallint",
        Type.INT32: "int",
        Type.INT64: "bigint",
        Type.FLOAT32: "real",
        Type.FLOAT64: "float",
        Type.BOOLEAN: "bit",
        Type.STRING: "varchar(max)",
        Type.BYTES: "varbinary(max)",
        DATE: "date",
        TIME: "time",
        TIMESTAMP: "datetime2",
    }
    key_type_names: ClassVar[TypeNames] = {Type.STRING: "varchar(900)", Type.BYTES: "varbinary(900)"}

    def decimal_type(self, scale: int) -> str:
        return f"decimal(38,{scale})"

    def boolean_literal(self, value: bool) -> str:
        return "1" if value else "0"

    def bytes_literal(self, value: bytes) -> str:
        return f"0x{value.hex()}"

    def savepoint(self, name: str) -> str:
        return f"SAVE TRANSACTION {name}"

    def release(self, name: str) -> str | None:
        return None

    def rollback_to(self, name: str) -> str:
        return f"ROLLBACK TRANSACTION {name}"

    def add_columns(self, table: TableId, fields: Sequence[FieldSpec]) -> list[str]:
        definitions = ", ".join(self.column_definition(field) for field in fields)
        return [f"ALTER TABLE {self.table(table)} ADD {definitions}"]


class Db2Dialect(MergingDialect):
    name = "db2"
    null_text = ""
    max_decimal_precision = 31
    multi_row = 500
    type_names: ClassVar[TypeNames] = {
        Type.INT8: "SMALLINT",
        Type.INT16: "SMALLINT",
        Type.INT32: "INTEGER",
        Type.INT64: "BIGINT",
        Type.FLOAT32: "FLOAT",
        Type.FLOAT64: "DOUBLE",
        Type.BOOLEAN: "SMALLINT",
        Type.STRING: "VARCHAR(32672)",
        Type.BYTES: "BLOB(64000)",
        DATE: "DATE",
        TIME: "TIME",
        TIMESTAMP: "TIMESTAMP",
    }
    key_type_names: ClassVar[TypeNames] = {Type.STRING: "VARCHAR(512)", Type.BYTES: "VARBINARY(512)"}

    def boolean_literal(self, value: bool) -> str:
        return "1" if value else "0"

    def bytes_literal(self, value: bytes) -> str:
        return f"BLOB(X'{value.hex()}')"

    def savepoint(self, name: str) -> str:
        return f"SAVEPOINT {name} ON ROLLBACK RETAIN CURSORS"

    def add_columns(self, table: TableId, fields: Sequence[FieldSpec]) -> list[str]:
        definitions = " ".join(f"ADD COLUMN {self.column_definition(field)}" for field in fields)
        return [f"ALTER TABLE {self.table(table)} {definitions}"]

    def merge_source(self, columns: Sequence[Column]) -> str:
        # A bare parameter has no type there: the column's own type gives it one.
        markers = ", ".join(f"CAST({self.marker(c)} AS {c.type_name})" for c in columns)
        return f"(VALUES ({markers})) AS incoming ({self.columns([c.name for c in columns])})"

    def now(self, sql_type: SqlType) -> str:
        return "SELECT CURRENT TIMESTAMP FROM SYSIBM.SYSDUMMY1"
