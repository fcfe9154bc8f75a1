"""Random consumer groups: members of both protocols, topics, time, lost answers, failures and reloads.

The invariant is that of KIP-848: no partition is held by two members, as they see it themselves. A member's view
is what it was told and has not given back; the coordinator's view is its records. At rest every partition of a
subscribed topic has one owner.
"""

from __future__ import annotations

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from pybroker.common.errors import ApiError, ErrorCode
from pybroker.groups.consumer.group import ConsumerGroup
from tests.unit.groups.consumer_world import World, partitions

TOPICS = ("a", "b", "c")
NAMES = tuple(f"m{index}" for index in range(6))


class Client:
    """A member of the consumer protocol as KIP-848 asks for it."""

    def __init__(self, name, instance_id=None):
        self.name = name
        self.instance_id = instance_id
        self.epoch = 0
        self.owned = {}
        # What it was told to have; it gives back first and takes the rest with the next step.
        self.told = {}
        self.fields = {}
        # After a lost answer a client says everything again, and so is told everything again.
        self.says_all = False

    def fenced(self):
        """It lets go of everything and joins anew."""
        self.epoch, self.owned, self.told = 0, {}, {}

    def reconcile(self):
        """Give back what it is not to have, and take what it is."""
        self.owned = {topic: list(indexes) for topic, indexes in self.told.items()}


class Groups(RuleBasedStateMachine):
    @initialize(interval=st.sampled_from([0, 1_000]))
    def start(self, interval):
        self.world = World(group_consumer_assignment_interval_ms=interval)
        self.world.set_topic("a", 3)
        self.clients = {}
        self.lost = set()

    # --- what a member does ---

    def beat(self, client, *, full, lose=False):
        fields = dict(client.fields) if full or client.says_all or client.epoch == 0 else {}
        if client.epoch == 0:
            client.owned = {}
        if client.instance_id is not None:
            fields["instance_id"] = client.instance_id
        # What it owns of topics that are gone cannot be named any more.
        owned = {name: indexes for name, indexes in client.owned.items() if name in self.world.image.topics}
        try:
            answer = self.world.beat(client.name, client.epoch, owned=owned, **fields)
        except ApiError as error:
            self.refused(client, error.code)
            return
        client.says_all = lose
        if lose:
            return
        client.epoch = answer.member_epoch
        told = partitions(self.world, answer)
        if told is not None:
            client.told = {name: indexes for name, indexes in told.items() if isinstance(name, str)}
            # What it is not to have is given back now or later; what is new is taken at once.
            for name, indexes in client.told.items():
                client.owned[name] = sorted({*client.owned.get(name, []), *indexes})

    @staticmethod
    def refused(client, code):
        # The disk refuses, the group is gone, a crashed self holds the instance id, or it is fenced.
        assert code in (
            ErrorCode.COORDINATOR_NOT_AVAILABLE,
            ErrorCode.GROUP_ID_NOT_FOUND,
            ErrorCode.UNRELEASED_INSTANCE_ID,
            ErrorCode.FENCED_MEMBER_EPOCH,
            ErrorCode.UNKNOWN_MEMBER_ID,
        )
        if code != ErrorCode.COORDINATOR_NOT_AVAILABLE:
            client.fenced()

    @rule(name=st.sampled_from(NAMES), topics=st.sets(st.sampled_from(TOPICS)), static=st.booleans())
    def join(self, name, topics, static):
        instance_id = f"i-{name}" if static else None
        taken = {client.instance_id for client in self.clients.values() if client.instance_id}
        if name in self.clients or instance_id in taken:
            return
        client = self.clients[name] = Client(name, instance_id)
        client.fields = {"topics": sorted(topics), "rebalance_timeout": 20_000}
        self.beat(client, full=True)

    @precondition(lambda self: self.clients)
    @rule(data=st.data(), full=st.booleans(), lose=st.booleans())
    def heartbeat(self, data, full, lose):
        self.beat(self.pick(data), full=full, lose=lose)

    @precondition(lambda self: self.clients)
    @rule(data=st.data())
    def give_back(self, data):
        self.pick(data).reconcile()

    @precondition(lambda self: self.clients)
    @rule(data=st.data(), topics=st.sets(st.sampled_from(TOPICS)), regex=st.sampled_from(["", "[ab]", "c?"]))
    def subscribe(self, data, topics, regex):
        client = self.pick(data)
        client.fields = {"topics": sorted(topics), "regex": regex, "rebalance_timeout": 20_000}
        self.beat(client, full=True)

    @precondition(lambda self: self.clients)
    @rule(data=st.data())
    def leave(self, data):
        client = self.pick(data)
        client.owned = client.told = {}
        try:
            self.world.beat(client.name, -1, instance_id=client.instance_id)
        except ApiError as error:
            if error.code == ErrorCode.COORDINATOR_NOT_AVAILABLE:
                client.fenced()
                return
        del self.clients[client.name]

    @precondition(lambda self: any(client.instance_id for client in self.clients.values()))
    @rule(data=st.data(), suffix=st.integers(0, 3))
    def restart_static(self, data, suffix):
        """A static member leaves for a while and is back under another member id."""
        static = [client for client in self.clients.values() if client.instance_id]
        client = data.draw(st.sampled_from(static))
        name = f"{client.instance_id}-{suffix}"
        if client.epoch <= 0 or name in self.clients:
            return
        try:
            self.world.beat(client.name, -2, instance_id=client.instance_id)
        except ApiError:
            return
        del self.clients[client.name]
        back = self.clients[name] = Client(name, client.instance_id)
        back.fields = client.fields
        self.beat(back, full=True)

    @precondition(lambda self: self.clients)
    @rule(data=st.data())
    def crash(self, data):
        """A member is never heard of again. It holds what it has until it is fenced."""
        client = self.clients.pop(self.pick(data).name)
        group = self.world.group
        if isinstance(group, ConsumerGroup) and client.name in group.members:
            self.lost.add(client.name)

    def pick(self, data):
        return self.clients[data.draw(st.sampled_from(sorted(self.clients)))]

    # --- what happens around them ---

    @rule(milliseconds=st.sampled_from([1, 500, 1_000, 5_000, 11_000]))
    def wait(self, milliseconds):
        self.world.advance(milliseconds)

    @rule()
    def wait_long(self):
        """Everybody is heard of, but the lost ones are not."""
        for _ in range(5):
            self.world.advance(10_000)
            for client in list(self.clients.values()):
                self.beat(client, full=False)
                client.reconcile()
        self.lost.clear()

    @rule(name=st.sampled_from(TOPICS), count=st.integers(1, 5))
    def topic(self, name, count):
        known = self.world.image.topics.get(name)
        if known is None or len(known.partitions) < count:
            self.world.set_topic(name, count)

    @precondition(lambda self: len(self.world.image.topics) > 1)
    @rule(data=st.data())
    def delete_topic(self, data):
        name = data.draw(st.sampled_from(sorted(self.world.image.topics)))
        self.world.delete_topic(name)
        for client in self.clients.values():
            # A topic that is gone is not consumed any more, whatever the coordinator says.
            client.owned.pop(name, None)
            client.told.pop(name, None)

    @rule()
    def reload(self):
        self.world.reload()

    @rule(failing=st.booleans())
    def disk(self, failing):
        self.world.fail = ApiError(ErrorCode.COORDINATOR_NOT_AVAILABLE) if failing else None

    # --- what must hold ---

    @invariant()
    def nobody_shares(self):
        if not hasattr(self, "world"):
            return
        group = self.world.group
        owners = {}
        for client in self.clients.values():
            if not isinstance(group, ConsumerGroup) or client.name not in group.members:
                # Fenced without knowing it yet: its session tells it, or its next heartbeat.
                continue
            if group.members[client.name].member_epoch < client.epoch:
                continue
            for name, indexes in client.owned.items():
                for index in indexes:
                    assert owners.setdefault((name, index), client.name) == client.name, (name, index)
        if isinstance(group, ConsumerGroup):
            seen = {}
            for member in group.members.values():
                for epochs in (member.assigned, member.revoking):
                    for topic_id, held in epochs.items():
                        for index in held:
                            first = seen.setdefault((topic_id, index), member.member_id)
                            assert first == member.member_id, (topic_id, index)
            flat = {
                (topic, index): name for topic, held in group.owners.items() for index, name in held.items()
            }
            assert flat == seen

    @rule()
    def come_to_rest(self):
        """With everybody alive and quick, all is assigned evenly enough, and stays."""
        self.world.fail = None
        for _ in range(14):
            self.world.advance(6_000)
            for client in list(self.clients.values()):
                self.beat(client, full=client.epoch == 0)
                client.reconcile()
        self.lost.clear()
        group = self.world.group
        if not isinstance(group, ConsumerGroup) or group.is_empty:
            assert not self.clients
            return
        assert set(group.members) == set(self.clients)
        assert group.state == "Stable"
        wanted = {
            (topic, index)
            for member in group.members.values()
            for topic in group.topics_of(member)
            if topic in self.world.image.topics
            for index in range(len(self.world.image.topics[topic].partitions))
        }
        held = [
            (topic, index)
            for client in self.clients.values()
            for topic, indexes in client.owned.items()
            for index in indexes
        ]
        assert len(held) == len(set(held))
        assert set(held) == wanted
        start = len(self.world.log)
        for client in self.clients.values():
            self.beat(client, full=False)
        assert [number for number in self.world.types(start) if number != 16] == []


TestGroups = Groups.TestCase
TestGroups.settings = settings(
    max_examples=100,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
