"""InitProducerId (key 22), versions 0-5.

Behaviour: a fresh producer id with epoch 0 for an idempotent producer. A transactional id is answered with
NOT_COORDINATOR: there is no transaction coordinator yet.
"""

from __future__ import annotations

from pybroker.common.deferred import Deferred
from pybroker.common.errors import ErrorCode
from pybroker.handlers.context import Context, Request
from pybroker.wire.messages.init_producer_id import InitProducerIdRequest, InitProducerIdResponse


def handle(context: Context, request: Request) -> InitProducerIdResponse | Deferred[InitProducerIdResponse]:
    message: InitProducerIdRequest = request.message
    if error := _refusal(context, message):
        return InitProducerIdResponse(error_code=error, producer_id=-1, producer_epoch=-1)
    reply: Deferred[InitProducerIdResponse] = Deferred()
    context.producer_ids.take(lambda producer_id: reply.resolve(_given(producer_id)))
    return reply


def _given(producer_id: int) -> InitProducerIdResponse:
    if producer_id < 0:
        # The block could not be written: the disk may be back for the next try.
        error = ErrorCode.COORDINATOR_LOAD_IN_PROGRESS
        return InitProducerIdResponse(error_code=error, producer_id=-1, producer_epoch=-1)
    return InitProducerIdResponse(producer_id=producer_id, producer_epoch=0)


def _refusal(context: Context, message: InitProducerIdRequest) -> ErrorCode:
    if (message.producer_id == -1) != (message.producer_epoch == -1):
        return ErrorCode.INVALID_REQUEST
    if message.transactional_id is None:
        return ErrorCode.NONE
    if message.transactional_id == "":
        return ErrorCode.INVALID_REQUEST
    if not 0 < message.transaction_timeout <= context.config["transaction.max.timeout.ms"]:
        return ErrorCode.INVALID_TRANSACTION_TIMEOUT
    return ErrorCode.NOT_COORDINATOR
