"""DescribeTransactionsRequest 0-0 and DescribeTransactionsResponse 0-0 (API key 65).

Written by `tools/generate_wire.py`: change that, not this.
"""

# ruff: noqa: RUF023 (slots are in wire order)
from __future__ import annotations

from pybroker.wire.message import EMPTY, Message

API_KEY = 65


class DescribeTransactionsRequest(Message):
    """Version 0, flexible from 0."""

    __slots__ = ("transactional_ids",)
    VERSIONS = (0, 0)
    FLEXIBLE_FROM = 0
    FIELDS = (("transactional_ids", "[]string", 0, 0, -1, -1, ()),)

    def __init__(
        self,
        *,
        transactional_ids: list[str] = EMPTY,
    ) -> None:
        self.transactional_ids: list[str] = [] if transactional_ids is EMPTY else transactional_ids


class TopicData(Message):
    """Version 0, flexible from 0."""

    __slots__ = ("topic", "partitions")
    VERSIONS = (0, 0)
    FLEXIBLE_FROM = 0
    FIELDS = (
        ("topic", "string", 0, 0, -1, -1, ""),
        ("partitions", "[]int32", 0, 0, -1, -1, ()),
    )

    def __init__(
        self,
        *,
        topic: str = "",
        partitions: list[int] = EMPTY,
    ) -> None:
        self.topic = topic
        self.partitions: list[int] = [] if partitions is EMPTY else partitions


class TransactionState(Message):
    """Version 0, flexible from 0."""

    __slots__ = (
        "error_code",
        "transactional_id",
        "transaction_state",
        "transaction_timeout",
        "transaction_start_time",
        "producer_id",
        "producer_epoch",
        "topics",
    )
    VERSIONS = (0, 0)
    FLEXIBLE_FROM = 0
    FIELDS = (
        ("error_code", "int16", 0, 0, -1, -1, 0),
        ("transactional_id", "string", 0, 0, -1, -1, ""),
        ("transaction_state", "string", 0, 0, -1, -1, ""),
        ("transaction_timeout", "int32", 0, 0, -1, -1, 0),
        ("transaction_start_time", "int64", 0, 0, -1, -1, 0),
        ("producer_id", "int64", 0, 0, -1, -1, 0),
        ("producer_epoch", "int16", 0, 0, -1, -1, 0),
        ("topics", "[]TopicData", 0, 0, -1, -1, ()),
    )

    def __init__(
        self,
        *,
        error_code: int = 0,
        transactional_id: str = "",
        transaction_state: str = "",
        transaction_timeout: int = 0,
        transaction_start_time: int = 0,
        producer_id: int = 0,
        producer_epoch: int = 0,
        topics: list[TopicData] = EMPTY,
    ) -> None:
        self.error_code = error_code
        self.transactional_id = transactional_id
        self.transaction_state = transaction_state
        self.transaction_timeout = transaction_timeout
        self.transaction_start_time = transaction_start_time
        self.producer_id = producer_id
        self.producer_epoch = producer_epoch
        self.topics: list[TopicData] = [] if topics is EMPTY else topics


class DescribeTransactionsResponse(Message):
    """Version 0, flexible from 0."""

    __slots__ = ("throttle_time", "transaction_states")
    VERSIONS = (0, 0)
    FLEXIBLE_FROM = 0
    FIELDS = (
        ("throttle_time", "int32", 0, 0, -1, -1, 0),
        ("transaction_states", "[]TransactionState", 0, 0, -1, -1, ()),
    )

    def __init__(
        self,
        *,
        throttle_time: int = 0,
        transaction_states: list[TransactionState] = EMPTY,
    ) -> None:
        self.throttle_time = throttle_time
        self.transaction_states: list[TransactionState] = (
            [] if transaction_states is EMPTY else transaction_states
        )
