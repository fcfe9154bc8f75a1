"""Writes records in a thread of its own while the task's thread reads and converts the next ones.

In: the lists of records that `put` is given. Out: calls of the function that writes them, in the order in
which they came, several lists at a time when the database is the slower one. What must hold: after a failure
nothing more is written, and all that is not written is given back, in order; what waits is bounded.

It pays only where the database works in another process: while one batch is merged there, the next is
decoded here. The writing function gives the interpreter's lock up whenever it waits for the server.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from connect.api.data import Struct
from connect.api.records import SinkRecord

# What may wait while a batch is being written, whichever is reached first.
MOST_RECORDS = 3000
MOST_BYTES = 16 << 20


class WriteAhead:
    """`offer`, `settle`, `take_back` and `close` belong to the task's thread."""

    def __init__(self, write: Callable[[Sequence[SinkRecord]], None], name: str, batch_size: int) -> None:
        self._write = write
        self._most = max(MOST_RECORDS, batch_size)
        self._changed = threading.Condition()
        self._waiting: list[SinkRecord] = []
        self._waiting_bytes = 0
        self._writing: list[SinkRecord] = []
        self._error: BaseException | None = None
        self._closed = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def offer(self, records: Sequence[SinkRecord]) -> None:
        """Takes records over, after a wait for room. After a failure they only wait for `take_back`."""
        size = _about(records)
        with self._changed:
            self._changed.wait_for(lambda: self._error is not None or self._has_room(len(records), size))
            self._waiting += records
            self._waiting_bytes += size
            self._changed.notify_all()

    def _has_room(self, count: int, size: int) -> bool:
        return not self._waiting or (
            len(self._waiting) + count <= self._most and self._waiting_bytes + size <= MOST_BYTES
        )

    def settle(self) -> None:
        """Returns when everything is written, or something could not be."""
        with self._changed:
            self._changed.wait_for(lambda: self._error is not None or not (self._waiting or self._writing))

    def take_back(self) -> tuple[list[SinkRecord], BaseException] | None:
        """After a failure: everything that is not written, and the reason. Then it starts afresh."""
        with self._changed:
            if self._error is None:
                return None
            records, error = self._writing + self._waiting, self._error
            self._writing, self._waiting, self._waiting_bytes, self._error = [], [], 0, None
            return records, error

    def close(self) -> None:
        """Ends the thread after what it is writing; what waits is dropped."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._thread.join()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._closed or (self._waiting and self._error is None))
                if self._closed:
                    return
                self._writing, self._waiting = self._waiting[: self._most], self._waiting[self._most :]
                self._waiting_bytes = 0
                self._changed.notify_all()
            try:
                self._write(self._writing)
            except BaseException as error:
                with self._changed:
                    self._error = error
                    self._changed.notify_all()
            else:
                with self._changed:
                    self._writing = []
                    self._changed.notify_all()


def _about(records: Sequence[SinkRecord]) -> int:
    """A guess at the memory of records, from three of them."""
    if not records:
        return 0
    looked_at = (records[0], records[len(records) // 2], records[-1])
    return len(records) * max(_size(record.value) for record in looked_at)


def _size(value: object) -> int:
    if isinstance(value, str | bytes | bytearray):
        return len(value)
    if isinstance(value, Struct):
        return sum(map(_size, value.values()))
    if isinstance(value, dict):
        return sum(map(_size, value.values()))
    if isinstance(value, list | tuple):
        return sum(map(_size, value))
    return 8
