"""`pybroker cluster` as a user runs it: it starts, shows, restarts and stops its nodes, and leaves nothing."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

from tests.processes import die_with_parent, wait_until


def test_two_brokers_one_of_them_killed(tmp_path):
    output = tmp_path / "output"
    command = [
        sys.executable,
        "-m",
        "pybroker",
        "cluster",
        "--brokers",
        "2",
        "--in-memory",
        "--base-port",
        "0",
    ]
    # A killed broker may come back when its session is over.
    quick = ["--set", "broker.session.timeout.ms=2000", "--set", "broker.heartbeat.interval.ms=500"]
    with output.open("wb") as log:
        process = subprocess.Popen(
            [*command, "--restart", *quick], stdout=log, stderr=log, preexec_fn=die_with_parent
        )

    def said(pattern: str, times: int = 1) -> list[str]:
        """What was printed, once that happened so often."""
        assert process.poll() is None, output.read_text()
        found = re.findall(pattern, output.read_text())
        return found if len(found) >= times else []

    def wait_for(pattern: str, times: int = 1) -> list[str]:
        try:
            return wait_until(lambda: said(pattern, times), pattern, 60.0, 0.1)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{output.read_text()}") from None

    try:
        (data,) = wait_for(r"data in (\S+)")
        wait_for(r"broker \d: in service", 2)
        wait_for(r"controller: node \d, epoch \d+")
        pids = [int(pid) for pid in wait_for(r"node \d: starting, pid (\d+)", 2)]
        os.kill(int(wait_for(r"node 2: starting, pid (\d+)")[0]), signal.SIGKILL)
        wait_for(r"node 2: ended by SIGKILL, log in " + re.escape(data))
        wait_for(r"node 2: ready, 127\.0\.0\.1:\d+", 2)
        pids += [int(pid) for pid in said(r"node 2: starting, pid (\d+)")]
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0, output.read_text()
        assert len(re.findall(r"node \d: ended with status 0", output.read_text())) == 2, output.read_text()
        assert not Path(data).exists()
        assert not [pid for pid in pids if Path(f"/proc/{pid}").exists()]
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            process.send_signal(signal.SIGINT)
            process.wait(60)
