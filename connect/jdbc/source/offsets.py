"""Source partitions and offsets, as both Java connectors write them.

    partition   {"protocol": "1", "table": "schema.table"}, older {"table": "table"}, {"query": "query"}
    offset      {"incrementing": 7}, {"timestamp": 1700000000123, "timestamp_nanos": 123456000}, or both

`timestamp_nanos` is the nanosecond of the second, not an addition to the milliseconds. Ours adds
`timestamp_rows` in timestamp mode: how many rows that follow the timestamp have been read already, in the
order of the primary key. A Java connector that takes over does not know it and reads those rows again; none
is lost.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from connect.api.errors import ConnectError
from connect.jdbc.types import TableId

_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)


def partitions_of(table: TableId, *, qualify: bool = True) -> list[dict[str, Any]]:
    """The source partition to write, then those to look for as well."""
    name = str(table) if qualify else table.table
    return [{"protocol": "1", "table": name}, {"table": table.table}]


QUERY_PARTITION: dict[str, Any] = {"query": "query"}


@dataclass(frozen=True, slots=True)
class Position:
    """Up to where rows have been read. `micros` is the last complete timestamp, in microseconds since
    1970."""

    incrementing: int | None = None
    micros: int | None = None

    def as_map(self) -> dict[str, Any]:
        found: dict[str, Any] = {}
        if self.micros is not None:
            found["timestamp_nanos"] = self.micros % 1_000_000 * 1000
        if self.incrementing is not None:
            found["incrementing"] = self.incrementing
        if self.micros is not None:
            found["timestamp"] = self.micros // 1000
        return found

    @classmethod
    def of(cls, offset: Mapping[str, Any] | None) -> Position:
        """ConnectError when the map is none that a JDBC source wrote."""
        if not offset:
            return cls()
        numbers: dict[str, int] = {}
        for key in ("incrementing", "timestamp", "timestamp_nanos"):
            value = offset.get(key)
            if value is None:
                continue
            if isinstance(value, bool) or not isinstance(value, int):
                raise ConnectError(f"the source offset's {key} must be an integer, not {value!r}")
            numbers[key] = value
        micros = None
        if "timestamp" in numbers:
            nanos = numbers.get("timestamp_nanos")
            micros = numbers["timestamp"] * 1000
            if nanos is not None:
                if not 0 <= nanos < 1_000_000_000:
                    raise ConnectError(f"the source offset's timestamp_nanos {nanos} is not below one second")
                micros = numbers["timestamp"] // 1000 * 1_000_000 + nanos // 1000
        return cls(numbers.get("incrementing"), micros)


def check_altered(partition: Mapping[str, Any], offset: Mapping[str, Any] | None) -> None:
    """ConnectError unless both have a shape that the source writes."""
    keys = set(partition)
    if keys not in ({"query"}, {"table"}, {"table", "protocol"}) or not all(
        isinstance(value, str) for value in partition.values()
    ):
        raise ConnectError(
            'a source partition is {"query": "query"}, {"table": NAME} or '
            '{"table": NAME, "protocol": "1"}, not '
            f"{dict(partition)}"
        )
    if offset is None:
        return
    unknown = set(offset) - {"incrementing", "timestamp", "timestamp_nanos"}
    if unknown or not offset:
        raise ConnectError(
            f"a source offset has the members incrementing, timestamp and timestamp_nanos, not {dict(offset)}"
        )
    Position.of(offset)


def to_micros(value: datetime.datetime) -> int:
    since = value - _EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def from_micros(micros: int) -> datetime.datetime:
    return _EPOCH + datetime.timedelta(microseconds=micros)
