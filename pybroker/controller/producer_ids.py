"""Blocks of producer ids (KIP-730): a broker hands ids out one by one from a block that is committed first.

In: the latest image. Out: a `Decision` with the block. What must hold: no id is in two blocks, ever.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from pybroker.controller.decision import Decision
from pybroker.metadata.image import MetadataImage
from pybroker.wire.schemas.metadata_records import ProducerIdsRecord

BLOCK_SIZE: Final = 1000


class ProducerIdBlock(NamedTuple):
    """Ids `start` to `start + length - 1`; length 0 when the block could not be written."""

    start: int
    length: int


def allocate(image: MetadataImage, broker_id: int) -> Decision[ProducerIdBlock]:
    start = image.next_producer_id
    broker = image.brokers.get(broker_id)
    record = ProducerIdsRecord(
        broker_id=broker_id,
        broker_epoch=-1 if broker is None else broker.epoch,
        next_producer_id=start + BLOCK_SIZE,
    )
    return Decision([record], ProducerIdBlock(start, BLOCK_SIZE))
