"""Any database by its JDBC driver jar, through JPype (the extra `pybroker[jdbc]`).

One JVM per process, started with the jars of `plugin.path` when the first such connection is made. Drivers
are found by Java's ServiceLoader, never by guessing a class. What must hold: every result is read with a
fetch size, rows are written by addBatch and executeBatch, and values are read and bound by the column's
JDBC type.

jars that appear after the JVM was started are not seen: restart the worker.
"""

from __future__ import annotations

import datetime
import decimal
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import jpype

from connect.jdbc.dialects.base import Dialect
from connect.jdbc.drivers.base import Connection, Row, classify_sql_state
from connect.jdbc.types import Column, DatabaseError, ErrorKind, SqlType, TableId
from connect.jdbc.url import DatabaseUrl

_START = threading.Lock()

# java.sql.Types
_TYPES = {
    16: SqlType.BOOLEAN, -7: SqlType.BIT, -6: SqlType.TINYINT, 5: SqlType.SMALLINT, 4: SqlType.INTEGER,
    -5: SqlType.BIGINT, 7: SqlType.REAL, 6: SqlType.DOUBLE, 8: SqlType.DOUBLE, 3: SqlType.DECIMAL,
    2: SqlType.NUMERIC, 1: SqlType.TEXT, 12: SqlType.TEXT, -1: SqlType.TEXT, -15: SqlType.TEXT,
    -9: SqlType.TEXT, -16: SqlType.TEXT, 2005: SqlType.TEXT, 2011: SqlType.TEXT, 70: SqlType.TEXT,
    2009: SqlType.TEXT, -2: SqlType.BINARY, -3: SqlType.BINARY, -4: SqlType.BINARY, 2004: SqlType.BINARY,
    91: SqlType.DATE, 92: SqlType.TIME, 93: SqlType.TIMESTAMP, 2014: SqlType.TIMESTAMP_TZ,
}  # fmt: skip
FETCH_SIZE = 1000


def start_jvm(jars: Sequence[str]) -> None:
    with _START:
        if jpype.isJVMStarted():
            return
        try:
            jpype.startJVM(classpath=list(jars), convertStrings=False)
        except (jpype.JVMNotFoundException, OSError) as error:
            raise DatabaseError(f"a JDBC driver jar needs a Java runtime: {error}") from None


class JarConnection(Connection):
    def __init__(self, url: DatabaseUrl, dialect: Dialect, jars: Sequence[str]) -> None:
        super().__init__(url, dialect)
        start_jvm(jars)
        if not jpype.java.lang.Thread.isAttached():
            jpype.java.lang.Thread.attachAsDaemon()
        self._connection = self._open(jars)
        self._connection.setAutoCommit(False)
        meta = self._connection.getMetaData()
        if dialect.name == "generic":
            quote = str(meta.getIdentifierQuoteString() or " ").strip()
            if quote:
                dialect.quoter.opening = dialect.quoter.closing = quote
            dialect.quoter.fold = (
                "lower"
                if meta.storesLowerCaseIdentifiers()
                else "upper"
                if meta.storesUpperCaseIdentifiers()
                else "keep"
            )
        self._meta = meta
        self._types: dict[str, int] = {}

    def _open(self, jars: Sequence[str]) -> Any:
        properties = jpype.java.util.Properties()
        for key, value in self.url.properties.items():
            properties.setProperty(key, value)
        if self.url.user:
            properties.setProperty("user", self.url.user)
        if self.url.password is not None:
            properties.setProperty("password", self.url.password)
        text = self.url.jdbc
        drivers = list(jpype.java.util.ServiceLoader.load(jpype.JClass("java.sql.Driver")))
        try:
            for driver in drivers:
                if driver.acceptsURL(text):
                    connection = driver.connect(text, properties)
                    if connection is not None:
                        return connection
        except jpype.JException as error:
            raise self._as_database_error(error, connecting=True) from None
        names = ", ".join(sorted(str(driver.getClass().getName()) for driver in drivers)) or "none"
        raise DatabaseError(f"no JDBC driver on plugin.path takes {self.url}; found: {names}")

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except jpype.JException as error:
            raise self._as_database_error(error) from error
        except (TypeError, OverflowError) as error:
            raise DatabaseError(f"a value that the driver does not take: {error}", ErrorKind.DATA) from error

    def _as_database_error(self, error: Any, *, connecting: bool = False) -> DatabaseError:
        text = " ".join(str(error).split())
        state = None
        found = error
        next_exception = getattr(error, "getNextException", None)
        if next_exception is not None and next_exception() is not None:
            found = next_exception()
            text = " ".join(str(found).split())
        if hasattr(found, "getSQLState") and found.getSQLState() is not None:
            state = str(found.getSQLState())
        if self.url.password:
            text = text.replace(self.url.password, "***")
        kind = classify_sql_state(state)
        if connecting:
            text = f"cannot connect to {self.url}: {text}"
            if kind not in (ErrorKind.CREDENTIALS, ErrorKind.SCHEMA):
                kind = ErrorKind.CONNECTION
        return DatabaseError(text, kind, state or "")

    # ---- statements ----

    def execute(self, sql: str, parameters: Row = ()) -> int:
        with self._errors():
            statement = self._connection.prepareStatement(self.prepare(sql) if parameters else sql)
            try:
                self._bind(statement, parameters)
                if statement.execute():
                    return -1
                return int(statement.getUpdateCount())
            finally:
                statement.close()

    def execute_many(self, sql: str, rows: Sequence[Row]) -> None:
        with self._errors():
            statement = self._connection.prepareStatement(self.prepare(sql))
            try:
                for row in rows:
                    self._bind(statement, row)
                    statement.addBatch()
                statement.executeBatch()
            finally:
                statement.close()

    def query(self, sql: str, parameters: Row = ()) -> list[tuple[Any, ...]]:
        return [row for piece in self.stream(sql, parameters, FETCH_SIZE) for row in piece]

    def stream(self, sql: str, parameters: Row, fetch_size: int) -> Iterator[list[tuple[Any, ...]]]:
        with self._errors():
            statement = self._connection.prepareStatement(self.prepare(sql) if parameters else sql)
            try:
                statement.setFetchSize(fetch_size)
                self._bind(statement, parameters)
                result = statement.executeQuery()
                meta = result.getMetaData()
                readers = [
                    _reader(int(meta.getColumnType(at)), str(meta.getColumnTypeName(at)).lower())
                    for at in range(1, meta.getColumnCount() + 1)
                ]
                piece: list[tuple[Any, ...]] = []
                while result.next():
                    piece.append(tuple(read(result, at + 1) for at, read in enumerate(readers)))
                    if len(piece) >= fetch_size:
                        yield piece
                        piece = []
                if piece:
                    yield piece
            finally:
                statement.close()

    def _bind(self, statement: Any, row: Row) -> None:
        for at, value in enumerate(row):
            if value is None:
                statement.setObject(at + 1, None)
            else:
                statement.setObject(at + 1, to_java(value))

    def commit(self) -> None:
        with self._errors():
            self._connection.commit()

    def rollback(self) -> None:
        with self._errors():
            self._connection.rollback()
        self.forget_staging()

    def close(self) -> None:
        with suppress(jpype.JException):
            self._connection.close()

    def is_alive(self) -> bool:
        with self._errors():
            return bool(self._connection.isValid(5))

    # ---- the catalogue ----

    def tables(
        self, types: Sequence[str], catalog: str | None = None, schema: str | None = None
    ) -> list[TableId]:
        wanted = [*types, *(["BASE TABLE"] if "TABLE" in types else [])]
        with self._errors():
            rows = self._meta.getTables(catalog, schema, "%", jpype.JString[:](wanted))
            found = []
            while rows.next():
                place = _text(rows.getString("TABLE_SCHEM"))
                if place is None or place.upper() not in _SYSTEM_SCHEMAS:
                    found.append(TableId(self._catalog(rows), place, str(rows.getString("TABLE_NAME"))))
            return found

    def _catalog(self, rows: Any) -> str | None:
        return _text(rows.getString("TABLE_CAT")) if self.dialect.schema_is_catalog else None

    def columns(self, table: TableId) -> list[Column]:
        with self._errors():
            escape = str(self._meta.getSearchStringEscape() or "\\")
            catalog, schema = table.catalog, table.schema or _text(self._connection.getSchema())
            name = table.table
            for special in (escape, "%", "_"):
                name = name.replace(special, escape + special)
            keys = {}
            rows = self._meta.getPrimaryKeys(catalog, schema, table.table)
            while rows.next():
                keys[str(rows.getString("COLUMN_NAME"))] = int(rows.getShort("KEY_SEQ"))
            rows = self._meta.getColumns(catalog, schema, name, None)
            found = []
            while rows.next():
                column = str(rows.getString("COLUMN_NAME"))
                code = int(rows.getInt("DATA_TYPE"))
                type_name = str(rows.getString("TYPE_NAME"))
                size = int(rows.getInt("COLUMN_SIZE"))
                automatic = _text(rows.getString("IS_AUTOINCREMENT")) == "YES"
                sql_type = _type_of(code, type_name)
                decimal_type = sql_type in (SqlType.NUMERIC, SqlType.DECIMAL)
                scale = int(rows.getInt("DECIMAL_DIGITS"))
                found.append(
                    Column(
                        column, sql_type, type_name, int(rows.getInt("NULLABLE")) != 0,
                        (size or None) if decimal_type else scale if sql_type is SqlType.TIMESTAMP else None,
                        scale if decimal_type and size else None, size, auto_increment=automatic,
                        key_position=keys.get(column, 0),
                        has_default=automatic or rows.getString("COLUMN_DEF") is not None,
                    )
                )  # fmt: skip
            return found

    def query_columns(self, query: str) -> list[Column]:
        with self._errors():
            statement = self._connection.prepareStatement(
                f"SELECT * FROM {self.dialect.subselect(query)} WHERE 1 = 0"
            )
            try:
                meta = statement.executeQuery().getMetaData()
                found = []
                for at in range(1, meta.getColumnCount() + 1):
                    type_name = str(meta.getColumnTypeName(at))
                    sql_type = _type_of(int(meta.getColumnType(at)), type_name)
                    found.append(
                        Column(
                            str(meta.getColumnLabel(at)), sql_type, type_name, int(meta.isNullable(at)) != 0,
                            int(meta.getPrecision(at)) or None, int(meta.getScale(at)),
                            auto_increment=bool(meta.isAutoIncrement(at)),
                        )
                    )  # fmt: skip
                return found
            finally:
                statement.close()


_SYSTEM_SCHEMAS = {
    "INFORMATION_SCHEMA",
    "PG_CATALOG",
    "SYS",
    "SYSTEM_LOBS",
    "SYSIBM",
    "SYSCAT",
    "SYSSTAT",
    "SYSPROC",
}


def _type_of(code: int, type_name: str) -> SqlType:
    lowered = type_name.lower()
    if lowered == "timestamptz":
        return SqlType.TIMESTAMP_TZ
    if lowered == "uuid":
        return SqlType.UUID
    if lowered in ("json", "jsonb"):
        return SqlType.JSON
    if lowered == "bool":
        return SqlType.BOOLEAN
    return _TYPES.get(code, SqlType.OTHER)


def _text(value: Any) -> str | None:
    return None if value is None else str(value)


def to_java(value: Any) -> Any:
    """A value that `PreparedStatement.setObject` takes by itself."""
    if isinstance(value, bool):
        return jpype.java.lang.Boolean(value)
    if isinstance(value, int):
        if -(1 << 31) <= value < 1 << 31:
            return jpype.java.lang.Integer(value)
        return jpype.java.lang.Long(value)
    if isinstance(value, float):
        return jpype.java.lang.Double(value)
    if isinstance(value, str):
        return jpype.JString(value)
    if isinstance(value, bytes):
        return jpype.JArray(jpype.JByte)(value)
    if isinstance(value, decimal.Decimal):
        return jpype.java.math.BigDecimal(format(value, "f"))
    if isinstance(value, datetime.datetime):
        local = jpype.java.time.LocalDateTime.of(
            value.year,
            value.month,
            value.day,
            value.hour,
            value.minute,
            value.second,
            value.microsecond * 1000,
        )
        if value.tzinfo is None:
            return jpype.java.sql.Timestamp.valueOf(local)
        offset = value.utcoffset()
        assert offset is not None
        return jpype.java.time.OffsetDateTime.of(
            local, jpype.java.time.ZoneOffset.ofTotalSeconds(int(offset.total_seconds()))
        )
    if isinstance(value, datetime.date):
        return jpype.java.sql.Date.valueOf(value.isoformat())
    if isinstance(value, datetime.time):
        return jpype.java.time.LocalTime.of(value.hour, value.minute, value.second, value.microsecond * 1000)
    return jpype.JString(str(value))


def _reader(code: int, type_name: str) -> Any:
    """Reads a column of that JDBC type as a Python value."""
    if type_name == "uuid":
        return lambda result, at: _text(result.getObject(at))
    if code in (16, -7):
        return lambda result, at: _null(result, bool(result.getBoolean(at)))
    if code in (-6, 5, 4, -5):
        return lambda result, at: _null(result, int(result.getLong(at)))
    if code in (7, 6, 8):
        return lambda result, at: _null(result, float(result.getDouble(at)))
    if code in (2, 3):
        return lambda result, at: _decimal(result.getBigDecimal(at))
    if code in (-2, -3, -4, 2004):
        return lambda result, at: _bytes(result.getBytes(at))
    if code == 91:
        return lambda result, at: _date(result.getDate(at))
    if code == 92:
        return lambda result, at: _time(result.getObject(at, jpype.java.time.LocalTime.class_))
    if code == 93:
        return lambda result, at: _timestamp(result.getTimestamp(at))
    if code == 2014:
        return lambda result, at: _offset_timestamp(result.getObject(at))
    return lambda result, at: _text(result.getString(at))


def _null(result: Any, value: Any) -> Any:
    return None if result.wasNull() else value


def _decimal(value: Any) -> decimal.Decimal | None:
    return None if value is None else decimal.Decimal(str(value.toPlainString()))


def _bytes(value: Any) -> bytes | None:
    return None if value is None else bytes(value)


def _date(value: Any) -> datetime.date | None:
    if value is None:
        return None
    local = value.toLocalDate()
    return datetime.date(int(local.getYear()), int(local.getMonthValue()), int(local.getDayOfMonth()))


def _time(value: Any) -> datetime.time | None:
    if value is None:
        return None
    return datetime.time(
        int(value.getHour()), int(value.getMinute()), int(value.getSecond()), int(value.getNano()) // 1000
    )


def _timestamp(value: Any) -> datetime.datetime | None:
    return None if value is None else _local(value.toLocalDateTime())


def _local(local: Any) -> datetime.datetime:
    return datetime.datetime(
        int(local.getYear()), int(local.getMonthValue()), int(local.getDayOfMonth()), int(local.getHour()),
        int(local.getMinute()), int(local.getSecond()), int(local.getNano()) // 1000,
    )  # fmt: skip


def _offset_timestamp(value: Any) -> datetime.datetime | None:
    if value is None:
        return None
    utc = value.withOffsetSameInstant(jpype.java.time.ZoneOffset.UTC).toLocalDateTime()
    return _local(utc).replace(tzinfo=datetime.UTC)
