"""One module per family of databases; `dialect_for` finds a dialect by the name that `url.py` gives it."""

from __future__ import annotations

from connect.jdbc.dialects.base import MARK, Dialect, FieldSpec
from connect.jdbc.dialects.embedded import DerbyDialect, GenericDialect, H2Dialect, HsqldbDialect
from connect.jdbc.dialects.merging import Db2Dialect, OracleDialect, SqlServerDialect
from connect.jdbc.dialects.mysql import MysqlDialect
from connect.jdbc.dialects.postgres import PostgresDialect
from connect.jdbc.dialects.sqlite import SqliteDialect
from connect.jdbc.dialects.staging import IngresDialect, NetezzaDialect

__all__ = ["DIALECTS", "MARK", "Dialect", "FieldSpec", "dialect_for"]

DIALECTS: dict[str, type[Dialect]] = {
    dialect.name: dialect
    for dialect in (
        PostgresDialect,
        MysqlDialect,
        SqliteDialect,
        OracleDialect,
        SqlServerDialect,
        Db2Dialect,
        NetezzaDialect,
        IngresDialect,
        DerbyDialect,
        H2Dialect,
        HsqldbDialect,
        GenericDialect,
    )
}

# What `dialect.name` may hold in configurations of either vendor.
_VENDOR_NAMES = {
    "postgresqldatabasedialect": "postgresql", "postgredatabasedialect": "postgresql",
    "mysqldatabasedialect": "mysql",
    "sqlitedatabasedialect": "sqlite", "oracledatabasedialect": "oracle",
    "sqlserverdatabasedialect": "sqlserver",
    "db2databasedialect": "db2", "derbydatabasedialect": "derby", "genericdatabasedialect": "generic",
    "mariadb": "mysql", "vector": "ingres",
}  # fmt: skip


def dialect_name(text: str) -> str | None:
    """The dialect that a `dialect.name` means, None when it is unknown."""
    lowered = text.lower()
    name = _VENDOR_NAMES.get(lowered, lowered)
    return name if name in DIALECTS else None


def dialect_for(name: str, quoting: str = "needed") -> Dialect:
    return DIALECTS[name](quoting)
