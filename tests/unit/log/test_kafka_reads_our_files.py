"""Apache Kafka's DumpLogSegments on segments, indexes and snapshots that this room wrote."""

from __future__ import annotations

import random
import re

import pytest

from pybroker.common.clock import ManualClock
from pybroker.log import LogConfig
from pybroker.log.environment import LogEnvironment
from pybroker.log.partition_log import PartitionLog
from pybroker.records.batch import Record, build_batch
from pybroker.runtime.disk import DiskFileSystem
from tests.unit.log.log_helpers import NOW, TOPIC_ID

pytestmark = [pytest.mark.interop, pytest.mark.slow]


@pytest.fixture
def directory(tmp_path):
    """A log of several segments with all codecs and a producer, closed cleanly."""
    environment = LogEnvironment(DiskFileSystem(), ManualClock(NOW), random.Random(1))
    config = LogConfig(segment_bytes=8_000, index_interval_bytes=500, segment_index_bytes=4096)
    log = PartitionLog(environment, str(tmp_path / "t-0"), "t", 0, TOPIC_ID, config)
    log.create()
    for number in range(60):
        records = [
            Record(0, NOW + number * 100 + index, b"%d" % index, b"value %d " % number * 10)
            for index in range(20)
        ]
        batch = build_batch(
            records, codec=number % 5, producer_id=9, producer_epoch=0, base_sequence=number * 20
        )
        log.append_records(batch, assign_offsets=True, leader_epoch=number // 20)
    log.flush()
    log.close_clean()
    assert len(log.segments) > 2
    return tmp_path / "t-0"


def test_segments(kafka, directory):
    files = sorted(directory.glob("*.log"))
    out = kafka.run("DumpLogSegments", "--deep-iteration", "--files", ",".join(map(str, files))).out
    offsets = [int(found) for found in re.findall(r"^\| offset: (\d+)", out, re.MULTILINE)]
    assert offsets == list(range(1200))
    assert "isvalid: false" not in out
    # The tool compares the first offset of a file with -1; anything else would be ours.
    gaps = re.findall(r"^\s+(-?\d+) is followed by (\d+)", out, re.MULTILINE)
    assert all(before == "-1" for before, _ in gaps), gaps


@pytest.mark.parametrize("option", ["--verify-index-only", "--index-sanity-check"])
def test_indexes(kafka, directory, option):
    files = sorted([*directory.glob("*.index"), *directory.glob("*.timeindex")])
    result = kafka.run("DumpLogSegments", option, "--files", ",".join(map(str, files)))
    assert result.status == 0, result
    for word in ("ismatch", "orrupt", "Found", "Exception"):
        assert word not in result.out + result.err


def test_snapshots(kafka, directory):
    files = sorted(directory.glob("*.snapshot"))
    out = kafka.run("DumpLogSegments", "--files", ",".join(map(str, files))).out
    assert out.count("producerId: 9 producerEpoch: 0") == len(files)
