"""Fetch (key 1) on the controller listener, versions 4-18.

Behaviour: the metadata log for its other members, voters and observers; no other topic is there. The log is
served beyond the high watermark: a member learns of that separately. Versions that name the topic in place of
its id (below 13) are refused, as Kafka does since the metadata log is asked for by its id; the leader's
address is told from version 17 on.
"""

from __future__ import annotations

from typing import Final

from pybroker.common.deferred import Deferred
from pybroker.handlers.context import Context, Request
from pybroker.wire.messages.fetch import FetchResponse

_ENDPOINTS_FROM: Final = 17


def handle(context: Context, request: Request) -> Deferred[FetchResponse]:
    answer: Deferred[FetchResponse] = context.quorum.handle(request.message)
    return answer if request.version >= _ENDPOINTS_FROM else answer.map(_without_endpoints)


def _without_endpoints(response: FetchResponse) -> FetchResponse:
    response.node_endpoints = []
    return response
