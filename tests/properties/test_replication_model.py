"""Three replicas against the model of `tests.sim.replication`, with steps that hypothesis chooses and shrinks."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from tests.sim.replication import WEIGHTS, World

EXAMPLES = int(os.environ.get("PYBROKER_REPLICATION_EXAMPLES", "10"))
CHOICES = st.integers(0, 999)
# Drawn as often as in a random walk, more or less.
TROUBLE = st.sampled_from(
    ["lose", "fence", "unfence", "clean", "kill", "power", "restart", "blackout", "round"]
)
PROGRESS = st.sampled_from(
    [
        name
        for name, weight in WEIGHTS.items()
        for _ in range(weight // 6)
        if name not in ("unfence", "restart")
    ]
)


class Replicas(RuleBasedStateMachine):
    """One partition on three brokers; `World` checks after each step."""

    world: World

    @initialize(seed=st.integers(0, 50), flushes=st.booleans())
    def begin(self, seed, flushes):
        self.world = World(seed, durability="fsync" if flushes else "os")

    @rule(action=PROGRESS, choices=st.lists(CHOICES, min_size=1, max_size=8))
    def progress(self, action, choices):
        for choice in choices:
            self.world.step(action, choice)

    @rule(steps=st.lists(st.tuples(PROGRESS, CHOICES), max_size=30))
    def mixed(self, steps):
        for action, choice in steps:
            self.world.step(action, choice)

    @rule(action=TROUBLE, choice=CHOICES)
    def trouble(self, action, choice):
        self.world.step(action, choice)

    def teardown(self):
        if hasattr(self, "world"):
            self.world.finish()


TestReplicas = Replicas.TestCase
TestReplicas.settings = settings(
    max_examples=EXAMPLES,
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
