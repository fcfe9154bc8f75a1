"""Cleaning passes in a process of their own: parsing millions of records would hold this one's interpreter.

In: a `CleaningPass`. Out: its result, or the OSError or CorruptionError that ended it. Started as a program,
this module is the other side: it reads a pickled (job, bytes per second) from its standard input, does the
pass at low priority and no faster than that, and writes the pickled outcome to its standard output.

What must hold: the process ends with the pass, when it is cancelled, and when the broker dies (its input
closes).
"""

from __future__ import annotations

import io
import logging
import os
import pickle
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Final, cast

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


def run_in_process(files: FileSystem, task: CleaningPass) -> CleaningResult:
    """Do a pass in another process; blocks. Where none can be started it is done here."""
    environment = dict(os.environ)
    package_root = str(Path(__file__).resolve().parents[2])
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, (package_root, environment.get("PYTHONPATH"))))
    try:
        process = subprocess.Popen(
            [sys.executable, "-m", __name__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
        )
    except OSError as error:
        logger.warning("no process for cleaning, it is done in a thread: %s", error)
        return run_here(files)(task)
    data = pickle.dumps((task.job, task.max_bytes_per_second))
    assert process.stdin is not None
    assert process.stdout is not None
    outcome: list[bytes] = []
    reader = threading.Thread(
        target=lambda out: outcome.append(out.read()), args=(process.stdout,), daemon=True
    )
    reader.start()
    try:
        # Its input stays open while the broker lives, so the length goes first.
        process.stdin.write(len(data).to_bytes(8, "big") + data)
        process.stdin.flush()
        while reader.is_alive():
            reader.join(_POLL_SECONDS)
            if task.cancelled:
                process.kill()
                raise InterruptedError("the cleaning pass was stopped")
    except BrokenPipeError:
        # It died: what it said, if anything, is looked at below.
        reader.join()
    finally:
        code = process.wait()
        process.stdin.close()
        process.stdout.close()
    if not outcome or not outcome[0]:
        raise OSError(f"the cleaning process ended with code {code} and no result")
    result = pickle.loads(outcome[0])
    if isinstance(result, BaseException):
        raise result
    assert isinstance(result, CleaningResult)
    return result


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
    stdin = cast(io.BufferedReader, sys.stdin.buffer)
    job, max_bytes_per_second = pickle.loads(stdin.read(int.from_bytes(stdin.read(8), "big")))

    def end_with_the_broker() -> None:
        # Unbuffered: a lock of the buffer, held at the end of the process, would make that end badly.
        stdin.raw.read(1)
        os._exit(1)

    threading.Thread(target=end_with_the_broker, daemon=True).start()
    outcome: CleaningResult | Exception
    try:
        outcome = _throttled(job, max_bytes_per_second)
    except (OSError, CorruptionError) as error:
        outcome = error
    sys.stdout.buffer.write(pickle.dumps(outcome))
    sys.stdout.buffer.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
