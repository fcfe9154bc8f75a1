"""The plug-ins that a worker knows, by every name that a configuration may use for them.

In: plug-in classes (`add`). Out: a class for a kind and a name, or an error in Kafka's words. What must hold:
names are unique per kind, the first class that claims a name keeps it; nothing is imported here.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from typing import Any, Final, NamedTuple

from connect.api.connector import Connector
from connect.api.converter import Converter, HeaderConverter
from connect.api.errors import ConnectError
from connect.api.predicate import Predicate
from connect.api.sink import SinkConnector
from connect.api.source import SourceConnector
from connect.api.transform import Transformation
from connect.core import versions

SINK: Final = "sink"
SOURCE: Final = "source"
TRANSFORMATION: Final = "transformation"
PREDICATE: Final = "predicate"
CONVERTER: Final = "converter"
HEADER_CONVERTER: Final = "header_converter"
CONFIG_PROVIDER: Final = "configprovider"
OVERRIDE_POLICY: Final = "connectorclientconfigoverridepolicy"
REST_EXTENSION: Final = "restextension"

# The order in which GET /connector-plugins lists them.
LISTED_KINDS: Final = (SINK, SOURCE, TRANSFORMATION, PREDICATE, CONVERTER, HEADER_CONVERTER)

_BASES: Final[dict[str, type]] = {
    SINK: SinkConnector,
    SOURCE: SourceConnector,
    TRANSFORMATION: Transformation,
    PREDICATE: Predicate,
    CONVERTER: Converter,
    HEADER_CONVERTER: HeaderConverter,
}
_SUFFIXES: Final = (
    "Connector",
    "HeaderConverter",
    "Converter",
    "ConfigProvider",
    "ConnectorClientConfigOverridePolicy",
)


class PluginNotFoundError(ConnectError):
    """No plug-in has that name."""


class PluginVersionError(ConnectError):
    """The plug-in exists, but not in a version that was asked for."""


class PluginInfo(NamedTuple):
    kind: str
    class_name: str
    version: str
    cls: type


def class_name(cls: type) -> str:
    """The name under which the REST API shows a class: that of its Java twin, if it has one."""
    java_name = getattr(cls, "java_class_name", None)
    if isinstance(java_name, str):
        return java_name
    return f"{cls.__module__}.{cls.__qualname__.replace('.', '$')}"


def short_names(full_name: str) -> list[str]:
    """The simple name, and the simple name without the suffix that says what it is. None for nested ones."""
    simple = full_name.rpartition(".")[2]
    if "$" in simple:
        return []
    names = [simple]
    for suffix in _SUFFIXES:
        if simple.endswith(suffix) and simple != suffix:
            names.append(simple.removesuffix(suffix))
            break
    return names


def kinds_of(cls: type) -> list[str]:
    return [kind for kind, base in _BASES.items() if issubclass(cls, base)]


class PluginRegistry:
    def __init__(self) -> None:
        self._by_name: dict[str, dict[str, type]] = {}
        self._listed: dict[str, list[PluginInfo]] = {}

    def add(self, cls: type, kinds: Iterable[str] | None = None) -> None:
        """Makes a class known. ConnectError for an abstract one, or one that is no plug-in."""
        found = list(kinds) if kinds is not None else kinds_of(cls)
        if not found:
            raise ConnectError(f"{class_name(cls)} is no plug-in")
        if inspect.isabstract(cls):
            raise ConnectError(f"{class_name(cls)} is abstract")
        shown = class_name(cls)
        names = [shown, f"{cls.__module__}.{cls.__qualname__}", *getattr(cls, "aliases", ())]
        for name in list(names):
            names.extend(short_names(name))
        for kind in found:
            table = self._by_name.setdefault(kind, {})
            if table.get(shown) is cls:
                continue
            for name in names:
                table.setdefault(name, cls)
            info = PluginInfo(kind, shown, str(getattr(cls, "version", "undefined")), cls)
            self._listed.setdefault(kind, []).append(info)

    def listed(self, kind: str) -> list[PluginInfo]:
        return sorted(self._listed.get(kind, []), key=lambda info: info.class_name)

    def find(self, kind: str, name: str) -> type[Any] | None:
        return self._by_name.get(kind, {}).get(name)

    def find_any(self, name: str) -> PluginInfo | None:
        """A plug-in of whatever kind."""
        for kind in (*LISTED_KINDS, CONFIG_PROVIDER, OVERRIDE_POLICY, REST_EXTENSION):
            cls = self.find(kind, name)
            if cls is not None:
                return PluginInfo(kind, class_name(cls), str(getattr(cls, "version", "undefined")), cls)
        return None

    def connector_class(self, name: str, requirement: str | None = None) -> type[Connector]:
        """PluginNotFoundError that lists the connectors there are; PluginVersionError."""
        cls = self.find(SINK, name) or self.find(SOURCE, name)
        if cls is None:
            known = ", ".join(
                f"PluginDesc{{klass=class {info.class_name}, name='{info.class_name}', "
                f"version='{info.version}', type={info.kind}}}"
                for kind in (SINK, SOURCE)
                for info in self.listed(kind)
            )
            raise PluginNotFoundError(
                f"Failed to find any class that implements Connector and which name matches {name}, "
                f"available connectors are: {known}"
            )
        self.require_version(cls, requirement)
        return cls

    def require_version(self, cls: type, requirement: str | None) -> None:
        version = str(getattr(cls, "version", "undefined"))
        if not versions.meets(version, requirement):
            raise PluginVersionError(
                f"Plugin {class_name(cls)} not found that matches the version range {requirement}, "
                f"available versions: [{version}]"
            )
