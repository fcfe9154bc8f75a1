"""Bounds on what a peer may make us decode. Every count and size is checked before anything is allocated.

In: nothing. Out: numbers. What must hold: each bound is at least what Kafka's own clients need, and none
depends on what the peer declares about itself.
"""

from __future__ import annotations

from typing import Final

MAX_ARRAY_ELEMENTS: Final = 1_000_000
"""Elements of one array; it must also fit into the bytes that remain."""

MAX_DECODED_OBJECTS: Final = 200_000
"""Array elements of one request in all arrays together: one byte on the wire may cost a kilobyte of memory
until its answer has left."""

MAX_WHOLE_REQUEST_OBJECTS: Final = 50_000
"""The same for requests that are handled in one piece: Kafka's limits for the controller's are below."""

SMALL_REQUEST_OBJECTS: Final = 2_000
"""Requests with more array elements than this are served in slices (`pybroker.large_requests`)."""

MAX_TAGGED_FIELDS: Final = 10_000
"""Tagged fields of one struct."""

MAX_FRAME_BYTES: Final = 100 * 1024 * 1024
"""Kafka's default of `socket.request.max.bytes`."""

MAX_FRAME_BYTES_BEFORE_AUTHENTICATION: Final = 512 * 1024
"""Kafka has this limit inside SASL only; here it holds until the connection is authenticated."""
