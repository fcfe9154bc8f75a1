"""The ways to a database: one module per driver, found by the name that `url.py` gives it.

A driver's package is imported only when it is used, so that the one that is missing stops nobody else.
"""

from __future__ import annotations

import importlib
import importlib.util
import logging
from collections.abc import Callable, Sequence

from connect.jdbc.dialects import dialect_for
from connect.jdbc.drivers.base import Connection
from connect.jdbc.types import DatabaseError, ErrorKind
from connect.jdbc.url import DatabaseUrl

__all__ = ["Connection", "connect", "missing_package"]

log = logging.getLogger(__name__)

# Module to import and what installs it.
_PACKAGES = {
    "psycopg": ("psycopg", "pybroker[connect]"),
    "pymysql": ("pymysql", "pybroker[connect]"),
    "sqlite": ("sqlite3", "Python itself"),
    "sqlalchemy": ("sqlalchemy", "pybroker[connect]"),
    "jpype": ("jpype", "pybroker[jdbc]"),
}
# The driver packages behind SQLAlchemy's names, which SQLAlchemy imports itself.
_BEHIND_SQLALCHEMY = {
    "oracle+oracledb": ("oracledb", "oracledb"),
    "mssql+pyodbc": ("pyodbc", "pyodbc, and the system package unixodbc (libodbc)"),
    "ingres+pyodbc": ("sqlalchemy_ingres", "sqlalchemy-ingres, and the system package unixodbc (libodbc)"),
    "netezza+nzpy": ("nzalchemy", "nzpy nzalchemy"),
    "db2+ibm_db": ("ibm_db_sa", "ibm_db_sa"),
    "vertica+vertica_python": ("sqla_vertica_python", "sqlalchemy-vertica-python"),
    "hana+hdbcli": ("sqlalchemy_hana", "sqlalchemy-hana"),
    "clickhousedb": ("clickhouse_connect", "clickhouse-connect"),
    "snowflake": ("snowflake.sqlalchemy", "snowflake-sqlalchemy"),
}


def missing_package(url: DatabaseUrl) -> str | None:
    """What to install before this URL can be used; None when everything is there."""
    wanted = [_PACKAGES[url.driver]]
    if url.driver == "sqlalchemy" and url.sqlalchemy_name in _BEHIND_SQLALCHEMY:
        wanted.append(_BEHIND_SQLALCHEMY[url.sqlalchemy_name])
    for module, package in wanted:
        try:
            if module == "nzalchemy":  # Whose import opens a log file.
                if importlib.util.find_spec(module) is None:
                    return f"{package} ({module} is missing)"
                continue
            importlib.import_module(module)
        except ImportError as error:
            return f"{package} ({module}: {error})"
    return None


def connect(url: DatabaseUrl, *, quoting: str = "needed", jars: Sequence[str] = ()) -> Connection:
    """One connection; DatabaseError, whose text holds no secret, when there is none to be had."""
    missing = missing_package(url)
    if missing is not None:
        raise DatabaseError(f"to reach {url} install {missing}", ErrorKind.OTHER)
    dialect = dialect_for(url.dialect, quoting)
    if url.driver == "jpype":
        from connect.jdbc.drivers.jdbc_jar import JarConnection

        return JarConnection(url, dialect, jars)
    makers: dict[str, Callable[[], type[Connection]]] = {
        "psycopg": _psycopg,
        "pymysql": _pymysql,
        "sqlite": _sqlite,
        "sqlalchemy": _sqlalchemy,
    }
    return makers[url.driver]()(url, dialect)


def _psycopg() -> type[Connection]:
    from connect.jdbc.drivers.postgres import PostgresConnection

    return PostgresConnection


def _pymysql() -> type[Connection]:
    from connect.jdbc.drivers.mysql import MysqlConnection

    return MysqlConnection


def _sqlite() -> type[Connection]:
    from connect.jdbc.drivers.sqlite import SqliteConnection

    return SqliteConnection


def _sqlalchemy() -> type[Connection]:
    from connect.jdbc.drivers.alchemy import AlchemyConnection

    return AlchemyConnection
