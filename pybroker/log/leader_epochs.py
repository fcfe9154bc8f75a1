"""The leader epochs of one log: `leader-epoch-checkpoint`, lines of `epoch startOffset`.

In: the epoch of each append, truncations. Out: where an epoch ended. What must hold: epochs and start
offsets increase from line to line.
"""

from __future__ import annotations

from bisect import bisect_right
from itertools import pairwise

from pybroker.common.errors import CorruptionError

UNDEFINED_EPOCH = -1
UNDEFINED_OFFSET = -1
_NOWHERE = 1 << 63


class LeaderEpochs:
    """(epoch, start offset) pairs of one log. The owner writes `encode()` to the file when it `is_due`.

    The file may differ from the log's end on, as a start drops what is there: an epoch is written when it
    has records, so a thousand leaders may begin one without a thousand writes.
    """

    __slots__ = ("_differs_from", "_epochs", "_starts")

    def __init__(self) -> None:
        self._epochs: list[int] = []
        self._starts: list[int] = []
        # Below this offset the file says what is here.
        self._differs_from = _NOWHERE

    def is_due(self, log_end_offset: int) -> bool:
        """Whether the file has to be written for a log that ends at `log_end_offset`."""
        return self._differs_from < log_end_offset

    def note_changed(self) -> None:
        """The file is to be written in any case."""
        self._differs_from = -1

    def note_saved(self) -> None:
        """What `encode` says now is in the file, or being written."""
        self._differs_from = _NOWHERE

    def _pop(self) -> None:
        self._differs_from = min(self._differs_from, self._starts.pop())
        self._epochs.pop()

    @property
    def entries(self) -> list[tuple[int, int]]:
        return list(zip(self._epochs, self._starts, strict=True))

    @property
    def latest(self) -> int:
        """The newest epoch, -1 without one."""
        return self._epochs[-1] if self._epochs else UNDEFINED_EPOCH

    def assign(self, epoch: int, start_offset: int) -> None:
        """Note that `epoch` starts at `start_offset`. Entries that contradict it go, as in Kafka."""
        if self._epochs and self._epochs[-1] == epoch:
            return
        while self._epochs and (self._epochs[-1] >= epoch or self._starts[-1] >= start_offset):
            self._pop()
        self._epochs.append(epoch)
        self._starts.append(start_offset)
        self._differs_from = min(self._differs_from, start_offset)

    def epoch_for_offset(self, offset: int) -> int:
        """The epoch in which `offset` was written, -1 when it is before all entries."""
        index = bisect_right(self._starts, offset) - 1
        return self._epochs[index] if index >= 0 else UNDEFINED_EPOCH

    def end_offset_for(self, epoch: int, log_end_offset: int) -> tuple[int, int]:
        """(largest known epoch <= `epoch`, its end offset); (-1, -1) when the epoch is not known."""
        if epoch == UNDEFINED_EPOCH or not self._epochs:
            return UNDEFINED_EPOCH, UNDEFINED_OFFSET
        if epoch == self._epochs[-1]:
            return epoch, log_end_offset
        index = bisect_right(self._epochs, epoch)
        if index == len(self._epochs):
            return UNDEFINED_EPOCH, UNDEFINED_OFFSET
        return (epoch if index == 0 else self._epochs[index - 1]), self._starts[index]

    def truncate_from_end(self, end_offset: int) -> None:
        """Remove the entries that start at or above `end_offset`."""
        while self._starts and self._starts[-1] >= end_offset:
            self._pop()

    def truncate_from_start(self, start_offset: int) -> None:
        """Remove the entries that end at or before `start_offset`; the one it falls into starts there."""
        index = bisect_right(self._starts, start_offset) - 1
        if index >= 0 and (index > 0 or self._starts[0] != start_offset):
            del self._epochs[:index]
            del self._starts[:index]
            self._starts[0] = start_offset
            self.note_changed()

    def clear(self) -> None:
        while self._epochs:
            self._pop()

    def take(self, other: LeaderEpochs) -> None:
        """Be the epochs of another log, which has the same batches."""
        if self.entries != other.entries:
            self._epochs, self._starts = list(other._epochs), list(other._starts)
            self.note_changed()

    def complete(self, entries: list[tuple[int, int]]) -> None:
        """Take from what was known before the batches were read as much as says the same of them: compaction
        may have removed those that an epoch began with, and followers would be told a wrong end of the one
        before."""
        before = LeaderEpochs()
        for epoch, start in entries:
            before.assign(epoch, start)
        agreed = UNDEFINED_EPOCH
        for epoch, start in self.entries:
            if before.epoch_for_offset(start) != epoch:
                break
            agreed = epoch
        completed = LeaderEpochs()
        for epoch, start in before.entries:
            if epoch <= agreed:
                completed.assign(epoch, start)
        for epoch, start in self.entries:
            if epoch > agreed:
                completed.assign(epoch, start)
        self.take(completed)

    def encode(self) -> bytes:
        lines = [f"{epoch} {start}\n" for epoch, start in zip(self._epochs, self._starts, strict=True)]
        return f"0\n{len(lines)}\n{''.join(lines)}".encode()

    def decode(self, content: bytes) -> None:
        """Take the content of the file. CorruptionError when it makes no sense."""
        try:
            lines = content.decode("ascii").splitlines()
            if not lines:
                pairs = []
            else:
                if int(lines[0]) != 0 or int(lines[1]) != len(lines) - 2:
                    raise ValueError("wrong version or count")
                pairs = [(int(epoch), int(start)) for epoch, start in (line.split() for line in lines[2:])]
        except (ValueError, IndexError, UnicodeDecodeError) as error:
            raise CorruptionError(f"leader-epoch-checkpoint cannot be read: {error}") from error
        if any(a[0] >= b[0] or a[1] > b[1] for a, b in pairwise(pairs)):
            raise CorruptionError("leader-epoch-checkpoint: lines do not increase")
        self._epochs = [epoch for epoch, _ in pairs]
        self._starts = [start for _, start in pairs]
        self.note_saved()
