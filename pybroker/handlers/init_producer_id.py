"""InitProducerId (key 22), versions 0-5.

Behaviour: without a transactional id a fresh producer id with epoch 0. With one, the id and next epoch of
that producer, whose open transaction is aborted first (CONCURRENT_TRANSACTIONS until that is done). One that
names its id and epoch (v3, KIP-360) goes on with the next epoch, unless another one came in between.
"""

from __future__ import annotations

from pybroker.common.deferred import Deferred
from pybroker.common.errors import ErrorCode
from pybroker.handlers.context import Context, Request
from pybroker.transactions.shard import ProducerAnswer
from pybroker.wire.messages.init_producer_id import InitProducerIdRequest, InitProducerIdResponse


def handle(context: Context, request: Request) -> InitProducerIdResponse | Deferred[InitProducerIdResponse]:
    message: InitProducerIdRequest = request.message
    if error := _refusal(context, message):
        return _answer(ProducerAnswer(error), request.version)
    if message.transactional_id is None:
        reply: Deferred[InitProducerIdResponse] = Deferred()
        context.producer_ids.take(lambda producer_id: reply.resolve(_given(producer_id)))
        return reply
    expected = None
    if message.producer_id != -1:
        expected = message.producer_id, message.producer_epoch
    return context.transactions.init_producer(
        message.transactional_id, message.transaction_timeout, expected
    ).map(lambda answer: _answer(answer, request.version))


def _given(producer_id: int) -> InitProducerIdResponse:
    if producer_id < 0:
        # The block could not be written: the disk may be back for the next try.
        error = ErrorCode.COORDINATOR_LOAD_IN_PROGRESS
        return InitProducerIdResponse(error_code=error, producer_id=-1, producer_epoch=-1)
    return InitProducerIdResponse(producer_id=producer_id, producer_epoch=0)


def _answer(answer: ProducerAnswer, version: int) -> InitProducerIdResponse:
    error = answer.error
    if error is ErrorCode.PRODUCER_FENCED and version < 4:
        error = ErrorCode.INVALID_PRODUCER_EPOCH
    return InitProducerIdResponse(
        error_code=error, producer_id=answer.producer_id, producer_epoch=answer.producer_epoch
    )


def _refusal(context: Context, message: InitProducerIdRequest) -> ErrorCode:
    if (message.producer_id == -1) != (message.producer_epoch == -1):
        return ErrorCode.INVALID_REQUEST
    if message.transactional_id is None:
        return ErrorCode.NONE
    if message.transactional_id == "":
        return ErrorCode.INVALID_REQUEST
    if not 0 < message.transaction_timeout <= context.config["transaction.max.timeout.ms"]:
        return ErrorCode.INVALID_TRANSACTION_TIMEOUT
    return ErrorCode.NONE
