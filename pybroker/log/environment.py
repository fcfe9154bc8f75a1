"""What all logs of one broker share: files, clock, randomness, and the bounded cache of what can be reopened.

In: a segment that wants to be read. Out: its read descriptor, its loaded indexes. What must hold: at most
`max_files` read descriptors and about `max_index_bytes` of indexes of rolled segments are held; write
descriptors beyond `max_write_files` are given back as soon as what they wrote is synced; and running out of
descriptors is answered by closing some and trying again, never taken for a broken disk.
"""

from __future__ import annotations

import errno
import random
from collections import OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, TypeVar

from pybroker.common.clock import Clock
from pybroker.common.files import File, FileSystem

if TYPE_CHECKING:
    from pybroker.log.read_ahead import ReadAhead
    from pybroker.log.segment import Segment

T = TypeVar("T")
NO_DESCRIPTORS: Final = frozenset({errno.EMFILE, errno.ENFILE})
DISK_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})
# Descriptors that are to be free again after there were none: a roll, a checkpoint and a few connections.
_RESERVE: Final = 16


def _ignore(message: str) -> None:
    """Where the reports of a log go when nobody wants them."""


class LogEnvironment:
    """Shared by reference; cheap to make for a single log in a test."""

    __slots__ = (
        "_files_open",
        "_index_bytes",
        "_indexes_loaded",
        "clock",
        "files",
        "max_files",
        "max_index_bytes",
        "max_write_files",
        "producer_expiration_ms",
        "read_ahead",
        "release_files",
        "report",
        "rng",
        "write_file_count",
    )

    def __init__(
        self,
        files: FileSystem,
        clock: Clock,
        rng: random.Random,
        *,
        max_files: int = 512,
        max_write_files: int = 4096,
        max_index_bytes: int = 32 * 1024 * 1024,
        producer_expiration_ms: int = 86_400_000,
        report: Callable[[str], None] = _ignore,
    ) -> None:
        self.files = files
        self.clock = clock
        self.rng = rng
        self.max_files = max_files
        self.max_write_files = max_write_files
        # Descriptors of active segments. Whoever owns the logs sets `release_files`: it closes some of them
        # at once, syncing first if it must (True), or as far as no sync is needed (False).
        self.write_file_count = 0
        self.release_files: Callable[[bool], None] | None = None
        self.max_index_bytes = max_index_bytes
        self.producer_expiration_ms = producer_expiration_ms
        # Called with one line for things an operator should know: truncations, dropped checkpoints.
        self.report = report
        # For consumers, where someone calls it back; set once by the broker.
        self.read_ahead: ReadAhead | None = None
        self._files_open: OrderedDict[Segment, File] = OrderedDict()
        self._indexes_loaded: OrderedDict[Segment, int] = OrderedDict()
        self._index_bytes = 0

    @property
    def open_file_count(self) -> int:
        return len(self._files_open)

    def read_file(self, segment: Segment) -> File:
        """An open descriptor of a segment's log file, for reading."""
        file = self._files_open.get(segment)
        if file is not None:
            self._files_open.move_to_end(segment)
            return file
        file = self.with_descriptors(lambda: self.files.open(segment.path(".log"), read_only=True))
        self._files_open[segment] = file
        if len(self._files_open) > self.max_files:
            self._files_open.popitem(last=False)[1].close()
        return file

    def with_descriptors(self, action: Callable[[], T]) -> T:
        """Do something that needs a descriptor; if there is none, close others and try again."""
        try:
            return action()
        except OSError as error:
            if error.errno not in NO_DESCRIPTORS:
                raise
        # Half of the cache goes, and what is being written too where that is little.
        closed = (len(self._files_open) + 1) // 2
        for _ in range(closed):
            self._files_open.popitem(last=False)[1].close()
        if closed < _RESERVE and self.release_files is not None:
            self.release_files(True)
        return action()

    def open_for_write(self, path: str) -> File:
        """A descriptor of an active segment, made when missing; `close_written` gives it back."""
        if self.write_file_count >= self.max_write_files and self.release_files is not None:
            self.release_files(False)
        file = self.with_descriptors(lambda: self.files.open(path, create=True))
        self.write_file_count += 1
        return file

    def close_written(self, file: File) -> None:
        self.write_file_count -= 1
        file.close()

    def note_indexes(self, segment: Segment, size: int) -> None:
        """A rolled segment loaded or used its indexes; others may have to go."""
        self._index_bytes += size - self._indexes_loaded.get(segment, 0)
        self._indexes_loaded[segment] = size
        self._indexes_loaded.move_to_end(segment)
        while self._index_bytes > self.max_index_bytes and len(self._indexes_loaded) > 1:
            oldest, old_size = next(iter(self._indexes_loaded.items()))
            if oldest is segment:
                break
            del self._indexes_loaded[oldest]
            self._index_bytes -= old_size
            oldest.unload_indexes()

    def forget_file(self, segment: Segment) -> None:
        """The segment has a descriptor of its own now, or none is needed."""
        file = self._files_open.pop(segment, None)
        if file is not None:
            file.close()

    def forget(self, segment: Segment) -> None:
        """The segment is closed or removed."""
        self.forget_file(segment)
        self._index_bytes -= self._indexes_loaded.pop(segment, 0)
        self.forget_content(segment)

    def forget_content(self, segment: Segment) -> None:
        """What was read of the segment in advance may not be there any more."""
        if self.read_ahead is not None:
            self.read_ahead.forget(segment)
