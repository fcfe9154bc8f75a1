"""Records as connectors and transforms see them: a key and a value with schemas, headers, and where they
belong.

In: what a source task makes, or what the runtime read from a topic. Out: `SourceRecord` and `SinkRecord`.
What must hold: a record is never changed in place; `new_record` makes the changed copy, and headers are
copied with it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple, Self

from connect.api.data import (
    BOOLEAN_SCHEMA,
    BYTES_SCHEMA,
    FLOAT64_SCHEMA,
    INT64_SCHEMA,
    STRING_SCHEMA,
    Schema,
    SchemaAndValue,
)

__all__ = ["ConnectRecord", "Header", "Headers", "SinkRecord", "SourceRecord"]

NO_TIMESTAMP_TYPE, CREATE_TIME, LOG_APPEND_TIME = -1, 0, 1


class Header(NamedTuple):
    """A named value beside the record's key and value."""

    key: str
    value: Any
    schema: Schema | None = None


class Headers:
    """Headers in order; a key may occur more than once."""

    __slots__ = ("_items",)

    def __init__(self, items: Iterable[Header] = ()) -> None:
        self._items: list[Header] = list(items)

    def add(self, key: str, value: Any, schema: Schema | None = None) -> Headers:
        self._items.append(Header(key, value, schema))
        return self

    def add_string(self, key: str, value: str) -> Headers:
        return self.add(key, value, STRING_SCHEMA)

    def add_bytes(self, key: str, value: bytes) -> Headers:
        return self.add(key, value, BYTES_SCHEMA)

    def add_boolean(self, key: str, value: bool) -> Headers:
        return self.add(key, value, BOOLEAN_SCHEMA)

    def add_long(self, key: str, value: int) -> Headers:
        return self.add(key, value, INT64_SCHEMA)

    def add_double(self, key: str, value: float) -> Headers:
        return self.add(key, value, FLOAT64_SCHEMA)

    def all_with_name(self, key: str) -> list[Header]:
        return [header for header in self._items if header.key == key]

    def last_with_name(self, key: str) -> Header | None:
        found = self.all_with_name(key)
        return found[-1] if found else None

    def remove(self, key: str) -> Headers:
        self._items = [header for header in self._items if header.key != key]
        return self

    def clear(self) -> Headers:
        self._items = []
        return self

    def retain_latest(self, key: str | None = None) -> Headers:
        """Keeps the last header of each key, or of the given key only."""
        seen: set[str] = set()
        kept = []
        for header in reversed(self._items):
            if header.key in seen and key in (None, header.key):
                continue
            seen.add(header.key)
            kept.append(header)
        self._items = kept[::-1]
        return self

    def apply(self, change: Callable[[Header], Header | None], key: str | None = None) -> Headers:
        """Replaces each header (of the given key) by what the function returns; None drops it."""
        changed = [change(header) if key in (None, header.key) else header for header in self._items]
        self._items = [header for header in changed if header is not None]
        return self

    def duplicate(self) -> Headers:
        return Headers(self._items)

    def __iter__(self) -> Iterator[Header]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)

    def __eq__(self, other: object) -> bool:
        return self._items == other._items if isinstance(other, Headers) else NotImplemented

    __hash__ = None  # type: ignore[assignment]  # Mutable.

    def __repr__(self) -> str:
        return f"Headers({self._items!r})"


class ConnectRecord:
    """What source and sink records share. `timestamp` is in milliseconds since 1970, or None."""

    __slots__ = (
        "_headers",
        "kafka_partition",
        "key",
        "key_schema",
        "timestamp",
        "topic",
        "value",
        "value_schema",
    )

    def __init__(
        self,
        topic: str,
        kafka_partition: int | None,
        key_schema: Schema | None,
        key: Any,
        value_schema: Schema | None,
        value: Any,
        timestamp: int | None = None,
        headers: Headers | Iterable[Header] | None = None,
    ) -> None:
        self.topic = topic
        self.kafka_partition = kafka_partition
        self.key_schema = key_schema
        self.key = key
        self.value_schema = value_schema
        self.value = value
        self.timestamp = timestamp
        self._headers = Headers(headers) if headers else None

    @property
    def headers(self) -> Headers:
        """Made on first use: most records have none."""
        if self._headers is None:
            self._headers = Headers()
        return self._headers

    @headers.setter
    def headers(self, headers: Headers) -> None:
        self._headers = headers

    def new_record(self, **changes: Any) -> Self:
        """A copy with some of topic, kafka_partition, key_schema, key, value_schema, value, timestamp and
        headers changed. What ties the record to its source (source or Kafka offset) stays."""
        fresh = object.__new__(type(self))
        for cls in type(self).__mro__:
            for slot in getattr(cls, "__slots__", ()):
                setattr(fresh, slot, getattr(self, slot))
        fresh._headers = None if self._headers is None else self._headers.duplicate()
        for name, value in changes.items():
            if name not in _CHANGEABLE:
                raise TypeError(f"new_record() got an unexpected keyword argument {name!r}")
            setattr(fresh, name, Headers(value or ()) if name == "headers" else value)
        return fresh

    @property
    def key_and_schema(self) -> SchemaAndValue:
        return SchemaAndValue(self.key_schema, self.key)

    @property
    def value_and_schema(self) -> SchemaAndValue:
        return SchemaAndValue(self.value_schema, self.value)

    def _identity(self) -> tuple[Any, ...]:
        return tuple(
            getattr(self, "headers" if slot == "_headers" else slot)
            for cls in type(self).__mro__
            for slot in getattr(cls, "__slots__", ())
        )

    def __eq__(self, other: object) -> bool:
        if type(self) is not type(other):
            return NotImplemented
        assert isinstance(other, ConnectRecord)
        return self._identity() == other._identity()

    __hash__ = object.__hash__

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}(topic={self.topic!r}, kafka_partition={self.kafka_partition}, "
            f"key={self.key!r}, value={self.value!r}, timestamp={self.timestamp})"
        )


_CHANGEABLE = frozenset(ConnectRecord.__slots__) - {"_headers"} | {"headers"}


class SourceRecord(ConnectRecord):
    """A record that a source task read, with the source partition and offset that it stands for.

    Both maps hold only None, str, int, float, bool and bytes-free primitives, because they are stored as
    JSON.
    """

    __slots__ = ("source_offset", "source_partition")

    def __init__(
        self,
        source_partition: Mapping[str, Any] | None,
        source_offset: Mapping[str, Any] | None,
        topic: str,
        kafka_partition: int | None = None,
        key_schema: Schema | None = None,
        key: Any = None,
        value_schema: Schema | None = None,
        value: Any = None,
        timestamp: int | None = None,
        headers: Headers | Iterable[Header] | None = None,
    ) -> None:
        # All here, without a call of the base class: this is done for every record.
        self.topic = topic
        self.kafka_partition = kafka_partition
        self.key_schema = key_schema
        self.key = key
        self.value_schema = value_schema
        self.value = value
        self.timestamp = timestamp
        self._headers = Headers(headers) if headers else None
        self.source_partition = source_partition
        self.source_offset = source_offset


class SinkRecord(ConnectRecord):
    """A record read from a topic. `original_*` say where it was read, whatever transforms made of topic and
    partition (KIP-793): offsets are committed by those."""

    __slots__ = (
        "kafka_offset",
        "original_kafka_offset",
        "original_kafka_partition",
        "original_topic",
        "timestamp_type",
    )

    def __init__(
        self,
        topic: str,
        kafka_partition: int,
        key_schema: Schema | None,
        key: Any,
        value_schema: Schema | None,
        value: Any,
        kafka_offset: int,
        timestamp: int | None = None,
        timestamp_type: int = NO_TIMESTAMP_TYPE,
        headers: Headers | Iterable[Header] | None = None,
    ) -> None:
        self.topic = topic
        self.kafka_partition = kafka_partition
        self.key_schema = key_schema
        self.key = key
        self.value_schema = value_schema
        self.value = value
        self.timestamp = timestamp
        self._headers = Headers(headers) if headers else None
        self.kafka_offset = kafka_offset
        self.timestamp_type = timestamp_type
        self.original_topic = topic
        self.original_kafka_partition = kafka_partition
        self.original_kafka_offset = kafka_offset
