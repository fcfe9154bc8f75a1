"""Plug-ins announced by installed packages, configuration providers, and settings of clients, without a worker."""

from __future__ import annotations

from pathlib import Path

import pytest

from connect.api.errors import ConfigError
from connect.core.registry import CONVERTER
from connect.core.worker_config import WorkerConfig
from connect.runtime.clients import client_props, translate
from connect.runtime.plugins import load_plugins, make_transformer

BASE = {
    "bootstrap.servers": "127.0.0.1:1",
    "offset.storage.file.filename": "/dev/null",
    "key.converter": "StringConverter",
    "value.converter": "StringConverter",
}

MODULE = """
from connect.api.converter import Converter
from connect.api.data import STRING_SCHEMA, SchemaAndValue


class ShoutConverter(Converter):
    version = "7"

    def configure(self, configs, is_key=False): ...

    def from_connect_data(self, topic, schema, value, headers=None):
        return str(value).upper().encode()

    def to_connect_data(self, topic, value, headers=None):
        return SchemaAndValue(STRING_SCHEMA, value.decode().lower())


class WhisperConverter(ShoutConverter):
    version = "8"
"""


def install(folder: Path, module: str, entries: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What pip leaves behind of a package with entry points."""
    (folder / f"{module}.py").write_text(MODULE)
    about = folder / f"{module}-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(f"[connect.plugins]\n{entries}")
    monkeypatch.syspath_prepend(str(folder))


def test_plugins_of_installed_packages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """An entry point names a class or a module; one that cannot be loaded is left out alone."""
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    install(tmp_path / "one", "shouting_by_class", "shout = shouting_by_class:ShoutConverter\n", monkeypatch)
    install(
        tmp_path / "two", "shouting_by_module", "all = shouting_by_module\nbroken = shouting_by_module:Nothing\n", monkeypatch
    )  # fmt: skip
    registry = load_plugins(None)
    for name in ("shouting_by_class.ShoutConverter", "shouting_by_module.WhisperConverter", "Whisper"):
        assert registry.find(CONVERTER, name) is not None, name
    assert registry.find(CONVERTER, "shouting_by_class.WhisperConverter") is None
    assert registry.find(CONVERTER, "JsonConverter") is not None
    assert "Plug-in broken cannot be loaded and is left out" in caplog.text


@pytest.mark.parametrize("package", ["", "org.apache.kafka.common.config.provider."])
def test_all_three_providers(package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "secret.properties").write_text("password=from file\nurl=jdbc:x\n")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "user").write_text("from folder")
    monkeypatch.setenv("CONNECT_TEST_SECRET", "from environment")
    monkeypatch.setenv("OTHER_SECRET", "not allowed")
    providers = {
        "config.providers": "file,dir,env",
        "config.providers.file.class": f"{package}FileConfigProvider",
        "config.providers.file.param.allowed.paths": str(tmp_path),
        "config.providers.dir.class": f"{package}DirectoryConfigProvider",
        "config.providers.dir.param.allowed.paths": str(tmp_path / "folder"),
        "config.providers.env.class": f"{package}EnvVarConfigProvider",
        "config.providers.env.param.allowlist.pattern": "CONNECT_.*",
    }
    transform = make_transformer(WorkerConfig({**BASE, **providers}, distributed=False)).transform
    assert transform(
        {
            "a": f"${{file:{tmp_path}/secret.properties:password}}", "b": f"${{dir:{tmp_path}/folder:user}}",
            "c": "<${env:CONNECT_TEST_SECRET}>", "d": "${env:OTHER_SECRET}", "e": "${nobody:x}",
        }
    ) == {"a": "from file", "b": "from folder", "c": "<from environment>", "d": "${env:OTHER_SECRET}", "e": "${nobody:x}"}  # fmt: skip
    for outside in (f"${{dir:{tmp_path}:user}}", f"${{file:{tmp_path}/../x:y}}", "${file:/etc/passwd:root}"):
        with pytest.raises(ConfigError, match="not allowed"):
            transform({"a": outside})


def test_an_unknown_provider_is_refused() -> None:
    wrong = {"config.providers": "x", "config.providers.x.class": "NoSuchProvider"}
    with pytest.raises(ConfigError, match="NoSuchProvider could not be found"):
        make_transformer(WorkerConfig({**BASE, **wrong}, distributed=False))


def test_whose_settings_a_client_gets() -> None:
    """A connector's override wins over the worker's prefix, which wins over what Connect sets by default."""
    worker = {**BASE, "producer.linger.ms": "5", "producer.acks": "1", "consumer.fetch.min.bytes": "9"}
    defaults = {
        "acks": "all",
        "client.id": "connector-producer-x-0",
        "max.in.flight.requests.per.connection": "1",
    }
    props = client_props(
        worker, "producer", {"linger.ms": "50", "rdkafka.sticky.partitioning.linger.ms": "7"}, defaults
    )
    assert (props["linger.ms"], props["acks"], props["client.id"]) == ("50", "1", "connector-producer-x-0")
    assert "fetch.min.bytes" not in props
    translated = translate(props, "producer")
    assert translated["linger.ms"] == "50"
    assert translated["sticky.partitioning.linger.ms"] == "7"
    assert translated["bootstrap.servers"] == "127.0.0.1:1"
