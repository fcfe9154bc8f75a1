"""The stream splitter."""

from __future__ import annotations

import random
import struct
import tracemalloc

import pytest

from pybroker.common.errors import ProtocolError
from pybroker.wire.framing import FrameSplitter


def frame(body: bytes) -> bytes:
    return struct.pack(">i", len(body)) + body


def test_any_cut_gives_the_same_frames():
    rng = random.Random(10)
    bodies = [rng.randbytes(rng.choice((0, 1, 3, 4, 100, 5000))) for _ in range(40)]
    stream = b"".join(map(frame, bodies))
    for _ in range(60):
        splitter = FrameSplitter(10_000)
        got = []
        pos = 0
        while pos < len(stream):
            size = rng.choice((1, 2, 3, 4, 5, 90, 8000))
            kind = rng.choice((bytes, bytearray, memoryview))
            got += splitter.feed(kind(stream[pos : pos + size]))
            pos += size
        assert [bytes(body) for body in got] == bodies
        assert splitter.pending_bytes == 0


def test_byte_by_byte():
    splitter = FrameSplitter(100)
    got = [
        bytes(part)
        for byte in frame(b"abc") + frame(b"") + frame(b"de")
        for part in splitter.feed(bytes([byte]))
    ]
    assert got == [b"abc", b"", b"de"]


def test_frames_stay_unchanged():
    splitter = FrameSplitter(100)
    chunk = bytearray(frame(b"first") + frame(b"second")[:6])
    (first,) = splitter.feed(chunk)
    chunk[:] = b"\xff" * len(chunk)
    (second,) = splitter.feed(frame(b"second")[6:])
    splitter.feed(frame(b"third")[:7])
    assert (bytes(first), bytes(second)) == (b"first", b"second")


def test_one_chunk_of_bytes_is_not_copied():
    chunk = frame(b"first") + frame(b"second")
    assert [part.obj is chunk for part in FrameSplitter(100).feed(chunk)] == [True, True]


@pytest.mark.parametrize("length", [-1, -2, -(2**31), 101, 2**31 - 1])
def test_bad_length_is_refused_at_once(length):
    prefix = struct.pack(">i", length)
    with pytest.raises(ProtocolError, match=str(length)):
        FrameSplitter(100).feed(prefix)
    splitter = FrameSplitter(100)
    splitter.feed(prefix[:3])
    with pytest.raises(ProtocolError):
        splitter.feed(prefix[3:])


def test_limit_is_inclusive_and_can_be_raised():
    splitter = FrameSplitter(4)
    assert len(splitter.feed(frame(b"1234"))) == 1
    splitter.limit = 5
    assert len(splitter.feed(frame(b"12345"))) == 1


def test_memory_follows_what_was_received():
    tracemalloc.start()
    try:
        splitter = FrameSplitter(2**31 - 1)
        splitter.feed(struct.pack(">i", 2**31 - 1) + b"x" * 10)
        assert splitter.pending_bytes == 14
        assert tracemalloc.get_traced_memory()[1] < 100_000
    finally:
        tracemalloc.stop()
