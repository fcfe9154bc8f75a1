"""`pybroker dump-log` on files of every kind, and line by line against kafka-dump-log where it is there."""

from __future__ import annotations

import struct
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner
from crc32c import crc32c

from pybroker.cli.dump_log import command, dump_log
from pybroker.records.batch import Record, build_batch
from pybroker.records.control import build_control_batch, build_end_transaction
from pybroker.wire.schemas import metadata_records as metadata
from tests import facilities
from tests.unit.records.record_builders import NOW, raw_batch, raw_record

SEGMENT = "00000000000000000000.log"
ID = bytes(range(16))


def run(*arguments: object):
    return CliRunner().invoke(dump_log, [str(argument) for argument in arguments])


def write(directory: Path, name: str, content: bytes) -> Path:
    directory.mkdir(exist_ok=True)
    path = directory / name
    path.write_bytes(content)
    return path


def data_segment() -> bytes:
    headers = ((b"h1", b"x"), (b"h2", None))
    return b"".join(
        [
            build_batch(
                [
                    Record(0, NOW, b"k", b"v"),
                    Record(0, NOW + 1, None, b"w\xff", headers),
                    Record(0, NOW + 2, b"kk"),
                ]
            ),
            build_batch(
                [Record(0, NOW + 3, b"k", b"v"), Record(0, NOW + 3, b"k", b"v")],
                base_offset=3,
                codec=4,
                producer_id=7,
                producer_epoch=1,
                base_sequence=2**31 - 1,
                transactional=True,
                leader_epoch=2,
            ),
            build_end_transaction(
                7, 1, commit=True, timestamp=NOW + 4, base_offset=5, leader_epoch=2, coordinator_epoch=3
            ),
            build_end_transaction(7, 1, commit=False, timestamp=NOW + 4, base_offset=6),
            build_batch(
                [Record(8, NOW + 5, b"a"), Record(11, NOW + 6, b"b", b"")],
                base_offset=7,
                keep_offsets=True,
                last_offset_delta=5,
                delete_horizon_ms=NOW + 99,
                codec=1,
            ),
            build_batch(
                [Record(0, NOW + 5, b"a")], base_offset=13, timestamp_type=1, max_timestamp=NOW + 7, codec=2
            ),
            build_batch([], base_offset=14, last_offset_delta=3, codec=3),
        ]
    )


def metadata_segment() -> bytes:
    def batch(base_offset: int, *records: metadata.Message) -> bytes:
        values = [Record(0, NOW, None, metadata.encode_record(record)) for record in records]
        return build_batch(values, base_offset=base_offset, leader_epoch=1)

    voter = metadata.LeaderChangeVoter(voter_id=1)
    leader = metadata.LeaderChangeMessage(leader_id=1, voters=[voter], granting_voters=[voter])
    endpoint = metadata.BrokerEndpoint(name="PLAINTEXT", host="host", port=9092)
    return b"".join(
        [
            build_control_batch(
                [
                    (2, metadata.encode_control(leader)),
                    (3, metadata.encode_control(metadata.SnapshotHeaderRecord())),
                    (4, metadata.encode_control(metadata.SnapshotFooterRecord())),
                    (5, metadata.encode_control(metadata.KRaftVersionRecord(k_raft_version=1))),
                    (6, metadata.encode_control(metadata.VotersRecord())),
                ],
                timestamp=NOW,
                leader_epoch=1,
            ),
            batch(
                5,
                metadata.BeginTransactionRecord(name="Bootstrap records"),
                metadata.FeatureLevelRecord(name="metadata.version", feature_level=30),
                metadata.ConfigRecord(resource_type=4, resource_name="", name="a", value=None),
                metadata.EndTransactionRecord(),
                metadata.NoOpRecord(),
            ),
            batch(
                10,
                metadata.RegisterBrokerRecord(
                    broker_id=1, incarnation_id=ID, broker_epoch=10, end_points=[endpoint], log_dirs=[ID]
                ),
                metadata.BrokerRegistrationChangeRecord(broker_id=1, broker_epoch=10, fenced=-1),
                metadata.TopicRecord(name="ä", topic_id=ID),
                metadata.PartitionRecord(topic_id=ID, replicas=[1], isr=[1], leader=1, directories=[ID]),
                metadata.RemoveTopicRecord(topic_id=ID),
            ),
        ]
    )


def producer_snapshot(*entries: tuple[int, ...]) -> bytes:
    body = struct.pack(">i", len(entries)) + b"".join(struct.pack(">qhiqiqiq", *entry) for entry in entries)
    return struct.pack(">hI", 1, crc32c(body)) + body


PRODUCERS = producer_snapshot(
    (7, 1, 10, 3, 0, NOW + 3, 3, -1), (8, 1, 12, 9, 2, NOW + 3, -1, 7), (9, 0, 1, 20, 2, NOW, -1, -1)
)


class TestSegment:
    def test_batches(self, tmp_path):
        result = run(write(tmp_path / "t-0", SEGMENT, data_segment()))
        assert result.exit_code == 0
        lines = result.stdout.splitlines()
        assert lines[0].startswith("Dumping ")
        assert lines[1] == "Log starting offset: 0"
        assert len(lines) == 2 + 7
        assert lines[3].startswith(
            "baseOffset: 3 lastOffset: 4 count: 2 baseSequence: 2147483647 lastSequence: 0 producerId: 7 "
            "producerEpoch: 1 partitionLeaderEpoch: 2 isTransactional: true isControl: false "
            f"deleteHorizonMs: OptionalLong.empty position: 97 CreateTime: {NOW + 3} size: "
        )
        assert all(line.endswith("isvalid: true") for line in lines[2:])

    def test_records(self, tmp_path):
        result = run("--print-data-log", write(tmp_path / "t-0", SEGMENT, data_segment()))
        assert result.exit_code == 0
        records = [line for line in result.stdout.splitlines() if line.startswith("|")]
        assert records[0] == (
            f"| offset: 0 CreateTime: {NOW} keySize: 1 valueSize: 1 sequence: -1 headerKeys: [] "
            "key: k payload: v"
        )
        assert records[1] == (
            f"| offset: 1 CreateTime: {NOW + 1} keySize: -1 valueSize: 2 sequence: -1 headerKeys: [h1,h2] "
            "payload: w�"
        )
        assert records[4].endswith("sequence: 0 headerKeys: [] key: k payload: v")
        assert records[5].endswith("endTxnMarker: COMMIT coordinatorEpoch: 3")
        assert records[6].endswith("endTxnMarker: ABORT coordinatorEpoch: 0")
        assert "Non-consecutive offsets" in result.stderr
        assert "  8 is followed by 11" in result.stderr

    def test_options(self, tmp_path):
        path = write(tmp_path / "t-0", SEGMENT, build_batch([Record(0, NOW, b"k", b"v")]))
        assert "headerKeys: []\n" in run("--deep-iteration", path).stdout
        assert "\n| key: k payload: v\n" in run("--print-data-log", "--skip-record-metadata", path).stdout
        assert "|" not in run(path).stdout

    def test_terminal_controls_are_shown_not_sent(self, tmp_path):
        path = write(
            tmp_path / "t-0", SEGMENT, build_batch([Record(0, NOW, b"\x1b[2J", b"a\tb\x9b\xc2\x9b")])
        )
        result = run("--print-data-log", path)
        assert "key: \\x1b[2J payload: a\tb�\\x9b" in result.stdout

    def test_empty_file(self, tmp_path):
        result = run(write(tmp_path / "t-0", SEGMENT, b""))
        assert (result.exit_code, len(result.stdout.splitlines())) == (0, 2)

    @pytest.mark.parametrize("rest", [bytes(500), build_batch([Record(value=bytes(50))])[:-1], b"abc"])
    def test_torn_end_is_no_error(self, tmp_path, rest):
        path = write(tmp_path / "t-0", SEGMENT, build_batch([Record()]) + rest)
        result = run(path)
        assert result.exit_code == 0
        assert f"Found {len(rest)} invalid bytes at the end of {SEGMENT}" in result.stdout

    def test_wrong_checksum(self, tmp_path):
        data = raw_batch(raw_record(), bad_crc=True) + build_batch([Record()], base_offset=1)
        result = run(write(tmp_path / "t-0", SEGMENT, bytes(data)))
        assert result.exit_code == 1
        assert [line.split()[-1] for line in result.stdout.splitlines()[2:]] == ["false", "true"]

    def test_damaged_records(self, tmp_path):
        data = raw_batch(raw_record(length=99)) + build_batch([Record()], base_offset=1)
        result = run("--deep-iteration", write(tmp_path / "t-0", SEGMENT, bytes(data)))
        assert result.exit_code == 1
        assert "batch at position 0: record of 99 bytes is beyond the batch" in result.stderr
        assert "| offset: 1 " in result.stdout

    @pytest.mark.parametrize("damage", [raw_batch(raw_record(), magic=1), raw_batch(raw_record(), length=-9)])
    def test_damaged_header(self, tmp_path, damage):
        result = run(write(tmp_path / "t-0", SEGMENT, build_batch([Record()]) + damage))
        assert result.exit_code == 1
        assert f"position {len(build_batch([Record()]))}: batch has" in result.stderr

    def test_deleted_segment(self, tmp_path):
        assert run(write(tmp_path / "t-0", SEGMENT + ".deleted", data_segment())).exit_code == 0


class TestContent:
    def test_metadata(self, tmp_path):
        path = write(tmp_path / "__cluster_metadata-0", SEGMENT, metadata_segment())
        result = run("--print-data-log", path)
        assert result.exit_code == 0, result.stderr
        voters = '[{"voterId":1}]'
        leader = f'{{"version":0,"leaderId":1,"voters":{voters},"grantingVoters":{voters}}}'
        assert f"LeaderChange: {leader}\n" in result.stdout
        assert 'KRaftVersion {"version":0,"kRaftVersion":1}' in result.stdout
        assert '{"type":"NO_OP_RECORD","version":0,"data":{}}' in result.stdout
        topic = '{"name":"ä","topicId":"AAECAwQFBgcICQoLDA0ODw"}'
        assert f'payload: {{"type":"TOPIC_RECORD","version":0,"data":{topic}}}' in result.stdout
        apart = write(tmp_path / "elsewhere", SEGMENT, metadata_segment())
        forced = run("--decoder", "metadata", apart)
        assert forced.stdout.splitlines()[1:] == result.stdout.splitlines()[1:]
        assert "TOPIC_RECORD" not in run("--print-data-log", apart).stdout

    def test_metadata_that_nobody_knows(self, tmp_path):
        records = [Record(0, NOW, None, value) for value in (b"", b"\x01\x7e\x00", b"\x02\x0c\x00", None)]
        path = write(tmp_path / "__cluster_metadata-0", SEGMENT, build_batch(records))
        result = run("--print-data-log", path)
        assert result.exit_code == 0
        assert result.stdout.count("Could not decode") == 3

    def test_snapshot_of_the_metadata(self, tmp_path):
        name = "00000000000000000015-0000000001.checkpoint"
        result = run("--print-data-log", write(tmp_path, name, metadata_segment()))
        assert result.exit_code == 0
        assert "Log starting offset: 15" in result.stdout
        assert "REGISTER_BROKER_RECORD" in result.stdout

    def test_control_records(self, tmp_path):
        batch = build_control_batch([(99, b"")], timestamp=NOW)
        path = write(tmp_path / "t-0", SEGMENT, batch)
        assert "controlType: UNKNOWN(99)" in run("--deep-iteration", path).stdout
        for number, value in ((0, b"123"), (2, b"\0")):
            path = write(tmp_path / "t-0", SEGMENT, build_control_batch([(number, value)], timestamp=NOW))
            assert run("--deep-iteration", path).exit_code == 1

    def test_coordinators(self, tmp_path):
        def text(value: str) -> bytes:
            return struct.pack(">h", len(value)) + value.encode()

        commit = b"\0\1" + text("group") + text("topic") + b"\0\0\0\3"
        records = [
            Record(0, NOW, commit, b"\0\3\xab"),
            Record(0, NOW, b"\0\2" + text("group"), None),
            Record(0, NOW, b"\0\x55\xff", b"\0"),
            Record(0, NOW, b"\0\1\0\x20", b""),
        ]
        path = write(tmp_path / "__consumer_offsets-7", SEGMENT, build_batch(records))
        result = run("--print-data-log", path)
        assert result.exit_code == 0
        for expected in (
            'key: {"type":"1","data":{"group":"group","topic":"topic","partition":3}} '
            'payload: {"version":"3","data":"ab"}',
            'key: {"type":"2","data":{"group":"group"}} payload: <DELETE>',
            'key: {"type":"85","data":"ff"} payload: 00',
            'key: {"type":"1","data":"0020"} payload: \n',
        ):
            assert expected in result.stdout
        path = write(
            tmp_path / "__transaction_state-7", SEGMENT, build_batch([Record(0, NOW, b"\0\0" + text("tx"))])
        )
        assert (
            'key: {"type":"0","data":{"transactionalId":"tx"}} payload: <DELETE>'
            in run("--print-data-log", path).stdout
        )


class TestOtherFiles:
    @pytest.mark.parametrize("padding", [0, 80])
    def test_offset_index(self, tmp_path, padding):
        content = struct.pack(">iiii", 3, 94, 4, 180) + bytes(padding)
        result = run(write(tmp_path, "00000000000000000100.index", content))
        assert result.exit_code == 0
        assert result.stdout.splitlines()[1:] == ["offset: 103 position: 94", "offset: 104 position: 180"]

    @pytest.mark.parametrize("padding", [0, 120])
    def test_time_index(self, tmp_path, padding):
        content = struct.pack(">qiqi", NOW, 0, NOW + 1, 9) + bytes(padding)
        result = run(write(tmp_path, "00000000000000000100.timeindex", content))
        assert result.exit_code == 0
        assert result.stdout.splitlines()[1:] == [
            f"timestamp: {NOW} offset: 100",
            f"timestamp: {NOW + 1} offset: 109",
        ]

    @pytest.mark.parametrize("suffix", ["index", "timeindex", "txnindex"])
    def test_empty(self, tmp_path, suffix):
        for content in (b"", b"" if suffix == "txnindex" else bytes(240)):
            result = run(write(tmp_path, f"00000000000000000000.{suffix}", content))
            assert (result.exit_code, len(result.stdout.splitlines())) == (0, 1)

    def test_transaction_index(self, tmp_path):
        content = struct.pack(">hqqqq", 0, 7, 3, 4, 5)
        result = run(write(tmp_path, "00000000000000000000.txnindex", content))
        assert result.stdout.splitlines()[1:] == [
            "version: 0 producerId: 7 firstOffset: 3 lastOffset: 4 lastStableOffset: 5"
        ]

    def test_producer_snapshot(self, tmp_path):
        result = run(write(tmp_path, "00000000000000000011.snapshot", PRODUCERS))
        assert result.exit_code == 0
        assert result.stdout.splitlines()[1:3] == [
            "producerId: 7 producerEpoch: 1 coordinatorEpoch: 3 currentTxnFirstOffset: OptionalLong.empty "
            f"lastTimestamp: {NOW + 3} firstSequence: 10 lastSequence: 10 lastOffset: 3 offsetDelta: 0 "
            f"timestamp: {NOW + 3}",
            "producerId: 8 producerEpoch: 1 coordinatorEpoch: -1 currentTxnFirstOffset: OptionalLong[7] "
            f"lastTimestamp: {NOW + 3} firstSequence: 10 lastSequence: 12 lastOffset: 9 offsetDelta: 2 "
            f"timestamp: {NOW + 3}",
        ]

    @pytest.mark.parametrize(
        ("name", "content", "complaint"),
        [
            ("00.index", struct.pack(">iiii", 3, 94, 3, 95), "does not follow"),
            ("00.index", struct.pack(">ii", 3, 94) + b"\0", "no multiple of 8"),
            ("00.timeindex", struct.pack(">qiqi", 3, 94, 2, 95), "does not follow"),
            ("00.txnindex", struct.pack(">hqqqq", 1, 7, 3, 4, 5), "has version 1"),
            ("00.snapshot", b"\0\1", "too few"),
            ("00.snapshot", PRODUCERS[:-1], "checksum"),
            ("00.snapshot", b"\0\7" + PRODUCERS[2:], "version 7"),
            (
                "00.snapshot",
                producer_snapshot()[:2] + struct.pack(">Ii", crc32c(b"\0\0\0\1"), 1),
                "do not fit",
            ),
            ("name.log", b"", "does not start with an offset"),
            ("leader-epoch-checkpoint", b"", "not a .log"),
        ],
    )
    def test_damage(self, tmp_path, name, content, complaint):
        result = run(write(tmp_path, name, content))
        assert result.exit_code == 1
        assert complaint in result.stderr

    def test_missing_file_does_not_hide_the_others(self, tmp_path):
        path = write(tmp_path / "t-0", SEGMENT, data_segment())
        result = run(tmp_path / "missing.log", tmp_path, path)
        assert result.exit_code == 1
        assert "No such file" in result.stderr
        assert "baseOffset: 13" in result.stdout

    def test_no_files(self):
        assert run().exit_code == 2

    def test_command_name(self):
        assert command is dump_log
        assert command.name == "dump-log"


@pytest.mark.interop
def test_same_words_as_kafka(tmp_path):
    facilities.require("kafka")
    from tests.processes import java_command

    data = write(tmp_path / "t-0", SEGMENT, data_segment())
    index = write(tmp_path / "t-0", "00000000000000000000.index", struct.pack(">ii", 4, 97))
    times = struct.pack(">qiqi", NOW + 2, 2, NOW + 7, 13)
    time_index = write(tmp_path / "t-0", "00000000000000000000.timeindex", times)
    transactions = struct.pack(">hqqqq", 0, 7, 3, 4, 5)
    transaction_index = write(tmp_path / "t-0", "00000000000000000000.txnindex", transactions)
    snapshot = write(tmp_path, "00000000000000000011.snapshot", PRODUCERS)
    log = write(tmp_path / "__cluster_metadata-0", SEGMENT, metadata_segment())

    def kafka(*arguments: str) -> list[str]:
        result = subprocess.run(
            [*java_command(tmp_path), "org.apache.kafka.tools.DumpLogSegments", *arguments],
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert result.returncode == 0, result.stderr
        return result.stdout.splitlines()

    files = [data, snapshot, index, time_index, transaction_index]
    ours = run("--print-data-log", *files).stdout.splitlines()
    assert ours == kafka("--print-data-log", "--files", ",".join(map(str, files)))
    ours = run("--print-data-log", log).stdout.splitlines()
    assert ours == kafka("--cluster-metadata-decoder", "--files", str(log))
