"""AddPartitionsToTxnRequest 0-5 and AddPartitionsToTxnResponse 0-5 (API key 24).

Written by `tools/generate_wire.py`: change that, not this.
"""

# ruff: noqa: RUF023 (slots are in wire order)
from __future__ import annotations

from pybroker.wire.message import EMPTY, Message

API_KEY = 24


class AddPartitionsToTxnTopic(Message):
    """Versions 0-5, flexible from 3."""

    __slots__ = ("name", "partitions")
    VERSIONS = (0, 5)
    FLEXIBLE_FROM = 3
    FIELDS = (
        ("name", "string", 0, 5, -1, -1, ""),
        ("partitions", "[]int32", 0, 5, -1, -1, ()),
    )

    def __init__(
        self,
        *,
        name: str = "",
        partitions: list[int] = EMPTY,
    ) -> None:
        self.name = name
        self.partitions: list[int] = [] if partitions is EMPTY else partitions


class AddPartitionsToTxnTransaction(Message):
    """Versions 4-5, flexible from 3."""

    __slots__ = ("transactional_id", "producer_id", "producer_epoch", "verify_only", "topics")
    VERSIONS = (4, 5)
    FLEXIBLE_FROM = 3
    FIELDS = (
        ("transactional_id", "string", 4, 5, -1, -1, ""),
        ("producer_id", "int64", 4, 5, -1, -1, 0),
        ("producer_epoch", "int16", 4, 5, -1, -1, 0),
        ("verify_only", "bool", 4, 5, -1, -1, False),
        ("topics", "[]AddPartitionsToTxnTopic", 4, 5, -1, -1, ()),
    )

    def __init__(
        self,
        *,
        transactional_id: str = "",
        producer_id: int = 0,
        producer_epoch: int = 0,
        verify_only: bool = False,
        topics: list[AddPartitionsToTxnTopic] = EMPTY,
    ) -> None:
        self.transactional_id = transactional_id
        self.producer_id = producer_id
        self.producer_epoch = producer_epoch
        self.verify_only = verify_only
        self.topics: list[AddPartitionsToTxnTopic] = [] if topics is EMPTY else topics


class AddPartitionsToTxnRequest(Message):
    """Versions 0-5, flexible from 3."""

    __slots__ = (
        "v3_and_below_transactional_id",
        "v3_and_below_producer_id",
        "v3_and_below_producer_epoch",
        "v3_and_below_topics",
        "transactions",
    )
    VERSIONS = (0, 5)
    FLEXIBLE_FROM = 3
    FIELDS = (
        ("v3_and_below_transactional_id", "string", 0, 3, -1, -1, ""),
        ("v3_and_below_producer_id", "int64", 0, 3, -1, -1, 0),
        ("v3_and_below_producer_epoch", "int16", 0, 3, -1, -1, 0),
        ("v3_and_below_topics", "[]AddPartitionsToTxnTopic", 0, 3, -1, -1, ()),
        ("transactions", "[]AddPartitionsToTxnTransaction", 4, 5, -1, -1, ()),
    )

    def __init__(
        self,
        *,
        v3_and_below_transactional_id: str = "",
        v3_and_below_producer_id: int = 0,
        v3_and_below_producer_epoch: int = 0,
        v3_and_below_topics: list[AddPartitionsToTxnTopic] = EMPTY,
        transactions: list[AddPartitionsToTxnTransaction] = EMPTY,
    ) -> None:
        self.v3_and_below_transactional_id = v3_and_below_transactional_id
        self.v3_and_below_producer_id = v3_and_below_producer_id
        self.v3_and_below_producer_epoch = v3_and_below_producer_epoch
        self.v3_and_below_topics: list[AddPartitionsToTxnTopic] = (
            [] if v3_and_below_topics is EMPTY else v3_and_below_topics
        )
        self.transactions: list[AddPartitionsToTxnTransaction] = [] if transactions is EMPTY else transactions


class AddPartitionsToTxnPartitionResult(Message):
    """Versions 0-5, flexible from 3."""

    __slots__ = ("partition_index", "partition_error_code")
    VERSIONS = (0, 5)
    FLEXIBLE_FROM = 3
    FIELDS = (
        ("partition_index", "int32", 0, 5, -1, -1, 0),
        ("partition_error_code", "int16", 0, 5, -1, -1, 0),
    )

    def __init__(
        self,
        *,
        partition_index: int = 0,
        partition_error_code: int = 0,
    ) -> None:
        self.partition_index = partition_index
        self.partition_error_code = partition_error_code


class AddPartitionsToTxnTopicResult(Message):
    """Versions 0-5, flexible from 3."""

    __slots__ = ("name", "results_by_partition")
    VERSIONS = (0, 5)
    FLEXIBLE_FROM = 3
    FIELDS = (
        ("name", "string", 0, 5, -1, -1, ""),
        ("results_by_partition", "[]AddPartitionsToTxnPartitionResult", 0, 5, -1, -1, ()),
    )

    def __init__(
        self,
        *,
        name: str = "",
        results_by_partition: list[AddPartitionsToTxnPartitionResult] = EMPTY,
    ) -> None:
        self.name = name
        self.results_by_partition: list[AddPartitionsToTxnPartitionResult] = (
            [] if results_by_partition is EMPTY else results_by_partition
        )


class AddPartitionsToTxnResult(Message):
    """Versions 4-5, flexible from 3."""

    __slots__ = ("transactional_id", "topic_results")
    VERSIONS = (4, 5)
    FLEXIBLE_FROM = 3
    FIELDS = (
        ("transactional_id", "string", 4, 5, -1, -1, ""),
        ("topic_results", "[]AddPartitionsToTxnTopicResult", 4, 5, -1, -1, ()),
    )

    def __init__(
        self,
        *,
        transactional_id: str = "",
        topic_results: list[AddPartitionsToTxnTopicResult] = EMPTY,
    ) -> None:
        self.transactional_id = transactional_id
        self.topic_results: list[AddPartitionsToTxnTopicResult] = (
            [] if topic_results is EMPTY else topic_results
        )


class AddPartitionsToTxnResponse(Message):
    """Versions 0-5, flexible from 3."""

    __slots__ = ("throttle_time", "results_by_topic_v3_and_below", "error_code", "results_by_transaction")
    VERSIONS = (0, 5)
    FLEXIBLE_FROM = 3
    FIELDS = (
        ("throttle_time", "int32", 0, 5, -1, -1, 0),
        ("results_by_topic_v3_and_below", "[]AddPartitionsToTxnTopicResult", 0, 3, -1, -1, ()),
        ("error_code", "int16", 4, 5, -1, -1, 0),
        ("results_by_transaction", "[]AddPartitionsToTxnResult", 4, 5, -1, -1, ()),
    )

    def __init__(
        self,
        *,
        throttle_time: int = 0,
        results_by_topic_v3_and_below: list[AddPartitionsToTxnTopicResult] = EMPTY,
        error_code: int = 0,
        results_by_transaction: list[AddPartitionsToTxnResult] = EMPTY,
    ) -> None:
        self.throttle_time = throttle_time
        self.results_by_topic_v3_and_below: list[AddPartitionsToTxnTopicResult] = (
            [] if results_by_topic_v3_and_below is EMPTY else results_by_topic_v3_and_below
        )
        self.error_code = error_code
        self.results_by_transaction: list[AddPartitionsToTxnResult] = (
            [] if results_by_transaction is EMPTY else results_by_transaction
        )
