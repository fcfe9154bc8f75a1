"""Single message transforms: a record in, the changed record or None (dropped) out.

What must hold: the given record is not changed, `record.new_record(...)` makes the changed copy; one instance
serves one task, in one thread.
"""

from __future__ import annotations

import abc
from collections.abc import Mapping
from typing import Any

from connect.api.config_def import ConfigDef
from connect.api.connector import Plugin
from connect.api.records import ConnectRecord

__all__ = ["Transformation"]


class Transformation(Plugin, abc.ABC):
    def configure(self, configs: Mapping[str, Any]) -> None:
        """Called once before use; keys come without `transforms.<alias>.`."""

    @abc.abstractmethod
    def apply(self, record: ConnectRecord) -> ConnectRecord | None: ...

    @abc.abstractmethod
    def config_def(self) -> ConfigDef: ...

    def close(self) -> None: ...
