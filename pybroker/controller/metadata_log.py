"""The metadata log on disk: `PartitionLog` as raft wants a log, flushed by the rounds of its LogManager.

In: batches that carry their final offset and epoch. Out: bytes, and `on_durable` after each round. What must
hold: only what a round has synced is told to be durable.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from pybroker.common.errors import InvariantError, StorageError
from pybroker.controller.topic_names import CLUSTER_METADATA
from pybroker.log.config import LogConfig
from pybroker.log.manager import LogManager
from pybroker.log.partition_log import PartitionLog
from pybroker.log.recovery import rebuild_epochs

CLUSTER_METADATA_ID: Final = bytes(15) + b"\x01"


class PartitionRaftLog:
    """A view of one PartitionLog."""

    __slots__ = ("_log", "on_durable")

    def __init__(self, log: PartitionLog) -> None:
        self._log = log
        self.on_durable: Callable[[int], None] | None = None
        log.on_flush = self._flushed

    def _flushed(self, end_offset: int) -> None:
        if self.on_durable is not None:
            self.on_durable(end_offset)

    @property
    def directory(self) -> str:
        return self._log.directory

    @property
    def start_offset(self) -> int:
        return self._log.log_start_offset

    @property
    def end_offset(self) -> int:
        return self._log.log_end_offset

    @property
    def last_epoch(self) -> int:
        return max(self._log.epochs.latest, 0)

    def append(self, batch: bytes) -> None:
        info = self._log.append_records(batch)
        if info.base_offset != int.from_bytes(batch[:8], "big"):
            raise InvariantError("the metadata log and its leader disagree about the end offset")

    def read(self, offset: int, max_bytes: int) -> bytes:
        return bytes(self._log.read(offset, max_bytes, min_one_batch=True).records)

    def file_of(self, offset: int) -> str:
        log = self._log
        return log.segments[log.segment_for(offset)].path(".log")

    def request_flush(self) -> None:
        self._log.request_flush()

    def flush(self) -> None:
        self._log.flush()

    def note_committed(self, high_watermark: int) -> None:
        self._log.high_watermark = high_watermark

    def end_offset_for_epoch(self, epoch: int) -> tuple[int, int]:
        log = self._log
        found, end_offset = log.epochs.end_offset_for(min(epoch, log.epochs.latest), log.log_end_offset)
        # An epoch before all known ones: the answer is where the first known one starts.
        return (found, end_offset) if 0 <= found <= epoch and end_offset >= 0 else (0, log.log_start_offset)

    def rebuild_epochs(self) -> None:
        rebuild_epochs(self._log)

    def truncate(self, offset: int) -> None:
        self._log.truncate_to(offset)

    def reset(self, offset: int) -> None:
        self._log.truncate_fully(offset)

    def trim(self, offset: int) -> None:
        log = self._log
        log.increment_log_start(offset)
        try:
            log.remove_segments(sum(s.base_offset <= offset for s in log.segments[1:]), "snapshot")
        except (OSError, StorageError) as error:
            # What is left goes with the next snapshot.
            log.environment.report(f"{log.name}: old segments cannot be removed: {error}")


def open_metadata_log(
    logs: LogManager, *, segment_bytes: int = 1 << 30, segment_ms: int = 604_800_000, alone: bool = False
) -> PartitionRaftLog:
    """The metadata log of this node, made when missing. To be called before `logs.load`. StorageError.

    `alone`: nobody else has the records. Where what was synced is damaged, that is a CorruptionError; other
    logs end there, and get the rest from their leader.
    """
    config = LogConfig(
        # Neither time nor size removes metadata, only snapshots do.
        cleanup_policy=(),
        retention_ms=-1,
        segment_bytes=segment_bytes,
        segment_ms=segment_ms,
    )
    log = logs.get_or_create(CLUSTER_METADATA, 0, CLUSTER_METADATA_ID, config, guarded=alone)
    return PartitionRaftLog(log)
