"""Members of one group of the classic protocol (JoinGroup, SyncGroup, Heartbeat) in a simulated cluster.

In: a session for each member. Out: who owns which partition at what time, for `Ownership`. What must hold (I12): a
member is given nothing that another one owns whose session, with the coordinator that is one, cannot have ended yet; one
generation has one leader, and all its members are told the assignment that this one made.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from pybroker.common.errors import ErrorCode
from pybroker.wire.messages import heartbeat, join_group, leave_group, sync_group
from tests.sim.cluster_clients import AGAIN, Key, Session, Violation, expect
from tests.sim.cluster_groups import SESSION_MS, Ownership
from tests.sim.cluster_net import Address

GROUP = "classic members"
PROPERTIES = {"group.min.session.timeout.ms": "1000", "group.initial.rebalance.delay.ms": "150"}
_E = ErrorCode
_OVER = {_E.UNKNOWN_MEMBER_ID, _E.ILLEGAL_GENERATION, _E.REBALANCE_IN_PROGRESS}


class Generations:
    """What the members know together: generation -> (leader, assignment)."""

    def __init__(self) -> None:
        self.ownership = Ownership()
        self._made: dict[tuple[int, str], dict[str, list[Key]]] = {}

    def make(self, generation: int, leader: str, assignment: dict[str, list[Key]]) -> None:
        self._made[generation, leader] = assignment

    def check(self, generation: int, leader: str, member: str, keys: list[Key]) -> None:
        made = self._made.get((generation, leader))
        if made is None or made.get(member, []) != keys:
            raise Violation(
                f"I12: {member} is given {keys} in generation {generation}, its leader {leader} said {made}"
            )


class ClassicMember:
    """One member: it gives everything back before it joins anew."""

    def __init__(
        self,
        session: Session,
        generations: Generations,
        keys: list[Key],
        loading: Callable[[], bool],
        is_coordinator: Callable[[str, Address], bool],
    ) -> None:
        self.session = session
        self.generations = generations
        self.keys = keys
        self.loading = loading
        self.is_coordinator = is_coordinator
        self.member = ""
        self.generation = -1
        self.owned: list[Key] = []
        # What it is to own; it knows from the first Heartbeat on until when.
        self._given: list[Key] = []
        self._address: Any = None

    async def run(self) -> None:
        session = self.session
        while self.loading():
            await session.sleep(100.0 + 60.0 * session.rng.random())
            if self._address is None:
                self._address = await session.coordinator(GROUP, 0)
            elif self.generation < 0:
                await self._join()
            elif session.rng.random() < 1 / 60:
                await self._leave()
            else:
                await self._beat()

    def _failed(self, response: Any, what: str) -> bool:
        """Whether there is no answer to go on with."""
        if response is None:
            self._address = None
            return True
        code = response.error_code
        if not code:
            return False
        if code == _E.UNKNOWN_MEMBER_ID:
            self.member = ""
        if code in _OVER:
            self._give_up()
            return True
        expect(code, AGAIN, what)
        self._address = None
        return True

    def _give_up(self) -> None:
        for key in self.owned:
            self.generations.ownership.drop(key, self.member)
        self.owned = self._given = []
        self.generation = -1

    async def _join(self) -> None:
        session = self.session
        request = join_group.JoinGroupRequest(
            group_id=GROUP,
            session_timeout=int(SESSION_MS),
            rebalance_timeout=int(SESSION_MS),
            member_id=self.member,
            protocol_type="simulation",
            protocols=[join_group.JoinGroupRequestProtocol(name="range", metadata=b"")],
        )
        response = await session.call(self._address, request, 9, "group", timeout_ms=5_000)
        if response is not None and response.error_code == _E.MEMBER_ID_REQUIRED:
            self.member = response.member_id
            return
        if self._failed(response, "JoinGroup"):
            return
        self.member = response.member_id
        leader, generation = response.leader, response.generation_id
        assignments: dict[str, list[Key]] = {}
        if leader == self.member:
            names = sorted(member.member_id for member in response.members)
            assignments = {name: self.keys[index :: len(names)] for index, name in enumerate(names)}
            self.generations.make(generation, leader, assignments)
        sync = sync_group.SyncGroupRequest(
            group_id=GROUP,
            generation_id=generation,
            member_id=self.member,
            protocol_type="simulation",
            protocol_name="range",
            assignments=[
                sync_group.SyncGroupRequestAssignment(member_id=name, assignment=json.dumps(keys).encode())
                for name, keys in assignments.items()
            ],
        )
        synced = await session.call(self._address, sync, 5, "group", timeout_ms=5_000)
        if self._failed(synced, "SyncGroup"):
            return
        keys = [(topic, partition) for topic, partition in json.loads(bytes(synced.assignment) or b"[]")]
        self.generations.check(generation, leader, self.member, keys)
        self.generation = generation
        self._given = keys
        # Not before that it owns them: where the group is stable, JoinGroup and SyncGroup do not prolong the session.
        await self._beat()

    def _extend(self, sent_ms: float) -> None:
        """Sessions are not in the log: one that was deposed and has not heard of it extends nothing."""
        ownership, now_ms, until_ms = self.generations.ownership, self.session.now_ms, sent_ms + SESSION_MS
        if now_ms < until_ms and self.is_coordinator(GROUP, self._address):
            for key in self._given:
                if key not in self.owned:
                    ownership.take(key, self.member, now_ms)
                ownership.extend(key, self.member, until_ms)
            self.owned = self._given

    async def _beat(self) -> None:
        sent_ms = self.session.now_ms
        request = heartbeat.HeartbeatRequest(
            group_id=GROUP, generation_id=self.generation, member_id=self.member
        )
        if not self._failed(await self.session.call(self._address, request, 4, "group"), "Heartbeat"):
            self._extend(sent_ms)

    async def _leave(self) -> None:
        self._give_up()
        request = leave_group.LeaveGroupRequest(
            group_id=GROUP, members=[leave_group.MemberIdentity(member_id=self.member)]
        )
        await self.session.call(self._address, request, 5, "group")
        self.member = ""
