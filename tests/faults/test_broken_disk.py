"""Syncs and reads that fail, by a library that is loaded before the system's own (shim.c)."""

from __future__ import annotations

import errno
import hashlib
import subprocess
import time
from pathlib import Path

import pytest

from tests import facilities
from tests.faults.test_resources import STORAGE_ERRORS, Writer
from tests.processes import PybrokerProcess, free_port, wait_until
from tests.protocol import raw
from tests.protocol.raw import Connection
from tests.protocol.test_metrics import scrape, value
from tools import interop

SOURCE = Path(__file__).parent / "shim.c"


@pytest.fixture(scope="module")
def shim() -> Path:
    facilities.require("c-compiler")
    checksum = hashlib.sha256(SOURCE.read_bytes()).hexdigest()[:16]
    library = interop.cache_directory() / "classes" / f"shim-{checksum}.so"
    if not library.exists():
        library.parent.mkdir(parents=True, exist_ok=True)
        command = ["gcc", "-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o", f"{library}.new", str(SOURCE)]
        done = subprocess.run([*command, "-ldl"], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        Path(f"{library}.new").rename(library)
    return library


class OnBrokenDisk(PybrokerProcess):
    """With two log directories, `one` and `two`, and the library."""

    def __init__(self, directory: Path, shim: Path, *names: str) -> None:
        self.shim = shim
        self.faults = directory / "faults"
        self.faults.mkdir(parents=True)
        self.directories = [directory / name for name in names]
        self.http = free_port()
        super().__init__(
            directory,
            {
                "pybroker.durability": "fsync",
                "log.dirs": ",".join(map(str, self.directories)),
                "pybroker.http.listener": f"127.0.0.1:{self.http}",
                "log.flush.offset.checkpoint.interval.ms": "500",
                "replica.high.watermark.checkpoint.interval.ms": "500",
            },
        )

    def command(self) -> list[str]:
        return ["env", f"LD_PRELOAD={self.shim}", f"FAULTS={self.faults}", *super().command()]

    def inject(self, kind: str, number: int, prefix: Path) -> None:
        ready = self.faults / "new"
        ready.write_text(f"{number} {prefix}")
        ready.rename(self.faults / kind)

    def syncs(self) -> list[tuple[int, str]]:
        """(error number or 0, path) of every sync so far."""
        lines = (self.faults / "syncs").read_text().splitlines()
        return [(int(number), path) for number, _, path in (line.partition(" ") for line in lines)]

    def home(self, topic: str) -> Path:
        (path,) = [path for path in self.directories if (path / f"{topic}-0").exists()]
        return path

    def create_topics(self, connection: Connection) -> list[tuple[Path, list[str]]]:
        """The directory of the metadata log and the other one, with new topics in each."""
        metadata = self.home("__cluster_metadata")
        topics = [raw.create_topic(connection)[0] for _ in range(4)]
        homes = {topic: self.home(topic) for topic in topics}
        assert len(set(homes.values())) == 2
        return [
            (path, [topic for topic in topics if homes[topic] == path])
            for path in sorted(self.directories, key=lambda path: path != metadata)
        ]

    def wait_for_offline(self, path: Path) -> None:
        name = "pybroker_log_directory_offline"
        wait_until(
            lambda: value(scrape(self.http), name, directory=str(path)) == 1, "the directory to be offline"
        )


@pytest.mark.parametrize("number", [errno.EIO, errno.ENOSPC])
def test_the_only_directory_fails_a_sync(tmp_path: Path, shim: Path, number: int) -> None:
    """Nothing is acknowledged that was not synced, the sync is not tried again, and the process ends."""
    server = OnBrokenDisk(tmp_path / "broker", shim, "one")
    try:
        with Connection(server.bootstrap) as connection:
            writer = Writer(server.bootstrap, raw.create_topic(connection)[0])
            for _ in range(5):
                assert writer.write(connection, 1_000) == 0
            server.inject("sync", number, server.home(writer.topic) / f"{writer.topic}-0")
            try:
                answer = raw.produce(connection, writer.topic, raw.batch(raw.record(b"k", b"never")))
            except (OSError, AssertionError):
                answer = None
            assert not answer or answer["error_code"] in STORAGE_ERRORS, answer
        assert server.process is not None
        assert server.process.wait(30) != 0
        failed = [at for at, (error, _) in enumerate(server.syncs()) if error]
        assert len(failed) == 1
        assert not [path for _, path in server.syncs()[failed[0] + 1 :] if writer.topic in path]
        server.start()
        with Connection(server.bootstrap) as connection:
            raw.wait_for_topic(connection, writer.topic)
            assert writer.write(connection, 1_000) == 0
            found = [text for offset, text in writer.written]
            stored = raw.fetch(connection, writer.topic, 0, partition_max_bytes=1 << 20)["records"]
            there = [text for each in raw.parse_batches(stored) for _, _, _, text in raw.parse_records(each)]
            # What was never acknowledged may be there or not: kill -9 would leave it too.
            assert [text for text in there if text != b"never"] == found
    finally:
        server.kill()


def test_one_of_two_directories_fails(tmp_path: Path, shim: Path) -> None:
    """The other one goes on; nothing is synced, and nothing acknowledged, in the one that failed."""
    server = OnBrokenDisk(tmp_path / "broker", shim, "one", "two")
    try:
        with Connection(server.bootstrap) as connection:
            (metadata, good), (broken, bad) = server.create_topics(connection)
            writers = {topic: Writer(server.bootstrap, topic) for topic in good + bad}
            for writer in writers.values():
                assert writer.write(connection, 1_000) == 0
            server.inject("sync", errno.EIO, broken / f"{bad[0]}-0")
            assert writers[bad[0]].write(connection, 1_000) in STORAGE_ERRORS
            server.wait_for_offline(broken)
            at = [error for error, _ in server.syncs()].index(errno.EIO)
            for topic in good:
                assert writers[topic].write(connection, 1_000) == 0
            for topic in bad:
                assert writers[topic].write(connection, 1_000) in STORAGE_ERRORS
            # Time for checkpoints and what else comes by itself.
            time.sleep(1)
            later = server.syncs()[at + 1 :]
            assert not [path for _, path in later if path.startswith(f"{broken}/")]
            assert [path for _, path in later if path.startswith(f"{metadata}/")]
        server.stop()
        server.start()
        with Connection(server.bootstrap) as connection:
            for topic, writer in writers.items():
                raw.wait_for_topic(connection, topic)
                assert writer.write(connection, 1_000) == 0
    finally:
        server.kill()


def test_a_read_that_fails(tmp_path: Path, shim: Path) -> None:
    """An error for who reads there, the directory offline and shown; the other one serves."""
    server = OnBrokenDisk(tmp_path / "broker", shim, "one", "two")
    try:
        with Connection(server.bootstrap) as connection:
            (_, (good, *_)), (broken, (bad, *_)) = server.create_topics(connection)
            for topic in (bad, good):
                for _ in range(3):
                    assert raw.produce(connection, topic, raw.batch())["error_code"] == 0
            server.inject("read", errno.EIO, broken)
            answer = raw.fetch(connection, bad, 0)
            assert answer["error_code"] in STORAGE_ERRORS
            assert raw.fetch(connection, good, 0)["error_code"] == 0
            assert raw.produce(connection, good, raw.batch())["error_code"] == 0
            server.wait_for_offline(broken)
            assert raw.produce(connection, bad, raw.batch())["error_code"] in STORAGE_ERRORS
    finally:
        server.kill()


def test_the_directory_of_the_metadata_log_fails(tmp_path: Path, shim: Path) -> None:
    """Nothing can be changed any more, and nothing is acknowledged there; the other directory serves."""
    server = OnBrokenDisk(tmp_path / "broker", shim, "one", "two")
    try:
        with Connection(server.bootstrap) as connection:
            (broken, (bad, *_)), (_, (good, *_)) = server.create_topics(connection)
            for topic in (bad, good):
                assert raw.produce(connection, topic, raw.batch())["error_code"] == 0
            server.inject("sync", errno.EIO, broken / "__cluster_metadata-0")
            new = {
                "name": "new",
                "num_partitions": 1,
                "replication_factor": 1,
                "assignments": [],
                "configs": [],
            }
            created = connection.call(
                raw.CREATE_TOPICS, 5, {"topics": [new], "timeout": 5000, "validate_only": False}
            )
            assert created["topics"][0]["error_code"] in STORAGE_ERRORS
            assert raw.produce(connection, bad, raw.batch())["error_code"] in STORAGE_ERRORS
            assert raw.produce(connection, good, raw.batch())["error_code"] == 0
            assert raw.fetch(connection, good, 0)["error_code"] == 0
            failed = [path for error, path in server.syncs() if error]
            assert len(failed) == 1
    finally:
        server.kill()
