"""Where our bytes and texts must equal a Java worker's: JSON, the order of a HashMap, doubles, string hashes.

In: Python values. Out: what Jackson and java.util would have written. What must hold: the offset topic is
partitioned by the bytes of its keys, so one byte of difference would put an update beside the record that it
replaces.
"""

from __future__ import annotations

import decimal
import math
from collections.abc import Iterable, Mapping
from typing import Any

_ESCAPES = {chr(code): f"\\u{code:04X}" for code in range(32)}
_ESCAPES |= {"\b": "\\b", "\t": "\\t", "\n": "\\n", "\f": "\\f", "\r": "\\r", '"': '\\"', "\\": "\\\\"}
_TABLE = str.maketrans(_ESCAPES)


def string_hash(text: str) -> int:
    """String.hashCode, as a signed 32-bit number."""
    result = 0
    encoded = text.encode("utf-16-be", "surrogatepass")
    for at in range(0, len(encoded), 2):
        result = (31 * result + (encoded[at] << 8 | encoded[at + 1])) & 0xFFFFFFFF
    return result - (1 << 32) if result >= 1 << 31 else result


def hash_map_order(keys: Iterable[str]) -> list[str]:
    """The order in which a java.util.HashMap that got these keys one after the other gives them back."""
    listed = list(dict.fromkeys(keys))
    capacity = 16
    while len(listed) > capacity * 0.75:
        capacity *= 2

    def slot(key: str) -> int:
        spread = string_hash(key) & 0xFFFFFFFF
        return (spread ^ spread >> 16) & (capacity - 1)

    return sorted(listed, key=slot)


def as_hash_map(values: Mapping[str, Any]) -> dict[str, Any]:
    """The same map in a HashMap's order."""
    return {key: values[key] for key in hash_map_order(values)}


def double_text(value: float) -> str:
    """Double.toString: always with a fraction, scientific outside [0.001, 10000000)."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    if value == 0:
        return "-0.0" if math.copysign(1, value) < 0 else "0.0"
    sign = "-" if value < 0 else ""
    if 1e-3 <= abs(value) < 1e7:
        text = format(decimal.Decimal(repr(abs(value))), "f")
        return sign + (text if "." in text else text + ".0")
    _, digits, exponent = decimal.Decimal(repr(abs(value))).as_tuple()
    assert isinstance(exponent, int)
    shown = "".join(map(str, digits))
    power = exponent + len(shown) - 1
    fraction = shown[1:].rstrip("0") or "0"
    return f"{sign}{shown[0]}.{fraction}E{power}"


def json_text(value: Any) -> str:
    """Compact JSON as Jackson writes it: UTF-8 kept, doubles as Java shows them."""
    if value is None:
        return "null"
    if value is True:
        return "true"
    if value is False:
        return "false"
    if isinstance(value, str):
        return f'"{value.translate(_TABLE)}"'
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return double_text(value) if math.isfinite(value) else f'"{double_text(value)}"'
    if isinstance(value, decimal.Decimal):
        return str(value)
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{json_text(str(k))}:{json_text(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ",".join(map(json_text, value)) + "]"
    raise TypeError(f"{type(value).__name__} has no place in JSON")


def json_bytes(value: Any) -> bytes:
    return json_text(value).encode("utf-8", "surrogatepass")


def map_text(values: Mapping[str, Any]) -> str:
    """A map as Java's toString shows it: `{a=1, b=null}`."""
    return "{" + ", ".join(f"{key}={'null' if item is None else item}" for key, item in values.items()) + "}"
