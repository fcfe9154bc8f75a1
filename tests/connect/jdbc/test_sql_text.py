"""The SQL of every dialect as whole statements, compared with sql_text.txt.

This is all the checking that Oracle, SQL Server, Db2, Netezza, Actian Vector/Ingres, Derby and HSQLDB get:
their servers are not here. After a change that is meant, write the file anew with `python -m
tests.connect.jdbc.test_sql_text`.
"""

from __future__ import annotations

import datetime
import decimal
from pathlib import Path

import pytest

from connect.api.data import (
    BOOLEAN_SCHEMA,
    BYTES_SCHEMA,
    FLOAT64_SCHEMA,
    INT8_SCHEMA,
    INT32_SCHEMA,
    INT64_SCHEMA,
    OPTIONAL_STRING_SCHEMA,
    STRING_SCHEMA,
    Date,
    Decimal,
    Schema,
    SchemaBuilder,
    Time,
    Timestamp,
    Type,
)
from connect.api.errors import ConnectError
from connect.jdbc.dialects import DIALECTS, MARK, Dialect, FieldSpec, dialect_for
from connect.jdbc.dialects.staging import NetezzaDialect
from connect.jdbc.drivers.alchemy import external_text
from connect.jdbc.identifiers import IdentifierError
from connect.jdbc.types import Column, SqlType, TableId

GOLDEN = Path(__file__).with_name("sql_text.txt")
TABLE = TableId(None, "shop", "Order Items")
HOSTILE = "x\"]`'; DROP TABLE y --"

FIELDS = [
    FieldSpec("id", INT64_SCHEMA, True),
    FieldSpec("Key", STRING_SCHEMA, True),
    FieldSpec("raw_key", BYTES_SCHEMA, True),
    FieldSpec("i8", INT8_SCHEMA),
    FieldSpec("i16", Schema(Type.INT16)),
    FieldSpec("i32", SchemaBuilder.int32().optional().default(7).build()),
    FieldSpec("f32", Schema(Type.FLOAT32)),
    FieldSpec("f64", FLOAT64_SCHEMA),
    FieldSpec("flag", SchemaBuilder.boolean().default(True).build()),
    FieldSpec("text", SchemaBuilder.string().default("it's").build()),
    FieldSpec("raw", SchemaBuilder.bytes().default(b"\x00\xff").build()),
    FieldSpec("amount", Decimal.builder(4).optional().default(decimal.Decimal("1.5000")).build()),
    FieldSpec("day", Date.builder().optional().default(datetime.date(2024, 2, 29)).build()),
    FieldSpec("at", Time.SCHEMA),
    FieldSpec("moment", Timestamp.SCHEMA),
    FieldSpec("select", OPTIONAL_STRING_SCHEMA),
    FieldSpec(HOSTILE, OPTIONAL_STRING_SCHEMA),
]
ID = Column("id", SqlType.BIGINT, "BIGINT", False)
KEY = Column("Key", SqlType.TEXT, "VARCHAR", False, length=20)
NAME = Column("name", SqlType.TEXT, "VARCHAR", length=20)
ODD = Column(HOSTILE, SqlType.NUMERIC, "DECIMAL", precision=5, scale=2)


def statements(dialect: Dialect) -> list[str]:
    found = []
    if dialect.type_names:
        found.append(dialect.create_table(TABLE, FIELDS))
        found += dialect.add_columns(
            TABLE, [FieldSpec("a", OPTIONAL_STRING_SCHEMA), FieldSpec("B c", FIELDS[5].schema)]
        )
    found.append(dialect.insert(TABLE, [ID, KEY, ODD], 2 if dialect.multi_row > 1 else 1))
    if dialect.uses_staging:
        found += dialect.create_staging(TABLE, "staging_1", [ID, KEY, NAME, ODD])
        found += dialect.staged_upsert(TABLE, "staging_1", [ID, KEY], [NAME, ODD])
        found += dialect.staged_upsert(TABLE, "staging_1", [ID], [])
    elif dialect.has_upsert:
        found += [dialect.upsert(TABLE, [ID, KEY], [NAME, ODD]), dialect.upsert(TABLE, [ID], [])]
    if isinstance(dialect, NetezzaDialect):
        found.append(dialect.external_load(TABLE, [ID, NAME], "/tmp/it's"))
    found += [dialect.update(TABLE, [ID, KEY], [NAME, ODD]), dialect.delete(TABLE, [ID, KEY])]
    found += [dialect.select_all(TABLE), f"SELECT * FROM {dialect.subselect('SELECT 1')}"]
    found += [dialect.now(SqlType.TIMESTAMP)]
    points = [dialect.savepoint("s"), dialect.rollback_to("s"), dialect.release("s")]
    more = [dialect.set_isolation("READ COMMITTED"), *(points if points[0] is not None else [])]
    return found + [text for text in more if text is not None]


def text_of_all() -> str:
    parts = []
    for name in sorted(DIALECTS):
        for quoting in ("needed", "always"):
            parts.append(f"==== {name}, quoting {quoting}")
            parts += [
                statement.replace(MARK, "?") + ";" for statement in statements(dialect_for(name, quoting))
            ]
    return "\n".join(parts) + "\n"


def test_statements_of_every_dialect() -> None:
    assert text_of_all().split("====") == GOLDEN.read_text(encoding="utf-8").split("====")


@pytest.mark.parametrize("name", sorted(DIALECTS))
def test_a_hostile_name_stays_a_name(name: str) -> None:
    """Outside of quotes nothing of the name is left."""
    dialect = dialect_for(name)
    opening, closing = dialect.opening, dialect.closing
    for statement in statements(dialect):
        bare, at = "", 0
        while at < len(statement):
            ends = {opening: closing, "'": "'"}.get(statement[at])
            if ends is None:
                bare += statement[at]
                at += 1
                continue
            at += 1
            while True:
                assert at < len(statement), f"a quote is not closed: {statement}"
                if statement[at] == ends:
                    if statement[at + 1 : at + 2] != ends:
                        break
                    at += 1
                at += 1
            at += 1
        assert "DROP" not in bare
        assert "--" not in bare


@pytest.mark.parametrize("name", sorted(DIALECTS))
def test_names_that_cannot_be_used(name: str) -> None:
    dialect = dialect_for(name)
    for bad in ("", "a\x00b", "x" * 2000):
        with pytest.raises(IdentifierError):
            dialect.columns([bad])
    never = dialect_for(name, "never")
    assert never.columns(["größe", "A1$"]) == "größe, A1$"
    with pytest.raises(IdentifierError, match="only be used in quotes"):
        never.columns(["a b"])


def test_128_characters() -> None:
    for name in DIALECTS:
        dialect = dialect_for(name)
        assert dialect.max_name_length is None or dialect.max_name_length in (64, 128)
        assert dialect.quoter.quoted("x" * 128)[1:-1] == "x" * 128


def test_what_the_generic_dialect_cannot_do() -> None:
    dialect = dialect_for("generic")
    with pytest.raises(ConnectError, match="upsert is not known for generic"):
        dialect.upsert(TABLE, [ID], [NAME])
    with pytest.raises(ConnectError, match="has no column type in generic"):
        dialect.create_table(TABLE, [FieldSpec("a", INT32_SCHEMA)])
    with pytest.raises(ConnectError, match=r"STRUCT \(field 'a'\) has no column type in postgresql"):
        dialect_for("postgresql").create_table(TABLE, [FieldSpec("a", SchemaBuilder.struct().build())])


def test_booleans_and_tinyint_of_sql_server() -> None:
    """Its tinyint is unsigned, so an int8 does not fit there."""
    text = dialect_for("sqlserver").create_table(
        TABLE, [FieldSpec("a", INT8_SCHEMA), FieldSpec("b", BOOLEAN_SCHEMA)]
    )
    assert "a smallint NOT NULL" in text
    assert "b bit NOT NULL" in text


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("a", (None, None, "a")),
        ("s.t", (None, "s", "t")),
        ("c.s.t", ("c", "s", "t")),
        ('"a.b"."c""d"', (None, "a.b", 'c"d')),
    ],
)
def test_table_names_are_taken_apart(text: str, parts: tuple[str | None, ...]) -> None:
    assert dialect_for("postgresql").parse_table(text) == parts


@pytest.mark.parametrize("text", ["", "a.", ".a", "a..b", "a.b.c.d", '"a', '"a"b'])
def test_table_names_that_cannot_be(text: str) -> None:
    with pytest.raises(IdentifierError):
        dialect_for("postgresql").parse_table(text)


def test_rows_for_netezzas_external_tables() -> None:
    row = [
        None,
        True,
        False,
        5,
        "a\tb\\c\nd",
        b"\x00\xff",
        decimal.Decimal("1.50"),
        datetime.date(2024, 1, 2),
    ]
    assert [external_text(value) for value in row] == [
        "\\N", "T", "F", "5", "a\\\tb\\\\c\\\nd", "00ff", "1.50", "2024-01-02",
    ]  # fmt: skip


if __name__ == "__main__":
    GOLDEN.write_text(text_of_all(), encoding="utf-8")
