"""DeleteShareGroupOffsetsRequest 0-0 and DeleteShareGroupOffsetsResponse 0-0 (API key 92).

Written by `tools/generate_wire.py`: change that, not this.
"""

# ruff: noqa: RUF023 (slots are in wire order)
from __future__ import annotations

from pybroker.wire.message import EMPTY, ZERO_UUID, Message

API_KEY = 92


class DeleteShareGroupOffsetsRequestTopic(Message):
    """Version 0, flexible from 0."""

    __slots__ = ("topic_name",)
    VERSIONS = (0, 0)
    FLEXIBLE_FROM = 0
    FIELDS = (("topic_name", "string", 0, 0, -1, -1, ""),)

    def __init__(
        self,
        *,
        topic_name: str = "",
    ) -> None:
        self.topic_name = topic_name


class DeleteShareGroupOffsetsRequest(Message):
    """Version 0, flexible from 0."""

    __slots__ = ("group_id", "topics")
    VERSIONS = (0, 0)
    FLEXIBLE_FROM = 0
    FIELDS = (
        ("group_id", "string", 0, 0, -1, -1, ""),
        ("topics", "[]DeleteShareGroupOffsetsRequestTopic", 0, 0, -1, -1, ()),
    )

    def __init__(
        self,
        *,
        group_id: str = "",
        topics: list[DeleteShareGroupOffsetsRequestTopic] = EMPTY,
    ) -> None:
        self.group_id = group_id
        self.topics: list[DeleteShareGroupOffsetsRequestTopic] = [] if topics is EMPTY else topics


class DeleteShareGroupOffsetsResponseTopic(Message):
    """Version 0, flexible from 0."""

    __slots__ = ("topic_name", "topic_id", "error_code", "error_message")
    VERSIONS = (0, 0)
    FLEXIBLE_FROM = 0
    FIELDS = (
        ("topic_name", "string", 0, 0, -1, -1, ""),
        ("topic_id", "uuid", 0, 0, -1, -1, None),
        ("error_code", "int16", 0, 0, -1, -1, 0),
        ("error_message", "string", 0, 0, 0, -1, None),
    )

    def __init__(
        self,
        *,
        topic_name: str = "",
        topic_id: bytes = ZERO_UUID,
        error_code: int = 0,
        error_message: str | None = None,
    ) -> None:
        self.topic_name = topic_name
        self.topic_id = topic_id
        self.error_code = error_code
        self.error_message = error_message


class DeleteShareGroupOffsetsResponse(Message):
    """Version 0, flexible from 0."""

    __slots__ = ("throttle_time", "error_code", "error_message", "responses")
    VERSIONS = (0, 0)
    FLEXIBLE_FROM = 0
    FIELDS = (
        ("throttle_time", "int32", 0, 0, -1, -1, 0),
        ("error_code", "int16", 0, 0, -1, -1, 0),
        ("error_message", "string", 0, 0, 0, -1, None),
        ("responses", "[]DeleteShareGroupOffsetsResponseTopic", 0, 0, -1, -1, ()),
    )

    def __init__(
        self,
        *,
        throttle_time: int = 0,
        error_code: int = 0,
        error_message: str | None = None,
        responses: list[DeleteShareGroupOffsetsResponseTopic] = EMPTY,
    ) -> None:
        self.throttle_time = throttle_time
        self.error_code = error_code
        self.error_message = error_message
        self.responses: list[DeleteShareGroupOffsetsResponseTopic] = [] if responses is EMPTY else responses
