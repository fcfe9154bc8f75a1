"""AllocateProducerIdsRequest 0-0 and AllocateProducerIdsResponse 0-0 (API key 67).

Written by `tools/generate_wire.py`: change that, not this.
"""

# ruff: noqa: RUF023 (slots are in wire order)
from __future__ import annotations

from pybroker.wire.message import Message

API_KEY = 67


class AllocateProducerIdsRequest(Message):
    """Version 0, flexible from 0."""

    __slots__ = ("broker_id", "broker_epoch")
    VERSIONS = (0, 0)
    FLEXIBLE_FROM = 0
    FIELDS = (
        ("broker_id", "int32", 0, 0, -1, -1, 0),
        ("broker_epoch", "int64", 0, 0, -1, -1, -1),
    )

    def __init__(
        self,
        *,
        broker_id: int = 0,
        broker_epoch: int = -1,
    ) -> None:
        self.broker_id = broker_id
        self.broker_epoch = broker_epoch


class AllocateProducerIdsResponse(Message):
    """Version 0, flexible from 0."""

    __slots__ = ("throttle_time", "error_code", "producer_id_start", "producer_id_len")
    VERSIONS = (0, 0)
    FLEXIBLE_FROM = 0
    FIELDS = (
        ("throttle_time", "int32", 0, 0, -1, -1, 0),
        ("error_code", "int16", 0, 0, -1, -1, 0),
        ("producer_id_start", "int64", 0, 0, -1, -1, 0),
        ("producer_id_len", "int32", 0, 0, -1, -1, 0),
    )

    def __init__(
        self,
        *,
        throttle_time: int = 0,
        error_code: int = 0,
        producer_id_start: int = 0,
        producer_id_len: int = 0,
    ) -> None:
        self.throttle_time = throttle_time
        self.error_code = error_code
        self.producer_id_start = producer_id_start
        self.producer_id_len = producer_id_len
