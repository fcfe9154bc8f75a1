"""A broker inside a Python process: `with Broker() as broker: ... broker.bootstrap_servers`.

In: a directory or none (memory), and properties. Out: a bootstrap address. The broker runs on an event loop
of its own, in a thread of its own, with the same code as `pybroker start`. Several can run in one process.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
from collections.abc import Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Self

# The rooms come with this module, so that the first start is as quick as the others.
import pybroker.broker  # noqa: F401
from pybroker.common.config import BrokerConfig
from pybroker.common.memory_files import MemoryFileSystem
from pybroker.runtime.disk import DiskFileSystem
from pybroker.runtime.main import RunningBroker, new_event_loop
from pybroker.server.listener import format_address

if TYPE_CHECKING:
    from pybroker.common.files import FileSystem

_START_TIMEOUT_SECONDS = 60.0
_STOP_TIMEOUT_SECONDS = 30.0


class Broker:
    """An embedded broker. It runs from `start()`, or the beginning of `with`, to `stop()`; more than once."""

    def __init__(
        self,
        data_dir: str | os.PathLike[str] | None = None,
        *,
        listen: str = "127.0.0.1:0",
        config: Mapping[str, object] | None = None,
    ) -> None:
        """`data_dir` None keeps everything in memory. `listen` is HOST:PORT, port 0 takes a free one.

        `config` has Kafka's property names. Raises ConfigError for a wrong one, here and not at start.
        """
        properties = {
            key: str(value).lower() if isinstance(value, bool) else str(value)
            for key, value in (config or {}).items()
        }
        properties.setdefault("listeners", f"PLAINTEXT://{listen}")
        if data_dir is not None:
            properties["log.dirs"] = os.path.abspath(os.fspath(data_dir))
        self._config = BrokerConfig.from_properties(properties)
        self._in_memory = data_dir is None
        self._memory: MemoryFileSystem | None = None
        self._thread: threading.Thread | None = None
        self._started = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._running: RunningBroker | None = None
        self._error: BaseException | None = None
        self._address: tuple[str, int] | None = None

    @property
    def bootstrap_servers(self) -> str:
        """HOST:PORT for clients."""
        return format_address(*self._known_address())

    @property
    def host(self) -> str:
        return self._known_address()[0]

    @property
    def port(self) -> int:
        return self._known_address()[1]

    def _known_address(self) -> tuple[str, int]:
        if self._address is None:
            raise RuntimeError("the broker is not running")
        return self._address

    def start(self) -> Broker:
        """Returns when it serves. Raises what prevented it: OSError, StorageError, ConfigError."""
        if self._thread is not None:
            raise RuntimeError("the broker is running already")
        self._error = None
        self._started.clear()
        self._thread = threading.Thread(target=self._run, name="pybroker", daemon=True)
        self._thread.start()
        if not self._started.wait(_START_TIMEOUT_SECONDS):
            raise TimeoutError("the broker did not start in time")
        if self._error is not None:
            self._thread.join()
            self._thread = None
            raise self._error
        return self

    def stop(self) -> None:
        """Stop cleanly; harmless when not running. Raises the error that broke the broker, if one did."""
        thread, self._thread = self._thread, None
        if thread is None:
            return
        loop, running = self._loop, self._running
        if loop is not None and running is not None and thread.is_alive():
            # The loop may have ended by itself just now.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(running.ended.set)
        thread.join(_STOP_TIMEOUT_SECONDS)
        self._address = None
        if thread.is_alive():
            raise TimeoutError("the broker did not stop in time")
        if self._error is not None:
            raise self._error

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def _run(self) -> None:
        loop = self._loop = new_event_loop()
        try:
            loop.run_until_complete(self._serve())
        except BaseException as error:
            # Handed to whoever waits in start() or stop().
            self._error = error
        finally:
            self._started.set()
            loop.close()
            self._loop = self._running = None

    async def _serve(self) -> None:
        if self._in_memory:
            # Kept, so that a broker that is started again finds what it had.
            self._memory = self._memory or MemoryFileSystem()
            await self._serve_on(self._memory)
            return
        files = DiskFileSystem()
        try:
            await self._serve_on(files)
        finally:
            # What a broken broker has left locked must not outlive it in this process.
            files.close()

    async def _serve_on(self, files: FileSystem) -> None:
        running = self._running = RunningBroker(self._config, files, in_memory=self._in_memory)
        await running.start()
        self._address = running.address
        self._started.set()
        await running.ended.wait()
        await running.stop()
        if running.fatal is not None:
            raise running.fatal
