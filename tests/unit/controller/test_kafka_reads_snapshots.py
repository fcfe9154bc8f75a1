"""Apache Kafka's DumpLogSegments on our metadata snapshots and on a metadata log that was trimmed."""

from __future__ import annotations

import re

import pytest

from pybroker.runtime.disk import DiskFileSystem
from pybroker.wire.schemas.metadata_records import AccessControlEntryRecord
from tests.unit.controller.test_crash import Load, Metadata

pytestmark = [pytest.mark.interop, pytest.mark.slow]


def test_snapshots_and_a_trimmed_log(kafka, tmp_path):
    metadata = Metadata(DiskFileSystem(), seed=2, directory=str(tmp_path))
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
    metadata.controller._commit([rule])
    load = Load()
    load.run(metadata)
    metadata.logs.close(clean=True)
    directory = tmp_path / "__cluster_metadata-0"
    snapshots = sorted(directory.glob("*.checkpoint"))
    assert len(snapshots) == 2
    for snapshot in snapshots:
        out = dump(kafka, snapshot)
        assert out.count('"type":"REGISTER_BROKER_RECORD"') == 1
        assert '"principal":"User:ann"' in out
        assert "SnapshotHeader" in out
        assert "SnapshotFooter" in out
    assert set(re.findall(r'"type":"TOPIC_RECORD".*?"name":"(\S+?)"', out)) <= set(load.present) | load.gone
    logs = sorted(directory.glob("*.log"))
    first = int(logs[0].name[:20])
    assert 0 < first <= int(snapshots[0].name[:20])
    for log in logs:
        dump(kafka, log)


def dump(kafka, path):
    result = kafka.run("DumpLogSegments", "--cluster-metadata-decoder", "--files", str(path))
    assert result.status == 0, result
    assert "isvalid: false" not in result.out
    assert "Exception" not in result.out + result.err
    return result.out
