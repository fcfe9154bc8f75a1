"""The test programs of client libraries, run unchanged against a broker of their own.

kafka-python's integration tests come from its source package, librdkafka's from the npm package that
carries its sources, node-rdkafka's from its npm package (see tools/interop.py). Everything that needs ACLs or
another API that is not served yet, or that Apache Kafka does not pass either, is named here with the reason; a name
that no longer exists upstream fails, so the lists cannot rot. franz-go's are in test_groups.py.
"""

from __future__ import annotations

import json
import os
import queue
import re
import subprocess
import sys
import threading
import xml.etree.ElementTree
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from confluent_kafka.admin import AdminClient, NewTopic

from tests import facilities
from tests.clients.librdkafka import Programs
from tests.conftest import make_server
from tests.processes import Server, die_with_parent, free_port
from tools import interop

pytestmark = [pytest.mark.interop, pytest.mark.slow, pytest.mark.timeout(400)]

# A name stands for all its parameters.
KAFKA_PYTHON_LEFT_OUT = {
    "test_create_describe_delete_acls": "needs ACLs (and is skipped by a broker without an authorizer)",
}

# Number, part of a subtest's name (None: all of it), in the suite's quick mode or in full.
LIBRDKAFKA_PROGRAMS: list[tuple[str, str | None, bool]] = [
    ("0001", None, True),
    ("0012", None, True),
    ("0013", None, True),
    ("0015", None, True),
    ("0017", None, True),
    ("0019", None, False),
    ("0022", None, False),
    ("0026", None, False),
    ("0029", None, True),
    ("0030", None, True),
    ("0031", None, True),
    ("0033", None, True),
    ("0039", None, True),
    ("0048", None, True),
    ("0059", None, True),
    ("0073", None, True),
    ("0099", None, True),
    ("0102", None, True),
    ("0113", None, True),
    ("0118", None, True),
    ("0130", None, True),
    ("0140", None, True),
    # The rest of 0081 is about ACLs and SCRAM credentials.
    *(
        ("0081", f"do_test_{subtest}", True)
        for subtest in (
            "CreateTopics",
            "DeleteTopics",
            "CreatePartitions",
            "AlterConfigs",
            "IncrementalAlterConfigs",
            "DescribeConfigs:",
            "DeleteRecords",
            "DescribeTopics",
            "DescribeCluster",
            "ListOffsets",
            "ListConsumerGroups",
            "DescribeConsumerGroups",
            "DeleteGroups",
            "DeleteConsumerGroupOffsets",
            "AlterConsumerGroupOffsets",
            "ListConsumerGroupOffsets",
            "unclean_destroy",
        )
    ),
]


# The full titles of node-rdkafka's tests.
EMPTY_IS_NULL = "fails with Apache Kafka too: the library takes an empty key or value for null"
NODE_RDKAFKA_LEFT_OUT = {
    "Producer with_dr_msg_cb should produce a message with an empty payload and empty key "
    "(https://github.com/Blizzard/node-rdkafka/issues/117)": EMPTY_IS_NULL,
    "Consumer/Producer should be able to produce and consume messages: "
    "empty buffer key and empty value": EMPTY_IS_NULL,
    "Consumer/Producer should be able to produce and consume messages: empty key and empty value": EMPTY_IS_NULL,
    "Consumer group/Producer should be able to commit, read committed and restart from the committed offset": (
        "the library ends with a segmentation fault in some runs, with Apache Kafka too"
    ),
}


@pytest.fixture(scope="module")
def four_partitions(
    request: pytest.FixtureRequest, pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """Both suites count on topics that are created by being used having more than one partition; that of
    kafka-python also on node 0 and on a configured advertised.listeners."""
    against = pytestconfig.getoption("--against")
    if against and against != "kafka":
        yield request.getfixturevalue("broker")
        return
    port = free_port()
    properties = {
        "num.partitions": "4",
        "node.id": "0",
        "advertised.listeners": f"PLAINTEXT://127.0.0.1:{port}",
        # kafka-python starts its own brokers without a delay; but some programs of librdkafka count on consumers
        # that subscribe at once being in the same first generation.
        "group.initial.rebalance.delay.ms": "300",
        "group.min.session.timeout.ms": "1000",
    }
    server = make_server(pytestconfig, tmp_path_factory.mktemp("four"), properties, port)
    yield server
    server.stop()


@pytest.fixture(scope="module")
def kafka_python_results(
    four_partitions: Server, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, list[tuple[str, str]]]:
    """For each upstream test function the (outcome, message) of its runs."""
    facilities.require("kafka-python-tests", "python-snappy")
    directory = interop.kafka_python_directory()
    report = tmp_path_factory.mktemp("kafka-python") / "report.xml"
    sources = "".join(file.read_text() for file in directory.glob("test/integration/test_*.py"))
    names = set(re.findall(r"^def (test_\w+)", sources, re.MULTILINE))
    assert set(KAFKA_PYTHON_LEFT_OUT) <= names, set(KAFKA_PYTHON_LEFT_OUT) - names
    command = [
        sys.executable,
        "-m",
        "pytest",
        "test/integration",
        "-q",
        f"--junitxml={report}",
        "--timeout=60",
    ]
    # These two start brokers of their own.
    command += [f"--ignore=test/integration/test_{kind}_integration.py" for kind in ("sasl", "ssl")]
    command += [
        "-p",
        "no:randomly",
        "-p",
        "no:cacheprovider",
        # Two races of the client itself, which say nothing about the broker.
        "-p",
        "tests.clients.kafka_python_metadata",
        "-p",
        "tests.clients.kafka_python_joins",
        "-k",
        f"not ({' or '.join(KAFKA_PYTHON_LEFT_OUT)})",
    ]
    result = subprocess.run(
        command,
        cwd=directory,
        env=_kafka_python_environment(four_partitions),
        capture_output=True,
        text=True,
        preexec_fn=die_with_parent,
    )
    assert report.exists(), result.stdout + result.stderr
    outcomes: dict[str, list[tuple[str, str]]] = {}
    for case in xml.etree.ElementTree.parse(report).iter("testcase"):
        found = [
            (child.tag, child.get("message", ""))
            for child in case
            if child.tag in ("failure", "error", "skipped")
        ]
        outcomes.setdefault(case.get("name", ""), []).extend(found or [("passed", "")])
    return outcomes


def _kafka_python_environment(server: Server) -> dict[str, str]:
    return {
        **os.environ,
        "KAFKA_ROOT": str(interop.kafka_python_directory().parent / "kafka-root"),
        "KAFKA_URI": f"kafka://{server.bootstrap}",
        "KAFKA_VERSION": "4.3.0",
        "PYTEST_ADDOPTS": "",
        "PYTHONPATH": str(Path(__file__).parents[2]),
    }


def test_kafka_python_integration_tests(kafka_python_results: dict[str, list[tuple[str, str]]]) -> None:
    failures = {
        name: [message for tag, message in outcomes if tag in ("failure", "error")]
        for name, outcomes in kafka_python_results.items()
    }
    failures = {name: messages for name, messages in failures.items() if messages}
    passed = [name for name, outcomes in kafka_python_results.items() if outcomes == [("passed", "")]]
    assert not failures, "\n".join(f"{name}: {messages}" for name, messages in failures.items())
    assert len(passed) >= 35, sorted(kafka_python_results)


@pytest.fixture(scope="module")
def librdkafka_programs(four_partitions: Server, tmp_path_factory: pytest.TempPathFactory) -> Programs:
    return Programs(tmp_path_factory.mktemp("librdkafka"), four_partitions.bootstrap)


@pytest.mark.parametrize(
    ("number", "subtest", "quick"),
    [pytest.param(*row, id="-".join(filter(None, row[:2])).strip(":")) for row in LIBRDKAFKA_PROGRAMS],
)
def test_librdkafka_test_program(
    request: pytest.FixtureRequest, tmp_path: Path, number: str, subtest: str | None, quick: bool
) -> None:
    programs: Programs
    if number == "0118":
        # It fails whenever its two consumers are not in the same first generation. Kafka's own delay sees to that
        # where the machine is busy, too.
        start_broker = request.getfixturevalue("start_broker")
        server = start_broker(**{"num.partitions": "4", "group.initial.rebalance.delay.ms": "3000"})
        programs = Programs(tmp_path, server.bootstrap)
    else:
        programs = request.getfixturevalue("librdkafka_programs")
    programs.run(number, subtest, quick=quick)


class NodeTests:
    """node-rdkafka's tests, told by the report that mocha writes as it goes: one JSON line an event."""

    def __init__(self, directory: Path) -> None:
        self.package = interop.node_rdkafka_tests_directory()
        self.directory = directory

    def run(self, bootstrap: str, *arguments: str, last: int) -> Iterator[tuple[str, str, str]]:
        """(kind, full title, what went wrong) of each test. The process is ended after `last` of them: what it
        does at its end is not ours, and it does not always come to one. Nor does it always come this far: once in
        a hundred times it aborts before the first test, or, with Apache Kafka too, spins on a closed handle."""
        mocha = self.package.parent / "node_modules" / "mocha" / "bin" / "mocha.js"
        command = [
            "node",
            str(mocha),
            "--exit",
            "--timeout",
            "60000",
            "--reporter",
            "json-stream",
            *arguments,
        ]
        with (
            (self.directory / "mocha.log").open("ab") as log,
            subprocess.Popen(
                command,
                cwd=self.package,
                env={**os.environ, "KAFKA_HOST": bootstrap},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                preexec_fn=die_with_parent,
            ) as process,
        ):
            assert process.stdout is not None
            stuck = threading.Timer(90, process.kill)
            stuck.start()
            seen = 0
            for line in process.stdout:
                if not line.startswith(('["pass",', '["fail",')):  # The tests themselves print too.
                    continue
                kind, about = json.loads(line)
                yield kind, about["fullTitle"], about.get("err", "")
                seen += 1
                if seen == last:
                    process.kill()
            stuck.cancel()

    def titles(self, spec: str) -> list[str]:
        """The full titles of the tests of some files."""
        return [title for _, title, _ in self.run("unused", "--dry-run", f"e2e/{spec}.spec.js", last=0)]

    def jobs(self) -> Iterator[tuple[list[str], int]]:
        """(arguments of mocha, how many tests to wait for)."""
        for spec in ("consumer", "producer-transaction", "admin", "producer"):
            yield [f"e2e/{spec}.spec.js"], len(self.titles(spec))
        # While a consumer's loop of polls runs in a thread, its disconnect may never call back, with Apache Kafka as
        # with pybroker: each of these tests gets a process of its own, which is ended when the test has passed.
        for title in self.titles("both"):
            if title not in NODE_RDKAFKA_LEFT_OUT:
                pattern = re.sub(r"([^\w ])", r"\\\1", title)
                yield ["e2e/both.spec.js", "--grep", f"^{pattern}$"], 1


def test_node_rdkafka_end_to_end_tests(
    pytestconfig: pytest.Config, tmp_path: Path, start_broker: Callable[..., Server]
) -> None:
    facilities.require("node-rdkafka-tests")
    suite = NodeTests(tmp_path)
    titles = set(suite.titles("*"))
    assert set(NODE_RDKAFKA_LEFT_OUT) <= titles
    assert len(titles) >= 54
    jobs = list(suite.jobs())
    # All use the same topics, so what runs at the same time has a broker of its own.
    lanes: queue.SimpleQueue[Server] = queue.SimpleQueue()
    for _ in range(1 if pytestconfig.getoption("--against") else 5):
        server = start_broker(**{"group.initial.rebalance.delay.ms": "0"})
        admin = AdminClient({"bootstrap.servers": server.bootstrap})
        for made in admin.create_topics([NewTopic("test", 1, 1), NewTopic("test2", 1, 1)]).values():
            made.result(30)
        lanes.put(server)

    def run(job: tuple[list[str], int]) -> list[tuple[str, str, str]]:
        server = lanes.get()
        try:
            return list(suite.run(server.bootstrap, *job[0], last=job[1]))
        finally:
            lanes.put(server)

    def complete(job: tuple[list[str], int]) -> list[tuple[str, str, str]]:
        """The results of a job; again from the start when the process ended before it told of all its tests."""
        for _ in range(3):
            results = run(job)
            if len(results) == job[1]:
                break
        return results

    def failures(results: list[tuple[str, str, str]]) -> list[tuple[str, str, str]]:
        return [
            result for result in results if result[0] == "fail" and result[1] not in NODE_RDKAFKA_LEFT_OUT
        ]

    with ThreadPoolExecutor(lanes.qsize()) as pool:
        runs = list(zip(jobs, pool.map(complete, jobs), strict=True))
    # The tests wait for fixed times, too short for some of them on a busy machine: once more, one after the other.
    results = [result for job, found in runs for result in (complete(job) if failures(found) else found)]
    assert failures(results) == []
    passed = {title for kind, title, _ in results if kind == "pass"}
    assert passed - NODE_RDKAFKA_LEFT_OUT.keys() == titles - NODE_RDKAFKA_LEFT_OUT.keys()
