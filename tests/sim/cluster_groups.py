"""Members of one consumer group (KIP-848) in a simulated cluster.

In: a session for each member. Out: who owns which partition at what time, for `Ownership`. What must hold (I12):
nobody is given a partition that another member owns whose session cannot have ended yet; and (I14) a member that
was told that it is fenced cannot commit.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pybroker.common.errors import ErrorCode
from pybroker.wire.messages import consumer_group_heartbeat as heartbeat
from pybroker.wire.messages import offset_commit
from tests.sim.cluster_clients import AGAIN, Key, Session, Violation, expect

GROUP = "members"
SESSION_MS = 1_500.0
# What the brokers are told: (name, value).
PROPERTIES = {
    "group.consumer.heartbeat.interval.ms": "150",
    "group.consumer.min.heartbeat.interval.ms": "100",
    "group.consumer.session.timeout.ms": "1500",
    "group.consumer.min.session.timeout.ms": "1000",
    "group.consumer.assignment.interval.ms": "0",
}
_E = ErrorCode
_FENCED = {_E.UNKNOWN_MEMBER_ID, _E.FENCED_MEMBER_EPOCH}


class Ownership:
    """Who owns what, as the members themselves know it."""

    def __init__(self) -> None:
        # Partition -> member -> until when its session lasts at least.
        self.owners: dict[Key, dict[str, float]] = {}
        self.taken = 0

    def take(self, key: Key, member: str, now_ms: float) -> None:
        owners = self.owners.setdefault(key, {})
        for other, until_ms in owners.items():
            if other != member and now_ms < until_ms:
                raise Violation(
                    f"I12: {member} is given {key} at {now_ms:.3f}, which {other} owns until {until_ms:.3f}"
                )
        self.taken += 1

    def extend(self, key: Key, member: str, until_ms: float) -> None:
        self.owners.setdefault(key, {})[member] = until_ms

    def drop(self, key: Key, member: str) -> None:
        self.owners.setdefault(key, {}).pop(member, None)


class Member:
    """One member: it gives partitions back at once when it is told to."""

    def __init__(
        self, session: Session, ownership: Ownership, topics: list[str], loading: Callable[[], bool]
    ) -> None:
        self.session = session
        self.ownership = ownership
        self.topics = topics
        self.loading = loading
        self.member = f"{session.name}-{session.rng.getrandbits(32):08x}"
        self.epoch = 0
        self.owned: set[Key] = set()
        self._address: Any = None

    async def run(self) -> None:
        session = self.session
        while self.loading():
            await session.sleep(100.0 + 60.0 * session.rng.random())
            if self._address is None:
                self._address = await session.coordinator(GROUP, 0)
                continue
            if self.epoch and session.rng.random() < 1 / 100:
                await self._leave()
            else:
                await self._beat()

    def _request(self, epoch: int) -> heartbeat.ConsumerGroupHeartbeatRequest:
        """A full request: the answer has the assignment."""
        names = self.session.topic_ids
        owned: dict[str, list[int]] = {}
        for topic, partition in sorted(self.owned):
            owned.setdefault(topic, []).append(partition)
        return heartbeat.ConsumerGroupHeartbeatRequest(
            group_id=GROUP,
            member_id=self.member,
            member_epoch=epoch,
            rebalance_timeout=10_000,
            subscribed_topic_names=self.topics,
            server_assignor="uniform",
            topic_partitions=[
                heartbeat.RequestTopicPartitions(topic_id=names[topic], partitions=partitions)
                for topic, partitions in owned.items()
            ],
        )

    async def _leave(self) -> None:
        self._give_up()
        await self.session.call(self._address, self._request(-1), 1, "group")
        self.epoch = 0
        self.member = f"{self.session.name}-{self.session.rng.getrandbits(32):08x}"

    def _give_up(self) -> None:
        for key in self.owned:
            self.ownership.drop(key, self.member)
        self.owned = set()

    async def _beat(self) -> None:
        session = self.session
        sent_ms = session.now_ms
        response = await session.call(self._address, self._request(self.epoch), 1, "group")
        if response is None:
            self._address = None
            return
        code = response.error_code
        if code in _FENCED:
            if self.epoch:
                # One that is only behind may commit what it holds (KIP-1251).
                await self._commit_fenced(set() if code == _E.UNKNOWN_MEMBER_ID else self.owned)
            self._give_up()
            self.epoch = 0
            return
        if code:
            expect(code, AGAIN, "ConsumerGroupHeartbeat")
            self._address = None
            return
        if session.now_ms >= sent_ms + SESSION_MS:
            # It was committed late, the session may have ended since: it gives nothing, the member joins anew.
            self._give_up()
            self.epoch = 0
            return
        self.epoch = response.member_epoch
        if response.assignment is not None:
            await self._assigned(response.assignment)
        for key in self.owned:
            self.ownership.extend(key, self.member, sent_ms + SESSION_MS)

    async def _assigned(self, assignment: Any) -> None:
        session = self.session
        names = {identifier: name for name, identifier in session.topic_ids.items()}
        wanted = {
            (names[topic.topic_id], partition)
            for topic in assignment.topic_partitions
            if topic.topic_id in names
            for partition in topic.partitions
        }
        for key in self.owned - wanted:
            self.ownership.drop(key, self.member)
        for key in sorted(wanted - self.owned):
            self.ownership.take(key, self.member, session.now_ms)
        self.owned = wanted

    async def _commit_fenced(self, held: set[Key]) -> None:
        """I14: what a fenced member commits is refused, but for what it may hold."""
        others = [(topic, partition) for topic in self.topics for partition in (0, 1)]
        others = [key for key in others if key not in held]
        if not others:
            return
        topic, partition = others[0]
        request = offset_commit.OffsetCommitRequest(
            group_id=GROUP,
            generation_id_or_member_epoch=self.epoch,
            member_id=self.member,
            topics=[
                offset_commit.OffsetCommitRequestTopic(
                    name=topic,
                    partitions=[
                        offset_commit.OffsetCommitRequestPartition(
                            partition_index=partition, committed_offset=0
                        )
                    ],
                )
            ],
        )
        response = await self.session.call(self._address, request, 9, "group")
        if response is not None and not response.topics[0].partitions[0].error_code:
            raise Violation(
                f"I14: {self.member} is fenced, and its commit of epoch {self.epoch} is acknowledged"
            )
