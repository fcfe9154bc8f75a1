"""A short differential run: nothing may differ from Apache Kafka but what `known.py` lists.

The figures in docs/conformance.md are from longer runs of `python -m tests.conformance`.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests import facilities
from tests.conformance import log_dirs, quorum
from tests.conformance.__main__ import show
from tests.conformance.known import KNOWN
from tests.conformance.run import PROPERTIES, run, run_scenes
from tests.processes import KafkaProcess, PybrokerProcess

REQUESTS = int(os.environ.get("PYBROKER_CONFORMANCE_REQUESTS", "1500"))
# About groups and transactions.
SCENES = int(os.environ.get("PYBROKER_CONFORMANCE_SCENES", "400"))
# To the controllers.
QUORUM = int(os.environ.get("PYBROKER_CONFORMANCE_QUORUM", "150"))
# About log directories.
DIRECTORIES = int(os.environ.get("PYBROKER_CONFORMANCE_DIRECTORIES", "40"))
SEED = int(os.environ.get("PYBROKER_CONFORMANCE_SEED", "11"))


@pytest.mark.interop
@pytest.mark.slow
def test_nothing_differs_but_what_is_known(tmp_path: Path, pytestconfig: pytest.Config) -> None:
    facilities.require("kafka")
    properties = {**PROPERTIES, **quorum.PROPERTIES, **log_dirs.PROPERTIES}
    places = [tmp_path / "kafka", tmp_path / "other"]
    first, second = ({**properties, **log_dirs.two_directories(place)} for place in places)
    reference, controller = quorum.start(KafkaProcess, places[0], first)
    try:
        kind = KafkaProcess if pytestconfig.getoption("--against") else PybrokerProcess
        other, other_controller = quorum.start(kind, places[1], second)
        try:
            report = run(reference.bootstrap, other.bootstrap, REQUESTS, SEED)
            report.add(run_scenes(reference.bootstrap, other.bootstrap, SCENES, SEED))
            # One of the two directories is gone after these.
            servers = [reference, other]
            of_directories = log_dirs.run(list(zip(servers, places, strict=True)), DIRECTORIES, SEED)
            # The last of all: there are brokers then that nobody runs.
            of_quorum = quorum.run(controller, other_controller, QUORUM, SEED)
        finally:
            other.kill()
    finally:
        reference.kill()
    print(report.table())
    unexplained = [d for d in report.found if not any(known.matches(d) for known in KNOWN)]
    assert not unexplained, f"{len(unexplained)} differences\n" + "\n".join(show(d) for d in unexplained[:20])
    shown = "\n".join(map(show, of_directories.found[:10]))
    assert not shown, f"{len(of_directories.found)} differences\n{shown}"
    assert not of_quorum.found, f"{len(of_quorum.found)} differences\n{of_quorum.found[:10]}"
