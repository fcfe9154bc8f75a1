"""AddOffsetsToTxnRequest 0-4 and AddOffsetsToTxnResponse 0-4 (API key 25).

Written by `tools/generate_wire.py`: change that, not this.
"""

# ruff: noqa: RUF023 (slots are in wire order)
from __future__ import annotations

from pybroker.wire.message import Message

API_KEY = 25


class AddOffsetsToTxnRequest(Message):
    """Versions 0-4, flexible from 3."""

    __slots__ = ("transactional_id", "producer_id", "producer_epoch", "group_id")
    VERSIONS = (0, 4)
    FLEXIBLE_FROM = 3
    FIELDS = (
        ("transactional_id", "string", 0, 4, -1, -1, ""),
        ("producer_id", "int64", 0, 4, -1, -1, 0),
        ("producer_epoch", "int16", 0, 4, -1, -1, 0),
        ("group_id", "string", 0, 4, -1, -1, ""),
    )

    def __init__(
        self,
        *,
        transactional_id: str = "",
        producer_id: int = 0,
        producer_epoch: int = 0,
        group_id: str = "",
    ) -> None:
        self.transactional_id = transactional_id
        self.producer_id = producer_id
        self.producer_epoch = producer_epoch
        self.group_id = group_id


class AddOffsetsToTxnResponse(Message):
    """Versions 0-4, flexible from 3."""

    __slots__ = ("throttle_time", "error_code")
    VERSIONS = (0, 4)
    FLEXIBLE_FROM = 3
    FIELDS = (
        ("throttle_time", "int32", 0, 4, -1, -1, 0),
        ("error_code", "int16", 0, 4, -1, -1, 0),
    )

    def __init__(
        self,
        *,
        throttle_time: int = 0,
        error_code: int = 0,
    ) -> None:
        self.throttle_time = throttle_time
        self.error_code = error_code
