"""DeleteTopics (key 20), versions 1-6.

Behaviour: decided by the controller; the answer is sent when its records are durable and this broker has
applied them.
"""

from __future__ import annotations

from pybroker.common.deferred import Deferred
from pybroker.handlers.context import Context, Request
from pybroker.wire.messages.delete_topics import DeleteTopicsResponse


def handle(context: Context, request: Request) -> Deferred[DeleteTopicsResponse]:
    return context.controller.delete_topics(request.message, request.version)
