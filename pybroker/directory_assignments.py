"""Telling the controller which log directory holds each replica of this broker (KIP-858).

In: replicas that were made here, with what the metadata say of their directory. Out: AssignReplicasToDirs
requests. What must hold: what differs is told until the metadata have it, one request at a time, a bounded
number of replicas in each; without it the controller could not tell whose leaders go down with a directory.

Source: Kafka's AssignmentsManager.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from pybroker.common.clock import Clock
from pybroker.common.deferred import Deferred
from pybroker.common.timers import TimerQueue
from pybroker.metadata.image import MetadataImage, TopicImage
from pybroker.wire.message import Message
from pybroker.wire.messages.assign_replicas_to_dirs import (
    AssignReplicasToDirsRequest,
    RequestDirectoryData,
    RequestPartitionData,
    RequestTopicData,
)

_VERSION: Final = 0
_LINGER_MS: Final = 50
_RETRY_MS: Final = 1_000
_MOST: Final = 2_000

Key = tuple[bytes, int]


class DirectoryAssignments:
    """`directory_of(topic, index)` is the id of the directory that has a log, or is to have it; None without
    one."""

    __slots__ = (
        "_ask",
        "_broker_epoch",
        "_busy",
        "_clock",
        "_directory_of",
        "_image",
        "_node_id",
        "_timers",
        "_wrong",
    )

    def __init__(
        self,
        node_id: int,
        *,
        broker_epoch: Callable[[], int],
        image: Callable[[], MetadataImage],
        directory_of: Callable[[str, int], bytes | None],
        ask: Callable[[Message, int], Deferred[Any]],
        clock: Clock,
        timers: TimerQueue,
    ) -> None:
        self._node_id = node_id
        self._broker_epoch = broker_epoch
        self._image = image
        self._directory_of = directory_of
        self._ask = ask
        self._clock = clock
        self._timers = timers
        # Replicas whose directory in the metadata was wrong when it was looked at last.
        self._wrong: dict[Key, None] = {}
        # A request, or the pause before it.
        self._busy = False

    def hosted(self, topic: TopicImage, index: int) -> None:
        """A replica is here: see that the metadata have its directory."""
        if self._actual(topic, index) is not None:
            self._wrong[topic.topic_id, index] = None
            self._later(_LINGER_MS)

    def _actual(self, topic: TopicImage, index: int) -> bytes | None:
        """The directory of a replica that the metadata have wrong; None where they are right."""
        partition = topic.partitions[index]
        if self._node_id not in partition.replicas:
            return None
        actual = self._directory_of(topic.name, index)
        return None if actual == partition.directory_of(self._node_id) else actual

    def _later(self, delay_ms: float) -> None:
        if not self._busy:
            self._busy = True
            self._timers.schedule(self._clock.monotonic_ms() + delay_ms, self._send)

    def _send(self) -> None:
        self._busy = False
        if self._broker_epoch() < 0:
            self._later(_RETRY_MS)
            return
        topics = self._image().topics_by_id
        directories: dict[bytes, dict[bytes, list[int]]] = {}
        count = 0
        for key in list(self._wrong):
            topic = topics.get(key[0])
            actual = None
            if topic is not None and key[1] < len(topic.partitions):
                actual = self._actual(topic, key[1])
            if actual is None:
                del self._wrong[key]
            elif count < _MOST:
                count += 1
                directories.setdefault(actual, {}).setdefault(key[0], []).append(key[1])
        if not count:
            return
        request = AssignReplicasToDirsRequest(
            broker_id=self._node_id,
            broker_epoch=self._broker_epoch(),
            directories=[
                RequestDirectoryData(
                    id_=directory,
                    topics=[
                        RequestTopicData(
                            topic_id=topic_id,
                            partitions=[RequestPartitionData(partition_index=index) for index in indexes],
                        )
                        for topic_id, indexes in found.items()
                    ],
                )
                for directory, found in directories.items()
            ],
        )
        self._busy = True
        self._ask(request, _VERSION).then(self._answered)

    def _answered(self, answer: Any) -> None:
        # Whatever it says: the metadata show whether something is left to be told.
        self._busy = False
        self._later(_LINGER_MS if answer is not None and not answer.error_code else _RETRY_MS)
