"""The log as raft sees it: whole batches at increasing offsets, and a flush that somebody else runs.

In: encoded batches with their final offset and epoch. Out: bytes. What must hold: a batch is there entirely
or not at all after a failed append and after a restart; what `on_durable` has told survives a power loss.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from pybroker.common.errors import StorageError
from pybroker.raft.snapshot import SnapshotId
from pybroker.records.batch import HEADER_SIZE, read_header


class RaftLog(Protocol):
    """The metadata log, or anything that behaves as one."""

    on_durable: Callable[[int], None] | None
    """Called on the loop thread with an offset: everything below it is durable."""

    @property
    def directory(self) -> str:
        """Where the log is; snapshots and `quorum-state` lie beside it."""

    @property
    def start_offset(self) -> int:
        """The first offset that can be read."""

    @property
    def end_offset(self) -> int:
        """The offset that the next record gets."""

    @property
    def last_epoch(self) -> int:
        """The leader epoch of the last batch; 0 for an empty log."""

    def append(self, batch: bytes) -> None:
        """Append one batch at `end_offset`. StorageError: nothing was appended."""

    def read(self, offset: int, max_bytes: int) -> bytes:
        """Whole batches from the one that holds `offset`; at least one, empty only at the end."""

    def file_of(self, offset: int) -> str:
        """The path of what holds `offset`, for messages."""

    def request_flush(self) -> None:
        """Ask for a sync of what is there; `on_durable` tells when it is done."""

    def flush(self) -> None:
        """Sync now, blocking; `on_durable` is called before it returns. StorageError."""

    def note_committed(self, high_watermark: int) -> None:
        """Everything below is committed."""

    def trim(self, offset: int) -> None:
        """Everything below is in a snapshot: whole segments of it may go."""

    def end_offset_for_epoch(self, epoch: int) -> tuple[int, int]:
        """(largest epoch <= `epoch` that has a batch here, offset after its last one).

        (0, `start_offset`) when every batch is of a later epoch or there is none.
        """

    def rebuild_epochs(self) -> None:
        """`end_offset_for_epoch` does not fit the batches: find it out from them. OSError."""

    def truncate(self, offset: int) -> None:
        """Remove everything at or above `offset`, not necessarily durably. StorageError."""

    def reset(self, offset: int) -> None:
        """Remove everything and go on, empty, after a snapshot that ends at `offset`."""


def log_contains(log: RaftLog, snapshot: SnapshotId) -> bool:
    """Whether the log goes on after the snapshot: by its epoch, not by its length alone."""
    if snapshot.end_offset == 0 or snapshot.end_offset <= log.start_offset:
        return True
    epoch, end_offset = log.end_offset_for_epoch(snapshot.epoch)
    start_offset = log.end_offset_for_epoch(snapshot.epoch - 1)[1]
    return epoch == snapshot.epoch and start_offset < snapshot.end_offset <= end_offset


class MemoryRaftLog:
    """A log in one bytearray, for tests. `data` cut anywhere is what a crash may leave: the constructor
    drops a torn last batch as recovery does. With `inline` a requested flush is done at once.
    """

    def __init__(self, data: bytes = b"", *, directory: str = "metadata", inline: bool = False) -> None:
        self.on_durable: Callable[[int], None] | None = None
        self.directory = directory
        self.inline = inline
        self.data = bytearray()
        self.durable_size = 0
        self.flush_wanted = False
        self.flush_count = 0
        self.fail_append: StorageError | None = None
        self.start_offset = 0
        self.end_offset = 0
        self.last_epoch = 0
        self.high_watermark = 0
        self._positions: list[tuple[int, int]] = []
        view = memoryview(data)
        position = 0
        while position + HEADER_SIZE <= len(view):
            end = position + read_header(view, position).size
            if end > len(view):
                break
            self.append(bytes(view[position:end]))
            position = end

    def append(self, batch: bytes) -> None:
        if self.fail_append is not None:
            raise self.fail_append
        header = read_header(batch)
        if not self._positions:
            self.start_offset = header.base_offset
        self._positions.append((header.base_offset, len(self.data)))
        self.data += batch
        self.end_offset = header.next_offset
        self.last_epoch = header.leader_epoch

    def read(self, offset: int, max_bytes: int) -> bytes:
        if offset >= self.end_offset:
            return b""
        start = next((place for base, place in reversed(self._positions) if base <= offset), 0)
        end = start
        while end == start or (end < len(self.data) and end - start < max_bytes):
            end += read_header(self.data, end).size
        return bytes(self.data[start:end])

    def file_of(self, offset: int) -> str:
        return self.directory

    def request_flush(self) -> None:
        self.flush_wanted = True
        if self.inline:
            self.flush()

    def flush(self) -> None:
        self.flush_wanted = False
        self.flush_count += 1
        self.durable_size = len(self.data)
        if self.on_durable is not None:
            self.on_durable(self.end_offset)

    def note_committed(self, high_watermark: int) -> None:
        self.high_watermark = high_watermark

    def end_offset_for_epoch(self, epoch: int) -> tuple[int, int]:
        for _, place in reversed(self._positions):
            header = read_header(self.data, place)
            if header.leader_epoch <= epoch:
                return header.leader_epoch, header.next_offset
        return 0, self.start_offset

    def rebuild_epochs(self) -> None:
        """They are never wrong here."""

    def truncate(self, offset: int) -> None:
        while self._positions and read_header(self.data, self._positions[-1][1]).next_offset > offset:
            self.end_offset, place = self._positions.pop()
            del self.data[place:]
            self.durable_size = min(self.durable_size, place)
        self.last_epoch = (
            read_header(self.data, self._positions[-1][1]).leader_epoch if self._positions else 0
        )

    def reset(self, offset: int) -> None:
        self.data.clear()
        self._positions.clear()
        self.durable_size = 0
        self.start_offset = self.end_offset = offset
        self.last_epoch = 0

    def trim(self, offset: int) -> None:
        """Drops whole batches, as if each were a segment."""
        while self._positions and read_header(self.data).next_offset <= offset:
            size = read_header(self.data).size
            del self.data[:size]
            self.durable_size -= size
            self._positions = [(base, place - size) for base, place in self._positions[1:]]
        self.start_offset = max(self.start_offset, offset)
