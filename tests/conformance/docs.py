"""Writes the generated parts of docs/conformance.md, each between its two marks: the score of the differential
test, and the lists of other projects' tests, which are those that `tests/clients/test_upstream_suites.py` runs.
"""

from __future__ import annotations

import datetime
from pathlib import Path

from pybroker.wire.api_keys import API_TABLE
from tests.clients import test_upstream_suites as suites
from tests.clients.test_groups import FRANZ_GO_TESTS
from tests.cluster import test_librdkafka as cluster_suite
from tests.conformance import scenes
from tests.conformance.generator import VERSIONS
from tests.conformance.known import KNOWN
from tests.conformance.run import Difference, Report

PAGE = Path(__file__).resolve().parents[2] / "docs" / "conformance.md"
SCORE = "<!-- score begins -->", "<!-- score ends -->"
LEFT_OUT = "<!-- left out begins -->", "<!-- left out ends -->"
# Those of `tests.conformance.quorum`, which brokers serve too.
QUORUM_KEYS = (55, 57, 60, 64, 80, 81)
# That of `tests.conformance.log_dirs`.
DIRECTORY_KEYS = (34,)
SUITES = "<!-- suites begin -->", "<!-- suites end -->"


def write(report: Report, seed: int) -> None:
    today = datetime.datetime.now(tz=datetime.UTC).date().isoformat()
    lines = [
        f"{sum(report.requests.values())} generated requests, seed {seed}, {len(report.versions)} of the keys' versions, {today}, "
        "Apache Kafka 4.3.0.",
        "",
        report.table(),
        "",
    ]
    counts: dict[str, int] = {}
    for difference in report.found:
        counts.setdefault(reason(difference), 0)
        counts[reason(difference)] += 1
    if counts:
        lines += ["Differences:", "", "| count | reason |", "|---|---|"]
        lines += [
            f"| {count} | {text} |" for text, count in sorted(counts.items(), key=lambda item: -item[1])
        ]
    else:
        lines.append("No difference.")
    replace(SCORE, lines)
    write_lists()


def write_lists() -> None:
    replace(LEFT_OUT, left_out_lines())
    replace(SUITES, suite_lines())


def replace(marks: tuple[str, str], lines: list[str]) -> None:
    before, _, rest = PAGE.read_text().partition(marks[0])
    _, _, after = rest.partition(marks[1])
    PAGE.write_text("\n".join([before + marks[0], *lines, marks[1] + after]))


def left_out_lines() -> list[str]:
    """The APIs that are served and that no requests are generated for."""
    asked = {*VERSIONS, *scenes.KEYS, *QUORUM_KEYS, *DIRECTORY_KEYS}
    names = [f"{row.key} {row.name}" for row in API_TABLE if row.implemented and row.key not in asked]
    if not names:
        return []
    return [f"No requests are generated for these yet, tests of their own cover them: {', '.join(names)}."]


def suite_lines() -> list[str]:
    """What of the two libraries' suites is run, and the reason for what is not."""
    lines = [
        "The integration tests of kafka-python 3.0.12 run and pass, unchanged but for two corrections of the client",
        "(`tests/clients/kafka_python_metadata.py`, `kafka_python_joins.py`: it can lose a subscription, or a join), without these:",
        "",
        "| test | reason |",
        "|---|---|",
        *(f"| `{name}` | {reason} |" for name, reason in suites.KAFKA_PYTHON_LEFT_OUT.items()),
        "| the modules for SASL and TLS | start brokers of their own |",
        "",
        "These test programs of librdkafka run unchanged and pass:",
        "",
        "| program | part |",
        "|---|---|",
    ]
    parts: dict[str, list[str]] = {}
    for number, subtest, _ in suites.LIBRDKAFKA_PROGRAMS:
        parts.setdefault(number, []).append((subtest or "all of it").removeprefix("do_test_").strip(":"))
    lines += [f"| {number} | {', '.join(names)} |" for number, names in parts.items()]
    lines += [
        "",
        "On three nodes, with three replicas of everything, these run unchanged and pass (`make cluster`, "
        "`tests/cluster/test_librdkafka.py`; quick mode):",
        "",
        f"{', '.join(cluster_suite.PROGRAMS.split())}; without automatic creation of topics "
        f"{', '.join(cluster_suite.NO_AUTO_CREATE)}; the same parts of 0081. 0008 and 0101 (fetch from follower) need "
        "three brokers, 0081 and 0098 take as many replicas as there are. Left out:",
        "",
        "| program | reason |",
        "|---|---|",
        *(f"| {name} | {reason} |" for name, reason in cluster_suite.LEFT_OUT.items()),
        "",
        "The end-to-end tests of node-rdkafka 3.6.1 run unchanged and pass, without these:",
        "",
        "| test | reason |",
        "|---|---|",
        *(f"| {title} | {reason} |" for title, reason in suites.NODE_RDKAFKA_LEFT_OUT.items()),
        "",
        "Those of `both.spec.js` run one a process, which ends when the test has passed: the library's disconnect may "
        "hang then, with Apache Kafka too.",
        "",
        f"These tests of franz-go 1.22 pass: {', '.join(FRANZ_GO_TESTS)}.",
    ]
    return lines


def reason(difference: Difference) -> str:
    for known in KNOWN:
        if known.matches(difference):
            return known.reason
    return "not explained yet"
