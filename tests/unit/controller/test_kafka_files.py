"""Files that Apache Kafka 4.3.0 wrote: they are read, and what is written here has the same bytes.

data/kafka-4.3.0-metadata.log: the log of a node after its first start and some CreateTopics, most NoOps left out;
the checkpoints: what `kafka-storage format --standalone` made for it.
"""

from __future__ import annotations

import base64
import random

import pytest

from pybroker.common.clock import ManualClock
from pybroker.common.errors import CorruptionError
from pybroker.common.memory_files import MemoryFileSystem
from pybroker.controller import bootstrap
from pybroker.controller.loader import load
from pybroker.metadata.records import write_version
from pybroker.raft.log import MemoryRaftLog
from pybroker.raft.node import Node
from pybroker.raft.snapshot import DirectorySnapshots, decode_snapshot
from pybroker.raft.voters import Voter, VoterHistory, VoterSet
from pybroker.records.batch import Record, build_batch, iter_headers, iter_records, read_header
from pybroker.wire.schemas.metadata_records import NoOpRecord, decode_record, encode_record
from tests.unit.controller.harness import CLUSTER, DATA, METADATA_DIR, Harness, topic


def with_noops(content):
    """The NoOps that were left out are put in again: a metadata log has no gaps."""
    noop = encode_record(NoOpRecord(), 0)
    out = b""
    end = 0
    for position, header in iter_headers(content):
        while end < header.base_offset:
            record = Record(0, header.max_timestamp, None, noop)
            out += build_batch([record], base_offset=end, leader_epoch=header.leader_epoch)
            end += 1
        out += content[position : position + header.size]
        end = header.next_offset
    return out


LOG = with_noops((DATA / "kafka-4.3.0-metadata.log").read_bytes())
BOOTSTRAP = (DATA / "kafka-4.3.0-bootstrap.checkpoint").read_bytes()
VOTERS = (DATA / "kafka-4.3.0-voters.checkpoint").read_bytes()
DIRECTORY = base64.urlsafe_b64decode("sgsoK_AESTCOaTYdhyAFDA==")
VOTER = Voter(1, DIRECTORY, (("CONTROLLER", "127.0.0.1", 41593),))
FEATURES = {
    "metadata.version": 30,
    "eligible.leader.replicas.version": 1,
    "group.version": 1,
    "share.version": 1,
    "streams.version": 1,
    "transaction.version": 2,
}


def data_values():
    for position, header in iter_headers(LOG):
        if not header.is_control:
            batch = memoryview(LOG)[position : position + header.size]
            yield from (record.value for record in iter_records(batch, header=header))


def test_kafkas_log_is_replayed():
    image = load(MemoryFileSystem(), MemoryRaftLog(LOG), CLUSTER).image
    assert image.features == {**FEATURES, "kraft.version": 1}
    assert image.config(4, "") == {"min.insync.replicas": "1"}
    assert image.config(2, "g1") == {"cleanup.policy": "compact", "retention.ms": "1000"}
    assert len(image.topics["g1"].partitions) == 3
    assert image.topics["g1"].partitions[0].directories == (DIRECTORY,)
    assert {"g2", "a.b", "c.d", "c_d", "__foo"} <= set(image.topics)
    broker = image.brokers[1]
    assert not broker.fenced
    assert broker.epoch == 14
    assert broker.endpoints[0].port == 41592
    assert image.controllers[1].endpoints[0].name == "CONTROLLER"


def test_every_record_has_kafkas_bytes():
    values = list(data_values())
    assert len(values) > 40
    for value in values:
        record = decode_record(value)
        assert encode_record(record, write_version(record)) == value


def test_the_first_batches_have_kafkas_bytes():
    headers = list(iter_headers(LOG))
    (_, first), (start, second) = headers[:2]
    history = VoterHistory(VoterSet())
    history.reset(0, decode_snapshot(VOTERS).control_records)
    clock, log = ManualClock(first.base_timestamp), MemoryRaftLog()
    snapshots = DirectorySnapshots(MemoryFileSystem(), "/data")
    node = Node(
        VOTER.key, CLUSTER, None, history, log=log, snapshots=snapshots, clock=clock, rng=random.Random(1)
    )
    node.stored(node.take_ready().hard_state_version)
    assert log.data == LOG[: first.size]
    clock.advance(second.base_timestamp - first.base_timestamp)
    records = bootstrap.bootstrap_records(FEATURES, "1")
    node.propose([bootstrap.encode(record) for record in records])
    assert log.data[start:] == LOG[start : start + second.size]


def timestamps(content):
    return [header.base_timestamp for _, header in iter_headers(content)]


def without_timestamps(content):
    """Header without checksum and timestamps, and the records, of each batch."""
    parts = []
    for position, header in iter_headers(content):
        parts.append(header._replace(crc=0, base_timestamp=0, max_timestamp=0))
        batch = memoryview(content)[position : position + header.size]
        parts.append([(record.key, record.value) for record in iter_records(batch, header=header)])
    return parts


def test_formatting_gives_kafkas_files():
    files = MemoryFileSystem()
    files.make_dirs(METADATA_DIR)
    bootstrap.format_directory(files, "/data", METADATA_DIR, FEATURES, [VOTER], timestamps(BOOTSTRAP)[0])
    made = files.open("/data/bootstrap.checkpoint").pread(1000, 0)
    assert len(made) == len(BOOTSTRAP) == 411
    assert without_timestamps(made) == without_timestamps(BOOTSTRAP)
    path = f"{METADATA_DIR}/00000000000000000000-0000000000.checkpoint"
    made = files.open(path).pread(1000, 0)
    assert len(made) == len(VOTERS) == 241
    # The header of the snapshot holds a time.
    first, second = without_timestamps(made), without_timestamps(VOTERS)
    assert first[1][1:] == second[1][1:]
    assert first[2:] == second[2:]
    assert [control.type for control in decode_snapshot(VOTERS).control_records] == [5, 6]


def test_a_directory_that_kafka_formatted_is_started():
    """Levels that stand for nothing here are kept on record."""
    files = MemoryFileSystem()
    files.make_dirs(METADATA_DIR)
    for path, content in (
        ("/data/bootstrap.checkpoint", BOOTSTRAP),
        (f"{METADATA_DIR}/00000000000000000000-0000000000.checkpoint", VOTERS),
    ):
        files.open(path, create=True).pwrite([content], 0)
    harness = Harness(files=files)
    assert harness.image.features == {**FEATURES, "kraft.version": 1}
    assert files.open("/data/bootstrap.checkpoint").pread(1000, 0) == BOOTSTRAP
    assert harness.create(topic("a"))[0][1] == 0


@pytest.mark.parametrize("size", [0, 61, 100])
def test_a_torn_bootstrap_file_stops_the_start(size):
    files = MemoryFileSystem()
    files.make_dirs(METADATA_DIR)
    files.open("/data/bootstrap.checkpoint", create=True).pwrite([BOOTSTRAP[:size]], 0)
    with pytest.raises(CorruptionError):
        Harness(files=files)


def test_our_log_has_valid_headers():
    harness = Harness()
    harness.create(topic("a", 3))
    content = bytes(harness.log.data)
    end = 0
    for position, header in iter_headers(content):
        assert header.base_offset == end
        assert header == read_header(content, position)
        end = header.next_offset
    assert end == harness.log.end_offset
    assert harness.clock.wall_ms() == ManualClock().wall_ms()
