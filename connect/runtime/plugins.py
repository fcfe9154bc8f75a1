"""Finds plug-ins: those of this package, those that installed packages announce, and those on `plugin.path`.

In: the worker's `plugin.path`. Out: a `PluginRegistry`. What must hold: one plug-in that cannot be loaded is
reported and left out; it does not keep the worker from starting.

Packages announce plug-ins by entry points of the group `connect.plugins`, each the name of a class or of a
module that has a `PLUGINS` tuple of classes. A folder of `plugin.path` holds modules and packages; each is
imported, and its `PLUGINS` (or, without it, all plug-in classes defined in it) are taken.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import inspect
import logging
import os
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, Final

from connect.api.errors import ConfigError, ConnectError
from connect.core.policies import (
    AllowedPaths,
    ConfigProvider,
    ConfigTransformer,
    DirectoryConfigProvider,
    EnvVarConfigProvider,
    FileConfigProvider,
    provider_settings,
)
from connect.core.registry import PluginRegistry, class_name, kinds_of, short_names
from connect.core.worker_config import WorkerConfig

log = logging.getLogger(__name__)

ENTRY_POINTS: Final = "connect.plugins"
_BUNDLED: Final = ("connect.converters", "connect.file", "connect.transforms", "connect.jdbc")


def load_plugins(plugin_path: Sequence[str] | None) -> PluginRegistry:
    registry = PluginRegistry()
    for name in _BUNDLED:
        if importlib.util.find_spec(name) is not None:
            _load(registry, name, lambda name=name: importlib.import_module(name))  # type: ignore[misc]
            # The JDBC connectors look for driver jars there.
            use_plugin_path = getattr(sys.modules.get(name), "use_plugin_path", None)
            if use_plugin_path is not None:
                use_plugin_path(plugin_path or ())
    for entry in importlib.metadata.entry_points(group=ENTRY_POINTS):
        _load(registry, entry.name, entry.load)
    for folder in plugin_path or ():
        _scan(registry, Path(folder.strip()))
    return registry


def _load(registry: PluginRegistry, name: str, load: Callable[[], Any]) -> None:
    try:
        found = load()
        for cls in _classes(found):
            registry.add(cls)
    except Exception:
        log.exception("Plug-in %s cannot be loaded and is left out", name)


def _classes(found: Any) -> Iterable[type]:
    if isinstance(found, type):
        return [found]
    if not isinstance(found, ModuleType):
        raise ConnectError(f"{found!r} is neither a class nor a module")
    announced = getattr(found, "PLUGINS", None)
    if announced is not None:
        return list(announced)
    return [
        value
        for value in vars(found).values()
        if isinstance(value, type)
        and value.__module__.split(".")[0] == found.__name__.split(".")[0]
        and kinds_of(value)
        and not inspect.isabstract(value)
    ]


def _scan(registry: PluginRegistry, folder: Path) -> None:
    if not folder.is_dir():
        log.warning("plugin.path: %s is no folder", folder)
        return
    if str(folder) not in sys.path:
        sys.path.append(str(folder))
    for item in sorted(folder.iterdir()):
        if item.suffix == ".py" or (item.is_dir() and (item / "__init__.py").exists()):
            name = item.stem
            _load(registry, str(item), lambda name=name: importlib.import_module(name))  # type: ignore[misc]


_PROVIDERS: Final = (FileConfigProvider, DirectoryConfigProvider, EnvVarConfigProvider)


def make_transformer(config: WorkerConfig) -> ConfigTransformer:
    """The configuration providers that the worker's configuration names. ConfigError for unknown ones."""
    known: dict[str, type] = {}
    for cls in _PROVIDERS:
        full = class_name(cls)
        for name in (full, *short_names(full)):
            known[name] = cls
    providers: dict[str, ConfigProvider] = {}
    for alias, (name, params) in provider_settings(config.strings, config["config.providers"]).items():
        found = known.get(name)
        if found is None:
            raise ConfigError(
                name=f"config.providers.{alias}.class",
                value=name,
                message=f"Class {name} could not be found.",
            )
        providers[alias] = _make_provider(found, params)
    return ConfigTransformer(providers)


def _make_provider(cls: type, params: Mapping[str, str]) -> ConfigProvider:
    if cls is EnvVarConfigProvider:
        return EnvVarConfigProvider(params.get("allowlist.pattern"), os.environ)
    paths = AllowedPaths(params.get("allowed.paths"), os.path.realpath)
    if cls is FileConfigProvider:
        return FileConfigProvider(paths, _read)
    return DirectoryConfigProvider(paths, _read, _names)


def _read(path: str) -> str:
    return Path(path).read_text(encoding="utf-8")


def _names(folder: str) -> list[str]:
    return sorted(item.name for item in Path(folder).iterdir() if item.is_file())
