"""A plain codec of the Kafka messages for tests, driven by kio's schema classes.

In: an api key, a version and nested dicts (snake case names as in kio; durations are raw milliseconds under
kio's name, without the `_ms` ending). Out: bytes, and nested dicts back. What must hold: it shares no code
with `pybroker.wire`, so that an error of the broker's codec cannot hide itself; unknown error codes and odd
values pass as raw integers.
"""

from __future__ import annotations

import importlib
import struct
import uuid
from collections.abc import Callable
from dataclasses import MISSING, fields, is_dataclass
from functools import cache
from types import NoneType, UnionType
from typing import Any, NamedTuple, get_args, get_origin

from kio.schema.index import api_key_map, schema_name_map
from kio.static.constants import EntityType

API_NAMES: dict[int, str] = dict(api_key_map)

_FIXED = {
    "bool": ">?",
    "int8": ">b",
    "int16": ">h",
    "int32": ">i",
    "int64": ">q",
    "uint8": ">B",
    "uint16": ">H",
    "uint32": ">I",
    "uint64": ">Q",
    "float64": ">d",
    "error_code": ">h",
    "timedelta_i32": ">i",
    "timedelta_i64": ">q",
    "datetime_i64": ">q",
}
_BITS = {">b": 8, ">h": 16, ">i": 32, ">q": 64}


class DecodeError(Exception):
    """The bytes are not a message of the schema."""


class Field(NamedTuple):
    name: str
    kind: str  # a kafka type, or "struct"
    array: bool
    nullable: bool
    struct: Struct | None
    tag: int | None
    default: object
    has_default: bool

    @property
    def bits(self) -> int:
        return _BITS.get(_FIXED.get(self.kind, ""), 0)

    def absent_value(self) -> object:
        """What the field is when a tagged one is not on the wire or a caller leaves it out."""
        if self.has_default:
            return self.default
        if self.array:
            return []
        if self.kind == "struct":
            return None if self.nullable else {f.name: f.absent_value() for f in self.struct.fields}
        return _ZERO.get(self.kind, 0)


class Struct(NamedTuple):
    name: str
    flexible: bool
    fields: tuple[Field, ...]


_ZERO: dict[str, object] = {
    "bool": False,
    "string": "",
    "bytes": b"",
    "records": None,
    "uuid": bytes(16),
    "float64": 0.0,
}


def _plain(value: object) -> object:
    """kio's default values as this module writes values."""
    if value is None or isinstance(value, (bool, str, bytes, float)):
        return value
    if is_dataclass(value):
        return {field.name: _plain_field(field, getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    if isinstance(value, uuid.UUID):
        return value.bytes
    if hasattr(value, "total_seconds"):
        return round(value.total_seconds() * 1000)
    if hasattr(value, "timestamp"):
        return round(value.timestamp() * 1000)
    return int(value)


def _plain_field(field: Any, value: object) -> object:
    if value is None and field.metadata.get("kafka_type") == "uuid":
        return bytes(16)  # kio reads the zero uuid as None.
    if value is None and str(field.metadata.get("kafka_type")).startswith("datetime"):
        return -1
    return _plain(value)


def _describe(field: Any) -> Field:
    kind_type = field.type
    array = nullable = False
    if get_origin(kind_type) is UnionType:
        nullable = True
        (kind_type,) = [a for a in get_args(kind_type) if a is not NoneType]
    if get_origin(kind_type) is tuple:
        array = True
        kind_type = get_args(kind_type)[0]
        if get_origin(kind_type) is UnionType:
            (kind_type,) = [a for a in get_args(kind_type) if a is not NoneType]
    nested = _struct(kind_type) if is_dataclass(kind_type) else None
    kind = "struct" if nested else field.metadata["kafka_type"]
    if kind in ("uuid",) or kind.startswith("datetime"):
        nullable = nullable and array
    has_default = field.default is not MISSING
    return Field(
        name=field.name,
        kind=kind,
        array=array,
        nullable=nullable,
        struct=nested,
        tag=field.metadata.get("tag"),
        default=_plain_field(field, field.default) if has_default else None,
        has_default=has_default,
    )


@cache
def _struct(cls: type) -> Struct:
    return Struct(cls.__name__, bool(cls.__flexible__), tuple(_describe(field) for field in fields(cls)))


@cache
def _load(key: int, version: int, entity: EntityType) -> Struct:
    module, _, name = schema_name_map[API_NAMES[key]][version][entity].partition(":")
    return _struct(getattr(importlib.import_module(module), name))


def request_schema(key: int, version: int) -> Struct:
    return _load(key, version, EntityType.request)


def response_schema(key: int, version: int) -> Struct:
    return _load(key, version, EntityType.response)


def versions(key: int) -> range:
    known = schema_name_map[API_NAMES[key]]
    return range(min(known), max(known) + 1)


@cache
def is_flexible(key: int, version: int) -> bool:
    try:
        return request_schema(key, version).flexible
    except KeyError:
        # A version without a schema: the header form Kafka assumes is that of the nearest known one.
        known = schema_name_map.get(API_NAMES.get(key, ""), {})
        if not known:
            return False
        return request_schema(key, max(known) if version > max(known) else min(known)).flexible


# Writing


def uvarint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def varint(value: int) -> bytes:
    return uvarint((value << 1 ^ value >> 63) & 0xFFFFFFFFFFFFFFFF)


def _write_length(out: bytearray, length: int | None, flexible: bool, form: str) -> None:
    if flexible:
        out += uvarint(0 if length is None else length + 1)
    else:
        out += struct.pack(form, -1 if length is None else length)


def _write_scalar(out: bytearray, kind: str, value: Any, flexible: bool) -> None:
    form = _FIXED.get(kind)
    if form is not None:
        out += struct.pack(form, value)
    elif kind == "string":
        data = None if value is None else value if isinstance(value, bytes) else value.encode()
        _write_length(out, None if data is None else len(data), flexible, ">h")
        out += data or b""
    elif kind in ("bytes", "records"):
        _write_length(out, None if value is None else len(value), flexible, ">i")
        out += value or b""
    elif kind == "uuid":
        out += value
    else:
        raise NotImplementedError(kind)


def _write_field(out: bytearray, field: Field, value: Any, flexible: bool) -> None:
    if field.array:
        _write_length(out, None if value is None else len(value), flexible, ">i")
        for item in value or ():
            if field.struct:
                write_struct(out, field.struct, item)
            else:
                _write_scalar(out, field.kind, item, flexible)
    elif field.struct:
        if field.nullable and field.tag is None:
            out += b"\xff" if value is None else b"\x01"
        if value is not None:
            write_struct(out, field.struct, value)
    else:
        _write_scalar(out, field.kind, value, flexible)


def write_struct(out: bytearray, schema: Struct, values: dict[str, Any]) -> None:
    unknown = set(values) - {field.name for field in schema.fields} - {"_tags"}
    if unknown:
        raise KeyError(f"{schema.name} has no {', '.join(sorted(unknown))}")
    tags: dict[int, bytes] = dict(values.get("_tags", {}))
    for field in schema.fields:
        value = values[field.name] if field.name in values else field.absent_value()
        if field.tag is None:
            _write_field(out, field, value, schema.flexible)
        elif value != field.absent_value():
            part = bytearray()
            _write_field(part, field, value, schema.flexible)
            tags[field.tag] = bytes(part)
    if schema.flexible:
        out += uvarint(len(tags))
        for tag, data in sorted(tags.items()):
            out += uvarint(tag) + uvarint(len(data)) + data


def encode(schema: Struct, values: dict[str, Any]) -> bytes:
    out = bytearray()
    write_struct(out, schema, values)
    return bytes(out)


# Reading


class Reader:
    __slots__ = ("data", "pos")

    def __init__(self, data: bytes, pos: int = 0) -> None:
        self.data = data
        self.pos = pos

    def take(self, count: int) -> bytes:
        if count < 0 or self.pos + count > len(self.data):
            raise DecodeError(f"{count} bytes wanted at {self.pos} of {len(self.data)}")
        self.pos += count
        return self.data[self.pos - count : self.pos]

    def fixed(self, form: str) -> Any:
        return struct.unpack(form, self.take(struct.calcsize(form)))[0]

    def uvarint(self) -> int:
        value = shift = 0
        while True:
            byte = self.take(1)[0]
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
            shift += 7
            if shift > 63:
                raise DecodeError("varint too long")

    def varint(self) -> int:
        value = self.uvarint()
        return value >> 1 ^ -(value & 1)

    def length(self, flexible: bool, form: str) -> int | None:
        value = self.uvarint() - 1 if flexible else self.fixed(form)
        if value < -1:
            raise DecodeError(f"length {value}")
        return None if value == -1 else value


def _require(field: Field, length: int | None) -> None:
    if length is None and not field.nullable and field.kind != "records":
        raise DecodeError(f"{field.name} is null")


def _read_scalar(reader: Reader, field: Field, flexible: bool) -> object:
    form = _FIXED.get(field.kind)
    if form is not None:
        return reader.fixed(form)
    if field.kind == "uuid":
        return reader.take(16)
    length = reader.length(flexible, ">h" if field.kind == "string" else ">i")
    _require(field, length)
    if length is None:
        return None
    data = reader.take(length)
    return data.decode() if field.kind == "string" else data


def _read_field(reader: Reader, field: Field, flexible: bool) -> object:
    if field.array:
        count = reader.length(flexible, ">i")
        _require(field, count)
        if count is None:
            return None
        if field.struct:
            return [read_struct(reader, field.struct) for _ in range(count)]
        return [_read_scalar(reader, field._replace(array=False), flexible) for _ in range(count)]
    if field.struct:
        if field.nullable and field.tag is None and reader.fixed(">b") < 0:
            return None
        return read_struct(reader, field.struct)
    return _read_scalar(reader, field, flexible)


def read_struct(reader: Reader, schema: Struct) -> dict[str, Any]:
    values: dict[str, Any] = {}
    tagged: dict[int, Field] = {}
    for field in schema.fields:
        if field.tag is None:
            values[field.name] = _read_field(reader, field, schema.flexible)
        else:
            tagged[field.tag] = field
            values[field.name] = field.absent_value()
    if schema.flexible:
        for _ in range(reader.uvarint()):
            tag, size = reader.uvarint(), reader.uvarint()
            start = reader.pos
            if tag in tagged:
                values[tagged[tag].name] = _read_field(reader, tagged[tag], True)
                if reader.pos - start != size:
                    raise DecodeError(
                        f"{schema.name} tag {tag}: {size} bytes declared, {reader.pos - start} used"
                    )
            else:
                values.setdefault("_tags", {})[tag] = reader.take(size)
    return values


def decode(schema: Struct, data: bytes, pos: int = 0) -> dict[str, Any]:
    """One message that must fill the rest of the data exactly."""
    reader = Reader(data, pos)
    values = read_struct(reader, schema)
    if reader.pos != len(data):
        raise DecodeError(f"{schema.name}: {len(data) - reader.pos} bytes left over")
    return values


def walk(value: object, visit: Callable[[str, object], None], path: str = "") -> None:
    """Calls `visit(path, leaf)` for every leaf, with array indexes as [i]."""
    if isinstance(value, dict):
        for name, item in value.items():
            walk(item, visit, f"{path}.{name}" if path else str(name))
    elif isinstance(value, list) and value:
        for index, item in enumerate(value):
            walk(item, visit, f"{path}[{index}]")
    else:
        visit(path, value)
