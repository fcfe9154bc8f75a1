"""Incremental fetch sessions (KIP-227).

In: the session part of a Fetch request. Out: a `FetchContext` with the partitions to read, which also
decides what of their results the answer carries. What must hold: a session belongs to one consumer and its
epoch counts that consumer's requests, so a repeated or skipped one is refused and the consumer starts anew;
the cache never holds more sessions than its slots.
"""

from __future__ import annotations

import random
from collections import OrderedDict

from pybroker.common.errors import ErrorCode
from pybroker.wire.messages.fetch import FetchPartition, FetchRequest, PartitionData

_EPOCH_MAX = 2**31 - 1
_INITIAL_EPOCH = 0
_FINAL_EPOCH = -1
_EVICTABLE_AFTER_MS = 120_000

_Key = tuple[object, int]
"""(topic id, or topic name below v13; partition index)."""


class SessionPartition:
    """One partition that a fetch asks for, and what the last answer in its session said."""

    __slots__ = ("asked", "high_watermark", "log_start_offset", "name", "topic_id")

    def __init__(self, name: str, topic_id: bytes, asked: FetchPartition) -> None:
        self.name = name
        self.topic_id = topic_id
        self.asked = asked
        self.high_watermark = -1
        self.log_start_offset = -1

    def changed_by(self, data: PartitionData) -> bool:
        """Whether an incremental answer must carry this result; remembers what it carries."""
        changed = bool(data.records)
        if data.high_watermark != self.high_watermark:
            changed = True
            self.high_watermark = data.high_watermark
        if data.log_start_offset != self.log_start_offset:
            changed = True
            self.log_start_offset = data.log_start_offset
        if data.error_code:
            # An error is repeated until it is gone, and the good answer after it is always carried.
            self.high_watermark = -1
            changed = True
        return changed or data.diverging_epoch.epoch >= 0


class FetchSession:
    """The partitions of one consumer, in the order in which they are read next."""

    __slots__ = ("by_id", "epoch", "last_used_ms", "partitions", "session_id")

    def __init__(self, session_id: int, by_id: bool, partitions: OrderedDict[_Key, SessionPartition]) -> None:
        self.session_id = session_id
        self.by_id = by_id
        self.partitions = partitions
        self.epoch = 1
        self.last_used_ms = 0.0


class FetchContext:
    """What one Fetch request reads, and how its answer is cut."""

    __slots__ = ("error", "incremental", "partitions", "session")

    def __init__(
        self,
        partitions: list[SessionPartition],
        session: FetchSession | None = None,
        incremental: bool = False,
        error: ErrorCode = ErrorCode.NONE,
    ) -> None:
        self.partitions = partitions
        self.session = session
        self.incremental = incremental
        self.error = error

    @property
    def session_id(self) -> int:
        return 0 if self.session is None else self.session.session_id

    def carried(
        self, results: list[tuple[SessionPartition, PartitionData]]
    ) -> list[tuple[SessionPartition, PartitionData]]:
        """The results that the answer carries: all of them, or in an incremental fetch what changed."""
        session = self.session
        if session is None:
            return results
        carried = [(entry, data) for entry, data in results if entry.changed_by(data)]
        # Partitions that gave data go to the end, so that one busy partition cannot starve the others when
        # the byte budget of a request is spent on it.
        for entry, data in carried:
            if data.records:
                key = (entry.topic_id if session.by_id else entry.name, entry.asked.partition)
                if key in session.partitions:
                    session.partitions.move_to_end(key)
        return carried if self.incremental else results


class FetchSessionCache:
    """All sessions of the broker, at most `slots`; the one unused longest is evicted after two minutes."""

    __slots__ = ("_rng", "_sessions", "slots")

    def __init__(self, slots: int, rng: random.Random) -> None:
        self.slots = slots
        self._rng = rng
        self._sessions: OrderedDict[int, FetchSession] = OrderedDict()

    def __len__(self) -> int:
        return len(self._sessions)

    def open(self, message: FetchRequest, version: int, now_ms: float) -> FetchContext:
        """The context of a request; `error` is set when its session is not usable."""
        by_id = version >= 13
        session_id, epoch = message.session_id, message.session_epoch
        if epoch in (_INITIAL_EPOCH, _FINAL_EPOCH):
            # Epoch -1 closes a session and epoch 0 replaces it; both are answered in full.
            if session_id:
                self._sessions.pop(session_id, None)
            partitions = _asked_partitions(message, by_id)
            session = None
            if epoch == _INITIAL_EPOCH and partitions:
                session = self._create(by_id, partitions, now_ms)
            return FetchContext(list(partitions.values()), session)
        session = self._sessions.get(session_id)
        if session is None:
            return FetchContext([], error=ErrorCode.FETCH_SESSION_ID_NOT_FOUND)
        if session.epoch != epoch:
            return FetchContext([], error=ErrorCode.INVALID_FETCH_SESSION_EPOCH)
        if session.by_id != by_id:
            return FetchContext([], error=ErrorCode.FETCH_SESSION_TOPIC_ID_ERROR)
        _update(session, message, by_id)
        if not session.partitions:
            self._sessions.pop(session_id)
            return FetchContext([])
        session.epoch = 1 if epoch >= _EPOCH_MAX else epoch + 1
        session.last_used_ms = now_ms
        self._sessions.move_to_end(session_id)
        return FetchContext(list(session.partitions.values()), session, incremental=True)

    def _create(
        self, by_id: bool, partitions: OrderedDict[_Key, SessionPartition], now_ms: float
    ) -> FetchSession | None:
        if len(self._sessions) >= self.slots:
            if not self._sessions:
                return None
            oldest = next(iter(self._sessions.values()))
            if now_ms - oldest.last_used_ms <= _EVICTABLE_AFTER_MS:
                return None
            del self._sessions[oldest.session_id]
        session_id = 0
        while session_id == 0 or session_id in self._sessions:
            session_id = self._rng.randrange(1, 2**31)
        session = FetchSession(session_id, by_id, partitions)
        session.last_used_ms = now_ms
        self._sessions[session_id] = session
        return session


def _asked_partitions(message: FetchRequest, by_id: bool) -> OrderedDict[_Key, SessionPartition]:
    partitions: OrderedDict[_Key, SessionPartition] = OrderedDict()
    for topic in message.topics:
        topic_key = topic.topic_id if by_id else topic.topic
        for asked in topic.partitions:
            partitions[topic_key, asked.partition] = SessionPartition(topic.topic, topic.topic_id, asked)
    return partitions


def _update(session: FetchSession, message: FetchRequest, by_id: bool) -> None:
    """Add, change and forget partitions as an incremental request says."""
    for topic in message.topics:
        topic_key = topic.topic_id if by_id else topic.topic
        for asked in topic.partitions:
            known = session.partitions.get((topic_key, asked.partition))
            if known is None:
                entry = SessionPartition(topic.topic, topic.topic_id, asked)
                session.partitions[topic_key, asked.partition] = entry
            else:
                known.asked = asked
    for forgotten in message.forgotten_topics_data:
        topic_key = forgotten.topic_id if by_id else forgotten.topic
        for index in forgotten.partitions:
            session.partitions.pop((topic_key, index), None)
