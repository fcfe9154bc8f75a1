"""DeleteTopicsRequest 1-6 and DeleteTopicsResponse 1-6 (API key 20).

Written by `tools/generate_wire.py`: change that, not this.
"""

# ruff: noqa: RUF023 (slots are in wire order)
from __future__ import annotations

from pybroker.wire.message import EMPTY, ZERO_UUID, Message

API_KEY = 20


class DeleteTopicState(Message):
    """Version 6, flexible from 4."""

    __slots__ = ("name", "topic_id")
    VERSIONS = (6, 6)
    FLEXIBLE_FROM = 4
    FIELDS = (
        ("name", "string", 6, 6, 6, -1, None),
        ("topic_id", "uuid", 6, 6, -1, -1, None),
    )

    def __init__(
        self,
        *,
        name: str | None = None,
        topic_id: bytes = ZERO_UUID,
    ) -> None:
        self.name = name
        self.topic_id = topic_id


class DeleteTopicsRequest(Message):
    """Versions 1-6, flexible from 4."""

    __slots__ = ("topic_names", "topics", "timeout")
    VERSIONS = (1, 6)
    FLEXIBLE_FROM = 4
    FIELDS = (
        ("topic_names", "[]string", 1, 5, -1, -1, ()),
        ("topics", "[]DeleteTopicState", 6, 6, -1, -1, ()),
        ("timeout", "int32", 1, 6, -1, -1, 0),
    )

    def __init__(
        self,
        *,
        topic_names: list[str] = EMPTY,
        topics: list[DeleteTopicState] = EMPTY,
        timeout: int = 0,
    ) -> None:
        self.topic_names: list[str] = [] if topic_names is EMPTY else topic_names
        self.topics: list[DeleteTopicState] = [] if topics is EMPTY else topics
        self.timeout = timeout


class DeletableTopicResult(Message):
    """Versions 1-6, flexible from 4."""

    __slots__ = ("name", "topic_id", "error_code", "error_message")
    VERSIONS = (1, 6)
    FLEXIBLE_FROM = 4
    FIELDS = (
        ("name", "string", 1, 6, 6, -1, ""),
        ("topic_id", "uuid", 6, 6, -1, -1, None),
        ("error_code", "int16", 1, 6, -1, -1, 0),
        ("error_message", "string", 5, 6, 5, -1, None),
    )

    def __init__(
        self,
        *,
        name: str | None = "",
        topic_id: bytes = ZERO_UUID,
        error_code: int = 0,
        error_message: str | None = None,
    ) -> None:
        self.name = name
        self.topic_id = topic_id
        self.error_code = error_code
        self.error_message = error_message


class DeleteTopicsResponse(Message):
    """Versions 1-6, flexible from 4."""

    __slots__ = ("throttle_time", "responses")
    VERSIONS = (1, 6)
    FLEXIBLE_FROM = 4
    FIELDS = (
        ("throttle_time", "int32", 1, 6, -1, -1, 0),
        ("responses", "[]DeletableTopicResult", 1, 6, -1, -1, ()),
    )

    def __init__(
        self,
        *,
        throttle_time: int = 0,
        responses: list[DeletableTopicResult] = EMPTY,
    ) -> None:
        self.throttle_time = throttle_time
        self.responses: list[DeletableTopicResult] = [] if responses is EMPTY else responses
