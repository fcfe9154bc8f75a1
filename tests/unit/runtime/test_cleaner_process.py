"""The pipe to the process that cleans."""

from __future__ import annotations

import fcntl
import os
import resource
from types import SimpleNamespace

from pybroker.runtime.cleaner_process import CleanerProcess


def test_a_broker_with_more_than_a_thousand_descriptors_hears_its_cleaner():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 2048), hard))
    try:
        reader, writer = os.pipe()
        high = fcntl.fcntl(reader, fcntl.F_DUPFD, 1500)
        os.close(reader)
        with open(high, "rb", buffering=0) as out:
            os.write(writer, (5).to_bytes(8, "big") + b"clean")
            task = SimpleNamespace(cancelled=False)
            assert CleanerProcess(None)._outcome(out, task) == b"clean"
            os.close(writer)
            assert CleanerProcess(None)._outcome(out, task) == b""
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
