"""A transactional id with its current transaction, and its record in `__transaction_state`.

In: a `Transaction`, or key and value of a record. Out: the other one. What must hold: what is written is what
Kafka 4.3 writes (value version 0 below transaction.version 1, else 1), and is read back to the same thing.
"""

from __future__ import annotations

import struct
from typing import Final, NamedTuple

from pybroker.common.errors import CorruptionError
from pybroker.transactions.transitions import NEXT, State
from pybroker.wire import codec
from pybroker.wire.schemas.transaction_records import (
    PartitionsSchema,
    TransactionLogKey,
    TransactionLogValue,
)

_VERSION: Final = struct.Struct(">h")
_KEY_VERSION: Final = 0
NO_ID: Final = -1
NO_EPOCH: Final = -1
EPOCH_MAX: Final = (1 << 15) - 1

TopicPartition = tuple[str, int]


class Transaction(NamedTuple):
    """What the coordinator knows of one transactional id. Times are wall-clock milliseconds, -1 for none."""

    transactional_id: str
    producer_id: int
    producer_epoch: int
    timeout_ms: int
    state: State
    partitions: frozenset[TopicPartition]
    start_ms: int
    last_update_ms: int
    # The producer id before the last change, and the one that comes with the completion (epochs used up).
    previous_producer_id: int = NO_ID
    next_producer_id: int = NO_ID
    # 2: the client knows transactions v2 (KIP-890), and the epoch grows with every transaction.
    client_version: int = 0

    @property
    def epoch_exhausted(self) -> bool:
        """The last epoch, 32767, is never given to a producer: it is left to fence the one before."""
        return self.producer_epoch >= EPOCH_MAX - 1


def encode_key(transactional_id: str) -> bytes:
    body = codec.encode(TransactionLogKey(transactional_id=transactional_id), _KEY_VERSION)
    return _VERSION.pack(_KEY_VERSION) + body


def decode_key(key: bytes) -> str:
    """The transactional id. CorruptionError or ProtocolError."""
    if len(key) < _VERSION.size:
        raise CorruptionError(f"transaction record key has {len(key)} bytes")
    (version,) = _VERSION.unpack_from(key)
    if version != _KEY_VERSION:
        raise CorruptionError(f"transaction record key has version {version}")
    return codec.decode(TransactionLogKey, version, key, _VERSION.size)[0].transactional_id


def encode_value(transaction: Transaction, version: int) -> bytes:
    partitions: list[PartitionsSchema] | None = None
    if transaction.state != State.EMPTY:
        by_topic: dict[str, list[int]] = {}
        for topic, partition in sorted(transaction.partitions):
            by_topic.setdefault(topic, []).append(partition)
        partitions = [PartitionsSchema(topic=topic, partition_ids=ids) for topic, ids in by_topic.items()]
    value = TransactionLogValue(
        producer_id=transaction.producer_id,
        previous_producer_id=transaction.previous_producer_id,
        next_producer_id=transaction.next_producer_id,
        producer_epoch=transaction.producer_epoch,
        transaction_timeout_ms=transaction.timeout_ms,
        transaction_status=transaction.state,
        transaction_partitions=partitions,
        transaction_last_update_timestamp_ms=transaction.last_update_ms,
        transaction_start_timestamp_ms=transaction.start_ms,
        client_transaction_version=transaction.client_version,
    )
    return _VERSION.pack(version) + codec.encode(value, version)


def decode_value(transactional_id: str, value: bytes) -> Transaction:
    """CorruptionError or ProtocolError."""
    if len(value) < _VERSION.size:
        raise CorruptionError(f"transaction record value has {len(value)} bytes")
    (version,) = _VERSION.unpack_from(value)
    if not 0 <= version <= TransactionLogValue.VERSIONS[1]:
        raise CorruptionError(f"transaction record value has version {version}")
    read = codec.decode(TransactionLogValue, version, value, _VERSION.size)[0]
    status = read.transaction_status
    if status not in NEXT:
        raise CorruptionError(f"transaction of {transactional_id!r} has status {status}")
    return Transaction(
        transactional_id,
        read.producer_id,
        read.producer_epoch,
        read.transaction_timeout_ms,
        State(status),
        frozenset(
            (entry.topic, partition)
            for entry in read.transaction_partitions or ()
            for partition in entry.partition_ids
        ),
        read.transaction_start_timestamp_ms,
        read.transaction_last_update_timestamp_ms,
        read.previous_producer_id,
        read.next_producer_id,
        read.client_transaction_version,
    )
