"""Clusters for the tests of this folder."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.harness import Cluster


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
