"""Fetch (key 1) on the controller listener, versions 4-18.

Behaviour: the metadata log for its other members, voters and observers; no other topic is there. The log is
served beyond the high watermark: a member learns of that separately.
"""

from __future__ import annotations

from pybroker.common.deferred import Deferred
from pybroker.handlers.context import Context, Request
from pybroker.raft.messages import TOPIC, TOPIC_ID
from pybroker.wire.messages.fetch import FetchRequest, FetchResponse


def handle(context: Context, request: Request) -> Deferred[FetchResponse]:
    message: FetchRequest = request.message
    if request.version < 13:
        # Topics have ids since version 13.
        for topic in message.topics:
            if topic.topic == TOPIC:
                topic.topic_id = TOPIC_ID
    return context.quorum.handle(message)
