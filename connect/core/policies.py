"""Which client settings connectors may override, and where secrets in configurations come from.

In: names and values of overrides, and texts with `${provider:path:key}`. Out: errors at overrides that a
policy does not allow; resolved texts. What must hold: what a provider may read is decided by the worker's
configuration alone, never by a connector's.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any, Final, Protocol

from connect.api.config_def import ConfigValue
from connect.api.errors import ConfigError
from connect.core.worker_config import parse_properties

_PACKAGE: Final = "org.apache.kafka.connect.connector.policy."
_POLICY_NAMES: Final = ("All", "None", "Principal", "Allowlist")
_PRINCIPAL: Final = ("sasl.jaas.config", "sasl.mechanism", "security.protocol")


def override_policy(
    name: str, allowlist: Sequence[str]
) -> Callable[[str, Mapping[str, Any]], list[ConfigValue]]:
    """The policy of that name (short, with suffix, or Java's full name). ConfigError for an unknown one."""
    short = name.removeprefix(_PACKAGE).removesuffix("ConnectorClientConfigOverridePolicy")
    if short not in _POLICY_NAMES:
        raise ConfigError(
            name="connector.client.config.override.policy",
            value=name,
            message=f"Unknown policy; known are {', '.join(_POLICY_NAMES)}",
        )
    allowed = {"All": None, "None": (), "Principal": _PRINCIPAL, "Allowlist": tuple(allowlist)}[short]

    def check(client: str, overrides: Mapping[str, Any]) -> list[ConfigValue]:
        result = []
        for key, value in overrides.items():
            checked = ConfigValue(key, value)
            if allowed is not None and key not in allowed:
                checked.add_error_message(
                    f"The '{short}' policy does not allow '{key}' to be overridden in the connector "
                    "configuration."
                )
            result.append(checked)
        return result

    return check


class ConfigProvider(Protocol):
    """Looks keys up at a path. ConfigError when the path is not allowed or cannot be read."""

    def get(self, path: str) -> Mapping[str, str]: ...


ReadFile = Callable[[str], str]
ListFolder = Callable[[str], list[str]]


class AllowedPaths:
    """`allowed.paths`: folders and files that a provider may read; without the setting, everything. Symbolic
    links are followed before the comparison."""

    def __init__(self, setting: str | None, resolve: Callable[[str], str]) -> None:
        self._resolve = resolve
        self._allowed: list[PurePosixPath] | None = None
        if setting:
            self._allowed = []
            for path in setting.split(","):
                if not PurePosixPath(path.strip()).is_absolute():
                    raise ConfigError(f"Path {path.strip()} of allowed.paths is not absolute")
                self._allowed.append(PurePosixPath(resolve(path.strip())))

    def check(self, path: str) -> str:
        resolved = PurePosixPath(self._resolve(path))
        if self._allowed is not None and not any(resolved.is_relative_to(root) for root in self._allowed):
            raise ConfigError(f"The path {path} is not allowed by allowed.paths")
        return str(resolved)


class FileConfigProvider:
    """Keys of a properties file."""

    java_class_name = "org.apache.kafka.common.config.provider.FileConfigProvider"

    def __init__(self, paths: AllowedPaths, read: ReadFile) -> None:
        self._paths, self._read = paths, read

    def get(self, path: str) -> Mapping[str, str]:
        if not path:
            return {}
        try:
            return parse_properties(self._read(self._paths.check(path)))
        except OSError as error:
            raise ConfigError(f"Could not read properties from file {path}: {error.strerror}") from error


class DirectoryConfigProvider:
    """One file per key in a folder; the key is the file's name, the value all of its text."""

    java_class_name = "org.apache.kafka.common.config.provider.DirectoryConfigProvider"

    def __init__(self, paths: AllowedPaths, read: ReadFile, names: ListFolder) -> None:
        self._paths, self._read, self._names = paths, read, names

    def get(self, path: str) -> Mapping[str, str]:
        if not path:
            return {}
        folder = self._paths.check(path)
        try:
            found = {}
            for name in self._names(folder):
                inside = str(PurePosixPath(folder) / name)
                self._paths.check(inside)
                found[name] = self._read(inside)
            return found
        except OSError as error:
            raise ConfigError(f"Could not list directory {path}: {error.strerror}") from error


class EnvVarConfigProvider:
    """Environment variables whose names match `allowlist.pattern`."""

    java_class_name = "org.apache.kafka.common.config.provider.EnvVarConfigProvider"

    def __init__(self, pattern: str | None, environment: Mapping[str, str]) -> None:
        compiled = re.compile(pattern or ".*")
        self._values = {name: value for name, value in environment.items() if compiled.fullmatch(name)}

    def get(self, path: str) -> Mapping[str, str]:
        if path:
            raise ConfigError(f"EnvVarConfigProvider takes no path, but got {path!r}")
        return self._values


_REFERENCE: Final = re.compile(r"\$\{([^}]*?):(?:([^}]*?):)?([^}]*?)\}")


class ConfigTransformer:
    """Replaces `${provider:[path:]key}` in values. A reference to a provider that does not exist, or to a
    key that is not there, stays as it is."""

    def __init__(self, providers: Mapping[str, ConfigProvider]) -> None:
        self._providers = dict(providers)

    def transform(self, props: Mapping[str, str]) -> dict[str, str]:
        if not self._providers:
            return dict(props)
        seen: dict[tuple[str, str], Mapping[str, str]] = {}

        def resolve(match: re.Match[str]) -> str:
            provider = self._providers.get(match[1])
            if provider is None:
                return match[0]
            where = (match[1], match[2] or "")
            if where not in seen:
                seen[where] = provider.get(where[1])
            return seen[where].get(match[3], match[0])

        return {
            key: _REFERENCE.sub(resolve, value) if isinstance(value, str) else value
            for key, value in props.items()
        }


def provider_settings(
    strings: Mapping[str, str], aliases: Sequence[str]
) -> dict[str, tuple[str, dict[str, str]]]:
    """alias: (class, parameters), from `config.providers.<alias>.class` and `.param.*`."""
    found = {}
    for alias in aliases:
        prefix = f"config.providers.{alias}."
        name = strings.get(prefix + "class")
        if name is None:
            raise ConfigError(f'Missing required configuration "{prefix}class" which has no default value.')
        params = prefix + "param."
        found[alias] = (
            name,
            {key[len(params) :]: value for key, value in strings.items() if key.startswith(params)},
        )
    return found
