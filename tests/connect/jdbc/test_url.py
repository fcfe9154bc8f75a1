"""connection.url: every form that is taken, and every form that is refused."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connect.jdbc.drivers.mysql import connect_arguments as mysql_arguments
from connect.jdbc.drivers.postgres import connect_arguments as postgres_arguments
from connect.jdbc.url import UrlError, mask, parse_url

ACCEPTED: list[tuple[str, dict[str, Any]]] = [
    ("jdbc:postgresql://h:5433/db", {"dialect": "postgresql", "driver": "psycopg", "hosts": (("h", 5433),), "database": "db"}),
    ("JDBC:PostgreSQL://h/db", {"dialect": "postgresql", "hosts": (("h", None),)}),
    ("jdbc:postgresql:db", {"hosts": (("localhost", None),), "database": "db"}),
    ("jdbc:postgresql://h1:1,h2:2/db", {"hosts": (("h1", 1), ("h2", 2))}),
    ("jdbc:postgresql://[::1]:5432/db", {"hosts": (("::1", 5432),)}),
    ("jdbc:postgresql://h/d%20b?user=u%40x&password=p%2Fw%26", {"database": "d b", "user": "u@x", "password": "p/w&"}),
    ("jdbc:mysql://h:3307/db?useSSL=true&serverTimezone=UTC", {"dialect": "mysql", "driver": "pymysql", "hosts": (("h", 3307),)}),
    ("jdbc:mariadb://u:p@h/db", {"dialect": "mysql", "user": "u", "password": "p"}),
    ("jdbc:sqlite:shop.db", {"dialect": "sqlite", "driver": "sqlite", "database": "shop.db"}),
    ("jdbc:sqlite:/abs/100%25.db", {"database": "/abs/100%25.db"}),
    ("jdbc:sqlite:C:/x.db?busy_timeout=5", {"database": "C:/x.db", "properties": {"busy_timeout": "5"}}),
    ("jdbc:sqlite::memory:", {"database": ":memory:"}),
    ("jdbc:oracle:thin:@//h:1521/svc", {"dialect": "oracle", "query": {"service_name": "svc"}, "hosts": (("h", 1521),)}),
    ("jdbc:oracle:thin:scott/tiger@h:1521:ORCL", {"database": "ORCL", "user": "scott", "password": "tiger"}),
    ("jdbc:oracle:thin:@(DESCRIPTION=(ADDRESS=(HOST=h)))", {"query": {"dsn": "(DESCRIPTION=(ADDRESS=(HOST=h)))"}}),
    ("jdbc:sqlserver://h:1433;databaseName=d;user=u;password={a;b}}c};encrypt=false",
     {"dialect": "sqlserver", "database": "d", "user": "u", "password": "a;b}c", "sqlalchemy_name": "mssql+pyodbc"}),
    ("jdbc:sqlserver://h\\inst:1433;database=d", {"hosts": (("h\\inst", 1433),)}),
    ("jdbc:microsoft:sqlserver://h:1;DatabaseName=d", {"hosts": (("h", 1),), "database": "d"}),
    ("jdbc:netezza://h/db;user=u;password=p", {"dialect": "netezza", "hosts": (("h", 5480),), "user": "u"}),
    ("jdbc:ingres://h:VW7/db;UID=u;PWD=p", {"dialect": "ingres", "database": "db", "user": "u", "password": "p",
                                            "query": {"servertype": "INGRES", "server": "@h,tcp_ip,VW7"}}),
    ("jdbc:db2://h:50000/db:user=u;password=p;", {"dialect": "db2", "database": "db", "user": "u", "password": "p"}),
    ("jdbc:vertica://h:5433/db?user=u", {"driver": "sqlalchemy", "user": "u"}),
    ("jdbc:sap://h:30015/?user=u", {"driver": "sqlalchemy"}),
    ("jdbc:clickhouse://h:8123/db", {"sqlalchemy_name": "clickhousedb"}),
    ("postgresql+psycopg2://u:p%40@h:5/db", {"dialect": "postgresql", "driver": "psycopg", "user": "u", "password": "p@"}),
    ("mysql://u@h/db?charset=utf8mb4", {"dialect": "mysql", "properties": {"charset": "utf8mb4"}}),
    ("sqlite:////abs/x.db", {"dialect": "sqlite", "database": "/abs/x.db"}),
    ("mssql+pyodbc://u:p@h/db?driver=x", {"dialect": "sqlserver", "driver": "sqlalchemy"}),
    ("duckdb:///x.duckdb", {"dialect": "generic", "driver": "sqlalchemy", "sqlalchemy_name": "duckdb"}),
]  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), ACCEPTED, ids=[text for text, _ in ACCEPTED])
def test_accepted(text: str, expected: dict[str, Any]) -> None:
    url = parse_url(text)
    for name, value in expected.items():
        assert getattr(url, name) == value, name


REFUSED = [
    ("", "empty"),
    ("   ", "empty"),
    ("postgres", "expected jdbc:"),
    ("jdbc:", "expected jdbc:SUBPROTOCOL"),
    ("jdbc:postgresql", "expected jdbc:SUBPROTOCOL"),
    ("jdbc:acme://h/x", r"no driver is known for jdbc:acme: .*pybroker\[jdbc\]"),
    ("jdbc:postgresql://h:port/db", "'port' is not a port"),
    ("jdbc:postgresql://h:99999/db", "not a port between"),
    ("jdbc:postgresql://h:-1/db", "not a port"),
    ("jdbc:postgresql://h st/db", "not a host name"),
    ("jdbc:postgresql://h'; DROP TABLE x/db", "not a host name"),
    ("jdbc:postgresql://[::1/db", "IPv6"),
    ("jdbc:postgresql://h/db?socketFactory=x.Y", "is refused"),
    ("jdbc:postgresql://h/db?loggerFile=/etc/passwd", "is refused"),
    ("jdbc:postgresql://h/db\x00", "control character"),
    ("jdbc:mysql://h/db\nx", "control character"),
    ("jdbc:mysql://h1,h2/db", "2 hosts are given"),
    ("jdbc:mysql:loadbalance://h/db", "name one host"),
    ("jdbc:mysql://h/db?autoDeserialize=true", "is refused"),
    ("jdbc:mysql://h/db?allowLoadLocalInfile=true", "is refused"),
    ("mysql://h/db?local_infile=1", "is refused"),
    ("mysql://h/db?read_default_file=/etc/my.cnf", "is refused"),
    ("jdbc:sqlite::resource:x.db", "has no meaning here"),
    ("jdbc:sqlite:x.db?enable_load_extension=true", "is refused"),
    ("jdbc:oracle:oci:@x", "only jdbc:oracle:thin"),
    ("jdbc:oracle:thin:@h", "host:port:sid"),
    ("jdbc:oracle:thin:@//h:1521/", "service name"),
    ("jdbc:sqlserver:h", "expected //"),
    ("jdbc:sqlserver://h;password={x", "not closed"),
    ("jdbc:netezza://h:5480", "database is missing"),
    ("jdbc:ingres://h:V!7/db", "installation"),
    ("jdbc:db2://h:1/", "database is missing"),
    ("postgresql://h:notaport/db", "not a valid"),
    ("jdbc:postgresql://" + "h" * 9000, "9018 characters"),
]


@pytest.mark.parametrize(("text", "reason"), REFUSED)
def test_refused(text: str, reason: str) -> None:
    with pytest.raises(UrlError, match=reason):
        parse_url(text)


def test_keys_of_their_own_win_and_secrets_never_show() -> None:
    url = parse_url(
        "jdbc:postgresql://u:first@h/db?password=two",
        user="me",
        password="three",
        properties={"sslmode": "require"},
    )
    assert (url.user, url.password, url.properties) == ("me", "three", {"sslmode": "require"})
    for text in (str(url), repr(url)):
        assert not any(secret in text for secret in ("first", "two", "three"))
    assert str(url) == "postgresql://h/db"


@pytest.mark.parametrize(
    "text",
    [
        "jdbc:postgresql://u:hunter2@h/db?password=hunter2&x=1",
        "jdbc:sqlserver://h;user=u;password=hunter2;x=1",
        "jdbc:oracle:thin:u/hunter2@h:1:x",
        "jdbc:acme://u:hun@ter2@h/db?token=hunter2",
        "jdbc:h2:tcp://h/x;PASSWORD=hunter2",
    ],
)
def test_masked(text: str) -> None:
    assert "ter2" not in mask(text)
    assert "ter2" not in str(parse_url(text, jars=True, dialect_name="jdbc"))


def test_unknown_properties_are_named() -> None:
    assert parse_url("jdbc:postgresql://h/db?currentSchema=a&what=1&Whence=2").ignored == ("Whence", "what")


def test_properties_reach_the_drivers() -> None:
    url = parse_url(
        "jdbc:postgresql://a:1,b/db?currentSchema=my s,\"x'&ssl=true&ApplicationName=app&loginTimeout=3&options=-cgeqo=off"
    )
    found = postgres_arguments(url)
    assert found["host"] == "a,b"
    assert found["port"] == "1,5432"
    assert found["sslmode"] == "verify-full"
    assert found["application_name"] == "app"
    assert found["connect_timeout"] == 3
    assert found["options"] == '-cgeqo=off -csearch_path="my\\ s","x\'"'
    found = mysql_arguments(
        parse_url("jdbc:mysql://h/db?connectTimeout=5000&socketTimeout=7000&sslMode=DISABLED")
    )
    assert (found["connect_timeout"], found["read_timeout"], found["ssl_disabled"]) == (5, 7, True)
    assert found["local_infile"] is False


@given(st.text(max_size=60))
def test_any_text_is_taken_or_refused(text: str) -> None:
    for prefix in (
        "",
        "jdbc:",
        "jdbc:postgresql://",
        "jdbc:sqlserver://h;",
        "jdbc:oracle:thin:",
        "jdbc:ingres://",
    ):
        with contextlib.suppress(UrlError):
            parse_url(prefix + text)
