"""Simulated clusters: a few seeds, the same seed twice, and bugs that they must find."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import replace

import pytest

from pybroker.metadata.compare import compare as images_compare
from tests.sim.cluster import SIZES
from tests.sim.cluster_clients import Violation
from tests.sim.cluster_found import FOUND
from tests.sim.cluster_net import DATA, Caller, End, Network, Pipe, Weather
from tests.sim.cluster_time import Scheduler, Task, sleep
from tests.sim.cluster_world import Failure, World, faults_of, options_of, shrunk
from tests.sim.cluster_zoo import ZOO, seeds_to_catch

SEEDS = int(os.environ.get("PYBROKER_SIM_CLUSTER_SEEDS", "2"))


@pytest.mark.parametrize("nodes", SIZES)
@pytest.mark.parametrize("seed", range(SEEDS))
def test_a_seed(seed, nodes):
    result = World(options_of(seed, nodes)).run()
    assert result.read > 0
    assert result.acked > 0


def test_starts_that_load_in_many_slices(monkeypatch):
    """The metadata go on changing while a node loads its logs."""
    monkeypatch.setattr("pybroker.broker._LOADING_SLICE_MS", -1)
    monkeypatch.setattr("pybroker.broker._LOADING_PAUSE_MS", 100)
    overtaken = []

    def compare(old, new):
        overtaken.append(new.offset - old.offset)
        return images_compare(old, new)

    monkeypatch.setattr("pybroker.broker.compare", compare)
    World(options_of(3, 3)).run()
    assert overtaken


def test_the_same_seed_leaves_the_same_trace_in_every_process():
    """I18; and the other process has other hashes of strings, so that no order of a set can matter."""
    code = "from tests.sim.cluster_world import World, options_of\nprint(World(options_of(5, 3)).run().trace)"
    environment = {**os.environ, "PYTHONHASHSEED": "77"}
    other = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True, timeout=120
    )
    assert int(other.stdout) == World(options_of(5, 3)).run().trace


# All of them: many minutes.
BUGS = ["aborted_list_is_empty", "cut_at_the_high_watermark", "duplicates_are_stored"]
if "PYBROKER_SIM_ZOO" in os.environ:
    BUGS = list(ZOO)


@pytest.mark.parametrize("name", BUGS)
def test_a_bug_is_found(name):
    assert seeds_to_catch(name) is not None


@pytest.mark.parametrize("found", FOUND, ids=lambda found: found.bug.__name__)
def test_what_was_found_stays_fixed(found):
    World(found.options, found.faults).run()
    if "PYBROKER_SIM_ZOO" in os.environ:
        # Another order of events hides the bug from this schedule: then the schedule is to be found anew.
        with pytest.MonkeyPatch.context() as patch:
            found.bug(patch)
            with pytest.raises(Failure, match=re.escape(found.words)):
                World(found.options, found.faults).run()


def test_a_failure_is_shrunk():
    """What is left of the faults is what it takes."""
    options = replace(options_of(3), faults=("kill", "pause", "drop"), workers=1, topics=1, load_ms=3_000)
    faults = faults_of(replace(options, fault_every_ms=300))
    assert len(faults) > 4

    class Planted(World):
        def run(self):
            if any(fault[1] == "pause" for fault in self.faults):
                raise Failure(self.options, self.faults, Violation("planted"), [])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tests.sim.cluster_world.World", Planted)
        found = shrunk(Failure(options, faults, Violation("planted"), []))
    assert [fault[1] for fault in found.faults] == ["pause"]


class TestNetwork:
    def make(self):
        import random

        scheduler = Scheduler()
        return scheduler, Network(scheduler, random.Random(1), Weather(late_one_in=3, late_ms=500.0))

    def connect(self, network, scheduler):
        ends: list[End] = []
        network.listeners["server", 1] = ends.append
        network.connect("client", ("server", 1), ends.append)
        scheduler.run_until(scheduler.now_ms + 4_000.0)
        server, client = ends
        return server, client

    def test_frames_come_in_order_and_stop_at_a_cut(self):
        scheduler, network = self.make()
        server, client = self.connect(network, scheduler)
        got: list[bytes] = []
        server.on_frame = got.append
        for number in range(50):
            client.send(b"%d" % number)
        scheduler.run_until(scheduler.now_ms + 5_000.0)
        assert got == [b"%d" % number for number in range(50)]
        network.cut("client", "server")
        client.send(b"late")
        client.close()
        scheduler.run_until(scheduler.now_ms + 60_000.0)
        assert got[-1] == b"49"
        # The client has given up long ago; its request arrives.
        network.mend("client", "server")
        scheduler.run_until(scheduler.now_ms + 5_000.0)
        assert got[-1] == b"late"
        assert not server.open

    def test_power_loss_tells_nobody_and_a_killed_process_does(self):
        scheduler, network = self.make()
        server, client = self.connect(network, scheduler)
        server.vanish()
        scheduler.run_until(scheduler.now_ms + 60_000.0)
        assert client.open
        # The machine is back and does not know the connection.
        client.send(b"?")
        scheduler.run_until(scheduler.now_ms + 5_000.0)
        assert not client.open
        server, client = self.connect(network, scheduler)
        server.close()
        scheduler.run_until(scheduler.now_ms + 5_000.0)
        assert not client.open

    def test_a_call_is_answered_once_whatever_happens(self):
        scheduler, network = self.make()
        answers: list[object] = []
        caller = Caller(network, "client", ("server", 1), lambda: True)
        caller.send(b"refused", 1_000.0, answers.append)
        assert answers == []
        scheduler.run_until(5_000.0)
        assert answers == [None]
        network.listeners["server", 1] = lambda end: None
        caller.send(b"late", 1_000.0, answers.append)
        caller.send(b"behind it", 9_000.0, answers.append)
        scheduler.run_until(20_000.0)
        assert answers == [None, None, None]

    def test_a_reset_overtakes(self):
        scheduler, network = self.make()
        pipe = Pipe(network, "a", "b")
        got: list[object] = []
        pipe.deliver = got.append
        pipe.push((DATA, b"x"))
        pipe.push(("reset", b""))
        scheduler.run_until(5_000.0)
        assert got == [("reset", b"")]


def test_a_task_ends_where_it_is_cancelled():
    scheduler = Scheduler()
    steps: list[int] = []

    async def work():
        for number in range(10):
            await sleep(scheduler, 10.0)
            steps.append(number)

    task = Task(work())
    scheduler.run_until(35.0)
    task.cancel()
    scheduler.run_until(200.0)
    assert steps == [0, 1, 2]
    assert task.finished.done
