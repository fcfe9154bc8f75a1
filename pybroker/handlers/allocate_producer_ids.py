"""AllocateProducerIds (key 67), version 0.

Behaviour: decided by the active controller; a block of 1000 ids for a broker under its present epoch.
"""

from __future__ import annotations

from pybroker.common.deferred import Deferred
from pybroker.handlers.context import Context, Request
from pybroker.wire.messages.allocate_producer_ids import AllocateProducerIdsResponse


def handle(context: Context, request: Request) -> Deferred[AllocateProducerIdsResponse]:
    return context.controller.allocate_producer_ids_for(request.message)
