"""The controller's decisions against a model of what the replicas hold: random starts, stops, kills that lose
what was not flushed, lost sessions, ISR changes, elections, reassignments, controller failovers.

The model knows each replica's log as a list of records, and which records are committed (held by all in-sync
replicas while there were enough of them). Whoever is elected without the mark of a recovering leader must hold
them all. The rest are rules about the image alone.
"""

from __future__ import annotations

import os

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from pybroker.controller.partition_changes import is_active
from pybroker.controller.partitions import RECOVERING
from pybroker.metadata.image import NO_LEADER
from pybroker.wire.schemas.metadata_records import PartitionChangeRecord
from tests.unit.controller.cluster import SESSION_MS, Cluster

BROKERS = (1, 2, 3, 4)
TOPICS = ("t", "u")
BROKER = st.sampled_from(BROKERS)
TOPIC = st.sampled_from(TOPICS)


def common(first, second):
    length = 0
    for a, b in zip(first, second, strict=False):
        if a != b:
            break
        length += 1
    return first[:length]


class ClusterMachine(RuleBasedStateMachine):
    @initialize(elr=st.booleans(), minimum=st.integers(1, 3), unclean=st.booleans())
    def start_all(self, elr, minimum, unclean):
        self.elr, self.minimum, self.unclean = elr, minimum, unclean
        self.cluster = Cluster(elr=elr, minimum=minimum, unclean=unclean)
        self.cluster.start(*BROKERS)
        self.cluster.topic("t", (1, 2, 3))
        self.cluster.topic("u", (2, 3))
        self.up = set(BROKERS)
        # The epoch in the clean-shutdown file of a broker that is down.
        self.marker = dict.fromkeys(BROKERS, -1)
        self.incarnations = 1
        self.logs = {name: {replica: [] for replica in self.partition(name).replicas} for name in TOPICS}
        self.committed = {name: [] for name in TOPICS}
        self.records = 0
        # Without ELR nobody knows that the last in-sync replica lost something.
        self.unsafe = False
        self.seen = {name: self.partition(name) for name in TOPICS}
        self.seen_count = len(self.cluster.records)

    def partition(self, name):
        return self.cluster.partition(name)

    # Brokers

    @rule(broker=BROKER)
    def stop(self, broker):
        if broker not in self.up:
            return
        epoch = self.cluster.image.brokers[broker].epoch
        for _ in range(3):
            if self.cluster.heartbeat(broker, want_shut_down=True).should_shut_down:
                break
            for other in self.up - {broker}:
                self.cluster.heartbeat(other)
        self.up.discard(broker)
        self.marker[broker] = epoch

    @rule(broker=BROKER, data=st.data())
    def kill(self, broker, data):
        if broker not in self.up:
            return
        self.up.discard(broker)
        self.marker[broker] = -1
        for logs in self.logs.values():
            if broker in logs:
                keep = data.draw(st.integers(0, len(logs[broker])))
                if keep < len(logs[broker]) and not self.elr:
                    self.unsafe = True
                del logs[broker][keep:]

    @rule(broker=BROKER)
    def start(self, broker):
        if broker in self.up:
            self.cluster.heartbeat(broker)
            return
        self.incarnations += 1
        answer = self.cluster.register(
            broker, incarnation=self.incarnations, previous_broker_epoch=self.marker[broker]
        )
        if answer.error_code == 101:
            return
        assert answer.error_code == 0
        self.up.add(broker)
        assert not self.cluster.heartbeat(broker).is_fenced

    @rule(silent=st.sets(BROKER, max_size=2))
    def let_sessions_end(self, silent):
        self.cluster.pass_time(SESSION_MS + 3000, *sorted(self.up - silent))

    @rule()
    def fail_over(self):
        self.cluster.fail_over()

    @rule(broker=BROKER)
    def unregister(self, broker):
        if broker not in self.up and broker in self.cluster.image.brokers:
            assert self.cluster.unregister(broker) == 0

    # Replicas

    @rule(name=TOPIC, count=st.integers(1, 3))
    def append(self, name, count):
        leader = self.partition(name).leader
        if leader != NO_LEADER and leader in self.up:
            for _ in range(count):
                self.records += 1
                self.logs[name][leader].append(self.records)

    @rule(name=TOPIC, broker=BROKER, most=st.integers(0, 5))
    def replicate(self, name, broker, most):
        leader = self.partition(name).leader
        logs = self.logs[name]
        if leader == NO_LEADER or not {leader, broker} <= self.up or broker not in logs or broker == leader:
            return
        kept = common(logs[broker], logs[leader])
        logs[broker] = logs[leader][: len(kept) + most]

    @rule(name=TOPIC)
    def commit(self, name):
        partition = self.partition(name)
        logs = self.logs[name]
        enough = min(self.minimum, len(partition.replicas))
        if partition.leader == NO_LEADER or len(partition.isr) < enough:
            return
        held = logs[partition.leader]
        for replica in partition.isr:
            held = common(held, logs[replica])
        if len(held) > len(self.committed[name]):
            self.committed[name] = list(held)

    @rule(name=TOPIC, broker=BROKER)
    def leave_isr(self, name, broker):
        partition = self.partition(name)
        if partition.leader in self.up and broker in partition.isr and broker != partition.leader:
            isr = [replica for replica in partition.isr if replica != broker]
            assert self.cluster.alter_isr([(r, -1) for r in isr], name=name) in (0, 107, 108)

    @rule(name=TOPIC, broker=BROKER)
    def join_isr(self, name, broker):
        partition = self.partition(name)
        logs = self.logs[name]
        if partition.leader not in self.up or broker not in self.up or broker not in partition.replicas:
            return
        if broker not in partition.isr and logs[broker] == logs[partition.leader]:
            members = [*partition.isr, broker]
            code = self.cluster.alter_isr([(replica, -1) for replica in members], name=name)
            good = all(is_active(self.cluster.image.brokers.get(replica)) for replica in members)
            assert code in (0, 108) or (code == 107 and not good)

    # Administration

    @rule(name=TOPIC, kind=st.sampled_from([0, 1]))
    def elect(self, name, kind):
        code = self.cluster.elect(kind, 0, name=name)[name, 0]
        assert code in (0, 80, 83, 84)

    @rule(name=TOPIC, replicas=st.lists(BROKER, min_size=1, max_size=3, unique=True))
    def reassign(self, name, replicas):
        assert self.cluster.reassign(replicas, name=name)[0] in (0, 39)

    @rule(name=TOPIC)
    def cancel(self, name):
        before = self.partition(name)
        code, _ = self.cluster.reassign(None, name=name)
        assert code in (0, 39, 85)
        after = self.partition(name)
        if code == 0 and self.unclean and not set(after.isr) <= set(before.isr):
            # What only the added replicas held is given up knowingly.
            leader_log = self.logs[name].get(after.leader, [])
            self.committed[name] = common(self.committed[name], leader_log)

    @rule()
    @precondition(lambda self: self.unclean)
    def wait_for_timed_elections(self):
        self.cluster.pass_time(301_000, *sorted(self.up))

    # What must hold

    @invariant()
    def the_image_is_sound(self):
        records = self.cluster.records[self.seen_count :]
        self.seen_count = len(self.cluster.records)
        for name in TOPICS:
            old, new = self.seen[name], self.partition(name)
            self.seen[name] = new
            topic_id = self.cluster.image.topics[name].topic_id
            count = sum(
                isinstance(record, PartitionChangeRecord) and record.topic_id == topic_id
                for record in records
            )
            assert new.partition_epoch == old.partition_epoch + count
            assert old.leader_epoch + (new.leader != old.leader) <= new.leader_epoch
            assert new.leader_epoch <= old.leader_epoch + count
            self.check(new)
            self.follow(name, old, new)

    def check(self, partition):
        brokers = self.cluster.image.brokers
        replicas = set(partition.replicas)
        assert replicas
        for part in (
            partition.replicas,
            partition.isr,
            partition.eligible_leader_replicas,
            partition.adding_replicas,
            partition.removing_replicas,
        ):
            assert len(set(part)) == len(part)
            assert set(part) <= replicas
        assert not set(partition.isr) & set(partition.eligible_leader_replicas)
        assert not set(partition.adding_replicas) & set(partition.removing_replicas)
        assert len(partition.directories) == len(partition.replicas)
        if partition.leader != NO_LEADER:
            assert partition.leader in partition.isr
            assert not brokers[partition.leader].fenced
        candidates = partition.isr or partition.eligible_leader_replicas
        if partition.leader == NO_LEADER:
            assert not any(is_active(brokers.get(replica)) for replica in candidates)
        if not self.elr:
            assert partition.isr
            assert not partition.eligible_leader_replicas
            assert not partition.last_known_elr
            return
        assert (partition.leader == NO_LEADER) == (not partition.isr)
        assert not any(replica not in brokers or brokers[replica].fenced for replica in partition.isr)
        assert len(partition.last_known_elr) <= 1
        assert partition.leader == NO_LEADER or not partition.last_known_elr
        if len(partition.isr) >= min(self.minimum, len(partition.replicas)):
            assert not partition.eligible_leader_replicas

    def follow(self, name, old, new):
        """The replicas act on the new state."""
        logs = self.logs[name]
        for replica in set(old.replicas) - set(new.replicas):
            logs.pop(replica, None)
        for replica in new.replicas:
            logs.setdefault(replica, [])
        if new.leader == NO_LEADER or self.unsafe:
            return
        if new.leader_recovery_state == RECOVERING and new.leader_epoch != old.leader_epoch:
            self.committed[name] = common(self.committed[name], logs[new.leader])
        # One that is down serves nobody, and is out before it may serve again.
        if new.leader in self.up:
            assert logs[new.leader][: len(self.committed[name])] == self.committed[name]


EXAMPLES = int(os.environ.get("PYBROKER_CLUSTER_MODEL_EXAMPLES", "30"))
ClusterMachine.TestCase.settings = settings(max_examples=EXAMPLES, stateful_step_count=40, deadline=None)
TestClusterMachine = ClusterMachine.TestCase
