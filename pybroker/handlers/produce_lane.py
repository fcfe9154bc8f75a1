"""The short way of a plain produce request: one topic, one partition, one batch that only has to be stored.

In: the bytes of a connection, as received. Out: framed replies, and the position of the first byte that was
not handled. What must hold:

- it is the twin of the general path (framing, headers, `handlers.produce`, `records.validation`,
  `Partition.append`): what it takes it answers and stores exactly as the general path does, and whatever is
  not plain it leaves alone, untouched and in order, for the general path;
- it takes a request only if one with the same bytes up to its records was answered by the general path
  without an error on this connection, and only while nothing has changed in the partition's leadership,
  configuration or active segment since then (`Partition.plain` is the same object);
- a reply is made after the batch is in the page cache.

Consecutive requests for one partition that were received together share one write; those of several
connections too, when the server gathers them (`server.connection.handle_gathered`). This is hot code: one
long loop with local names (docs/architecture.md, "Hot code, and its fence"). To be kept in step with it:
tests/properties/test_produce_lane.py feeds both ways the same bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from struct import Struct
from struct import error as struct_error
from typing import TYPE_CHECKING, Any, Final

from crc32c import crc32c

from pybroker.common.errors import CorruptionError, StorageError
from pybroker.records.batch import (
    ATTRIBUTES_POSITION,
    CURRENT_MAGIC,
    HEADER,
    HEADER_SIZE,
    LOG_OVERHEAD,
    NO_TIMESTAMP,
)
from pybroker.records.compression import ZSTD
from pybroker.records.validation import SMALL_BATCH, only_record, walk_records
from pybroker.wire import codec
from pybroker.wire.fast import produce_response
from pybroker.wire.headers import request_header, response_header
from pybroker.wire.messages.produce import (
    PartitionProduceData,
    PartitionProduceResponse,
    ProduceRequest,
    ProduceResponse,
    TopicProduceData,
    TopicProduceResponse,
)

if TYPE_CHECKING:
    from pybroker.records.validation import WalkPolicy
    from pybroker.replication.partition import Partition, PlainAppend

_unpack_frame: Final = Struct(">ihhi").unpack_from
_unpack_length: Final = Struct(">i").unpack_from
_unpack_batch: Final = HEADER.unpack_from
# Base offset, length and leader epoch: what is stamped into a batch.
_pack_stamp: Final = Struct(">qii").pack
_STAMP_SIZE: Final = 16
# Length, api key, version, correlation id: what stands before the bytes that are compared.
_FRAME_HEAD: Final = 12
_PRODUCE: Final = 0
_FIRST_VERSION: Final = 5
_FIRST_FLEXIBLE_VERSION: Final = 9
_FIRST_ZSTD_VERSION: Final = 7
# The empty tagged fields of partition, topic and request.
_TAIL: Final = b"\0\0\0"
_REPLY_OFFSETS: Final = 24
_REPLY_TAIL: Final = {5: 4, 6: 4, 7: 4, 8: 10}
_REPLY_TAIL_FLEXIBLE: Final = 9
# Below this a batch is copied: cheaper than a view.
_COPY_BYTES: Final = 2048
# What one write takes at most, and how many buffers.
_RUN_BYTES: Final = 1 << 20
_RUN_BATCHES: Final = 500
_ENTRIES_MAX: Final = 1000
_LENGTHS_MAX: Final = 8


class _Entry:
    """What is the same in all plain requests of a connection to one partition, and in their replies."""

    __slots__ = (
        "key",
        "pack_reply",
        "partition",
        "plain",
        "reply_head",
        "reply_size",
        "reply_tail",
        "silent",
    )

    key: bytes
    partition: Partition
    plain: PlainAppend
    silent: bool
    reply_head: bytes
    reply_tail: bytes
    reply_size: int
    pack_reply: Callable[..., bytes]


class ProduceLane:
    """The plain produce requests of one connection."""

    __slots__ = (
        "_entries",
        "_lengths",
        "last",
        "stored_count",
        "version",
        "walk_policy",
        "wall_ms",
    )

    def __init__(self, wall_ms: Callable[[], int], walk_policy: WalkPolicy) -> None:
        self.wall_ms = wall_ms
        self.walk_policy = walk_policy
        # Requests handled here.
        self.stored_count = 0
        self.version = -1
        self._entries: dict[bytes, _Entry] = {}
        self.last: _Entry | None = None
        # The lengths of the keys in `_entries`.
        self._lengths: list[int] = []

    def learn(
        self, version: int, client_id: str | None, message: ProduceRequest, partition: Partition
    ) -> None:
        """The general path stored the one batch of this request: the like of it may go the short way."""
        if self.walk_policy.walks_all or version < _FIRST_VERSION:
            return
        topics = message.topic_data
        if message.transactional_id is not None or len(topics) != 1 or len(topics[0].partition_data) != 1:
            return
        plain = partition.plan_plain()
        if plain is None:
            return
        topic = message.topic_data[0]
        index = topic.partition_data[0].index
        if version != self.version or len(self._entries) >= _ENTRIES_MAX:
            self.version = version
            self._entries.clear()
            self._lengths.clear()
        asked = ProduceRequest(
            acks=message.acks,
            timeout=message.timeout,
            topic_data=[
                TopicProduceData(
                    name=topic.name,
                    topic_id=topic.topic_id,
                    partition_data=[PartitionProduceData(index=index, records=b"")],
                )
            ],
        )
        # Without the length of the records and what follows them: four bytes in all versions.
        key = request_header(_PRODUCE, version, 0, client_id)[8:] + codec.encode(asked, version)[:-4]
        if len(key) not in self._lengths:
            if len(self._lengths) == _LENGTHS_MAX:
                return
            self._lengths.append(len(key))
        answer = ProduceResponse(
            responses=[
                TopicProduceResponse(
                    name=topic.name,
                    topic_id=topic.topic_id,
                    partition_responses=[PartitionProduceResponse(index=index, log_start_offset=0)],
                )
            ]
        )
        reply = response_header(_PRODUCE, version, 0) + produce_response.encode(answer, version)
        tail_at = len(reply) - _REPLY_TAIL.get(version, _REPLY_TAIL_FLEXIBLE)
        entry = _Entry()
        entry.key = key
        entry.partition = partition
        entry.plain = plain
        entry.silent = message.acks == 0
        entry.reply_size = len(reply)
        entry.reply_head = reply[4 : tail_at - _REPLY_OFFSETS]
        entry.reply_tail = reply[tail_at:]
        entry.pack_reply = Struct(f">ii{len(entry.reply_head)}sqqq{len(entry.reply_tail)}s").pack
        self._entries[key] = entry
        self.last = entry

    def find(self, data: bytes | bytearray, start: int) -> _Entry | None:
        entries = self._entries
        for length in self._lengths:
            entry = entries.get(bytes(data[start : start + length]))
            if entry is not None:
                self.last = entry
                return entry
        return None


Turn = tuple[ProduceLane, "bytes | bytearray", list[Any]]
"""What one connection received, and where its framed replies go."""


def run(turns: Sequence[Turn], index: int, position: int, frame_limit: int) -> tuple[int, int, int, int]:
    """Handle the plain requests of `turns` for one partition, from `position` of turn `index` on.

    Ends before the first request that is not plain or is for another partition. Returns its turn and
    position, or (number of turns, 0); then how many requests were handled and bytes of replies made. The
    bytes of a turn are neither changed nor kept.
    """
    first_index = index
    lane, data, _ = turns[index]
    end = len(data)
    entry = lane.last
    start = position + _FRAME_HEAD
    if entry is None or start > end:
        return index, position, 0, 0
    version = lane.version
    size, api_key, api_version, correlation_id = _unpack_frame(data, position)
    if api_key or api_version != version:
        return index, position, 0, 0
    key = entry.key
    if data[start : start + len(key)] != key:
        entry = lane.find(data, start)
        if entry is None:
            return index, position, 0, 0
        key = entry.key
    partition = entry.partition
    plain = entry.plain
    log = partition.log
    segment = plain.segment
    policy = lane.walk_policy
    if (
        partition.plain is not plain
        or log.blocked
        or log.segments[-1] is not segment
        or segment.index_full
        or segment.file is None
        or policy.walks_all
    ):
        return index, position, 0, 0
    (
        _,
        byte_limit,
        last_offset_limit,
        timestamp_limit,
        interval_bytes,
        max_batch_bytes,
        before_max_ms,
        after_max_ms,
        leader_epoch,
    ) = plain
    walks_small = policy.walks_small
    remaining = policy.remaining
    flexible = version >= _FIRST_FLEXIBLE_VERSION
    head_size = _FRAME_HEAD + len(key)
    now_ms = lane.wall_ms()
    latest = now_ms + after_max_ms
    earliest = now_ms - before_max_ms
    latest_stored = latest if latest < timestamp_limit else timestamp_limit
    next_offset = log.log_end_offset
    first_position = file_position = segment.size
    position_limit = first_position + _RUN_BYTES
    if position_limit > byte_limit:
        position_limit = byte_limit
    # `Partition.plan_plain` saw to it that it is known.
    largest_timestamp, largest_offset = segment.known_largest  # type: ignore[misc]
    bytes_since_index = segment.bytes_since_index
    index_entries: list[tuple[int, int, int, int]] = []
    buffers: list[bytes | bytearray | memoryview] = []
    view: memoryview | None = None
    stored: list[tuple[int, int]] = []
    # `remaining` counts from the first of `stored`, whose turn ever it is.
    # Turns with their entry, and how many of `stored` there are up to their end.
    answered: list[tuple[Turn, _Entry, int]] = []
    sequenced = False
    first_frame = position
    # One iteration per request; nothing outside of local names changes before all are written.
    try:
        while True:
            frame_end = position + 4 + size
            if frame_end > end or size > frame_limit:
                break
            start = position + head_size
            if flexible:
                length = data[start]
                if length < 0x80:
                    start += 1
                elif (byte := data[start + 1]) < 0x80:
                    length = length & 0x7F | byte << 7
                    start += 2
                elif (high := data[start + 2]) < 0x80:
                    length = length & 0x7F | (byte & 0x7F) << 7 | high << 14
                    start += 3
                else:
                    break
                batch_size = length - 1
                stop = start + batch_size
                if stop + 3 != frame_end or data[stop:frame_end] != _TAIL:
                    break
            else:
                (batch_size,) = _unpack_length(data, start)
                start += 4
                stop = start + batch_size
                if stop != frame_end:
                    break
            if not HEADER_SIZE < batch_size <= max_batch_bytes:
                break
            (
                given_offset,
                length,
                _,
                magic,
                crc,
                attributes,
                last_offset_delta,
                base_timestamp,
                max_timestamp,
                producer_id,
                producer_epoch,
                base_sequence,
                count,
            ) = _unpack_batch(data, start)
            last_offset = next_offset + last_offset_delta
            if (
                given_offset
                or length + LOG_OVERHEAD != batch_size
                or magic != CURRENT_MAGIC
                or not 0 <= attributes <= ZSTD
                or count <= 0
                or last_offset_delta + 1 != count
                or not earliest <= base_timestamp <= latest
                or not NO_TIMESTAMP <= max_timestamp <= latest_stored
                or file_position + batch_size > position_limit
                or last_offset > last_offset_limit
                or (attributes == ZSTD and version < _FIRST_ZSTD_VERSION)
            ):
                break
            if producer_id >= 0:
                # Its state moves with each batch: one at a time.
                if stored or not log.producers.is_next(producer_id, producer_epoch, base_sequence):
                    break
                sequenced = True
            if batch_size < _COPY_BYTES:
                checked: bytes | bytearray | memoryview = data[start + ATTRIBUTES_POSITION : stop]
                content: bytes | bytearray | memoryview = data[start + _STAMP_SIZE : stop]
            else:
                if view is None:
                    view = memoryview(data)
                checked = view[start + ATTRIBUTES_POSITION : stop]
                content = view[start + _STAMP_SIZE : stop]
            if crc32c(checked) != crc:
                break
            if count > SMALL_BATCH:
                if remaining > len(stored):
                    break
            elif walks_small:
                if attributes:
                    break
                if count == 1 and (lowest := only_record(data, start + HEADER_SIZE, stop)) >= 0:
                    highest = lowest
                else:
                    highest, _, lowest, _ = walk_records(data, count, start + HEADER_SIZE, stop)
                if base_timestamp + highest != max_timestamp or base_timestamp + lowest < earliest:
                    break

            buffers.append(_pack_stamp(next_offset, length, leader_epoch))
            buffers.append(content)
            stored.append((correlation_id, next_offset))
            if max_timestamp > largest_timestamp:
                largest_timestamp, largest_offset = max_timestamp, last_offset
            if bytes_since_index > interval_bytes:
                index_entries.append((last_offset, file_position, largest_timestamp, largest_offset))
                bytes_since_index = batch_size
            else:
                bytes_since_index += batch_size
            next_offset = last_offset + 1
            file_position += batch_size
            position = frame_end

            if position == end:
                answered.append((turns[index], entry, len(stored)))
                index += 1
                position = 0
                if index == len(turns):
                    break
                lane, data, _ = turns[index]
                end = len(data)
                following = lane.last
                policy = lane.walk_policy
                if (
                    following is None
                    or following.plain is not plain
                    or lane.version != version
                    or policy.walks_all
                    or policy.walks_small != walks_small
                ):
                    break
                entry = following
                key = entry.key
                remaining = policy.remaining + len(stored)
                head_size = _FRAME_HEAD + len(key)
                view = None
            start = position + _FRAME_HEAD
            if sequenced or start > end or len(stored) == _RUN_BATCHES:
                break
            size, api_key, api_version, correlation_id = _unpack_frame(data, position)
            if (
                api_key
                or api_version != version
                or data[start : start + len(key)] != key
                or (index_entries and len(index_entries) >= segment.index_room)
            ):
                break
    except (IndexError, struct_error, CorruptionError):
        # Cut, or records that are not sound: the general path says what is wrong.
        pass
    if not stored:
        return index, position, 0, 0
    if position:
        answered.append((turns[index], entry, len(stored)))
    try:
        log.append_plain(
            segment,
            buffers,
            file_position - first_position,
            next_offset,
            (largest_timestamp, largest_offset),
            bytes_since_index,
            index_entries,
        )
    except StorageError:
        # Nothing has changed: the general path meets it again, and answers.
        return first_index, first_frame, 0, 0
    if sequenced:
        log.producers.update(
            producer_id,
            producer_epoch,
            base_sequence,
            stored[0][1],
            last_offset_delta,
            max_timestamp,
            False,
        )
    partition.stored(next_offset)
    log_start_offset = log.log_start_offset
    first = reply_bytes = 0
    for (lane, _, out), entry, last in answered:
        count = last - first
        lane.stored_count += count
        policy = lane.walk_policy
        if policy.remaining:
            policy.remaining = max(policy.remaining - count, 0)
        if not entry.silent:
            pack_reply = entry.pack_reply
            size, head, tail = entry.reply_size, entry.reply_head, entry.reply_tail
            reply_bytes += (size + 4) * count
            for correlation_id, base_offset in stored[first:last]:
                out.append(
                    pack_reply(size, correlation_id, head, base_offset, NO_TIMESTAMP, log_start_offset, tail)
                )
        first = last
    return index, position, len(stored), reply_bytes
