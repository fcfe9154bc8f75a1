"""The log against a model, on the simulated disk: append, roll, read, truncate, delete, compact, crash, recover, and so
on.

The model is `ledger.py`: what was sent, and what was promised of it. Every step may leave blocking work undone, and
every crash may come in the middle of a step. PYBROKER_MODEL_EXAMPLES sets how many lives are tried.
"""

from __future__ import annotations

import os
import random

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from pybroker.common.clock import ManualClock
from pybroker.common.errors import ErrorCode
from pybroker.records.batch import iter_headers
from tests.sim.check import LogCheck, check_index_files
from tests.sim.disk import Crash, SimDisk
from tests.sim.ledger import transactions_of
from tests.sim.lives import bounds_of, next_life
from tests.sim.world import INTERLEAVED, NOW, World

EXAMPLES = int(os.environ.get("PYBROKER_MODEL_EXAMPLES", "20"))
NUMBERS = st.integers(0, (1 << 16) - 1)
APPENDS = ["append", "append", "produce", "transact", "end_transaction"]
WORK = ["round", "round", "work", "tick"]
# Another broker leads, and what it does not have is cut.
TRUNCATE = ["truncate", "truncate", "truncate", "start_again"]


class Storage(RuleBasedStateMachine):
    @initialize(seed=NUMBERS, fsync=st.booleans())
    def begin(self, seed, fsync):
        clock = ManualClock(NOW)
        disk = SimDisk(seed, clock=clock)
        disk.cold = disk.slow = True
        self.world = World(disk, clock, seed, fsync=fsync)
        self.world.interleaved_steps = (*INTERLEAVED, "truncate")
        self.world.start()
        self.crashes = 0

    @rule(names=st.lists(st.sampled_from(APPENDS), min_size=1, max_size=6), seed=NUMBERS)
    def append(self, names, seed):
        rng = random.Random(seed)
        for name in names:
            self.step(name, *(rng.randrange(1 << 16) for _ in range(3)))

    @rule(name=st.sampled_from(WORK), first=NUMBERS, second=NUMBERS)
    def work(self, name, first, second):
        self.step(name, first, second, 0)

    @rule(
        name=st.sampled_from(
            ["roll", "wait", "delete_records", "retention", "new_epoch", "recreate", "restart"]
        ),
        first=NUMBERS,
        second=NUMBERS,
    )
    def change(self, name, first, second):
        self.step(name, first, second, 0)

    @rule(first=NUMBERS, second=NUMBERS, third=NUMBERS)
    def compact(self, first, second, third):
        self.step("clean", first, second, third)

    @rule(name=st.sampled_from(TRUNCATE), first=NUMBERS, second=NUMBERS, third=NUMBERS)
    def truncate(self, name, first, second, third):
        self.step(name, first, second, third)

    def step(self, name, first, second, third):
        self.world.step((name, first, second, third))

    @rule(topic=st.sampled_from("tcx"), at=NUMBERS, max_bytes=st.integers(1, 3_000), committed=st.booleans())
    def read(self, topic, at, max_bytes, committed):
        world = self.world
        partition = world.partitions.get(topic)
        if partition is None or not partition.is_leader:
            return
        start = partition.log_start_offset
        end = partition.last_stable_offset if committed else partition.high_watermark
        if end <= start:
            return
        offset = start + at % (end - start)
        outcome = partition.read(offset, max_bytes, isolation=int(committed), min_one_batch=True)
        assert outcome.error == ErrorCode.NONE
        ledger = world.ledgers[topic]
        live = ledger.live()
        wanted = [sent for sent in live if sent.last >= offset and sent.end <= end]
        records = bytes(outcome.records)
        if topic != "c":
            assert b"".join(sent.data for sent in wanted).startswith(records)
            assert len(records) >= len(wanted[0].data)
        headers = [header for _, header in iter_headers(records)]
        assert all(header.last_offset >= offset for header in headers)
        if committed and headers and topic != "c":
            last = headers[-1].last_offset
            aborted = {
                (transaction.producer_id, transaction.first)
                for transaction in transactions_of(live)
                if transaction.committed is False
                and transaction.end > offset
                and transaction.first <= last
                # Where its first records were deleted the transaction may be known from later ones.
                and transaction.first >= start
            }
            assert {pair for pair in outcome.aborted or [] if pair[1] >= start} == aborted

    @rule(
        power_loss=st.booleans(),
        changes=st.integers(0, 40),
        name=st.sampled_from([*APPENDS, *WORK, *TRUNCATE, "clean", "clean", "roll", "retention", "restart"]),
        first=NUMBERS,
        second=NUMBERS,
        third=NUMBERS,
    )
    def crash(self, power_loss, changes, name, first, second, third):
        """In the middle of a step, or after it."""
        world = self.world
        disk = world.disk
        rng = random.Random(f"{first} {second} {third}")
        left = []

        def image():
            left.append(disk.after_power_loss(rng) if power_loss else disk.after_kill(rng))
            disk.kill()

        def at(kind, path):
            nonlocal changes
            changes -= 1
            if changes < 0:
                image()
                raise Crash

        disk.on_change = at
        try:
            self.step(name, first, second, third)
            image()
        except Crash:
            pass
        self.crashes += 1
        self.world = next_life(
            world, left[0], f"{self.crashes} {first}", bounds_of(world, power_loss=power_loss)
        )

    @invariant()
    def the_log_is_what_the_model_says(self):
        world = self.world
        for name, partition in world.partitions.items():
            ledger = world.ledgers[name]
            LogCheck(partition.log, ledger, ledger.stored, world.clock.wall_ms()).run()

    def teardown(self):
        if self.world.disk.dead:
            return
        self.world.settle()
        check_index_files(self.world)
        self.the_log_is_what_the_model_says()


TestStorage = Storage.TestCase
TestStorage.settings = settings(
    max_examples=EXAMPLES,
    stateful_step_count=30,
    deadline=None,
    derandomize="PYBROKER_MODEL_EXAMPLES" not in os.environ,
    suppress_health_check=list(HealthCheck),
)
TestStorage.pytestmark = [pytest.mark.timeout(60 + 10 * EXAMPLES)]
