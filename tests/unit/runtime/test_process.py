"""The process around a broker: ready line, ready file, signals, exit status."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys

import pytest

from pybroker.version import VERSION
from tests.unit.server.fake_broker import DEFERRED_VERSION, INVARIANT_ERROR, METADATA, PRODUCE, request

DEADLINE_S = 20


@pytest.fixture
def start(tmp_path):
    processes = []

    def launch(*arguments):
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.unit.runtime.fake_process", str(tmp_path / "ready"), *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        processes.append(process)
        return process

    yield launch
    for process in processes:
        if process.poll() is None:
            process.kill()
        process.communicate()


def ready(process, tmp_path):
    """The port, from the ready line; it agrees with the ready file."""
    line = process.stdout.readline()
    found = re.fullmatch(
        rf"pybroker {re.escape(VERSION)} ready: (127\.0\.0\.1:(\d+)) \(node 1, cluster fake\)\n", line
    )
    assert found, line
    assert (tmp_path / "ready").read_text() == found[1] + "\n"
    return int(found[2])


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_cleanly(start, tmp_path, number):
    process = start()
    port = ready(process, tmp_path)
    with socket.create_connection(("127.0.0.1", port)) as client:
        client.sendall(request(METADATA, 1, b"hello"))
        assert client.recv(100)[8:] == b"hello"
        process.send_signal(number)
        out, err = process.communicate(timeout=DEADLINE_S)
    assert process.returncode == 0
    assert out == "shut down\n"
    assert f"stopping signal={number.name}" in err
    assert not (tmp_path / "ready").exists()


def test_a_second_signal_ends_it_at_once(start, tmp_path):
    process = start()
    port = ready(process, tmp_path)
    with socket.create_connection(("127.0.0.1", port)) as client:
        # Nobody will ever answer this one, so the drain takes its time.
        client.sendall(request(METADATA, 1) + request(PRODUCE, 2, version=DEFERRED_VERSION))
        # The two came in one piece, so the second is waiting once the first is answered.
        assert client.recv(100)
        process.send_signal(signal.SIGTERM)
        while "stopping" not in process.stderr.readline():
            pass
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=DEADLINE_S)
    assert process.returncode == 128 + signal.SIGTERM


def test_an_invariant_error_ends_it_with_a_traceback(start, tmp_path):
    process = start()
    port = ready(process, tmp_path)
    with socket.create_connection(("127.0.0.1", port)) as client:
        client.sendall(request(INVARIANT_ERROR, 1))
        out, err = process.communicate(timeout=DEADLINE_S)
    assert process.returncode == 1
    assert "shut down" not in out
    assert "Traceback" in err
    assert "InvariantError: broken" in err


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("locked", "cannot start: log directory /data is in use"),
        ("corrupt", "cannot start: meta.properties cannot be read"),
    ],
)
def test_what_prevents_the_start_is_said_in_one_line(start, argument, message):
    process = start(argument)
    out, err = process.communicate(timeout=DEADLINE_S)
    assert process.returncode == 1
    assert out == ""
    assert message in err
    assert "Traceback" not in err
