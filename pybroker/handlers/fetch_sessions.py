"""Incremental fetch sessions (KIP-227).

In: the session part of a Fetch request. Out: a `FetchContext` with the partitions to read, which also
decides what of their results the answer carries. What must hold: a session belongs to one consumer or
follower, and its epoch counts the requests of that one, so a repeated or skipped one is refused and it starts
anew; the cache never holds more sessions than its slots; a consumer's session never takes the place of a
follower's that is in use.
"""

from __future__ import annotations

import random
from collections import OrderedDict
from collections.abc import Mapping

from pybroker.common.errors import ErrorCode
from pybroker.handlers.context import LocalTopic
from pybroker.wire.messages.fetch import FetchPartition, FetchRequest, PartitionData

_EPOCH_MAX = 2**31 - 1
_INITIAL_EPOCH = 0
_FINAL_EPOCH = -1
_EVICTABLE_AFTER_MS = 120_000
# A session is remembered without end and read whole by requests that are small: what does not fit is answered
# without a session.
SESSION_PARTITIONS_MAX = 10_000
_ALL_PARTITIONS_MAX = 200_000
_SESSION_ID_SHARD = (2**31 - 1) // 8
_SESSION_ID_END = _SESSION_ID_SHARD * 8

_Key = tuple[object, int]
"""(topic id, or topic name below v13; partition index)."""


class SessionPartition:
    """One partition that a fetch asks for, and what the last answer in its session said."""

    __slots__ = ("asked", "high_watermark", "log_start_offset", "name", "topic_id")

    def __init__(self, name: str | None, topic_id: bytes, asked: FetchPartition) -> None:
        # None: asked for by an id that is not known (yet).
        self.name = name
        self.topic_id = topic_id
        self.asked = asked
        self.high_watermark = -1
        self.log_start_offset = -1

    def key(self, by_id: bool) -> _Key:
        return (self.topic_id if by_id else self.name), self.asked.partition

    def changed_by(self, data: PartitionData) -> bool:
        """Whether an incremental answer must carry this result; remembers what it carries."""
        changed = bool(data.records)
        if data.high_watermark != self.high_watermark:
            changed = True
            self.high_watermark = data.high_watermark
        if data.log_start_offset != self.log_start_offset:
            changed = True
            self.log_start_offset = data.log_start_offset
        if data.error_code or data.diverging_epoch.epoch >= 0:
            # An error is repeated until it is gone, and the good answer after it is always carried: nothing
            # else of this one was taken.
            self.high_watermark = -1
            changed = True
        return changed or data.preferred_read_replica >= 0


class FetchSession:
    """The partitions of one consumer or follower (`privileged`), in the order in which they are read next."""

    __slots__ = (
        "by_id",
        "created_ms",
        "epoch",
        "last_used_ms",
        "partitions",
        "privileged",
        "session_id",
    )

    def __init__(
        self,
        session_id: int,
        by_id: bool,
        partitions: OrderedDict[_Key, SessionPartition],
        now_ms: float = 0.0,
        *,
        privileged: bool = False,
    ) -> None:
        self.session_id = session_id
        self.by_id = by_id
        self.partitions = partitions
        self.epoch = 1
        self.created_ms = self.last_used_ms = now_ms
        self.privileged = privileged


class FetchContext:
    """What one Fetch request reads, and how its answer is cut."""

    __slots__ = ("_cache", "_incremental", "_privileged", "by_id", "error", "partitions", "session")

    def __init__(
        self,
        partitions: list[SessionPartition],
        session: FetchSession | None = None,
        *,
        by_id: bool = False,
        error: ErrorCode = ErrorCode.NONE,
        create_in: FetchSessionCache | None = None,
        privileged: bool = False,
    ) -> None:
        self.partitions = partitions
        self.session = session
        self.by_id = by_id
        self.error = error
        self._cache = create_in
        self._privileged = privileged
        self._incremental = session is not None

    @property
    def session_id(self) -> int:
        return 0 if self.session is None else self.session.session_id

    def carried(
        self, results: list[tuple[SessionPartition, PartitionData]], now_ms: float
    ) -> list[tuple[SessionPartition, PartitionData]]:
        """The results that the answer carries: all of them, or in an incremental fetch what changed.

        To be called once, with the final results: a request that asks for a session gets it here.
        """
        session = self.session
        if session is None:
            if self._cache is not None:
                self.session = self._cache.create(self.by_id, results, now_ms, privileged=self._privileged)
            return results
        carried = [(entry, data) for entry, data in results if entry.changed_by(data)]
        # Partitions that gave data go to the end, so that one busy partition cannot starve the others when
        # the byte budget of a request is spent on it.
        for entry, data in carried:
            if data.records:
                key = entry.key(self.by_id)
                if key in session.partitions:
                    session.partitions.move_to_end(key)
        return carried


class FetchSessionCache:
    """All sessions of the broker, at most `slots`. Where there is no room one gives way (KIP-227): one unused
    for two minutes, the longest first; else for a follower any consumer's, and for a larger session a smaller
    one that is two minutes old, of its own kind or a consumer's; the smallest first."""

    __slots__ = ("_rng", "_sessions", "partition_count", "slots")

    def __init__(self, slots: int, rng: random.Random) -> None:
        self.slots = slots
        # Of all sessions together.
        self.partition_count = 0
        self._rng = rng
        self._sessions: OrderedDict[int, FetchSession] = OrderedDict()

    def __len__(self) -> int:
        return len(self._sessions)

    def open(
        self, message: FetchRequest, version: int, now_ms: float, topics_by_id: Mapping[bytes, LocalTopic]
    ) -> FetchContext:
        """The context of a request; `error` is set when its session is not usable.

        From v13 on partitions are asked for by topic id; `topics_by_id` tells their names.
        """
        by_id = version >= 13
        session_id, epoch = message.session_id, message.session_epoch
        if session_id >= _SESSION_ID_END or session_id <= -_SESSION_ID_SHARD:
            # The reference divides its ids among 8 shards and has no answer for those that belong to none.
            return FetchContext([], error=ErrorCode.UNKNOWN_SERVER_ERROR)
        if epoch in (_INITIAL_EPOCH, _FINAL_EPOCH):
            # Epoch -1 closes a session and epoch 0 replaces it; both are answered in full.
            if session_id:
                self._remove(session_id)
            asked = list(_asked_partitions(message, by_id, topics_by_id).values())
            create_in = self if epoch == _INITIAL_EPOCH else None
            replica_id = message.replica_state.replica_id if version >= 15 else message.replica_id
            return FetchContext(asked, by_id=by_id, create_in=create_in, privileged=replica_id >= 0)
        session = self._sessions.get(session_id)
        if session is None:
            return FetchContext([], error=ErrorCode.FETCH_SESSION_ID_NOT_FOUND)
        if session.epoch != epoch:
            return FetchContext([], error=ErrorCode.INVALID_FETCH_SESSION_EPOCH)
        if session.by_id != by_id:
            return FetchContext([], error=ErrorCode.FETCH_SESSION_TOPIC_ID_ERROR)
        new = _asked_partitions(message, by_id, topics_by_id)
        before = len(session.partitions)
        _update(session, new, message)
        self.partition_count += len(session.partitions) - before
        if len(session.partitions) > max(before, self._room()):
            self._remove(session_id)
            return FetchContext([], error=ErrorCode.FETCH_SESSION_ID_NOT_FOUND)
        if not session.partitions:
            self._remove(session_id)
            return FetchContext(list(new.values()), by_id=by_id)
        session.epoch = 1 if epoch >= _EPOCH_MAX else epoch + 1
        session.last_used_ms = now_ms
        self._sessions.move_to_end(session_id)
        partitions = list(session.partitions.values())
        if by_id:
            for entry in partitions:
                if entry.name is None and (topic := topics_by_id.get(entry.topic_id)) is not None:
                    entry.name = topic.name
        return FetchContext(partitions, session, by_id=by_id)

    def _room(self) -> int:
        """How many partitions one more session may have."""
        return min(SESSION_PARTITIONS_MAX, _ALL_PARTITIONS_MAX - self.partition_count)

    def _remove(self, session_id: int) -> None:
        session = self._sessions.pop(session_id, None)
        if session is not None:
            self.partition_count -= len(session.partitions)

    def create(
        self,
        by_id: bool,
        results: list[tuple[SessionPartition, PartitionData]],
        now_ms: float,
        *,
        privileged: bool = False,
    ) -> FetchSession | None:
        """A session with the partitions of a full answer; None when there is no room for it."""
        if len(results) > SESSION_PARTITIONS_MAX:
            return None
        while len(self._sessions) >= self.slots or len(results) > self._room():
            victim = self._victim(len(results), now_ms, privileged=privileged)
            if victim is None:
                return None
            self._remove(victim.session_id)
        session_id = 0
        while session_id == 0 or session_id in self._sessions:
            session_id = self._rng.randrange(1, _SESSION_ID_END)
        partitions: OrderedDict[_Key, SessionPartition] = OrderedDict()
        for entry, data in results:
            entry.changed_by(data)
            partitions[entry.key(by_id)] = entry
        session = FetchSession(session_id, by_id, partitions, now_ms, privileged=privileged)
        self._sessions[session_id] = session
        self.partition_count += len(partitions)
        return session

    def _victim(self, size: int, now_ms: float, *, privileged: bool) -> FetchSession | None:
        """The session that gives way to a new one of `size` partitions."""
        oldest = next(iter(self._sessions.values()), None)
        if oldest is None or now_ms - oldest.last_used_ms > _EVICTABLE_AFTER_MS:
            return oldest
        candidates = [
            session
            for session in self._sessions.values()
            if now_ms - session.created_ms > _EVICTABLE_AFTER_MS or (privileged and not session.privileged)
        ]
        if not candidates:
            return None
        least = min(candidates, key=_worth)
        return least if _worth(least)[:2] < (privileged, size) else None


def _worth(session: FetchSession) -> tuple[bool, int, int]:
    return session.privileged, len(session.partitions), session.session_id


def _asked_partitions(
    message: FetchRequest, by_id: bool, topics_by_id: Mapping[bytes, LocalTopic]
) -> OrderedDict[_Key, SessionPartition]:
    partitions: OrderedDict[_Key, SessionPartition] = OrderedDict()
    for topic in message.topics:
        name: str | None = topic.topic
        topic_key: object = name
        if by_id:
            topic_key = topic.topic_id
            known = topics_by_id.get(topic.topic_id)
            name = None if known is None else known.name
        for asked in topic.partitions:
            partitions[topic_key, asked.partition] = SessionPartition(name, topic.topic_id, asked)
    return partitions


def _update(session: FetchSession, asked: OrderedDict[_Key, SessionPartition], message: FetchRequest) -> None:
    """Add, change and forget partitions as an incremental request says."""
    for key, entry in asked.items():
        known = session.partitions.get(key)
        if known is None:
            session.partitions[key] = entry
        else:
            if session.privileged and known.asked.current_leader_epoch != entry.asked.current_leader_epoch:
                # A follower that learns of a new leader epoch drops an answer to what it asked before:
                # it may not have the high watermark that was told there, and is told again.
                known.high_watermark = -1
            known.asked = entry.asked
    for forgotten in message.forgotten_topics_data:
        topic_key = forgotten.topic_id if session.by_id else forgotten.topic
        for index in forgotten.partitions:
            session.partitions.pop((topic_key, index), None)
