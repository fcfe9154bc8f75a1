"""Hand-written decoder of ProduceRequest 3-13. Its plain twin is the generated codec.

In: a version and the body. Out: a `ProduceRequest` whose record sets are memoryviews over the given buffer.
What must hold: it accepts and refuses exactly what the twin does, with equal results, and raises
ProtocolError only.

    v3-8:  transactional id nstr | acks i16 | timeout i32 | [ name str | [ index i32 | records nbytes ] ]
    v9-12: the same with compact lengths, a section of tagged fields after every struct
    v13:   topic id uuid instead of the name
"""

from __future__ import annotations

import struct
from typing import Final

from pybroker.common.errors import ProtocolError, TooManyElements
from pybroker.wire.limits import MAX_ARRAY_ELEMENTS, MAX_DECODED_OBJECTS
from pybroker.wire.message import ZERO_UUID
from pybroker.wire.messages.produce import PartitionProduceData, ProduceRequest, TopicProduceData
from pybroker.wire.primitives import Buffer, read_compact_length, skip_tagged_fields

_INT16: Final = struct.Struct(">h").unpack_from
_INT32: Final = struct.Struct(">i").unpack_from
_ACKS_TIMEOUT: Final = struct.Struct(">hi").unpack_from
_ACKS_TIMEOUT_COUNT: Final = struct.Struct(">hii").unpack_from
_INDEX_LENGTH: Final = struct.Struct(">ii").unpack_from
_new_request: Final = ProduceRequest.__new__
_new_topic: Final = TopicProduceData.__new__
_new_partition: Final = PartitionProduceData.__new__


def decode(version: int, buf: Buffer, pos: int = 0, max_objects: int = MAX_DECODED_OBJECTS) -> ProduceRequest:
    """The request in `buf` from `pos` on. Bytes after its end are ignored. TooManyElements when its arrays
    have more than `max_objects` elements in all."""
    view = buf if type(buf) is memoryview else memoryview(buf)
    try:
        if 9 <= version <= 13:
            return _decode_flexible(version, view, pos, max_objects)[0]
        if 3 <= version <= 8:
            return _decode_legacy(view, pos, max_objects)[0]
    except (struct.error, IndexError) as error:
        raise ProtocolError(f"ProduceRequest version {version} ends early") from error
    raise ProtocolError(f"ProduceRequest has no version {version}")


def _refuse(what: str, length: int, remaining: int) -> ProtocolError:
    return ProtocolError(f"ProduceRequest: {what} of {length} where {remaining} bytes remain")


def _too_many(excess: int) -> TooManyElements:
    return TooManyElements(f"ProduceRequest: {excess} array elements more than allowed")


def _decode_flexible(version: int, buf: memoryview, pos: int, max_objects: int) -> tuple[ProduceRequest, int]:
    end = len(buf)
    request = _new_request(ProduceRequest)
    n = buf[pos] - 1
    if n < 127:
        pos += 1
    else:
        n, pos = read_compact_length(buf, pos)
    if n < 0:
        request.transactional_id = None
    else:
        if n > end - pos:
            raise _refuse("transactional id", n, end - pos)
        request.transactional_id = str(buf[pos : pos + n], "utf-8", "replace")
        pos += n
    request.acks, request.timeout = _ACKS_TIMEOUT(buf, pos)
    pos += 6
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
    request.topic_data = topics = []
    for _ in range(topic_count):
        topic = _new_topic(TopicProduceData)
        if by_id:
            topic.name = ""
            topic.topic_id = bytes(buf[pos : pos + 16])
            pos += 16
        else:
            n = buf[pos] - 1
            if n < 127:
                pos += 1
            else:
                n, pos = read_compact_length(buf, pos)
            if n < 0 or n > end - pos:
                raise _refuse("topic name", n, end - pos)
            topic.name = str(buf[pos : pos + n], "utf-8", "replace")
            topic.topic_id = ZERO_UUID
            pos += n
        partition_count = buf[pos] - 1
        if partition_count < 127:
            pos += 1
        else:
            partition_count, pos = read_compact_length(buf, pos)
        budget -= partition_count
        if partition_count < 0 or partition_count * 6 > end - pos or partition_count > MAX_ARRAY_ELEMENTS:
            raise _refuse("partitions", partition_count, end - pos)
        if budget < 0:
            raise _too_many(-budget)
        topic.partition_data = partitions = []
        for _ in range(partition_count):
            partition = _new_partition(PartitionProduceData)
            (partition.index,) = _INT32(buf, pos)
            pos += 4
            n = buf[pos] - 1
            if n < 127:
                pos += 1
            else:
                n, pos = read_compact_length(buf, pos)
            if n < 0:
                partition.records = None
            else:
                if n > end - pos:
                    raise _refuse("records", n, end - pos)
                partition.records = buf[pos : pos + n]
                pos += n
            if buf[pos]:
                pos = skip_tagged_fields(buf, pos, end)
            else:
                pos += 1
            partitions.append(partition)
        if buf[pos]:
            pos = skip_tagged_fields(buf, pos, end)
        else:
            pos += 1
        topics.append(topic)
    if buf[pos]:
        pos = skip_tagged_fields(buf, pos, end)
    else:
        pos += 1
    return request, pos


def _decode_legacy(buf: memoryview, pos: int, max_objects: int) -> tuple[ProduceRequest, int]:
    end = len(buf)
    request = _new_request(ProduceRequest)
    (n,) = _INT16(buf, pos)
    pos += 2
    if n < 0:
        request.transactional_id = None
    else:
        if n > end - pos:
            raise _refuse("transactional id", n, end - pos)
        request.transactional_id = str(buf[pos : pos + n], "utf-8", "replace")
        pos += n
    request.acks, request.timeout, topic_count = _ACKS_TIMEOUT_COUNT(buf, pos)
    pos += 10
    if topic_count < 0 or topic_count * 6 > end - pos or topic_count > MAX_ARRAY_ELEMENTS:
        raise _refuse("topics", topic_count, end - pos)
    budget = max_objects - topic_count
    if budget < 0:
        raise _too_many(-budget)
    request.topic_data = topics = []
    for _ in range(topic_count):
        topic = _new_topic(TopicProduceData)
        (n,) = _INT16(buf, pos)
        pos += 2
        if n < 0 or n > end - pos:
            raise _refuse("topic name", n, end - pos)
        topic.name = str(buf[pos : pos + n], "utf-8", "replace")
        topic.topic_id = ZERO_UUID
        pos += n
        (partition_count,) = _INT32(buf, pos)
        pos += 4
        budget -= partition_count
        if partition_count < 0 or partition_count * 8 > end - pos or partition_count > MAX_ARRAY_ELEMENTS:
            raise _refuse("partitions", partition_count, end - pos)
        if budget < 0:
            raise _too_many(-budget)
        topic.partition_data = partitions = []
        for _ in range(partition_count):
            partition = _new_partition(PartitionProduceData)
            partition.index, n = _INDEX_LENGTH(buf, pos)
            pos += 8
            if n < 0:
                partition.records = None
            else:
                if n > end - pos:
                    raise _refuse("records", n, end - pos)
                partition.records = buf[pos : pos + n]
                pos += n
            partitions.append(partition)
        topics.append(topic)
    return request, pos
