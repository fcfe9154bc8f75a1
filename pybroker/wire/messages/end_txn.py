"""EndTxnRequest 0-5 and EndTxnResponse 0-5 (API key 26).

Written by `tools/generate_wire.py`: change that, not this.
"""

# ruff: noqa: RUF023 (slots are in wire order)
from __future__ import annotations

from pybroker.wire.message import Message

API_KEY = 26


class EndTxnRequest(Message):
    """Versions 0-5, flexible from 3."""

    __slots__ = ("transactional_id", "producer_id", "producer_epoch", "committed")
    VERSIONS = (0, 5)
    FLEXIBLE_FROM = 3
    FIELDS = (
        ("transactional_id", "string", 0, 5, -1, -1, ""),
        ("producer_id", "int64", 0, 5, -1, -1, 0),
        ("producer_epoch", "int16", 0, 5, -1, -1, 0),
        ("committed", "bool", 0, 5, -1, -1, False),
    )

    def __init__(
        self,
        *,
        transactional_id: str = "",
        producer_id: int = 0,
        producer_epoch: int = 0,
        committed: bool = False,
    ) -> None:
        self.transactional_id = transactional_id
        self.producer_id = producer_id
        self.producer_epoch = producer_epoch
        self.committed = committed


class EndTxnResponse(Message):
    """Versions 0-5, flexible from 3."""

    __slots__ = ("throttle_time", "error_code", "producer_id", "producer_epoch")
    VERSIONS = (0, 5)
    FLEXIBLE_FROM = 3
    FIELDS = (
        ("throttle_time", "int32", 0, 5, -1, -1, 0),
        ("error_code", "int16", 0, 5, -1, -1, 0),
        ("producer_id", "int64", 5, 5, -1, -1, -1),
        ("producer_epoch", "int16", 5, 5, -1, -1, -1),
    )

    def __init__(
        self,
        *,
        throttle_time: int = 0,
        error_code: int = 0,
        producer_id: int = -1,
        producer_epoch: int = -1,
    ) -> None:
        self.throttle_time = throttle_time
        self.error_code = error_code
        self.producer_id = producer_id
        self.producer_epoch = producer_epoch
