"""Source offsets as they are stored: keys, values, and the bytes that make equal partitions equal.

In: source partitions and offsets, and records of the offset topic. Out: the last offset of each partition,
and the bytes to write. What must hold: an update or tombstone of a partition that a Java worker wrote has
exactly its key's bytes, so bytes that were read are used again for equal partitions.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from connect.api.errors import DataError
from connect.core.java import as_hash_map, json_bytes

Partition = Mapping[str, Any] | None
Offset = Mapping[str, Any] | None


class OffsetRecord(NamedTuple):
    key: bytes
    value: bytes | None


class SourcePartition(Mapping[str, Any]):
    """A source partition that can be a dictionary's key."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._values = dict(values)

    def __getitem__(self, key: str) -> Any:
        return self._values[key]

    def __iter__(self) -> Any:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __hash__(self) -> int:
        return hash(canonical(self._values))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Mapping) and canonical(self._values) == canonical(other)

    def __repr__(self) -> str:
        return repr(self._values)


def canonical(values: Partition) -> Any:
    """Something hashable that is equal for equal maps, whatever their order; true is not 1."""
    if values is None:
        return None
    return frozenset((key, type(value).__name__, value) for key, value in values.items())


def check(values: Any) -> None:
    """DataError unless this is None or a map from strings to primitives that JSON can hold."""
    if values is None:
        return
    if not isinstance(values, Mapping):
        raise DataError("Offsets must be specified as a Map")
    for key, value in values.items():
        if not isinstance(key, str):
            raise DataError("Offset keys may only contain strings")
        if isinstance(value, int) and not isinstance(value, bool) and not -(1 << 63) <= value < 1 << 63:
            raise DataError(f"Offset value {value} of {key!r} does not fit 64 bits")
        if value is not None and not isinstance(value, str | int | float | bool):
            raise DataError(
                f"Offsets may only contain primitive types as values, but field {key} contains "
                f"{type(value).__name__}"
            )


class OffsetTable:
    """All offsets of the topic, by connector."""

    def __init__(self) -> None:
        self._values: dict[str, dict[Any, tuple[bytes, Any, Any]]] = {}
        self._keys: dict[str, dict[Any, bytes]] = {}

    def apply(self, key: bytes | None, value: bytes | None) -> None:
        """Takes a record; what makes no sense is left out."""
        if key is None:
            return
        try:
            decoded = json.loads(key)
            offset = json.loads(value) if value is not None else None
        except (ValueError, RecursionError):
            return
        if not isinstance(decoded, list) or len(decoded) != 2 or not isinstance(decoded[0], str):
            return
        connector, partition = decoded
        if not (partition is None or isinstance(partition, dict)):
            return
        if not (offset is None or isinstance(offset, dict)):
            return
        try:
            identity = canonical(partition)
        except TypeError:
            return  # A nested partition: nobody here wrote it.
        self._keys.setdefault(connector, {})[identity] = key
        table = self._values.setdefault(connector, {})
        if offset is None:
            table.pop(identity, None)
        else:
            table[identity] = (key, partition, offset)

    def get(self, connector: str, partition: Partition) -> dict[str, Any] | None:
        found = self._values.get(connector, {}).get(canonical(partition))
        return dict(found[2]) if found is not None else None

    def all(self, connector: str) -> list[tuple[dict[str, Any] | None, dict[str, Any]]]:
        return [(partition, offset) for _, partition, offset in self._values.get(connector, {}).values()]

    def record(self, connector: str, partition: Partition, offset: Offset) -> OffsetRecord:
        """What to write. Maps are ordered as a Java HashMap orders them unless bytes were read before."""
        check(partition)
        check(offset)
        key = self._keys.get(connector, {}).get(canonical(partition))
        if key is None:
            ordered = None if partition is None else as_hash_map(partition)
            key = json_bytes([connector, ordered])
        value = None if offset is None else json_bytes(as_hash_map(offset))
        return OffsetRecord(key, value)

    def dump(self) -> dict[bytes, bytes]:
        """Everything, for a file."""
        return {
            key: json_bytes(as_hash_map(offset))
            for table in self._values.values()
            for key, _, offset in table.values()
        }
