"""InitProducerIdRequest 0-6 and InitProducerIdResponse 0-6 (API key 22).

Written by `tools/generate_wire.py`: change that, not this.
"""

# ruff: noqa: RUF023 (slots are in wire order)
from __future__ import annotations

from pybroker.wire.message import Message

API_KEY = 22


class InitProducerIdRequest(Message):
    """Versions 0-6, flexible from 2."""

    __slots__ = (
        "transactional_id",
        "transaction_timeout",
        "producer_id",
        "producer_epoch",
        "enable2_pc",
        "keep_prepared_txn",
    )
    VERSIONS = (0, 6)
    FLEXIBLE_FROM = 2
    FIELDS = (
        ("transactional_id", "string", 0, 6, 0, -1, ""),
        ("transaction_timeout", "int32", 0, 6, -1, -1, 0),
        ("producer_id", "int64", 3, 6, -1, -1, -1),
        ("producer_epoch", "int16", 3, 6, -1, -1, -1),
        ("enable2_pc", "bool", 6, 6, -1, -1, False),
        ("keep_prepared_txn", "bool", 6, 6, -1, -1, False),
    )

    def __init__(
        self,
        *,
        transactional_id: str | None = "",
        transaction_timeout: int = 0,
        producer_id: int = -1,
        producer_epoch: int = -1,
        enable2_pc: bool = False,
        keep_prepared_txn: bool = False,
    ) -> None:
        self.transactional_id = transactional_id
        self.transaction_timeout = transaction_timeout
        self.producer_id = producer_id
        self.producer_epoch = producer_epoch
        self.enable2_pc = enable2_pc
        self.keep_prepared_txn = keep_prepared_txn


class InitProducerIdResponse(Message):
    """Versions 0-6, flexible from 2."""

    __slots__ = (
        "throttle_time",
        "error_code",
        "producer_id",
        "producer_epoch",
        "ongoing_txn_producer_id",
        "ongoing_txn_producer_epoch",
    )
    VERSIONS = (0, 6)
    FLEXIBLE_FROM = 2
    FIELDS = (
        ("throttle_time", "int32", 0, 6, -1, -1, 0),
        ("error_code", "int16", 0, 6, -1, -1, 0),
        ("producer_id", "int64", 0, 6, -1, -1, -1),
        ("producer_epoch", "int16", 0, 6, -1, -1, 0),
        ("ongoing_txn_producer_id", "int64", 6, 6, -1, -1, -1),
        ("ongoing_txn_producer_epoch", "int16", 6, 6, -1, -1, -1),
    )

    def __init__(
        self,
        *,
        throttle_time: int = 0,
        error_code: int = 0,
        producer_id: int = -1,
        producer_epoch: int = 0,
        ongoing_txn_producer_id: int = -1,
        ongoing_txn_producer_epoch: int = -1,
    ) -> None:
        self.throttle_time = throttle_time
        self.error_code = error_code
        self.producer_id = producer_id
        self.producer_epoch = producer_epoch
        self.ongoing_txn_producer_id = ongoing_txn_producer_id
        self.ongoing_txn_producer_epoch = ongoing_txn_producer_epoch
