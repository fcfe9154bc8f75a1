"""Appending transaction markers to this broker's partitions, for WriteTxnMarkers and for its own coordinator.

In: a marker and partitions. Out: the error code of each, once its marker is committed. What must hold: a
marker in a group coordinator's partition makes the offsets of its transaction visible, or forgets them, at
the moment it is appended.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from pybroker.common.errors import ErrorCode
from pybroker.handlers.context import Context
from pybroker.transactions.markers import Marker
from pybroker.transactions.records import TopicPartition


def append_markers(
    context: Context,
    marker: Marker,
    partitions: list[TopicPartition],
    done: Callable[[dict[TopicPartition, ErrorCode]], None],
) -> None:
    """Call `done` with the outcome for each partition once all markers are committed or refused."""
    outcomes: dict[TopicPartition, ErrorCode] = {}
    waiting = set(partitions)
    now_ms = context.clock.wall_ms()

    def settle(name: TopicPartition, error: ErrorCode) -> None:
        outcomes[name] = error
        waiting.discard(name)
        if not waiting:
            done({name: outcomes[name] for name in partitions})

    if not waiting:
        done({})
    for name in list(dict.fromkeys(partitions)):
        topic, index = name
        partition = context.partition(topic, index)
        if partition is None:
            settle(name, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
            continue
        outcome = partition.append_marker(
            marker.producer_id,
            marker.producer_epoch,
            commit=marker.commit,
            coordinator_epoch=marker.coordinator_epoch,
            transaction_version=marker.transaction_version,
            now_ms=now_ms,
        )
        if outcome.error:
            settle(name, outcome.error)
            continue
        if topic == context.groups.topic:
            context.groups.end_transaction(index, marker.producer_id, marker.producer_epoch, marker.commit)
        partition.on_high_watermark(outcome.end_offset, partial(settle, name))
