"""What the connectors know of a database's tables and columns, whatever the driver.

`SqlType` names the types by what they hold (JDBC's names), `Column` is a column of the catalogue or of a
result, `TableId` names a table, and `DatabaseError` is every driver's error sorted by what can be done
about it.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import NamedTuple


class SqlType(enum.Enum):
    BOOLEAN = "BOOLEAN"
    BIT = "BIT"
    TINYINT = "TINYINT"
    SMALLINT = "SMALLINT"
    INTEGER = "INTEGER"
    BIGINT = "BIGINT"
    REAL = "REAL"
    DOUBLE = "DOUBLE"
    DECIMAL = "DECIMAL"
    NUMERIC = "NUMERIC"
    TEXT = "TEXT"
    BINARY = "BINARY"
    DATE = "DATE"
    TIME = "TIME"
    TIMESTAMP = "TIMESTAMP"
    TIMESTAMP_TZ = "TIMESTAMP_TZ"
    UUID = "UUID"
    JSON = "JSON"
    ARRAY = "ARRAY"
    OTHER = "OTHER"

    __hash__ = object.__hash__


INTEGER_TYPES = frozenset({SqlType.TINYINT, SqlType.SMALLINT, SqlType.INTEGER, SqlType.BIGINT})
TIMESTAMP_TYPES = frozenset({SqlType.TIMESTAMP, SqlType.TIMESTAMP_TZ, SqlType.DATE})


@dataclass(frozen=True, slots=True)
class Column:
    """`precision` and `scale` as the database gives them, None when it gives none. `key_position` counts
    from 1 within the primary key; 0 is outside. `element` is the type of an array's items."""

    name: str
    type: SqlType
    type_name: str
    nullable: bool = True
    precision: int | None = None
    scale: int | None = None
    length: int | None = None
    unsigned: bool = False
    auto_increment: bool = False
    key_position: int = 0
    has_default: bool = False
    element: SqlType | None = None


class TableId(NamedTuple):
    """A table's name in up to three parts."""

    catalog: str | None
    schema: str | None
    table: str

    def __str__(self) -> str:
        return ".".join(part for part in self if part is not None)


class ErrorKind(enum.Enum):
    """CONNECTION: the connection is gone or cannot be made. CREDENTIALS: the user or password is refused.
    DATA: a value does not fit, and never will. TRANSIENT: a conflict with others that may pass (deadlock,
    lock timeout, a foreign row that is not there yet). SCHEMA: a table or column is missing or of another
    kind. OTHER: anything else."""

    CONNECTION = "connection"
    CREDENTIALS = "credentials"
    DATA = "data"
    TRANSIENT = "transient"
    SCHEMA = "schema"
    OTHER = "other"


class DatabaseError(Exception):
    """What a driver raised, with its kind and, where there is one, the SQL state or vendor code."""

    def __init__(self, message: str, kind: ErrorKind = ErrorKind.OTHER, code: str = "") -> None:
        super().__init__(message)
        self.kind = kind
        self.code = code
