"""The test programs of two client libraries, run unchanged against a broker of their own.

kafka-python's integration tests come from its source package, librdkafka's from the npm package that
carries its sources (see tools/interop.py). Everything that needs ACLs or another API that is not served yet is
named here with the reason; a name that no longer exists upstream fails, so the lists cannot rot.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import xml.etree.ElementTree
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests import facilities
from tests.conftest import make_server
from tests.processes import Server, die_with_parent, free_port
from tools import interop

pytestmark = [pytest.mark.interop, pytest.mark.slow, pytest.mark.timeout(400)]

# A name stands for all its parameters.
KAFKA_PYTHON_LEFT_OUT = {
    "test_create_describe_delete_acls": "needs ACLs (and is skipped by a broker without an authorizer)",
    "test_elect_leaders": "needs ElectLeaders",
    "test_alter_replica_log_dirs": "needs AlterReplicaLogDirs",
    "test_describe_metadata_quorum": "needs DescribeQuorum",
    "test_alter_partition_reassignments": "needs AlterPartitionReassignments",
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
        # As in the configuration that kafka-python starts its own brokers with.
        "group.initial.rebalance.delay.ms": "0",
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
        # A race of the client itself, which says nothing about the broker.
        "-p",
        "tests.clients.kafka_python_metadata",
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
def run_librdkafka_test(
    four_partitions: Server, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str, str | None, bool], str]:
    facilities.require("librdkafka")
    directory = tmp_path_factory.mktemp("librdkafka")
    configuration = directory / "test.conf"
    configuration.write_text(
        f"bootstrap.servers={four_partitions.bootstrap}\ntest.timeout.multiplier=2\ntest.topic.random=true\n"
    )
    source = interop.librdkafka_directory()
    runner = source / "tests" / "test-runner"

    def run(number: str, subtest: str | None, quick: bool) -> str:
        environment = {
            **os.environ,
            "LD_LIBRARY_PATH": f"{source / 'src'}:{source / 'src-cpp'}",
            "RDKAFKA_TEST_CONF": str(configuration),
            "TEST_KAFKA_VERSION": "4.3.0",
            "TESTS": number,
        }
        if subtest:
            environment["SUBTESTS"] = subtest
        options = ["-L", "-p1", *(["-Q"] if quick else [])]
        # The tests leave files behind where they run.
        result = subprocess.run(
            [str(runner), *options],
            cwd=directory,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=300,
            preexec_fn=die_with_parent,
        )
        output = re.sub(r"\x1b\[[0-9;]*m", "", result.stdout.decode(errors="replace"))
        assert result.returncode == 0, output[-6000:]
        return output

    return run


@pytest.mark.parametrize(
    ("number", "subtest", "quick"),
    [pytest.param(*row, id="-".join(filter(None, row[:2])).strip(":")) for row in LIBRDKAFKA_PROGRAMS],
)
def test_librdkafka_test_program(
    run_librdkafka_test: Callable[[str, str | None, bool], str], number: str, subtest: str | None, quick: bool
) -> None:
    output = run_librdkafka_test(number, subtest, quick)
    assert "ALL TESTS PASSED" in output
    # A subtest that was renamed would silently not run.
    if subtest:
        assert re.search(rf"\[ {subtest}.*: PASS", output), output[-3000:]
