"""EndTxn (key 26), versions 0-5.

Behaviour: commits or aborts a transaction; the answer comes once the decision is committed. With v5
(transactions v2) it has the producer's next id and epoch, also when the request is repeated.
"""

from __future__ import annotations

from pybroker.common.deferred import Deferred
from pybroker.common.errors import ErrorCode
from pybroker.handlers.context import Context, Request
from pybroker.transactions.shard import ProducerAnswer
from pybroker.wire.messages.end_txn import EndTxnRequest, EndTxnResponse


def handle(context: Context, request: Request) -> Deferred[EndTxnResponse]:
    message: EndTxnRequest = request.message

    def answer(outcome: ProducerAnswer) -> EndTxnResponse:
        error = outcome.error
        if error is ErrorCode.PRODUCER_FENCED and request.version < 2:
            error = ErrorCode.INVALID_PRODUCER_EPOCH
        return EndTxnResponse(
            error_code=error, producer_id=outcome.producer_id, producer_epoch=outcome.producer_epoch
        )

    return context.transactions.end(
        message.transactional_id,
        message.producer_id,
        message.producer_epoch,
        commit=message.committed,
        client_version=2 if request.version >= 5 else 0,
    ).map(answer)
