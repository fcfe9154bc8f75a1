"""librdkafka's own test programs, as its source package builds them.

In: a directory that is theirs (they leave files behind), bootstrap servers. Out: what a program printed. What must hold:
it ended by itself and well, and ran the part that was asked for.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path

from tests import facilities
from tests.processes import die_with_parent
from tools import interop


class Programs:
    def __init__(self, directory: Path, bootstrap: str, environment: Mapping[str, str] | None = None) -> None:
        facilities.require("librdkafka")
        self.directory = directory
        source = interop.librdkafka_directory()
        self._runner = source / "tests" / "test-runner"
        configuration = directory / "test.conf"
        configuration.write_text(
            f"bootstrap.servers={bootstrap}\ntest.timeout.multiplier=2\ntest.topic.random=true\n"
        )
        self._environment = {
            **os.environ,
            "LD_LIBRARY_PATH": f"{source / 'src'}:{source / 'src-cpp'}",
            "RDKAFKA_TEST_CONF": str(configuration),
            "TEST_KAFKA_VERSION": "4.3.0",
            **(environment or {}),
        }

    def run(
        self, number: str, subtest: str | None, *options: str, quick: bool, timeout_s: float = 300
    ) -> str:
        """One program, or a part of it. AssertionError when it fails or does not run."""
        environment = {**self._environment, "TESTS": number, **({"SUBTESTS": subtest} if subtest else {})}
        result = subprocess.run(
            [str(self._runner), "-L", "-p1", *options, *(["-Q"] if quick else [])],
            cwd=self.directory,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=timeout_s,
            preexec_fn=die_with_parent,
        )
        output = re.sub(r"\x1b\[[0-9;]*m", "", result.stdout.decode(errors="replace"))
        assert result.returncode == 0, output[-8000:]
        assert "ALL TESTS PASSED" in output
        # What the runner left out, or was renamed, would silently not run.
        assert re.search(rf"^\| {number}\S* +\| +PASSED ", output, re.MULTILINE), output[-3000:]
        if subtest:
            assert re.search(rf"\[ {subtest}.*: PASS", output), output[-3000:]
        return output
