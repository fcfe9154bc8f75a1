"""MySQL and MariaDB by PyMySQL: statements with several rows for writes, an unbuffered cursor for reads.

The session is strict, as the Java driver makes it: a value that does not fit is an error and is never
shortened. The sink's session runs in UTC, so that instants written to TIMESTAMP columns stay the same
instants; the source leaves the server's zone, in which DATETIME columns were written by others.
"""

from __future__ import annotations

import re
import ssl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pymysql
import pymysql.constants.FIELD_TYPE as FIELD
import pymysql.cursors
from pymysql.constants import FLAG

from connect.jdbc.dialects.base import MARK, Dialect
from connect.jdbc.drivers.base import Connection, Row, like_pattern
from connect.jdbc.types import Column, DatabaseError, ErrorKind, SqlType, TableId
from connect.jdbc.url import DatabaseUrl

_TYPES = {
    "tinyint": SqlType.TINYINT, "smallint": SqlType.SMALLINT, "mediumint": SqlType.INTEGER,
    "int": SqlType.INTEGER, "integer": SqlType.INTEGER, "bigint": SqlType.BIGINT, "float": SqlType.REAL,
    "double": SqlType.DOUBLE, "decimal": SqlType.DECIMAL, "char": SqlType.TEXT, "varchar": SqlType.TEXT,
    "tinytext": SqlType.TEXT, "text": SqlType.TEXT, "mediumtext": SqlType.TEXT, "longtext": SqlType.TEXT,
    "enum": SqlType.TEXT, "set": SqlType.TEXT, "json": SqlType.JSON, "binary": SqlType.BINARY,
    "varbinary": SqlType.BINARY, "tinyblob": SqlType.BINARY, "blob": SqlType.BINARY,
    "mediumblob": SqlType.BINARY, "longblob": SqlType.BINARY, "date": SqlType.DATE, "time": SqlType.TIME,
    "datetime": SqlType.TIMESTAMP, "timestamp": SqlType.TIMESTAMP, "year": SqlType.SMALLINT,
    "uuid": SqlType.UUID, "inet6": SqlType.TEXT, "inet4": SqlType.TEXT,
}  # fmt: skip
_BY_CODE = {
    FIELD.TINY: SqlType.TINYINT, FIELD.SHORT: SqlType.SMALLINT, FIELD.INT24: SqlType.INTEGER,
    FIELD.LONG: SqlType.INTEGER, FIELD.LONGLONG: SqlType.BIGINT, FIELD.FLOAT: SqlType.REAL,
    FIELD.DOUBLE: SqlType.DOUBLE, FIELD.DECIMAL: SqlType.DECIMAL, FIELD.NEWDECIMAL: SqlType.DECIMAL,
    FIELD.DATE: SqlType.DATE, FIELD.NEWDATE: SqlType.DATE, FIELD.TIME: SqlType.TIME,
    FIELD.DATETIME: SqlType.TIMESTAMP, FIELD.TIMESTAMP: SqlType.TIMESTAMP, FIELD.YEAR: SqlType.SMALLINT,
    FIELD.JSON: SqlType.JSON, FIELD.BIT: SqlType.BIT,
}  # fmt: skip
_TRANSACTION = re.compile(r"---TRANSACTION (\S+), (?!not started)(.*?)(?=---TRANSACTION|\n-{8}|\Z)", re.S)
_BINARY_CHARSET = 63

_COLUMNS = """
SELECT column_name, data_type, is_nullable, numeric_precision, numeric_scale, datetime_precision,
       character_maximum_length, column_type, extra, column_key, column_default
FROM information_schema.columns
WHERE table_schema = coalesce(%s, database()) AND table_name = %s ORDER BY ordinal_position
"""

_KEYS = """
SELECT column_name, ordinal_position FROM information_schema.key_column_usage
WHERE table_schema = coalesce(%s, database()) AND table_name = %s AND constraint_name = 'PRIMARY'
"""

_TABLES = """
SELECT table_schema, table_name, table_type FROM information_schema.tables
WHERE table_schema NOT IN ('mysql', 'information_schema', 'performance_schema', 'sys')
  AND table_schema LIKE coalesce(%s, database(), '%%') ORDER BY 1, 2
"""


class MysqlConnection(Connection):
    paramstyle = "format"
    overlaps = True

    def __init__(self, url: DatabaseUrl, dialect: Dialect) -> None:
        super().__init__(url, dialect)
        try:
            self._connection: Any = pymysql.connect(**connect_arguments(url))
        except (pymysql.Error, OSError, RuntimeError) as error:
            raise _as_database_error(error, url, connecting=True) from None

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except (pymysql.Error, OSError, UnicodeError) as error:
            raise _as_database_error(error, self.url, gone=not self._connection.open) from error

    def execute(self, sql: str, parameters: Row = ()) -> int:
        with self._errors(), self._connection.cursor() as cursor:
            return int(
                cursor.execute(self.prepare(sql), tuple(parameters)) if parameters else cursor.execute(sql)
            )

    def execute_many(self, sql: str, rows: Sequence[Row]) -> None:
        # Not the driver's executemany: it looks for VALUES in the text and would find it in a name.
        text = self.prepare(sql)
        with self._errors(), self._connection.cursor() as cursor:
            for row in rows:
                cursor.execute(text, tuple(row))

    def query(self, sql: str, parameters: Row = ()) -> list[tuple[Any, ...]]:
        with self._errors(), self._connection.cursor() as cursor:
            cursor.execute(self.prepare(sql), tuple(parameters)) if parameters else cursor.execute(sql)
            return list(cursor.fetchall())

    def stream(self, sql: str, parameters: Row, fetch_size: int) -> Iterator[list[tuple[Any, ...]]]:
        with self._errors(), self._connection.cursor(pymysql.cursors.SSCursor) as cursor:
            cursor.execute(self.prepare(sql), tuple(parameters)) if parameters else cursor.execute(sql)
            while True:
                rows = cursor.fetchmany(fetch_size)
                if not rows:
                    return
                yield list(rows)

    def commit(self) -> None:
        with self._errors():
            self._connection.commit()

    def rollback(self) -> None:
        with self._errors():
            self._connection.rollback()

    def close(self) -> None:
        if self._connection.open:
            self._connection.close()

    # ---- the catalogue ----

    def tables(
        self, types: Sequence[str], catalog: str | None = None, schema: str | None = None
    ) -> list[TableId]:
        wanted = {name.upper() for name in types}
        found = []
        for database, name, kind in self.query(_TABLES.replace("%s", MARK).replace("%%", "%"), [catalog]):
            shown = {"BASE TABLE": "TABLE", "SYSTEM VERSIONED": "TABLE"}.get(kind, kind)
            if shown in wanted and like_pattern(catalog, database):
                found.append(TableId(database, None, name))
        return found

    def columns(self, table: TableId) -> list[Column]:
        place = [table.catalog or table.schema, table.table]
        keys = dict(self.query(_KEYS.replace("%s", MARK), place))
        return [
            _column(row, int(keys.get(row[0], 0))) for row in self.query(_COLUMNS.replace("%s", MARK), place)
        ]

    def query_columns(self, query: str) -> list[Column]:
        with self._errors(), self._connection.cursor() as cursor:
            cursor.execute(f"SELECT * FROM {self.dialect.subselect(query)} LIMIT 0")
            found = []
            for item, field in zip(cursor.description or (), cursor._result.fields, strict=True):
                name, code, _, _, precision, scale, nullable = item
                sql_type = _BY_CODE.get(code)
                if sql_type is None:
                    sql_type = SqlType.BINARY if field.charsetnr == _BINARY_CHARSET else SqlType.TEXT
                unsigned = bool(field.flags & FLAG.UNSIGNED)
                if sql_type is SqlType.DECIMAL:
                    precision = field.length - (1 if scale else 0) - (0 if unsigned else 1)
                if sql_type is SqlType.BIT and field.length > 1:
                    sql_type = SqlType.BINARY
                if sql_type in (SqlType.TIMESTAMP, SqlType.TIME):
                    precision = scale if scale <= 6 else 6
                found.append(
                    Column(name, sql_type, str(code), bool(nullable), precision, scale, unsigned=unsigned)
                )
            return found

    def open_writers(self, table: TableId | None) -> frozenset[str] | None:
        """Needs the privilege PROCESS. Not from information_schema.innodb_trx, which is a copy that is
        renewed only when nobody has asked for a tenth of a second."""
        try:
            text = self.query("SHOW ENGINE INNODB STATUS")[0][2]
            own = self.query("SELECT connection_id()")[0][0]
        except DatabaseError as error:
            if error.kind is ErrorKind.CONNECTION:
                raise
            return None
        found = set()
        for match in _TRANSACTION.finditer(text):
            what = match[2]
            writes = "lock struct(s)" in what or "undo log entries" in what
            if writes and f"thread id {own}," not in what:
                found.add(match[1])
        return frozenset(found)

    def is_alive(self) -> bool:
        try:
            self._connection.ping(reconnect=False)
        except (pymysql.Error, OSError):
            return False
        return True


def _column(row: Sequence[Any], key_position: int) -> Column:
    name, kind, nullable, precision, scale, time_precision, length, full_type, extra, _, default = row
    kind = kind.lower()
    sql_type = _TYPES.get(kind, SqlType.OTHER)
    if kind == "bit":
        sql_type = SqlType.BIT if int(precision or 1) == 1 else SqlType.BINARY
    if sql_type in (SqlType.TIMESTAMP, SqlType.TIME):
        precision = time_precision
    return Column(
        name, sql_type, kind, nullable == "YES",
        None if precision is None else int(precision), None if scale is None else int(scale),
        None if length is None else int(length), unsigned="unsigned" in full_type.lower(),
        auto_increment="auto_increment" in (extra or "").lower(), key_position=key_position,
        has_default=default is not None or "auto_increment" in (extra or "").lower(),
    )  # fmt: skip


def connect_arguments(url: DatabaseUrl) -> dict[str, Any]:
    properties = {key.lower(): value for key, value in url.properties.items()}
    arguments: dict[str, Any] = {
        "host": url.host or "localhost",
        "port": url.port or 3306,
        "user": url.user or "",
        "password": url.password or "",
        "database": url.database,
        "charset": "utf8mb4",
        "connect_timeout": 10,
        "local_infile": False,
        "autocommit": False,
        # NO_BACKSLASH_ESCAPES would change what the driver's quoting of values means: it is left out.
        "sql_mode": "STRICT_TRANS_TABLES,NO_ENGINE_SUBSTITUTION,ERROR_FOR_DIVISION_BY_ZERO",
    }
    for name, unit in (("connecttimeout", 1000), ("connect_timeout", 1), ("logintimeout", 1)):
        if properties.get(name, "").isdigit() and int(properties[name]) > 0:
            arguments["connect_timeout"] = max(1, int(properties[name]) // unit)
    if properties.get("sockettimeout", "").isdigit() and int(properties["sockettimeout"]) > 0:
        seconds = max(1, int(properties["sockettimeout"]) // 1000)
        arguments["read_timeout"] = arguments["write_timeout"] = seconds
    mode = properties.get("sslmode", "").upper().replace("-", "_")
    use_ssl = "true" in (properties.get("usessl", "").lower(), properties.get("requiressl", "").lower())
    if mode in ("DISABLE", "DISABLED"):
        arguments["ssl_disabled"] = True
    elif mode or use_ssl:
        context = ssl.create_default_context(
            cafile=properties.get("sslrootcert") or properties.get("serversslcert")
        )
        if mode not in ("VERIFY_FULL", "VERIFY_IDENTITY"):
            context.check_hostname = False
            if mode not in ("VERIFY_CA",):
                context.verify_mode = ssl.CERT_NONE
        arguments["ssl"] = context
    return arguments


_KIND_BY_CODE = {
    1044: ErrorKind.CREDENTIALS, 1045: ErrorKind.CREDENTIALS, 1698: ErrorKind.CREDENTIALS,
    1049: ErrorKind.SCHEMA, 1050: ErrorKind.SCHEMA, 1054: ErrorKind.SCHEMA, 1146: ErrorKind.SCHEMA,
    1060: ErrorKind.SCHEMA, 1061: ErrorKind.SCHEMA, 1091: ErrorKind.SCHEMA, 1142: ErrorKind.SCHEMA,
    1048: ErrorKind.DATA, 1062: ErrorKind.DATA, 1064: ErrorKind.SCHEMA, 1136: ErrorKind.SCHEMA,
    1153: ErrorKind.DATA, 1264: ErrorKind.DATA, 1265: ErrorKind.DATA, 1292: ErrorKind.DATA,
    1364: ErrorKind.DATA, 1366: ErrorKind.DATA, 1367: ErrorKind.DATA, 1406: ErrorKind.DATA,
    1411: ErrorKind.DATA, 3140: ErrorKind.DATA, 3819: ErrorKind.DATA, 4025: ErrorKind.DATA,
    1205: ErrorKind.TRANSIENT, 1213: ErrorKind.TRANSIENT, 1216: ErrorKind.TRANSIENT,
    1452: ErrorKind.TRANSIENT, 1451: ErrorKind.TRANSIENT,
    2002: ErrorKind.CONNECTION, 2003: ErrorKind.CONNECTION, 2006: ErrorKind.CONNECTION,
    2013: ErrorKind.CONNECTION, 1053: ErrorKind.CONNECTION, 1927: ErrorKind.CONNECTION,
}  # fmt: skip


def _as_database_error(
    error: Exception, url: DatabaseUrl, *, connecting: bool = False, gone: bool = False
) -> DatabaseError:
    code = error.args[0] if error.args and isinstance(error.args[0], int) else 0
    text = " ".join(str(error.args[1] if len(error.args) > 1 else error).split())
    kind = _KIND_BY_CODE.get(code)
    if kind is None:
        if (
            isinstance(error, pymysql.DataError | pymysql.IntegrityError | UnicodeError)
            or "can not be used with MySQL" in text
        ):
            kind = ErrorKind.DATA
        elif isinstance(error, OSError) or gone:
            kind = ErrorKind.CONNECTION
        else:
            kind = ErrorKind.OTHER
    if connecting:
        text = f"cannot connect to {url}: {text}"
        kind = kind if kind in (ErrorKind.CREDENTIALS, ErrorKind.SCHEMA) else ErrorKind.CONNECTION
    if url.password and url.password in text:
        text = text.replace(url.password, "***")
    return DatabaseError(f"{text} (error {code})" if code else text, kind, str(code or ""))
