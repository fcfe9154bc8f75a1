"""Replay: from batches of the metadata log, and from snapshots, to images.

In: committed batches in log order, or the content of a snapshot. Out: images with deltas. What must hold: an
image is the one that the records made when they were written; a metadata transaction counts only with its
end, so that no image, and no snapshot made of one, is from within a transaction; nothing is skipped.
"""

from __future__ import annotations

from pybroker.common.errors import CorruptionError, ProtocolError
from pybroker.metadata.delta import MetadataDelta
from pybroker.metadata.image import MetadataImage, empty_image
from pybroker.metadata.records import ImageBuilder
from pybroker.raft.snapshot import SnapshotContent, SnapshotId
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


def snapshot_image(cluster_id: str, snapshot: SnapshotId, content: SnapshotContent) -> MetadataImage:
    """The image that a snapshot holds. CorruptionError. Works on any thread."""
    replay = Replay(empty_image(cluster_id))
    for control in content.control_records:
        replay.control(control)
    for value in content.values:
        replay.data(value)
    if replay.in_transaction:
        raise CorruptionError(f"the snapshot {snapshot.file_name} ends within a metadata transaction")
    image, _ = replay.builder.build(snapshot.end_offset - 1, snapshot.epoch)
    return image


class Replay:
    """An image and what comes after it in the log."""

    __slots__ = ("_transaction", "builder", "bytes_since_snapshot", "end_offset", "image", "timestamp_ms")

    def __init__(self, image: MetadataImage, *, timestamp_ms: int = 0) -> None:
        self.image = image
        self.builder = ImageBuilder(image)
        self.end_offset = image.offset + 1
        """Everything below is replayed; within a transaction the image is older."""
        self.timestamp_ms = timestamp_ms
        """Of the newest batch in the image."""
        self.bytes_since_snapshot = 0
        self._transaction: list[Message] | None = None

    @property
    def in_transaction(self) -> bool:
        return self._transaction is not None

    def become(self, image: MetadataImage, size: int, timestamp_ms: int) -> None:
        """Take an image that was made when its batch, of `size` bytes, was written."""
        self.image = image
        self.builder = ImageBuilder(image)
        self.end_offset = image.offset + 1
        self.bytes_since_snapshot += size
        self.timestamp_ms = timestamp_ms

    def batches(self, chunk: bytes, end_offset: int) -> list[tuple[MetadataImage, MetadataDelta]]:
        """Replay what `chunk` has between the offset reached and `end_offset`, whole batches only. The new
        images, each with its delta: one, or one more before a transaction, or none within one.
        CorruptionError."""
        images: list[tuple[MetadataImage, MetadataDelta]] = []
        last = self.image.offset, self.image.epoch
        before = self.end_offset
        for position, header in iter_headers(chunk):
            if header.next_offset > end_offset:
                break
            self.bytes_since_snapshot += header.size
            batch = memoryview(chunk)[position : position + header.size]
            if header.is_control:
                for control in read_control_batch(batch):
                    if control.offset >= before:
                        self.control(control)
            else:
                for record in iter_records(batch, header=header):
                    if record.offset >= before:
                        began = self.data(record.value)
                        if began and record.offset == header.base_offset > self.image.offset + 1:
                            images.append(self._build(*last))
            self.end_offset = header.next_offset
            last = header.next_offset - 1, header.leader_epoch
            if self._transaction is None:
                self.timestamp_ms = header.max_timestamp
        if self.end_offset == before:
            raise CorruptionError(f"metadata log cannot be read at offset {before}")
        if self._transaction is None:
            images.append(self._build(*last))
        return images

    def _build(self, offset: int, epoch: int) -> tuple[MetadataImage, MetadataDelta]:
        self.image, delta = self.builder.build(offset, epoch)
        self.builder = ImageBuilder(self.image)
        return self.image, delta

    def data(self, value: bytes | None) -> bool:
        """Replay one record; whether a transaction begins with it."""
        try:
            record = decode_record(value or b"")
        except ProtocolError as error:
            raise CorruptionError(f"metadata record cannot be read: {error}") from error
        kind = type(record)
        if kind is BeginTransactionRecord:
            if self._transaction is not None:
                raise CorruptionError("metadata transaction begins within another one")
            self._transaction = []
            return True
        if kind is EndTransactionRecord or kind is AbortTransactionRecord:
            if self._transaction is None:
                raise CorruptionError("metadata transaction ends without having begun")
            records, self._transaction = self._transaction, None
            if kind is EndTransactionRecord:
                for kept in records:
                    self.builder.replay(kept)
        elif self._transaction is not None:
            self._transaction.append(record)
        else:
            self.builder.replay(record)
        return False

    def control(self, record: ControlRecord) -> None:
        if record.type == ControlType.KRAFT_VERSION:
            self.builder.replay(decode_control(record.type, record.value))
