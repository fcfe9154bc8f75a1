"""Clusters for the tests of this folder."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.harness import Cluster

# They take minutes: `make cluster`.
LONG = [
    "test_nemeses.py",
    "test_layouts.py",
    "test_java_tools.py",
    "test_checker.py",
    "test_librdkafka.py",
    "test_groups.py",
    "test_exactly_once.py",
]
collect_ignore = [] if os.environ.get("PYBROKER_NEMESES", "") not in ("", "0") else LONG


@pytest.fixture
def start_cluster(tmp_path: Path) -> Iterator[Callable[..., Cluster]]:
    """A factory: `start_cluster(roles=..., properties=...)` is a running cluster of this test alone."""
    clusters: list[Cluster] = []

    def start(**arguments: Any) -> Cluster:
        cluster = Cluster(tmp_path / f"cluster{len(clusters)}", **arguments)
        clusters.append(cluster)
        cluster.start()
        return cluster

    yield start
    for cluster in clusters:
        cluster.close()
