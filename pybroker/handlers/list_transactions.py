"""ListTransactions (key 66), versions 0-2.

Behaviour: the transactional ids of this coordinator, filtered by state, producer id, age of the transaction
(v1) and pattern (v2, RE2 syntax, the whole id has to match). A state that does not exist is reported back.
Deviations: letters beyond ASCII are not told apart in a pattern: only `.` and negated classes match them.
"""

from __future__ import annotations

from pybroker.common.errors import ErrorCode
from pybroker.groups.regex import Regex, RegexError
from pybroker.handlers.context import Context, Request
from pybroker.transactions.transitions import STATES_BY_NAME
from pybroker.wire.messages.list_transactions import (
    ListTransactionsRequest,
    ListTransactionsResponse,
    TransactionState,
)


def handle(context: Context, request: Request) -> ListTransactionsResponse:
    message: ListTransactionsRequest = request.message
    pattern: Regex | None = None
    if message.transactional_id_pattern:
        try:
            pattern = Regex(message.transactional_id_pattern)
        except RegexError:
            return ListTransactionsResponse(error_code=ErrorCode.INVALID_REGULAR_EXPRESSION)
    names = message.state_filters
    states = frozenset(STATES_BY_NAME[name] for name in names if name in STATES_BY_NAME)
    listing = context.transactions.listing(
        states if names else None, frozenset(message.producer_id_filters), message.duration_filter
    )
    if isinstance(listing, ErrorCode):
        return ListTransactionsResponse(error_code=listing)
    return ListTransactionsResponse(
        unknown_state_filters=[name for name in names if name not in STATES_BY_NAME],
        transaction_states=[
            TransactionState(
                transactional_id=row.transactional_id,
                producer_id=row.producer_id,
                transaction_state=row.state,
            )
            for row in listing
            if pattern is None or pattern.matches(row.transactional_id)
        ],
    )
