"""ListTransactionsRequest 0-2 and ListTransactionsResponse 0-2 (API key 66).

Written by `tools/generate_wire.py`: change that, not this.
"""

# ruff: noqa: RUF023 (slots are in wire order)
from __future__ import annotations

from pybroker.wire.message import EMPTY, Message

API_KEY = 66


class ListTransactionsRequest(Message):
    """Versions 0-2, flexible from 0."""

    __slots__ = ("state_filters", "producer_id_filters", "duration_filter", "transactional_id_pattern")
    VERSIONS = (0, 2)
    FLEXIBLE_FROM = 0
    FIELDS = (
        ("state_filters", "[]string", 0, 2, -1, -1, ()),
        ("producer_id_filters", "[]int64", 0, 2, -1, -1, ()),
        ("duration_filter", "int64", 1, 2, -1, -1, -1),
        ("transactional_id_pattern", "string", 2, 2, 2, -1, None),
    )

    def __init__(
        self,
        *,
        state_filters: list[str] = EMPTY,
        producer_id_filters: list[int] = EMPTY,
        duration_filter: int = -1,
        transactional_id_pattern: str | None = None,
    ) -> None:
        self.state_filters: list[str] = [] if state_filters is EMPTY else state_filters
        self.producer_id_filters: list[int] = [] if producer_id_filters is EMPTY else producer_id_filters
        self.duration_filter = duration_filter
        self.transactional_id_pattern = transactional_id_pattern


class TransactionState(Message):
    """Versions 0-2, flexible from 0."""

    __slots__ = ("transactional_id", "producer_id", "transaction_state")
    VERSIONS = (0, 2)
    FLEXIBLE_FROM = 0
    FIELDS = (
        ("transactional_id", "string", 0, 2, -1, -1, ""),
        ("producer_id", "int64", 0, 2, -1, -1, 0),
        ("transaction_state", "string", 0, 2, -1, -1, ""),
    )

    def __init__(
        self,
        *,
        transactional_id: str = "",
        producer_id: int = 0,
        transaction_state: str = "",
    ) -> None:
        self.transactional_id = transactional_id
        self.producer_id = producer_id
        self.transaction_state = transaction_state


class ListTransactionsResponse(Message):
    """Versions 0-2, flexible from 0."""

    __slots__ = ("throttle_time", "error_code", "unknown_state_filters", "transaction_states")
    VERSIONS = (0, 2)
    FLEXIBLE_FROM = 0
    FIELDS = (
        ("throttle_time", "int32", 0, 2, -1, -1, 0),
        ("error_code", "int16", 0, 2, -1, -1, 0),
        ("unknown_state_filters", "[]string", 0, 2, -1, -1, ()),
        ("transaction_states", "[]TransactionState", 0, 2, -1, -1, ()),
    )

    def __init__(
        self,
        *,
        throttle_time: int = 0,
        error_code: int = 0,
        unknown_state_filters: list[str] = EMPTY,
        transaction_states: list[TransactionState] = EMPTY,
    ) -> None:
        self.throttle_time = throttle_time
        self.error_code = error_code
        self.unknown_state_filters: list[str] = (
            [] if unknown_state_filters is EMPTY else unknown_state_filters
        )
        self.transaction_states: list[TransactionState] = (
            [] if transaction_states is EMPTY else transaction_states
        )
