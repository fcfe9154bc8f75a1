"""The single binary where it has to work: a root with the C library alone, read-only, as nobody.

The clients run outside of that root: it has the machine's loopback.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests import facilities
from tests.processes import KafkaTools, PybrokerProcess, wait_until

# The first one builds the binary.
pytestmark = [pytest.mark.interop, pytest.mark.timeout(600)]


class BinaryProcess(PybrokerProcess):
    """`pybroker start` as the binary, outside of any jail."""

    def __init__(self, binary: Path, directory: Path, *arguments: str) -> None:
        self.binary = binary
        super().__init__(directory, arguments=list(arguments))

    def command(self) -> list[str]:
        return [str(self.binary), *super().command()[3:]]


class JailedProcess(BinaryProcess):
    """The same in a root of its own; its data directory is /data there."""

    def __init__(self, binary: Path, directory: Path, root: Path, *options: str) -> None:
        self.root = root
        self.options = options
        directory.mkdir(parents=True)
        for folder in (directory, directory / "data"):
            folder.mkdir(exist_ok=True)
            os.chown(folder, 65534, 65534)
        super().__init__(binary, directory)

    def jail(self) -> list[str]:
        jail = str(Path(__file__).with_name("jail.py"))
        return [sys.executable, jail, str(self.root), str(self.directory), *self.options]

    def command(self) -> list[str]:
        inside = [
            "start",
            "--data-dir",
            "/data/data",
            "--ready-file",
            "/data/ready",
            "--listen",
            self.bootstrap,
        ]
        return [*self.jail(), "/bin/pybroker", *inside]


@pytest.fixture(params=["--proc", ""], ids=["proc", "no-proc"])
def root(request: pytest.FixtureRequest, binary: Path, tmp_path: Path) -> Iterator[tuple[Path, list[str]]]:
    """A root with the binary and the C library's own files, and how it is entered: with or without /proc."""
    facilities.require("root")
    root = tmp_path / "root"
    for folder in ("bin", "data", "proc"):
        (root / folder).mkdir(parents=True)
    for name in re.findall(r"(/\S+) \(0x", subprocess.check_output(["ldd", str(binary)], text=True)):
        # All of them belong to the C library: nothing else may be needed.
        assert re.match(r"(ld-linux|lib(c|m|dl|pthread|resolv|rt|util)\.so)", Path(name).name), name
        target = root / name.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(name, target)
    shutil.copy2(binary, root / "bin" / "pybroker")
    tmp_path.chmod(0o755)
    yield root, [request.param] if request.param else []
    shutil.rmtree(root)


def kcat(bootstrap: str, *arguments: str, send: str = "") -> list[str]:
    facilities.require("kcat")
    command = ["kcat", "-b", bootstrap, "-q", *arguments]
    return subprocess.check_output(command, input=send, text=True, timeout=60).splitlines()


def test_alone_with_the_c_library(
    binary: Path, root: tuple[Path, list[str]], tmp_path: Path, kafka: KafkaTools
) -> None:
    """kcat and Kafka's Java clients produce and consume; SIGTERM ends it with 0; a second start has the data."""
    folder, options = root
    before = sorted(path.relative_to(folder) for path in folder.rglob("*"))
    first = JailedProcess(binary, tmp_path / "first", folder, *options)
    second = JailedProcess(binary, tmp_path / "second", folder, *options)
    try:
        status = Path(f"/proc/{first.pid}/status").read_text()
        assert re.search(r"^Uid:\s+65534\s+65534\s+65534\s+65534$", status, re.MULTILINE)
        kcat(first.bootstrap, "-P", "-t", "jail", send="from kcat\n")
        kcat(second.bootstrap, "-P", "-t", "jail", send="of the other\n")
        address = ("--bootstrap-server", first.bootstrap, "--topic", "jail")
        kafka.run("ConsoleProducer", *address, send="from java\n").check()
        assert kcat(first.bootstrap, "-C", "-t", "jail", "-e") == ["from kcat", "from java"]
        read = kafka.run("ConsoleConsumer", *address, "--from-beginning", "--max-messages", "2").check()
        assert read.splitlines() == ["from kcat", "from java"]
        first.restart()
        assert kcat(first.bootstrap, "-C", "-t", "jail", "-e") == ["from kcat", "from java"]
        assert kcat(second.bootstrap, "-C", "-t", "jail", "-e") == ["of the other"]
    finally:
        first.stop()
        second.stop()
    # Where a library had to stand for a moment, it is gone again.
    assert sorted(path.name for path in (tmp_path / "first").iterdir()) == ["data", "server.log"]
    assert sorted(path.relative_to(folder) for path in folder.rglob("*")) == before


def test_the_command_line_needs_no_library(root: tuple[Path, list[str]], tmp_path: Path) -> None:
    folder, options = root
    (tmp_path / "nothing").mkdir()
    jail = [sys.executable, str(Path(__file__).with_name("jail.py")), str(folder), str(tmp_path / "nothing")]
    for arguments in (["--version"], ["--help"], ["start", "--help"]):
        subprocess.run([*jail, *options, "/bin/pybroker", *arguments], check=True, capture_output=True)


@pytest.fixture
def broker_of_binary(binary: Path, tmp_path: Path) -> Iterator[Callable[..., BinaryProcess]]:
    started: list[BinaryProcess] = []

    def start(*arguments: str) -> BinaryProcess:
        started.append(BinaryProcess(binary, tmp_path / f"broker-{len(started)}", *arguments))
        return started[-1]

    yield start
    for process in started:
        process.stop()


def test_compaction_has_its_process(broker_of_binary: Callable[..., BinaryProcess], binary: Path) -> None:
    """The cleaner starts the program again, as the module that does the work; dump-log shows what it did."""
    settings = (
        "log.cleanup.policy=compact",
        "log.cleaner.backoff.ms=50",
        "log.cleaner.min.cleanable.ratio=0.01",
    )
    arguments = [word for setting in settings for word in ("--set", setting)]
    broker = broker_of_binary(*arguments, "--set", "log.roll.ms=100", "--set", "num.partitions=1")
    values = "".join(f"key:{number}\n" for number in range(200))
    for _ in range(2):
        kcat(broker.bootstrap, "-P", "-t", "compacted", "-K:", send=values)
    assert broker.data_dir is not None
    segment = broker.data_dir / "compacted-0" / f"{0:020}.log"
    before = segment.stat().st_size

    def cleaned() -> bool:
        # A record of another time rolls the segment, so that it can be cleaned.
        kcat(broker.bootstrap, "-P", "-t", "compacted", "-K:", send="last:1\n")
        return segment.stat().st_size < before

    wait_until(cleaned, "the first segment to be cleaned", interval_s=0.2)
    assert "cleaning" not in broker.log_text()
    shown = subprocess.check_output([str(binary), "dump-log", "--print-data-log", str(segment)], text=True)
    assert "key: key payload: 199" in shown or "payload: 1" in shown


PLUG_IN = """\
import importlib, json, pathlib, sys
import _pybroker_loader, psycopg
failed = {}
for name in sorted(_pybroker_loader._EXTENSIONS):
    try:
        importlib.import_module(name)
    except BaseException as error:
        failed[name] = repr(error)
import confluent_kafka, lzma, sqlite3, ssl, zoneinfo
from importlib.metadata import version
zoneinfo.reset_tzpath(to=())
found = {"failed": failed, "psycopg": psycopg.pq.__impl__, "SQLAlchemy": version("sqlalchemy"),
         "zone": str(zoneinfo.ZoneInfo("Europe/Berlin")), "count": len(_pybroker_loader._EXTENSIONS)}
pathlib.Path(__file__).with_name("found.json").write_text(json.dumps(found))
PLUGINS = ()
"""


def test_connect_from_a_database(
    broker_of_binary: Callable[..., BinaryProcess], binary: Path, tmp_path: Path
) -> None:
    """A worker of the binary: a JDBC source, and a plug-in from a folder, which tries every native library."""
    import sqlite3

    broker = broker_of_binary()
    with sqlite3.connect(tmp_path / "shop.db") as shop:
        shop.execute("create table orders (id integer primary key, item text)")
        shop.execute("insert into orders values (1, 'tea'), (2, 'cake')")
    shop.close()
    plug_ins = tmp_path / "plug-ins"
    plug_ins.mkdir()
    (plug_ins / "look_around.py").write_text(PLUG_IN)
    worker = {
        "bootstrap.servers": broker.bootstrap,
        "key.converter": "org.apache.kafka.connect.storage.StringConverter",
        "value.converter": "org.apache.kafka.connect.json.JsonConverter",
        "offset.storage.file.filename": str(tmp_path / "offsets"),
        "plugin.path": str(plug_ins),
        "listeners": "http://127.0.0.1:0",
    }
    source = {
        "name": "orders",
        "connector.class": "io.aiven.connect.jdbc.JdbcSourceConnector",
        "connection.url": f"jdbc:sqlite:{tmp_path / 'shop.db'}",
        "mode": "incrementing",
        "incrementing.column.name": "id",
        "topic.prefix": "shop-",
    }
    files = []
    for name, properties in (("worker", worker), ("source", source)):
        files.append(tmp_path / f"{name}.properties")
        files[-1].write_text("".join(f"{key}={value}\n" for key, value in properties.items()))
    log = tmp_path / "worker.log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            [str(binary), "connect", "standalone", *map(str, files)], stdout=out, stderr=subprocess.STDOUT
        )
    try:
        assert broker.data_dir is not None
        # kcat gives up on a topic that is not there yet.
        wait_until((broker.data_dir / "shop-orders-0").exists, "the topic", 60)
        rows = kcat(broker.bootstrap, "-C", "-t", "shop-orders", "-o", "beginning", "-c", "2")
        assert [json.loads(row)["payload"]["item"] for row in rows] == ["tea", "cake"]
        found = json.loads((plug_ins / "found.json").read_text())
        assert found.pop("count") > 40
        assert found == {
            "failed": {},
            "psycopg": "binary",
            "SQLAlchemy": found["SQLAlchemy"],
            "zone": "Europe/Berlin",
        }
        process.terminate()
        assert process.wait(30) == 0
    except AssertionError:
        print(log.read_text()[-4000:])
        raise
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def test_small_and_tidy(binary: Path, tmp_path: Path) -> None:
    """Under 60 MB; kill -9 leaves no file; what belongs to a Python beside it is not looked at."""
    assert binary.stat().st_size < 60_000_000
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    (tmp_path / "pybroker.py").write_text("raise SystemExit('not this one')")
    foreign = {"PYTHONPATH": str(tmp_path), "PYTHONHOME": str(tmp_path), "PYTHONSTARTUP": "/nowhere"}
    environment = {**os.environ, "TMPDIR": str(temporary), "HOME": str(temporary), **foreign}
    command = [str(binary), "start", "--in-memory", "--listen", "127.0.0.1:0"]
    process = subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert " ready: " in process.stdout.readline()
    process.kill()
    process.wait()
    process.stdout.close()
    assert list(temporary.iterdir()) == []
    called_connect = tmp_path / "pybroker-connect"
    called_connect.symlink_to(binary)
    assert "distributed" in subprocess.check_output([str(called_connect), "--help"], text=True)
