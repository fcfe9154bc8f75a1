"""The quick way from rows to records, a batch at a time, against the plain one, row by row."""

from __future__ import annotations

import datetime
import decimal
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connect.api.errors import ConnectError
from connect.jdbc.drivers import Connection
from connect.jdbc.source.config import SourceSettings, source_config
from connect.jdbc.source.offsets import Position
from connect.jdbc.source.querier import Querier
from connect.jdbc.source.values import RowReader
from connect.jdbc.types import Column, SqlType, TableId

COLUMNS = [
    Column("at", SqlType.TIMESTAMP, "timestamp"),
    Column("id", SqlType.BIGINT, "int8", nullable=False),
    Column("n", SqlType.NUMERIC, "numeric", precision=5, scale=1),
    Column("name", SqlType.TEXT, "text"),
]
_instants = st.sampled_from(
    [None, datetime.datetime(1969, 12, 31, 23, 59, 59, 999000), datetime.date(2024, 1, 2)]
)
_numbers = st.sampled_from([None, decimal.Decimal("1.5"), 2, "3.5", decimal.Decimal("1.25"), "no number"])
_rows = st.lists(
    st.tuples(_instants, st.integers(0, 9), _numbers, st.sampled_from([None, "x", "ä"])), max_size=6
) | st.lists(
    st.tuples(
        _instants,
        st.sampled_from([1, 2, True, None, decimal.Decimal(3), 1.5, 1 << 63, -(1 << 63)]),
        st.none(),
        st.just("x"),
    ),
    max_size=4,
)  # fmt: skip


@pytest.mark.parametrize("key", ["", "id", "name,id"])
@pytest.mark.parametrize("zone", ["UTC", "America/Lima"])
@pytest.mark.parametrize("driver", ["psycopg", "sqlite"])
def test_batches_of_rows_become_what_single_rows_become(key: str, zone: str, driver: str) -> None:
    settings = SourceSettings.of(
        source_config().parse(
            {
                "connection.url": "jdbc:postgresql://h/d", "mode": "incrementing", "topic.prefix": "t-",
                "incrementing.column.name": "id", "key.columns": key,
            }
        )
    )  # fmt: skip
    import zoneinfo

    where = datetime.UTC if zone == "UTC" else zoneinfo.ZoneInfo(zone)
    reader = RowReader("items", COLUMNS, settings, where, driver)

    @given(_rows)
    def check(rows: list[tuple[Any, ...]]) -> None:
        def outcome() -> Any:
            querier = Querier(TableId(None, None, "items"), settings, where, {"table": "items"}, Position(-7))
            querier._reader, querier._incrementing_at = reader, 1
            try:
                return querier._records(cast("Connection", None), rows), querier.position
            except ConnectError as error:
                return str(error), querier.position
            except TypeError as error:  # A number that is null cannot come: the query leaves it out.
                return str(error), querier.position

        quick = outcome()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Querier, "_numbered", lambda querier, reader, rows: None)
            assert outcome() == quick

    check()
