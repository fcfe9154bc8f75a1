"""Topics that nobody described: what Metadata was asked for and is missing, and those of the coordinators.

In: names. Out: CreateTopics requests to the active controller. What must hold: a name is asked for once at a
time; a refusal leaves it out of existence and is reported once in a while; an internal topic has the replicas
that its settings ask for, except where one node is the whole cluster
(docs/adr/0007-internal-topics-on-a-single-node.md).

Source: Kafka's AutoTopicCreationManager.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

from pybroker.common.config import BrokerConfig
from pybroker.common.deferred import Deferred
from pybroker.common.errors import ErrorCode
from pybroker.controller.broker_settings import BrokerSettings
from pybroker.controller.topics import as_creatable
from pybroker.metadata.image import MetadataImage
from pybroker.wire.message import Message
from pybroker.wire.messages.create_topics import CreateTopicsRequest

_VERSION: Final = 7
_TIMEOUT_MS: Final = 30_000
# More names than this are not under way at a time: the rest is asked for again by whoever needs it.
_MOST: Final = 1_000
_REPORTED_MOST: Final = 100


class TopicCreation:
    """`ask(message, version)` reaches the active controller; its outcome is None when nobody did."""

    __slots__ = ("_ask", "_image", "_is_whole_cluster", "_report", "_reported", "_settings", "_under_way")

    def __init__(
        self,
        config: BrokerConfig,
        *,
        image: Callable[[], MetadataImage],
        is_whole_cluster: Callable[[], bool],
        ask: Callable[[Message, int], Deferred[Any]],
        report: Callable[[str], None],
    ) -> None:
        self._settings = BrokerSettings(config)
        self._image = image
        self._is_whole_cluster = is_whole_cluster
        self._ask = ask
        self._under_way: dict[str, None] = {}
        # (name, error) that was told already.
        self._reported: set[tuple[str, int]] = set()
        self._report = report

    def create(self, names: Iterable[str]) -> None:
        """Have topics made with the configured defaults, unless they exist or are under way."""
        known = self._image().topics
        wanted = [name for name in dict.fromkeys(names) if name not in known and name not in self._under_way][
            : _MOST - len(self._under_way)
        ]
        if not wanted:
            return
        brokers = 1 if self._is_whole_cluster() else _UNLIMITED
        request = CreateTopicsRequest(
            topics=[as_creatable(name, self._settings.topic_settings(name, brokers)) for name in wanted],
            timeout=_TIMEOUT_MS,
        )
        self._under_way.update(dict.fromkeys(wanted))
        self._ask(request, _VERSION).then(lambda answer: self._answered(wanted, answer))

    def _answered(self, wanted: list[str], answer: Any) -> None:
        for name in wanted:
            self._under_way.pop(name, None)
        if answer is None:
            return
        for topic in answer.topics:
            error = topic.error_code
            if not error or error == ErrorCode.TOPIC_ALREADY_EXISTS or (topic.name, error) in self._reported:
                continue
            if len(self._reported) >= _REPORTED_MOST:
                self._reported.clear()
            self._reported.add((topic.name, error))
            self._report(f"topic {topic.name} cannot be created: {topic.error_message or error}")


_UNLIMITED: Final = 1 << 31
