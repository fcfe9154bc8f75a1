"""Hand-written decoder of FetchRequest 4-18. Its plain twin is the generated codec.

In: a version and the body. Out: a `FetchRequest`. What must hold: it accepts and refuses exactly what the
twin does, with equal results, and raises ProtocolError only.

    v4:      replica id i32 | max wait i32 | min bytes i32 | max bytes i32 | isolation i8 | [ topic str |
             [ partition i32 | fetch offset i64 | partition max bytes i32 ] ]
    v5+      log start offset i64 before the partition's max bytes
    v7+      session id i32 | session epoch i32 after the isolation; forgotten topics [ str | [ i32 ] ] last
    v9+      current leader epoch i32 after the partition
    v11+     rack id str at the end
    v12+     compact lengths, tagged fields; last fetched epoch i32 after the fetch offset; cluster id: tag 0
    v13+     topic id uuid instead of the name
    v15+     no replica id; replica state (id i32, epoch i64) is tag 1
    v17, v18 in a partition: replica directory id uuid is tag 0, high watermark i64 is tag 1
"""

from __future__ import annotations

import struct
from typing import Final

from pybroker.common.errors import ProtocolError, TooManyElements
from pybroker.wire import codec
from pybroker.wire.limits import MAX_ARRAY_ELEMENTS, MAX_DECODED_OBJECTS
from pybroker.wire.message import ZERO_UUID
from pybroker.wire.messages.fetch import FetchPartition, FetchRequest, FetchTopic, ReplicaState
from pybroker.wire.primitives import Buffer, read_compact_length, skip_tagged_fields

_HEAD: Final = struct.Struct(">iiiibii").unpack_from
_HEAD_WITHOUT_REPLICA: Final = struct.Struct(">iiibii").unpack_from
_PARTITION: Final = struct.Struct(">iiqiqi").unpack_from
_new_request: Final = FetchRequest.__new__
_new_topic: Final = FetchTopic.__new__
_new_partition: Final = FetchPartition.__new__
_NO_HIGH_WATERMARK: Final = 2**63 - 1


def decode(version: int, buf: Buffer, pos: int = 0, max_objects: int = MAX_DECODED_OBJECTS) -> FetchRequest:
    """The request in `buf` from `pos` on. Bytes after its end are ignored. TooManyElements when its arrays
    have more than `max_objects` elements in all."""
    if 12 <= version <= 18:
        try:
            request = _decode_flexible(version, buf if type(buf) is bytes else bytes(buf), pos, max_objects)
        except (struct.error, IndexError) as error:
            raise ProtocolError(f"FetchRequest version {version} ends early") from error
        if request is not None:
            return request
    # Old versions, and what only followers and session clean-ups send.
    return codec.decode(FetchRequest, version, buf, pos, max_objects)[0]


def _refuse(what: str, length: int, remaining: int) -> ProtocolError:
    return ProtocolError(f"FetchRequest: {what} of {length} where {remaining} bytes remain")


def _too_many(excess: int) -> TooManyElements:
    return TooManyElements(f"FetchRequest: {excess} array elements more than allowed")


def _decode_flexible(version: int, buf: bytes, pos: int, max_objects: int) -> FetchRequest | None:
    end = len(buf)
    request = _new_request(FetchRequest)
    request.cluster_id = None
    if version >= 15:
        request.replica_id = -1
        (
            request.max_wait,
            request.min_bytes,
            request.max_bytes,
            request.isolation_level,
            request.session_id,
            request.session_epoch,
        ) = _HEAD_WITHOUT_REPLICA(buf, pos)
        pos += 21
    else:
        (
            request.replica_id,
            request.max_wait,
            request.min_bytes,
            request.max_bytes,
            request.isolation_level,
            request.session_id,
            request.session_epoch,
        ) = _HEAD(buf, pos)
        pos += 25
    request.replica_state = ReplicaState()
    topic_count = buf[pos] - 1
    if topic_count < 127:
        pos += 1
    else:
        topic_count, pos = read_compact_length(buf, pos)
    by_id = version >= 13
    if topic_count < 0 or topic_count * (18 if by_id else 3) > end - pos or topic_count > MAX_ARRAY_ELEMENTS:
        raise _refuse("topics", topic_count, end - pos)
    budget = max_objects - topic_count
    if budget < 0:
        raise _too_many(-budget)
    request.topics = topics = []
    for _ in range(topic_count):
        topic = _new_topic(FetchTopic)
        if by_id:
            topic.topic = ""
            topic.topic_id = buf[pos : pos + 16]
            pos += 16
        else:
            n = buf[pos] - 1
            if n < 127:
                pos += 1
            else:
                n, pos = read_compact_length(buf, pos)
            if n < 0 or n > end - pos:
                raise _refuse("topic name", n, end - pos)
            topic.topic = str(buf[pos : pos + n], "utf-8", "replace")
            topic.topic_id = ZERO_UUID
            pos += n
        partition_count = buf[pos] - 1
        if partition_count < 127:
            pos += 1
        else:
            partition_count, pos = read_compact_length(buf, pos)
        budget -= partition_count
        if partition_count < 0 or partition_count * 33 > end - pos or partition_count > MAX_ARRAY_ELEMENTS:
            raise _refuse("partitions", partition_count, end - pos)
        if budget < 0:
            raise _too_many(-budget)
        topic.partitions = partitions = []
        for _ in range(partition_count):
            partition = _new_partition(FetchPartition)
            (
                partition.partition,
                partition.current_leader_epoch,
                partition.fetch_offset,
                partition.last_fetched_epoch,
                partition.log_start_offset,
                partition.partition_max_bytes,
            ) = _PARTITION(buf, pos)
            pos += 32
            partition.replica_directory_id = ZERO_UUID
            partition.high_watermark = _NO_HIGH_WATERMARK
            if buf[pos]:
                if version >= 17:
                    return None
                pos = skip_tagged_fields(buf, pos, end)
            else:
                pos += 1
            partitions.append(partition)
        if buf[pos]:
            pos = skip_tagged_fields(buf, pos, end)
        else:
            pos += 1
        topics.append(topic)
    if buf[pos] != 1:
        return None
    pos += 1
    request.forgotten_topics_data = []
    n = buf[pos] - 1
    if n < 127:
        pos += 1
    else:
        n, pos = read_compact_length(buf, pos)
    if n < 0 or n > end - pos:
        raise _refuse("rack id", n, end - pos)
    request.rack_id = str(buf[pos : pos + n], "utf-8", "replace")
    pos += n
    if buf[pos]:
        return None
    return request
