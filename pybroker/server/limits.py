"""The limits at the door, as one frozen object made from the configuration."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

MIB = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerLimits:
    """Bounds on what peers may make this process hold. Where a configuration key sets one, it is named."""

    # socket.request.max.bytes: a longer frame closes the connection.
    request_max_bytes: int = 100 * MIB
    # queued.max.request.bytes, or pybroker.request.bytes.in.flight.max: bytes of requests that have not been
    # handled yet, over all connections. One connection at a time may exceed it, so that a request of the
    # largest size always gets through.
    held_request_max_bytes: int = 64 * MIB
    # pybroker.unsent.response.max.bytes: replies that peers have not taken yet, over all connections. Fetches
    # wait while they are more than half of it, for one fetch may bring as much again.
    unsent_response_max_bytes: int = 96 * MIB
    # pybroker.connection.write.buffer.bytes: a connection with more unsent than this is not served.
    write_buffer_bytes: int = 256 * 1024
    # pybroker.connection.max.pending.requests: produce requests of one connection that wait for an answer.
    pending_requests_max: int = 256
    # pybroker.connection.read.ahead.bytes: read this far beyond a request that waits, then stop reading.
    read_ahead_bytes: int = 64 * 1024
    # max.connections or pybroker.connections.max; max.connections.per.ip or
    # pybroker.connections.max.per.ip; max.connections.per.ip.overrides
    connections_max: int = 10_000
    connections_per_ip_max: int = 1_000
    connections_per_ip_overrides: Mapping[str, int] = field(default_factory=dict)
    # listener.name.<name>.max.connections
    listener_connections_max: Mapping[str, int] = field(default_factory=dict)
    # max.connection.creation.rate, for all and by listener; 0 for no limit.
    connection_rate_max: int = 0
    listener_connection_rate_max: Mapping[str, int] = field(default_factory=dict)
    # socket.send.buffer.bytes and socket.receive.buffer.bytes; -1 leaves them to the system.
    send_buffer_bytes: int = -1
    receive_buffer_bytes: int = -1
    # connections.max.idle.ms
    idle_ms: int = 600_000
    # pybroker.frame.timeout.ms: a request that is still incomplete after this time must have come at least
    # at pybroker.frame.min.bytes.per.second.
    frame_timeout_ms: int = 30_000
    frame_min_bytes_per_second: int = 1024
    # A connection is only evicted to free buffers when it made no progress for this long.
    eviction_patience_ms: int = 1_000
    # socket.listen.backlog.size
    listen_backlog: int = 1_024
