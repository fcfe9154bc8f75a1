"""When a committed offset is too old (KIP-211).

In: an offset, the time from which its retention counts, the time now. Out: whether it has expired. An offset
that was committed with a retention of its own (OffsetCommit v2-v4) goes by that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pybroker.groups.offsets import CommittedOffset


def is_expired(offset: CommittedOffset, base_ms: int, now_ms: int, retention_ms: int) -> bool:
    if offset.expire_timestamp >= 0:
        return now_ms >= offset.expire_timestamp
    return now_ms - base_ms >= retention_ms
