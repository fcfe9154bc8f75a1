"""The codec of every message: compiles a reader and a writer per (class, version) from its field table.

In: bytes from a peer, or messages. Out: messages with raw ints (times, error codes), 16-byte uuids and
memoryviews over the given buffer (fields of type bytes and records), or bytes. What must hold:

- decoding raises ProtocolError and nothing else, whatever the bytes are;
- no count or size from the wire is trusted: an array's count is at most the bytes that remain divided by the
  smallest element, and all counts of one message together are at most MAX_DECODED_OBJECTS;
- Kafka's leniencies are kept: any negative length of something nullable is null, a bool other than 0 is true,
  bad UTF-8 becomes U+FFFD, unknown tagged fields are skipped, bytes after the end are ignored (but counted).

Compiling takes about a millisecond, once, at the first use of a (class, version). One function per struct
reads or writes a whole array of it, so a nested struct costs no call per element. Adjacent fields of fixed
size share one `struct.Struct`. `reader_source` and `writer_source` show the code that is compiled.
"""

from __future__ import annotations

import importlib
import struct
import sys
from collections.abc import Callable, Iterable
from typing import Any, Final, TypeVar, cast

from pybroker.common.errors import ProtocolError, TooManyElements
from pybroker.wire.limits import MAX_ARRAY_ELEMENTS, MAX_DECODED_OBJECTS, MAX_TAGGED_FIELDS
from pybroker.wire.message import ZERO_UUID, FieldSpec, Message
from pybroker.wire.primitives import (
    Buffer,
    encode_unsigned_varint,
    read_compact_length,
    read_unsigned_varint,
    skip_tag,
    skip_tagged_fields,
)

M = TypeVar("M", bound=Message)

# (buf, pos, end, budget, count) -> (objects, pos)
Reader = Callable[[Buffer, int, int, list[int], int], tuple[list[Any], int]]
# (parts.append, objects)
Writer = Callable[[Callable[[Any], None], Iterable[Any]], None]

FIXED: Final = {
    "int8": ("b", 1),
    "int16": ("h", 2),
    "int32": ("i", 4),
    "int64": ("q", 8),
    "uint16": ("H", 2),
    "uint32": ("I", 4),
    "float64": ("d", 8),
    "bool": ("?", 1),
    "uuid": ("16s", 16),
}


class CodecCounters:
    """What the decoder saw, for metrics. Plain ints, read and reset by whoever exposes them."""

    __slots__ = ("trailing_bytes", "trailing_requests")

    def __init__(self) -> None:
        self.trailing_requests = 0
        self.trailing_bytes = 0


counters: Final = CodecCounters()


# ------------------------------------------------------------------ public


def decode_request(
    api_key: int, version: int, buf: Buffer, pos: int = 0, max_objects: int = MAX_DECODED_OBJECTS
) -> Message:
    """The body of a request, from `pos` to the end of `buf`. TooManyElements when its arrays have more than
    `max_objects` elements in all.

    Trailing bytes are ignored, as in Kafka, and counted in `counters`. An unknown key or version is a
    ProtocolError.
    """
    message, end = decode(request_class(api_key), version, buf, pos, max_objects)
    if end != len(buf):
        counters.trailing_requests += 1
        counters.trailing_bytes += len(buf) - end
    return message


def encode_response(message: Message, version: int) -> bytes:
    """The body of a response, without its header. ValueError when a value does not fit its field."""
    return encode(message, version)


def decode(
    cls: type[M], version: int, buf: Buffer, pos: int = 0, max_objects: int = MAX_DECODED_OBJECTS
) -> tuple[M, int]:
    """An object of `cls` at `pos`, and the position behind it."""
    compiled = _READERS.get((cls, version))
    if compiled is None:
        compiled = _reader(cls, version)
    read, keeps_buffer = compiled
    # Slices of bytes are cheaper than those of a memoryview, so copy unless the result must point into `buf`.
    if keeps_buffer:
        if type(buf) is not memoryview:
            buf = memoryview(buf)
    elif type(buf) is not bytes:
        buf = bytes(buf)
    try:
        objects, pos = read(buf, pos, len(buf), [max_objects], 1)
    except (struct.error, IndexError) as error:
        raise ProtocolError(f"{cls.__name__} version {version} ends early") from error
    except ProtocolError as error:
        raise type(error)(f"{cls.__name__} version {version}: {error}") from None
    return objects[0], pos


def encode(message: Message, version: int) -> bytes:
    """The bytes of `message` in `version`. ValueError when a value does not fit its field."""
    parts: list[Any] = []
    encode_into(message, version, parts)
    return b"".join(parts)


def encode_into(message: Message, version: int, parts: list[Any]) -> None:
    """As `encode`, but appends buffers to `parts`; bytes and records fields are appended as they are."""
    cls = message.__class__
    write = _WRITERS.get((cls, version))
    if write is None:
        write = _writer(cls, version)
    try:
        write(parts.append, (message,))
    except (struct.error, TypeError, AttributeError, ValueError, OverflowError) as error:
        raise ValueError(f"{cls.__name__} version {version} cannot be encoded: {error}") from error


def request_class(api_key: int) -> type[Message]:
    """The request class of an API key, its module imported at the first use."""
    found = _REQUESTS.get(api_key)
    if found is None:
        found = _load(api_key)[0]
    return found


def response_class(api_key: int) -> type[Message]:
    found = _RESPONSES.get(api_key)
    if found is None:
        found = _load(api_key)[1]
    return found


# ------------------------------------------------------------------ lookup

_REQUESTS: dict[int, type[Message]] = {}
_RESPONSES: dict[int, type[Message]] = {}
_READERS: dict[tuple[type[Message], int], tuple[Reader, bool]] = {}
_WRITERS: dict[tuple[type[Message], int], Writer] = {}


def _load(api_key: int) -> tuple[type[Message], type[Message]]:
    from pybroker.wire.api_keys import module_name

    name = module_name(api_key)
    if name is None:
        raise ProtocolError(f"unknown API key {api_key}")
    module = importlib.import_module(f"pybroker.wire.messages.{name}")
    stem = name.replace("_", "")
    by_name = {
        value.__name__.lower(): value
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, Message)
    }
    request = _REQUESTS[api_key] = by_name[f"{stem}request"]
    response = _RESPONSES[api_key] = by_name[f"{stem}response"]
    return request, response


def _nested(cls: type[Message], name: str) -> type[Message]:
    return cast("type[Message]", getattr(sys.modules[cls.__module__], name))


def fields_of(cls: type[Message], version: int) -> list[FieldSpec]:
    """The fields that `version` has, in wire order."""
    return [spec for spec in cls.FIELDS if spec[2] <= version <= spec[3]]


def _check_version(cls: type[Message], version: int) -> None:
    first, last = cls.VERSIONS
    if not first <= version <= last:
        raise ProtocolError(f"{cls.__name__} has no version {version}")


def _keeps_buffer(cls: type[Message], version: int) -> bool:
    """Whether an object holds slices of the buffer it was read from."""
    for spec in fields_of(cls, version):
        base = spec[1].removeprefix("[]")
        if base in ("bytes", "records"):
            return True
        if base not in FIXED and base != "string" and _keeps_buffer(_nested(cls, base), version):
            return True
    return False


def _minimum_size(cls: type[Message], version: int) -> int:
    """The least number of bytes that an object takes; never 0, so that counts stay bounded."""
    flexible = version >= cls.FLEXIBLE_FROM
    size = 1 if flexible else 0
    for _, kind, _, _, nullable_from, tag, _ in fields_of(cls, version):
        if tag >= 0:
            continue
        if kind in FIXED:
            size += FIXED[kind][1]
        elif kind.startswith("[]") or kind in ("bytes", "records"):
            size += 1 if flexible else 4
        elif kind == "string":
            size += 1 if flexible else 2
        else:
            nullable = 0 <= nullable_from <= version
            size += 1 if nullable else _minimum_size(_nested(cls, kind), version)
    return max(size, 1)


def _element_size(cls: type[Message], kind: str, version: int) -> int:
    if kind in FIXED:
        return FIXED[kind][1]
    flexible = version >= cls.FLEXIBLE_FROM
    if kind == "string":
        return 1 if flexible else 2
    if kind in ("bytes", "records"):
        return 1 if flexible else 4
    return _minimum_size(_nested(cls, kind), version)


# ------------------------------------------------------------------ helpers of the compiled code


def _bad_length(name: str, length: int, remaining: int) -> ProtocolError:
    return ProtocolError(f"{name} has length {length} where {remaining} bytes remain")


def _take(budget: list[int], name: str, count: int, remaining: int, minimum: int) -> None:
    """Check a count before anything is allocated for it."""
    if count < 0 or count * minimum > remaining or count > MAX_ARRAY_ELEMENTS:
        raise ProtocolError(f"{name} has {count} elements where {remaining} bytes remain")
    budget[0] -= count
    if budget[0] < 0:
        raise TooManyElements(f"too many array elements in one message, {-budget[0]} more than allowed")


def _bad_tag(name: str) -> ProtocolError:
    return ProtocolError(f"tagged field {name} has a size that differs from its content")


def _check_tag_count(count: int) -> None:
    if count > MAX_TAGGED_FIELDS:
        raise ProtocolError(f"{count} tagged fields")


class _Source:
    """Lines of code with their indentation, and the names the code refers to."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.indent = 0
        self.names: dict[str, Any] = {}
        self._counter = 0

    def __call__(self, line: str) -> None:
        self.lines.append("    " * self.indent + line)

    def unique(self, prefix: str) -> str:
        self._counter += 1
        return f"{prefix}{self._counter}"

    def text(self) -> str:
        return "\n".join(self.lines) + "\n"

    def compile(self, function: str, title: str) -> Any:
        namespace = self.names
        exec(compile(self.text(), f"<{title}>", "exec"), namespace)
        return namespace[function]


# ------------------------------------------------------------------ readers


def _reader(cls: type[Message], version: int) -> tuple[Reader, bool]:
    found = _READERS.get((cls, version))
    if found is None:
        _check_version(cls, version)
        source = _read_source(cls, version)
        read = source.compile("read", f"reader of {cls.__name__} version {version}")
        found = _READERS[(cls, version)] = (read, _keeps_buffer(cls, version))
    return found


def reader_source(cls: type[Message], version: int) -> str:
    return _read_source(cls, version).text()


def _default_expression(cls: type[Message], spec: FieldSpec, source: _Source) -> str:
    kind, default = spec[1], spec[6]
    if default == () and kind.startswith("[]"):
        return "[]"
    if default is ...:
        source.names[kind] = _nested(cls, kind)
        return f"{kind}()"
    if kind == "uuid":
        return "ZERO_UUID"
    return repr(default)


def _read_source(cls: type[Message], version: int) -> _Source:
    out = _Source()
    out.names.update(
        Object=cls,
        new=cls.__new__,
        ProtocolError=ProtocolError,
        ZERO_UUID=ZERO_UUID,
        bad_length=_bad_length,
        bad_tag=_bad_tag,
        take=_take,
        check_tag_count=_check_tag_count,
        compact_length=read_compact_length,
        unsigned_varint=read_unsigned_varint,
        skip_tagged_fields=skip_tagged_fields,
        skip_tag=skip_tag,
        unpack_from=struct.unpack_from,
        int16=struct.Struct(">h").unpack_from,
        int32=struct.Struct(">i").unpack_from,
    )
    flexible = version >= cls.FLEXIBLE_FROM
    present = fields_of(cls, version)
    plain = [spec for spec in present if spec[5] < 0]
    tagged = [spec for spec in present if spec[5] >= 0]
    out("def read(buf, pos, end, budget, count):")
    out.indent += 1
    out("objects = []")
    out("for _ in range(count):")
    out.indent += 1
    out("o = new(Object)")
    for spec in cls.FIELDS:
        if spec not in plain:
            out(f"o.{spec[0]} = {_default_expression(cls, spec, out)}")
    index = 0
    while index < len(plain):
        run = index
        while run < len(plain) and plain[run][1] in FIXED:
            run += 1
        if run > index:
            group = plain[index:run]
            unpack = out.unique("unpack")
            packed = struct.Struct(">" + "".join(FIXED[spec[1]][0] for spec in group))
            out.names[unpack] = packed.unpack_from
            targets = ", ".join(f"o.{spec[0]}" for spec in group)
            out(f"{targets}{',' if len(group) == 1 else ''} = {unpack}(buf, pos)")
            out(f"pos += {packed.size}")
            index = run
        else:
            _read_field(cls, version, plain[index], flexible, out)
            index += 1
    if flexible:
        _read_tags(cls, version, tagged, out)
    out("objects.append(o)")
    out.indent -= 1
    out("return objects, pos")
    return out


def _read_length(name: str, small: str, nullable: bool, flexible: bool, out: _Source, unit: int) -> None:
    """Read a length into `n`. Opens an `else:` block for the content when null is possible."""
    if flexible:
        out("n = buf[pos] - 1")
        out("if n < 127:")
        out("    pos += 1")
        out("else:")
        out("    n, pos = compact_length(buf, pos)")
    else:
        out(f"(n,) = {small}(buf, pos)")
        out(f"pos += {unit}")
    if nullable:
        out("if n < 0:")
        out(f"    {name} = None")
        out("else:")
        out.indent += 1


def _read_field(cls: type[Message], version: int, spec: FieldSpec, flexible: bool, out: _Source) -> None:
    name, kind, nullable_from = spec[0], spec[1], spec[4]
    target = f"o.{name}"
    nullable = 0 <= nullable_from <= version
    if kind in FIXED:
        unpack = out.unique("unpack")
        packed = struct.Struct(">" + FIXED[kind][0])
        out.names[unpack] = packed.unpack_from
        out(f"{target}, = {unpack}(buf, pos)")
        out(f"pos += {packed.size}")
        return
    if kind in ("string", "bytes", "records"):
        small, unit = ("int16", 2) if kind == "string" else ("int32", 4)
        _read_length(target, small, nullable, flexible, out, unit)
        _read_content(target, kind, name, nullable, out)
        out.indent -= nullable
        return
    if kind.startswith("[]"):
        element = kind[2:]
        _read_length(target, "int32", nullable, flexible, out, 4)
        minimum = _element_size(cls, element, version)
        out(f"take(budget, {name!r}, n, end - pos, {minimum})")
        if element in FIXED:
            code, size = FIXED[element]
            if element == "uuid":
                out(f"{target} = [bytes(buf[p : p + 16]) for p in range(pos, pos + n * 16, 16)]")
            else:
                out(f'{target} = list(unpack_from(f">{{n}}{code}", buf, pos))')
            out(f"pos += n * {size}")
        elif element in ("string", "bytes", "records"):
            out("items = []")
            out(f"{target} = items")
            out("for _ in range(n):")
            out.indent += 1
            small, unit = ("int16", 2) if element == "string" else ("int32", 4)
            _read_length("item", small, False, flexible, out, unit)
            _read_content("item", element, name, False, out)
            out("items.append(item)")
            out.indent -= 1
        else:
            read = out.unique("read")
            out.names[read] = _reader(_nested(cls, element), version)[0]
            out(f"{target}, pos = {read}(buf, pos, end, budget, n)")
        out.indent -= nullable
        return
    read = out.unique("read")
    out.names[read] = _reader(_nested(cls, kind), version)[0]
    if nullable:
        if spec[5] < 0:
            # A struct that may be null is preceded by one byte: below 0 is null (KIP-893).
            out("n = buf[pos]")
            out("pos += 1")
            out("if n > 127:")
        else:
            # In a tagged field it is an unsigned varint, and 0 is null.
            out("n, pos = unsigned_varint(buf, pos)")
            out("if n == 0:")
        out(f"    {target} = None")
        out("else:")
        out.indent += 1
    out(f"({target},), pos = {read}(buf, pos, end, budget, 1)")
    out.indent -= nullable


def _read_content(target: str, kind: str, name: str, nullable: bool, out: _Source) -> None:
    """`n` bytes at `pos`. A slice would be cut at the end without an error, hence the check."""
    condition = "n > end - pos" if nullable else "n < 0 or n > end - pos"
    out(f"if {condition}:")
    out(f"    raise bad_length({name!r}, n, end - pos)")
    if kind == "string":
        out(f'{target} = str(buf[pos : pos + n], "utf-8", "replace")')
    else:
        out(f"{target} = buf[pos : pos + n]")
    out("pos += n")


def _read_tags(cls: type[Message], version: int, tagged: list[FieldSpec], out: _Source) -> None:
    out("if buf[pos] == 0:")
    out("    pos += 1")
    out("else:")
    out.indent += 1
    if not tagged:
        out("pos = skip_tagged_fields(buf, pos, end)")
        out.indent -= 1
        return
    out("tags, pos = unsigned_varint(buf, pos)")
    out("check_tag_count(tags)")
    out("for _ in range(tags):")
    out.indent += 1
    out("tag, pos = unsigned_varint(buf, pos)")
    keyword = "if"
    for spec in tagged:
        out(f"{keyword} tag == {spec[5]}:")
        out.indent += 1
        # `skip_tag` checks the declared size against the buffer and says where the field must end.
        out("tag_start, tag_end = pos, skip_tag(buf, pos, end)")
        out("_, pos = unsigned_varint(buf, tag_start)")
        _read_field(cls, version, spec, True, out)
        out("if pos != tag_end:")
        out(f"    raise bad_tag({spec[0]!r})")
        out.indent -= 1
        keyword = "elif"
    out("else:")
    out("    pos = skip_tag(buf, pos, end)")
    out.indent -= 2


# ------------------------------------------------------------------ writers


def _writer(cls: type[Message], version: int) -> Writer:
    found = _WRITERS.get((cls, version))
    if found is None:
        first, last = cls.VERSIONS
        if not first <= version <= last:
            raise ValueError(f"{cls.__name__} has no version {version}")
        source = _write_source(cls, version)
        found = source.compile("write", f"writer of {cls.__name__} version {version}")
        _WRITERS[(cls, version)] = found
    return found


def writer_source(cls: type[Message], version: int) -> str:
    return _write_source(cls, version).text()


class _Pending:
    """Fixed-size values that wait to be packed with one struct."""

    def __init__(self, out: _Source) -> None:
        self.out = out
        self.codes: list[str] = []
        self.values: list[str] = []

    def add(self, code: str, value: str) -> None:
        self.codes.append(code)
        if value:
            self.values.append(value)

    def flush(self) -> None:
        if self.codes:
            pack = self.out.unique("pack")
            self.out.names[pack] = struct.Struct(">" + "".join(self.codes)).pack
            self.out(f"w({pack}({', '.join(self.values)}))")
            self.codes, self.values = [], []


def _write_source(cls: type[Message], version: int) -> _Source:
    out = _Source()
    out.names.update(
        ZERO_UUID=ZERO_UUID,
        varint=encode_unsigned_varint,
        join=b"".join,
        struct_pack=struct.pack,
    )
    flexible = version >= cls.FLEXIBLE_FROM
    present = fields_of(cls, version)
    tagged = sorted((spec for spec in present if spec[5] >= 0), key=lambda spec: spec[5])
    out("def write(w, objects):")
    out.indent += 1
    if not present and not flexible:
        out("return")
        return out
    out("for o in objects:")
    out.indent += 1
    pending = _Pending(out)
    for spec in present:
        if spec[5] < 0:
            _write_field(cls, version, spec, f"o.{spec[0]}", flexible, pending)
    if flexible and not tagged:
        # "x" packs one zero byte: no tagged fields.
        pending.add("x", "")
    pending.flush()
    if tagged:
        _write_tags(cls, version, tagged, out)
    return out


def _write_field(
    cls: type[Message], version: int, spec: FieldSpec, value: str, flexible: bool, pending: _Pending
) -> None:
    kind, nullable_from = spec[1], spec[4]
    nullable = 0 <= nullable_from <= version
    out = pending.out
    if kind in FIXED:
        pending.add(FIXED[kind][0], value)
        return
    if kind in ("string", "bytes", "records"):
        _write_content(kind, value, nullable, flexible, pending)
        return
    if kind.startswith("[]"):
        element = kind[2:]
        items = out.unique("items")
        out(f"{items} = {value}")
        if flexible:
            pending.flush()
            if nullable:
                out(f"w(varint(0 if {items} is None else len({items}) + 1))")
            else:
                out(f"w(varint(len({items}) + 1))")
        else:
            pending.add("i", f"-1 if {items} is None else len({items})" if nullable else f"len({items})")
            pending.flush()
        if nullable:
            out(f"if {items}:")
            out.indent += 1
        if element == "uuid":
            out(f"w(join({items}))")
        elif element in FIXED:
            out(f'w(struct_pack(f">{{len({items})}}{FIXED[element][0]}", *{items}))')
        elif element in ("string", "bytes", "records"):
            out(f"for item in {items}:")
            out.indent += 1
            _write_content(element, "item", False, flexible, pending)
            pending.flush()
            out.indent -= 1
        else:
            write = out.unique("write")
            out.names[write] = _writer(_nested(cls, element), version)
            out(f"{write}(w, {items})")
        out.indent -= nullable
        return
    write = out.unique("write")
    out.names[write] = _writer(_nested(cls, kind), version)
    if nullable:
        pending.flush()
        # See `_read_field`.
        null = "\\xff" if spec[5] < 0 else "\\0"
        out(f"if {value} is None:")
        out(f'    w(b"{null}")')
        out("else:")
        out('    w(b"\\x01")')
        out(f"    {write}(w, ({value},))")
    else:
        pending.flush()
        out(f"{write}(w, ({value},))")


def _write_content(kind: str, value: str, nullable: bool, flexible: bool, pending: _Pending) -> None:
    out = pending.out
    content = out.unique("b")
    size = f"len({content})"
    if kind == "string":
        # "replace" as in Java: a lone surrogate becomes a question mark instead of an error.
        encoded = f'{value}.encode("utf-8", "replace")'
    else:
        encoded = value
    if nullable:
        out(f"{content} = {value}")
        if kind == "string":
            out(f"if {content} is not None:")
            out(f'    {content} = {content}.encode("utf-8", "replace")')
        null, size = ("0", f"{size} + 1") if flexible else ("-1", size)
        size = f"{null} if {content} is None else {size}"
    else:
        out(f"{content} = {encoded}")
        if flexible:
            size = f"{size} + 1"
    if flexible:
        pending.flush()
        out(f"w(varint({size}))")
    else:
        pending.add("h" if kind == "string" else "i", size)
        pending.flush()
    if nullable:
        out(f"if {content}:")
        out(f"    w({content})")
    else:
        out(f"w({content})")


def _differs(cls: type[Message], name: str, out: _Source) -> str:
    """An expression: whether the struct `o.name` differs from a new one."""
    if all(item[1] in FIXED and item[1] != "uuid" for item in cls.FIELDS):
        # Field by field, because the general comparison costs as much as encoding the struct.
        return " or ".join(f"o.{name}.{item[0]} != {item[6]!r}" for item in cls.FIELDS)
    out.names[f"default_{name}"] = cls()
    return f"o.{name} != default_{name}"


def _write_tags(cls: type[Message], version: int, tagged: list[FieldSpec], out: _Source) -> None:
    """Only fields that differ from their default are written, in the order of their tags."""
    out("tags = []")
    for spec in tagged:
        name = spec[0]
        default = _default_expression(cls, spec, out)
        if spec[6] is ...:
            null = f"o.{name} is None or " if 0 <= spec[4] <= version else ""
            out(f"if {null}{_differs(_nested(cls, spec[1]), name, out)}:")
        elif default == "[]":
            out(f"if o.{name} is None or len(o.{name}):")
        elif default == "None":
            out(f"if o.{name} is not None:")
        else:
            out(f"if o.{name} != {default}:")
        out.indent += 1
        out("value = []")
        out("outer, w = w, value.append")
        pending = _Pending(out)
        _write_field(cls, version, spec, f"o.{name}", True, pending)
        pending.flush()
        out("w = outer")
        out("value = join(value)")
        out(f"tags.append(varint({spec[5]}) + varint(len(value)) + value)")
        out.indent -= 1
    out("w(varint(len(tags)))")
    out("if tags:")
    out("    w(join(tags))")
