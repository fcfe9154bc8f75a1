"""Databases and harnesses for the JDBC connectors' tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests import facilities
from tests.connect.jdbc.databases import (
    MariadbDatabase,
    MariadbServer,
    PostgresDatabase,
    PostgresServer,
    SqliteDatabase,
    TestDatabase,
)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    facilities.require("postgresql")
    server = PostgresServer()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def mariadb_server() -> Iterator[MariadbServer]:
    facilities.require("mariadb")
    server = MariadbServer()
    yield server
    server.stop()


@pytest.fixture
def make_database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[str], TestDatabase]]:
    made: list[TestDatabase] = []

    def make(kind: str) -> TestDatabase:
        if kind == "postgresql":
            made.append(PostgresDatabase(request.getfixturevalue("postgres_server")))
        elif kind == "mariadb":
            made.append(MariadbDatabase(request.getfixturevalue("mariadb_server")))
        else:
            made.append(SqliteDatabase(tmp_path))
        return made[-1]

    yield make
    for database in made:
        database.close()


@pytest.fixture(params=["postgresql", "mariadb", "sqlite"])
def database(request: pytest.FixtureRequest, make_database: Callable[[str], TestDatabase]) -> TestDatabase:
    """A test with this fixture runs once for each kind of database."""
    return make_database(request.param)


@pytest.fixture
def postgres(make_database: Callable[[str], TestDatabase]) -> TestDatabase:
    return make_database("postgresql")


@pytest.fixture
def mariadb(make_database: Callable[[str], TestDatabase]) -> TestDatabase:
    return make_database("mariadb")


@pytest.fixture
def sqlite(make_database: Callable[[str], TestDatabase]) -> TestDatabase:
    return make_database("sqlite")
