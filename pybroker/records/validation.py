"""What a producer may send to a partition: the pure check between the socket and the log.

In: the records field of one partition of a produce request, the topic's rules and the time. Out: either
exactly one batch in a writable buffer, ready for `stamp` and append, or a `Rejection` that says what to
answer. What must hold: the answers are those of Kafka 4.3 (docs/protocol.md section 10.2), nothing but
`validate_produce`'s own copy is changed when a batch is refused, and no input makes it raise.

The order of the checks is Kafka's, because a batch that is wrong in two ways must get the same code.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from crc32c import crc32c

from pybroker.common.errors import CorruptionError, ErrorCode
from pybroker.records import compression
from pybroker.records.batch import (
    ATTRIBUTES_POSITION,
    CODEC_MASK,
    CONTROL_BIT,
    CREATE_TIME,
    DELETE_HORIZON_BIT,
    HEADER,
    HEADER_SIZE,
    LOG_APPEND_TIME,
    LOG_APPEND_TIME_BIT,
    LOG_OVERHEAD,
    MAGIC_POSITION,
    NO_TIMESTAMP,
    RECORD_COUNT_POSITION,
    TRANSACTIONAL_BIT,
    BatchHeader,
    Record,
    build_batch,
    iter_records,
    read_varint,
    read_varlong,
    recompute_crc,
    wrap_int64,
)

LONG_MAX: Final = (1 << 63) - 1
_INT_MAX: Final = (1 << 31) - 1
# Size of the smallest batch of any format (magic 0), without base offset and length.
_MINIMUM_LENGTH: Final = 14
_KNOWN_ATTRIBUTES: Final = (
    CODEC_MASK | LOG_APPEND_TIME_BIT | TRANSACTIONAL_BIT | CONTROL_BIT | DELETE_HORIZON_BIT
)
# Decompressed content may be at most this many times max.message.bytes.
_CONTENT_FACTOR: Final = 100
# Policy of the adaptive walk: see WalkPolicy.
_FIRST_BATCHES: Final = 64
SMALL_BATCH: Final = 16
_SHOWN_ERRORS: Final = 3
# Records that are laid out alike are checked together if there are at least so many; after a try that found
# fewer, so many are walked before the next, and twice as many each time.
_ALIKE_MIN: Final = 32
_FIRST_GAP: Final = 32
_EVEN_BYTES: Final = bytes(range(0, 256, 2))


@dataclass(slots=True)
class ProduceRules:
    """What a topic partition asks of its batches; made once per configuration, not per request."""

    topic: str
    partition: int
    max_message_bytes: int = 1_048_588
    compaction: bool = False
    compression_type: str = "producer"
    gzip_level: int = -1
    lz4_level: int = 9
    zstd_level: int = 3
    timestamp_type: int = CREATE_TIME
    before_max_ms: int = LONG_MAX
    after_max_ms: int = 3_600_000
    # The codec to store with; None keeps the producer's.
    target_codec: int | None = field(init=False)

    def __post_init__(self) -> None:
        self.target_codec = (
            None if self.compression_type == "producer" else compression.CODEC_BY_NAME[self.compression_type]
        )

    def level(self, codec: int) -> int | None:
        if codec == compression.GZIP:
            return self.gzip_level
        if codec == compression.LZ4:
            return self.lz4_level
        if codec == compression.ZSTD:
            return self.zstd_level
        return None


@dataclass(slots=True, frozen=True)
class Rejection:
    """Why a batch is refused, as the response has to say it.

    `plain`: base offset, log append time and log start offset are all -1; otherwise the real log start
    offset is reported. `whole_request`: every partition of the request gets this answer and nothing of the
    request is stored. `detail` is for our own log, never for the wire.
    """

    error_code: ErrorCode
    record_errors: tuple[tuple[int, str], ...] = ()
    error_message: str | None = None
    plain: bool = False
    whole_request: bool = False
    detail: str = ""


@dataclass(slots=True)
class ValidatedBatch:
    """One sound batch. `buffer` is writable and holds exactly it; `header` is the one after corrections.

    `offset_of_max_timestamp` is relative to the base offset; without a walk, and with log append time, it
    is the last record's. `walked` says whether the records were looked at.
    """

    buffer: bytearray | memoryview
    header: BatchHeader
    record_count: int
    max_timestamp: int
    offset_of_max_timestamp: int
    walked: bool


class WalkPolicy:
    """Which batches of one connection are walked record by record (`pybroker.record.validation`).

    full: all. header: none. adaptive: the first 64 of the connection, every batch of at most 16 records and
    everything after the connection's first refused batch, so that a client that builds bad batches is
    caught at its first ones.
    """

    __slots__ = ("remaining", "walks_all", "walks_small")

    def __init__(self, mode: str = "adaptive") -> None:
        if mode not in ("full", "header", "adaptive"):
            raise ValueError(f"record validation {mode!r} is not one of full, header, adaptive")
        self.walks_all = mode == "full"
        # Batches of at most SMALL_BATCH records.
        self.walks_small = mode != "header"
        # How many more are walked whatever their size.
        self.remaining = _FIRST_BATCHES if mode == "adaptive" else 0

    def should_walk(self, records: memoryview | None) -> bool:
        """To be asked once per batch, with the bytes that `validate_produce` gets."""
        if self.walks_all:
            return True
        if not self.walks_small or records is None:
            return False
        if self.remaining > 0:
            self.remaining -= 1
            return True
        # The record count in the header; a wrong one is found by the header checks or by the walk.
        count = int.from_bytes(records[RECORD_COUNT_POSITION:HEADER_SIZE], "big")
        return count <= SMALL_BATCH

    def batch_refused(self, rejection: Rejection) -> None:
        """Walk everything from now on if the batch itself was wrong, and not merely too big or too old."""
        if self.walks_small and rejection.error_code in _DAMAGE:
            self.walks_all = True


_DAMAGE: Final = frozenset(
    {ErrorCode.CORRUPT_MESSAGE, ErrorCode.INVALID_RECORD, ErrorCode.UNKNOWN_SERVER_ERROR}
)


class _OffsetDeltaError(CorruptionError):
    """The records of a batch are not numbered 0, 1, 2, ..."""


_EMPTY: Final = Rejection(ErrorCode.INVALID_RECORD, plain=True, detail="no complete record batch")
_TWO_BATCHES: Final = Rejection(ErrorCode.INVALID_RECORD, plain=True, detail="more than one record batch")
_OLD_FORMAT: Final = Rejection(ErrorCode.INVALID_RECORD, plain=True, detail="record batch has magic 0 or 1")
_ZSTD_TOO_EARLY: Final = Rejection(
    ErrorCode.UNSUPPORTED_COMPRESSION_TYPE, plain=True, detail="zstd needs produce version 7"
)
_UNKNOWN_CODEC_TOO_EARLY: Final = Rejection(
    ErrorCode.UNKNOWN_SERVER_ERROR, plain=True, whole_request=True, detail="unknown compression type"
)
_LENGTH_OVERFLOW: Final = Rejection(
    ErrorCode.UNKNOWN_SERVER_ERROR, plain=True, whole_request=True, detail="batch length overflows"
)
_CORRUPT: Final = Rejection(ErrorCode.CORRUPT_MESSAGE, plain=True, detail="checksum or length does not fit")
_CONTROL: Final = Rejection(ErrorCode.INVALID_RECORD, detail="control batch from a client")


def preflight(records: memoryview | None) -> Rejection | bool:
    """The framing errors for which Kafka refuses the whole request before it looks at any partition.

    To be called for all partitions before the first one is appended; `validate_produce` repeats it. True: one
    batch and nothing else. False: `check_framing` may find more.
    """
    if records is None:
        return True
    size = _batch_size(records, 0)
    return size if isinstance(size, Rejection) else size == len(records)


def has_transactional_batch(records: memoryview | None) -> bool:
    """Whether the first batch, if it is all there, has the transactional bit: it needs a transactional id."""
    return (
        records is not None
        and len(records) >= HEADER_SIZE
        and records[ATTRIBUTES_POSITION + 1] & TRANSACTIONAL_BIT != 0
        and len(records) - LOG_OVERHEAD >= int.from_bytes(records[8:12], "big", signed=True)
    )


def validate_produce(
    records: memoryview | None, *, version: int, rules: ProduceRules, now_ms: int, walk: bool
) -> ValidatedBatch | Rejection:
    """Check the records of one partition and make them ready to store.

    `version` is the request's. With `walk` every record is looked at. Without, header and checksum are; but
    compacted topics, conversions and batches whose header hints at bad timestamps are walked anyway.
    """
    if records is None:
        return _EMPTY
    size = check_framing(records, version)
    if isinstance(size, Rejection):
        return size
    if size < HEADER_SIZE:
        # Kafka looks at the checksum of such a stump.
        return _CORRUPT
    header = BatchHeader._make(HEADER.unpack_from(records))
    attributes = header.attributes
    source = attributes & CODEC_MASK
    records = records[:size]
    if header.base_offset != 0:
        return Rejection(ErrorCode.INVALID_RECORD, detail=f"base offset {header.base_offset}")
    if size > rules.max_message_bytes:
        return _too_large(size, rules)
    if crc32c(records[ATTRIBUTES_POSITION:]) != header.crc:
        return _CORRUPT
    if source > compression.ZSTD:
        return Rejection(ErrorCode.UNKNOWN_SERVER_ERROR, detail=f"unknown compression type id {source}")
    count = header.record_count
    if count <= 0 or header.last_offset_delta + 1 != count:
        detail = f"last offset delta {header.last_offset_delta} with {count} records"
        return Rejection(ErrorCode.INVALID_RECORD, detail=detail)
    if attributes & CONTROL_BIT:
        return _CONTROL
    if header.producer_id > -1 and header.base_sequence < 0:
        detail = f"producer id {header.producer_id} with sequence {header.base_sequence}"
        return Rejection(ErrorCode.INVALID_RECORD, detail=detail)

    target = rules.target_codec
    convert = target is not None and target != source
    if walk or convert or rules.compaction or attributes & LOG_APPEND_TIME_BIT:
        return _validate_records(records, header, rules, now_ms, convert)
    if rules.timestamp_type == LOG_APPEND_TIME:
        return _store(records, header, LOG_APPEND_TIME, now_ms, header.last_offset_delta, walked=False)
    if (
        header.max_timestamp - now_ms > rules.after_max_ms
        or now_ms - header.base_timestamp > rules.before_max_ms
        or header.base_timestamp - now_ms > rules.after_max_ms
    ):
        # The header may be wrong, and the answer has to name the records: look at them.
        return _validate_records(records, header, rules, now_ms, convert)
    return ValidatedBatch(
        _writable(records), header, count, header.max_timestamp, header.last_offset_delta, walked=False
    )


def check_framing(records: memoryview, version: int) -> int | Rejection:
    """The size of the one batch in `records`, or why a request of this version may not carry them.

    This is what Kafka looks at before the acks of the request and before the log is asked.
    """
    size = _batch_size(records, 0)
    if size is None:
        return _EMPTY
    if isinstance(size, Rejection):
        return size
    if records[MAGIC_POSITION] != 2:
        return _OLD_FORMAT
    if version < 7:
        source = records[ATTRIBUTES_POSITION + 1] & CODEC_MASK
        if source > compression.ZSTD:
            return _UNKNOWN_CODEC_TOO_EARLY
        if source == compression.ZSTD:
            return _ZSTD_TOO_EARLY
    if len(records) != size:
        second = _second_batch(records, size)
        if second is not None:
            return second
    return size


def _batch_size(records: memoryview, pos: int) -> int | Rejection | None:
    """Bytes of the batch at `pos`; None when it is not there completely; a refusal of the whole request."""
    remaining = len(records) - pos
    if remaining < LOG_OVERHEAD:
        return None
    length = int.from_bytes(records[pos + 8 : pos + 12], "big", signed=True)
    if length < _MINIMUM_LENGTH:
        message = f"Record size {length} is less than the minimum record overhead ({_MINIMUM_LENGTH})"
        return _whole_request(message)
    if remaining <= MAGIC_POSITION:
        return None
    magic = records[pos + MAGIC_POSITION]
    if magic > 2:
        return _whole_request(f"Invalid magic found in record: {magic - 256 if magic > 127 else magic}")
    size = length + LOG_OVERHEAD
    if size > _INT_MAX:
        return _LENGTH_OVERFLOW
    return None if remaining < size else size


def _whole_request(message: str) -> Rejection:
    return Rejection(
        ErrorCode.CORRUPT_MESSAGE, error_message=message, plain=True, whole_request=True, detail=message
    )


def _second_batch(records: memoryview, pos: int) -> Rejection | None:
    """What follows the first batch: a complete batch is refused, an incomplete one is dropped."""
    size = _batch_size(records, pos)
    if size is None:
        return None
    if size is _LENGTH_OVERFLOW:
        return _LENGTH_OVERFLOW
    if isinstance(size, Rejection):
        return Rejection(ErrorCode.CORRUPT_MESSAGE, plain=True, detail=size.detail)
    return _TWO_BATCHES


def _too_large(size: int, rules: ProduceRules) -> Rejection:
    detail = f"batch of {size} bytes is above max.message.bytes {rules.max_message_bytes}"
    return Rejection(ErrorCode.MESSAGE_TOO_LARGE, plain=True, detail=detail)


def _writable(records: memoryview) -> bytearray | memoryview:
    return bytearray(records) if records.readonly else records


def _store(
    records: memoryview,
    header: BatchHeader,
    timestamp_type: int,
    max_timestamp: int,
    offset_of_max: int,
    *,
    walked: bool,
) -> ValidatedBatch:
    """Put the topic's timestamp type and the true maximum into the header, if they are not there."""
    buffer = _writable(records)
    if header.timestamp_type != timestamp_type or header.max_timestamp != max_timestamp:
        # Kafka writes the attributes anew from the flags that it knows, so unknown bits go.
        attributes = header.attributes & _KNOWN_ATTRIBUTES & ~LOG_APPEND_TIME_BIT
        if timestamp_type == LOG_APPEND_TIME:
            attributes |= LOG_APPEND_TIME_BIT
        header = header._replace(attributes=attributes, max_timestamp=max_timestamp)
        HEADER.pack_into(buffer, 0, *header)
        header = header._replace(crc=recompute_crc(buffer))
    return ValidatedBatch(buffer, header, header.record_count, max_timestamp, offset_of_max, walked=walked)


def _validate_records(
    records: memoryview, header: BatchHeader, rules: ProduceRules, now_ms: int, convert: bool
) -> ValidatedBatch | Rejection:
    """The part that looks at the records themselves."""
    source = header.attributes & CODEC_MASK
    count = header.record_count
    body = records[HEADER_SIZE:]
    if source == compression.NONE:
        data = bytes(body)
    else:
        try:
            # Java's reader refuses such frames, so no Java consumer could read the batch.
            if source == compression.LZ4 and compression.has_linked_lz4_blocks(body):
                raise CorruptionError("lz4 frame has linked blocks")
            data = compression.decompress(source, body, rules.max_message_bytes * _CONTENT_FACTOR)
        except compression.OutputLimitError as error:
            # Our own bound. This code makes Java clients split the batch instead of losing it.
            return Rejection(ErrorCode.MESSAGE_TOO_LARGE, plain=True, detail=str(error))
        except CorruptionError as error:
            return Rejection(ErrorCode.UNKNOWN_SERVER_ERROR, detail=str(error))
    try:
        largest, offset_of_max, smallest, keyless = walk_records(data, count)
    except _OffsetDeltaError as error:
        if convert:
            return _renumbered(records, header, rules, now_ms)
        # Kafka checks it in compressed batches only; there it is an error without a number of its own.
        code = ErrorCode.INVALID_RECORD if source == compression.NONE else ErrorCode.UNKNOWN_SERVER_ERROR
        return Rejection(code, detail=str(error))
    except CorruptionError as error:
        return Rejection(ErrorCode.INVALID_RECORD, detail=str(error))

    base_timestamp = header.base_timestamp
    append_time_bit = header.attributes & LOG_APPEND_TIME_BIT
    create_time = rules.timestamp_type == CREATE_TIME
    largest += base_timestamp
    smallest += base_timestamp
    unusual = append_time_bit or largest > LONG_MAX or smallest < -LONG_MAX - 1
    if (
        unusual
        or (keyless and rules.compaction)
        or (
            create_time and (largest - now_ms > rules.after_max_ms or now_ms - smallest > rules.before_max_ms)
        )
    ):
        rows = _records(data, header)
        # Kafka skips keys and values of compressed batches that stay as they are, and prints such records so.
        skipped = source != compression.NONE and not convert
        rejection = _record_errors(rows, rules, now_ms, bool(append_time_bit), skipped)
        if rejection is not None:
            return rejection
        largest = max(record.timestamp for record in rows)
        offset_of_max = next(record.offset for record in rows if record.timestamp == largest)
    if largest < NO_TIMESTAMP:
        # Kafka starts its search for the maximum at -1.
        largest = NO_TIMESTAMP
    if convert:
        return _converted(_records(data, header), header, rules, now_ms)
    if not create_time:
        return _store(records, header, LOG_APPEND_TIME, now_ms, header.last_offset_delta, walked=True)
    return _store(records, header, CREATE_TIME, largest, offset_of_max, walked=True)


def _renumbered(
    batch: memoryview, header: BatchHeader, rules: ProduceRules, now_ms: int
) -> ValidatedBatch | Rejection:
    """A converted batch: Kafka numbers its records anew, whatever numbers they had."""
    max_bytes = rules.max_message_bytes * _CONTENT_FACTOR
    try:
        records = list(iter_records(batch, header=header, max_bytes=max_bytes))
    except CorruptionError as error:
        return Rejection(ErrorCode.INVALID_RECORD, detail=str(error))
    append_time_bit = header.attributes & LOG_APPEND_TIME_BIT != 0
    rejection = _record_errors(records, rules, now_ms, append_time_bit, False)
    if rejection is not None:
        return rejection
    renumbered = [replace(record, offset=index) for index, record in enumerate(records)]
    return _converted(renumbered, header, rules, now_ms)


def _converted(
    records: list[Record], header: BatchHeader, rules: ProduceRules, now_ms: int
) -> ValidatedBatch | Rejection:
    """A batch with the same records and the topic's codec."""
    target = rules.target_codec or compression.NONE
    append_time = rules.timestamp_type == LOG_APPEND_TIME
    # What Kafka's writer of batches does not take, although batches that stay as they are may have it.
    if header.producer_id != -1 and (header.producer_epoch == -1 or header.base_sequence < 0):
        return Rejection(ErrorCode.UNKNOWN_SERVER_ERROR, detail="half a producer identity in a conversion")
    if header.producer_id == -1 and header.is_transactional:
        return Rejection(ErrorCode.UNKNOWN_SERVER_ERROR, detail="transactional without a producer id")
    if any(record.timestamp < NO_TIMESTAMP for record in records):
        return Rejection(ErrorCode.UNKNOWN_SERVER_ERROR, detail="negative timestamp in a conversion")
    batch = bytearray(
        build_batch(
            records,
            codec=target,
            timestamp_type=rules.timestamp_type,
            producer_id=header.producer_id,
            producer_epoch=header.producer_epoch,
            base_sequence=header.base_sequence,
            transactional=header.is_transactional,
            level=rules.level(target),
            max_timestamp=now_ms if append_time else None,
        )
    )
    if len(batch) > rules.max_message_bytes:
        return _too_large(len(batch), rules)
    converted = BatchHeader._make(HEADER.unpack_from(batch))
    offset_of_max = converted.last_offset_delta
    if not append_time:
        largest = max(record.timestamp for record in records)
        offset_of_max = next(record.offset for record in records if record.timestamp == largest)
    return ValidatedBatch(
        batch, converted, header.record_count, converted.max_timestamp, offset_of_max, walked=True
    )


def walk_records(
    data: bytes | bytearray, count: int, pos: int = 0, size: int = -1
) -> tuple[int, int, int, bool]:
    """Check the structure of `count` records that must fill `data` exactly, from `pos` to `size`.

    Returns (largest timestamp delta, index of the first record that has it, smallest delta, whether a key
    is null). This is the hot loop: one- and two-byte varints are read in line, which costs about a third
    of a call per field; longer ones go through `read_varint`.
    """
    if size < 0:
        size = len(data)
    largest = -(1 << 70)
    smallest = 1 << 70
    index_of_largest = 0
    keyless = False
    done = 0
    previous = -1
    gap = _FIRST_GAP
    next_try = 0 if count >= _ALIKE_MIN else count
    if count > size - pos:
        raise CorruptionError(f"{count} records in {size - pos} bytes")
    try:
        while True:
            for index in range(done, count):
                # Record length.
                begin = pos
                byte = data[pos]
                if byte < 0x80:
                    length = byte
                    pos += 1
                elif (high := data[pos + 1]) < 0x80:
                    length = byte & 0x7F | high << 7
                    pos += 2
                else:
                    length, pos = read_varint(data, pos)
                    length = length << 1 if length >= 0 else 1
                end = pos + (length >> 1)
                if length & 1 or end > size:
                    raise CorruptionError(f"record {index} is beyond the batch")
                # Attributes (no bit has a meaning), then the timestamp delta.
                byte = data[pos + 1]
                if byte < 0x80:
                    delta = byte >> 1 if not byte & 1 else -(byte + 1 >> 1)
                    pos += 2
                elif (high := data[pos + 2]) < 0x80:
                    byte = byte & 0x7F | high << 7
                    delta = byte >> 1 if not byte & 1 else -(byte + 1 >> 1)
                    pos += 3
                else:
                    delta, pos = read_varlong(data, pos + 1)
                if delta > largest:
                    largest = delta
                    index_of_largest = index
                if delta < smallest:
                    smallest = delta
                # Offset delta: 0, 1, 2, ...
                byte = data[pos]
                if byte < 0x80:
                    pos += 1
                elif (high := data[pos + 1]) < 0x80:
                    byte = byte & 0x7F | high << 7
                    pos += 2
                else:
                    byte, pos = read_varint(data, pos)
                    byte <<= 1
                if byte != index << 1:
                    raise _OffsetDeltaError(f"record {index} does not have offset delta {index}")
                # Key.
                byte = data[pos]
                if byte < 0x80:
                    pos += 1
                elif (high := data[pos + 1]) < 0x80:
                    byte = byte & 0x7F | high << 7
                    pos += 2
                else:
                    byte, pos = read_varint(data, pos)
                    byte = byte << 1 if byte >= 0 else 1
                if byte & 1:
                    keyless = True
                else:
                    pos += byte >> 1
                # Value.
                byte = data[pos]
                if byte < 0x80:
                    pos += 1
                elif (high := data[pos + 1]) < 0x80:
                    byte = byte & 0x7F | high << 7
                    pos += 2
                else:
                    byte, pos = read_varint(data, pos)
                    byte = byte << 1 if byte >= 0 else 1
                if not byte & 1:
                    pos += byte >> 1
                # Headers.
                if data[pos]:
                    pos = _walk_headers(data, pos, end, index)
                else:
                    pos += 1
                if pos != end:
                    raise CorruptionError(f"record {index}: the length does not agree with the fields")
                if length != previous:
                    previous = length
                elif index >= next_try:
                    # Many producers send records of one size: their like is checked column by column.
                    alike = _count_alike(data, begin, end, index + 1, count, size)
                    if alike is not None:
                        number, high, at, low = alike
                        if high > largest:
                            largest = high
                            index_of_largest = at
                        if low < smallest:
                            smallest = low
                        pos += number * (end - begin)
                        done = index + 1 + number
                        break
                    gap += gap
                    next_try = index + gap
            else:
                break
    except IndexError:
        raise CorruptionError(f"the batch ends within record {index}") from None
    if pos != size:
        raise CorruptionError(f"{size - pos} bytes follow the last record")
    return largest, index_of_largest, smallest, keyless


def only_record(data: bytes | bytearray, pos: int, size: int) -> int:
    """The timestamp delta of a sound record that is alone in data[pos:size]; -1: let `walk_records` look.

    Only the usual layout is known here: no headers, a timestamp delta below 64, a key below 64 bytes.
    """
    byte = data[pos]
    if byte < 0x80:
        pos += 1
    elif (high := data[pos + 1]) < 0x80:
        byte = byte & 0x7F | high << 7
        pos += 2
    elif (third := data[pos + 2]) < 0x80:
        byte = byte & 0x7F | (high & 0x7F) << 7 | third << 14
        pos += 3
    else:
        return -1
    delta = data[pos + 1]
    key = data[pos + 3]
    if byte & 1 or pos + (byte >> 1) != size or delta & 0x81 or data[pos + 2]:
        return -1
    pos += 4
    if key != 1:
        if key & 0x81:
            return -1
        pos += key >> 1
    byte = data[pos]
    if byte < 0x80:
        pos += 1
    elif (high := data[pos + 1]) < 0x80:
        byte = byte & 0x7F | high << 7
        pos += 2
    elif (third := data[pos + 2]) < 0x80:
        byte = byte & 0x7F | (high & 0x7F) << 7 | third << 14
        pos += 3
    else:
        return -1
    if byte & 1 or pos + (byte >> 1) + 1 != size or data[size - 1]:
        return -1
    return delta >> 1


def _count_alike(
    data: bytes | bytearray, begin: int, end: int, index: int, count: int, size: int
) -> tuple[int, int, int, int] | None:
    """How many records from `index` on, at `end`, are laid out like the sound record data[begin:end].

    Returns (how many, largest timestamp delta, index of the first record that has it, smallest delta); None
    when they are too few to be worth it, or have headers. Keys and values may differ. Every byte that a walk
    looks at is looked at here too: a column is the bytes at one place of all these records.
    """
    step = end - begin
    _, timestamp_at = read_varint(data, begin)
    timestamp_at += 1
    delta, offset_at = read_varlong(data, timestamp_at)
    _, key_at = read_varint(data, offset_at)
    key_length, key = read_varint(data, key_at)
    value_at = key + max(key_length, 0)
    _, value = read_varint(data, value_at)
    if data[end - 1]:
        return None
    # Offset deltas that take one byte, two, three: they grow together with the number of their bytes.
    width = key_at - offset_at
    number = min(count, 1 << (7 * width - 1)) - index
    number = min(number, (size - end) // step)
    if index < 1 << 7 * width >> 8 or number < _ALIKE_MIN:
        return None
    fixed = (
        *range(begin, timestamp_at - 1),
        *range(key_at, key),
        *range(value_at, value),
        end - 1,
    )
    for at in fixed:
        column = data[at + step : at + number * step + 1 : step]
        byte = data[at : at + 1]
        if column.count(byte) != number:
            number -= len(column.lstrip(byte))
            if number < _ALIKE_MIN:
                return None
    # Offset deltas count up.
    low, first = divmod(index, 64)
    blocks = range(low, (index + number - 1) // 64 + 1)
    for place in range(width):
        more = 0x80 if place < width - 1 else 0
        if place == 0:
            expected = bytes(2 * value | more for value in range(64)) * len(blocks)
        else:
            shift = 7 * (place - 1)
            expected = b"".join([bytes((block >> shift & 0x7F | more,)) * 64 for block in blocks])
        at = offset_at + place
        if data[at + step : at + number * step + 1 : step] != expected[first : first + number]:
            return None
    # Timestamps: the same for all, or small and not negative.
    largest = smallest = delta
    at_largest = index
    for at in range(timestamp_at, offset_at):
        column = data[at + step : at + number * step + 1 : step]
        if column.count(data[at : at + 1]) != number:
            if offset_at - timestamp_at > 1 or column.translate(None, _EVEN_BYTES):
                return None
            high = max(column)
            if high & 0x80:
                return None
            largest, smallest = high >> 1, min(column) >> 1
            at_largest = index + column.index(high)
    return number, largest, at_largest, smallest


def _walk_headers(data: bytes | bytearray, pos: int, end: int, index: int) -> int:
    """The position after the headers of a record, whose count is at `pos`."""
    count, pos = read_varint(data, pos)
    if count < 0 or count > end - pos:
        raise CorruptionError(f"record {index} has {count} headers in {end - pos} bytes")
    for _ in range(count):
        byte = data[pos]
        if byte < 0x80:
            pos += 1
        else:
            length, pos = read_varint(data, pos)
            byte = length << 1 if length >= 0 else 1
        if byte & 1:
            raise CorruptionError(f"record {index} has a header without a key")
        pos += byte >> 1
        byte = data[pos]
        if byte < 0x80:
            pos += 1
        else:
            length, pos = read_varint(data, pos)
            byte = length << 1 if length >= 0 else 1
        if not byte & 1:
            pos += byte >> 1
    return pos


def _records(data: bytes, header: BatchHeader) -> list[Record]:
    """The records of a walked body, with offsets from 0 and timestamps as Java computes them."""
    found: list[Record] = []
    pos = 0
    append_time = header.max_timestamp if header.attributes & LOG_APPEND_TIME_BIT else None
    for index in range(header.record_count):
        _, pos = read_varint(data, pos)
        delta, pos = read_varlong(data, pos + 1)
        timestamp = wrap_int64(header.base_timestamp + delta) if append_time is None else append_time
        _, pos = read_varint(data, pos)
        key, pos = _nullable_bytes(data, pos)
        value, pos = _nullable_bytes(data, pos)
        count, pos = read_varint(data, pos)
        headers: list[tuple[bytes, bytes | None]] = []
        for _ in range(count):
            name, pos = _nullable_bytes(data, pos)
            content, pos = _nullable_bytes(data, pos)
            headers.append((name or b"", content))
        found.append(Record(index, timestamp, key, value, tuple(headers)))
    return found


def _nullable_bytes(data: bytes, pos: int) -> tuple[bytes | None, int]:
    length, pos = read_varint(data, pos)
    return (None, pos) if length < 0 else (data[pos : pos + length], pos + length)


def _record_errors(
    records: Sequence[Record], rules: ProduceRules, now_ms: int, append_time_bit: bool, skipped: bool
) -> Rejection | None:
    """The records that the topic's rules refuse, in Kafka's words."""
    errors: list[tuple[int, str]] = []
    bad_timestamp = False
    create_time = rules.timestamp_type == CREATE_TIME
    for index, record in enumerate(records):
        timestamp = record.timestamp
        if rules.compaction and record.key is None:
            where = f"{rules.topic}-{rules.partition}"
            errors.append(
                (index, f"Compacted topic cannot accept message without key in topic partition {where}")
            )
        elif create_time and timestamp != NO_TIMESTAMP:
            age = wrap_int64(now_ms - timestamp)
            if age > rules.before_max_ms or wrap_int64(-age) > rules.after_max_ms:
                bad_timestamp = True
                first = wrap_int64(now_ms - rules.before_max_ms)
                last = wrap_int64(now_ms + rules.after_max_ms)
                errors.append(
                    (
                        index,
                        f"Timestamp {timestamp} of message with offset {record.offset} is out of range. "
                        f"The timestamp should be within [{first}, {last}]",
                    )
                )
        elif append_time_bit:
            bad_timestamp = True
            none = -1 if skipped else 0
            shown = (
                f"{'Partial' if skipped else ''}DefaultRecord(offset={record.offset}, timestamp={timestamp}, "
                f"key={none if record.key is None else len(record.key)} bytes, "
                f"value={none if record.value is None else len(record.value)} bytes)"
            )
            errors.append(
                (
                    index,
                    f"Invalid timestamp type in message {shown}. "
                    "Producer should not set timestamp type to LogAppendTime.",
                )
            )
    if not errors:
        return None
    if bad_timestamp:
        message = "One or more records have been rejected due to invalid timestamp"
        return Rejection(ErrorCode.INVALID_TIMESTAMP, tuple(errors), message, detail=errors[0][1])
    first_errors = ", ".join(
        f"RecordError(batchIndex={index}, message='{text}')" for index, text in errors[:_SHOWN_ERRORS]
    )
    message = (
        f"One or more records have been rejected due to {len(errors)} record errors in total, "
        f"and only showing the first three errors at most: [{first_errors}]"
    )
    return Rejection(ErrorCode.INVALID_RECORD, tuple(errors), message, detail=errors[0][1])
