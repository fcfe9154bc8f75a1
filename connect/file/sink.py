"""Records as lines of a file, or on standard output: the text of each value and a line feed."""

from __future__ import annotations

import os
import sys
from typing import BinaryIO, Final

from connect.api.config_def import ConfigDef, Importance, Type
from connect.api.data import value_to_text
from connect.api.errors import ConnectError
from connect.api.sink import SinkConnector, SinkRecord, SinkTask, TopicPartition

CONFIG: Final = ConfigDef().define(
    "file",
    Type.STRING,
    None,
    importance=Importance.HIGH,
    doc="The file to write to. Standard output when it is not given.",
)


class FileStreamSinkConnector(SinkConnector):
    java_class_name = "org.apache.kafka.connect.file.FileStreamSinkConnector"
    version = "4.3.0"

    def start(self, props: dict[str, str]) -> None:
        CONFIG.parse(props)
        self._props = props

    def task_class(self) -> type[SinkTask]:
        return FileStreamSinkTask

    def task_configs(self, max_tasks: int) -> list[dict[str, str]]:
        return [dict(self._props) for _ in range(max_tasks)]

    def stop(self) -> None: ...

    def config_def(self) -> ConfigDef:
        return CONFIG

    def alter_offsets(self, props: dict[str, str], offsets: dict[TopicPartition, int | None]) -> bool:
        # No offsets of its own are kept.
        return True


class FileStreamSinkTask(SinkTask):
    java_class_name = "org.apache.kafka.connect.file.FileStreamSinkTask"
    version = "4.3.0"

    def __init__(self) -> None:
        self._stream: BinaryIO | None = None
        self._filename: str | None = None

    def start(self, props: dict[str, str]) -> None:
        self._filename = CONFIG.parse(props)["file"] or None
        if self._filename is None:
            self._stream = sys.stdout.buffer
            return
        try:
            self._stream = open(self._filename, "ab")  # noqa: SIM115 - closed in stop.
        except OSError as error:
            raise ConnectError(
                f"Couldn't find or create file '{self._filename}' for FileStreamSinkTask: {error}"
            ) from error

    def put(self, records: list[SinkRecord]) -> None:
        assert self._stream is not None
        self._stream.write(b"".join(value_to_text(record.value).encode() + b"\n" for record in records))

    def flush(self, offsets: dict[TopicPartition, int]) -> None:
        assert self._stream is not None
        self._stream.flush()
        if self._filename is not None:
            os.fsync(self._stream.fileno())

    def stop(self) -> None:
        if self._stream is not None and self._filename is not None:
            self._stream.close()
