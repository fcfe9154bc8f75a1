"""What the Dockerfile says, run without a container engine: its start command, as its user, in namespaces.

What stays untested here: the build of the image, and published ports (docs/containers.md).
"""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import facilities
from tools import interop

DOCKERFILE = interop.REPOSITORY / "Dockerfile"
HOST_NAME = "broker-of-compose"


def instructions() -> list[tuple[str, str]]:
    """(name, argument) of the last stage, continued lines joined."""
    text = re.sub(r"\\\n\s*", "", re.sub(r"(?m)^#.*\n", "", DOCKERFILE.read_text()))
    found = [tuple(line.split(" ", 1)) for line in text.splitlines() if line.strip()]
    last = max(at for at, (name, _) in enumerate(found) if name == "FROM")
    return [(name, argument) for name, argument in found[last:]]


def argument(name: str) -> str:
    (found,) = [argument for each, argument in instructions() if each == name]
    return found


def test_the_image_is_run_without_root() -> None:
    assert argument("USER") == "10001"
    assert argument("VOLUME") == argument("WORKDIR") == "/var/lib/pybroker"
    assert argument("STOPSIGNAL") == "SIGTERM"
    # The form without a shell, which would keep the signal to itself.
    assert json.loads(argument("ENTRYPOINT")) == ["pybroker"]
    assert set(argument("EXPOSE").split()) == {"9092", "19092", "9404"}


@pytest.fixture
def container(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """The image's command in namespaces of its own; only the data directory is another."""
    facilities.require("root")
    data = tmp_path / "volume"
    data.mkdir()
    os.chown(data, 10001, 10001)
    for parent in [data, *data.parents][:-2]:
        parent.chmod(parent.stat().st_mode | 0o055)
    image = dict(word.split("=", 1) for word in shlex.split(argument("ENV")))
    environment = {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        **image,
        "KAFKA_LOG_DIRS": str(data / "data"),
        "KAFKA_NUM_PARTITIONS": "3",
        "KAFKA_SERVICE_HOST": "10.0.0.1",
    }
    command = [*json.loads(argument("ENTRYPOINT")), *json.loads(argument("CMD"))]
    # The interpreter of the virtual environment may be in a directory that only root can enter.
    user = "10001" if _readable_by_all(Path(sys.executable).resolve()) else "0"
    program = Path(__file__).with_name("container.py")
    process = subprocess.Popen(
        [sys.executable, str(program), "/", HOST_NAME, user, *command],
        env=environment,
        cwd=data,
        stdout=subprocess.PIPE,
        stderr=(tmp_path / "errors").open("w"),
        text=True,
    )
    yield process
    if process.poll() is None:
        process.kill()
    process.wait()
    assert process.stdout is not None
    process.stdout.close()


def _readable_by_all(path: Path) -> bool:
    return all(each.stat().st_mode & 0o005 == 0o005 for each in path.parents)


def inside(container: subprocess.Popen[str], *command: str, send: str | None = None) -> str:
    """A command beside the broker: as from the host, or from another container, by the address it uses."""
    enter = ["nsenter", "--target", str(container.pid), "--mount", "--net"]
    return subprocess.run(
        [*enter, *command], input=send, capture_output=True, text=True, timeout=60, check=True
    ).stdout


def test_host_and_other_containers_reach_it(container: subprocess.Popen[str], tmp_path: Path) -> None:
    facilities.require("kcat")
    assert container.stdout is not None
    assert " ready: " in container.stdout.readline(), (tmp_path / "errors").read_text()
    for address in ("localhost:9092", f"{HOST_NAME}:19092"):
        told = json.loads(inside(container, "kcat", "-b", address, "-L", "-J"))
        assert [broker["name"] for broker in told["brokers"]] == [address]
        inside(container, "kcat", "-b", address, "-P", "-t", "box", send=f"{address}\n")
    read = inside(container, "kcat", "-b", "localhost:9092", "-C", "-t", "box", "-e", "-q")
    assert sorted(read.split()) == [f"{HOST_NAME}:19092", "localhost:9092"]
    described = json.loads(inside(container, "kcat", "-b", "localhost:9092", "-L", "-J", "-t", "box"))
    assert len(described["topics"][0]["partitions"]) == 3  # From KAFKA_NUM_PARTITIONS.
    check = argument("HEALTHCHECK").split(" CMD ", 1)[1]
    health = [sys.executable if word == "python" else word for word in json.loads(check)]
    inside(container, *health)
    container.terminate()
    assert container.wait(30) == 0
    assert (tmp_path / "volume" / "data" / ".kafka_cleanshutdown").exists()
    assert "KAFKA_SERVICE_HOST" in (tmp_path / "errors").read_text()
    with pytest.raises(subprocess.CalledProcessError):
        subprocess.run(health, check=True, capture_output=True)


def test_it_is_reported_when_it_cannot_start(tmp_path: Path) -> None:
    environment = {**os.environ, "KAFKA_LISTENERS": "NOPE://:9092", "KAFKA_LOG_DIRS": str(tmp_path)}
    command = [sys.executable, "-m", "pybroker", "start", "--config-from-env"]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert result.returncode == 2
    assert "No security protocol defined for listener NOPE" in result.stderr


def test_compose_names_what_there_is() -> None:
    """The files of docs/containers fit together and are accepted."""
    from connect.core.worker_config import WorkerConfig, parse_properties

    folder = interop.REPOSITORY / "docs" / "containers"
    compose = (folder / "compose.yaml").read_text()
    worker = WorkerConfig(parse_properties((folder / "worker.properties").read_text()), True)
    assert worker["bootstrap.servers"] == ["broker:19092"]
    assert "hostname: broker\n" in compose
    assert "./worker.properties:" in compose
    connector = json.loads((folder / "orders.json").read_text())
    assert connector["config"]["connection.url"].startswith("jdbc:postgresql://postgres:5432/")
