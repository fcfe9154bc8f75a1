"""The quick way from records to batches, a run of records at a time, against the plain one, record by record."""

from __future__ import annotations

import datetime
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connect.api.data import (
    INT32_SCHEMA,
    INT64_SCHEMA,
    OPTIONAL_INT32_SCHEMA,
    OPTIONAL_STRING_SCHEMA,
    STRING_SCHEMA,
    SchemaBuilder,
    Struct,
    Timestamp,
)
from connect.api.records import SinkRecord
from connect.jdbc.dialects import dialect_for
from connect.jdbc.drivers import Connection
from connect.jdbc.sink.binding import Binder
from connect.jdbc.sink.config import SinkSettings, sink_config
from connect.jdbc.sink.plan import RowPlan
from connect.jdbc.sink.writer import BadRecord, Writer
from connect.jdbc.types import Column, SqlType, TableId

COLUMNS = [
    Column("id", SqlType.INTEGER, "int4", nullable=False, key_position=1),
    Column("name", SqlType.TEXT, "text"),
    Column("n", SqlType.NUMERIC, "numeric"),
    Column("at", SqlType.TIMESTAMP, "timestamp"),
    *(Column(f"__connect_{name}", SqlType.TEXT, "text") for name in ("topic", "partition", "offset")),
]
ROW = (
    SchemaBuilder.struct().name("row").field("n", OPTIONAL_STRING_SCHEMA).field("id", OPTIONAL_INT32_SCHEMA)
    .field("at", Timestamp.builder().optional().build()).build()
)  # fmt: skip
OTHER = SchemaBuilder.struct().name("other").field("id", INT32_SCHEMA).field("name", STRING_SCHEMA).build()
FOREIGN = SchemaBuilder.struct().name("foreign").field("id", INT32_SCHEMA).field("x", STRING_SCHEMA).build()
KEY = SchemaBuilder.struct().name("key").field("more", STRING_SCHEMA).field("id", INT32_SCHEMA).build()
INSTANT = datetime.datetime(2024, 5, 6, 7, 8, 9, 123000, tzinfo=datetime.UTC)

_values = (
    st.tuples(
        st.sampled_from([None, "1", "2.5", "no number"]),
        st.sampled_from([0, 1, 2, None]),
        st.sampled_from([None, INSTANT]),
    ).map(lambda values: Struct.of(ROW, list(values)))
    | st.integers(0, 2).map(lambda n: Struct(OTHER).put("id", n).put("name", f"name {n}"))
    | st.integers(0, 2).map(lambda n: Struct(FOREIGN).put("id", n).put("x", "?"))
    | st.sampled_from([None, "text", {"id": 1, "name": "a map"}, {"id": 2}])
)
_keys = (
    st.integers(0, 2).map(lambda n: Struct(KEY).put("more", "m").put("id", n))
    | st.sampled_from([None, 1, 2, "x"])
    | st.sampled_from([{"id": 1}, {"id": 2, "more": 1}])
)
# Of the same kind again and again, as in topics, and mixed.
_described = st.lists(st.tuples(_keys, _values), max_size=12) | st.tuples(
    _keys, st.lists(_values, max_size=12)
).map(lambda both: [(both[0], value) for value in both[1]])


class Catalogue:
    dialect = dialect_for("postgresql")

    def find_table(self, table: TableId) -> tuple[TableId, list[Column]]:
        return table, COLUMNS

    def columns(self, table: TableId) -> list[Column]:
        return COLUMNS


def record(at: int, key: Any, value: Any) -> SinkRecord:
    schemas = {str: STRING_SCHEMA, int: INT64_SCHEMA}
    key_schema = key.schema if isinstance(key, Struct) else schemas.get(type(key))
    value_schema = value.schema if isinstance(value, Struct) else schemas.get(type(value))
    return SinkRecord("t", 0, key_schema, key, value_schema, value, at)


@pytest.mark.parametrize(
    "settings",
    [
        {"insert.mode": "insert", "pk.mode": "none"},
        {"insert.mode": "insert", "pk.mode": "kafka"},
        {"insert.mode": "insert", "pk.mode": "record_key", "pk.fields": "id", "delete.enabled": "true"},
        {"insert.mode": "upsert", "pk.mode": "record_value", "pk.fields": "id"},
        {"insert.mode": "upsert", "pk.mode": "record_key", "pk.fields": "id", "delete.enabled": "true"},
        {"insert.mode": "update", "pk.mode": "record_value", "pk.fields": "id", "fields.whitelist": "id,n"},
    ],
    ids=lambda settings: "-".join(list(settings.values())[:2]),
)
def test_runs_of_records_become_what_single_records_become(settings: dict[str, str]) -> None:
    parsed = sink_config().parse({"connection.url": "jdbc:postgresql://h/d", **settings})

    @given(_described, st.sampled_from([2, 100]))
    def check(described: list[tuple[Any, Any]], batch_size: int) -> None:
        chosen = SinkSettings.of({**parsed, "batch.size": batch_size})
        writer = Writer(cast("Connection", Catalogue()), chosen, Binder("psycopg", datetime.UTC))
        records = [record(at, key, value) for at, (key, value) in enumerate(described)]

        def outcome() -> Any:
            bad: list[BadRecord] = []
            writer.skipped_tombstones = 0
            batches = writer._sorted(records, bad)
            return (
                [(b.plan, b.mode, [tuple(row) for row in b.rows], b.records) for b in batches],
                [(r, str(error)) for r, error in bad],
                writer.skipped_tombstones,
            )

        quick = outcome()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(RowPlan, "rows", lambda plan, run: None)
            assert outcome() == quick

    check()
