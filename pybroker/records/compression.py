"""The four codecs of record batches, with bounded output.

In: a codec number (attribute bits 0-2) and a body. Out: bytes. What must hold: decompression never makes
more than `output_limit` bytes whatever the body claims, claimed sizes are refused before memory is taken
for them, and every failure is a CorruptionError.
"""

from __future__ import annotations

import struct
import zlib
from typing import Final

import cramjam
import lz4.frame
import zstandard

from pybroker.common.errors import CorruptionError

Buffer = bytes | bytearray | memoryview

NONE: Final = 0
GZIP: Final = 1
SNAPPY: Final = 2
LZ4: Final = 3
ZSTD: Final = 4

CODEC_NAMES: Final = ("none", "gzip", "snappy", "lz4", "zstd")
CODEC_BY_NAME: Final = {name: number for number, name in enumerate(CODEC_NAMES)} | {"uncompressed": NONE}

# Kafka's defaults of compression.gzip.level, compression.lz4.level and compression.zstd.level.
DEFAULT_LEVELS: Final = {GZIP: -1, LZ4: 9, ZSTD: 3}

# A body may grow by this factor, or to this size if that is more.
MAX_EXPANSION: Final = 64
MIN_OUTPUT_LIMIT: Final = 4 * 1024 * 1024
# Upper bound where the caller has no max.message.bytes at hand: 100 times its default.
DEFAULT_MAX_OUTPUT: Final = 100 * 1_048_588
MAX_ZSTD_WINDOW: Final = 8 * 1024 * 1024

_XERIAL_MAGIC: Final = b"\x82SNAPPY\x00"
_XERIAL_HEADER: Final = _XERIAL_MAGIC + struct.pack(">ii", 1, 1)
# The first four bytes of the magic read as a block length: where a second stream is appended to a first one.
_XERIAL_MAGIC_AS_LENGTH: Final = struct.unpack_from(">i", _XERIAL_MAGIC)[0]
_XERIAL_BLOCK: Final = 32 * 1024
_LZ4_MAGIC: Final = b"\x04\x22\x4d\x18"
_LZ4_INDEPENDENT_BLOCKS: Final = 0x20
_ZSTD_SKIPPABLE: Final = frozenset(struct.pack("<I", 0x184D2A50 + number) for number in range(16))
_KEPT_ZSTD_DECOMPRESSORS: Final = 2
_idle_zstd_decompressors: list[zstandard.ZstdDecompressor] = []
_PIECE: Final = 256 * 1024
_INT32: Final = struct.Struct(">i")
_CODEC_ERRORS: Final = (
    zlib.error,
    zstandard.ZstdError,
    cramjam.DecompressionError,
    RuntimeError,
    ValueError,
    EOFError,
    MemoryError,
)


class OutputLimitError(CorruptionError):
    """The content is larger than the bound; the body itself may be sound."""


def output_limit(compressed_size: int, max_output: int = DEFAULT_MAX_OUTPUT) -> int:
    """How many bytes a body of this size may become."""
    return min(max(MAX_EXPANSION * compressed_size, MIN_OUTPUT_LIMIT), max_output)


def compress(codec: int, data: Buffer, level: int | None = None) -> bytes:
    """Compress a batch body; `level` None or Kafka's default value means the codec's usual level."""
    if codec == NONE:
        return bytes(data)
    if codec == GZIP:
        compressor = zlib.compressobj(-1 if level is None else level, zlib.DEFLATED, 31)
        return compressor.compress(data) + compressor.flush()
    if codec == SNAPPY:
        return _compress_snappy(data)
    if codec == LZ4:
        # Kafka uses the fast compressor at its default level 9 and the high compressor at all others.
        # Its readers refuse linked blocks.
        effective = 0 if level is None or level == DEFAULT_LEVELS[LZ4] else min(level, 16)
        frame: bytes = lz4.frame.compress(
            data, compression_level=effective, block_linked=False, store_size=False
        )
        return frame
    if codec == ZSTD:
        return zstandard.ZstdCompressor(level=3 if level is None else level).compress(data)
    raise CorruptionError(f"Unknown compression type id: {codec}")


def decompress(codec: int, data: Buffer, max_output: int = DEFAULT_MAX_OUTPUT) -> bytes:
    """The content of a batch body, at most `output_limit(len(data), max_output)` bytes."""
    limit = output_limit(len(data), max_output)
    try:
        if codec == GZIP:
            return _decompress_gzip(data, limit)
        if codec == SNAPPY:
            return _decompress_snappy(data, limit)
        if codec == LZ4:
            return _decompress_lz4(data, limit)
        if codec == ZSTD:
            return _decompress_zstd(data, limit)
    except CorruptionError:
        raise
    except _CODEC_ERRORS as error:
        raise CorruptionError(f"{CODEC_NAMES[codec]} body cannot be read: {error}") from error
    if codec == NONE:
        if len(data) > max_output:
            raise _too_large(max_output)
        return bytes(data)
    raise CorruptionError(f"Unknown compression type id: {codec}")


def has_linked_lz4_blocks(data: Buffer) -> bool:
    """True for an lz4 frame whose blocks refer to each other: Java clients cannot read those."""
    return len(data) > 4 and bytes(data[:4]) == _LZ4_MAGIC and not data[4] & _LZ4_INDEPENDENT_BLOCKS


def _too_large(limit: int) -> OutputLimitError:
    return OutputLimitError(f"content is larger than the limit of {limit} bytes")


def _decompress_gzip(data: Buffer, limit: int) -> bytes:
    """All members; what follows the last member and is no member is ignored, as Java's reader does."""
    pieces: list[bytes] = []
    total = 0
    rest: Buffer = data
    while True:
        reader = zlib.decompressobj(31)
        try:
            piece = reader.decompress(rest, limit - total + 1)
        except zlib.error:
            if not pieces:
                raise
            break
        total += len(piece)
        if total > limit:
            raise _too_large(limit)
        if not reader.eof:
            if not pieces or len(rest) >= 10:
                raise CorruptionError("gzip body ends within a member")
            break
        pieces.append(piece)
        rest = reader.unused_data
        if not rest:
            break
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def _decompress_snappy(data: Buffer, limit: int) -> bytes:
    view = memoryview(data)
    if bytes(view[:8]) != _XERIAL_MAGIC:
        return _decompress_snappy_block(view, limit)
    size = len(view)
    if size < 16:
        raise CorruptionError("snappy stream header is cut short")
    pieces: list[bytes] = []
    position = 16
    total = 0
    # Java's reader takes what is too short for another block length for the end.
    while position + 4 <= size:
        (length,) = _INT32.unpack_from(view, position)
        if length == _XERIAL_MAGIC_AS_LENGTH and bytes(view[position : position + 8]) == _XERIAL_MAGIC:
            position += 16
            continue
        position += 4
        if length < 0 or length > size - position:
            raise CorruptionError(f"snappy block of {length} bytes is beyond the body")
        piece = _decompress_snappy_block(view[position : position + length], limit - total)
        pieces.append(piece)
        total += len(piece)
        position += length
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def _decompress_snappy_block(block: memoryview, limit: int) -> bytes:
    claimed = shift = 0
    for byte in block[:5]:
        claimed |= (byte & 0x7F) << shift
        if byte < 0x80:
            break
        shift += 7
    else:
        raise CorruptionError("snappy block has no content length")
    if claimed > limit:
        raise _too_large(limit)
    content = bytes(cramjam.snappy.decompress_raw(block))
    if len(content) != claimed:
        raise CorruptionError("snappy block does not have the length it claims")
    return content


def _compress_snappy(data: Buffer) -> bytes:
    """The xerial framing of Java's SnappyOutputStream."""
    view = memoryview(data)
    parts = [_XERIAL_HEADER]
    for start in range(0, len(view), _XERIAL_BLOCK):
        block = bytes(cramjam.snappy.compress_raw(view[start : start + _XERIAL_BLOCK]))
        parts.append(_INT32.pack(len(block)))
        parts.append(block)
    return b"".join(parts)


def _decompress_lz4(data: Buffer, limit: int) -> bytes:
    """One frame; what follows it is ignored, as Java's reader does."""
    if bytes(data[:4]) != _LZ4_MAGIC:
        # The library would take a skippable frame for an empty one.
        raise CorruptionError("lz4 body does not begin with a frame")
    reader = lz4.frame.LZ4FrameDecompressor()
    # The library takes memory for the whole of max_length, so ask for a likely size first.
    piece: bytes = reader.decompress(data, max_length=min(limit + 1, max(len(data) * 8, 65536)))
    if reader.eof:
        if len(piece) > limit:
            raise _too_large(limit)
        return piece
    pieces = [piece]
    total = len(piece)
    while not reader.eof:
        if total > limit:
            raise _too_large(limit)
        if reader.needs_input:
            raise CorruptionError("lz4 body ends within the frame")
        piece = reader.decompress(b"", max_length=min(limit - total + 1, _PIECE))
        pieces.append(piece)
        total += len(piece)
    if total > limit:
        raise _too_large(limit)
    return b"".join(pieces)


def _decompress_zstd(data: Buffer, limit: int) -> bytes:
    """All frames (or none). Each is measured first: the library takes a cut frame for a short one."""
    pieces: list[bytes] = []
    total = 0
    view = memoryview(data)
    position = 0
    while position < len(view):
        frame = view[position:]
        if frame[:4].tobytes() in _ZSTD_SKIPPABLE:
            position += _zstd_skippable_size(frame)
            continue
        parameters = zstandard.get_frame_parameters(frame)
        if parameters.window_size > MAX_ZSTD_WINDOW:
            raise CorruptionError(f"zstd window of {parameters.window_size} bytes is above {MAX_ZSTD_WINDOW}")
        claimed: int | None = parameters.content_size
        if claimed in (zstandard.CONTENTSIZE_UNKNOWN, zstandard.CONTENTSIZE_ERROR):
            claimed = None
        elif claimed is not None and claimed > limit - total:
            raise _too_large(limit)
        size = _zstd_frame_size(frame, parameters.has_checksum)
        total += _decompress_zstd_frame(frame[:size], claimed, limit - total, pieces)
        position += size
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def _decompress_zstd_frame(frame: memoryview, claimed: int | None, limit: int, pieces: list[bytes]) -> int:
    """Append the content of one complete frame to `pieces`; returns its size."""
    # Making a decompressor costs half of what reading a usual batch does. A list's pop and append are
    # atomic, so a worker thread may come here too.
    try:
        decompressor = _idle_zstd_decompressors.pop()
    except IndexError:
        decompressor = zstandard.ZstdDecompressor(max_window_size=MAX_ZSTD_WINDOW)
    step = _PIECE if claimed is None else claimed + 1
    reader = decompressor.stream_reader(frame)
    total = 0
    while piece := reader.read(min(step, limit - total + 1)):
        total += len(piece)
        if total > limit:
            raise _too_large(limit)
        pieces.append(piece)
    if len(_idle_zstd_decompressors) < _KEPT_ZSTD_DECOMPRESSORS:
        _idle_zstd_decompressors.append(decompressor)
    return total


def _zstd_skippable_size(frame: memoryview) -> int:
    size = 8 + int.from_bytes(frame[4:8], "little")
    if len(frame) < 8 or size > len(frame):
        raise CorruptionError("zstd body ends within a skippable frame")
    return size


def _zstd_frame_size(frame: memoryview, has_checksum: bool) -> int:
    """Bytes of the frame at the start, from its block headers; CorruptionError when it is cut."""
    position = zstandard.frame_header_size(frame)
    available = len(frame)
    last = False
    while not last:
        if position + 3 > available:
            raise CorruptionError("zstd body ends within a frame")
        header = frame[position] | frame[position + 1] << 8 | frame[position + 2] << 16
        last = bool(header & 1)
        # A run-length block holds one byte whatever its size says.
        position += 3 + (1 if header >> 1 & 3 == 1 else header >> 3)
    if has_checksum:
        position += 4
    if position > available:
        raise CorruptionError("zstd body ends within a frame")
    return position
