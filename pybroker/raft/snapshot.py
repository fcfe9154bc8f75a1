"""Snapshots of the metadata log (KIP-630): one file that replaces all records below an offset.

In: the values of data records. Out: a file `<20-digit end offset>-<10-digit epoch>.checkpoint`. What must
hold: a file without the suffix `.part` is complete; it starts with a SnapshotHeader and ends with a
SnapshotFooter, and a file that does not, or whose checksums are wrong, is never loaded.

    control batch: SnapshotHeader [KRaftVersion, Voters] | data batches | control batch: SnapshotFooter

Record offsets in the file count from 0 and mean nothing; the batches carry the snapshot's epoch.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from pybroker.common.errors import CorruptionError, StorageError
from pybroker.common.files import FileSystem, read_file, write_fully
from pybroker.records.batch import Record, build_batch, crc_matches, iter_records, read_header
from pybroker.records.control import ControlRecord, ControlType, build_control_batch, read_control_batch
from pybroker.wire.schemas.metadata_records import (
    SnapshotFooterRecord,
    SnapshotHeaderRecord,
    encode_control,
)

_NAME: Final = re.compile(r"^(\d{20})-(\d{10})\.checkpoint$")
BATCH_BYTES: Final = 1024 * 1024


class SnapshotId(NamedTuple):
    """The log below `end_offset` is in the snapshot; `epoch` is that of the last record."""

    end_offset: int
    epoch: int

    @property
    def file_name(self) -> str:
        return f"{self.end_offset:020d}-{self.epoch:010d}.checkpoint"


def encode_snapshot(
    values: Iterable[bytes],
    *,
    epoch: int,
    now_ms: int,
    last_timestamp_ms: int,
    control_records: Iterable[tuple[int, bytes]] = (),
) -> Iterator[bytes]:
    """The batches of a snapshot, one after the other."""
    header = encode_control(SnapshotHeaderRecord(last_contained_log_timestamp=last_timestamp_ms))
    first = [(int(ControlType.SNAPSHOT_HEADER), header), *control_records]
    yield build_control_batch(first, timestamp=now_ms, base_offset=0, leader_epoch=epoch)
    offset = len(first)
    records: list[Record] = []
    size = 0
    for value in values:
        records.append(Record(0, now_ms, None, value))
        size += len(value)
        if size >= BATCH_BYTES:
            yield build_batch(records, base_offset=offset, leader_epoch=epoch)
            offset += len(records)
            records, size = [], 0
    if records:
        yield build_batch(records, base_offset=offset, leader_epoch=epoch)
        offset += len(records)
    footer = encode_control(SnapshotFooterRecord())
    yield build_control_batch(
        [(int(ControlType.SNAPSHOT_FOOTER), footer)], timestamp=now_ms, base_offset=offset, leader_epoch=epoch
    )


def write_snapshot(files: FileSystem, path: str, batches: Iterable[bytes]) -> int:
    """Write the file under a `.part` name, sync, rename; returns its size. Works on any thread."""
    part = path + ".part"
    file = files.open(part, create=True)
    try:
        file.truncate(0)
        size = 0
        for batch in batches:
            size += write_fully(file, [batch], size)
        file.sync()
    finally:
        file.close()
    files.rename(part, path)
    files.sync_dir(path.rpartition("/")[0] or ".")
    return size


class SnapshotContent(NamedTuple):
    """What a snapshot file holds, without its header and footer."""

    values: list[bytes]
    control_records: list[ControlRecord]


def decode_snapshot(content: bytes) -> SnapshotContent:
    """The values of the data records, and the control records. CorruptionError if it is cut or damaged."""
    values: list[bytes] = []
    controls: list[ControlRecord] = []
    position = 0
    ended = False
    while position < len(content):
        header = read_header(content, position)
        end = position + header.size
        if ended or end > len(content) or not crc_matches(content, position):
            raise CorruptionError(f"snapshot is damaged at byte {position}")
        batch = memoryview(content)[position:end]
        if header.is_control:
            found = read_control_batch(batch)
            if position == 0 and (not found or found[0].type != ControlType.SNAPSHOT_HEADER):
                raise CorruptionError("snapshot does not start with a snapshot header")
            ended = any(record.type == ControlType.SNAPSHOT_FOOTER for record in found)
            frame = (ControlType.SNAPSHOT_HEADER, ControlType.SNAPSHOT_FOOTER)
            controls += [record for record in found if record.type not in frame]
        elif position == 0:
            raise CorruptionError("snapshot does not start with a snapshot header")
        else:
            values += [record.value or b"" for record in iter_records(batch, header=header)]
        position = end
    if not ended:
        raise CorruptionError("snapshot does not end with a snapshot footer")
    return SnapshotContent(values, controls)


def read_snapshot(files: FileSystem, path: str) -> SnapshotContent:
    """`decode_snapshot` of a file; the CorruptionError names it. OSError."""
    content = read_file(files, path)
    try:
        return decode_snapshot(content)
    except CorruptionError as error:
        raise CorruptionError(f"{path}: {error}") from error


def list_snapshots(files: FileSystem, directory: str) -> list[SnapshotId]:
    """The complete snapshots in a directory, oldest first."""
    found = [match for name in files.list_dir(directory) if (match := _NAME.match(name))]
    return sorted(SnapshotId(int(match[1]), int(match[2])) for match in found)


class LatestSnapshot(NamedTuple):
    """The newest snapshot that is whole, with its content; `damaged` says what is wrong with newer ones."""

    snapshot: SnapshotId | None
    content: SnapshotContent
    damaged: dict[SnapshotId, str]


def load_latest_snapshot(files: FileSystem, directory: str) -> LatestSnapshot:
    """Of those in a directory. CorruptionError when there are some and none is whole: what they say, the
    first voters among it, may be nowhere else."""
    damaged: dict[SnapshotId, str] = {}
    for snapshot in reversed(list_snapshots(files, directory) if files.exists(directory) else []):
        try:
            content = read_snapshot(files, f"{directory}/{snapshot.file_name}")
        except CorruptionError as error:
            damaged[snapshot] = str(error)
            continue
        return LatestSnapshot(snapshot, content, damaged)
    if damaged:
        raise CorruptionError(f"{'; '.join(damaged.values())}; no other snapshot is there")
    return LatestSnapshot(None, SnapshotContent([], []), damaged)


def remove_partial_snapshots(files: FileSystem, directory: str) -> None:
    """Drop what a crash left half written or half removed."""
    for name in files.list_dir(directory):
        if name.endswith((".checkpoint.part", ".checkpoint.deleted")):
            files.remove(f"{directory}/{name}")


class DirectorySnapshots:
    """The snapshots of one directory, as the quorum's node wants them (`pybroker.raft.node.Snapshots`).

    What is there is told by `refresh`, `changed` and `added`: it is not looked up again for each question.
    """

    def __init__(self, files: FileSystem, directory: str) -> None:
        self._files = files
        self._directory = directory
        self._known: list[SnapshotId] = []
        self._latest: SnapshotId | None = None

    def refresh(self, latest: SnapshotId | None) -> None:
        """Look what is there. `latest` is the newest whole one: those after it are damaged."""
        self._known = [] if latest is None else list_snapshots(self._files, self._directory)
        self._latest = latest

    def changed(self, known: list[SnapshotId]) -> None:
        """These are there now, oldest first; no look at the disk, which could fail."""
        self._known = known
        self._latest = known[-1]

    def added(self, snapshot: SnapshotId) -> None:
        """One more is there."""
        self._known = sorted({*self._known, snapshot})
        self._latest = max(snapshot, self._latest or snapshot)

    def latest(self) -> SnapshotId | None:
        return self._latest

    def ending_at(self, offset: int) -> SnapshotId | None:
        return next((snapshot for snapshot in self._known if snapshot.end_offset == offset), None)

    def _path(self, snapshot: SnapshotId) -> str:
        return f"{self._directory}/{snapshot.file_name}"

    def size(self, snapshot: SnapshotId) -> int | None:
        return self._files.file_size(self._path(snapshot)) if snapshot in self._known else None

    def read(self, snapshot: SnapshotId, position: int, max_bytes: int) -> bytes:
        file = self._files.open(self._path(snapshot), read_only=True)
        try:
            return file.pread(max_bytes, position)
        finally:
            file.close()

    def begin(self, snapshot: SnapshotId) -> None:
        self._write(snapshot, 0, b"")

    def append(self, snapshot: SnapshotId, position: int, data: bytes) -> None:
        self._write(snapshot, position, data)

    def _write(self, snapshot: SnapshotId, position: int, data: bytes) -> None:
        path = self._path(snapshot) + ".part"
        try:
            file = self._files.open(path, create=True)
            try:
                file.truncate(position)
                write_fully(file, [data], position)
            finally:
                file.close()
        except OSError as error:
            raise StorageError(f"{path} cannot be written: {error}") from error

    def install(self, snapshot: SnapshotId) -> SnapshotContent:
        """Check what was fetched and make it durable; blocks. CorruptionError, StorageError.

        `added` must follow, and `snapshot_installed` of the node.
        """
        path = self._path(snapshot)
        if snapshot in self._known:
            return read_snapshot(self._files, path)
        try:
            content = read_snapshot(self._files, path + ".part")
            file = self._files.open(path + ".part")
            try:
                file.sync()
            finally:
                file.close()
            self._files.rename(path + ".part", path)
            self._files.sync_dir(self._directory)
        except OSError as error:
            raise StorageError(f"{path} cannot be stored: {error}") from error
        return content
