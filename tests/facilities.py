"""What some tests need beyond Python packages: Java with Kafka's jars, Go, Node, kcat, librdkafka's sources.

In: a facility's name. Out: nothing when it is there; otherwise a skip that names the command which installs
it, or a failure when `PYBROKER_REQUIRE_ALL=1` (so a run that must be complete can never be quietly
incomplete).
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from tools import interop


class Facility(NamedTuple):
    present: Callable[[], bool]
    install: str


def _fetched(item: str) -> Callable[[], bool]:
    return lambda: interop.is_fetched(item)


def _programs(*names: str) -> Callable[[], bool]:
    return lambda: all(shutil.which(name) for name in names)


def _servers(*names: str) -> Callable[[], bool]:
    """Programs that Debian may keep out of the PATH."""
    places = [*Path("/usr/lib/postgresql").glob("*/bin"), Path("/usr/sbin")]
    return lambda: all(
        shutil.which(name) or any((place / name).exists() for place in places) for name in names
    )


def _both(*checks: Callable[[], bool]) -> Callable[[], bool]:
    return lambda: all(check() for check in checks)


def _static_interpreter() -> bool:
    from tools.binary.__main__ import BuildError, find_base

    try:
        find_base(None)
    except BuildError:
        return False
    return True


def _fetch(item: str) -> str:
    return f"python -m tools.interop fetch {item}"


def _network_namespaces() -> bool:
    from tests.cluster import network

    return network.works()


FACILITIES: dict[str, Facility] = {
    "java": Facility(_programs("java", "javac"), "apt-get install -y default-jdk-headless"),
    "kafka": Facility(
        _both(_programs("java", "javac"), _fetched("kafka")),
        f"apt-get install -y default-jdk-headless maven && {_fetch('kafka')}",
    ),
    "c-compiler": Facility(_programs("gcc"), "apt-get install -y gcc libc6-dev"),
    "go": Facility(
        _both(_programs("go"), _fetched("franz-go")), f"install Go 1.26 or newer, then {_fetch('franz-go')}"
    ),
    "franz-go-tests": Facility(
        _fetched("franz-go-tests"), f"install Go 1.26 or newer, then {_fetch('franz-go-tests')}"
    ),
    "kafkajs": Facility(
        _both(_programs("node"), _fetched("kafkajs")), f"apt-get install -y nodejs npm && {_fetch('kafkajs')}"
    ),
    "kcat": Facility(_programs("kcat"), _fetch("debian")),
    "kafka-python-tests": Facility(_fetched("kafka-python-tests"), _fetch("kafka-python-tests")),
    "librdkafka": Facility(_fetched("librdkafka"), _fetch("librdkafka")),
    "node-rdkafka": Facility(_fetched("node-rdkafka"), _fetch("node-rdkafka")),
    "node-rdkafka-tests": Facility(
        _both(_programs("node"), _fetched("node-rdkafka-tests")),
        f"apt-get install -y nodejs npm libnode-dev && {_fetch('node-rdkafka-tests')}",
    ),
    "netns": Facility(_network_namespaces, "run as root, with the package iproute2"),
    "postgresql": Facility(_servers("initdb", "postgres"), "apt-get install -y postgresql"),
    "mariadb": Facility(_servers("mariadb-install-db", "mariadbd"), "apt-get install -y mariadb-server"),
    "jdbc-drivers": Facility(
        _both(_programs("java"), _fetched("jdbc-drivers")),
        f"apt-get install -y default-jdk-headless maven && {_fetch('jdbc-drivers')}",
    ),
    "derby": Facility(
        _both(_programs("java"), _fetched("derby")),
        f"apt-get install -y default-jdk-headless maven && {_fetch('derby')}",
    ),
    "binary": Facility(
        _both(_programs("gcc", "readelf", "strip"), _static_interpreter),
        "apt-get install -y gcc binutils python3-dev",
    ),
    "root": Facility(
        lambda: sys.platform == "linux" and os.geteuid() == 0, "run the tests as root, on Linux"
    ),
    "python-snappy": Facility(
        lambda: importlib.util.find_spec("snappy") is not None, "pip install python-snappy"
    ),
}


def require_all() -> bool:
    return os.environ.get("PYBROKER_REQUIRE_ALL", "") not in ("", "0")


def require(*names: str) -> None:
    """Returns when every named facility is there; otherwise skips or fails the calling test (see above)."""
    for name in names:
        facility = FACILITIES[name]
        if facility.present():
            continue
        message = f"{name} is missing; install it with: {facility.install}"
        if require_all():
            pytest.fail(message, pytrace=False)
        pytest.skip(message)
