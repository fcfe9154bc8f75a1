"""Members of groups in processes that are killed -9 and stopped (SIGSTOP) while others go on, under load.

Each process is a member of one group for every assignor and protocol that its library knows. What must hold: every
record is seen, no partition is owned by two members at a time, and in the end the members share all partitions.
"""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic

from tests import facilities
from tests.conftest import make_server
from tests.processes import Server, compile_java, die_with_parent, java_command, wait_until
from tools import interop

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

PARTITIONS = 6
WAIT_S = 90.0
HERE = Path(__file__).parent
QUICK = {
    "group.initial.rebalance.delay.ms": "0",
    "group.consumer.min.session.timeout.ms": "6000",
    "group.consumer.session.timeout.ms": "6000",
    "group.consumer.min.heartbeat.interval.ms": "500",
    "group.consumer.heartbeat.interval.ms": "500",
    "group.consumer.assignment.interval.ms": "100",
}
STRATEGIES = ("range", "roundrobin", "cooperative-sticky", "static", "consumer")
GROUPS = {
    "python": [f"confluent:{kind}" for kind in STRATEGIES]
    + [f"{library}:{kind}" for library in ("aiokafka", "kafka_python") for kind in ("range", "roundrobin")],
    "java": [f"java:{kind}" for kind in (*STRATEGIES, "sticky")],
    "kafkajs": ["kafkajs:roundrobin"],
}


class Process:
    """A process with a member in each group, and the history of what it owned."""

    def __init__(self, command: list[str], directory: Path, environment: dict[str, str]) -> None:
        self.log = directory / "member.log"
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env={**os.environ, **environment},
                text=True,
                preexec_fn=die_with_parent,
            )
        self.owned: dict[str, set[int]] = {}
        self.history: dict[str, list[tuple[float, set[int]]]] = {}
        self.seen: dict[str, set[int]] = {}
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            try:
                told: dict[str, Any] = json.loads(line)
            except ValueError:
                continue  # The last line of a killed process.
            group = told["group"]
            if "seen" in told:
                self.seen.setdefault(group, set()).update(told["seen"])
            else:
                self.owned[group] = set(told["owned"])
                self.history.setdefault(group, []).append((told["at"], self.owned[group]))

    def _owns_nothing(self) -> None:
        for group in self.history:
            self.owned[group] = set()
            self.history[group].append((time.time(), set()))

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        self._thread.join()
        self._owns_nothing()

    def pause(self) -> None:
        """What it owned before counts no longer: the others cannot know that it comes back."""
        self.process.send_signal(signal.SIGSTOP)
        self._owns_nothing()

    def resume(self) -> None:
        self.process.send_signal(signal.SIGCONT)

    def close(self) -> None:
        assert self.process.stdin is not None
        if not self.process.stdin.closed:
            self.process.stdin.close()
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"a member did not leave\n{self.log.read_text()[-2000:]}") from None
        finally:
            self._thread.join()
            self._owns_nothing()


class Load:
    """Writes numbered records to all topics until it is told to stop."""

    def __init__(self, bootstrap: str, topics: list[str]) -> None:
        self.topics = topics
        self.count = 0
        self._producer = Producer(
            {"bootstrap.servers": bootstrap, "linger.ms": 5, "enable.idempotence": True}
        )
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._stopped.wait(0.01):
            for topic in self.topics:
                self._producer.produce(topic, b"%d" % self.count, partition=self.count % PARTITIONS)
            self.count += 1
            self._producer.poll(0)

    def stop(self) -> int:
        self._stopped.set()
        self._thread.join()
        assert self._producer.flush(60) == 0
        return self.count


def overlaps(processes: list[Process], group: str) -> list[str]:
    """The times at which two processes owned the same partition of a group."""
    found = []
    for partition in range(PARTITIONS):
        spans: list[tuple[float, float, int]] = []
        for number, process in enumerate(processes):
            since: float | None = None
            for at, owned in process.history.get(group, []):
                if partition in owned and since is None:
                    since = at
                elif partition not in owned and since is not None:
                    spans.append((since, at, number))
                    since = None
            assert since is None, "a member ended without giving up"
        spans.sort()
        found += [
            f"{group}-{partition}: {one} and {other}"
            for one, other in itertools.pairwise(spans)
            if one[2] != other[2] and other[0] < one[1]
        ]
    return found


@pytest.fixture(scope="module")
def server(pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    started = make_server(pytestconfig, tmp_path_factory.mktemp("group-processes"), dict(QUICK))
    yield started
    started.stop()


def member_command(language: str, directory: Path) -> tuple[list[str], dict[str, str]]:
    """(command without its arguments, environment)."""
    if language == "python":
        facilities.require("python-snappy")
        return [sys.executable, "-W", "ignore", str(HERE / "group_member.py")], {}
    if language == "java":
        facilities.require("kafka")
        classes = compile_java(HERE / "java" / "GroupMember.java")
        options = ("-Xmx256m", "-XX:TieredStopAtLevel=1", "-Xshare:auto")
        return [*java_command(directory, *options, extra_class_path=classes), "GroupMember"], {}
    facilities.require("kafkajs")
    modules = os.fspath(interop.kafkajs_directory() / "node_modules")
    return ["node", str(HERE / "node" / "group_member.js")], {"NODE_PATH": modules}


def settled(groups: list[str], members: list[Process], what: str) -> None:
    """Waits until these members, and nobody else, share the partitions of each group."""

    def check() -> bool:
        return all(
            sorted(p for member in members for p in member.owned.get(group, ())) == list(range(PARTITIONS))
            and all(member.owned.get(group) for member in members)
            for group in groups
        )

    try:
        wait_until(check, what, WAIT_S)
    except AssertionError:
        shares = {group: [sorted(m.owned.get(group, ())) for m in members] for group in groups}
        raise AssertionError(f"{what}: {shares}\n{members[0].log.read_text()[-3000:]}") from None


def missing(groups: list[str], everybody: list[Process], written: int) -> dict[str, int]:
    """How many of the first `written` records nobody of a group has seen."""
    wanted = set(range(written))
    seen = {group: {v for p in everybody for v in p.seen.get(group, set()).copy()} for group in groups}
    return {group: len(wanted - values) for group, values in seen.items() if wanted - values}


@pytest.mark.parametrize(
    "language",
    [
        "python",
        pytest.param("java", marks=pytest.mark.interop),
        pytest.param("kafkajs", marks=pytest.mark.interop),
    ],
)
def test_members_are_killed_and_paused(server: Server, tmp_path: Path, language: str) -> None:
    groups = [name.replace(":", "-") for name in GROUPS[language]]
    admin = AdminClient({"bootstrap.servers": server.bootstrap})
    for made in admin.create_topics([NewTopic(group, PARTITIONS, 1) for group in groups]).values():
        made.result(30)
    command, environment = member_command(language, tmp_path)
    everybody: list[Process] = []

    def start(rank: int) -> Process:
        arguments = [server.bootstrap, f"rank-{rank}", *GROUPS[language]]
        everybody.append(Process([*command, *arguments], tmp_path, environment))
        return everybody[-1]

    load = Load(server.bootstrap, groups)
    try:
        one, two = start(0), start(1)
        settled(groups, [one, two], "two members")
        three = start(2)
        settled(groups, [one, two, three], "three members")
        one.kill()
        two.pause()
        settled(groups, [three], "one member after a kill and a pause")
        two.resume()
        one = start(0)
        settled(groups, [one, two, three], "three members again")
        written = load.stop()
        wait_until(lambda: not missing(groups, everybody, written), "every record to be seen", WAIT_S)
        for member in (one, two, three):
            member.close()
        assert [line for group in groups for line in overlaps(everybody, group)] == []
    finally:
        for process in everybody:
            process.process.kill()
            process.process.wait()
        load.stop()
