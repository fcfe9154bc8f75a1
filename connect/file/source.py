"""Lines of a file, or of standard input, as records.

In: `file`, `topic`, `batch.size`. Out: one record per complete line, its value the text without the line's
end; the offset is the position in bytes behind the line. What must hold: a line is sent only when its end
has been written, so a file that grows is read line by line, each once; a file that does not exist yet is
waited for.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from typing import Any, BinaryIO, Final

from connect.api.config_def import ConfigDef, Importance, Type, non_empty_string
from connect.api.data import STRING_SCHEMA
from connect.api.errors import ConnectError
from connect.api.source import ExactlyOnceSupport, SourceConnector, SourceRecord, SourceTask

FILENAME: Final = "filename"
POSITION: Final = "position"
_POLL_WAIT_S: Final = 1.0
_READ_SIZE: Final = 1 << 16

CONFIG: Final = (
    ConfigDef()
    .define(
        "file",
        Type.STRING,
        None,
        importance=Importance.HIGH,
        doc="The file to read. Standard input when it is not given.",
    )
    .define(
        "topic",
        Type.STRING,
        validator=non_empty_string,
        importance=Importance.HIGH,
        doc="The topic to write to.",
    )
    .define(
        "batch.size",
        Type.INT,
        2000,
        importance=Importance.LOW,
        doc="The most lines that are handed on at once.",
    )
)


class FileStreamSourceConnector(SourceConnector):
    java_class_name = "org.apache.kafka.connect.file.FileStreamSourceConnector"
    version = "4.3.0"

    def start(self, props: dict[str, str]) -> None:
        CONFIG.parse(props)
        self._props = props

    def task_class(self) -> type[SourceTask]:
        return FileStreamSourceTask

    def task_configs(self, max_tasks: int) -> list[dict[str, str]]:
        # One file has one reader.
        return [dict(self._props)]

    def stop(self) -> None: ...

    def config_def(self) -> ConfigDef:
        return CONFIG

    def exactly_once_support(self, props: dict[str, str]) -> ExactlyOnceSupport:
        named = CONFIG.parse(props)["file"]
        return ExactlyOnceSupport.SUPPORTED if named else ExactlyOnceSupport.UNSUPPORTED

    def alter_offsets(self, props: dict[str, str], offsets: dict[Any, dict[str, Any] | None]) -> bool:
        if not CONFIG.parse(props)["file"]:
            raise ConnectError(
                "Offsets cannot be modified if the 'file' configuration is unspecified. This is because "
                "stdin is used for input and offsets are not tracked."
            )
        for partition, offset in offsets.items():
            if offset is None:
                continue  # Whatever was stored may be cleaned up.
            if POSITION not in offset:
                raise ConnectError("Offset objects should either be null or contain the key 'position'")
            position = offset[POSITION]
            if not isinstance(position, int) or isinstance(position, bool):
                raise ConnectError(
                    "The value for the 'position' key in the offset is expected to be a Long value"
                )
            if position < 0:
                raise ConnectError(
                    "The value for the 'position' key in the offset should be a non-negative value"
                )
            if not partition:
                raise ConnectError("Partition objects cannot be null")
            if FILENAME not in partition:
                raise ConnectError("Partition objects should contain the key 'filename'")
        return True


class FileStreamSourceTask(SourceTask):
    java_class_name = "org.apache.kafka.connect.file.FileStreamSourceTask"
    version = "4.3.0"

    def __init__(self) -> None:
        self._stopping = threading.Event()
        self._stream: BinaryIO | None = None
        self._buffer = b""
        self._position: int | None = None
        self._filename: str | None = None

    def start(self, props: dict[str, str]) -> None:
        parsed = CONFIG.parse(props)
        self._filename = parsed["file"] or None
        self._topic: str = parsed["topic"]
        self._batch_size: int = max(1, parsed["batch.size"])
        if self._filename is None:
            self._stream = sys.stdin.buffer

    def poll(self) -> list[SourceRecord] | None:
        if self._stream is None and not self._open():
            self._stopping.wait(_POLL_WAIT_S)
            return None
        records = self._take_lines()
        if not records:
            self._stopping.wait(_POLL_WAIT_S)
        return records or None

    def _open(self) -> bool:
        assert self._filename is not None
        try:
            stream = open(self._filename, "rb")  # noqa: SIM115 - kept open between polls.
        except FileNotFoundError:
            return False
        except OSError as error:
            raise ConnectError(f"Cannot open {self._filename}: {error}") from error
        stored = self.context.offset_storage_reader().offset({FILENAME: self._filename})
        position = (stored or {}).get(POSITION) or 0
        if not isinstance(position, int) or isinstance(position, bool):
            stream.close()
            raise ConnectError("Offset position is the incorrect type")
        stream.seek(position)
        self._stream, self._position, self._buffer = stream, position, b""
        return True

    def _take_lines(self) -> list[SourceRecord]:
        assert self._stream is not None
        records: list[SourceRecord] = []
        now = int(time.time() * 1000)
        while len(records) < self._batch_size and not self._stopping.is_set():
            line, size = _split_line(self._buffer)
            if size == 0:
                if self._filename is None:
                    chunk = os.read(self._stream.fileno(), _READ_SIZE)
                else:
                    chunk = self._stream.read(_READ_SIZE)
                if not chunk:
                    break
                self._buffer += chunk
                continue
            self._buffer = self._buffer[size:]
            if self._position is not None:
                self._position += size
            records.append(
                SourceRecord(
                    {FILENAME: self._filename},
                    {POSITION: self._position},
                    self._topic,
                    None,
                    None,
                    None,
                    STRING_SCHEMA,
                    line.decode("utf-8", "replace"),
                    now,
                )
            )
        return records

    def stop(self) -> None:
        self._stopping.set()

    def close(self) -> None:
        if self._stream is not None and self._filename is not None:
            self._stream.close()


def _split_line(buffer: bytes) -> tuple[bytes, int]:
    """The first line and how many bytes it takes with its end; 0 bytes when no line is complete."""
    newline, carriage = buffer.find(b"\n"), buffer.find(b"\r")
    if carriage >= 0 and (newline < 0 or carriage < newline):
        if carriage + 1 == len(buffer):
            return b"", 0  # Whether a line feed follows is not known yet.
        return buffer[:carriage], carriage + (2 if buffer[carriage + 1 : carriage + 2] == b"\n" else 1)
    return (buffer[:newline], newline + 1) if newline >= 0 else (b"", 0)
