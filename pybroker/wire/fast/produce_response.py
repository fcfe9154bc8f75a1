"""Hand-written encoder of ProduceResponse 3-13. Its plain twin is the generated codec.

In: a `ProduceResponse` and a version. Out: the body. What must hold: the bytes equal the twin's; a value that
does not fit its field is a ValueError.

    v3-8:  [ name str | [ index i32 | error i16 | base offset i64 | log append time i64
           | v5+ log start offset i64 | v8+ [ batch index i32 | message nstr ] | v8+ error message nstr ] ]
           | throttle time i32
    v9-12: the same with compact lengths and tagged fields (v10+: current leader in a partition, tag 0;
           node endpoints in the response, tag 0)
    v13:   topic id uuid instead of the name
"""

from __future__ import annotations

import struct
from typing import Final

from pybroker.wire import codec
from pybroker.wire.messages.produce import ProduceResponse
from pybroker.wire.primitives import encode_unsigned_varint

_PARTITION: Final = struct.Struct(">ihqqq").pack
_PARTITION_V3: Final = struct.Struct(">ihqq").pack
# A partition of a flexible version without record errors, message and leader hint: 1, 0 and 0 at its end.
_PARTITION_FLEXIBLE: Final = struct.Struct(">ihqqqBBB").pack
_INT16: Final = struct.Struct(">h").pack
_INT32: Final = struct.Struct(">i").pack
_THROTTLE_AND_TAGS: Final = struct.Struct(">ix").pack


def encode(response: ProduceResponse, version: int) -> bytes:
    """The body of the response."""
    if 3 <= version <= 13:
        try:
            if version >= 9:
                out = _encode_flexible(response, version)
            else:
                out = _encode_legacy(response, version)
        except (struct.error, TypeError, AttributeError, ValueError, OverflowError) as error:
            raise ValueError(f"ProduceResponse version {version} cannot be encoded: {error}") from error
        if out is not None:
            return bytes(out)
    # Rejected records, leader hints and endpoints are rare: the generated codec writes them.
    return codec.encode(response, version)


def _encode_flexible(response: ProduceResponse, version: int) -> bytearray | None:
    if response.node_endpoints and version >= 10:
        return None
    out = bytearray(encode_unsigned_varint(len(response.responses) + 1))
    for topic in response.responses:
        if version >= 13:
            topic_id = topic.topic_id
            if len(topic_id) != 16:
                raise ValueError("a topic id has 16 bytes")
            out += topic_id
        else:
            name = topic.name.encode("utf-8", "replace")
            out += encode_unsigned_varint(len(name) + 1)
            out += name
        out += encode_unsigned_varint(len(topic.partition_responses) + 1)
        for partition in topic.partition_responses:
            leader = partition.current_leader
            if (
                partition.record_errors
                or partition.error_message is not None
                or (version >= 10 and (leader.leader_id != -1 or leader.leader_epoch != -1))
            ):
                return None
            out += _PARTITION_FLEXIBLE(
                partition.index,
                partition.error_code,
                partition.base_offset,
                partition.log_append_time,
                partition.log_start_offset,
                1,
                0,
                0,
            )
        out.append(0)
    out += _THROTTLE_AND_TAGS(response.throttle_time)
    return out


def _encode_legacy(response: ProduceResponse, version: int) -> bytearray | None:
    out = bytearray(_INT32(len(response.responses)))
    for topic in response.responses:
        name = topic.name.encode("utf-8", "replace")
        out += _INT16(len(name))
        out += name
        out += _INT32(len(topic.partition_responses))
        for partition in topic.partition_responses:
            if version >= 5:
                out += _PARTITION(
                    partition.index,
                    partition.error_code,
                    partition.base_offset,
                    partition.log_append_time,
                    partition.log_start_offset,
                )
                if version == 8:
                    if partition.record_errors or partition.error_message is not None:
                        return None
                    out += b"\0\0\0\0\xff\xff"
            else:
                out += _PARTITION_V3(
                    partition.index, partition.error_code, partition.base_offset, partition.log_append_time
                )
    out += _INT32(response.throttle_time)
    return out
