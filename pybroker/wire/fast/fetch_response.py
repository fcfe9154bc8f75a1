"""Hand-written encoder of FetchResponse 4-18. Its plain twin is the generated codec.

In: a `FetchResponse` and a version. Out: a list of buffers in which the record sets are the very objects of
the message, not copies, for one gathering write. What must hold: the buffers joined equal the twin's bytes; a
value that does not fit its field is a ValueError.

    v4-6:   throttle time i32 | [ topic str | [ partition ] ]
    v7+:    throttle time i32 | error i16 | session id i32 | the same
    partition: index i32 | error i16 | high watermark i64 | last stable offset i64
             | v5+ log start offset i64 | aborted n[ producer id i64 | first offset i64 ]
             | v11+ preferred read replica i32 | records nbytes
    v12+:   compact lengths, tagged fields (of a partition: diverging epoch 0, current leader 1, snapshot 2)
    v13+:   topic id uuid instead of the name
    v16+:   node endpoints are tag 0 of the response
"""

from __future__ import annotations

import struct
from typing import Final

from pybroker.wire import codec
from pybroker.wire.messages.fetch import FetchResponse, PartitionData
from pybroker.wire.primitives import Buffer, encode_unsigned_varint

_HEAD: Final = struct.Struct(">ihi").pack
_PARTITION: Final = struct.Struct(">ihqqqBi").pack
_PARTITION_HEAD: Final = struct.Struct(">ihqqq").pack
_ABORTED: Final = struct.Struct(">qqx").pack
_INT32: Final = struct.Struct(">i").pack


def encode_parts(response: FetchResponse, version: int) -> list[Buffer]:
    """The body of the response as buffers to be written in order."""
    parts: list[Buffer] = []
    if version >= 12 and not response.node_endpoints:
        try:
            _encode_flexible(response, version, parts)
        except (struct.error, TypeError, AttributeError, ValueError, OverflowError) as error:
            raise ValueError(f"FetchResponse version {version} cannot be encoded: {error}") from error
        return parts
    codec.encode_into(response, version, parts)
    return _gather(parts)


def encode(response: FetchResponse, version: int) -> bytes:
    """The body of the response in one piece."""
    return b"".join(encode_parts(response, version))


def _gather(parts: list[Buffer]) -> list[Buffer]:
    """Join the small buffers between record sets: a gathering write pays for each one."""
    gathered: list[Buffer] = []
    small = bytearray()
    for part in parts:
        if len(part) >= 512:
            if small:
                gathered.append(small)
                small = bytearray()
            gathered.append(part)
        else:
            small += part
    if small:
        gathered.append(small)
    return gathered


def _partition_tags(partition: PartitionData) -> bytes:
    fields = []
    diverging = partition.diverging_epoch
    if diverging.epoch != -1 or diverging.end_offset != -1:
        fields.append(struct.pack(">BBiqx", 0, 13, diverging.epoch, diverging.end_offset))
    leader = partition.current_leader
    if leader.leader_id != -1 or leader.leader_epoch != -1:
        fields.append(struct.pack(">BBiix", 1, 9, leader.leader_id, leader.leader_epoch))
    snapshot = partition.snapshot_id
    if snapshot.end_offset != -1 or snapshot.epoch != -1:
        fields.append(struct.pack(">BBqix", 2, 13, snapshot.end_offset, snapshot.epoch))
    return bytes((len(fields),)) + b"".join(fields)


def _encode_flexible(response: FetchResponse, version: int, parts: list[Buffer]) -> None:
    if version > 18:
        raise ValueError("FetchResponse ends at version 18")
    head = bytearray(_HEAD(response.throttle_time, response.error_code, response.session_id))
    head += encode_unsigned_varint(len(response.responses) + 1)
    for topic in response.responses:
        if version >= 13:
            if len(topic.topic_id) != 16:
                raise ValueError("a topic id has 16 bytes")
            head += topic.topic_id
        else:
            name = topic.topic.encode("utf-8", "replace")
            head += encode_unsigned_varint(len(name) + 1)
            head += name
        head += encode_unsigned_varint(len(topic.partitions) + 1)
        for partition in topic.partitions:
            aborted = partition.aborted_transactions
            if not aborted:
                head += _PARTITION(
                    partition.partition_index,
                    partition.error_code,
                    partition.high_watermark,
                    partition.last_stable_offset,
                    partition.log_start_offset,
                    0 if aborted is None else 1,
                    partition.preferred_read_replica,
                )
            else:
                head += _PARTITION_HEAD(
                    partition.partition_index,
                    partition.error_code,
                    partition.high_watermark,
                    partition.last_stable_offset,
                    partition.log_start_offset,
                )
                head += encode_unsigned_varint(len(aborted) + 1)
                for transaction in aborted:
                    head += _ABORTED(transaction.producer_id, transaction.first_offset)
                head += _INT32(partition.preferred_read_replica)
            records = partition.records
            if records is None:
                head.append(0)
            else:
                size = len(records)
                head += encode_unsigned_varint(size + 1)
                if size >= 512:
                    parts.append(head)
                    parts.append(records)
                    head = bytearray()
                else:
                    head += records
            if (
                partition.current_leader.leader_id == -1
                and partition.diverging_epoch.epoch == -1
                and partition.snapshot_id.epoch == -1
                and partition.current_leader.leader_epoch == -1
                and partition.diverging_epoch.end_offset == -1
                and partition.snapshot_id.end_offset == -1
            ):
                head.append(0)
            else:
                head += _partition_tags(partition)
        head.append(0)
    head.append(0)
    parts.append(head)
