"""Kafka's predicates."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from connect.api.config_def import ConfigDef, Importance, Type, non_empty_string
from connect.api.predicate import Predicate
from connect.api.records import ConnectRecord
from connect.core import regex
from connect.transforms.base import PACKAGE
from connect.transforms.records import require_regex


class _Base(Predicate):
    version = "4.3.0"
    definition: ClassVar[ConfigDef] = ConfigDef()

    def config_def(self) -> ConfigDef:
        return self.definition

    def configure(self, configs: Mapping[str, Any]) -> None:
        self.settings = self.definition.parse(configs)


class HasHeaderKey(_Base):
    java_class_name = PACKAGE + "predicates.HasHeaderKey"
    definition = ConfigDef().define(
        "name",
        Type.STRING,
        importance=Importance.MEDIUM,
        validator=non_empty_string,
        doc="The header's name.",
    )

    def test(self, record: ConnectRecord) -> bool:
        return record.headers.last_with_name(self.settings["name"]) is not None


class RecordIsTombstone(_Base):
    java_class_name = PACKAGE + "predicates.RecordIsTombstone"

    def test(self, record: ConnectRecord) -> bool:
        return record.value is None


class TopicNameMatches(_Base):
    java_class_name = PACKAGE + "predicates.TopicNameMatches"
    definition = ConfigDef().define(
        "pattern",
        Type.STRING,
        importance=Importance.MEDIUM,
        validator=require_regex,
        doc="A Java regular expression for the whole topic name.",
    )

    def configure(self, configs: Mapping[str, Any]) -> None:
        super().configure(configs)
        self._pattern = regex.compile_java(self.settings["pattern"])

    def test(self, record: ConnectRecord) -> bool:
        return record.topic is not None and self._pattern.fullmatch(record.topic) is not None


PLUGINS: tuple[type, ...] = (HasHeaderKey, RecordIsTombstone, TopicNameMatches)
