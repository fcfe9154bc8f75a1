"""One broker as a process: logging, signals, the ready line, the exit status.

In: a configuration. Out: the exit status. What must hold: the ready line and the ready file come only when
connections are accepted; SIGTERM and SIGINT end it cleanly, a second signal ends it at once.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from pybroker.common.errors import ConfigError, InvariantError, PybrokerError
from pybroker.runtime.main import RunningBroker, new_event_loop
from pybroker.runtime.memory import keep_freed_memory
from pybroker.server.listener import format_address
from pybroker.version import VERSION

if TYPE_CHECKING:
    from pybroker.common.config import BrokerConfig
    from pybroker.common.files import FileSystem

logger = logging.getLogger("pybroker")


def run_process(config: BrokerConfig, *, in_memory: bool = False, ready_file: Path | None = None) -> int:
    """Run a broker until a signal; returns the exit status. ConfigError passes to the caller."""
    set_up_logging()
    keep_freed_memory()
    log_unused(config)
    loop = new_event_loop()
    asyncio.set_event_loop(loop)
    try:
        return loop.run_until_complete(_run(config, in_memory, ready_file))
    finally:
        loop.close()


def set_up_logging(level: int = logging.INFO) -> None:
    """key=value lines on standard error."""
    # Neither is ever printed, and both cost a call per line.
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    logging.basicConfig(
        stream=sys.stderr,
        level=level,
        format="%(asctime)s.%(msecs)03d %(levelname)s %(name)s %(message)s",
        datefmt="%Y-%m-%dT%H:%M:%S",
    )


def log_unused(config: BrokerConfig) -> None:
    """Name, in one line, the properties that are accepted but do nothing here."""
    if config.unused:
        logger.warning("properties without effect names=%s", ",".join(config.unused))


async def _run(config: BrokerConfig, in_memory: bool, ready_file: Path | None) -> int:
    loop = asyncio.get_running_loop()
    files: FileSystem
    if in_memory:
        from pybroker.common.memory_files import MemoryFileSystem

        files = MemoryFileSystem()
    else:
        from pybroker.runtime.disk import DiskFileSystem

        files = DiskFileSystem()
    raise_file_limit()
    running = RunningBroker(config, files, in_memory=in_memory)
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, _on_signal, running, number)
    try:
        await running.start()
    except InvariantError:
        raise
    except (OSError, PybrokerError) as error:
        in_use = isinstance(error, BlockingIOError) or isinstance(error.__cause__, BlockingIOError)
        if isinstance(error, ConfigError) and not in_use:
            raise
        print(f"pybroker: cannot start: {error}", file=sys.stderr)
        return 1
    if running.ended.is_set():
        await running.stop()
        return 0 if running.fatal is None else 1
    # What exists now stays: the collector need not look at it again. And requests make few cycles.
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 25, 50)
    address = format_address(*running.address)
    if ready_file is not None:
        write_ready_file(ready_file, address)
    print(
        f"pybroker {VERSION} ready: {address} "
        f"(node {running.broker.node_id}, cluster {running.broker.cluster_id})",
        flush=True,
    )
    if running.http_address is not None:
        logger.info("health and metrics address=%s", running.http_address)
    await running.ended.wait()
    await running.stop()
    if ready_file is not None:
        ready_file.unlink(missing_ok=True)
    return 0 if running.fatal is None else 1


def _on_signal(running: RunningBroker, number: int) -> None:
    if running.ended.is_set():
        # The second one means it.
        os._exit(128 + number)
    logger.info("stopping signal=%s", signal.Signals(number).name)
    running.ended.set()


def write_ready_file(path: Path, address: str) -> None:
    """Whole or not at all: whoever waits for the file must not read half of it."""
    temporary = path.with_name(path.name + ".tmp")
    temporary.write_text(address + "\n", encoding="ascii")
    os.replace(temporary, path)


def raise_file_limit() -> None:
    """Every connection and every segment is a descriptor: take as many as the system allows."""
    try:
        import resource

        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        if soft < hard:
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    except (ImportError, OSError, ValueError):
        logger.warning("the limit of open files could not be raised")
