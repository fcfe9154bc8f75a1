"""Calls that block, away from the event loop.

Each runs in a daemon thread of its own: a plug-in that never returns costs one thread, and neither keeps
other calls waiting nor the process from ending.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

Result = TypeVar("Result")


async def run_blocking(function: Callable[..., Result], *args: Any) -> Result:
    future: Future[Result] = Future()

    def run() -> None:
        try:
            result = function(*args)
        except BaseException as error:
            if not future.cancelled():
                future.set_exception(error)
        else:
            if not future.cancelled():
                future.set_result(result)

    # Running futures cannot be cancelled, so a caller that gives up leaves the thread alone.
    future.set_running_or_notify_cancel()
    threading.Thread(target=run, name=f"call-{function.__name__}", daemon=True).start()
    return await asyncio.wrap_future(future)
