"""`pybroker storage`: what it writes and says, alone and beside kafka-storage of Kafka 4.3."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from pybroker.cli.storage import storage
from pybroker.common.config import BrokerConfig
from pybroker.log.partition_log import decode_uuid
from pybroker.raft.snapshot import decode_snapshot
from pybroker.runtime.disk import DiskFileSystem
from pybroker.wire.schemas.metadata_records import decode_control, decode_record
from tests.processes import KafkaTools

CLUSTER = "Some_cluster_id_of_22c"
ONE, TWO = "JEXY6aqzQY-32P5TStzaFg", "MvDxzVmcRsaTz33bUuRU6A"
VOTERS = f"1@localhost:9093:{ONE},2@[::1]:8083:{TWO}"
SNAPSHOT = "__cluster_metadata-0/00000000000000000000-0000000000.checkpoint"
STATIC = {"controller.quorum.voters": "1@localhost:9093,2@localhost:9094"}
DYNAMIC = {"controller.quorum.bootstrap.servers": "localhost:9093"}
BROKER = {**DYNAMIC, "process.roles": "broker", "listeners": "PLAINTEXT://localhost:9092", "node.id": "5"}


class Node:
    """A properties file and its log directories."""

    def __init__(self, path: Path, properties: dict[str, str] = DYNAMIC, directories: int = 1) -> None:
        path.mkdir(parents=True, exist_ok=True)
        self.path = path
        self.directories = [path / f"data{number}" for number in range(directories)]
        self.config = path / "server.properties"
        values = {
            "process.roles": "broker,controller",
            "node.id": "1",
            "listeners": "PLAINTEXT://localhost:9092,CONTROLLER://localhost:9093",
            "controller.listener.names": "CONTROLLER",
            "log.dirs": ",".join(map(str, self.directories)),
            **properties,
        }
        self.config.write_text("".join(f"{name}={value}\n" for name, value in values.items()))

    def run(self, command: str, *arguments: str) -> Result:
        return CliRunner().invoke(storage, [command, "-c", str(self.config), *arguments])

    def format(self, *arguments: str) -> Result:
        return self.run("format", "-t", CLUSTER, *arguments)


def meta(directory: Path) -> dict[str, str]:
    lines = (directory / "meta.properties").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if not line.startswith("#"))


def records(path: Path) -> Any:
    """What a snapshot file says."""
    content = decode_snapshot(path.read_bytes())
    return (
        [decode_record(value) for value in content.values],
        [decode_control(control.type, control.value) for control in content.control_records],
    )


def test_random_uuid():
    first, second = (CliRunner().invoke(storage, ["random-uuid"]) for _ in range(2))
    assert first.exit_code == second.exit_code == 0
    assert first.output != second.output
    assert re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_-]{21}\n", first.output)
    assert decode_uuid(first.output.strip()) is not None


def test_initial_controllers(tmp_path):
    node = Node(tmp_path, directories=2)
    result = node.format("-I", VOTERS)
    assert result.exit_code == 0, result.output
    first, second = node.directories
    assert meta(first) == {"version": "1", "cluster.id": CLUSTER, "node.id": "1", "directory.id": ONE}
    assert meta(second)["directory.id"] not in (ONE, TWO)
    _, (level, voters) = records(first / SNAPSHOT)
    assert level.k_raft_version == 1
    assert [
        (v.voter_id, v.endpoints[0].name, v.endpoints[0].host, v.endpoints[0].port) for v in voters.voters
    ] == [
        (1, "CONTROLLER", "localhost", 9093),
        (2, "CONTROLLER", "::1", 8083),
    ]
    assert [v.voter_directory_id for v in voters.voters] == [decode_uuid(ONE), decode_uuid(TWO)]
    assert not (second / "__cluster_metadata-0").exists()
    assert result.output.splitlines()[1:] == [
        f"Formatting dynamic metadata voter directory {first} with metadata.version 4.3-IV0.",
        f"Formatting data directory {second} with metadata.version 4.3-IV0.",
    ]


def test_what_is_formatted_stays(tmp_path):
    node = Node(tmp_path, directories=2)
    assert node.format("-s").exit_code == 0
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    again = node.format("-s")
    assert again.exit_code == 1
    assert "is already formatted. Use --ignore-formatted" in again.output
    assert node.format("-s", "-g").output == "All of the log directories are already formatted.\n"
    other = node.run("format", "-t", "abcdefghijklmnopqrstuv", "-s", "-g")
    assert other.exit_code == 1
    assert f"Expected abcdefghijklmnopqrstuv, but read {CLUSTER}" in other.output
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before
    # A new disk beside the old one.
    (node.directories[1] / "meta.properties").unlink()
    assert node.format("-s", "-g").exit_code == 0
    assert meta(node.directories[1])["cluster.id"] == CLUSTER


@pytest.mark.parametrize(
    ("properties", "arguments", "message"),
    [
        (DYNAMIC, [], "you must specify one of the following: --standalone, --initial-controllers, or"),
        (STATIC, ["-s"], "You cannot specify controller.quorum.voters and format the node with"),
        (STATIC, ["-f", "kraft.version=1"], "Cannot set kraft.version to 1 unless"),
        (BROKER, ["-s"], "You can only use --standalone on a controller."),
        (DYNAMIC, ["-s", "-f", "kraft.version=0"], "Cannot set kraft.version to 0 if"),
        (DYNAMIC, ["-s", "-f", "kraft.version=2"], "No feature:kraft.version with feature level 2"),
        (DYNAMIC, ["-s", "-f", "foo.version=1"], "Unsupported feature: foo.version."),
        (DYNAMIC, ["-s", "-f", "group.version=9"], "No feature:group.version with feature level 9"),
        (DYNAMIC, ["-s", "-f", "group.version"], "equals sign not found."),
        (DYNAMIC, ["-s", "-f", "group.version=x"], "unable to parse x as a short."),
        (DYNAMIC, ["-s", "-f", "metadata.version=3"], "No MetadataVersion with feature level 3."),
        (DYNAMIC, ["-s", "-r", "3.9", "-f", "metadata.version=21"], "Use --release-version instead"),
        (
            DYNAMIC,
            ["-s", "-r", "3.9", "-f", "eligible.leader.replicas.version=1"],
            "depends on metadata.version",
        ),
        (DYNAMIC, ["-s", "-r", "9.9"], "Unknown metadata.version '9.9'."),
        (DYNAMIC, ["-I", ""], "No voters given."),
        (DYNAMIC, ["-I", f"1@a:1:{ONE},1@b:1:{TWO}"], "Node id 1 was specified more than once."),
        (DYNAMIC, ["-I", "x"], "No @ found in dynamic voter string."),
        (DYNAMIC, ["-I", "@a"], "Invalid @ at beginning"),
        (DYNAMIC, [f"-I=-1@h:1:{ONE}"], "Failed to parse node id"),
        (DYNAMIC, ["-I", f"x@h:1:{ONE}"], "Failed to parse node id"),
        (DYNAMIC, ["-I", "1@"], "No hostname found after node id."),
        (DYNAMIC, ["-I", "1@h"], "No colon following hostname could be found."),
        (DYNAMIC, ["-I", "1@[h:1"], "Hostname began with left bracket"),
        (DYNAMIC, ["-I", "1@[h]1"], "Port section must start with a colon."),
        (DYNAMIC, ["-I", "1@h:1"], "No colon following port could be found."),
        (DYNAMIC, ["-I", f"1@h:x:{ONE}"], "Failed to parse port"),
        (DYNAMIC, ["-I", f"1@h:70000:{ONE}"], "Invalid port 70000"),
        (DYNAMIC, ["-I", "1@h:1:xx"], "Failed to parse directory ID"),
        ({"controller.quorum.voters": "x"}, [], "Each entry should be in the form `{id}@{host}:{port}`."),
    ],
)
def test_refusals_leave_nothing_behind(tmp_path, properties, arguments, message):
    node = Node(tmp_path, properties)
    result = node.format(*arguments)
    assert result.exit_code == 1
    assert message in result.output
    assert not node.directories[0].exists()


def test_options_that_exclude_each_other(tmp_path):
    assert Node(tmp_path).format("-s", "-N").exit_code == 2


def test_info(tmp_path):
    node = Node(tmp_path, directories=2)
    first, second = node.directories
    assert (
        node.run("info").output == f"Found problems:\n  {first} does not exist\n  {second} does not exist\n\n"
    )
    assert node.format("-I", VOTERS).exit_code == 0
    shown = node.run("info")
    assert shown.exit_code == 0
    assert shown.output == (
        f"Found log directories:\n  {first}\n  {second}\n\n"
        f"Found metadata: {{cluster.id={CLUSTER}, directory.id={ONE}, node.id=1, version=1}}\n\n"
    )
    (second / "meta.properties").write_text("version=1\ncluster.id=other\nnode.id=1\n")
    (first / "meta.properties").write_text("version=0\nbroker.id=1\n")
    shown = node.run("info")
    assert shown.exit_code == 1
    assert "Found problems:\n  Mismatched cluster IDs between storage directories.\n" in shown.output
    (second / "meta.properties").write_text("nonsense")
    assert "Error loading" in node.run("info").output


def test_a_broker_starts_on_what_was_formatted(tmp_path):
    import random

    from pybroker.broker import Broker
    from pybroker.common.clock import ManualClock

    node = Node(tmp_path)
    assert node.format("-s", "-f", "group.version=0").exit_code == 0
    config = BrokerConfig.from_properties(
        {"log.dirs": str(node.directories[0]), "listeners": "PLAINTEXT://:0"}
    )
    broker = Broker(config, DiskFileSystem(), ManualClock(), random.Random(1))
    broker.set_listener_port("PLAINTEXT", "127.0.0.1", 9092)
    broker.start()
    assert broker.cluster_id == CLUSTER
    features = broker._context.metadata.features
    assert features["metadata.version"] == 30
    assert "group.version" not in features
    broker.shutdown()


@pytest.mark.interop
def test_the_same_files_and_words_as_kafka(tmp_path, kafka: KafkaTools):
    """Every field of every file but the ids that chance makes, and what is printed."""
    # Kafka writes addresses of IPv6 out in full.
    voters = VOTERS.replace("[::1]", "other")

    def normal(text: str, path: Path) -> list[str]:
        # Kafka formats directories in any order.
        return sorted(hidden.sub("", text.replace(str(path), "PATH")).splitlines())

    hidden = re.compile(r"directory\.id=[^,]*")

    for number, (properties, directories, arguments) in enumerate(
        [
            (DYNAMIC, 2, ["-s"]),
            (DYNAMIC, 1, ["-N", "-r", "4.0"]),
            (DYNAMIC, 1, ["-I", voters, "-f", "transaction.version=0", "-f", "share.version=0"]),
            ({**DYNAMIC, "node.id": "3"}, 1, ["-I", voters]),
            (STATIC, 1, ["-r", "3.9-IV0"]),
            (BROKER, 1, ["-f", "metadata.version=28"]),
        ]
    ):
        ours = Node(tmp_path / f"ours{number}", properties, directories)
        theirs = Node(tmp_path / f"theirs{number}", properties, directories)
        result = ours.format(*arguments)
        reference = kafka.run("StorageTool", "format", "-c", str(theirs.config), "-t", CLUSTER, *arguments)
        assert (result.exit_code, reference.status) == (0, 0), result.output + reference.out + reference.err
        assert normal(result.output, ours.path) == normal(reference.out, theirs.path)
        names = sorted(path.relative_to(ours.path) for path in ours.path.rglob("*"))
        assert names == sorted(path.relative_to(theirs.path) for path in theirs.path.rglob("*"))
        for mine, kafkas in zip(ours.directories, theirs.directories, strict=True):
            mine_meta, kafkas_meta = meta(mine), meta(kafkas)
            if not ("-I" in arguments and properties is DYNAMIC):
                # Not one that the voters name.
                assert mine_meta.pop("directory.id") != kafkas_meta.pop("directory.id")
            assert mine_meta == kafkas_meta
            assert records(mine / "bootstrap.checkpoint") == records(kafkas / "bootstrap.checkpoint")
            assert (mine / SNAPSHOT).exists() == (kafkas / SNAPSHOT).exists()
            if (mine / SNAPSHOT).exists():
                stated = [records(path / SNAPSHOT) for path in (mine, kafkas)]
                for _, controls in stated if "-s" in arguments else ():
                    controls[1].voters[0].voter_directory_id = bytes(16)
                assert stated[0] == stated[1]
        shown = ours.run("info")
        reference = kafka.run("StorageTool", "info", "-c", str(theirs.config))
        assert shown.exit_code == reference.status == 0
        assert normal(shown.output, ours.path) == normal(reference.out, theirs.path)
