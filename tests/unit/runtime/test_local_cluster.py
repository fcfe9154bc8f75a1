"""`pybroker cluster` without its processes: ports, formatting, what is kept for the next time."""

from __future__ import annotations

import json

import pytest

from pybroker.common.config import BrokerConfig, parse_properties
from pybroker.common.errors import ConfigError
from pybroker.runtime.local_cluster import ClusterOptions, LocalCluster


def prepare(directory, brokers=3, **options):
    lines: list[str] = []
    cluster = LocalCluster(ClusterOptions(brokers, directory, **options), lines.append)
    cluster.prepare()
    return cluster


def config(directory, node):
    text = (directory / f"node-{node}" / "server.properties").read_text()
    return BrokerConfig.from_properties(parse_properties(text))


def test_the_first_three_are_the_controllers(tmp_path):
    cluster = prepare(tmp_path, 4)
    assert cluster.bootstrap == "127.0.0.1:9092,127.0.0.1:9093,127.0.0.1:9094,127.0.0.1:9095"
    assert config(tmp_path, 3)["process.roles"] == ["broker", "controller"]
    assert config(tmp_path, 4)["process.roles"] == ["broker"]
    servers = [("127.0.0.1", port) for port in (10092, 10093, 10094)]
    assert config(tmp_path, 4).quorum_bootstrap_servers() == servers
    assert config(tmp_path, 1)["min.insync.replicas"] == 2
    for node in range(1, 5):
        meta = (tmp_path / f"node-{node}" / "data" / "meta.properties").read_text()
        assert f"cluster.id={cluster.cluster_id}\n" in meta
        snapshots = list((tmp_path / f"node-{node}").rglob("*-*.checkpoint"))
        assert len(snapshots) == (1 if node <= 3 else 0)


def test_the_same_cluster_the_next_time_and_more_brokers(tmp_path):
    first = prepare(tmp_path, 3, base_port=0)
    again = prepare(tmp_path, 4)
    assert again.cluster_id == first.cluster_id
    assert again.bootstrap.startswith(first.bootstrap + ",")
    # Voters stay what they were.
    assert config(tmp_path, 4)["process.roles"] == ["broker"]
    assert len(json.loads((tmp_path / "cluster.json").read_text())["voters"]) == 3


def test_what_does_not_fit(tmp_path):
    prepare(tmp_path, 3, base_port=20_000)
    with pytest.raises(ConfigError, match="has 3 voters and cannot run with 2"):
        prepare(tmp_path, 2)
    with pytest.raises(ConfigError, match="has its ports from 20000 on, not 30000"):
        prepare(tmp_path, 3, base_port=30_000)
    with pytest.raises(ConfigError, match="ports up to 65538 are needed"):
        prepare(tmp_path / "other", 3, base_port=64_535)


def test_one_broker_is_a_cluster_too(tmp_path):
    prepare(tmp_path, 1, properties={"num.partitions": "7"})
    loaded = config(tmp_path, 1)
    assert loaded.is_alone
    assert (loaded["num.partitions"], loaded["default.replication.factor"]) == (7, 1)
