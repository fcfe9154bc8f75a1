"""Cleaning passes in a process of their own: parsing millions of records would hold this one's interpreter.

In: a `CleaningPass`. Out: its result, or the OSError or CorruptionError that ended it. Started as a program,
this module is the other side: it reads pickled (job, bytes per second) from its standard input, does one pass
after the other at low priority and no faster than that, and writes the pickled outcomes to its standard
output. A length of eight bytes goes before each.

What must hold: the process ends when nothing has come for a while, when its pass is cancelled, and when the
broker dies (its input closes).
"""

from __future__ import annotations

import gc
import io
import logging
import os
import pickle
import queue
import select
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import IO, Final, cast

from pybroker.common.errors import CorruptionError
from pybroker.common.files import FileSystem
from pybroker.log.cleaner.cleaner import CleaningPass, run_here
from pybroker.log.cleaner.cleaning import CleaningJob, CleaningResult, clean
from pybroker.runtime.disk import DiskFileSystem

logger = logging.getLogger("pybroker.runtime")

_POLL_SECONDS: Final = 0.2
_NICE: Final = 10
# A throttled pass sleeps when it is ahead by this much.
_PAUSE_SECONDS: Final = 0.02
# A process without work stays so long: starting one costs more than a pass over a small log.
_IDLE_SECONDS: Final = 3.0


class CleanerProcess:
    """The process, started when there is a pass to do. `run` blocks; `close` at the end."""

    def __init__(self, files: FileSystem) -> None:
        self._files = files
        self._process: subprocess.Popen[bytes] | None = None

    def run(self, task: CleaningPass) -> CleaningResult:
        """Do a pass in the other process. Where none can be started it is done here."""
        data = pickle.dumps((task.job, task.max_bytes_per_second))
        outcome = b""
        # One that was there may have ended just now for want of work.
        for _ in range(2):
            was_there = self._process is not None
            try:
                process = self._process or self._start()
            except OSError as error:
                logger.warning("no process for cleaning, it is done in a thread: %s", error)
                return run_here(self._files)(task)
            self._process = process
            assert process.stdin is not None
            assert process.stdout is not None
            try:
                left = memoryview(len(data).to_bytes(8, "big") + data)
                while left:
                    left = left[process.stdin.write(left) :]
                outcome = self._outcome(process.stdout, task)
            except BrokenPipeError:
                outcome = b""
            except BaseException:
                self.close()
                raise
            if outcome:
                break
            code = self.close()
            if not was_there:
                raise OSError(f"the cleaning process ended with code {code} and no result")
        result = pickle.loads(outcome)
        if isinstance(result, BaseException):
            raise result
        assert isinstance(result, CleaningResult)
        return result

    def _start(self) -> subprocess.Popen[bytes]:
        environment = dict(os.environ)
        package_root = str(Path(__file__).resolve().parents[2])
        paths = filter(None, (package_root, environment.get("PYTHONPATH")))
        environment["PYTHONPATH"] = os.pathsep.join(paths)
        return subprocess.Popen(
            [sys.executable, "-m", __name__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
            bufsize=0,
        )

    def _outcome(self, out: IO[bytes], task: CleaningPass) -> bytes:
        """What the process answers; empty when it ended without. InterruptedError: the pass is cancelled."""
        found = b""
        wanted = 8
        # Not select(): a broker with many files has descriptors beyond 1023.
        poll = select.poll()
        poll.register(out, select.POLLIN)
        while len(found) < wanted:
            if task.cancelled:
                raise InterruptedError("the cleaning pass was stopped")
            if not poll.poll(_POLL_SECONDS * 1000):
                continue
            # Unbuffered: what is there, not all that was asked for.
            piece = out.read(wanted - len(found))
            if not piece:
                return b""
            found += piece
            if len(found) == 8:
                wanted = 8 + int.from_bytes(found, "big")
        return found[8:]

    def reap(self) -> None:
        """To be called between passes: forget the process if it has ended."""
        if self._process is not None and self._process.poll() is not None:
            self.close()

    def close(self) -> int | None:
        """End the process, whatever it does; its status."""
        process, self._process = self._process, None
        if process is None:
            return None
        process.kill()
        code = process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()
        return code


def _throttled(job: CleaningJob, max_bytes_per_second: float) -> CleaningResult:
    steps = clean(DiskFileSystem(), job)
    started = time.monotonic()
    done_bytes = 0
    while True:
        try:
            done_bytes += next(steps)
        except StopIteration as end:
            result: CleaningResult = end.value
            return result
        ahead = done_bytes / max_bytes_per_second - (time.monotonic() - started)
        if ahead > _PAUSE_SECONDS:
            time.sleep(ahead)


def main() -> int:
    """The other side."""
    os.nice(_NICE)
    # A pass makes millions of objects and no cycles.
    gc.disable()
    # Unbuffered: a lock of the buffer, held at the end of the process, would make that end badly.
    stdin = cast(io.BufferedReader, sys.stdin.buffer).raw
    jobs: queue.Queue[bytes] = queue.Queue()

    def exactly(count: int) -> bytes:
        found = b""
        while len(found) < count:
            piece = stdin.read(count - len(found))
            if not piece:
                # The broker is gone, and nobody wants what is being done.
                os._exit(1)
            found += piece
        return found

    def listen() -> None:
        while True:
            jobs.put(exactly(int.from_bytes(exactly(8), "big")))

    threading.Thread(target=listen, daemon=True).start()
    while True:
        try:
            job, max_bytes_per_second = pickle.loads(jobs.get(timeout=_IDLE_SECONDS))
        except queue.Empty:
            return 0
        outcome: CleaningResult | Exception
        try:
            outcome = _throttled(job, max_bytes_per_second)
        except (OSError, CorruptionError) as error:
            outcome = error
        data = pickle.dumps(outcome)
        sys.stdout.buffer.write(len(data).to_bytes(8, "big") + data)
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    sys.exit(main())
