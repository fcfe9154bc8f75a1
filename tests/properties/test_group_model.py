"""Classic groups under everything that members, time and crashes do, against a model of what members believe.

Members join, sync, heartbeat, commit, leave, fall silent, come back under their instance id, and the broker is
killed at any point. What must hold: every request is answered in the end; a generation has one leader, and each
partition one owner in it; a commit is accepted from the newest generation only, so committed offsets go back
only when an owner says so; what was acknowledged is there after a crash.
"""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from pybroker.common.errors import ApiError, ErrorCode
from pybroker.groups.group import COMPLETING_REBALANCE, EMPTY, PREPARING_REBALANCE, STABLE
from tests.unit.groups.world import GROUP, World

PARTITIONS = 4
SESSION = 10_000
REBALANCE = 20_000
CLIENTS = 4

# What a member is told when it is to join again, and when it has to do so as somebody new.
REJOIN = {ErrorCode.REBALANCE_IN_PROGRESS, ErrorCode.ILLEGAL_GENERATION}
START_ANEW = {ErrorCode.UNKNOWN_MEMBER_ID, ErrorCode.FENCED_INSTANCE_ID}


class Client:
    """What one consumer knows."""

    def __init__(self, instance):
        self.instance = instance
        self.reset()
        self.waiting = None
        self.waits_for = ""

    def reset(self):
        self.member = ""
        self.generation = -1
        self.members = None
        self.owned = frozenset()
        self.joined = False


class GroupMachine(RuleBasedStateMachine):
    @initialize()
    def start(self):
        self.world = World(group_initial_rebalance_delay_ms=0)
        self.clients = [Client(None), Client(None), Client("one"), Client("two")]
        # (generation, partition) -> owner; partition -> (generation, offset) of the last accepted commit
        self.owners = {}
        self.leaders = {}
        self.accepted = {}
        self.offset = 0

    # What clients do

    @rule(index=st.integers(0, CLIENTS - 1), changed=st.booleans())
    def join(self, index, changed):
        client = self.clients[index]
        if client.waiting is not None:
            return
        client.owned = frozenset()
        self._send_join(client, changed)

    def _send_join(self, client, changed):
        answer = self.world.join(
            client.member,
            instance=client.instance,
            session=SESSION,
            rebalance=REBALANCE,
            protocols={"range": b"new" if changed else b"m", "other": b""},
        )
        client.waiting, client.waits_for = answer, "join"
        self.collect()

    @rule(index=st.integers(0, CLIENTS - 1))
    def sync(self, index):
        client = self.clients[index]
        if client.waiting is not None or not client.joined:
            return
        assignments = {}
        if client.members is not None:
            for partition in range(PARTITIONS):
                owner = client.members[partition % len(client.members)]
                assignments.setdefault(owner, []).append(partition)
        client.waiting = self.world.sync(
            client.member,
            client.generation,
            {member: bytes(partitions) for member, partitions in assignments.items()},
            instance=client.instance,
        )
        client.waits_for = "sync"
        self.collect()

    @rule(index=st.integers(0, CLIENTS - 1))
    def heartbeat(self, index):
        client = self.clients[index]
        if client.member and client.generation >= 0 and client.waiting is None:
            error = self.world.heartbeat(client.member, client.generation, instance=client.instance)
            self._told(client, error)

    @rule(index=st.integers(0, CLIENTS - 1))
    def commit(self, index):
        client = self.clients[index]
        for partition in sorted(client.owned):
            self.offset += 1
            error = self.world.commit(
                self.offset,
                partition=partition,
                member=client.member,
                generation=client.generation,
                instance=client.instance,
            )
            self._told(client, error)
            if error:
                break
            generation, _ = self.accepted.get(partition, (-1, 0))
            assert client.generation >= generation, "a commit of an older generation was accepted"
            self.accepted[partition] = (client.generation, self.offset)

    @rule(order=st.permutations(range(CLIENTS)), rounds=st.integers(1, 4))
    def everybody_goes_on(self, order, rounds):
        """As clients do when nothing disturbs them: join, sync, commit."""
        for index in order * rounds:
            client = self.clients[index]
            if client.waiting is not None:
                continue
            if not client.joined:
                self.join(index, changed=False)
            elif not client.owned:
                self.sync(index)
            else:
                self.heartbeat(index)
                self.commit(index)
        self.wait(500)

    @rule(index=st.integers(0, CLIENTS - 1))
    def leave(self, index):
        client = self.clients[index]
        if client.member and client.waiting is None:
            self.world.leave(client.member)
            client.reset()

    @rule(index=st.integers(0, CLIENTS - 1))
    def die(self, index):
        """The process is gone: nobody reads its answers, nobody remembers its member id."""
        self.clients[index] = Client(self.clients[index].instance)

    @rule(milliseconds=st.sampled_from([1, 500, 5_000, 9_000, 12_000, 25_000]))
    def wait(self, milliseconds):
        self.world.advance(milliseconds)
        self.collect()

    @rule()
    def crash(self):
        self.world.crash()
        # A generation without stored assignments is forgotten, and its number is given again.
        self.leaders.clear()
        for client in self.clients:
            # The connection broke.
            if client.waiting is not None:
                client.waiting = None

    @precondition(lambda self: self.world.partition.log.blocked == 0)
    @rule()
    def fill_disk(self):
        self.world.partition.log.blocked |= 2

    @precondition(lambda self: self.world.partition.log.blocked != 0)
    @rule()
    def free_disk(self):
        self.world.partition.log.blocked = 0
        self.world.advance(500)
        self.collect()

    # What clients are told

    def collect(self):
        for client in self.clients:
            if client.waiting is not None and client.waiting.done:
                answer, client.waiting = client.waiting.value, None
                error = answer.code if isinstance(answer, ApiError) else answer.error_code
                if client.waits_for == "join":
                    self._joined(client, answer, error)
                elif error:
                    self._told(client, error)
                else:
                    self._synced(client, answer)

    def _joined(self, client, answer, error):
        if error == ErrorCode.MEMBER_ID_REQUIRED:
            client.member = answer.member_id
            return
        self._told(client, error)
        if error:
            return
        client.member, client.generation, client.joined = answer.member_id, answer.generation_id, True
        leads = answer.leader == answer.member_id
        client.members = [member.member_id for member in answer.members] if answer.members else None
        if answer.skip_assignment:
            client.members = None
        assert leads or not answer.members
        if leads and client.instance is None:
            leader = self.leaders.setdefault(answer.generation_id, answer.member_id)
            assert leader == answer.member_id or client.instance is not None

    def _synced(self, client, answer):
        client.owned = frozenset(bytes(answer.assignment))
        for partition in client.owned:
            owner = self.owners.setdefault((client.generation, partition), self._who(client))
            assert owner == self._who(client), f"partition {partition} has two owners"

    @staticmethod
    def _who(client):
        return client.instance or client.member

    def _told(self, client, error):
        if error in START_ANEW:
            client.reset()
        elif error in REJOIN:
            client.joined = False

    # What must hold

    @invariant()
    def committed_offsets_are_those_accepted(self):
        if not hasattr(self, "world"):
            return
        expected = {partition: offset for partition, (_, offset) in self.accepted.items()}
        expected.update((index, -1) for index in range(PARTITIONS) if index not in expected)
        assert self.world.fetch(*range(PARTITIONS)) == expected

    @invariant()
    def group_is_consistent(self):
        group = self.world.shard.groups.get(GROUP) if hasattr(self, "world") else None
        if group is None:
            return
        members = group.members
        assert group.awaiting_join_count == sum(member.join is not None for member in members.values())
        assert (group.leader in members) == bool(members)
        assert set(group.static_members.values()) == {
            member.member_id for member in members.values() if member.instance_id is not None
        }
        if group.state == EMPTY:
            assert not members
        if group.state in (STABLE, COMPLETING_REBALANCE):
            assert members
            assert all(member.join is None for member in members.values())
            assert all(group.protocol_name in dict(member.protocols) for member in members.values())
        if group.state == STABLE:
            assert all(member.sync is None for member in members.values())
        if group.state == PREPARING_REBALANCE:
            assert self.world.timers.next_deadline_ms() is not None

    def teardown(self):
        if not hasattr(self, "world"):
            return
        # Nobody is left waiting for ever.
        self.world.partition.log.blocked = 0
        for _ in range(4):
            self.world.advance(REBALANCE + SESSION)
            self.collect()
        assert all(client.waiting is None for client in self.clients)
        # Everybody fell silent, so the group is empty.
        self.world.advance(300_000)
        group = self.world.shard.groups.get(GROUP)
        assert group is None or group.state == EMPTY


TestGroups = GroupMachine.TestCase
TestGroups.settings = settings(
    max_examples=60,
    stateful_step_count=40,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)
TestGroups.pytestmark = [pytest.mark.timeout(120)]
