"""librdkafka's own test programs, unchanged, on three nodes with three replicas of everything: all of them that need a
broker and neither its mock cluster nor authorization. Two need three brokers (0008, 0101), 0081 and 0098 take as many
replicas as there are.

Minutes, so only with PYBROKER_NEMESES=1 (`make cluster`).
"""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import facilities
from tests.clients.librdkafka import Programs
from tests.clients.test_upstream_suites import LIBRDKAFKA_PROGRAMS
from tests.cluster.harness import Cluster
from tests.processes import java_command
from tools import interop

pytestmark = [pytest.mark.interop, pytest.mark.slow, pytest.mark.timeout(400)]

PROGRAMS = """
    0001 0002 0003 0005 0007 0008 0011 0012 0013 0014 0015 0016 0017 0018 0019 0020 0021 0022 0026 0029 0030 0031 0033
    0034 0035 0036 0038 0039 0040 0041 0042 0044 0045 0048 0049 0050 0051 0052 0053 0054 0055 0056 0057 0059 0060 0061
    0063 0064 0065 0067 0068 0069 0070 0073 0075 0076 0077 0082 0083 0084 0085 0086 0088 0089 0090 0091 0093 0094 0098
    0099 0101 0102 0103 0110 0112 0113 0114 0118 0122 0123 0125 0127 0129 0130 0132 0137 0140
"""
# In its quick mode it does nothing.
IN_FULL = {"0082"}
# For brokers that make no topics by themselves.
NO_AUTO_CREATE = ["0045", "0107", "0111"]
SUBTESTS_OF_0081 = [subtest for number, subtest, _ in LIBRDKAFKA_PROGRAMS if number == "0081"]
LEFT_OUT = {
    "those for its mock cluster": "no broker takes part: 0009, 0104 to 0106, 0117, 0120, 0121, 0138, 0139, 0143 to 0151 and others",
    "0028, 0047, 0055, 0079": "known issues of the library; of 0055 the part with a broker passes",
    "0081": "ACLs and SCRAM credentials; the parts above run",
    "0092": "for message formats that Kafka 4 does not have",
    "0097, 0126, 0135, 0142": "TLS and SASL",
    "0109, 0115, 0119": "ACLs",
    "0170 to 0190": "share groups",
}
CASES = [
    *((number, None, "default") for number in PROGRAMS.split()),
    *((number, None, "noautocreate") for number in NO_AUTO_CREATE),
    *(("0081", subtest, "default") for subtest in SUBTESTS_OF_0081),
]


def programs(directory: Path, cluster: Cluster) -> Programs:
    """In a working directory that looks to the runner like its own, with Kafka's tools that some programs call."""
    source = interop.librdkafka_directory()
    place = directory / "tests"
    (place / "java").mkdir(parents=True)
    (directory / "src").symlink_to(source / "src")
    (place / "Makefile").write_text("java: ;\n")
    kafka = directory / "kafka"
    (kafka / "bin").mkdir(parents=True)
    java = [str(path) for path in sorted((source / "tests" / "java").glob("*.java"))]
    classes = ["javac", "-nowarn", "-cp", f"{interop.kafka_lib()}/*", "-d", str(place / "java")]
    subprocess.run([*classes, *java], check=True, capture_output=True)
    options = ("-XX:TieredStopAtLevel=1", "-Xshare:auto")
    command = java_command(directory, *options, extra_class_path=place / "java")
    for script, tool in (
        (kafka / "bin" / "kafka-topics.sh", "org.apache.kafka.tools.TopicCommand"),
        (place / "java" / "run-class.sh", ""),
    ):
        script.write_text(f'#!/bin/sh\nexec {shlex.join(command)} {tool} "$@"\n')
        script.chmod(0o755)
    return Programs(place, cluster.bootstrap, {"KAFKA_PATH": str(kafka), "BROKERS": cluster.bootstrap})


@pytest.fixture(scope="module")
def suites(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, tuple[Programs, Cluster]]]:
    facilities.require("librdkafka", "kafka")
    found: dict[str, tuple[Programs, Cluster]] = {}
    properties = {
        "num.partitions": "4",
        "broker.rack": "RACK{node}",
        "replica.selector.class": "org.apache.kafka.common.replica.RackAwareReplicaSelector",
        "group.initial.rebalance.delay.ms": "300",
        "group.min.session.timeout.ms": "1000",
        # A follower that the machine's other load keeps waiting is not dead.
        "replica.lag.time.max.ms": "30000",
        "broker.session.timeout.ms": "9000",
    }
    for scenario in ("default", "noautocreate"):
        directory = tmp_path_factory.mktemp(scenario)
        create = "true" if scenario == "default" else "false"
        cluster = Cluster(
            directory / "cluster", properties={**properties, "auto.create.topics.enable": create}
        )
        try:
            cluster.start()
            cluster.await_leader()
            found[scenario] = programs(directory, cluster), cluster
        except BaseException:
            cluster.close()
            raise
    yield found
    for _, cluster in found.values():
        cluster.close()


@pytest.mark.parametrize(
    ("number", "subtest", "scenario"),
    [
        pytest.param(*case, id="-".join(filter(None, (case[0], case[1], case[2][:2]))).replace(":", ""))
        for case in CASES
    ],
)
def test_program(
    suites: dict[str, tuple[Programs, Cluster]], number: str, subtest: str | None, scenario: str
) -> None:
    suite, cluster = suites[scenario]
    try:
        suite.run(number, subtest, "-s", scenario, quick=number not in IN_FULL, timeout_s=360)
    except AssertionError as error:
        raise AssertionError(f"{error}\n{cluster.logs()}") from None
