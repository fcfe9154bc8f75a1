"""WriteTxnMarkers (key 27), versions 1-2.

Behaviour: ends transactions in partitions of this broker, for transaction coordinators and for the
administrator who aborts a transaction that hangs. Answers when the markers are committed. From v2 on the
marker's transaction version tells how its epoch is checked (KIP-1228).
"""

from __future__ import annotations

from collections.abc import Mapping

from pybroker.common.deferred import Deferred, gather
from pybroker.common.errors import ErrorCode
from pybroker.handlers.context import Context, Request
from pybroker.handlers.transaction_markers import append_markers
from pybroker.transactions.markers import Marker
from pybroker.transactions.records import TopicPartition
from pybroker.wire.messages.write_txn_markers import (
    WritableTxnMarker,
    WritableTxnMarkerPartitionResult,
    WritableTxnMarkerResult,
    WritableTxnMarkerTopicResult,
    WriteTxnMarkersRequest,
    WriteTxnMarkersResponse,
)


def handle(context: Context, request: Request) -> Deferred[WriteTxnMarkersResponse]:
    message: WriteTxnMarkersRequest = request.message
    return gather([_write(context, asked) for asked in message.markers]).map(
        lambda results: WriteTxnMarkersResponse(markers=results)
    )


def _write(context: Context, asked: WritableTxnMarker) -> Deferred[WritableTxnMarkerResult]:
    marker = Marker(
        asked.producer_id,
        asked.producer_epoch,
        asked.transaction_result,
        asked.coordinator_epoch,
        asked.transaction_version,
    )
    partitions = [(topic.name, number) for topic in asked.topics for number in topic.partition_indexes]
    written: Deferred[WritableTxnMarkerResult] = Deferred()
    append_markers(context, marker, partitions, lambda outcomes: written.resolve(_result(asked, outcomes)))
    return written


def _result(
    asked: WritableTxnMarker, outcomes: Mapping[TopicPartition, ErrorCode]
) -> WritableTxnMarkerResult:
    return WritableTxnMarkerResult(
        producer_id=asked.producer_id,
        topics=[
            WritableTxnMarkerTopicResult(
                name=topic.name,
                partitions=[
                    WritableTxnMarkerPartitionResult(
                        partition_index=number, error_code=outcomes[topic.name, number]
                    )
                    for number in topic.partition_indexes
                ],
            )
            for topic in asked.topics
        ],
    )
