"""Any other database that SQLAlchemy reaches: its driver does the work, SQLAlchemy finds the driver, the
catalogue and the way to write parameters.

Used for Oracle, SQL Server, Db2, Netezza, Actian Vector and Ingres, and for SQLAlchemy URLs of databases
that have no module here. Netezza's rows are loaded through an external table from a temporary file.
"""

from __future__ import annotations

import contextlib
import logging
import os
import tempfile
from collections.abc import Iterator, Sequence
from typing import Any

import sqlalchemy
from sqlalchemy import types as sqltypes
from sqlalchemy.engine import URL
from sqlalchemy.pool import NullPool

from connect.jdbc.dialects.base import Dialect
from connect.jdbc.dialects.staging import NetezzaDialect
from connect.jdbc.drivers.base import Connection, Row, classify_sql_state, like_pattern
from connect.jdbc.types import Column, DatabaseError, ErrorKind, SqlType, TableId
from connect.jdbc.url import DatabaseUrl


class AlchemyConnection(Connection):
    def __init__(self, url: DatabaseUrl, dialect: Dialect) -> None:
        super().__init__(url, dialect)
        try:
            with _quiet_root():
                engine = sqlalchemy.create_engine(
                    alchemy_url(url), poolclass=NullPool, connect_args=_driver_arguments(url)
                )
            self._engine = engine
            self._connection: Any = engine.raw_connection()
        except Exception as error:
            text = " ".join(str(error).split())
            if url.password:
                text = text.replace(url.password, "***")
            raise DatabaseError(f"cannot connect to {url}: {text}", ErrorKind.CONNECTION) from None
        style = engine.dialect.paramstyle
        self.paramstyle = {"format": "format", "pyformat": "format", "numeric": "numeric"}.get(style, "qmark")
        if style == "named":
            self.paramstyle = "numeric"  # Oracle takes :1, :2, too.
        self._errors_of_driver: type[BaseException] = engine.dialect.dbapi.Error  # type: ignore[union-attr]

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except self._errors_of_driver as error:
            text = " ".join(str(error).split())
            kind = classify_sql_state(str(error.args[0]) if error.args else None)
            names = {parent.__name__ for parent in type(error).__mro__}
            if kind is ErrorKind.OTHER and names & {"DataError", "IntegrityError"}:
                kind = ErrorKind.DATA
            elif kind is ErrorKind.OTHER and "ProgrammingError" in names:
                kind = ErrorKind.SCHEMA
            raise DatabaseError(text, kind) from error

    def execute(self, sql: str, parameters: Row = ()) -> int:
        with self._errors(), contextlib.closing(self._connection.cursor()) as cursor:
            cursor.execute(
                self.prepare(sql) if parameters else sql, *([list(parameters)] if parameters else [])
            )
            return int(cursor.rowcount)

    def execute_many(self, sql: str, rows: Sequence[Row]) -> None:
        with self._errors(), contextlib.closing(self._connection.cursor()) as cursor:
            cursor.executemany(self.prepare(sql), [list(row) for row in rows])

    def query(self, sql: str, parameters: Row = ()) -> list[tuple[Any, ...]]:
        with self._errors(), contextlib.closing(self._connection.cursor()) as cursor:
            cursor.execute(
                self.prepare(sql) if parameters else sql, *([list(parameters)] if parameters else [])
            )
            return [tuple(row) for row in cursor.fetchall()]

    def stream(self, sql: str, parameters: Row, fetch_size: int) -> Iterator[list[tuple[Any, ...]]]:
        with self._errors(), contextlib.closing(self._connection.cursor()) as cursor:
            cursor.arraysize = fetch_size
            cursor.execute(
                self.prepare(sql) if parameters else sql, *([list(parameters)] if parameters else [])
            )
            while True:
                rows = cursor.fetchmany(fetch_size)
                if not rows:
                    return
                yield [tuple(row) for row in rows]

    def commit(self) -> None:
        with self._errors():
            self._connection.commit()

    def rollback(self) -> None:
        with self._errors():
            self._connection.rollback()
        self.forget_staging()

    def close(self) -> None:
        with contextlib.suppress(Exception):
            self._connection.close()
        self._engine.dispose()

    def tables(
        self, types: Sequence[str], catalog: str | None = None, schema: str | None = None
    ) -> list[TableId]:
        inspector = sqlalchemy.inspect(self._engine)
        wanted = {name.upper() for name in types}
        found = []
        names = [inspector.default_schema_name]
        if schema is not None:
            names = [name for name in inspector.get_schema_names() if like_pattern(schema, name)]
        for place in names:
            if "TABLE" in wanted:
                found += [TableId(None, place, name) for name in inspector.get_table_names(schema=place)]
            if "VIEW" in wanted:
                found += [TableId(None, place, name) for name in inspector.get_view_names(schema=place)]
        return sorted(found, key=lambda table: (table.schema or "", table.table))

    def columns(self, table: TableId) -> list[Column]:
        inspector = sqlalchemy.inspect(self._engine)
        try:
            rows = inspector.get_columns(table.table, schema=table.schema)
            keys = (
                inspector.get_pk_constraint(table.table, schema=table.schema).get("constrained_columns") or []
            )
        except sqlalchemy.exc.NoSuchTableError:
            return []
        positions = {name: at + 1 for at, name in enumerate(keys)}
        return [_column(dict(row), positions.get(row["name"], 0)) for row in rows]

    def query_columns(self, query: str) -> list[Column]:
        with self._errors(), contextlib.closing(self._connection.cursor()) as cursor:
            cursor.execute(f"SELECT * FROM {self.dialect.subselect(query)} WHERE 1 = 0")
            found = []
            for name, code, _, _, precision, scale, nullable in cursor.description or ():
                found.append(
                    Column(name, _by_python_type(code), str(code), nullable is not False, precision, scale)
                )
            return found

    def load_staging(self, staging: str, columns: Sequence[Column], rows: Sequence[Row]) -> None:
        if isinstance(self.dialect, NetezzaDialect):
            self._load_external(TableId(None, None, staging), columns, rows)
        else:
            super().load_staging(staging, columns, rows)

    def insert_rows(self, table: TableId, columns: Sequence[Column], rows: Sequence[Row]) -> None:
        if isinstance(self.dialect, NetezzaDialect):
            self._load_external(table, columns, rows)
        else:
            super().insert_rows(table, columns, rows)

    def _load_external(self, table: TableId, columns: Sequence[Column], rows: Sequence[Row]) -> None:
        assert isinstance(self.dialect, NetezzaDialect)
        descriptor, path = tempfile.mkstemp(prefix="pybroker-netezza-", suffix=".txt")
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8", newline="\n") as file:
                for row in rows:
                    file.write("\t".join(map(external_text, row)) + "\n")
            self.execute(self.dialect.external_load(table, columns, path))
        finally:
            os.unlink(path)


def external_text(value: Any) -> str:
    """A value as a Netezza external table reads it."""
    if value is None:
        return "\\N"
    if isinstance(value, bool):
        return "T" if value else "F"
    if isinstance(value, bytes):
        return value.hex()
    text = str(value).replace("\\", "\\\\").replace("\t", "\\\t")
    return text.replace("\n", "\\\n").replace("\r", "\\\r")


def alchemy_url(url: DatabaseUrl) -> URL:
    query = dict(url.query)
    port = url.port
    return URL.create(url.sqlalchemy_name, url.user, url.password, url.host, port, url.database, query=query)


@contextlib.contextmanager
def _quiet_root() -> Iterator[None]:
    """nzalchemy opens a debug log in the current directory when it is imported, unless logging is set up."""
    root = logging.getLogger()
    handler = logging.NullHandler()
    root.addHandler(handler)
    try:
        yield
    finally:
        root.removeHandler(handler)


def _driver_arguments(url: DatabaseUrl) -> dict[str, Any]:
    if url.dialect != "netezza":
        return {}
    import nzpy

    return {"logOptions": nzpy.LogOptions.Inherit}  # Otherwise it writes nzpy.log.


def _column(row: dict[str, Any], key_position: int) -> Column:
    kind = row["type"]
    sql_type = _by_alchemy_type(kind)
    return Column(
        row["name"], sql_type, str(kind), bool(row.get("nullable", True)),
        getattr(kind, "precision", None), getattr(kind, "scale", None), getattr(kind, "length", None),
        auto_increment=row.get("autoincrement") is True or bool(row.get("identity")),
        key_position=key_position, has_default=row.get("default") is not None or bool(row.get("identity")),
    )  # fmt: skip


def _by_alchemy_type(kind: Any) -> SqlType:
    for parent, found in (
        (sqltypes.Boolean, SqlType.BOOLEAN),
        (sqltypes.SmallInteger, SqlType.SMALLINT),
        (sqltypes.BigInteger, SqlType.BIGINT),
        (sqltypes.Integer, SqlType.INTEGER),
        (sqltypes.Double, SqlType.DOUBLE),
        (sqltypes.REAL, SqlType.REAL),
        (sqltypes.Float, SqlType.DOUBLE),
        (sqltypes.Numeric, SqlType.NUMERIC),
        (sqltypes.Uuid, SqlType.UUID),
        (sqltypes.String, SqlType.TEXT),
        (sqltypes.LargeBinary, SqlType.BINARY),
        (sqltypes._Binary, SqlType.BINARY),
        (sqltypes.DateTime, SqlType.TIMESTAMP),
        (sqltypes.Date, SqlType.DATE),
        (sqltypes.Time, SqlType.TIME),
        (sqltypes.JSON, SqlType.JSON),
    ):
        if isinstance(kind, parent):
            if found is SqlType.TIMESTAMP and getattr(kind, "timezone", False):
                return SqlType.TIMESTAMP_TZ
            return found
    return SqlType.OTHER


def _by_python_type(code: Any) -> SqlType:
    import datetime
    import decimal

    return {
        bool: SqlType.BOOLEAN,
        int: SqlType.BIGINT,
        float: SqlType.DOUBLE,
        decimal.Decimal: SqlType.NUMERIC,
        str: SqlType.TEXT,
        bytes: SqlType.BINARY,
        bytearray: SqlType.BINARY,
        datetime.datetime: SqlType.TIMESTAMP,
        datetime.date: SqlType.DATE,
        datetime.time: SqlType.TIME,
    }.get(code, SqlType.OTHER)
