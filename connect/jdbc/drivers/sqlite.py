"""SQLite by Python's own sqlite3: executemany for writes.

Reads come in pieces, each out of the statement's own cursor; while it is open a writer elsewhere waits only
when the database is not in WAL mode, so pieces are large and the source closes the cursor soon.

SQLite keeps any value in any column; what a column says of itself is a hint. A column without a declared
type is given the type that all its values have.
"""

from __future__ import annotations

import datetime
import re
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from connect.jdbc.dialects.base import Dialect
from connect.jdbc.drivers.base import Connection, Row
from connect.jdbc.types import Column, DatabaseError, ErrorKind, SqlType, TableId
from connect.jdbc.url import DatabaseUrl

_EPOCH = datetime.datetime(1970, 1, 1)
_DECLARED = re.compile(r"([^()]*)(?:\(\s*(-?\d+)\s*(?:,\s*(-?\d+)\s*)?\))?", re.S)
_TYPES = {
    "BOOLEAN": SqlType.BOOLEAN, "BOOL": SqlType.BOOLEAN, "TINYINT": SqlType.TINYINT,
    "SMALLINT": SqlType.SMALLINT, "INT2": SqlType.SMALLINT, "DATE": SqlType.DATE,
    "DATETIME": SqlType.TIMESTAMP, "TIMESTAMP": SqlType.TIMESTAMP, "TIME": SqlType.TIME,
    "NUMERIC": SqlType.NUMERIC, "DECIMAL": SqlType.DECIMAL, "JSON": SqlType.JSON, "UUID": SqlType.UUID,
}  # fmt: skip


def declared_type(text: str) -> tuple[SqlType | None, int | None, int | None]:
    """A declared type with its precision and scale; None for a column that declares nothing."""
    match = _DECLARED.match(text or "")
    assert match is not None
    name = match[1].strip().upper()
    precision = int(match[2]) if match[2] else None
    scale = int(match[3]) if match[3] else (0 if precision is not None else None)
    if not name:
        return None, None, None
    first = name.split()[0]
    found = _TYPES.get(first)
    if found is None:  # SQLite's own rules of affinity, in their order.
        if "INT" in name:
            found = SqlType.BIGINT
        elif "CHAR" in name or "CLOB" in name or "TEXT" in name:
            found = SqlType.TEXT
        elif "BLOB" in name or "BINARY" in name:
            found = SqlType.BINARY
        elif "REAL" in name or "FLOA" in name or "DOUB" in name:
            found = SqlType.DOUBLE
        else:
            found = SqlType.NUMERIC
    return found, precision, scale


class SqliteConnection(Connection):
    def __init__(self, url: DatabaseUrl, dialect: Dialect) -> None:
        super().__init__(url, dialect)
        properties = {key.lower(): value for key, value in url.properties.items()}
        busy_ms = properties.get("busy_timeout", "")
        try:
            self._connection = sqlite3.connect(
                url.database or ":memory:",
                timeout=int(busy_ms) / 1000 if busy_ms.isdigit() else 10.0,
                isolation_level=None,
                check_same_thread=False,
            )
            for pragma in ("journal_mode", "foreign_keys", "synchronous"):
                value = properties.get(pragma)
                if value is not None and re.fullmatch(r"\w+", value):
                    self._connection.execute(f"PRAGMA {pragma} = {value}")
            self._connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchall()
        except sqlite3.Error as error:
            raise DatabaseError(f"cannot open {url}: {error}", ErrorKind.CONNECTION) from None

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise _as_database_error(error) from error
        except (OverflowError, UnicodeError) as error:
            raise DatabaseError(f"a value that SQLite cannot hold: {error}", ErrorKind.DATA) from error

    def _begin(self) -> None:
        if not self._connection.in_transaction:
            self._connection.execute("BEGIN IMMEDIATE")

    def execute(self, sql: str, parameters: Row = ()) -> int:
        with self._errors():
            self._begin()
            return self._connection.execute(self.prepare(sql), parameters).rowcount

    def execute_many(self, sql: str, rows: Sequence[Row]) -> None:
        with self._errors():
            self._begin()
            self._connection.executemany(self.prepare(sql), rows)

    def query(self, sql: str, parameters: Row = ()) -> list[tuple[Any, ...]]:
        with self._errors():
            return self._connection.execute(self.prepare(sql), parameters).fetchall()

    def stream(self, sql: str, parameters: Row, fetch_size: int) -> Iterator[list[tuple[Any, ...]]]:
        with self._errors():
            cursor = self._connection.execute(self.prepare(sql), parameters)
            try:
                while True:
                    rows = cursor.fetchmany(fetch_size)
                    if not rows:
                        return
                    yield rows
            finally:
                cursor.close()

    def commit(self) -> None:
        with self._errors():
            if self._connection.in_transaction:
                self._connection.execute("COMMIT")

    def rollback(self) -> None:
        with self._errors():
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")

    def close(self) -> None:
        self._connection.close()

    # ---- the catalogue ----

    def tables(
        self, types: Sequence[str], catalog: str | None = None, schema: str | None = None
    ) -> list[TableId]:
        kinds = [name.lower() for name in types if name.upper() in ("TABLE", "VIEW")]
        if not kinds:
            return []
        marks = ", ".join("?" * len(kinds))
        rows = self.query(
            f"SELECT name FROM sqlite_master WHERE type IN ({marks}) "
            "AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY name",
            kinds,
        )
        return [TableId(None, None, row[0]) for row in rows]

    def columns(self, table: TableId) -> list[Column]:
        schema = table.schema or table.catalog
        function = "pragma_table_xinfo(?, ?)" if schema else "pragma_table_xinfo(?)"
        rows = self.query(
            f'SELECT name, type, "notnull", dflt_value, pk, hidden FROM {function}',
            [table.table, schema] if schema else [table.table],
        )
        keys = sum(1 for row in rows if row[4])
        found = []
        for name, declared, not_null, default, key_position, hidden in rows:
            if hidden == 1:
                continue
            sql_type, precision, scale = declared_type(declared)
            alone = keys == 1 and key_position == 1 and (declared or "").upper() == "INTEGER"
            found.append(
                Column(
                    name,
                    sql_type or self._observed_type(self.dialect.table(table), name),
                    declared or "",
                    not (not_null or key_position),
                    precision,
                    scale,
                    auto_increment=alone,
                    key_position=key_position,
                    has_default=default is not None or alone or hidden > 1,
                )
            )
        return found

    def query_columns(self, query: str) -> list[Column]:
        # A view tells the declared types of its columns, a cursor does not.
        view = "pybroker_query"
        with self._errors():
            self._connection.execute(f"DROP VIEW IF EXISTS temp.{view}")
            self._connection.execute(f"CREATE TEMP VIEW {view} AS {query}")
            rows = self._connection.execute("SELECT name, type FROM pragma_table_info(?)", [view]).fetchall()
            found = []
            for name, declared in rows:
                sql_type, precision, scale = declared_type(declared)
                sql_type = sql_type or self._observed_type(f"temp.{view}", name)
                found.append(Column(name, sql_type, declared or "", True, precision, scale))
            self._connection.execute(f"DROP VIEW temp.{view}")
        return found

    def _observed_type(self, table: str, name: str) -> SqlType:
        """The type of all values of a column that declares none; text when they differ."""
        column = self.dialect.quoter.exact(name)
        found = {
            row[0]
            for row in self.query(f"SELECT DISTINCT typeof({column}) FROM {table} LIMIT 5")
            if row[0] != "null"
        }
        if found == {"integer"}:
            return SqlType.BIGINT
        if found and found <= {"integer", "real"}:
            return SqlType.DOUBLE
        if found == {"blob"}:
            return SqlType.BINARY
        return SqlType.TEXT

    # ---- timestamps: kept as text or as milliseconds, and compared as milliseconds ----

    def timestamp_expression(self, columns: Sequence[Column]) -> str:
        parts = []
        for column in columns:
            name = self.dialect.quoter.exact(column.name)
            if column.type is SqlType.BIGINT:
                parts.append(name)
            else:
                parts.append(
                    f"CASE typeof({name}) WHEN 'text' THEN CAST(strftime('%s', {name}) AS INTEGER) * 1000 "
                    f"+ CAST(substr(strftime('%f', {name}), 4) AS INTEGER) ELSE CAST({name} AS INTEGER) END"
                )
        return parts[0] if len(parts) == 1 else f"COALESCE({', '.join(parts)})"

    def wall_parameter(self, wall: datetime.datetime) -> Any:
        since = wall - _EPOCH
        return since.days * 86_400_000 + since.seconds * 1000 + since.microseconds // 1000

    def wall_value(self, value: Any) -> datetime.datetime:
        if isinstance(value, str):
            return datetime.datetime.fromisoformat(value)
        try:
            return _EPOCH + datetime.timedelta(milliseconds=value)
        except (TypeError, OverflowError):
            raise DatabaseError(f"{value!r} is no timestamp", ErrorKind.DATA) from None

    def is_alive(self) -> bool:
        try:
            self._connection.execute("SELECT 1")
        except sqlite3.Error:
            return False
        return True


def _as_database_error(error: sqlite3.Error) -> DatabaseError:
    code = getattr(error, "sqlite_errorname", "") or ""
    text = str(error)
    if code.startswith("SQLITE_CONSTRAINT_FOREIGNKEY"):
        kind = ErrorKind.TRANSIENT
    elif code.startswith(("SQLITE_CONSTRAINT", "SQLITE_MISMATCH", "SQLITE_TOOBIG")):
        kind = ErrorKind.DATA
    elif code.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        kind = ErrorKind.TRANSIENT
    elif code.startswith(
        ("SQLITE_CANTOPEN", "SQLITE_IOERR", "SQLITE_NOTADB", "SQLITE_CORRUPT", "SQLITE_FULL")
    ):
        kind = ErrorKind.CONNECTION
    elif "no such table" in text or "has no column" in text or "no such column" in text:
        kind = ErrorKind.SCHEMA
    elif isinstance(error, sqlite3.InterfaceError | sqlite3.ProgrammingError | sqlite3.DataError):
        kind = ErrorKind.DATA
    else:
        kind = ErrorKind.OTHER
    return DatabaseError(f"{text} ({code})" if code else text, kind, code)
