"""The records of `__transaction_state`, as of Kafka 4.3.

    key: version i16 = 0, transactional id      value: version i16 (0, or 1 with tagged fields), body

A null value is a tombstone: the transactional id is forgotten.
"""

# ruff: noqa: RUF023 (slots are in wire order)
from __future__ import annotations

from pybroker.wire.message import EMPTY, NEVER, Message


class TransactionLogKey(Message):
    """Version 0."""

    __slots__ = ("transactional_id",)
    VERSIONS = (0, 0)
    FLEXIBLE_FROM = NEVER
    FIELDS = (("transactional_id", "string", 0, 0, -1, -1, ""),)

    def __init__(self, *, transactional_id: str = "") -> None:
        self.transactional_id = transactional_id


class PartitionsSchema(Message):
    """Versions 0-1, flexible from 1."""

    __slots__ = ("topic", "partition_ids")
    VERSIONS = (0, 1)
    FLEXIBLE_FROM = 1
    FIELDS = (
        ("topic", "string", 0, 1, -1, -1, ""),
        ("partition_ids", "[]int32", 0, 1, -1, -1, ()),
    )

    def __init__(self, *, topic: str = "", partition_ids: list[int] = EMPTY) -> None:
        self.topic = topic
        self.partition_ids: list[int] = [] if partition_ids is EMPTY else partition_ids


class TransactionLogValue(Message):
    """Versions 0-1, flexible from 1."""

    __slots__ = (
        "producer_id",
        "previous_producer_id",
        "next_producer_id",
        "producer_epoch",
        "next_producer_epoch",
        "transaction_timeout_ms",
        "transaction_status",
        "transaction_partitions",
        "transaction_last_update_timestamp_ms",
        "transaction_start_timestamp_ms",
        "client_transaction_version",
    )
    VERSIONS = (0, 1)
    FLEXIBLE_FROM = 1
    FIELDS = (
        ("producer_id", "int64", 0, 1, -1, -1, 0),
        ("previous_producer_id", "int64", 1, 1, -1, 0, -1),
        ("next_producer_id", "int64", 1, 1, -1, 1, -1),
        ("producer_epoch", "int16", 0, 1, -1, -1, 0),
        ("next_producer_epoch", "int16", 1, 1, -1, 3, -1),
        ("transaction_timeout_ms", "int32", 0, 1, -1, -1, 0),
        ("transaction_status", "int8", 0, 1, -1, -1, 0),
        ("transaction_partitions", "[]PartitionsSchema", 0, 1, 0, -1, ()),
        ("transaction_last_update_timestamp_ms", "int64", 0, 1, -1, -1, 0),
        ("transaction_start_timestamp_ms", "int64", 0, 1, -1, -1, 0),
        ("client_transaction_version", "int16", 1, 1, -1, 2, 0),
    )

    def __init__(
        self,
        *,
        producer_id: int = 0,
        previous_producer_id: int = -1,
        next_producer_id: int = -1,
        producer_epoch: int = 0,
        next_producer_epoch: int = -1,
        transaction_timeout_ms: int = 0,
        transaction_status: int = 0,
        transaction_partitions: list[PartitionsSchema] | None = EMPTY,
        transaction_last_update_timestamp_ms: int = 0,
        transaction_start_timestamp_ms: int = 0,
        client_transaction_version: int = 0,
    ) -> None:
        self.producer_id = producer_id
        self.previous_producer_id = previous_producer_id
        self.next_producer_id = next_producer_id
        self.producer_epoch = producer_epoch
        self.next_producer_epoch = next_producer_epoch
        self.transaction_timeout_ms = transaction_timeout_ms
        self.transaction_status = transaction_status
        self.transaction_partitions: list[PartitionsSchema] | None = (
            [] if transaction_partitions is EMPTY else transaction_partitions
        )
        self.transaction_last_update_timestamp_ms = transaction_last_update_timestamp_ms
        self.transaction_start_timestamp_ms = transaction_start_timestamp_ms
        self.client_transaction_version = client_transaction_version
