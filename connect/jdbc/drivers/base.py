"""One connection to a database, the same for every driver.

In: statements with `MARK` for parameters, and rows of values that the driver takes. Out: rows, columns,
`DatabaseError`. What must hold: results are read in pieces (a server-side cursor where the driver has one), a
piece at a time in memory; nothing is committed but by `commit`; an error's text never holds the password.

A connection belongs to one thread. Rows written in bulk go the fastest way that the driver has: `insert_rows`
and `upsert_rows` are overridden where there is a faster one than a statement with several rows or
executemany.
"""

from __future__ import annotations

import abc
import datetime
from collections.abc import Iterator, Sequence
from typing import Any

from connect.jdbc.dialects.base import MARK, Dialect
from connect.jdbc.types import Column, DatabaseError, ErrorKind, SqlType, TableId
from connect.jdbc.url import DatabaseUrl

Row = Sequence[Any]

# A statement with several rows is cut before it gets longer than this, whatever the server would take.
MAX_STATEMENT_BYTES = 4 << 20


class Connection(abc.ABC):
    # How the driver writes a parameter: `?`, or `%s` (then a % in the text is doubled), or `:1`.
    paramstyle = "qmark"
    # Whether the database works in another process, and the driver lets other threads run while it waits.
    overlaps = False

    def __init__(self, url: DatabaseUrl, dialect: Dialect) -> None:
        self.url = url
        self.dialect = dialect
        self._staging: dict[tuple[TableId, tuple[str, ...]], str] = {}
        self._staging_made = 0

    def prepare(self, sql: str) -> str:
        if self.paramstyle == "format":
            return sql.replace("%", "%%").replace(MARK, "%s")
        if self.paramstyle == "numeric":
            pieces = sql.split(MARK)
            return "".join(f"{piece}:{at + 1}" for at, piece in enumerate(pieces[:-1])) + pieces[-1]
        return sql.replace(MARK, "?")

    # ---- what a driver has to have ----

    @abc.abstractmethod
    def execute(self, sql: str, parameters: Row = ()) -> int:
        """The number of rows changed, -1 when the driver does not know."""

    @abc.abstractmethod
    def execute_many(self, sql: str, rows: Sequence[Row]) -> None: ...

    @abc.abstractmethod
    def query(self, sql: str, parameters: Row = ()) -> list[tuple[Any, ...]]:
        """All rows: only for results known to be small."""

    @abc.abstractmethod
    def stream(self, sql: str, parameters: Row, fetch_size: int) -> Iterator[list[tuple[Any, ...]]]:
        """Rows in pieces of at most `fetch_size`. Close the iterator to give up the rest."""

    @abc.abstractmethod
    def commit(self) -> None: ...

    @abc.abstractmethod
    def rollback(self) -> None: ...

    @abc.abstractmethod
    def close(self) -> None: ...

    @abc.abstractmethod
    def tables(
        self, types: Sequence[str], catalog: str | None = None, schema: str | None = None
    ) -> list[TableId]:
        """Tables of these types (TABLE, VIEW, PARTITIONED TABLE, ...), without the database's own.
        `catalog` and `schema` are JDBC patterns with % and _."""

    @abc.abstractmethod
    def columns(self, table: TableId) -> list[Column]:
        """In their order; empty when there is no such table."""

    @abc.abstractmethod
    def query_columns(self, query: str) -> list[Column]:
        """The columns that a query gives."""

    # ---- what a driver may do better ----

    def find_table(self, table: TableId) -> tuple[TableId, list[Column]]:
        """The table of that name, or of the name that the database makes of it when it is not quoted; no
        columns when there is neither."""
        columns = self.columns(table)
        if not columns:
            created = self.dialect.as_created(table)
            if created != table:
                columns = self.columns(created)
                if columns:
                    return created, columns
        return table, columns

    def is_alive(self) -> bool:
        try:
            self.query("SELECT 1")
            self.rollback()
        except DatabaseError:
            return False
        return True

    def now(self, sql_type: SqlType) -> Any:
        """The database's present time, as `stream` would return it from a column of that type."""
        return self.query(self.dialect.now(sql_type))[0][0]

    def select_expression(self, column: Column) -> str:
        """How to select a column so that its value comes in a form we know."""
        return self.dialect.quoter.exact(column.name)

    def open_writers(self, table: TableId | None) -> frozenset[str] | None:
        """Transactions of others that write to the table (None: anywhere) and have not ended; None when the
        database does not tell, or when it has only one writer at a time."""
        return None

    def timestamp_expression(self, columns: Sequence[Column]) -> str:
        """The time of change out of these columns: the first that is not null."""
        names = [self.dialect.quoter.exact(column.name) for column in columns]
        return names[0] if len(names) == 1 else f"COALESCE({', '.join(names)})"

    def wall_parameter(self, wall: datetime.datetime) -> Any:
        """A time without zone as something to compare `timestamp_expression` with."""
        return wall

    def wall_value(self, value: Any) -> datetime.datetime:
        """What `timestamp_expression` gave, as a time; with a zone when the column has one."""
        if isinstance(value, datetime.datetime):
            return value
        if isinstance(value, datetime.date):
            return datetime.datetime(value.year, value.month, value.day)
        raise DatabaseError(f"{value!r} is no timestamp", ErrorKind.DATA)

    def insert_rows(self, table: TableId, columns: Sequence[Column], rows: Sequence[Row]) -> None:
        limit = self.multi_row_limit(len(columns))
        if limit <= 1:
            self.execute_many(self.dialect.insert(table, columns), rows)
            return
        for chunk in chunks(rows, limit):
            self.execute(self.dialect.insert(table, columns, len(chunk)), [v for row in chunk for v in row])

    def upsert_rows(
        self, table: TableId, keys: Sequence[Column], others: Sequence[Column], rows: Sequence[Row]
    ) -> None:
        """Rows hold the keys, then the others; no key occurs twice."""
        if not self.dialect.has_upsert:
            self._update_or_insert(table, keys, others, rows)
            return
        if self.dialect.uses_staging:
            staging = self.staging_table(table, [*keys, *others])
            self.load_staging(staging, [*keys, *others], rows)
            for statement in self.dialect.staged_upsert(table, staging, keys, others):
                self.execute(statement)
            return
        limit = self.multi_row_limit(len(keys) + len(others))
        if limit <= 1 or self.dialect.upsert(table, keys, others, 1) == self.dialect.upsert(
            table, keys, others, 2
        ):
            self.execute_many(self.dialect.upsert(table, keys, others), rows)
            return
        for chunk in chunks(rows, limit):
            self.execute(
                self.dialect.upsert(table, keys, others, len(chunk)), [v for row in chunk for v in row]
            )

    def _update_or_insert(
        self, table: TableId, keys: Sequence[Column], others: Sequence[Column], rows: Sequence[Row]
    ) -> None:
        """For databases without a statement for it. A row that somebody else inserts in between makes the
        insert fail; the row is then tried again by itself, and finds it there."""
        update = self.dialect.update(table, keys, others) if others else None
        insert = self.dialect.insert(table, [*keys, *others])
        condition = self.dialect.key_condition(keys)
        count = f"SELECT COUNT(*) FROM {self.dialect.table(table)} WHERE {condition}"
        for row in rows:
            key = row[: len(keys)]
            found = -1 if update is None else self.execute(update, [*row[len(keys) :], *key])
            if found < 0:  # The driver does not tell how many there were.
                found = self.query(count, key)[0][0]
            if found == 0:
                self.execute(insert, row)

    def multi_row_limit(self, columns: int) -> int:
        return min(self.dialect.multi_row, self.dialect.max_parameters // max(columns, 1))

    def staging_table(self, table: TableId, columns: Sequence[Column]) -> str:
        """The name of this connection's staging table for these columns, made on first use."""
        key = (table, tuple(column.name for column in columns))
        name = self._staging.get(key)
        if name is None:
            # A number is never used twice: a rollback may or may not have taken the table with it.
            self._staging_made += 1
            name = f"pybroker_staging_{self._staging_made}"
            for statement in self.dialect.create_staging(table, name, columns):
                self.execute(statement)
            self._staging[key] = name
        return name

    def load_staging(self, staging: str, columns: Sequence[Column], rows: Sequence[Row]) -> None:
        self.execute_many(self.dialect.insert(TableId(None, None, staging), columns), rows)

    def delete_rows(self, table: TableId, keys: Sequence[Column], rows: Sequence[Row]) -> None:
        self.execute_many(self.dialect.delete(table, keys), rows)

    def update_rows(
        self, table: TableId, keys: Sequence[Column], others: Sequence[Column], rows: Sequence[Row]
    ) -> None:
        """Rows hold the others, then the keys."""
        self.execute_many(self.dialect.update(table, keys, others), rows)

    def forget_staging(self) -> None:
        """After a rollback, which takes tables made in the transaction with it."""
        self._staging.clear()


def chunks(rows: Sequence[Row], limit: int) -> Iterator[Sequence[Row]]:
    """Pieces of at most `limit` rows and about MAX_STATEMENT_BYTES bytes."""
    start = size = 0
    for at, row in enumerate(rows):
        width = sum(len(value) if isinstance(value, str | bytes) else 12 for value in row)
        if at > start and (at - start >= limit or size + width > MAX_STATEMENT_BYTES):
            yield rows[start:at]
            start, size = at, 0
        size += width
    if start < len(rows):
        yield rows[start:]


def classify_sql_state(state: str | None) -> ErrorKind:
    """What the class of an SQLSTATE means for us."""
    if not state:
        return ErrorKind.OTHER
    if state.startswith("28"):
        return ErrorKind.CREDENTIALS
    if state.startswith("08") or state in ("57P01", "57P02", "57P03"):
        return ErrorKind.CONNECTION
    if state.startswith("40") or state in ("23503", "55P03", "57014"):
        return ErrorKind.TRANSIENT
    if state.startswith(("22", "23")) or state in ("44000", "54000"):
        return ErrorKind.DATA
    if state.startswith(("42", "3F")):
        return ErrorKind.SCHEMA
    return ErrorKind.OTHER


def like_pattern(pattern: str | None, name: str | None) -> bool:
    """JDBC's patterns: % any text, _ any character, \\ escapes."""
    if pattern is None or name is None:
        return True
    import re

    text, at = "", 0
    while at < len(pattern):
        character = pattern[at]
        if character == "\\" and at + 1 < len(pattern):
            at += 1
            text += re.escape(pattern[at])
        else:
            text += {"%": ".*", "_": "."}.get(character) or re.escape(character)
        at += 1
    return re.fullmatch(text, name, re.S) is not None
