"""Apache Kafka's DumpLogSegments and MetadataShell on our metadata snapshots, and on a log that was trimmed."""

from __future__ import annotations

import re

import pytest

from pybroker.common.clock import ManualClock
from pybroker.controller.replay import snapshot_image
from pybroker.raft.snapshot import SnapshotId, decode_snapshot
from pybroker.runtime.disk import DiskFileSystem
from pybroker.wire.schemas.metadata_records import AccessControlEntryRecord
from tests.sim.metadata import Node, Promises
from tests.sim.world import NOW
from tests.unit.controller.harness import CLUSTER

pytestmark = [pytest.mark.interop, pytest.mark.slow]


def test_snapshots_and_a_trimmed_log(kafka, tmp_path):
    node = Node(DiskFileSystem(), ManualClock(NOW), 2, Promises(), data=str(tmp_path))
    node.start()
    rule = AccessControlEntryRecord(
        id=bytes(15) + b"\5",
        resource_type=2,
        resource_name="t",
        pattern_type=3,
        principal="User:ann",
        host="*",
        operation=3,
        permission_type=3,
    )
    node.controller._commit([rule])
    for number in range(60):
        # Twelve names, and one of them that goes and comes.
        node.step(("create", number, 2, number))
        node.step(("config", number, 0, number))
        if number % 8 == 7:
            node.step(("delete", 5, 0, 0))
        node.step(("tick", 3, 0, 0))
        node.settle()
    node.stop()
    directory = tmp_path / "__cluster_metadata-0"
    snapshots = sorted(directory.glob("*.checkpoint"))
    assert len(snapshots) == 2
    for snapshot in snapshots:
        out = dump(kafka, snapshot)
        assert out.count('"type":"REGISTER_BROKER_RECORD"') == 1
        assert '"principal":"User:ann"' in out
        assert "SnapshotHeader" in out
        assert "SnapshotFooter" in out
    assert set(re.findall(r'"type":"TOPIC_RECORD".*?"name":"(\S+?)"', out)) <= {
        f"topic-{number:02d}" for number in range(12)
    }
    logs = sorted(directory.glob("*.log"))
    first = int(logs[0].name[:20])
    assert 0 < first <= int(snapshots[0].name[:20])
    for log in logs:
        dump(kafka, log)

    # Kafka's shell builds its own image of the newest snapshot. It may run its command before another thread of its
    # own has published the image: nothing is listed then, as in an empty one.
    for _ in range(5):
        shell = kafka.run_apart(
            "org.apache.kafka.shell.MetadataShell",
            "--snapshot",
            str(snapshots[-1]),
            "ls",
            "/image/topics/byName",
        )
        if shell.out.strip():
            break
    content = load_snapshot(str(snapshots[-1]))
    assert shell.status == 0, shell
    assert set(shell.out.split()) == set(content.topics)
    assert len(content.topics) > 10


def load_snapshot(path):
    """The image that a snapshot file holds, by itself."""
    with open(path, "rb") as file:
        content = decode_snapshot(file.read())
    end_offset, epoch = re.search(r"(\d{20})-(\d{10})", path).groups()
    return snapshot_image(CLUSTER, SnapshotId(int(end_offset), int(epoch)), content)


def dump(kafka, path):
    result = kafka.run("DumpLogSegments", "--cluster-metadata-decoder", "--files", str(path))
    assert result.status == 0, result
    assert "isvalid: false" not in result.out
    assert "Exception" not in result.out + result.err
    return result.out
