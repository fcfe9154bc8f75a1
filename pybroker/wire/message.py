"""The base of every protocol struct, and the form of the tables that `codec.py` compiles.

In: nothing. Out: `Message` (equality and repr over slots), sentinels for constructor defaults, `FieldSpec`.
What must hold: a class carries the union of the fields of all its versions. A field that a version does not
have is skipped on write and keeps its default on read. `FIELDS` is in wire order for every version.
"""

from __future__ import annotations

from typing import Any, ClassVar, Final, TypeAlias

FieldSpec: TypeAlias = tuple[str, str, int, int, int, int, Any]
"""(name, kafka type, first version, last version, nullable from version, tag, default).

The type is one of int8 int16 int32 int64 uint16 uint32 float64 bool uuid string bytes records, the name of a
class of the same module, or one of these after `[]`. "Nullable from" is -1 when null is never allowed, tag is
-1 for a plain field. The default `()` stands for a new empty list, `...` for a new default struct,
`None` for a uuid means the zero uuid (a uuid is never null).
"""

ZERO_UUID: Final = bytes(16)

NEVER: Final = 32767
"""`FLEXIBLE_FROM` of a message that never became flexible."""

EMPTY: Final[list[Any]] = []
"""Constructor default that means "a new empty list". Compared by identity, never written to."""

DEFAULT: Final[Any] = object()
"""Constructor default that means "a new struct with its own defaults"."""


class Message:
    """A request, a response, or a struct inside one. Mutable, compared by value, not hashable."""

    __slots__: tuple[str, ...] = ()

    VERSIONS: ClassVar[tuple[int, int]]
    FLEXIBLE_FROM: ClassVar[int]
    FIELDS: ClassVar[tuple[FieldSpec, ...]]

    def __eq__(self, other: object) -> bool:
        if other.__class__ is not self.__class__:
            return NotImplemented
        return all(getattr(self, name) == getattr(other, name) for name in self.__slots__)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        values = ", ".join(f"{name}={_show(getattr(self, name))}" for name in self.__slots__)
        return f"{self.__class__.__name__}({values})"


def _show(value: object) -> str:
    # Record sets run to megabytes: a repr in a log or a failed test must stay readable.
    if isinstance(value, (bytes, bytearray, memoryview)):
        length = len(value)
        return repr(bytes(value)) if length <= 32 else f"<{length} bytes>"
    return repr(value)
