"""No space left, files too large, no descriptors left: errors to those who write, service to the others,
nothing torn.
"""

from __future__ import annotations

import contextlib
import os
import resource
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.faults import load
from tests.processes import PybrokerProcess
from tests.protocol import raw
from tests.protocol.raw import Connection

STORAGE_ERRORS = {56, -1}


class Writer:
    """Writes records of a known size to one topic and keeps what was acknowledged."""

    def __init__(self, address: str, topic: str) -> None:
        self.address = address
        self.topic = topic
        self.written: list[tuple[int, bytes]] = []
        self.refused: set[bytes] = set()
        self.counter = 0

    def write(self, connection: Connection, size: int = 50_000) -> int:
        value = b"%d:" % self.counter + bytes(size)
        self.counter += 1
        answer = raw.produce(connection, self.topic, raw.batch(raw.record(b"k", value)))
        assert answer, f"no answer to a produce ({answer})"
        if answer["error_code"] == 0:
            self.written.append((answer["base_offset"], value))
        else:
            self.refused.add(value)
        return answer["error_code"]

    def check(self, connection: Connection) -> None:
        found = load.read_everything(connection, self.topic, 0)
        assert dict(found) | dict(self.written) == dict(found), "an acknowledged record is missing or another"
        assert len(found) == len(self.written), "a refused record is there"


def check_full_and_back(
    server: PybrokerProcess, fill: Callable[[], None], free: Callable[[], None], *, durability: str
) -> None:
    address = server.bootstrap
    with Connection(address) as connection:
        first, second = (Writer(address, raw.create_topic(connection)[0]) for _ in range(2))
        for writer in (first, second):
            for _ in range(10):
                assert writer.write(connection) == 0
        fill()
        error = 0
        for _ in range(2000):
            error = first.write(connection)
            if error:
                break
        assert error in STORAGE_ERRORS, f"error {error} when the disk is full"
        for writer in (first, second):
            writer.write(connection)
            writer.check(connection)
        with Connection(address) as other:
            assert raw.high_watermark(other, first.topic) == len(first.written)
            assert other.call(raw.METADATA, 9, {"topics": None, "allow_auto_topic_creation": False})["topics"]
        free()
        deadline = time.monotonic() + 15
        while first.write(connection) != 0:
            assert time.monotonic() < deadline, "no service after there was space again"
            time.sleep(0.1)
        while second.write(connection) != 0:
            assert time.monotonic() < deadline
            time.sleep(0.1)
        for writer in (first, second):
            for _ in range(5):
                assert writer.write(connection) == 0
            writer.check(connection)
        raw.create_topic(connection)
    server.kill()
    server.start()
    with Connection(address) as connection:
        for writer in (first, second):
            raw.wait_for_topic(connection, writer.topic)
            writer.check(connection)
            assert writer.write(connection) == 0


@contextlib.contextmanager
def small_disk(path: Path, megabytes: int) -> Iterator[Path]:
    path.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(path)],
        capture_output=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip(
            f"cannot mount a small disk ({mounted.stderr.decode().strip()}); the size limit is tested instead"
        )
    try:
        yield path
    finally:
        subprocess.run(["umount", "-l", str(path)], check=True)


class OnDisk(PybrokerProcess):
    """The data on the small disk, the server's own output elsewhere."""

    def __init__(self, directory: Path, disk: Path, properties: dict[str, str]) -> None:
        self.disk = disk
        super().__init__(directory, properties)

    def command(self) -> list[str]:
        self.data_dir = self.disk / "data"
        return super().command()


@pytest.mark.slow
@pytest.mark.parametrize("durability", ["os", "fsync"])
def test_a_full_disk(tmp_path: Path, durability: str) -> None:
    with small_disk(tmp_path / "disk", 48) as disk:
        server = OnDisk(tmp_path / "broker", disk, {"pybroker.durability": durability})
        ballast = disk / "ballast"
        try:

            def fill() -> None:
                with ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
                    # All but a few hundred kilobytes, so that the broker itself meets the end in the middle
                    # of a write.
                    for _ in range(os.statvfs(disk).f_bavail * 4096 // 65536 - 6):
                        file.write(bytes(65536))

            check_full_and_back(server, fill, ballast.unlink, durability=durability)
        finally:
            server.kill()


def test_a_file_that_may_not_grow(tmp_path: Path) -> None:
    """RLIMIT_FSIZE: a write fails half way with EFBIG; works without being root."""
    server = PybrokerProcess(tmp_path / "broker", {"log.segment.bytes": "1073741824"})
    unlimited = resource.RLIM_INFINITY
    try:
        check_full_and_back(
            server,
            lambda: resource.prlimit(server.pid, resource.RLIMIT_FSIZE, (1_500_000, unlimited)) and None,
            lambda: resource.prlimit(server.pid, resource.RLIMIT_FSIZE, (unlimited, unlimited)) and None,
            durability="os",
        )
    finally:
        server.kill()


class FewDescriptors(PybrokerProcess):
    def command(self) -> list[str]:
        return ["prlimit", "--nofile=128:128", *super().command()]


@pytest.mark.slow
def test_few_descriptors_many_partitions(tmp_path: Path) -> None:
    """128 descriptors, 200 partitions of two files and more each."""
    server = FewDescriptors(tmp_path / "broker")
    try:
        with Connection(server.bootstrap) as connection:
            name, _ = raw.create_topic(connection, partitions=200)
            for turn in range(3):
                for first in range(0, 200, 20):
                    data = {
                        index: raw.batch(raw.record(b"k", b"%d" % turn)) for index in range(first, first + 20)
                    }
                    answer = connection.call(raw.PRODUCE, 9, raw.produce_values(name, data))
                    errors = {p["error_code"] for p in answer["responses"][0]["partition_responses"]}
                    assert errors == {0}
            for index in range(200):
                assert [v for _, v in load.read_everything(connection, name, index)] == [b"0", b"1", b"2"]
            check_connections_beyond_the_limit(server.bootstrap, connection, name)
        server.restart()
        with Connection(server.bootstrap) as connection:
            raw.wait_for_topic(connection, name, 200)
            for index in (0, 99, 199):
                assert len(load.read_everything(connection, name, index)) >= 3
                assert raw.produce(connection, name, {index: raw.batch()})["error_code"] == 0
    finally:
        server.kill()


def check_connections_beyond_the_limit(address: str, served: Connection, topic: str) -> None:
    """A crowd takes the descriptors: who is connected goes on being served, and newcomers are when the crowd
    leaves.
    """
    crowd: list[Connection] = []
    with contextlib.suppress(OSError):
        crowd.extend(Connection(address, timeout=1) for _ in range(200))
    for index in (0, 57, 123, 199):
        answer = raw.produce(served, topic, {index: raw.batch()})
        assert answer, "an open connection was closed or starved"
        assert answer["error_code"] in {0, *STORAGE_ERRORS}
    for member in crowd:
        member.close()
    deadline = time.monotonic() + 10
    while True:
        with contextlib.suppress(OSError), Connection(address, timeout=2) as newcomer:
            if newcomer.call(raw.API_VERSIONS, 0, {}):
                break
        assert time.monotonic() < deadline, "no new connection after the crowd left"
        time.sleep(0.05)
    assert raw.produce(served, topic, {5: raw.batch()})["error_code"] == 0
