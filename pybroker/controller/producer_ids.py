"""Blocks of producer ids (KIP-730): a broker hands ids out one by one from a block that is committed first.

In: the latest image. Out: a `Decision` with the block. What must hold: no id is in two blocks, ever.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from pybroker.common.errors import ApiError, ErrorCode
from pybroker.controller.brokers import check_broker_epoch
from pybroker.controller.decision import Decision
from pybroker.metadata.image import MetadataImage
from pybroker.wire.messages.allocate_producer_ids import (
    AllocateProducerIdsRequest,
    AllocateProducerIdsResponse,
)
from pybroker.wire.schemas.metadata_records import ProducerIdsRecord

BLOCK_SIZE: Final = 1000
_LAST_START: Final = (1 << 63) - 1 - BLOCK_SIZE


class ProducerIdBlock(NamedTuple):
    """Ids `start` to `start + length - 1`; length 0 when the block could not be written."""

    start: int
    length: int


def allocate(image: MetadataImage, broker_id: int) -> Decision[ProducerIdBlock]:
    """A block for the broker in this process."""
    broker = image.brokers.get(broker_id)
    return _block(image, broker_id, -1 if broker is None else broker.epoch)


def _block(image: MetadataImage, broker_id: int, broker_epoch: int) -> Decision[ProducerIdBlock]:
    start = image.next_producer_id
    if start > _LAST_START:
        return Decision([], ProducerIdBlock(-1, 0))
    record = ProducerIdsRecord(
        broker_id=broker_id, broker_epoch=broker_epoch, next_producer_id=start + BLOCK_SIZE
    )
    return Decision([record], ProducerIdBlock(start, BLOCK_SIZE))


def allocate_for(
    image: MetadataImage, request: AllocateProducerIdsRequest
) -> Decision[AllocateProducerIdsResponse]:
    """A block for any registered broker."""
    try:
        check_broker_epoch(image, request.broker_id, request.broker_epoch)
    except ApiError as error:
        return refuse(error.code)
    decision = _block(image, request.broker_id, request.broker_epoch)
    block = decision.response
    if not block.length:
        return refuse(ErrorCode.UNKNOWN_SERVER_ERROR)
    response = AllocateProducerIdsResponse(producer_id_start=block.start, producer_id_len=block.length)
    return Decision(decision.records, response)


def refuse(code: int, message: str | None = None) -> Decision[AllocateProducerIdsResponse]:
    """The response has no place for the message."""
    return Decision([], AllocateProducerIdsResponse(error_code=code))
