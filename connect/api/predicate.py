"""Predicates: whether a transform is applied to a record (KIP-585)."""

from __future__ import annotations

import abc
from collections.abc import Mapping
from typing import Any

from connect.api.config_def import ConfigDef
from connect.api.connector import Plugin
from connect.api.records import ConnectRecord

__all__ = ["Predicate"]


class Predicate(Plugin, abc.ABC):
    def configure(self, configs: Mapping[str, Any]) -> None:
        """Called once before use; keys come without `predicates.<alias>.`."""

    @abc.abstractmethod
    def test(self, record: ConnectRecord) -> bool: ...

    @abc.abstractmethod
    def config_def(self) -> ConfigDef: ...

    def close(self) -> None: ...
