"""`pybroker start` as a process: options, configuration errors, the ready line, a directory in use."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys

import pytest

from pybroker.version import VERSION

DEADLINE_S = 30


def command(*arguments):
    return [sys.executable, "-m", "pybroker", *arguments]


def run(*arguments, **options):
    return subprocess.run(
        command(*arguments), capture_output=True, text=True, timeout=DEADLINE_S, check=False, **options
    )


@pytest.fixture
def start():
    processes = []

    def launch(*arguments, **options):
        process = subprocess.Popen(
            command("start", "--listen", "127.0.0.1:0", *arguments),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            **options,
        )
        processes.append(process)
        return process

    yield launch
    for process in processes:
        if process.poll() is None:
            process.kill()
        process.communicate()


def ready_port(process):
    line = process.stdout.readline()
    found = re.fullmatch(
        rf"pybroker {re.escape(VERSION)} ready: 127\.0\.0\.1:(\d+) \(node \d+, cluster [\w-]{{22}}\)\n", line
    )
    assert found, line + process.stderr.read()
    return int(found[1])


def stop(process):
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=DEADLINE_S)
    assert process.returncode == 0, err
    assert out == ""
    return err


def test_version_and_help():
    assert run("--version").stdout == f"pybroker, version {VERSION}\n"
    top = run("--help")
    assert top.returncode == 0
    assert "start" in top.stdout
    assert "dump-log" in top.stdout
    assert "--ready-file" in run("start", "--help").stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--set", "num.partitions"], ["num.partitions", "KEY=VALUE"]),
        (["--set", "=1"], ["KEY=VALUE"]),
        (["--set", "num.partitions=0"], ["num.partitions", "0", "1"]),
        (["--set", "num.partitions=many"], ["num.partitions", "many"]),
        (["--set", "num.partition=1"], ["num.partition", "num.partitions"]),
        (["--listen", "nowhere"], ["nowhere", "HOST:PORT"]),
        (["--listen", "127.0.0.1:70000"], ["70000"]),
        (["--in-memory", "--data-dir", "x"], ["exclude each other"]),
        (["--config", "missing.properties"], ["missing.properties"]),
        (["--no-such-option"], ["--no-such-option"]),
    ],
)
def test_configuration_errors_end_with_status_2(tmp_path, arguments, said):
    result = run("start", *arguments, cwd=tmp_path)
    assert result.returncode == 2, result.stderr
    assert result.stdout == ""
    assert "Traceback" not in result.stderr
    for part in said:
        assert part in result.stderr
    assert os.listdir(tmp_path) == []


def test_a_properties_file_that_is_not_text(tmp_path):
    path = tmp_path / "server.properties"
    path.write_bytes(b"node.id=\xff\xfe")
    result = run("start", "--config", str(path), cwd=tmp_path)
    assert result.returncode == 2
    assert "not UTF-8" in result.stderr


def test_from_ready_to_stopped_and_again(start, tmp_path):
    data, ready_file = tmp_path / "data", tmp_path / "ready"
    properties = tmp_path / "server.properties"
    properties.write_text("num.partitions=3\n# a comment\nnum.io.threads = 9\n")
    arguments = ("--config", str(properties), "--data-dir", str(data), "--ready-file", str(ready_file))
    process = start(*arguments)
    port = ready_port(process)
    assert ready_file.read_text() == f"127.0.0.1:{port}\n"
    socket.create_connection(("127.0.0.1", port)).close()
    err = stop(process)
    # Accepted, without a use here, and said once.
    assert len([line for line in err.splitlines() if "num.io.threads" in line]) == 1
    assert (data / ".kafka_cleanshutdown").exists()

    again = start(*arguments)
    ready_port(again)
    stop(again)


def test_a_directory_in_use_is_refused(start, tmp_path):
    first = start("--data-dir", str(tmp_path))
    ready_port(first)
    second = start("--data-dir", str(tmp_path))
    out, err = second.communicate(timeout=DEADLINE_S)
    assert second.returncode == 1
    assert out == ""
    assert "in use" in err
    assert str(tmp_path) in err
    assert "Traceback" not in err
    stop(first)


def test_a_port_in_use_is_refused(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        result = run("start", "--in-memory", "--listen", address, cwd=tmp_path)
    assert result.returncode == 1
    assert f"cannot listen on {address}" in result.stderr
    assert "Traceback" not in result.stderr
    assert os.listdir(tmp_path) == []


def test_in_memory_leaves_nothing(start, tmp_path):
    process = start("--in-memory", cwd=tmp_path)
    ready_port(process)
    stop(process)
    assert os.listdir(tmp_path) == []


def test_the_default_directory_is_below_the_current_one(start, tmp_path):
    process = start(cwd=tmp_path)
    ready_port(process)
    stop(process)
    assert os.listdir(tmp_path) == ["pybroker-data"]
