"""What the two telemetry APIs share: the subscription that every client has here.

No receiver of client metrics is built in, so clients are asked for none, and what they push all the same is
dropped. Nothing is remembered about a client: its subscription follows from its id.
"""

from __future__ import annotations

import zlib
from typing import Final

PUSH_INTERVAL_MS: Final = 300_000

# zstd, lz4, gzip, snappy, in the order of preference.
COMPRESSION_TYPES: Final = (4, 3, 1, 2)


def subscription_id(client_instance_id: bytes) -> int:
    """The number of a client's subscription, a signed 32-bit integer."""
    checksum = zlib.crc32(client_instance_id)
    return checksum - (1 << 32) if checksum >= 1 << 31 else checksum
