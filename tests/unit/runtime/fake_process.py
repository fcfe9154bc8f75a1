"""`pybroker start` around the fake broker; arguments: the ready file, then what is wrong, if anything."""

from __future__ import annotations

import sys
from pathlib import Path

from pybroker.common.errors import ConfigError, StorageError
from pybroker.runtime.main import RunningBroker
from pybroker.runtime.process import run_process
from tests.unit.runtime.test_main import make_config
from tests.unit.server.fake_broker import FakeBroker


class Broker(FakeBroker):
    def start(self):
        if "locked" in sys.argv:
            raise ConfigError("log directory /data is in use") from BlockingIOError(11, "/data/.lock")
        if "corrupt" in sys.argv:
            raise StorageError("meta.properties cannot be read")

    def shutdown(self):
        print("shut down", flush=True)


RunningBroker._make_broker = lambda self: Broker()
sys.exit(run_process(make_config(), in_memory=True, ready_file=Path(sys.argv[1])))
