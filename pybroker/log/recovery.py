"""Opening what is on disk: one partition's directory after a clean or an unclean stop.

In: a directory, whether the stop was clean, the checkpointed recovery point and log start. Out: a
PartitionLog. What must hold: after an unclean stop every batch at or above the recovery point's segment is
checked, the log ends before the first invalid one and before the first hole that no compaction made, and
everything derived is rebuilt; half-finished renames of the cleaner are completed or undone.

An invalid batch: too short, cut, checksum wrong, zero bytes, magic not 2, offsets not increasing, leader
epoch going back.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from crc32c import crc32c

from pybroker.common.errors import CorruptionError, StorageError
from pybroker.common.files import read_file
from pybroker.common.steps import Steps
from pybroker.log.checkpoints import RECOVERY_POINT
from pybroker.log.config import LogConfig
from pybroker.log.environment import LogEnvironment
from pybroker.log.partition_log import (
    EPOCH_FILE,
    METADATA_FILE,
    PartitionLog,
    decode_partition_metadata,
    snapshot_offsets,
)
from pybroker.log.segment import EXTENSIONS, Segment, next_offset_of_trimmed
from pybroker.records.batch import ATTRIBUTES_POSITION, HEADER, HEADER_SIZE, LOG_OVERHEAD, BatchHeader

_READ_CHUNK: Final = 4 * 1024 * 1024
_MIN_LENGTH: Final = HEADER_SIZE - LOG_OVERHEAD
_MAX_RELATIVE_OFFSET: Final = (1 << 31) - 1
_SEGMENT_FILE: Final = re.compile(r"^(\d{20})\.(log|index|timeindex|txnindex)(\.cleaned|\.swap)?$")


class RemovedSegment(NamedTuple):
    """A `.log.deleted` file, with offsets from `base` up to below `end`."""

    base: int
    end: int
    path: str


def read_topic_id(environment: LogEnvironment, directory: str) -> bytes | None:
    """The topic id in `partition.metadata`; None when there is none, which makes the directory a stray."""
    try:
        return decode_partition_metadata(read_file(environment.files, f"{directory}/{METADATA_FILE}"))
    except FileNotFoundError:
        return None


def load_log(
    environment: LogEnvironment,
    directory: str,
    topic: str,
    partition: int,
    topic_id: bytes,
    config: LogConfig,
    *,
    clean: bool,
    recovery_point: int = 0,
    log_start: int = 0,
    cleaned: bool = False,
    gapless: bool = False,
    guarded: bool = False,
) -> Steps[PartitionLog]:
    """Open the log in `directory`, in steps; `cleaned`: compaction was here. StorageError when the disk
    refuses.

    `gapless`: each batch begins where the one before it ends. `guarded`: nobody else has the records, so that
    damage below the recovery point, which no loss of power makes, is a CorruptionError and changes nothing.
    """
    try:
        return (
            yield from _load(
                environment,
                directory,
                topic,
                partition,
                topic_id,
                config,
                clean,
                recovery_point,
                log_start,
                cleaned or config.compacts,
                gapless,
                guarded,
            )
        )
    except OSError as error:
        raise StorageError(f"{directory}: cannot be loaded: {error}", error.errno) from error


def _load(
    environment: LogEnvironment,
    directory: str,
    topic: str,
    partition: int,
    topic_id: bytes,
    config: LogConfig,
    clean: bool,
    recovery_point: int,
    log_start: int,
    cleaned: bool,
    gapless: bool,
    guarded: bool,
) -> Steps[PartitionLog]:
    files = environment.files
    # Below it nothing is lost, wherever segments are missing.
    known = max(recovery_point, log_start)
    names, removed = _finish_renames(environment, directory, files.list_dir(directory))
    log = PartitionLog(environment, directory, topic, partition, topic_id, config)
    bases = sorted(int(name[:20]) for name in names if name.endswith(".log") and name[:20].isdigit())
    present = set(names)
    for name in names:
        match = _SEGMENT_FILE.match(name)
        if match and match[2] != "log" and f"{match[1]}.log" not in present:
            files.remove(f"{directory}/{name}")
    epochs_on_disk = _load_epochs(log, present)
    segments: list[Segment] = []
    for base in bases:
        segment = Segment(
            environment,
            directory,
            base,
            index_max_bytes=config.segment_index_bytes,
            size=files.file_size(f"{directory}/{base:020d}.log"),
            sealed=True,
            created_ms=environment.clock.wall_ms(),
        )
        segments.append(segment)
    if not (cleaned or clean):
        _remove_again(log, segments, removed)
    if not segments:
        # What is on record below the recovery point was there once: no offset of it is given out again.
        log.create(max([known, *(gone.end for gone in removed)]))
        # Before those go that tell where it goes on.
        files.sync_dir(directory)
        _forget(log, removed)
        log.epochs.truncate_from_end(log.log_end_offset)
        log.epochs.truncate_from_start(log.log_start_offset)
        log.load_producer_state(snapshot_offsets(names))
        return log
    segments[-1].sealed = False
    log.take_segments(segments)
    snapshots = snapshot_offsets(names)
    log.log_start_offset = max(log_start, segments[0].base_offset)
    trusted = clean and _load_clean(log, segments, present)
    if trusted:
        log.recovery_point = log.log_end_offset
    else:
        # Where it was closed cleanly and is not sound, nothing of it is known to be.
        synced = recovery_point if guarded else 0
        recovery_point = 0 if clean else recovery_point
        yield from _recover(log, segments, recovery_point, snapshots, cleaned, gapless, synced)
        log.recovery_point = min(max(recovery_point, 0), log.log_end_offset)
    _forget(log, removed)
    if not trusted or not log.active.size:
        # A process that was killed right after it had made the log, or a segment, never synced their names.
        # Where nothing was written since, a clean end has not done it either.
        log.distrust_names()
    if log.log_end_offset < log_start:
        # The checkpoint knows that everything below it was deleted, so what is left is too old.
        environment.report(
            f"{directory}: ends at {log.log_end_offset}, below its log start {log_start}; emptied"
        )
        log.truncate_fully(log_start)
        return log
    log.epochs.truncate_from_end(log.log_end_offset)
    log.epochs.truncate_from_start(log.log_start_offset)
    if log.epochs.entries == epochs_on_disk:
        log.epochs.note_saved()
    if trusted:
        log.load_producer_state(snapshots)
        if snapshots and snapshots[0] == log.log_end_offset and not log.needs_sync:
            log.settled_end_offset = log.log_end_offset
    _remove_stray_snapshots(log, snapshots)
    log.high_watermark = log.log_start_offset
    return log


def _load_clean(log: PartitionLog, segments: list[Segment], present: set[str]) -> bool:
    """Trust the files; find the end from the last index entry. False when they are not what a clean stop
    leaves."""
    active = segments[-1]
    try:
        for segment in segments:
            if f"{segment.base_offset:020d}.index" not in present:
                raise FileNotFoundError(segment.path(".index"))
            if f"{segment.base_offset:020d}.txnindex" in present:
                segment.txn_index.load()
        log.log_end_offset = next_offset_of_trimmed(active)[0]
    except (CorruptionError, FileNotFoundError) as error:
        log.environment.report(f"{log.directory}: recovered although it was closed cleanly: {error}")
        return False
    return True


def _load_epochs(log: PartitionLog, present: set[str]) -> list[tuple[int, int]] | None:
    """What the file says, None when it says nothing."""
    if EPOCH_FILE not in present:
        return []
    try:
        log.epochs.decode(read_file(log.environment.files, f"{log.directory}/{EPOCH_FILE}"))
    except CorruptionError as error:
        rebuild_epochs(log, str(error))
        return None
    return log.epochs.entries


def rebuild_epochs(log: PartitionLog, reason: str = "does not fit the log") -> None:
    """The file of the epochs is damaged: make them anew from the log, where every batch carries its epoch.
    Slow. OSError."""
    log.environment.report(f"{log.directory}/{EPOCH_FILE}: {reason}; rebuilt from the log")
    log.epochs.clear()
    log.epochs.note_changed()
    files = log.environment.files
    for name in files.list_dir(log.directory):
        if name.endswith(".log") and name[:20].isdigit():
            segment = Segment(
                log.environment,
                log.directory,
                int(name[:20]),
                size=files.file_size(f"{log.directory}/{name}"),
            )
            try:
                for _, header in segment.scan(0):
                    if header.leader_epoch > log.epochs.latest:
                        log.epochs.assign(header.leader_epoch, header.base_offset)
            except CorruptionError:
                # Recovery, or whoever reads there, deals with it.
                continue
            finally:
                segment.close_file()


def _remove_again(log: PartitionLog, segments: list[Segment], removed: list[RemovedSegment]) -> None:
    """Only the oldest segments are removed, unless by compaction: where some of them have their names back,
    because a power loss undid those renames and not the later ones, all before the last of the others go
    again. What is missing between them may be the end of a transaction.

    A removed segment with a namesake was compacted, before the log's policy changed; one that reaches into a
    segment is of another history."""
    namesakes = {gone.base for gone in removed}
    for gone in sorted(removed, reverse=True):
        before = [segment for segment in segments if segment.base_offset < gone.end]
        if not before or before[-1].base_offset in namesakes:
            continue
        last = before[-1]
        if _end_of_file(log.environment, last.path(".log"), last.base_offset) <= gone.base:
            log.environment.report(
                f"{log.directory}: {len(before)} segments below offset {gone.end}, which had been removed, "
                "came back; removed again"
            )
            _remove_segments(log, segments, 0, len(before))
            # Not before those that tell of it.
            log.environment.files.sync_dir(log.directory)
            return


def _forget(log: PartitionLog, removed: list[RemovedSegment]) -> None:
    for gone in removed:
        log.environment.files.remove(gone.path)


def _finish_renames(
    environment: LogEnvironment, directory: str, names: list[str]
) -> tuple[list[str], list[RemovedSegment]]:
    """Remove `.deleted`, and bring an interrupted cleaning or split to one of its two ends.

    Returns the names that are left, and the segments that retention or compaction removed, which are still
    there: the log goes on behind them when nothing else of it is left, because a power loss took the new
    segment and not the removal of the old ones; and what is before them was removed too (`_remove_again`).
    """
    files = environment.files
    if not any(name.endswith((".deleted", ".cleaned", ".swap", ".tmp")) for name in names):
        return names, []
    # Whoever was killed may not have made these names durable, and what they replace is removed below.
    files.sync_dir(directory)
    removed: list[RemovedSegment] = []
    cleaned: list[int] = []
    swaps: list[tuple[int, str]] = []
    for name in names:
        path = f"{directory}/{name}"
        deleted = name.endswith(".deleted") and not name.endswith(".checkpoint.deleted")
        if deleted or name.endswith(".tmp"):
            if name.endswith(".log.deleted") and name[:20].isdigit():
                base = int(name[:20])
                removed.append(RemovedSegment(base, _end_of_file(environment, path, base), path))
            else:
                files.remove(path)
        else:
            match = _SEGMENT_FILE.match(name)
            if match and match[3] == ".cleaned":
                cleaned.append(int(match[1]))
            elif match and match[3] == ".swap":
                swaps.append((int(match[1]), name))
    lowest_cleaned = min(cleaned, default=None)
    finished: list[tuple[int, str]] = []
    for base, name in swaps:
        if lowest_cleaned is not None and base >= lowest_cleaned:
            files.remove(f"{directory}/{name}")
        else:
            finished.append((base, name))
    if len(finished) < len(swaps):
        # Did one come back when its `.cleaned` companion is gone, it would be taken for a finished one.
        files.sync_dir(directory)
    for name in names:
        if name.endswith(".cleaned"):
            files.remove(f"{directory}/{name}")
    bases = [base for base, name in finished if name.endswith(".log.swap")]
    if bases:
        first = min(bases)
        end = max(_end_of_file(environment, f"{directory}/{base:020d}.log.swap", base) for base in bases)
        for name in names:
            match = _SEGMENT_FILE.match(name)
            if match and match[3] is None and first <= int(match[1]) < end:
                files.remove(f"{directory}/{name}")
    previous = -1
    for base, name in sorted(finished):
        if base != previous:
            # As the cleaner does it: the old ones are gone, and what is still to be renamed comes last.
            files.sync_dir(directory)
            previous = base
        path = f"{directory}/{name}"
        files.rename(path, path.removesuffix(".swap"))
    files.sync_dir(directory)
    return files.list_dir(directory), removed


def _end_of_file(environment: LogEnvironment, path: str, base: int) -> int:
    """The offset after the last batch of a segment's file."""
    end = base
    file = environment.files.open(path, read_only=True)
    try:
        size = file.size()
        position = 0
        while position + HEADER_SIZE <= size:
            header = BatchHeader._make(HEADER.unpack(file.pread(HEADER_SIZE, position)))
            if header.length < _MIN_LENGTH or header.magic != 2:
                break
            end = max(end, header.next_offset)
            position += header.size
    finally:
        file.close()
    return end


def _recover(
    log: PartitionLog,
    segments: list[Segment],
    recovery_point: int,
    snapshots: list[int],
    cleaned: bool,
    gapless: bool,
    synced: int,
) -> Steps[None]:
    """Check everything from the recovery point's segment up; see the module. CorruptionError when the log
    ends below `synced`."""
    environment = log.environment
    first = len(segments) - 1
    # A recovery point at the start of a segment says nothing of the indexes of the one before.
    while first > 0 and segments[first].base_offset >= recovery_point:
        first -= 1
    for index, segment in enumerate(segments[:first]):
        try:
            segment.txn_index.load()
        except CorruptionError as error:
            # Without it aborted records would be shown: make it anew, with what follows from the batches.
            environment.report(f"{error}; recovered from there")
            first = index
            break
    # Segments below are trusted, as far as their companions are complete.
    for segment in segments[:first]:
        if not _has_whole_indexes(segment):
            segment.rebuild_indexes(log.config.index_interval_bytes)
            environment.report(f"{segment.path('.index')} was missing or not complete; rebuilt")
    start = segments[first].base_offset
    log.log_end_offset = start
    # Snapshots above are of a log that may not exist any more; the walk makes the state anew.
    log.start_producer_state(start, snapshots)
    epochs_before = log.epochs.entries
    log.epochs.truncate_from_end(start)
    if _contradicts_epochs(log, segments[first]):
        rebuild_epochs(log)
        log.epochs.truncate_from_end(start)
    expected = start
    ends: list[int] = []
    # Below what was synced, or deleted, nothing can have been lost: old segments came back one by one.
    known = max(recovery_point, log.log_start_offset)
    index = first
    while index < len(segments):
        segment = segments[index]
        if segment.base_offset < expected:
            environment.report(f"{segment.path('.log')} overlaps what comes before; removed")
            _remove_segments(log, segments, index, index + 1)
            continue
        if segment.base_offset > max(expected, known) and ends and not cleaned:
            # A segment begins where the one before it ended, unless compaction took the end of that.
            environment.report(
                f"{segment.path('.log')}: the records from offset {expected} on are lost; cut there, with "
                f"{len(segments) - index} later segments"
            )
            _remove_segments(log, segments, index, len(segments))
            break
        lost = 0
        valid, end_offset = yield from recover_segment(log, segment, gapless=gapless)
        expected = max(end_offset, segment.base_offset)
        if expected < synced and (valid < segment.size or index + 1 == len(segments)):
            raise CorruptionError(
                f"{segment.path('.log')} is damaged at position {valid} (offset {expected}): according to "
                f"{log.directory.rpartition('/')[0]}/{RECOVERY_POINT} it was synced up to offset {synced}"
            )
        ends.append(expected)
        if valid < segment.size:
            lost = segment.size - valid
            environment.report(
                f"{segment.path('.log')}: {lost} bytes from position {valid} (offset {end_offset}) on are no "
                f"valid batches; cut, with {len(segments) - index - 1} later segments"
            )
            segment.open_for_write().truncate(valid)
            segment.size = valid
            _remove_segments(log, segments, index + 1, len(segments))
            # Synced soon even where nothing is left: what was cut must not come back.
            log.note_directory_changed()
        segment.synced_size = -1 if lost else 0
        index += 1
    while len(ends) > 1 and segments[-1].size == 0 and ends[-2] < segments[-1].base_offset:
        # The end of the log was lost just where a new segment began: without that segment there is no gap.
        _remove_segments(log, segments, len(segments) - 1, len(segments))
        ends.pop()
        expected = ends[-1]
    for segment in segments:
        segment.sealed = segment is not segments[-1]
        if segment.sealed and segment.index_dirty:
            # Nobody makes these anew once they are below the recovery point.
            log.note_directory_changed()
    log.take_segments(segments)
    log.log_end_offset = expected
    log.epochs.complete(epochs_before)
    log.write_snapshot()


def _contradicts_epochs(log: PartitionLog, segment: Segment) -> bool:
    """Whether the first batch that is recovered is of an older epoch than the file says of what is before it:
    then the file is damaged, and must not make the batch an invalid one."""
    if segment.size < HEADER_SIZE:
        return False
    header = BatchHeader._make(HEADER.unpack(segment.pread(HEADER_SIZE, 0)))
    return header.magic == 2 and 0 <= header.leader_epoch < log.epochs.latest


def _has_whole_indexes(segment: Segment) -> bool:
    """Whether both index files of a rolled segment were written to their end: they are cut there, and no last
    entry is all zeros. What was lost with the power shows as zeros or as a missing file."""
    files = segment.environment.files
    for extension, entry_size in ((".index", 8), (".timeindex", 12)):
        path = segment.path(extension)
        if not files.exists(path):
            return False
        size = files.file_size(path)
        if size == 0 and (extension == ".index" or segment.size == 0):
            continue
        if size == 0 or size % entry_size:
            return False
        file = files.open(path, read_only=True)
        try:
            if not any(file.pread(entry_size, size - entry_size)):
                return False
        finally:
            file.close()
    return True


def _remove_segments(log: PartitionLog, segments: list[Segment], start: int, end: int) -> None:
    files = log.environment.files
    for gone in segments[start:end]:
        gone.close_file()
        for extension in EXTENSIONS:
            if files.exists(gone.path(extension)):
                files.remove(gone.path(extension))
    del segments[start:end]
    log.note_directory_changed()


def recover_segment(log: PartitionLog, segment: Segment, *, gapless: bool = False) -> Steps[tuple[int, int]]:
    """Walk a segment's batches, rebuilding its indexes, in steps; (valid bytes, offset after the last valid
    batch)."""
    segment.new_indexes()
    segment.reset_txn_index()
    interval = log.config.index_interval_bytes
    next_offset = segment.base_offset
    base = segment.base_offset
    position = 0
    size = segment.size
    latest_epoch = log.epochs.latest
    unpack = HEADER.unpack_from
    note_batch = segment.note_batch
    while size - position >= HEADER_SIZE:
        data = segment.pread(_READ_CHUNK, position)
        available = len(data)
        view = memoryview(data)
        here = 0
        while available - here >= HEADER_SIZE:
            (
                base_offset,
                length,
                epoch,
                magic,
                crc,
                _,
                last_offset_delta,
                _,
                max_timestamp,
                producer_id,
                _,
                _,
                _,
            ) = fields = unpack(data, here)
            total = length + LOG_OVERHEAD
            if (
                magic != 2
                or length < _MIN_LENGTH
                or total > size - position - here
                or base_offset < next_offset
                or (gapless and base_offset > next_offset)
                or last_offset_delta < 0
                or base_offset + last_offset_delta - base > _MAX_RELATIVE_OFFSET
                or (epoch < latest_epoch and epoch >= 0)
            ):
                return position + here, next_offset
            if total > available - here:
                break
            if crc32c(view[here + ATTRIBUTES_POSITION : here + total]) != crc:
                return position + here, next_offset
            note_batch(position + here, total, base_offset + last_offset_delta, max_timestamp, interval)
            if producer_id >= 0 or epoch > latest_epoch:
                log.note_recovered(segment, BatchHeader._make(fields), view[here : here + total])
                latest_epoch = max(latest_epoch, epoch)
            next_offset = base_offset + last_offset_delta + 1
            here += total
        if here == 0:
            if total <= _READ_CHUNK:
                break
            # A batch larger than the chunk.
            batch = segment.pread(total, position)
            if crc32c(memoryview(batch)[ATTRIBUTES_POSITION:]) != crc:
                break
            header = BatchHeader._make(fields)
            note_batch(position, total, header.last_offset, max_timestamp, interval)
            log.note_recovered(segment, header, memoryview(batch))
            latest_epoch = max(latest_epoch, epoch)
            next_offset = header.next_offset
            here = total
        position += here
        yield
    return position, next_offset


def _remove_stray_snapshots(log: PartitionLog, snapshots: list[int]) -> None:
    """Keep the snapshots at segment bases and the newest one, as Kafka does."""
    bases = {segment.base_offset for segment in log.segments}
    for offset in snapshots:
        if offset not in bases and offset < log.log_end_offset:
            path = f"{log.directory}/{offset:020d}.snapshot"
            if log.environment.files.exists(path):
                log.environment.files.remove(path)
