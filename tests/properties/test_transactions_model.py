"""Transactions against a model: several producers of both versions, crashes, timeouts, delayed and repeated
requests. What a read_committed consumer sees must be exactly the transactions that were committed."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from pybroker.common.errors import ErrorCode
from pybroker.transactions.transitions import State
from tests.unit.transactions.harness import TOPIC_PARTITIONS, Producer, World

E = ErrorCode
INDEXES = st.integers(0, TOPIC_PARTITIONS - 1)
NAMES = ("a", "b", "c")


class TransactionsMachine(RuleBasedStateMachine):
    """A producer that is told a fatal error is started anew, as an application would do it."""

    @initialize(version=st.sampled_from([0, 2]), durability=st.sampled_from(["os", "fsync"]))
    def start(self, version, durability):
        self.world = World(level=version, durability=durability)
        self.version = version
        self.producers = {}
        # Per partition, in log order: (what was sent, "open" | "committed" | "aborted") of each batch.
        self.log = {index: [] for index in range(TOPIC_PARTITIONS)}
        self.open = {name: [] for name in NAMES}
        self.stale = []
        self.highest = {}

    def producer(self, name):
        known = self.producers.get(name)
        if known is None:
            known = Producer(self.world, name, self.version, timeout_ms=30_000)
            for _ in range(3):
                error = known.init().error
                if error != E.CONCURRENT_TRANSACTIONS:
                    break
                self.settle(name, "aborted")
                self.world.resume_markers()
            assert error == E.NONE
            self.settle(name, "aborted")
            self.producers[name] = known
        return known

    def settle(self, name, outcome):
        for entry in self.open[name]:
            if entry[1] == "open":
                entry[1] = outcome
        self.open[name] = []

    @rule(name=st.sampled_from(NAMES), index=INDEXES)
    def send(self, name, index):
        producer = self.producer(name)
        if self.version < 2:
            error = producer.add(index)
            if error:
                assert error == E.CONCURRENT_TRANSACTIONS
                return
        sequence = producer.sequences.get(index, 0)
        error = producer.send(index)
        if error:
            assert error == E.CONCURRENT_TRANSACTIONS
            return
        entry = [(producer.id, producer.epoch, sequence), "open"]
        self.log[index].append(entry)
        self.open[name].append(entry)

    @rule(name=st.sampled_from(NAMES), commit=st.booleans())
    def end(self, name, commit):
        producer = self.producer(name)
        before = (producer.id, producer.epoch)
        had = bool(self.open[name])
        answer = producer.end(commit)
        if answer.error == E.NONE:
            if had:
                self.stale.append((name, *before, commit))
            self.settle(name, "committed" if commit else "aborted")
        elif answer.error in (E.INVALID_TXN_STATE, E.PRODUCER_FENCED):
            # As in Kafka: the end of an empty transaction, the latter while the one before completes.
            assert not had
        else:
            assert answer.error == E.CONCURRENT_TRANSACTIONS

    @precondition(lambda self: self.version == 2 and self.stale)
    @rule(data=st.data())
    def repeat_an_end(self, data):
        """A request that comes late, or a second time, changes nothing with transactions v2."""
        name, producer_id, epoch, commit = data.draw(st.sampled_from(self.stale))
        late = Producer(self.world, name, 2)
        late.id, late.epoch = producer_id, epoch
        before = self.world.transaction(name)
        answer = late.end(commit)
        assert before == self.world.transaction(name)
        assert answer.error in (
            E.NONE,
            E.PRODUCER_FENCED,
            E.CONCURRENT_TRANSACTIONS,
            E.INVALID_PRODUCER_ID_MAPPING,
            E.INVALID_TXN_STATE,
        )

    @precondition(lambda self: self.version == 2 and self.stale)
    @rule(data=st.data(), index=INDEXES)
    def produce_late(self, data, index):
        name, producer_id, epoch, _ = data.draw(st.sampled_from(self.stale))
        late = Producer(self.world, name, 2)
        late.id, late.epoch = producer_id, epoch
        end_offset = self.world.end_offset(index)
        error = late.send(index, sequence=1000)
        assert error
        assert self.world.end_offset(index) == end_offset

    @rule(name=st.sampled_from(NAMES))
    def another_instance(self, name):
        self.producers.pop(name, None)
        self.producer(name)

    @rule(name=st.sampled_from(NAMES))
    def go_on_with_the_next_epoch(self, name):
        producer = self.producers.get(name)
        if producer is None:
            return
        answer = producer.init((producer.id, producer.epoch))
        if answer.error == E.CONCURRENT_TRANSACTIONS:
            self.settle(name, "aborted")
            self.producers.pop(name)
        else:
            assert answer.error == E.NONE

    @rule()
    def pause_markers(self):
        self.world.markers_paused = True

    @rule()
    def resume_markers(self):
        self.world.resume_markers()

    @rule()
    def crash(self):
        before = dict(self.world.coordinator.host.active_shards[0][1].transactions)
        self.world.crash()
        self.world.flush()
        self.world.advance(10)
        self.world.flush()
        self.world.advance(10)
        after = self.world.coordinator.host.active_shards[0][1].transactions
        for name, transaction in before.items():
            if transaction.state in (State.PREPARE_COMMIT, State.PREPARE_ABORT):
                assert after[name].state in (State.COMPLETE_COMMIT, State.COMPLETE_ABORT)
            else:
                assert after[name] == transaction

    @rule()
    def time_out(self):
        self.world.resume_markers()
        for _ in range(5):
            self.world.advance(10_000)
            self.world.flush()
        for name in NAMES:
            if self.open[name]:
                self.settle(name, "aborted")
                self.producers.pop(name, None)

    @invariant()
    def readers_see_what_was_committed(self):
        if not hasattr(self, "world"):
            return
        for index in range(TOPIC_PARTITIONS):
            seen = self.world.committed(index)
            expected = [what for what, outcome in self.log[index] if outcome == "committed"]
            # An open transaction holds back what comes after it, so a prefix; never anything else.
            assert seen == expected[: len(seen)], index
            settled = all(outcome != "open" for _, outcome in self.log[index])
            if settled and not self.world.paused and not self.world.markers_paused:
                assert seen == expected, index
                partition = self.world.partitions["t", index]
                assert partition.last_stable_offset == partition.high_watermark

    @invariant()
    def epochs_never_go_back(self):
        if not hasattr(self, "world"):
            return
        for name in NAMES:
            transaction = self.world.transaction(name)
            if transaction is None:
                continue
            key = name, transaction.producer_id
            assert transaction.producer_epoch >= self.highest.get(key, 0)
            self.highest[key] = transaction.producer_epoch

    def teardown(self):
        if hasattr(self, "world"):
            self.time_out()
            self.readers_see_what_was_committed()
            for name in NAMES:
                transaction = self.world.transaction(name)
                assert transaction is None or transaction.state not in (
                    State.PREPARE_COMMIT,
                    State.PREPARE_ABORT,
                    State.ONGOING,
                )


TransactionsMachine.TestCase.settings = settings(max_examples=40, stateful_step_count=40, deadline=None)
TestTransactions = TransactionsMachine.TestCase
