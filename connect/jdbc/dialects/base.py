"""What differs between databases in SQL text: quoting, types, and the statements of the sink and the source.

In: tables, columns and fields. Out: statements as text with `MARK` where a parameter goes; the driver puts
its own way of writing parameters there (so a `?` or `%` in a name is never taken for one). What must hold:
nothing here connects to anything, and every name goes through the `Quoter`.

A dialect overrides the class attributes and those methods whose SQL differs from the standard's.
"""

from __future__ import annotations

import datetime
import decimal
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, NamedTuple

from connect.api import data
from connect.api.data import Schema, Type
from connect.api.errors import ConnectError
from connect.jdbc.identifiers import Quoter, split_table_name, table_id
from connect.jdbc.types import Column, SqlType, TableId

MARK = "\x00"

DECIMAL = data.Decimal.LOGICAL_NAME
DATE = data.Date.LOGICAL_NAME
TIME = data.Time.LOGICAL_NAME
TIMESTAMP = data.Timestamp.LOGICAL_NAME

# Type names of a dialect: by Connect type, or by the name of a logical type.
TypeNames = Mapping[Type | str, str]


class FieldSpec(NamedTuple):
    """A column to be made: `key` when it belongs to the primary key."""

    name: str
    schema: Schema
    key: bool = False


class Dialect:
    name: ClassVar[str] = ""
    # Shown in the documentation: "tested" against a server, or "text" (statements compared as text).
    checked: ClassVar[str] = "text"
    fold: ClassVar[str] = "upper"
    opening: ClassVar[str] = '"'
    closing: ClassVar[str] = '"'
    # MySQL's `a.b` is catalog and table.
    schema_is_catalog: ClassVar[bool] = False
    # Names longer than this are refused before the database shortens them silently; None when it says so
    # itself.
    max_name_length: ClassVar[int | None] = 128
    type_names: ClassVar[TypeNames] = {}
    key_type_names: ClassVar[TypeNames] = {}
    has_upsert: ClassVar[bool] = True
    # Upserts go through a staging table: `staged_upsert` instead of `upsert`.
    uses_staging: ClassVar[bool] = False
    # The most rows and parameters of one INSERT with several rows; 1 row means there is no such INSERT.
    multi_row: ClassVar[int] = 1
    max_parameters: ClassVar[int] = 30_000
    max_decimal_precision: ClassVar[int] = 38

    def __init__(self, quoting: str = "needed") -> None:
        self.quoter = Quoter(self.opening, self.closing, self.fold, quoting)

    # ---- names ----

    def parse_table(self, text: str) -> TableId:
        return table_id(split_table_name(text, self.quoter), schema_is_catalog=self.schema_is_catalog)

    def table(self, table: TableId) -> str:
        return ".".join(self.quoter.exact(part) for part in table if part is not None)

    def new_table(self, table: TableId) -> str:
        return ".".join(self.quoter.new(part) for part in table if part is not None)

    def as_created(self, table: TableId) -> TableId:
        """The name that the database gives to a table created as `new_table(table)`."""
        fold = {"lower": str.lower, "upper": str.upper}.get(self.fold)
        if fold is None:
            return table

        def created(part: str) -> str:
            return fold(part) if self.quoter.new(part) == part else part

        catalog, schema, name = table
        return TableId(catalog and created(catalog), schema and created(schema), created(name))

    def columns(self, names: Sequence[str]) -> str:
        return ", ".join(self.quoter.exact(name) for name in names)

    # ---- types and definitions ----

    def type_name(self, field: FieldSpec) -> str:
        """The column type for a field; ConnectError when the database has none."""
        schema = field.schema
        logical = schema.name if schema.name in (DECIMAL, DATE, TIME, TIMESTAMP) else None
        if logical == DECIMAL:
            return self.decimal_type(data.Decimal.scale(schema))
        lookup: Type | str = logical if logical is not None else schema.type
        found = self.key_type_names.get(lookup) if field.key else None
        found = found or self.type_names.get(lookup)
        if found is None:
            raise ConnectError(
                f"{schema.name or schema.type.name} (field {field.name!r}) has no column type in {self.name}"
            )
        return found

    def decimal_type(self, scale: int) -> str:
        precision = self.max_decimal_precision
        return f"DECIMAL({precision},{min(max(scale, 0), precision)})"

    def literal(self, schema: Schema, value: Any) -> str:
        """A default value as SQL text."""
        if isinstance(value, bool):
            return self.boolean_literal(value)
        if isinstance(value, int | float | decimal.Decimal):
            text = str(value)
            if text.lower().strip("+-") in ("nan", "inf", "infinity"):
                raise ConnectError(f"{text} cannot be a default value in {self.name}")
            return text
        if isinstance(value, bytes | bytearray | memoryview):
            return self.bytes_literal(bytes(value))
        if isinstance(value, datetime.datetime):
            text = value.astimezone(datetime.UTC).replace(tzinfo=None).isoformat(" ", "milliseconds")
        elif isinstance(value, datetime.time):
            text = value.isoformat("milliseconds")
        elif isinstance(value, datetime.date):
            text = value.isoformat()
        else:
            text = str(value)
        return self.string_literal(text)

    def string_literal(self, text: str) -> str:
        if "\x00" in text:
            raise ConnectError("a default value holds a NUL character")
        return "'" + text.replace("'", "''") + "'"

    def boolean_literal(self, value: bool) -> str:
        return "TRUE" if value else "FALSE"

    def bytes_literal(self, value: bytes) -> str:
        return f"X'{value.hex()}'"

    def column_definition(self, field: FieldSpec) -> str:
        text = f"{self.quoter.new(field.name)} {self.type_name(field)}"
        schema = field.schema
        if schema.default is not None and not field.key:
            text += f" DEFAULT {self.literal(schema, schema.default)}"
        if field.key or not (schema.optional or schema.default is not None):
            text += " NOT NULL"
        else:
            text += self.null_text
        return text

    # What a column that may be null says of it.
    null_text: ClassVar[str] = " NULL"

    def create_table(self, table: TableId, fields: Sequence[FieldSpec]) -> str:
        lines = [self.column_definition(field) for field in fields]
        keys = [field.name for field in fields if field.key]
        if keys:
            lines.append(f"PRIMARY KEY ({', '.join(self.quoter.new(name) for name in keys)})")
        return f"CREATE TABLE {self.new_table(table)} (\n  " + ",\n  ".join(lines) + "\n)"

    def add_columns(self, table: TableId, fields: Sequence[FieldSpec]) -> list[str]:
        """Statements that add columns; the standard's way, one ALTER TABLE with an ADD for each."""
        definitions = ", ".join(f"ADD {self.column_definition(field)}" for field in fields)
        return [f"ALTER TABLE {self.table(table)} {definitions}"]

    # ---- statements of the sink ----

    def marker(self, column: Column | None) -> str:
        """The parameter for a value of this column."""
        return MARK

    def values(self, columns: Sequence[Column], rows: int = 1) -> str:
        row = "(" + ", ".join(self.marker(column) for column in columns) + ")"
        return ", ".join([row] * rows)

    def insert(self, table: TableId, columns: Sequence[Column], rows: int = 1) -> str:
        names = self.columns([column.name for column in columns])
        return f"INSERT INTO {self.table(table)} ({names}) VALUES {self.values(columns, rows)}"

    def upsert(self, table: TableId, keys: Sequence[Column], others: Sequence[Column], rows: int = 1) -> str:
        """One statement for `rows` rows whose values come in the order keys, others."""
        raise ConnectError(f"upsert is not known for {self.name}: use insert.mode=insert or update")

    def staged_upsert(
        self, table: TableId, staging: str, keys: Sequence[Column], others: Sequence[Column]
    ) -> list[str]:
        """Statements that carry the rows of the staging table over."""
        raise NotImplementedError

    def create_staging(self, table: TableId, staging: str, columns: Sequence[Column]) -> list[str]:
        raise NotImplementedError

    def update(self, table: TableId, keys: Sequence[Column], others: Sequence[Column]) -> str:
        """Values in the order others, keys."""
        changes = ", ".join(f"{self.quoter.exact(column.name)} = {self.marker(column)}" for column in others)
        return f"UPDATE {self.table(table)} SET {changes} WHERE {self.key_condition(keys)}"

    def delete(self, table: TableId, keys: Sequence[Column]) -> str:
        return f"DELETE FROM {self.table(table)} WHERE {self.key_condition(keys)}"

    def savepoint(self, name: str) -> str | None:
        """None where there are none: then the careful way of writing commits every part."""
        return f"SAVEPOINT {name}"

    def release(self, name: str) -> str | None:
        return f"RELEASE SAVEPOINT {name}"

    def rollback_to(self, name: str) -> str:
        return f"ROLLBACK TO SAVEPOINT {name}"

    def key_condition(self, keys: Sequence[Column]) -> str:
        return " AND ".join(f"{self.quoter.exact(column.name)} = {self.marker(column)}" for column in keys)

    # ---- statements of the source ----

    def select_all(self, table: TableId) -> str:
        return f"SELECT * FROM {self.table(table)}"

    def subselect(self, query: str) -> str:
        """A query as something to select from."""
        return f"({query}\n) AS q"

    def set_isolation(self, level: str) -> str | None:
        """A statement that sets the session's isolation (`READ COMMITTED`); None when there is none."""
        return f"SET TRANSACTION ISOLATION LEVEL {level}"

    def now(self, sql_type: SqlType) -> str:
        """A SELECT of the present time, comparable with columns of that type."""
        return "SELECT CURRENT_TIMESTAMP"


def equal_columns(quoter: Quoter, left: str, right: str, columns: Sequence[Column]) -> str:
    return " AND ".join(
        f"{left}.{quoter.exact(column.name)} = {right}.{quoter.exact(column.name)}" for column in columns
    )
