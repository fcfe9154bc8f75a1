"""Reads one table or query, in turns.

In: an open connection and the position that has been reached. Out: records in the order of the position, at
most a batch at a time. A turn begins with `begin`, which asks for the rows after the position up to a
bound, and ends when they are read or `reset` gives it up; the next turn goes on from the last record handed
out.

What must hold, so that no row is passed over:

- The bound is taken first, then the transactions are listed that are open then. Only when all of those have
ended
  are the rows up to the bound read; whoever begins later gets larger numbers and later times.
- The bound of a time is rounded down to what the column can tell apart, and rows at the bound wait.
- In timestamp mode the offset moves on only with the last row of a timestamp. A batch is stretched to that
row,
  so that it ends at a place where reading can begin again; only above MAX_GROUP rows of one timestamp it is
  cut, and those rows come again when the task is restarted in between.
"""

from __future__ import annotations

import datetime
import logging
from collections.abc import Iterator, Sequence
from typing import Any

from connect.api.errors import ConnectError, DataError
from connect.api.source import SourceRecord
from connect.jdbc.dialects import MARK
from connect.jdbc.drivers import Connection
from connect.jdbc.identifiers import match_columns
from connect.jdbc.source.config import SourceSettings
from connect.jdbc.source.offsets import Position, from_micros, to_micros
from connect.jdbc.source.values import RowReader, instant
from connect.jdbc.types import INTEGER_TYPES, Column, DatabaseError, SqlType, TableId

log = logging.getLogger(__name__)

MAX_GROUP = 100_000
# SQLite's readers hold up its writers, so what is new is taken in one piece where that is possible.
PIECE = 10_000
# How soon to look again whether the transactions that were waited for have ended.
WAIT_FOR_WRITERS_MS = 100

Row = Sequence[Any]
_LONG = 1 << 63


class Querier:
    def __init__(
        self,
        table: TableId | None,
        settings: SourceSettings,
        zone: datetime.tzinfo,
        partition: dict[str, Any],
        position: Position,
    ) -> None:
        """`table` None reads the query."""
        self.table = table
        self.position = position
        self._settings = settings
        self._zone = zone
        self._partition = partition
        self.topic = settings.topic_prefix + (table.table if table is not None else "")
        self._columns: list[Column] | None = None
        self._reader: RowReader | None = None
        self._pieces: Iterator[list[tuple[Any, ...]]] | None = None
        self._rows: list[tuple[Any, ...]] = []
        self._ended = True
        self._fence: tuple[Any, frozenset[str]] | None = None
        self._told_of_writers = False
        self.waits_for_writers = False
        # Set by the columns of the table.
        self._incrementing: Column | None = None
        self._incrementing_at = -1
        self._timestamps: list[Column] = []
        if settings.uses_timestamp and position.micros is None and settings.timestamp_initial is not None:
            initial = settings.timestamp_initial
            self._starts_now = initial == -1
            if initial >= 0:
                self.position = Position(position.incrementing, initial * 1000)
        else:
            self._starts_now = False
        if settings.uses_incrementing and self.position.incrementing is None:
            self.position = Position(
                settings.incrementing_initial if not settings.uses_timestamp else None, self.position.micros
            )

    def __str__(self) -> str:
        return f"the table {self.table}" if self.table is not None else "the query"

    @property
    def is_reading(self) -> bool:
        return not self._ended

    def reset(self) -> None:
        """Gives the turn up; the next one begins after the last record handed out."""
        pieces, self._pieces = self._pieces, None
        if pieces is not None and hasattr(pieces, "close"):
            try:
                pieces.close()
            except DatabaseError as error:
                log.debug("closing a cursor: %s", error)
        self._rows = []
        self._ended = True

    # ---- the beginning of a turn ----

    def begin(self, connection: Connection) -> bool:
        """Asks for the rows that are new. False when there is nothing to read now."""
        self.reset()
        self._look_up_columns(connection)
        self.waits_for_writers = False
        if self._settings.mode == "bulk":
            self._open(connection, self._bulk_statement(connection), [])
            return True
        bound = self._settled_bound(connection)
        if bound is None:
            return False
        statement, parameters = self._statement(connection, bound)
        self._open(connection, statement, parameters)
        return True

    def _open(self, connection: Connection, statement: str, parameters: list[Any]) -> None:
        if self._settings.query_suffix:
            statement = f"{statement} {self._settings.query_suffix}"
        size = max(self._settings.batch_max_rows, PIECE if connection.url.driver == "sqlite" else 0)
        self._pieces = connection.stream(statement, parameters, size)
        self._ended = False

    def _look_up_columns(self, connection: Connection) -> None:
        if self.table is not None:
            columns = connection.columns(self.table)
            if not columns:
                raise ConnectError(f"the table {self.table} does not exist")
        elif self._columns is None:
            columns = connection.query_columns(self._settings.query)
        else:
            return
        if columns == self._columns:
            return
        settings = self._settings
        name = self.table.table if self.table is not None else None
        reader = RowReader(name, columns, settings, self._zone, connection.url.driver)
        if settings.uses_incrementing:
            self._incrementing = self._find_incrementing(columns)
            self._incrementing_at = next(
                (at for at, column in enumerate(reader.columns) if column.name == self._incrementing.name), -1
            )
        if settings.uses_timestamp:
            self._timestamps = self._find_timestamps(columns)
        if settings.validate_non_null and self.table is not None:
            self._check_not_null()
        self._columns, self._reader = columns, reader

    def _find_incrementing(self, columns: list[Column]) -> Column:
        wanted = self._settings.incrementing_column_of(str(self.table) if self.table else "")
        if wanted:
            found = match_columns([wanted], columns)[wanted]
            if found is None:
                raise ConnectError(
                    f"incrementing.column.name: {self} has no column {wanted!r}; it has "
                    f"{', '.join(column.name for column in columns)}"
                )
        else:
            automatic = [column for column in columns if column.auto_increment]
            if len(automatic) != 1:
                names = ", ".join(column.name for column in automatic) or "none"
                raise ConnectError(
                    f"incrementing.column.name is not set, and {self} must then have exactly one "
                    "auto-increment "
                    f"column; it has {names}"
                )
            found = automatic[0]
        numeric = found.type in (SqlType.NUMERIC, SqlType.DECIMAL) and not found.scale
        if found.type not in INTEGER_TYPES and not numeric:
            raise ConnectError(
                f"the incrementing column {found.name!r} of {self} is of type {found.type_name}; it "
                "must be an "
                "integer or a decimal of scale 0"
            )
        return found

    def _find_timestamps(self, columns: list[Column]) -> list[Column]:
        wanted = self._settings.timestamp_columns_of(str(self.table) if self.table else "")
        if not wanted:
            raise ConnectError(f"no timestamp column is configured for {self}")
        found = []
        for name, column in match_columns(wanted, columns).items():
            if column is None:
                raise ConnectError(
                    f"timestamp.column.name: {self} has no column {name!r}; it has "
                    f"{', '.join(column.name for column in columns)}"
                )
            found.append(column)
        return found

    def _check_not_null(self) -> None:
        if self._incrementing is not None and self._incrementing.nullable:
            raise ConnectError(
                f"the incrementing column {self._incrementing.name!r} of {self} may be null: make it "
                "NOT NULL, or "
                "set validate.non.null=false (rows where it is null are not read)"
            )
        if self._timestamps and all(column.nullable for column in self._timestamps):
            names = ", ".join(repr(column.name) for column in self._timestamps)
            raise ConnectError(
                f"every timestamp column of {self} ({names}) may be null: make one NOT NULL, or set "
                "validate.non.null=false (rows where all are null are not read)"
            )

    # ---- the bound of a turn ----

    def _settled_bound(self, connection: Connection) -> Any:
        """The bound up to which no row can appear any more; None when there is nothing below it."""
        bound = self._present_bound(connection)
        writers = connection.open_writers(self.table) if self._settings.waits_for_writers else None
        # In some databases the bound's statement has fixed what later statements see: the rows are read anew.
        connection.rollback()
        if bound is None:
            self._fence = None
            return None
        if writers is None:
            return bound
        if self._fence is None:
            if not writers:
                return bound
            self._fence = (bound, writers)
        elif not self._fence[1] & writers:
            bound, self._fence = self._fence[0], None
            return bound
        if not self._told_of_writers:
            self._told_of_writers = True
            log.info(
                "%s: rows wait for %d open transactions to end (wait.for.open.transactions)",
                self,
                len(self._fence[1]),
            )
        self.waits_for_writers = True
        return None

    def _present_bound(self, connection: Connection) -> Any:
        if self._settings.uses_timestamp:
            column = self._timestamps[0]
            now = connection.wall_value(connection.now(column.type))
            now -= datetime.timedelta(milliseconds=self._settings.timestamp_delay_ms)
            digits = column.precision if column.type in (SqlType.TIMESTAMP, SqlType.TIMESTAMP_TZ) else 0
            unit = 10 ** (6 - min(digits or 0, 6))
            now = now.replace(microsecond=now.microsecond // unit * unit)
            if column.type is SqlType.DATE:
                now = now.replace(hour=0, minute=0, second=0)
            if self._starts_now:
                self._starts_now = False
                self.position = Position(self.position.incrementing, to_micros(instant(now, self._zone)))
            return now
        assert self._incrementing is not None
        name = connection.dialect.quoter.exact(self._incrementing.name)
        found = connection.query(f"SELECT MAX({name}) FROM {self._origin(connection)}")[0][0]
        if found is None or (self.position.incrementing is not None and found <= self.position.incrementing):
            return None
        return found

    # ---- statements ----

    def _origin(self, connection: Connection) -> str:
        if self.table is not None:
            table = self.table if self._settings.qualify else TableId(None, None, self.table.table)
            return connection.dialect.table(table)
        return connection.dialect.subselect(self._settings.query)

    def _selection(self, connection: Connection) -> str:
        assert self._reader is not None
        return ", ".join(connection.select_expression(column) for column in self._reader.columns)

    def _bulk_statement(self, connection: Connection) -> str:
        if self.table is None and not any(
            c.type in (SqlType.OTHER, SqlType.ARRAY) for c in self._columns or ()
        ):
            return self._settings.query
        return f"SELECT {self._selection(connection)} FROM {self._origin(connection)}"

    def _statement(self, connection: Connection, bound: Any) -> tuple[str, list[Any]]:
        quote = connection.dialect.quoter.exact
        position = self.position
        selection = self._selection(connection)
        origin = self._origin(connection)
        if not self._settings.uses_timestamp:
            assert self._incrementing is not None
            name = quote(self._incrementing.name)
            conditions, parameters = [f"{name} <= {MARK}"], [bound]
            if position.incrementing is not None:
                conditions.insert(0, f"{name} > {MARK}")
                parameters.insert(0, position.incrementing)
            return (
                f"SELECT {selection} FROM {origin} WHERE {' AND '.join(conditions)} ORDER BY {name}",
                parameters,
            )
        time = connection.timestamp_expression(self._timestamps)
        end = self._parameter(connection, bound)
        parameters = [end]
        condition = f"{time} < {MARK}"
        order = time
        after = None if position.micros is None else self._parameter(connection, from_micros(position.micros))
        if self._incrementing is not None:
            name = quote(self._incrementing.name)
            order += f", {name}"
            if after is not None and position.incrementing is not None:
                condition += f" AND (({time} = {MARK} AND {name} > {MARK}) OR {time} > {MARK})"
                parameters += [after, position.incrementing, after]
            elif after is not None:
                condition += f" AND {time} > {MARK}"
                parameters.append(after)
        elif after is not None:
            condition += f" AND {time} > {MARK}"
            parameters.append(after)
        return f"SELECT {selection}, {time} FROM {origin} WHERE {condition} ORDER BY {order}", parameters

    def _parameter(self, connection: Connection, time: datetime.datetime) -> Any:
        """A time as the timestamp column is compared with it."""
        if self._timestamps[0].type is SqlType.TIMESTAMP_TZ:
            return time if time.tzinfo is not None else time.replace(tzinfo=self._zone)
        if time.tzinfo is not None:
            time = time.astimezone(self._zone).replace(tzinfo=None)
        return connection.wall_parameter(time)

    # ---- records ----

    def next_batch(self, connection: Connection) -> list[SourceRecord]:
        """The next records of this turn; `is_reading` is False after the last."""
        limit = self._settings.batch_max_rows
        rows = self._take(limit)
        if self._settings.mode == "timestamp" and rows:
            rows = self._stretch(rows)
        records = self._records(connection, rows)
        if not self._rows and self._pieces is None:
            self._ended = True
        return records

    def _more(self) -> bool:
        """Fetches the next piece; False when there is none."""
        if self._pieces is None:
            return False
        piece = next(self._pieces, None)
        if piece is None:
            self._pieces = None
            return False
        self._rows.extend(piece)
        return True

    def _take(self, count: int) -> list[tuple[Any, ...]]:
        while len(self._rows) < count and self._more():
            pass
        taken, self._rows = self._rows[:count], self._rows[count:]
        return taken

    def _stretch(self, rows: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
        """Adds the rows that share the last row's timestamp, so that the batch ends with a complete one."""
        last = rows[-1][-1]
        while len(rows) < MAX_GROUP:
            if not self._rows and not self._more():
                break
            end = 0
            room = min(len(self._rows), MAX_GROUP - len(rows))
            while end < room and self._rows[end][-1] == last:
                end += 1
            rows += self._rows[:end]
            self._rows = self._rows[end:]
            if end < room:
                break
        if not self._rows:
            self._more()  # So that it is known whether the last row is the last of its timestamp.
        return rows

    def _numbered(self, reader: RowReader, rows: list[tuple[Any, ...]]) -> list[SourceRecord] | None:
        """The records of incrementing mode, all at once; None when a row needs a closer look."""
        place, partition, topic = self._incrementing_at, self._partition, self.topic
        numbers = [row[place] for row in rows]
        if set(map(type, numbers)) != {int} or min(numbers) < -_LONG or max(numbers) >= _LONG:
            return None
        try:
            values = reader.read_all(rows)
        except (DataError, ValueError, TypeError, ArithmeticError):
            return None
        schema, key_schema, key = reader.schema, reader.key_schema, reader.key
        self.position = Position(numbers[-1])
        return [
            SourceRecord(
                partition, {"incrementing": number}, topic, None, key_schema,
                None if key_schema is None else key(value), schema, value,
            )
            for number, value in zip(numbers, values, strict=True)
        ]  # fmt: skip

    def _records(self, connection: Connection, rows: list[tuple[Any, ...]]) -> list[SourceRecord]:
        reader = self._reader
        assert reader is not None
        if not rows:
            return []
        if self._settings.mode == "incrementing":
            quick = self._numbered(reader, rows)
            if quick is not None:
                return quick
        records: list[SourceRecord] = []
        partition, topic, mode = self._partition, self.topic, self._settings.mode
        schema, key_schema, read, place = reader.schema, reader.key_schema, reader.read, self._incrementing_at
        position, zone = self.position, self._zone
        offset: dict[str, Any] | None = None if mode == "bulk" else position.as_map() or None
        key = None
        row: Row = ()
        try:
            for at, row in enumerate(rows):
                value = read(row)
                if mode == "incrementing":
                    position = Position(_whole(row[place]))
                    offset = {"incrementing": position.incrementing}
                elif mode == "timestamp+incrementing":
                    micros = to_micros(instant(connection.wall_value(row[-1]), zone))
                    position = Position(_whole(row[place]), micros)
                    offset = position.as_map()
                elif mode == "timestamp":
                    following = rows[at + 1] if at + 1 < len(rows) else self._rows[0] if self._rows else None
                    if following is None or following[-1] != row[-1]:
                        micros = to_micros(instant(connection.wall_value(row[-1]), zone))
                        position = Position(None, micros)
                        offset = position.as_map()
                if key_schema is not None:
                    key = reader.key(value)
                records.append(SourceRecord(partition, offset, topic, None, key_schema, key, schema, value))
        except (DataError, DatabaseError, ValueError, OverflowError) as error:
            raise ConnectError(f"{self}, the row {_shown(reader, row)}: {error}") from error
        self.position = position
        return records


def _whole(value: Any) -> int:
    number = int(value)
    if number != value:
        raise DataError(f"the incrementing value {value} is no whole number")
    if not -_LONG <= number < _LONG:
        raise DataError(f"the incrementing value {number} is beyond a long")
    return number


def _shown(reader: RowReader, row: Row) -> str:
    """The row's first columns, shortened: enough to find it."""
    parts = []
    for column, value in list(zip(reader.columns, row, strict=False))[:3]:
        text = repr(value)
        parts.append(f"{column.name}={text if len(text) <= 40 else text[:37] + '...'}")
    return ", ".join(parts)
