"""What the coordinator reads of the classic consumer protocol: the topics that a member wants.

Only groups of protocol type `consumer` are looked into; the metadata of other types passes through untouched.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from pybroker.common.errors import ProtocolError
from pybroker.wire import codec
from pybroker.wire.schemas.consumer_protocol import ConsumerProtocolSubscription

CONSUMER_PROTOCOL: Final = "consumer"
_NEWEST: Final = ConsumerProtocolSubscription.VERSIONS[1]


def subscribed_topics(subscriptions: Iterable[bytes]) -> frozenset[str] | None:
    """The topics of some members' metadata together; None when one of them cannot be read."""
    topics: dict[str, None] = {}
    try:
        for subscription in subscriptions:
            if len(subscription) < 2:
                return None
            version = int.from_bytes(subscription[:2], "big", signed=True)
            if version < 0:
                return None
            # What newer versions add lies at the end.
            read = codec.decode(ConsumerProtocolSubscription, min(version, _NEWEST), subscription, 2)[0]
            topics.update(dict.fromkeys(read.topics))
    except ProtocolError:
        return None
    return frozenset(topics)
