"""Replay at start: from the newest snapshot and the log to the image that they mean.

In: a directory with snapshots and the log. Out: `Loaded`. What must hold: the image is the one that the
records made when they were written; a metadata transaction counts only with its end; nothing is skipped.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from pybroker.common.errors import CorruptionError, ProtocolError
from pybroker.common.files import FileSystem
from pybroker.metadata.image import MetadataImage, empty_image
from pybroker.metadata.records import ImageBuilder
from pybroker.raft.log import RaftLog
from pybroker.raft.snapshot import SnapshotId, load_latest_snapshot
from pybroker.raft.voters import NO_VOTERS, VoterHistory, VoterSet
from pybroker.records.batch import iter_headers, iter_records
from pybroker.records.control import ControlRecord, ControlType, read_control_batch
from pybroker.wire.message import Message
from pybroker.wire.schemas.metadata_records import (
    AbortTransactionRecord,
    BeginTransactionRecord,
    EndTransactionRecord,
    decode_control,
    decode_record,
)

_READ_BYTES: Final = 4 * 1024 * 1024


class Loaded(NamedTuple):
    """The state at the end of the log. `in_transaction`: it ends within one, to be aborted by the leader.
    `history`: who votes in the quorum, as snapshot and log state it. `snapshot`: the one it starts from."""

    image: MetadataImage
    in_transaction: bool
    history: VoterHistory
    snapshot: SnapshotId | None
    last_timestamp_ms: int
    bytes_since_snapshot: int


class _Replay:
    """Feeds a builder; keeps the records of an open transaction back."""

    __slots__ = ("builder", "transaction")

    def __init__(self, builder: ImageBuilder) -> None:
        self.builder = builder
        self.transaction: list[Message] | None = None

    def data(self, value: bytes | None) -> None:
        try:
            record = decode_record(value or b"")
        except ProtocolError as error:
            raise CorruptionError(f"metadata record cannot be read: {error}") from error
        kind = type(record)
        if kind is BeginTransactionRecord:
            if self.transaction is not None:
                raise CorruptionError("metadata transaction begins within another one")
            self.transaction = []
        elif kind is EndTransactionRecord or kind is AbortTransactionRecord:
            if self.transaction is None:
                raise CorruptionError("metadata transaction ends without having begun")
            records, self.transaction = self.transaction, None
            if kind is EndTransactionRecord:
                for kept in records:
                    self.builder.replay(kept)
        elif self.transaction is not None:
            self.transaction.append(record)
        else:
            self.builder.replay(record)

    def control(self, record: ControlRecord) -> None:
        if record.type == ControlType.KRAFT_VERSION:
            self.builder.replay(decode_control(record.type, record.value))


def load(files: FileSystem, log: RaftLog, cluster_id: str, voters: VoterSet = NO_VOTERS) -> Loaded:
    """Replay everything. CorruptionError when the snapshot and the log do not meet, or a record is bad.

    `voters` vote as long as the log states nobody (kraft.version 0).
    """
    replay = _Replay(ImageBuilder(empty_image(cluster_id)))
    history = VoterHistory(voters)
    offset = epoch = last_timestamp_ms = size = 0
    found = load_latest_snapshot(files, log.directory) if files.exists(log.directory) else None
    if found is not None:
        snapshot, content = found
        offset, epoch = snapshot
        history.reset(offset, content.control_records)
        for control in content.control_records:
            replay.control(control)
        for value in content.values:
            replay.data(value)
    if log.start_offset > offset or log.end_offset < offset:
        raise CorruptionError(
            f"metadata snapshot ends at {offset}, the log goes from {log.start_offset} to {log.end_offset}"
        )
    while offset < log.end_offset:
        chunk = log.read(offset, _READ_BYTES)
        before = offset
        for position, header in iter_headers(chunk):
            epoch = header.leader_epoch
            last_timestamp_ms = header.max_timestamp
            size += header.size
            batch = memoryview(chunk)[position : position + header.size]
            if header.is_control:
                for control in read_control_batch(batch):
                    if control.offset >= offset:
                        replay.control(control)
                        history.add(control.offset, control)
            else:
                for record in iter_records(batch, header=header):
                    if record.offset >= offset:
                        replay.data(record.value)
            offset = header.next_offset
        if offset == before:
            raise CorruptionError(f"metadata log cannot be read at offset {offset}")
    image, _ = replay.builder.build(offset - 1, epoch)
    start = None if found is None else found[0]
    return Loaded(image, replay.transaction is not None, history, start, last_timestamp_ms, size)
