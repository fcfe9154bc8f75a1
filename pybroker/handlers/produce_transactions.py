"""What a transactional produce needs before its batches are appended (KIP-890).

In: a produce request with a transactional id. Out: an `Admission`, at once when every transaction that it
writes to is open already, else when the transaction coordinator has answered. What must hold: no batch opens
a transaction in a partition that the coordinator does not know to be part of it.

From version 12 on the partition is added to the transaction by this; below, it must have been added before.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, Final, NamedTuple, cast

from pybroker.common.deferred import Deferred
from pybroker.common.errors import ErrorCode
from pybroker.handlers.context import Connection, Context, Request
from pybroker.log.producer_state import Verification
from pybroker.records.batch import HEADER, HEADER_SIZE, BatchHeader
from pybroker.transactions.records import TopicPartition
from pybroker.wire.messages.produce import ProduceRequest

_FIRST_WITH_ABORTABLE: Final = 11
_FIRST_IMPLICIT: Final = 12
_UNVERIFIED: Final = "Unable to verify the partition has been added to the transaction. Underlying error:"
_UNAVAILABLE: Final = frozenset(
    {
        ErrorCode.NETWORK_EXCEPTION,
        ErrorCode.COORDINATOR_LOAD_IN_PROGRESS,
        ErrorCode.COORDINATOR_NOT_AVAILABLE,
        ErrorCode.NOT_COORDINATOR,
    }
)


class Admission:
    """The partitions that were refused, with the text for the client, and what the others may bring along."""

    __slots__ = ("errors", "verifications", "verify")

    def __init__(self, verify: bool) -> None:
        self.errors: dict[TopicPartition, tuple[ErrorCode, str | None]] = {}
        self.verifications: dict[TopicPartition, Verification] = {}
        self.verify = verify


class _Batch(NamedTuple):
    producer_id: int
    producer_epoch: int
    base_sequence: int


Append = Callable[[Context, Request, Admission], Any]


def in_order(context: Context, request: Request, append: Append) -> Deferred[Any]:
    """The reply of `append`, called when the request is admitted: after what the connection sent before."""
    waiting = request.connection.produce_queue
    reply: Deferred[Any] = Deferred()
    if waiting is not None:
        waiting.append(lambda: _serve(context, request, append, reply))
        return reply
    _serve(context, request, append, reply)
    return reply


def _serve(context: Context, request: Request, append: Append, reply: Deferred[Any]) -> None:
    connection = request.connection
    admission = Admission(True)
    answer = _admit(context, request.message, request.version, admission)

    def admitted(errors: object) -> None:
        outcome = append(context, request, admission)
        if isinstance(outcome, Deferred):
            outcome.then(reply.resolve)
        else:
            reply.resolve(outcome)

    if answer is None:
        admitted(None)
        return
    if answer.done:
        answer.then(admitted)
        return
    if connection.produce_queue is None:
        connection.produce_queue = deque()

    def late(errors: object) -> None:
        admitted(errors)
        _serve_waiting(connection)

    answer.then(late)


def _serve_waiting(connection: Connection) -> None:
    """Serve what came after an admitted request, until one of them has to wait itself."""
    waiting = connection.produce_queue
    connection.produce_queue = None
    while waiting:
        serve = waiting.popleft()
        serve()
        if connection.produce_queue is not None:
            connection.produce_queue.extend(waiting)
            return


def _admit(
    context: Context, message: ProduceRequest, version: int, admission: Admission
) -> Deferred[None] | None:
    """Fill the admission; None when the coordinator need not be asked."""
    implicit = version >= _FIRST_IMPLICIT
    if not implicit and not context.config["transaction.partition.verification.enable"]:
        admission.verify = False
        return None
    batches = _transactional_batches(context, message, version)
    producers = {(batch.producer_id, batch.producer_epoch) for batch in batches.values()}
    if len(producers) > 1:
        for name in batches:
            admission.errors[name] = ErrorCode.INVALID_PRODUCER_ID_MAPPING, None
        return None
    for name, batch in batches.items():
        partition = context.partition(*name)
        if partition is None:
            # Held elsewhere: refused when it comes to the append.
            continue
        started = partition.start_verification(
            batch.producer_id, batch.producer_epoch, batch.base_sequence, strict=implicit
        )
        if isinstance(started, Verification):
            admission.verifications[name] = started
        elif started is not None:
            admission.errors[name] = started, None
    if not admission.verifications:
        return None
    producer_id, producer_epoch = producers.pop()

    def answered(errors: Any) -> None:
        for name, error in errors.items():
            if error:
                admission.errors[name] = _translated(error, version)

    return context.admit(
        message.transactional_id or "",
        producer_id,
        producer_epoch,
        admission.verifications,
        implicit=implicit,
    ).map(answered)


def _transactional_batches(
    context: Context, message: ProduceRequest, version: int
) -> dict[TopicPartition, _Batch]:
    """The transactional batches of a request whose partitions are here."""
    found: dict[TopicPartition, _Batch] = {}
    for topic in message.topic_data:
        local = context.topics_by_id.get(topic.topic_id) if version >= 13 else context.topics.get(topic.name)
        if local is None:
            continue
        for data in topic.partition_data:
            records = cast("memoryview | None", data.records)
            if records is None or len(records) < HEADER_SIZE or not 0 <= data.index < len(local.partitions):
                continue
            header = BatchHeader._make(HEADER.unpack_from(records))
            if header.is_transactional and header.producer_id >= 0:
                found[local.name, data.index] = _Batch(
                    header.producer_id, header.producer_epoch, header.base_sequence
                )
    return found


def _translated(error: ErrorCode, version: int) -> tuple[ErrorCode, str | None]:
    """The coordinator's answer as a producer of this version understands it."""
    if error in _UNAVAILABLE or (error is ErrorCode.CONCURRENT_TRANSACTIONS and version < _FIRST_IMPLICIT):
        # An error that makes every client try again without asking for new metadata.
        return ErrorCode.NOT_ENOUGH_REPLICAS, f"{_UNVERIFIED} {error.name}"
    if error is ErrorCode.PRODUCER_FENCED:
        return ErrorCode.INVALID_PRODUCER_EPOCH, None
    if error is ErrorCode.TRANSACTION_ABORTABLE and version < _FIRST_WITH_ABORTABLE:
        error = ErrorCode.INVALID_TXN_STATE
    if error is ErrorCode.INVALID_TXN_STATE:
        return error, "Partition was not added to the transaction"
    return error, None
