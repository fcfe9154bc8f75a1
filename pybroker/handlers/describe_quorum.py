"""DescribeQuorum (key 55), versions 0-2.

Behaviour: the state of the metadata quorum as its leader knows it: voters, observers, how far each is.
Another topic or partition than `__cluster_metadata`-0 is refused with UNKNOWN_TOPIC_OR_PARTITION.
"""

from __future__ import annotations

from pybroker.common.deferred import Deferred
from pybroker.handlers.context import Context, Request
from pybroker.wire.messages.describe_quorum import DescribeQuorumResponse


def handle(context: Context, request: Request) -> Deferred[DescribeQuorumResponse]:
    return context.quorum.handle(request.message)
