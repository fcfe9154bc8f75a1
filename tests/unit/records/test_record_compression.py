"""The codecs: round trips, other implementations' bodies, and bodies that lie about their size."""

from __future__ import annotations

import gzip
import random
import struct
import tracemalloc

import cramjam
import lz4.frame
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from pybroker.common.errors import CorruptionError
from pybroker.records import compression
from pybroker.records.compression import (
    GZIP,
    LZ4,
    NONE,
    SNAPPY,
    ZSTD,
    OutputLimitError,
    compress,
    decompress,
    has_linked_lz4_blocks,
    output_limit,
)

MIB = 1 << 20
CODECS = [GZIP, SNAPPY, LZ4, ZSTD]
NAMES = compression.CODEC_NAMES[1:]
XERIAL_HEADER = b"\x82SNAPPY\x00" + struct.pack(">ii", 1, 1)


@given(st.binary(max_size=2000), st.integers(1, 200), st.sampled_from([NONE, *CODECS]))
@settings(max_examples=100, deadline=None)
def test_round_trip(piece, times, codec):
    data = piece * times
    assert decompress(codec, compress(codec, data)) == data
    assert decompress(codec, memoryview(compress(codec, memoryview(data)))) == data


@pytest.mark.parametrize("codec", CODECS, ids=NAMES)
@pytest.mark.parametrize("level", [None, 1, 5, 9, 12])
def test_levels(codec, level):
    if codec == GZIP and level == 12:
        level = -1
    data = random.Random(5).randbytes(2000) * 100
    assert decompress(codec, compress(codec, data, level)) == data


def test_incompressible_data_of_a_megabyte():
    data = random.Random(7).randbytes(MIB)
    for codec in CODECS:
        assert decompress(codec, compress(codec, data)) == data


def test_output_limit():
    assert output_limit(10) == 4 * MIB
    assert output_limit(MIB) == 64 * MIB
    assert output_limit(MIB, 5 * MIB) == 5 * MIB
    assert output_limit(10, 100) == 100


@pytest.mark.parametrize("codec", CODECS, ids=NAMES)
def test_limit_is_exact(codec):
    data = bytes(100_000)
    body = compress(codec, data)
    assert decompress(codec, body, 100_000) == data
    with pytest.raises(OutputLimitError):
        decompress(codec, body, 99_999)


def test_limit_without_codec():
    assert decompress(NONE, b"abc", 3) == b"abc"
    with pytest.raises(OutputLimitError):
        decompress(NONE, b"abcd", 3)


def zstd_stream(size: int) -> bytes:
    """Without the content size in the header."""
    writer = zstandard.ZstdCompressor(write_content_size=False).compressobj()
    return writer.compress(bytes(size)) + writer.flush()


BOMBS = {
    "gzip": (GZIP, lambda: gzip.compress(bytes(100 * MIB), 6)),
    "gzip members": (GZIP, lambda: gzip.compress(bytes(MIB), 9) * 100),
    "snappy": (SNAPPY, lambda: bytes(cramjam.snappy.compress_raw(bytes(5 * MIB)))[:1000]),
    "snappy xerial": (
        SNAPPY,
        lambda: (
            XERIAL_HEADER
            + (lambda block: struct.pack(">i", len(block)) + block)(
                bytes(cramjam.snappy.compress_raw(bytes(MIB)))
            )
            * 100
        )[: 6 * 49_000],
    ),
    "lz4": (LZ4, lambda: lz4.frame.compress(bytes(100 * MIB), store_size=True)),
    "lz4 without size": (LZ4, lambda: lz4.frame.compress(bytes(100 * MIB), store_size=False)),
    "zstd": (ZSTD, lambda: zstandard.compress(bytes(100 * MIB))),
    "zstd without size": (ZSTD, lambda: zstd_stream(100 * MIB)),
    "zstd frames": (ZSTD, lambda: zstandard.compress(bytes(MIB)) * 100),
}


@pytest.mark.parametrize("name", BOMBS)
def test_bombs_are_bounded(name):
    codec, make = BOMBS[name]
    body = make()
    limit = 4 * MIB
    tracemalloc.start()
    try:
        with pytest.raises(CorruptionError):
            decompress(codec, body, limit)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 3 * limit + 3 * len(body)


@pytest.mark.parametrize(
    ("codec", "body"),
    [
        (SNAPPY, b"\xff\xff\xff\xff\x0f" + bytes(20)),
        (SNAPPY, XERIAL_HEADER + struct.pack(">i", 10) + b"\xff\xff\xff\xff\x0f" + bytes(5)),
        (LZ4, lz4.frame.compress(bytes(10), store_size=True)[:6] + b"\xff" * 8 + bytes(20)),
        (ZSTD, b"\x28\xb5\x2f\xfd\xe0" + struct.pack("<Q", 2**62) + bytes(20)),
        (ZSTD, b"\x28\xb5\x2f\xfd\xa0" + struct.pack("<I", 2**32 - 1) + bytes(20)),
    ],
    ids=["snappy", "xerial block", "lz4", "zstd 64 bit", "zstd 32 bit"],
)
def test_claimed_sizes_take_no_memory(codec, body):
    tracemalloc.start()
    try:
        with pytest.raises(CorruptionError):
            decompress(codec, body)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < MIB


def with_window(window_log: int) -> bytes:
    parameters = zstandard.ZstdCompressionParameters.from_level(
        3, window_log=window_log, write_content_size=False
    )
    writer = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    return writer.compress(b"small") + writer.flush()


def test_zstd_window_is_bounded():
    with pytest.raises(CorruptionError, match="window"):
        decompress(ZSTD, with_window(24))
    # The bound holds for later frames too.
    with pytest.raises(CorruptionError, match="window"):
        decompress(ZSTD, zstandard.compress(b"first") + with_window(24))
    assert decompress(ZSTD, with_window(23)) == b"small"


def test_zstd_checksum_and_skippable_frames():
    data = random.Random(3).randbytes(1000)
    body = zstandard.ZstdCompressor(write_checksum=True).compress(data)
    skippable = struct.pack("<II", 0x184D2A5C, 5) + b"12345"
    assert decompress(ZSTD, skippable + body + skippable + body) == data * 2
    with pytest.raises(CorruptionError):
        decompress(ZSTD, body[:-1] + bytes([body[-1] ^ 1]))
    with pytest.raises(CorruptionError):
        decompress(ZSTD, body + skippable[:-1])
    assert decompress(ZSTD, body) == data


def test_an_lz4_body_must_begin_with_a_frame():
    with pytest.raises(CorruptionError):
        decompress(LZ4, struct.pack("<II", 0x184D2A50, 4) + b"1234" + compress(LZ4, b"data"))


@pytest.mark.parametrize("codec", CODECS, ids=NAMES)
@pytest.mark.parametrize("body", [b"", b"\x80", b"garbage that is no codec's"])
def test_garbage(codec, body):
    if codec == ZSTD and not body:
        # Java's reader takes it for no frames; the missing records are found later.
        assert decompress(codec, body) == b""
        return
    with pytest.raises(CorruptionError):
        decompress(codec, body)


@pytest.mark.parametrize("codec", CODECS, ids=NAMES)
def test_every_cut_is_refused(codec):
    body = compress(codec, random.Random(3).randbytes(50))
    for size in range(len(body)):
        if (codec == SNAPPY and 16 <= size < 20) or (codec == ZSTD and size == 0):
            # A stream of no blocks: what is too short for a block's length is the end.
            assert decompress(codec, body[:size]) == b""
            continue
        with pytest.raises(CorruptionError):
            decompress(codec, body[:size])


@given(st.sampled_from(CODECS), st.data())
@settings(max_examples=200, deadline=None)
def test_damage_raises_nothing_else(codec, data):
    body = bytearray(compress(codec, b"some text some text some text 0123456789"))
    for _ in range(data.draw(st.integers(1, 4))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    try:
        content = decompress(codec, body)
    except CorruptionError:
        return
    assert len(content) <= output_limit(len(body))


@pytest.mark.parametrize("codec", [5, 6, 7])
def test_unknown_codecs(codec):
    with pytest.raises(CorruptionError):
        compress(codec, b"")
    with pytest.raises(CorruptionError):
        decompress(codec, b"")


def test_raw_snappy_is_tolerated():
    assert decompress(SNAPPY, bytes(cramjam.snappy.compress_raw(b"abc" * 100))) == b"abc" * 100


def test_xerial_streams_back_to_back():
    assert decompress(SNAPPY, compress(SNAPPY, b"abc") + compress(SNAPPY, b"def")) == b"abcdef"


def test_xerial_blocks_are_small():
    body = compress(SNAPPY, bytes(100_000))
    assert body.startswith(XERIAL_HEADER)
    (first,) = struct.unpack_from(">i", body, 16)
    assert len(bytes(cramjam.snappy.decompress_raw(body[20 : 20 + first]))) == 32 * 1024


def test_gzip_members_and_trailing_garbage():
    two = gzip.compress(b"abc") + gzip.compress(b"def")
    assert decompress(GZIP, two) == b"abcdef"
    assert decompress(GZIP, two + b"garbage after the last member") == b"abcdef"
    assert decompress(GZIP, two + bytes(20)) == b"abcdef"


def test_zstd_frames_back_to_back():
    assert decompress(ZSTD, zstandard.compress(b"abc") + zstandard.compress(b"def")) == b"abcdef"


def test_lz4_frame_followed_by_other_bytes():
    assert decompress(LZ4, lz4.frame.compress(b"abc") + b"rest") == b"abc"


def test_lz4_blocks_are_independent():
    data = random.Random(1).randbytes(1000) * 200
    assert not has_linked_lz4_blocks(compress(LZ4, data))
    linked = lz4.frame.compress(data, block_linked=True, block_size=lz4.frame.BLOCKSIZE_MAX64KB)
    assert has_linked_lz4_blocks(linked)
    assert not has_linked_lz4_blocks(b"")
