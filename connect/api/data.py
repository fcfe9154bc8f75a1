"""Schemas and the values that fit them: what records carry between connectors, transforms and converters.

In: types, fields and Python values. Out: `Schema`, `Struct`, and `DataError` where a value does not fit.
What must hold: a schema never changes once built and may be shared between threads; two schemas that say the
same are equal and hash alike.

The types and names are Kafka Connect's. Python's side of each:

    INT8 INT16 INT32 INT64 int (range checked)     ARRAY  list
    FLOAT32 FLOAT64        float (int accepted)    MAP    dict
    BOOLEAN                bool                    STRUCT Struct
    STRING                 str                     BYTES  bytes, bytearray, memoryview

and of the logical types: `Decimal` is decimal.Decimal (with exactly `scale` digits after the point), `Date`
datetime.date, `Time` a datetime.time without zone (read as UTC), `Timestamp` an aware datetime.datetime.
Times are kept to the millisecond.
"""

from __future__ import annotations

import datetime as _datetime
import decimal as _decimal
import enum
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from connect.api.errors import DataError, SchemaBuilderError, SchemaProjectorError

__all__ = [
    "BOOLEAN_SCHEMA",
    "BYTES_SCHEMA",
    "EPOCH",
    "FLOAT32_SCHEMA",
    "FLOAT64_SCHEMA",
    "INT8_SCHEMA",
    "INT16_SCHEMA",
    "INT32_SCHEMA",
    "INT64_SCHEMA",
    "OPTIONAL_BOOLEAN_SCHEMA",
    "OPTIONAL_BYTES_SCHEMA",
    "OPTIONAL_FLOAT32_SCHEMA",
    "OPTIONAL_FLOAT64_SCHEMA",
    "OPTIONAL_INT8_SCHEMA",
    "OPTIONAL_INT16_SCHEMA",
    "OPTIONAL_INT32_SCHEMA",
    "OPTIONAL_INT64_SCHEMA",
    "OPTIONAL_STRING_SCHEMA",
    "STRING_SCHEMA",
    "Date",
    "Decimal",
    "Field",
    "Schema",
    "SchemaAndValue",
    "SchemaBuilder",
    "Struct",
    "Time",
    "Timestamp",
    "Type",
    "project",
    "validate_value",
]


class Type(enum.Enum):
    """A schema's type; the value is the name that Kafka shows in messages."""

    INT8 = "int8"
    INT16 = "int16"
    INT32 = "int32"
    INT64 = "int64"
    FLOAT32 = "float32"
    FLOAT64 = "float64"
    BOOLEAN = "boolean"
    STRING = "string"
    BYTES = "bytes"
    ARRAY = "array"
    MAP = "map"
    STRUCT = "struct"

    # Members are singletons: identity is enough, and enum's own hash is slow.
    __hash__ = object.__hash__

    @property
    def is_primitive(self) -> bool:
        return self not in (Type.ARRAY, Type.MAP, Type.STRUCT)


INTEGER_RANGES: Final = {
    Type.INT8: (-(1 << 7), (1 << 7) - 1),
    Type.INT16: (-(1 << 15), (1 << 15) - 1),
    Type.INT32: (-(1 << 31), (1 << 31) - 1),
    Type.INT64: (-(1 << 63), (1 << 63) - 1),
}


@dataclass(frozen=True, slots=True)
class Field:
    """A field of a struct: its name, its place in the struct (from 0) and its schema."""

    name: str
    index: int
    schema: Schema


class Schema:
    """An immutable schema. Made by `SchemaBuilder`, or taken from the constants of this module."""

    __slots__ = (
        "_by_name",
        "_hash",
        "default",
        "doc",
        "fields",
        "key_schema",
        "name",
        "optional",
        "parameters",
        "type",
        "value_schema",
        "version",
    )

    def __init__(
        self,
        type: Type,
        *,
        optional: bool = False,
        name: str | None = None,
        version: int | None = None,
        default: Any = None,
        doc: str | None = None,
        parameters: Mapping[str, str] | None = None,
        fields: Iterable[Field] = (),
        key_schema: Schema | None = None,
        value_schema: Schema | None = None,
    ) -> None:
        self.type = type
        self.optional = optional
        self.name = name
        self.version = version
        self.doc = doc
        self.parameters: dict[str, str] | None = dict(parameters) if parameters else None
        self.fields: tuple[Field, ...] = tuple(fields)
        self.key_schema = key_schema
        self.value_schema = value_schema
        self._by_name = {field.name: field for field in self.fields}
        self._hash: int | None = None
        self.default = None
        if default is not None:
            validate_value(name or "default", self, default)
            self.default = default

    def field(self, name: str) -> Field | None:
        """The field of that name, or None. DataError when this is not a struct."""
        if self.type is not Type.STRUCT:
            raise DataError("Cannot look up fields on non-struct type")
        return self._by_name.get(name)

    def field_names(self) -> list[str]:
        return [field.name for field in self.fields]

    @property
    def is_optional(self) -> bool:
        return self.optional

    def _identity(self) -> tuple[Any, ...]:
        return (
            self.type,
            self.optional,
            self.name,
            self.version,
            self.doc,
            self.fields,
            self.key_schema,
            self.value_schema,
            self.parameters,
            self.default,
        )

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        if not isinstance(other, Schema):
            return NotImplemented
        return hash(self) == hash(other) and self._identity() == other._identity()

    def __hash__(self) -> int:
        if self._hash is None:
            fields = tuple((field.name, hash(field.schema)) for field in self.fields)
            parts = (self.type.value, self.optional, self.name, self.version, self.doc, fields)
            self._hash = hash((*parts, self.key_schema, self.value_schema))
        return self._hash

    def __repr__(self) -> str:
        if self.name is not None:
            return f"Schema{{{self.name}:{self.type.name}}}"
        return f"Schema{{{self.type.name}}}"


class SchemaBuilder:
    """Puts a schema together: `SchemaBuilder.struct().name("row").field("id", INT32_SCHEMA).build()`.

    Setting the same property twice, or one that the type does not have, is a `SchemaBuilderError`.
    """

    def __init__(self, type: Type) -> None:
        self.type = type
        self._optional: bool | None = None
        self._name: str | None = None
        self._version: int | None = None
        self._default: Any = None
        self._doc: str | None = None
        self._parameters: dict[str, str] = {}
        self._fields: dict[str, Field] = {}
        self._key_schema: Schema | None = None
        self._value_schema: Schema | None = None

    @classmethod
    def int8(cls) -> SchemaBuilder:
        return cls(Type.INT8)

    @classmethod
    def int16(cls) -> SchemaBuilder:
        return cls(Type.INT16)

    @classmethod
    def int32(cls) -> SchemaBuilder:
        return cls(Type.INT32)

    @classmethod
    def int64(cls) -> SchemaBuilder:
        return cls(Type.INT64)

    @classmethod
    def float32(cls) -> SchemaBuilder:
        return cls(Type.FLOAT32)

    @classmethod
    def float64(cls) -> SchemaBuilder:
        return cls(Type.FLOAT64)

    @classmethod
    def boolean(cls) -> SchemaBuilder:
        return cls(Type.BOOLEAN)

    @classmethod
    def string(cls) -> SchemaBuilder:
        return cls(Type.STRING)

    @classmethod
    def bytes(cls) -> SchemaBuilder:
        return cls(Type.BYTES)

    @classmethod
    def struct(cls) -> SchemaBuilder:
        return cls(Type.STRUCT)

    @classmethod
    def array(cls, items: Schema) -> SchemaBuilder:
        builder = cls(Type.ARRAY)
        builder._value_schema = items
        return builder

    @classmethod
    def map(cls, keys: Schema, values: Schema) -> SchemaBuilder:
        builder = cls(Type.MAP)
        builder._key_schema = keys
        builder._value_schema = values
        return builder

    def optional(self) -> SchemaBuilder:
        return self._set("_optional", True)

    def required(self) -> SchemaBuilder:
        return self._set("_optional", False)

    def name(self, name: str | None) -> SchemaBuilder:
        return self if name is None else self._set("_name", name)

    def version(self, version: int | None) -> SchemaBuilder:
        return self if version is None else self._set("_version", version)

    def doc(self, doc: str | None) -> SchemaBuilder:
        return self if doc is None else self._set("_doc", doc)

    def default(self, value: Any) -> SchemaBuilder:
        """A default makes the schema optional, unless `required()` was said before."""
        if value is None:
            return self
        self._set("_default", value)
        if self._optional is None:
            self._optional = True
        return self

    def parameter(self, name: str, value: str) -> SchemaBuilder:
        if name in self._parameters:
            raise SchemaBuilderError(f"Invalid SchemaBuilder call: parameter {name} has already been set.")
        self._parameters[name] = value
        return self

    def parameters(self, parameters: Mapping[str, str] | None) -> SchemaBuilder:
        for name, value in (parameters or {}).items():
            self.parameter(name, value)
        return self

    def field(self, name: str, schema: Schema) -> SchemaBuilder:
        if self.type is not Type.STRUCT:
            raise SchemaBuilderError(f"Cannot create fields on type {self.type.value}")
        if not name:
            raise SchemaBuilderError("fieldName cannot be null or empty.")
        if name in self._fields:
            raise SchemaBuilderError(f"Cannot create field because of field name duplication {name}")
        self._fields[name] = Field(name, len(self._fields), schema)
        return self

    def has_field(self, name: str) -> bool:
        return name in self._fields

    def build(self) -> Schema:
        try:
            return Schema(
                self.type,
                optional=bool(self._optional),
                name=self._name,
                version=self._version,
                default=self._default,
                doc=self._doc,
                parameters=self._parameters,
                fields=self._fields.values(),
                key_schema=self._key_schema,
                value_schema=self._value_schema,
            )
        except DataError as error:
            raise SchemaBuilderError(f"Invalid default value: {error}") from error

    def _set(self, attribute: str, value: Any) -> SchemaBuilder:
        if getattr(self, attribute) is not None:
            raise SchemaBuilderError(f"Invalid SchemaBuilder call: {attribute[1:]} has already been set.")
        setattr(self, attribute, value)
        return self


INT8_SCHEMA: Final = Schema(Type.INT8)
INT16_SCHEMA: Final = Schema(Type.INT16)
INT32_SCHEMA: Final = Schema(Type.INT32)
INT64_SCHEMA: Final = Schema(Type.INT64)
FLOAT32_SCHEMA: Final = Schema(Type.FLOAT32)
FLOAT64_SCHEMA: Final = Schema(Type.FLOAT64)
BOOLEAN_SCHEMA: Final = Schema(Type.BOOLEAN)
STRING_SCHEMA: Final = Schema(Type.STRING)
BYTES_SCHEMA: Final = Schema(Type.BYTES)
OPTIONAL_INT8_SCHEMA: Final = Schema(Type.INT8, optional=True)
OPTIONAL_INT16_SCHEMA: Final = Schema(Type.INT16, optional=True)
OPTIONAL_INT32_SCHEMA: Final = Schema(Type.INT32, optional=True)
OPTIONAL_INT64_SCHEMA: Final = Schema(Type.INT64, optional=True)
OPTIONAL_FLOAT32_SCHEMA: Final = Schema(Type.FLOAT32, optional=True)
OPTIONAL_FLOAT64_SCHEMA: Final = Schema(Type.FLOAT64, optional=True)
OPTIONAL_BOOLEAN_SCHEMA: Final = Schema(Type.BOOLEAN, optional=True)
OPTIONAL_STRING_SCHEMA: Final = Schema(Type.STRING, optional=True)
OPTIONAL_BYTES_SCHEMA: Final = Schema(Type.BYTES, optional=True)


class SchemaAndValue(NamedTuple):
    """What a converter reads; both None is Kafka's null."""

    schema: Schema | None
    value: Any


class Struct:
    """A value of a struct schema. Every `put` is checked; `validate` checks that nothing required is
    missing."""

    __slots__ = ("_values", "schema")

    def __init__(self, schema: Schema) -> None:
        if schema.type is not Type.STRUCT:
            raise DataError(f"Not a struct schema: {schema!r}")
        self.schema = schema
        self._values: list[Any] = [None] * len(schema.fields)

    @classmethod
    def of(cls, schema: Schema, values: list[Any]) -> Struct:
        """Takes over a list with one value per field, in the schema's order, **unchecked**: for hot code
        whose values fit by construction."""
        struct = cls.__new__(cls)
        struct.schema = schema
        struct._values = values
        return struct

    def put(self, name: str | Field, value: Any) -> Struct:
        field = name if isinstance(name, Field) else self._field(name)
        validate_value(field.name, field.schema, value)
        self._values[field.index] = value
        return self

    def get(self, name: str | Field) -> Any:
        """The value; the schema's default where none was put. DataError for a field that does not exist."""
        field = name if isinstance(name, Field) else self._field(name)
        value = self._values[field.index]
        return field.schema.default if value is None else value

    def get_without_default(self, name: str | Field) -> Any:
        field = name if isinstance(name, Field) else self._field(name)
        return self._values[field.index]

    __getitem__ = get
    __setitem__ = put

    def values(self) -> list[Any]:
        """The values in the schema's order, without defaults. Not a copy."""
        return self._values

    def validate(self) -> None:
        for field, value in zip(self.schema.fields, self._values, strict=True):
            validate_value(field.name, field.schema, value)

    def _field(self, name: str) -> Field:
        field = self.schema._by_name.get(name)
        if field is None:
            raise DataError(f"{name} is not a valid field name")
        return field

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Struct):
            return NotImplemented
        return self.schema == other.schema and self._values == other._values

    __hash__ = None  # type: ignore[assignment]  # Mutable.

    def __repr__(self) -> str:
        shown = ",".join(
            f"{field.name}={value_to_text(value)}"
            for field, value in zip(self.schema.fields, self._values, strict=True)
            if value is not None
        )
        return f"Struct{{{shown}}}"


def value_to_text(value: Any) -> str:
    """A value as Java's toString shows it, so that texts made of values equal the Java worker's."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{value_to_text(k)}={value_to_text(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(value_to_text, value)) + "]"
    return str(value)


EPOCH: Final = _datetime.datetime(1970, 1, 1, tzinfo=_datetime.UTC)
_EPOCH_DAY: Final = EPOCH.date().toordinal()
_MS_PER_DAY: Final = 86_400_000


class Decimal:
    """Arbitrary precision numbers: BYTES, the unscaled value in two's complement, big-endian; the scale is a
    schema parameter."""

    LOGICAL_NAME: Final = "org.apache.kafka.connect.data.Decimal"
    SCALE_FIELD: Final = "scale"

    @staticmethod
    def builder(scale: int) -> SchemaBuilder:
        builder = SchemaBuilder.bytes().parameter(Decimal.SCALE_FIELD, str(scale))
        return builder.name(Decimal.LOGICAL_NAME).version(1)

    @staticmethod
    def schema(scale: int) -> Schema:
        return Decimal.builder(scale).build()

    @staticmethod
    def scale(schema: Schema) -> int:
        text = (schema.parameters or {}).get(Decimal.SCALE_FIELD)
        if text is None:
            raise DataError("Invalid Decimal schema: scale parameter not found.")
        try:
            return int(text)
        except ValueError:
            raise DataError(
                "Invalid scale parameter found in Decimal schema: NumberFormatException"
            ) from None

    @staticmethod
    def from_logical(schema: Schema, value: _decimal.Decimal) -> bytes:
        scale = Decimal.scale(schema)
        sign, digits, exponent = value.as_tuple()
        if not isinstance(exponent, int):
            raise DataError(f"Decimal cannot hold {value}")
        if -exponent != scale:
            raise DataError(
                f"Decimal value has mismatching scale for given Decimal schema. Schema has scale {scale}, "
                f"value has scale {-exponent}."
            )
        unscaled = int("".join(map(str, digits)) or "0")
        if sign:
            unscaled = -unscaled
        size = ((unscaled if unscaled >= 0 else ~unscaled).bit_length() // 8) + 1
        return unscaled.to_bytes(size, "big", signed=True)

    @staticmethod
    def to_logical(schema: Schema, value: bytes) -> _decimal.Decimal:
        return decimal_of(int.from_bytes(value, "big", signed=True), Decimal.scale(schema))


def decimal_of(unscaled: int, scale: int) -> _decimal.Decimal:
    """`unscaled` times ten to the minus `scale`, exactly, whatever the context's precision."""
    digits = tuple(map(int, str(abs(unscaled))))
    return _decimal.Decimal((1 if unscaled < 0 else 0, digits, -scale))


class Date:
    """A day without time: INT32 days since 1970-01-01."""

    LOGICAL_NAME: Final = "org.apache.kafka.connect.data.Date"

    @staticmethod
    def builder() -> SchemaBuilder:
        return SchemaBuilder.int32().name(Date.LOGICAL_NAME).version(1)

    SCHEMA: Schema

    @staticmethod
    def from_logical(schema: Schema, value: _datetime.date) -> int:
        if schema.name != Date.LOGICAL_NAME:
            raise DataError(
                "Requested conversion of Date object but the schema does not match: " + str(schema.name)
            )
        return value.toordinal() - _EPOCH_DAY

    @staticmethod
    def to_logical(schema: Schema, value: int) -> _datetime.date:
        try:
            return _datetime.date.fromordinal(value + _EPOCH_DAY)
        except (ValueError, OverflowError):
            raise DataError(f"Date {value} days since 1970 is outside the years 1 to 9999") from None


class Time:
    """A time of day: INT32 milliseconds since midnight."""

    LOGICAL_NAME: Final = "org.apache.kafka.connect.data.Time"

    @staticmethod
    def builder() -> SchemaBuilder:
        return SchemaBuilder.int32().name(Time.LOGICAL_NAME).version(1)

    SCHEMA: Schema

    @staticmethod
    def from_logical(schema: Schema, value: _datetime.time) -> int:
        seconds = (value.hour * 60 + value.minute) * 60 + value.second
        return seconds * 1000 + value.microsecond // 1000

    @staticmethod
    def to_logical(schema: Schema, value: int) -> _datetime.time:
        if not 0 <= value < _MS_PER_DAY:
            raise DataError(
                f"Time values must use number of milliseconds greater than 0 and less than {_MS_PER_DAY}, "
                f"but it is {value}"
            )
        seconds, milliseconds = divmod(value, 1000)
        return _datetime.time(seconds // 3600, seconds // 60 % 60, seconds % 60, milliseconds * 1000)


class Timestamp:
    """An instant: INT64 milliseconds since 1970-01-01T00:00Z."""

    LOGICAL_NAME: Final = "org.apache.kafka.connect.data.Timestamp"

    @staticmethod
    def builder() -> SchemaBuilder:
        return SchemaBuilder.int64().name(Timestamp.LOGICAL_NAME).version(1)

    SCHEMA: Schema

    @staticmethod
    def from_logical(schema: Schema, value: _datetime.datetime) -> int:
        since = (value if value.tzinfo is not None else value.replace(tzinfo=_datetime.UTC)) - EPOCH
        return since.days * _MS_PER_DAY + since.seconds * 1000 + since.microseconds // 1000

    @staticmethod
    def to_logical(schema: Schema, value: int) -> _datetime.datetime:
        try:
            return EPOCH + _datetime.timedelta(milliseconds=value)
        except OverflowError:
            raise DataError(f"Timestamp {value} ms since 1970 is outside the years 1 to 9999") from None


Date.SCHEMA = Date.builder().build()
Time.SCHEMA = Time.builder().build()
Timestamp.SCHEMA = Timestamp.builder().build()

_LOGICAL_TYPES: Final[dict[str, tuple[type, ...]]] = {
    Decimal.LOGICAL_NAME: (_decimal.Decimal,),
    Date.LOGICAL_NAME: (_datetime.date,),
    Time.LOGICAL_NAME: (_datetime.time,),
    Timestamp.LOGICAL_NAME: (_datetime.datetime,),
}
_PLAIN_TYPES: Final[dict[Type, tuple[type, ...]]] = {
    Type.INT8: (int,),
    Type.INT16: (int,),
    Type.INT32: (int,),
    Type.INT64: (int,),
    Type.FLOAT32: (float, int),
    Type.FLOAT64: (float, int),
    Type.BOOLEAN: (bool,),
    Type.STRING: (str,),
    Type.BYTES: (bytes, bytearray, memoryview),
    Type.ARRAY: (list, tuple),
    Type.MAP: (dict,),
    Type.STRUCT: (Struct,),
}


def validate_value(name: str | None, schema: Schema, value: Any) -> None:
    """DataError, naming the field, when the value does not fit the schema (Kafka's ConnectSchema)."""
    at = f'field: "{name}"' if name is not None else "value"
    if value is None:
        if not schema.optional and schema.default is None:
            raise DataError(f"Invalid value: null used for required {at}, schema type: {schema.type.name}")
        return
    type_ = schema.type
    expected = _LOGICAL_TYPES.get(schema.name) if schema.name is not None else None
    if expected is None:
        expected = _PLAIN_TYPES[type_]
        if type(value) is bool and type_ is not Type.BOOLEAN:
            expected = ()
    elif schema.name == Date.LOGICAL_NAME and isinstance(value, _datetime.datetime):
        expected = ()
    if not isinstance(value, expected):
        shown = type(value).__name__
        raise DataError(
            f"Invalid Python object for schema{f' {schema.name!r}' if schema.name else ''} with type "
            f"{type_.name}: {shown} for {at}"
        )
    checked: Any = value
    limits = INTEGER_RANGES.get(type_)
    if limits is not None and isinstance(value, int) and not limits[0] <= value <= limits[1]:
        raise DataError(f"{value} does not fit type {type_.name} for {at}")
    if type_ is Type.STRUCT:
        if checked.schema is not schema and checked.schema != schema:
            raise DataError(f"Struct schemas do not match for {at}.")
        checked.validate()
    elif type_ is Type.ARRAY:
        items = schema.value_schema
        assert items is not None
        for item in checked:
            validate_value(name, items, item)
    elif type_ is Type.MAP:
        keys, values = schema.key_schema, schema.value_schema
        assert keys is not None
        assert values is not None
        for key, item in checked.items():
            validate_value(name, keys, key)
            validate_value(name, values, item)


_PROMOTIONS: Final = {
    Type.INT8: (Type.INT16, Type.INT32, Type.INT64, Type.FLOAT32, Type.FLOAT64),
    Type.INT16: (Type.INT32, Type.INT64, Type.FLOAT32, Type.FLOAT64),
    Type.INT32: (Type.INT64, Type.FLOAT32, Type.FLOAT64),
    Type.INT64: (Type.FLOAT32, Type.FLOAT64),
    Type.FLOAT32: (Type.FLOAT64,),
}


def project(source: Schema, value: Any, target: Schema) -> Any:
    """Carries a value over to another version of its schema (Kafka's SchemaProjector): numbers may widen, new
    fields need a default or to be optional. SchemaProjectorError says what does not fit."""
    if source.name != target.name:
        raise SchemaProjectorError(
            f"Schema name mismatch. source name: {source.name} and target name: {target.name}"
        )
    if (source.parameters or {}) != (target.parameters or {}):
        raise SchemaProjectorError(
            f"Schema parameters not equal. source parameters: {source.parameters} and target parameters: "
            f"{target.parameters}"
        )
    if source.optional and not target.optional:
        if target.default is None:
            raise SchemaProjectorError(
                "Writer schema is optional, however, target schema does not provide a default value."
            )
        if value is None:
            return target.default
    if value is None:
        return None
    if source.type is not target.type:
        if target.type not in _PROMOTIONS.get(source.type, ()):
            raise SchemaProjectorError(
                f"Schema type mismatch. source type: {source.type.name} and target type: {target.type.name}"
            )
        return float(value) if target.type in (Type.FLOAT32, Type.FLOAT64) else value
    if target.type is Type.STRUCT:
        result = Struct(target)
        for field in target.fields:
            known = source.field(field.name)
            if known is not None:
                result.put(field, project(known.schema, value.get(known), field.schema))
            elif field.schema.default is not None:
                result.put(field, field.schema.default)
            elif not field.schema.optional:
                raise SchemaProjectorError(
                    f"Required field `{field.name}` is missing from source schema: {source!r}"
                )
        return result
    if target.type is Type.ARRAY:
        assert source.value_schema is not None
        assert target.value_schema is not None
        return [project(source.value_schema, item, target.value_schema) for item in value]
    if target.type is Type.MAP:
        assert source.key_schema is not None
        assert source.value_schema is not None
        assert target.key_schema is not None
        assert target.value_schema is not None
        return {
            project(source.key_schema, key, target.key_schema): project(
                source.value_schema, item, target.value_schema
            )
            for key, item in value.items()
        }
    return value


LogicalConversion = Callable[[Schema, Any], Any]
TO_LOGICAL: Final[dict[str, LogicalConversion]] = {
    Decimal.LOGICAL_NAME: Decimal.to_logical,
    Date.LOGICAL_NAME: Date.to_logical,
    Time.LOGICAL_NAME: Time.to_logical,
    Timestamp.LOGICAL_NAME: Timestamp.to_logical,
}
FROM_LOGICAL: Final[dict[str, LogicalConversion]] = {
    Decimal.LOGICAL_NAME: Decimal.from_logical,
    Date.LOGICAL_NAME: Date.from_logical,
    Time.LOGICAL_NAME: Time.from_logical,
    Timestamp.LOGICAL_NAME: Timestamp.from_logical,
}
