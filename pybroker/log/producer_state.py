"""What one log knows of its idempotent and transactional producers, and its snapshots `<offset>.snapshot`.

    version i16 = 1, crc u32 (CRC-32C from byte 6 on), count i32, then 46 bytes an entry:
    producerId i64, epoch i16, lastSequence i32, lastOffset i64, offsetDelta i32, timestamp i64,
    coordinatorEpoch i32, currentTxnFirstOffset i64 (-1 none)

In: the header of a batch. Out: new, duplicate or refused. `check` changes nothing; `update` is called after
the batch is in the log, so state and log never disagree. What must hold: the last five batches of each
producer are remembered. A snapshot has only the last one; entries that came from a snapshot are `partial`
until the log is read again for the others (`take_batches`), which is done when it matters: when a batch
would be refused for its sequence.

The first batch of a transaction is appended only with the `Verification` of its producer that was current
when the transaction coordinator was asked (KIP-890): every append and marker of the producer makes it stale,
so an answer of the coordinator that a marker has overtaken opens nothing.
"""

from __future__ import annotations

import struct
from typing import Final, NamedTuple

from crc32c import crc32c

from pybroker.common.errors import CorruptionError, ErrorCode

WINDOW: Final = 5
_NO_EPOCH: Final = -1
_NO_SEQUENCE: Final = -1
_SEQUENCE_MASK: Final = 0x7FFFFFFF
_HEAD: Final = struct.Struct(">hIi")
_ENTRY: Final = struct.Struct(">qhiqiqiq")
_CRC_START: Final = 6
_ENDED_MIN: Final = 64
_VERSION: Final = 1


class ProducerBatch(NamedTuple):
    """One remembered batch of a producer."""

    base_sequence: int
    last_sequence: int
    base_offset: int
    last_offset: int
    timestamp: int


class ProducerEntry:
    """State of one producer id."""

    __slots__ = (
        "batches",
        "coordinator_epoch",
        "epoch",
        "last_timestamp",
        "partial",
        "producer_id",
        "transaction_first_offset",
    )

    def __init__(self, producer_id: int, epoch: int) -> None:
        self.producer_id = producer_id
        self.epoch = epoch
        # Oldest first; at most WINDOW.
        self.batches: list[ProducerBatch] = []
        self.last_timestamp = -1
        self.coordinator_epoch = -1
        self.transaction_first_offset = -1
        self.partial = False

    @property
    def last_sequence(self) -> int:
        return self.batches[-1].last_sequence if self.batches else _NO_SEQUENCE


class Verification:
    """A question to the transaction coordinator, under way: may this producer open a transaction here?

    Known by identity. `strict`: a producer of which nothing is known starts at sequence 0 (transactions v2).
    """

    __slots__ = ("epoch", "lowest_sequence", "strict", "timestamp")

    def __init__(self, epoch: int, sequence: int, strict: bool, now_ms: int) -> None:
        self.epoch = epoch
        self.timestamp = now_ms
        # Of all batches that wait for an answer, the one that has to come first.
        self.lowest_sequence = sequence
        self.strict = strict


def last_sequence(base_sequence: int, last_offset_delta: int) -> int:
    """The sequence of a batch's last record; after 2^31-1 comes 0."""
    return (base_sequence + last_offset_delta) & _SEQUENCE_MASK if base_sequence >= 0 else _NO_SEQUENCE


class ProducerState:
    """All producers of one log."""

    __slots__ = (
        "_ended",
        "_ended_max",
        "_expiration_ms",
        "_open_transactions",
        "_verifications",
        "entries",
    )

    def __init__(self, expiration_ms: int = 86_400_000) -> None:
        self._expiration_ms = expiration_ms
        self.entries: dict[int, ProducerEntry] = {}
        # producer id -> first offset of its open transaction, lowest offset first.
        self._open_transactions: dict[int, int] = {}
        # (first offset, marker offset) of ended transactions whose marker may lie above the high watermark.
        self._ended: list[tuple[int, int]] = []
        # Where nobody asks for the last stable offset they are looked through when there are so many.
        self._ended_max = _ENDED_MIN
        self._verifications: dict[int, Verification] = {}

    @property
    def first_open_offset(self) -> int:
        """First offset of the oldest open transaction, -1 without one."""
        for offset in self._open_transactions.values():
            return offset
        return -1

    def last_stable_offset(self, high_watermark: int) -> int:
        """Below it there is nothing of a transaction that is open, or whose marker is not committed yet."""
        stable = high_watermark
        for offset in self._open_transactions.values():
            if offset < stable:
                stable = offset
            break
        if self._ended:
            self.forget_ended(high_watermark)
            for offset, _ in self._ended:
                if offset < stable:
                    stable = offset
        return stable

    @property
    def ended_is_full(self) -> bool:
        """Whether `forget_ended` is due: followers and internal partitions are asked for nothing else."""
        return len(self._ended) >= self._ended_max

    def forget_ended(self, high_watermark: int) -> None:
        """Forget ended transactions whose marker is committed."""
        self._ended = [entry for entry in self._ended if entry[1] >= high_watermark]
        self._ended_max = max(_ENDED_MIN, 2 * len(self._ended))

    def has_open_transaction(self, producer_id: int, epoch: int) -> bool:
        entry = self.entries.get(producer_id)
        return entry is not None and entry.transaction_first_offset >= 0 and entry.epoch == epoch

    def in_open_transaction(self, producer_id: int) -> bool:
        return producer_id in self._open_transactions

    def start_verification(
        self, producer_id: int, epoch: int, sequence: int, now_ms: int, *, strict: bool
    ) -> Verification | ErrorCode | None:
        """What the first batch of a transaction has to bring along; None when the transaction is open.

        An epoch that is over is refused without asking the coordinator.
        """
        if self.has_open_transaction(producer_id, epoch):
            return None
        entry = self.entries.get(producer_id)
        if entry is not None and epoch < entry.epoch:
            return ErrorCode.INVALID_PRODUCER_EPOCH
        verification = self._verifications.get(producer_id)
        if verification is None:
            verification = self._verifications[producer_id] = Verification(epoch, sequence, strict, now_ms)
        elif epoch > verification.epoch:
            verification.epoch, verification.lowest_sequence = epoch, sequence
        elif epoch == verification.epoch and sequence < verification.lowest_sequence:
            verification.lowest_sequence = sequence
        return verification

    def check_admitted(
        self, producer_id: int, epoch: int, verification: Verification | None
    ) -> ErrorCode | None:
        """Why a transactional batch may not be appended: its transaction is not open, and may not be opened.

        The epoch comes first (KAFKA-19690): a producer that was fenced is told so, and can go on.
        """
        entry = self.entries.get(producer_id)
        if entry is not None and epoch < entry.epoch:
            return ErrorCode.INVALID_PRODUCER_EPOCH
        if self.has_open_transaction(producer_id, epoch):
            return None
        current = self._verifications.get(producer_id)
        return ErrorCode.INVALID_TXN_STATE if current is None or current is not verification else None

    def check_transactional(
        self, producer_id: int, epoch: int, sequence: int, verification: Verification | None
    ) -> ErrorCode | None:
        """As `check_admitted`, for a producer's batch that is no duplicate."""
        refusal = self.check_admitted(producer_id, epoch, verification)
        if refusal is not None or self.has_open_transaction(producer_id, epoch):
            return refusal
        current = self._verifications[producer_id]
        entry = self.entries.get(producer_id)
        if current.strict and sequence and (entry is None or not entry.batches):
            return _OUT_OF_ORDER
        return _OUT_OF_ORDER if sequence > current.lowest_sequence else None

    def check_marker(
        self, producer_id: int, epoch: int, coordinator_epoch: int, transaction_version: int
    ) -> ErrorCode | None:
        """Why a marker may not be appended; None for one to append.

        With transactions v2 every marker has a higher epoch than the records that it ends (KIP-1228). The one
        with the same epoch, where nothing is open, repeats a marker that is here already (KAFKA-19999).
        """
        entry = self.entries.get(producer_id)
        if entry is None:
            return None
        if epoch < entry.epoch:
            return ErrorCode.INVALID_PRODUCER_EPOCH
        if transaction_version >= 2 and epoch == entry.epoch and entry.transaction_first_offset >= 0:
            return ErrorCode.INVALID_PRODUCER_EPOCH
        if coordinator_epoch < entry.coordinator_epoch:
            return ErrorCode.TRANSACTION_COORDINATOR_FENCED
        return None

    def check(
        self, producer_id: int, epoch: int, base_sequence: int, last_offset_delta: int
    ) -> ErrorCode | ProducerBatch | None:
        """None: append it. A ProducerBatch: it is in the log already, there. An ErrorCode: refuse it."""
        entry = self.entries.get(producer_id)
        if entry is None:
            return None
        batches = entry.batches
        if epoch == entry.epoch:
            if not batches:
                # Only a marker is known (or nothing): a fresh epoch must start at 0.
                return None if base_sequence == 0 or epoch == _NO_EPOCH else _OUT_OF_ORDER
            if base_sequence == (batches[-1].last_sequence + 1) & _SEQUENCE_MASK:
                return None
            last = last_sequence(base_sequence, last_offset_delta)
            for batch in batches:
                if batch.base_sequence == base_sequence and batch.last_sequence == last:
                    return batch
            return None if epoch == _NO_EPOCH else _OUT_OF_ORDER
        if epoch < entry.epoch:
            return ErrorCode.INVALID_PRODUCER_EPOCH
        if base_sequence != 0 and entry.epoch != _NO_EPOCH:
            return _OUT_OF_ORDER
        return None

    def is_next(self, producer_id: int, epoch: int, base_sequence: int) -> bool:
        """Whether a batch follows directly on the last one of a producer that is known with this epoch and
        has no transaction open."""
        entry = self.entries.get(producer_id)
        if entry is None or entry.epoch != epoch or not entry.batches or base_sequence < 0:
            return False
        if producer_id in self._open_transactions:
            return False
        return base_sequence == (entry.batches[-1].last_sequence + 1) & _SEQUENCE_MASK

    def is_partial(self, producer_id: int) -> bool:
        """Whether a refusal may be wrong because older batches of the producer were not read yet."""
        entry = self.entries.get(producer_id)
        return entry is not None and entry.partial

    def update(
        self,
        producer_id: int,
        epoch: int,
        base_sequence: int,
        base_offset: int,
        last_offset_delta: int,
        timestamp: int,
        transactional: bool,
    ) -> None:
        """A data batch of this producer is in the log at `base_offset`."""
        if self._verifications:
            self._verifications.pop(producer_id, None)
        entry = self.entries.get(producer_id)
        if entry is None:
            entry = self.entries[producer_id] = ProducerEntry(producer_id, epoch)
        elif epoch != entry.epoch:
            entry.epoch = epoch
            entry.batches = []
            entry.partial = False
        batches = entry.batches
        if len(batches) == WINDOW:
            del batches[0]
        batches.append(
            ProducerBatch(
                base_sequence,
                last_sequence(base_sequence, last_offset_delta),
                base_offset,
                base_offset + last_offset_delta,
                timestamp,
            )
        )
        entry.last_timestamp = timestamp
        if transactional and entry.transaction_first_offset < 0:
            entry.transaction_first_offset = base_offset
            self._open_transactions[producer_id] = base_offset

    def end_transaction(
        self, producer_id: int, epoch: int, coordinator_epoch: int, timestamp: int, offset: int
    ) -> int:
        """A marker is in the log at `offset`. Returns the first offset of the transaction it ends, or -1."""
        self._verifications.pop(producer_id, None)
        entry = self.entries.get(producer_id)
        if entry is None:
            entry = self.entries[producer_id] = ProducerEntry(producer_id, epoch)
        elif epoch > entry.epoch:
            entry.epoch = epoch
            entry.batches = []
            entry.partial = False
        first_offset = entry.transaction_first_offset
        entry.transaction_first_offset = -1
        entry.coordinator_epoch = max(entry.coordinator_epoch, coordinator_epoch)
        entry.last_timestamp = timestamp
        if first_offset >= 0:
            self._open_transactions.pop(producer_id, None)
            self._ended.append((first_offset, offset))
        return first_offset

    def expire(self, now_ms: int) -> int:
        """Forget producers without an open transaction that were silent too long, and questions to the
        transaction coordinator as old; returns how many producers."""
        limit = now_ms - self._expiration_ms
        if self._verifications:
            self._verifications = {
                producer_id: verification
                for producer_id, verification in self._verifications.items()
                if verification.timestamp > limit
            }
        old = [
            producer_id
            for producer_id, entry in self.entries.items()
            if entry.last_timestamp <= limit and entry.transaction_first_offset < 0
        ]
        for producer_id in old:
            del self.entries[producer_id]
        return len(old)

    def set_expiration(self, expiration_ms: int) -> None:
        self._expiration_ms = expiration_ms

    def clear(self) -> None:
        self.entries.clear()
        self._open_transactions.clear()
        self._ended.clear()
        self._verifications.clear()

    def take_batches(self, found: dict[int, list[tuple[int, ProducerBatch]]]) -> None:
        """Complete the partial entries from older batches: (epoch, batch) per producer, oldest first."""
        for producer_id, entry in self.entries.items():
            if not entry.partial:
                continue
            entry.partial = False
            older = [
                batch
                for epoch, batch in found.get(producer_id, ())
                if epoch == entry.epoch
                and (not entry.batches or batch.last_offset < entry.batches[0].base_offset)
            ]
            entry.batches = (older + entry.batches)[-WINDOW:]

    def encode(self) -> bytes:
        """The content of a snapshot file."""
        body = bytearray(_HEAD.size)
        for entry in self.entries.values():
            if entry.batches:
                batch = entry.batches[-1]
                last, offset = batch.last_sequence, batch.last_offset
                delta, timestamp = batch.last_offset - batch.base_offset, entry.last_timestamp
            else:
                last, offset, delta, timestamp = _NO_SEQUENCE, -1, 0, entry.last_timestamp
            body += _ENTRY.pack(
                entry.producer_id,
                entry.epoch,
                last,
                offset,
                delta,
                timestamp,
                entry.coordinator_epoch,
                entry.transaction_first_offset,
            )
        _HEAD.pack_into(body, 0, _VERSION, 0, len(self.entries))
        _HEAD.pack_into(body, 0, _VERSION, crc32c(memoryview(body)[_CRC_START:]), len(self.entries))
        return bytes(body)

    def decode(self, content: bytes, now_ms: int) -> None:
        """Take the content of a snapshot file; producers that expired are left out."""
        if len(content) < _HEAD.size:
            raise CorruptionError(f"producer snapshot has {len(content)} bytes")
        version, crc, count = _HEAD.unpack_from(content)
        if version != _VERSION:
            raise CorruptionError(f"producer snapshot has version {version}")
        if crc32c(memoryview(content)[_CRC_START:]) != crc:
            raise CorruptionError("producer snapshot has a wrong checksum")
        if count < 0 or len(content) != _HEAD.size + count * _ENTRY.size:
            raise CorruptionError(f"producer snapshot has {count} entries in {len(content)} bytes")
        self.clear()
        limit = now_ms - self._expiration_ms
        for fields in _ENTRY.iter_unpack(memoryview(content)[_HEAD.size :]):
            producer_id, epoch, last, offset, delta, timestamp, coordinator_epoch, first_offset = fields
            if first_offset < 0 and timestamp <= limit:
                continue
            entry = ProducerEntry(producer_id, epoch)
            if offset >= 0:
                base = (last - delta) & _SEQUENCE_MASK if last >= 0 else _NO_SEQUENCE
                entry.batches.append(ProducerBatch(base, last, offset - delta, offset, timestamp))
                entry.partial = True
            entry.last_timestamp = timestamp
            entry.coordinator_epoch = coordinator_epoch
            entry.transaction_first_offset = first_offset
            self.entries[producer_id] = entry
            if first_offset >= 0:
                self._open_transactions[producer_id] = first_offset
        self._open_transactions = dict(sorted(self._open_transactions.items(), key=lambda item: item[1]))


_OUT_OF_ORDER: Final = ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER
EMPTY_SNAPSHOT: Final = ProducerState().encode()
