"""One pass over a log's files: find the last offset of each key, then write what stays beside the old
segments.

In: a job (numbers and paths, so that it can be sent to another process) and a file system. Out: `.cleaned`
files, synced, and a result that says which segments they stand for. What must hold: the old files are only
read; a pass that fails leaves nothing but `.cleaned` files, which any start removes; offsets never change;
memory is the map's budget, a piece of a segment and its largest batches.

`clean` is a generator that yields the bytes it has read or written since the last time, so that whoever
drives it may pause (a throttle), stop it (a shutdown) or go on with something else (one slice of it at a
time).
"""

from __future__ import annotations

import random
import struct
from bisect import bisect_right
from collections.abc import Generator, Sequence
from operator import itemgetter
from typing import Final, NamedTuple

from pybroker.common.clock import ManualClock
from pybroker.common.errors import CorruptionError
from pybroker.common.files import Buffer, FileSystem, write_fully
from pybroker.log.cleaner import filtering
from pybroker.log.cleaner.offset_map import OffsetMap
from pybroker.log.environment import LogEnvironment
from pybroker.log.segment import EXTENSIONS, Segment
from pybroker.log.txn_index import AbortedTransaction
from pybroker.records.batch import (
    CODEC_MASK,
    CONTROL_BIT,
    CURRENT_MAGIC,
    HEADER_SIZE,
    LOG_OVERHEAD,
    MAGIC_POSITION,
    TRANSACTIONAL_BIT,
    BatchHeader,
    batch_body,
    crc_matches,
    iter_records,
    read_header,
)
from pybroker.records.control import ControlType, decode_key

CLEANED: Final = ".cleaned"
SWAP: Final = ".swap"
_READ_CHUNK: Final = 128 * 1024
# To go from one batch's length to the next one's: where batches are small many of them at once, else one.
_HOP_CHUNK: Final = 64 * 1024
_SMALL_BATCH_BYTES: Final = 4 * 1024
_WRITE_CHUNK: Final = 1024 * 1024
_MAX_RELATIVE_OFFSET: Final = (1 << 31) - 1
# Of a batch: its length.
_LENGTH: Final = struct.Struct(">8xi")
# And more of its header: base offset, length, attributes, last offset delta, producer id, record count.
_GLANCE: Final = struct.Struct(">qi9xhi16xq6xi")


class SourceSegment(NamedTuple):
    """One segment to be cleaned: [base_offset, next_offset), `size` bytes, index files of these sizes."""

    base_offset: int
    next_offset: int
    size: int
    index_size: int
    time_index_size: int


class CleaningJob(NamedTuple):
    """Everything a pass needs to know. `sources` are the log's segments from its first up to the first
    uncleanable one; `aborted` the aborted transactions with records in them; `last_batches` gives for each
    live producer (epoch, last data offset or -1)."""

    directory: str
    sources: tuple[SourceSegment, ...]
    first_dirty_offset: int
    aborted: tuple[AbortedTransaction, ...]
    last_batches: dict[int, tuple[int, int]]
    now_ms: int
    delete_retention_ms: int
    segment_bytes: int
    segment_index_bytes: int
    index_interval_bytes: int
    map_bytes: int
    # How many bytes to take at most because an earlier pass found too many keys in more; 0: all there are.
    window_bytes: int = 0


class CleanedSegment(NamedTuple):
    """A new segment, in `.cleaned` files, that stands for the segments with these base offsets."""

    base_offset: int
    size: int
    sources: tuple[int, ...]
    has_txn_index: bool


class CleaningResult(NamedTuple):
    """What a pass did; everything below `end_offset` is clean now."""

    end_offset: int
    segments: tuple[CleanedSegment, ...]
    bytes_read: int
    bytes_written: int
    keyless_count: int
    map_ratio: float
    # How much of the dirty part was enough for the map, if not all of it was taken.
    window_bytes: int


class TransactionFilter:
    """Follows the transactions of a log from its start on: which batches were aborted, which markers are
    still needed. Batches must be shown to it in the order of the log.

    A marker stays as long as a batch of its transaction was seen in this pass: readers of older fetch
    answers, and the index entry of an abort, need it. After that it gets a delete horizon, and goes when that
    is past.
    """

    __slots__ = ("_aborted", "_next", "_ongoing_aborted", "_ongoing_committed", "kept")

    def __init__(self, aborted: tuple[AbortedTransaction, ...]) -> None:
        self._aborted = sorted(aborted, key=lambda entry: entry.first_offset)
        self._next = 0
        # producer id -> [its aborted transaction, whether a batch of it was seen].
        self._ongoing_aborted: dict[int, tuple[AbortedTransaction, bool]] = {}
        self._ongoing_committed: set[int] = set()
        # Index entries of abort markers that stay; taken by the writer.
        self.kept: list[AbortedTransaction] = []

    def _advance(self, offset: int) -> None:
        while self._next < len(self._aborted) and self._aborted[self._next].first_offset <= offset:
            entry = self._aborted[self._next]
            self._ongoing_aborted.setdefault(entry.producer_id, (entry, False))
            self._next += 1

    def is_aborted(self, header: BatchHeader) -> bool:
        """Take in a data batch: whether its transaction was aborted, so that nothing of it is needed."""
        self._advance(header.last_offset)
        if not header.is_transactional:
            return False
        ongoing = self._ongoing_aborted.get(header.producer_id)
        if ongoing is None:
            self._ongoing_committed.add(header.producer_id)
            return False
        self._ongoing_aborted[header.producer_id] = ongoing[0], True
        return True

    def is_superfluous(self, header: BatchHeader, batch: Buffer) -> bool:
        """Take in a control batch: whether nothing is left of the transaction it ends."""
        self._advance(header.last_offset)
        if header.record_count == 0:
            return True
        kind = decode_key(next(iter_records(batch, header=header)).key)[1]
        if kind == ControlType.ABORT:
            ongoing = self._ongoing_aborted.pop(header.producer_id, None)
            if ongoing is None or not ongoing[1]:
                return True
            self.kept.append(ongoing[0])
            return False
        if kind == ControlType.COMMIT:
            if header.producer_id in self._ongoing_committed:
                self._ongoing_committed.discard(header.producer_id)
                return False
            return True
        return False


def clean(files: FileSystem, job: CleaningJob) -> Generator[int, None, CleaningResult]:
    """Do the pass. OSError when the disk refuses; CorruptionError when a segment cannot be read."""
    environment = LogEnvironment(files, ManualClock(job.now_ms), random.Random(0))
    segments = [
        Segment(environment, job.directory, source.base_offset, size=source.size, sealed=True)
        for source in job.sources
    ]
    try:
        offsets, window_bytes = yield from _read_keys(job, segments)
        return (yield from _write(environment, job, segments, offsets, window_bytes))
    finally:
        for segment in segments:
            segment.close_file()


def _read_keys(job: CleaningJob, segments: list[Segment]) -> Generator[int, None, tuple[OffsetMap, int]]:
    """The last offset of each key of the dirty part, or of as much of it as the map's budget is enough for;
    of about how many bytes then (0: of all)."""
    sources = [
        (segment, source)
        for segment, source in zip(segments, job.sources, strict=True)
        if source.next_offset > job.first_dirty_offset
    ]
    window_bytes = job.window_bytes
    end_offset = last_offset = job.sources[-1].next_offset
    if window_bytes:
        end_offset = _end_after(job, sources, window_bytes)
    while True:
        offsets = OffsetMap(job.map_bytes, job.first_dirty_offset, end_offset)
        excess = yield from _take_in(job, sources, offsets)
        if not excess:
            offsets.finish()
            return offsets, window_bytes if end_offset < last_offset else 0
        # So many bytes at the end had too many keys; as many at the beginning may have as many.
        window_bytes = excess * 3 // 4
        end_offset = _end_after(job, sources, window_bytes)


def _take_in(
    job: CleaningJob, sources: list[tuple[Segment, SourceSegment]], offsets: OffsetMap
) -> Generator[int, None, int]:
    """Fill the map, from its end on. 0, or the bytes that were enough to fill it."""
    aborted = _AbortedRanges(job.aborted)
    first_offset, end_offset = offsets.first_offset, offsets.end_offset
    walked_bytes = 0
    for segment, source in reversed(sources):
        if source.base_offset >= end_offset:
            continue
        pieces = _pieces(segment)
        # Counted here, where they come from the disk: what was read once is in the cache.
        yield segment.size
        for start, end in reversed(pieces):
            for batch in reversed(_piece(segment, source, start, end)):
                base_offset, _, attributes, last_delta, producer_id, count = _GLANCE.unpack_from(batch)
                if base_offset >= end_offset:
                    continue
                if base_offset + last_delta < first_offset:
                    return 0
                walked_bytes += len(batch)
                if attributes & CONTROL_BIT or not count:
                    continue
                if attributes & TRANSACTIONAL_BIT and aborted.has(producer_id, base_offset):
                    continue
                if attributes & CODEC_MASK:
                    data = batch_body(batch, read_header(batch))
                else:
                    data = bytes(batch[HEADER_SIZE:])
                offsets.add_batch(data, count, base_offset, dense=last_delta == count - 1)
                if offsets.overfull and walked_bytes > len(batch):
                    return walked_bytes
            yield 0
    return 0


def _end_after(job: CleaningJob, sources: list[tuple[Segment, SourceSegment]], limit: int) -> int:
    """The end of the last batch of the dirty part within so many bytes; at least that of the first one."""
    taken = 0
    end_offset = job.first_dirty_offset
    for segment, source in sources:
        if source.base_offset >= job.first_dirty_offset and taken + source.size <= limit:
            taken += source.size
            end_offset = source.next_offset
            continue
        for start, end in _pieces(segment):
            for batch in _piece(segment, source, start, end):
                header = read_header(batch)
                if header.last_offset < job.first_dirty_offset:
                    continue
                if taken and taken + header.size > limit:
                    return end_offset
                taken += header.size
                end_offset = header.next_offset
        end_offset = source.next_offset
    return end_offset


class _AbortedRanges:
    """The aborted transactions of a log, to be asked for batches in any order."""

    __slots__ = ("_ranges",)

    def __init__(self, aborted: tuple[AbortedTransaction, ...]) -> None:
        self._ranges: dict[int, list[tuple[int, int]]] = {}
        for entry in sorted(aborted, key=lambda entry: entry.first_offset):
            self._ranges.setdefault(entry.producer_id, []).append((entry.first_offset, entry.last_offset))

    def has(self, producer_id: int, offset: int) -> bool:
        """Whether a transactional batch of this producer at this offset was aborted."""
        ranges = self._ranges.get(producer_id, ())
        at = bisect_right(ranges, offset, key=itemgetter(0)) - 1
        return at >= 0 and offset <= ranges[at][1]


def _write(
    environment: LogEnvironment,
    job: CleaningJob,
    segments: list[Segment],
    offsets: OffsetMap,
    window_bytes: int,
) -> Generator[int, None, CleaningResult]:
    end_offset = offsets.end_offset
    by_base = {segment.base_offset: segment for segment in segments}
    results: list[CleanedSegment] = []
    filtered = _Filter(job, offsets)
    for group in _groups(job, end_offset):
        writer = _Writer(environment, job, group[0].base_offset)
        try:
            for source in group:
                segment = by_base[source.base_offset]
                position = 0
                while position < segment.size:
                    before = filtered.bytes_written
                    size = filtered.take_in(segment, source, position, writer)
                    position += size
                    yield size + filtered.bytes_written - before
                filtered.bytes_read += segment.size
            writer.finish()
        finally:
            writer.segment.close_file()
        results.append(
            CleanedSegment(
                group[0].base_offset,
                writer.segment.size,
                tuple(source.base_offset for source in group),
                bool(writer.segment.txn_index.entries),
            )
        )
    environment.files.sync_dir(job.directory)
    return CleaningResult(
        end_offset,
        tuple(results),
        filtered.bytes_read,
        filtered.bytes_written,
        filtered.keyless,
        offsets.fullness,
        window_bytes,
    )


class _Filter:
    """Takes all batches of the segments in their order and writes what stays of them."""

    __slots__ = (
        "_job",
        "_next_survivor",
        "_offsets",
        "_transactions",
        "bytes_read",
        "bytes_written",
        "keyless",
    )

    def __init__(self, job: CleaningJob, offsets: OffsetMap) -> None:
        self._job = job
        self._offsets = offsets
        self._transactions = TransactionFilter(job.aborted)
        # The first offset that stays of what was not looked at yet.
        self._next_survivor = offsets.survivor_from(offsets.first_offset)
        self.bytes_read = self.bytes_written = self.keyless = 0

    def take_in(self, segment: Segment, source: SourceSegment, position: int, writer: _Writer) -> int:
        """Take a chunk of whole batches of a segment, from `position` on; how many bytes they are.
        CorruptionError when one that is needed is not sound."""
        data = _chunk(segment, position)
        view = memoryview(data)
        size = len(data)
        offsets = self._offsets
        first_dirty_offset, end_offset = offsets.first_offset, offsets.end_offset
        live_producers = self._job.last_batches
        here = 0
        while size - here >= HEADER_SIZE:
            base_offset, length, attributes, last_delta, producer_id, _ = _GLANCE.unpack_from(data, here)
            end = here + length + LOG_OVERHEAD
            last_offset = base_offset + last_delta
            if (
                # Its checksum was right when the map was made.
                first_dirty_offset <= base_offset <= last_offset < self._next_survivor
                and last_offset < end_offset - 1
                and not attributes & (TRANSACTIONAL_BIT | CONTROL_BIT)
                and producer_id not in live_producers
                # There may be records without a key to be counted.
                and not offsets.may_have_tombstones(base_offset)
                and length >= HEADER_SIZE - LOG_OVERHEAD
                and end <= size
            ):
                here = end
                continue
            if end > size:
                break
            if data[here + MAGIC_POSITION] != CURRENT_MAGIC or not crc_matches(data, here):
                raise _unsound(segment, position + here)
            if not source.base_offset <= base_offset <= last_offset < source.next_offset:
                # The offset is not within the checksum.
                raise CorruptionError(
                    f"{segment.path('.log')}: offset {base_offset} at {position + here}, not of this segment"
                )
            header = read_header(data, here)
            kept = self._kept(header, view[here:end])
            if kept:
                writer.add(header, kept)
                self.bytes_written += len(kept)
            for entry in self._transactions.kept:
                writer.segment.txn_index.append(entry)
            self._transactions.kept.clear()
            if last_offset >= self._next_survivor:
                self._next_survivor = offsets.survivor_from(last_offset + 1)
            here = end
        return here

    def _kept(self, header: BatchHeader, batch: Buffer) -> Buffer:
        """What stays of a batch; empty when nothing does."""
        job, offsets = self._job, self._offsets
        horizon_ms = header.delete_horizon_ms
        expired = horizon_ms is not None and horizon_ms <= job.now_ms
        marker_of_nothing = False
        if header.is_control:
            marker_of_nothing = self._transactions.is_superfluous(header, batch)
            discard = marker_of_nothing and (expired or header.record_count == 0)
        else:
            discard = self._transactions.is_aborted(header)
        if discard or header.record_count == 0:
            return self._shell(header)
        if header.is_control:
            if not marker_of_nothing or horizon_ms is not None:
                return batch
            data = batch_body(batch, header)
            return filtering.rebuilt(header, data, [(0, len(data))], job.now_ms + job.delete_retention_ms)
        if header.base_offset >= offsets.end_offset:
            return batch
        if horizon_ms is None:
            data = b""
            staying: Sequence[int] | None = None
            if header.last_offset < job.first_dirty_offset:
                data = batch_body(batch, header)
                staying = filtering.not_superseded(data, header, offsets)
            elif not offsets.may_have_tombstones(header.base_offset):
                base_offset = header.base_offset
                staying = [
                    offset - base_offset for offset in offsets.survivors(base_offset, header.last_offset)
                ]
            if staying is not None:
                if not staying:
                    return self._shell(header)
                if len(staying) == header.record_count:
                    return batch
                return filtering.with_only(header, data or batch_body(batch, header), staying)
        data = batch_body(batch, header)
        found = filtering.survivors(data, header, offsets, keep_tombstones=not expired)
        self.keyless += found.keyless_count
        if not found.ranges:
            return self._shell(header)
        new_horizon_ms = None
        if found.has_tombstones and horizon_ms is None:
            new_horizon_ms = job.now_ms + job.delete_retention_ms
        if new_horizon_ms is None and len(found.ranges) == header.record_count:
            return batch
        return filtering.rebuilt(header, data, found.ranges, new_horizon_ms)

    def _shell(self, header: BatchHeader) -> Buffer:
        """A batch without records, where the header alone is still needed: it is the last of a live producer,
        or of the pass (so that the log's end survives)."""
        if header.next_offset != self._offsets.end_offset:
            last = self._job.last_batches.get(header.producer_id) if header.producer_id >= 0 else None
            if last is None:
                return b""
            epoch, last_data_offset = last
            if last_data_offset >= 0:
                if header.last_offset != last_data_offset:
                    return b""
            elif not header.is_control or header.producer_epoch != epoch:
                return b""
        return filtering.emptied(header)


def _groups(job: CleaningJob, end_offset: int) -> list[list[SourceSegment]]:
    """Neighbouring segments that fit into one together, by their present sizes."""
    groups: list[list[SourceSegment]] = []
    sizes = (0, 0, 0)
    for source in job.sources:
        if source.base_offset >= end_offset:
            break
        added = (sizes[0] + source.size, sizes[1] + source.index_size, sizes[2] + source.time_index_size)
        if (
            groups
            and added[0] <= job.segment_bytes
            and added[1] <= job.segment_index_bytes
            and added[2] <= job.segment_index_bytes
            and source.next_offset - groups[-1][0].base_offset <= _MAX_RELATIVE_OFFSET
        ):
            groups[-1].append(source)
            sizes = added
        else:
            groups.append([source])
            sizes = source.size, source.index_size, source.time_index_size
    return groups


class _Writer:
    """Writes one `.cleaned` segment, in large pieces."""

    def __init__(self, environment: LogEnvironment, job: CleaningJob, base_offset: int) -> None:
        self._files = environment.files
        self._interval = job.index_interval_bytes
        self._parts: list[Buffer] = []
        self._pending = 0
        segment = self.segment = Segment(
            environment, job.directory, base_offset, index_max_bytes=job.segment_index_bytes
        )
        segment.suffix = CLEANED
        for extension in EXTENSIONS:
            if self._files.exists(segment.path(extension)):
                self._files.remove(segment.path(extension))
        segment.new_indexes()
        segment.open_for_write()

    def add(self, header: BatchHeader, batch: Buffer) -> None:
        size = len(batch)
        max_timestamp = read_header(batch).max_timestamp
        position = self.segment.size + self._pending
        self.segment.note_batch(position, size, header.last_offset, max_timestamp, self._interval)
        self._parts.append(batch)
        self._pending += size
        if self._pending >= _WRITE_CHUNK:
            self._flush()

    def _flush(self) -> None:
        if self._pending:
            write_fully(self.segment.open_for_write(), [b"".join(self._parts)], self.segment.size)
            self.segment.size += self._pending
            self._parts = []
            self._pending = 0

    def finish(self) -> None:
        """Write the rest, close the indexes, sync everything."""
        self._flush()
        segment = self.segment
        segment.open_for_write().sync()
        segment.save_indexes(trim=True)
        for extension in EXTENSIONS[1:]:
            if self._files.exists(segment.path(extension)):
                file = self._files.open(segment.path(extension))
                try:
                    file.sync()
                finally:
                    file.close()


def _chunk(segment: Segment, position: int) -> bytes:
    """One batch at least, which begins at `position`, and as many more as fit into a chunk."""
    data = segment.pread(_READ_CHUNK, position)
    if len(data) >= HEADER_SIZE:
        first = _LENGTH.unpack_from(data)[0] + LOG_OVERHEAD
        if first > len(data):
            data = segment.pread(first, position)
        if first <= len(data):
            return data
    raise CorruptionError(f"{segment.path('.log')}: cut batch at {position}")


def _unsound(segment: Segment, position: int) -> CorruptionError:
    """A batch that is not what was written."""
    return CorruptionError(f"{segment.path('.log')}: wrong length, magic or checksum at {position}")


def _pieces(segment: Segment) -> list[tuple[int, int]]:
    """(start, end) of pieces of whole batches, of `_READ_CHUNK` where no batch is larger. Only the lengths of
    the batches are looked at. CorruptionError when they do not fit."""
    pieces: list[tuple[int, int]] = []
    start = position = 0
    size = segment.size
    if size <= _READ_CHUNK:
        return [(0, size)] if size else []
    data = b""
    read_from = length = 0
    while position < size:
        if position + LOG_OVERHEAD > read_from + len(data):
            read_from = position
            data = segment.pread(_HOP_CHUNK if length < _SMALL_BATCH_BYTES else LOG_OVERHEAD, position)
            if len(data) < LOG_OVERHEAD:
                raise CorruptionError(f"{segment.path('.log')}: cut batch at {position}")
        (length,) = _LENGTH.unpack_from(data, position - read_from)
        end = position + LOG_OVERHEAD + length
        if length < HEADER_SIZE - LOG_OVERHEAD or end > size:
            raise CorruptionError(f"{segment.path('.log')}: cut batch at {position}")
        if end - start > _READ_CHUNK and position > start:
            pieces.append((start, position))
            start = position
        position = end
    pieces.append((start, size))
    return pieces


def _piece(segment: Segment, source: SourceSegment, start: int, end: int) -> list[memoryview]:
    """The batches of a piece, checked: also their offsets, which are not within the checksum."""
    data = segment.pread(end - start, start)
    view = memoryview(data)
    size = end - start
    found: list[memoryview] = []
    here = 0
    next_offset = source.base_offset
    while here < size:
        if len(data) - here < HEADER_SIZE:
            raise CorruptionError(f"{segment.path('.log')}: cut batch at {start + here}")
        (length,) = _LENGTH.unpack_from(data, here)
        behind = here + length + LOG_OVERHEAD
        if data[here + MAGIC_POSITION] != CURRENT_MAGIC or not crc_matches(data, here):
            raise _unsound(segment, start + here)
        base_offset, _, _, last_delta, _, _ = _GLANCE.unpack_from(data, here)
        if base_offset < next_offset or not 0 <= last_delta < source.next_offset - base_offset:
            raise CorruptionError(
                f"{segment.path('.log')}: offset {base_offset} at {start + here}, after {next_offset}"
            )
        next_offset = base_offset + last_delta + 1
        found.append(view[here:behind])
        here = behind
    return found
