"""FileStream source and sink: lines of a text file to a topic and back; the smallest complete connectors."""

from __future__ import annotations

from connect.file.sink import FileStreamSinkConnector
from connect.file.source import FileStreamSourceConnector

PLUGINS: tuple[type, ...] = (FileStreamSinkConnector, FileStreamSourceConnector)
