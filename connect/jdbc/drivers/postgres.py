"""PostgreSQL by psycopg 3: COPY for writes, a server-side cursor for reads, one piece ahead.

Rows are inserted by COPY, in binary form when every column's type is one of `_BINARY_TYPES`, else as text,
which the server reads by the column's own type. An upsert is a COPY into a temporary table and one INSERT
... ON CONFLICT out of it. A few rows go by a plain statement, which is quicker than COPY's round trips.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from typing import Any

import psycopg
import psycopg.types.json

from connect.jdbc.dialects.base import MARK, Dialect
from connect.jdbc.drivers.base import Connection, Row, classify_sql_state
from connect.jdbc.types import Column, DatabaseError, ErrorKind, SqlType, TableId
from connect.jdbc.url import DatabaseUrl

_TYPES = {
    "bool": SqlType.BOOLEAN, "int2": SqlType.SMALLINT, "int4": SqlType.INTEGER, "int8": SqlType.BIGINT,
    "oid": SqlType.BIGINT, "float4": SqlType.REAL, "float8": SqlType.DOUBLE, "numeric": SqlType.NUMERIC,
    "text": SqlType.TEXT, "varchar": SqlType.TEXT, "bpchar": SqlType.TEXT, "name": SqlType.TEXT,
    "char": SqlType.TEXT, "citext": SqlType.TEXT, "bytea": SqlType.BINARY, "date": SqlType.DATE,
    "time": SqlType.TIME, "timestamp": SqlType.TIMESTAMP, "timestamptz": SqlType.TIMESTAMP_TZ,
    "uuid": SqlType.UUID, "json": SqlType.JSON, "jsonb": SqlType.JSON, "bit": SqlType.OTHER,
}  # fmt: skip
_BINARY_TYPES = frozenset({
    "bool", "int2", "int4", "int8", "float4", "float8", "numeric", "text", "varchar", "bpchar", "bytea",
    "date",
    "time", "timestamp", "timestamptz", "uuid",
})  # fmt: skip
# With fewer rows than this, one statement with all rows is quicker than COPY.
SMALL_BATCH = 8

_COLUMNS = """
SELECT a.attname, t.typname, NOT a.attnotnull AND NOT (t.typtype = 'd' AND t.typnotnull), a.atttypmod,
       a.attidentity <> '' OR coalesce(pg_get_expr(d.adbin, d.adrelid) LIKE 'nextval(%%', false),
       a.atthasdef OR a.attidentity <> '', coalesce(array_position(i.indkey::int2[], a.attnum), -1),
       e.typname, b.typname, t.typtypmod, a.attgenerated <> ''
FROM pg_attribute a
JOIN pg_type t ON t.oid = a.atttypid
LEFT JOIN pg_type e ON e.oid = t.typelem AND t.typcategory = 'A'
LEFT JOIN pg_type b ON b.oid = t.typbasetype AND t.typtype = 'd'
LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
LEFT JOIN pg_index i ON i.indrelid = a.attrelid AND i.indisprimary
WHERE a.attrelid = to_regclass(%s) AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY a.attnum
"""

_KINDS = {"TABLE": "r", "PARTITIONED TABLE": "p", "VIEW": "v", "MATERIALIZED VIEW": "m", "FOREIGN TABLE": "f"}

_TABLES = """
SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind = ANY(%s) AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname NOT LIKE
'pg\\_%%'
  AND n.nspname LIKE %s AND has_schema_privilege(n.oid, 'USAGE')
ORDER BY 1, 2
"""


_WRITERS = """
SELECT virtualtransaction FROM pg_locks
WHERE locktype = 'relation' AND granted AND mode NOT IN ('AccessShareLock', 'RowShareLock')
  AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND pid IS DISTINCT FROM pg_backend_pid()
"""


class PostgresConnection(Connection):
    paramstyle = "format"
    overlaps = True

    def __init__(self, url: DatabaseUrl, dialect: Dialect) -> None:
        super().__init__(url, dialect)
        try:
            self._connection: psycopg.Connection[Any] = psycopg.connect(**connect_arguments(url))
        except psycopg.Error as error:
            raise _as_database_error(error, url, connecting=True) from None
        self._connection.prepare_threshold = 3
        psycopg.types.json.set_json_loads(_as_text, self._connection)
        self._filled: set[str] = set()

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except psycopg.Error as error:
            raise _as_database_error(error, self.url, gone=self._connection.closed) from error
        except (UnicodeError, OverflowError, ValueError) as error:  # The driver's own refusal of a value.
            raise DatabaseError(str(error), ErrorKind.DATA) from error

    def execute(self, sql: str, parameters: Row = ()) -> int:
        with self._errors(), self._connection.cursor() as cursor:
            if parameters:
                cursor.execute(self.prepare(sql).encode(), parameters)
            else:
                cursor.execute(sql.encode())
            return cursor.rowcount

    def execute_many(self, sql: str, rows: Sequence[Row]) -> None:
        with self._errors(), self._connection.cursor() as cursor:
            cursor.executemany(self.prepare(sql).encode(), rows)

    def query(self, sql: str, parameters: Row = ()) -> list[tuple[Any, ...]]:
        with self._errors(), self._connection.cursor() as cursor:
            if parameters:
                cursor.execute(self.prepare(sql).encode(), parameters)
            else:
                cursor.execute(sql.encode())
            return cursor.fetchall()

    def stream(self, sql: str, parameters: Row, fetch_size: int) -> Iterator[list[tuple[Any, ...]]]:
        with self._errors(), self._connection.cursor(name="pybroker_source", binary=True) as cursor:
            if parameters:
                cursor.execute(self.prepare(sql).encode(), parameters)
            else:
                cursor.execute(sql.encode())
            rows = cursor.fetchmany(fetch_size)
            if len(rows) == fetch_size:
                # The server looks for the next rows while these are used.
                with ThreadPoolExecutor(1, thread_name_prefix="rows-ahead") as ahead:
                    while len(rows) == fetch_size:
                        following = ahead.submit(cursor.fetchmany, fetch_size)
                        try:
                            yield rows
                        except GeneratorExit:
                            self._give_up(following)
                            raise
                        rows = following.result()
            if rows:
                yield rows

    def _give_up(self, following: Future[list[tuple[Any, ...]]]) -> None:
        """Ends a fetch that nobody waits for any more, and the transaction with it."""
        while not following.done():
            with suppress(psycopg.Error):
                self._connection.cancel_safe(timeout=5)
            wait([following], 0.1)

    def commit(self) -> None:
        with self._errors():
            self._connection.commit()
        self._filled.clear()

    def rollback(self) -> None:
        with self._errors():
            self._connection.rollback()
        self._filled.clear()
        self.forget_staging()

    def close(self) -> None:
        self._connection.close()

    # ---- the catalogue ----

    def tables(
        self, types: Sequence[str], catalog: str | None = None, schema: str | None = None
    ) -> list[TableId]:
        kinds = [_KINDS[name.upper()] for name in types if name.upper() in _KINDS]
        with self._errors(), self._connection.cursor() as cursor:
            rows = cursor.execute(_TABLES, (kinds, schema or "%")).fetchall()
        return [TableId(None, row[0], row[1]) for row in rows]

    def columns(self, table: TableId) -> list[Column]:
        # Always quoted: to_regclass folds as the parser does.
        name = ".".join(self.dialect.quoter.quoted(part) for part in table[1:] if part is not None)
        with self._errors(), self._connection.cursor() as cursor:
            rows = cursor.execute(_COLUMNS, (name,)).fetchall()
        return [_column(row) for row in rows]

    def query_columns(self, query: str) -> list[Column]:
        with self._errors(), self._connection.cursor() as cursor:
            cursor.execute(f"SELECT * FROM {self.dialect.subselect(query)} LIMIT 0".encode())
            description = cursor.description or []
            found = []
            for item in description:
                info = self._connection.adapters.types.get(item.type_code)
                name = info.name if info is not None else f"oid {item.type_code}"
                element = None
                if info is not None and info.array_oid == item.type_code:
                    element = _TYPES.get(name, SqlType.OTHER)
                    name += "[]"
                found.append(
                    Column(
                        item.name, SqlType.ARRAY if element else _TYPES.get(name, SqlType.OTHER), name,
                        precision=item.precision, scale=item.scale, element=element,
                    )
                )  # fmt: skip
            return found

    def select_expression(self, column: Column) -> str:
        name = self.dialect.quoter.exact(column.name)
        if column.type is SqlType.OTHER or (column.type is SqlType.ARRAY and column.element is SqlType.OTHER):
            return f"{name}::text AS {name}"
        return name

    def open_writers(self, table: TableId | None) -> frozenset[str] | None:
        """Whoever holds a lock for writing on the table, which is taken before a sequence is asked for the
        row's number and long before the transaction gets an id of its own. For a query: on any table of the
        database."""
        if table is None:
            rows = self.query(_WRITERS + "AND relation >= 16384")
        else:
            name = ".".join(self.dialect.quoter.quoted(part) for part in table[1:] if part is not None)
            rows = self.query(
                _WRITERS + f"AND (relation = to_regclass({MARK}) OR relation IN "
                f"(SELECT relid FROM pg_partition_tree(to_regclass({MARK}))))",
                [name, name],
            )
        return frozenset(row[0] for row in rows)

    # ---- writing ----

    def insert_rows(self, table: TableId, columns: Sequence[Column], rows: Sequence[Row]) -> None:
        if len(rows) < SMALL_BATCH:
            super().insert_rows(table, columns, rows)
        else:
            self._copy(self.dialect.table(table), columns, rows)

    def upsert_rows(
        self, table: TableId, keys: Sequence[Column], others: Sequence[Column], rows: Sequence[Row]
    ) -> None:
        if len(rows) < SMALL_BATCH:
            super().upsert_rows(table, keys, others, rows)
            return
        columns = [*keys, *others]
        staging = self.staging_table(table, columns)
        if staging in self._filled:  # By an earlier batch of the same transaction.
            self.execute(f"TRUNCATE {self.dialect.quoter.exact(staging)}")
        self._filled.add(staging)
        self._copy(self.dialect.quoter.exact(staging), columns, rows)
        for statement in self.dialect.staged_upsert(table, staging, keys, others):
            self.execute(statement)

    def _copy(self, target: str, columns: Sequence[Column], rows: Sequence[Row]) -> None:
        names = self.dialect.columns([column.name for column in columns])
        binary = all(column.type_name in _BINARY_TYPES for column in columns)
        statement = f"COPY {target} ({names}) FROM STDIN" + (" (FORMAT BINARY)" if binary else "")
        with self._errors(), self._connection.cursor() as cursor, cursor.copy(statement.encode()) as copy:
            if binary:
                copy.set_types([column.type_name for column in columns])
            write_row = copy.write_row
            for row in rows:
                write_row(row)


def _as_text(value: str | bytes) -> str:
    return value if isinstance(value, str) else bytes(value).decode()


def _column(row: Sequence[Any]) -> Column:
    (
        name,
        type_name,
        nullable,
        typmod,
        automatic,
        has_default,
        position,
        element,
        base,
        base_typmod,
        generated,
    ) = row
    if base is not None:  # A domain is what it is made of.
        type_name, typmod = base, base_typmod
    precision = scale = length = None
    if type_name == "numeric" and typmod >= 4:
        precision, scale = ((typmod - 4) >> 16) & 0xFFFF, (typmod - 4) & 0x7FF
        scale = scale - 2048 if scale > 1023 else scale
    elif type_name in ("varchar", "bpchar") and typmod >= 4:
        length = typmod - 4
    elif type_name in ("timestamp", "timestamptz", "time"):
        precision = typmod if typmod >= 0 else 6
    if element is not None:
        return Column(
            name, SqlType.ARRAY, f"{element}[]", nullable, element=_TYPES.get(element, SqlType.OTHER),
            key_position=position + 1, has_default=has_default,
        )  # fmt: skip
    return Column(
        name, _TYPES.get(type_name, SqlType.OTHER), type_name, nullable, precision, scale, length,
        auto_increment=automatic, key_position=position + 1, has_default=has_default or generated,
    )  # fmt: skip


def connect_arguments(url: DatabaseUrl) -> dict[str, Any]:
    """libpq's parameters for a URL with the properties of the Java driver."""
    properties = {key.lower(): value for key, value in url.properties.items()}
    arguments: dict[str, Any] = {
        "host": ",".join(host for host, _ in url.hosts) or "localhost",
        "port": ",".join(str(port or 5432) for _, port in url.hosts) or "5432",
        "dbname": url.database or url.user or "postgres",
        "connect_timeout": 10,
        "application_name": properties.get("applicationname")
        or properties.get("application_name")
        or "pybroker",
        "client_encoding": "UTF8",
    }
    if url.user:
        arguments["user"] = url.user
    if url.password is not None:
        arguments["password"] = url.password
    for name in ("connect_timeout", "logintimeout", "connecttimeout"):
        if properties.get(name, "0").isdigit() and int(properties.get(name, "0")) > 0:
            arguments["connect_timeout"] = int(properties[name])
    for name in ("sslmode", "sslrootcert", "sslcert", "sslkey"):
        if name in properties:
            arguments[name] = properties[name]
    if "sslmode" not in properties and properties.get("ssl", "false").lower() in ("true", "1", ""):
        arguments["sslmode"] = "verify-full"
    options = []
    if "options" in properties:
        options.append(properties["options"])
    if "currentschema" in properties:
        path = ",".join(
            '"' + part.strip().strip('"').replace('"', '""') + '"'
            for part in properties["currentschema"].split(",")
        )
        # A backslash keeps a blank from ending the option.
        options.append("-csearch_path=" + path.replace("\\", "\\\\").replace(" ", "\\ "))
    if properties.get("readonly", "").lower() == "true":
        options.append("-cdefault_transaction_read_only=on")
    if options:
        arguments["options"] = " ".join(options)
    target = properties.get("targetservertype", "").lower()
    if target in ("primary", "master"):
        arguments["target_session_attrs"] = "read-write"
    if "sockettimeout" in properties and properties["sockettimeout"].isdigit():
        arguments["tcp_user_timeout"] = int(properties["sockettimeout"]) * 1000
    return arguments


def _as_database_error(
    error: psycopg.Error, url: DatabaseUrl, *, connecting: bool = False, gone: bool = False
) -> DatabaseError:
    text = " ".join(str(error).split())
    if url.password:
        text = text.replace(url.password, "***")
    state = error.sqlstate
    kind = classify_sql_state(state)
    if connecting:
        refused = "password authentication failed" in text or "no password supplied" in text
        missing = "does not exist" in text
        kind = ErrorKind.CREDENTIALS if refused else ErrorKind.SCHEMA if missing else ErrorKind.CONNECTION
        text = f"cannot connect to {url}: {text}"
    elif gone:
        kind = ErrorKind.CONNECTION
    elif isinstance(error, psycopg.DataError) and state is None:
        kind = ErrorKind.DATA  # The driver's own refusal of a value.
    detail = getattr(error.diag, "message_detail", None)
    if detail and detail not in text:
        text = f"{text} ({detail})"
    return DatabaseError(text, kind, state or "")
