"""BrokerHeartbeatRequest 0-2 and BrokerHeartbeatResponse 0-2 (API key 63).

Written by `tools/generate_wire.py`: change that, not this.
"""

# ruff: noqa: RUF023 (slots are in wire order)
from __future__ import annotations

from pybroker.wire.message import EMPTY, Message

API_KEY = 63


class BrokerHeartbeatRequest(Message):
    """Versions 0-2, flexible from 0."""

    __slots__ = (
        "broker_id",
        "broker_epoch",
        "current_metadata_offset",
        "want_fence",
        "want_shut_down",
        "offline_log_dirs",
        "cordoned_log_dirs",
    )
    VERSIONS = (0, 2)
    FLEXIBLE_FROM = 0
    FIELDS = (
        ("broker_id", "int32", 0, 2, -1, -1, 0),
        ("broker_epoch", "int64", 0, 2, -1, -1, -1),
        ("current_metadata_offset", "int64", 0, 2, -1, -1, 0),
        ("want_fence", "bool", 0, 2, -1, -1, False),
        ("want_shut_down", "bool", 0, 2, -1, -1, False),
        ("offline_log_dirs", "[]uuid", 1, 2, -1, 0, ()),
        ("cordoned_log_dirs", "[]uuid", 2, 2, 2, 1, None),
    )

    def __init__(
        self,
        *,
        broker_id: int = 0,
        broker_epoch: int = -1,
        current_metadata_offset: int = 0,
        want_fence: bool = False,
        want_shut_down: bool = False,
        offline_log_dirs: list[bytes] = EMPTY,
        cordoned_log_dirs: list[bytes] | None = None,
    ) -> None:
        self.broker_id = broker_id
        self.broker_epoch = broker_epoch
        self.current_metadata_offset = current_metadata_offset
        self.want_fence = want_fence
        self.want_shut_down = want_shut_down
        self.offline_log_dirs: list[bytes] = [] if offline_log_dirs is EMPTY else offline_log_dirs
        self.cordoned_log_dirs = cordoned_log_dirs


class BrokerHeartbeatResponse(Message):
    """Versions 0-2, flexible from 0."""

    __slots__ = ("throttle_time", "error_code", "is_caught_up", "is_fenced", "should_shut_down")
    VERSIONS = (0, 2)
    FLEXIBLE_FROM = 0
    FIELDS = (
        ("throttle_time", "int32", 0, 2, -1, -1, 0),
        ("error_code", "int16", 0, 2, -1, -1, 0),
        ("is_caught_up", "bool", 0, 2, -1, -1, False),
        ("is_fenced", "bool", 0, 2, -1, -1, True),
        ("should_shut_down", "bool", 0, 2, -1, -1, False),
    )

    def __init__(
        self,
        *,
        throttle_time: int = 0,
        error_code: int = 0,
        is_caught_up: bool = False,
        is_fenced: bool = True,
        should_shut_down: bool = False,
    ) -> None:
        self.throttle_time = throttle_time
        self.error_code = error_code
        self.is_caught_up = is_caught_up
        self.is_fenced = is_fenced
        self.should_shut_down = should_shut_down
