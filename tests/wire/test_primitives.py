"""Varints."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pybroker.common.errors import ProtocolError
from pybroker.wire import primitives

INT32 = st.integers(-(2**31), 2**31 - 1)
INT64 = st.integers(-(2**63), 2**63 - 1)


@given(st.integers(0, 2**32 - 1))
def test_unsigned_varint(value):
    encoded = primitives.encode_unsigned_varint(value)
    assert primitives.read_unsigned_varint(b"x" + encoded, 1) == (value, 1 + len(encoded))


@given(INT32)
def test_varint(value):
    encoded = primitives.encode_varint(value)
    assert len(encoded) <= 5
    assert primitives.read_varint(encoded, 0) == (value, len(encoded))


@given(INT64)
def test_varlong(value):
    encoded = primitives.encode_varlong(value)
    assert len(encoded) <= 10
    assert primitives.read_varlong(encoded, 0) == (value, len(encoded))


@pytest.mark.parametrize(
    ("value", "encoded"),
    [(0, "00"), (-1, "01"), (1, "02"), (63, "7e"), (-64, "7f"), (64, "8001"), (8192, "808001"),
     (2**31 - 1, "feffffff0f"), (-(2**31), "ffffffff0f")],
)  # fmt: skip
def test_known_values(value, encoded):
    assert primitives.encode_varint(value).hex() == encoded
    assert primitives.encode_varlong(value).hex() == encoded


def test_too_long():
    with pytest.raises(ProtocolError):
        primitives.read_unsigned_varint(b"\x80" * 5 + b"\0", 0)
    with pytest.raises(ProtocolError):
        primitives.read_varlong(b"\x80" * 10 + b"\0", 0)
    assert primitives.read_unsigned_varint(b"\x80" * 4 + b"\0", 0) == (0, 5)
    assert primitives.read_varlong(b"\x80" * 9 + b"\0", 0) == (0, 10)


@pytest.mark.parametrize("value", [0, 1, 0x7FFFFFFF, 0x80000000, 0x80000001, 0xFFFFFFFF])
def test_compact_length_is_computed_in_32_bits(value):
    expected = {
        0: -1,
        1: 0,
        0x7FFFFFFF: 0x7FFFFFFE,
        0x80000000: 0x7FFFFFFF,
        0x80000001: -(2**31),
        0xFFFFFFFF: -2,
    }
    assert primitives.read_compact_length(primitives.encode_unsigned_varint(value), 0)[0] == expected[value]
