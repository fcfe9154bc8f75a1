"""Fetches what the interop tests and the benchmarks run against: Apache Kafka and clients of other languages.

In: names of items (`all` without any). Out: folders under `$PYBROKER_INTEROP_CACHE` (or
`~/.cache/pybroker-interop`), each made by the ordinary client of its registry (mvn, go, npm, pip, apt-get).
What must hold: an item is complete if and only if its marker file exists, fetching again is then free, and
nothing fetched ever enters the repository.

    python -m tools.interop fetch [all|kafka|debian|franz-go|kafkajs|librdkafka|node-rdkafka|...]
    python -m tools.interop list
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

REPOSITORY = Path(__file__).resolve().parent.parent

KAFKA_VERSION = "4.3.0"
LOG4J_VERSION = "2.25.1"
KAFKA_PYTHON_VERSION = "3.0.12"
CONFLUENT_JAVASCRIPT_VERSION = "1.10.1"
NODE_RDKAFKA_VERSION = "3.6.1"

KAFKA_ARTIFACTS = (
    "kafka_2.13",
    "kafka-tools",
    "kafka-shell",
    "connect-runtime",
    "connect-file",
    "connect-mirror",
    "kafka-streams",
)
LOG4J_ARTIFACTS = ("log4j-core", "log4j-slf4j-impl")

# kafkajs has only gzip built in; the test registers the other codecs with these (pure JavaScript or
# WebAssembly, so that nothing is compiled and nothing is downloaded at install time).
KAFKAJS_PACKAGES = ("kafkajs@2.2.4", "snappyjs@0.7.0", "lz4js@0.2.0", "@bokuweb/zstd-wasm@0.0.27")

NODE_RDKAFKA_TEST_PACKAGES = ("mocha@10.8.2", "bluebird@3.7.2")
NODE_GYP = "node-gyp@11.5.0"

# The build of librdkafka needs the two development packages for its zstd codec and for its mock tests.
DEBIAN_PACKAGES = {"kcat": "/usr/bin/kcat"}
DEBIAN_BUILD_PACKAGES = {
    "libzstd-dev": "/usr/include/zstd.h",
    "liblz4-dev": "/usr/include/lz4.h",
    "libssl-dev": "/usr/include/openssl/ssl.h",
    "zlib1g-dev": "/usr/include/zlib.h",
    "rapidjson-dev": "/usr/include/rapidjson/rapidjson.h",
}


# The JDBC drivers that the tests of driver jars use, and the JDBC sink that the bench compares with.
JDBC_DRIVERS = ("com.h2database:h2:2.3.232", "org.postgresql:postgresql:42.7.4")
DERBY_VERSION = "10.14.2.0"
DEBEZIUM_VERSION = "3.2.0.Final"


class InteropError(Exception):
    """A fetch failed; the message tells what to do about it."""


def cache_directory() -> Path:
    configured = os.environ.get("PYBROKER_INTEROP_CACHE")
    return Path(configured) if configured else Path.home() / ".cache" / "pybroker-interop"


def kafka_lib() -> Path:
    return cache_directory() / f"kafka-{KAFKA_VERSION}" / "lib"


def kafkajs_directory() -> Path:
    return cache_directory() / "kafkajs"


def franz_go_binary() -> Path:
    return cache_directory() / "franz-go" / "scenario"


def franz_go_tests_binary() -> Path:
    return cache_directory() / "franz-go-tests" / "kgo.test"


def franz_go_source() -> Path:
    return REPOSITORY / "tests" / "clients" / "go"


def librdkafka_directory() -> Path:
    return (
        cache_directory() / f"librdkafka-{CONFLUENT_JAVASCRIPT_VERSION}" / "package" / "deps" / "librdkafka"
    )


def node_rdkafka_directory() -> Path:
    return cache_directory() / f"node-rdkafka-{NODE_RDKAFKA_VERSION}" / "package" / "deps" / "librdkafka"


def node_rdkafka_tests_directory() -> Path:
    return cache_directory() / f"node-rdkafka-tests-{NODE_RDKAFKA_VERSION}" / "package"


def kafka_python_directory() -> Path:
    return cache_directory() / f"kafka-python-{KAFKA_PYTHON_VERSION}" / f"kafka_python-{KAFKA_PYTHON_VERSION}"


def _run(*command: str, cwd: Path, hint: str, environment: dict[str, str] | None = None) -> None:
    """Runs one command quietly; its output is shown only when it fails."""
    if shutil.which(command[0]) is None:
        raise InteropError(f"{command[0]!r} is not installed; {hint}")
    result = subprocess.run(
        command,
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={**os.environ, **(environment or {})},
    )
    if result.returncode:
        tail = "\n".join(result.stdout.decode(errors="replace").splitlines()[-40:])
        raise InteropError(f"{' '.join(command)} (in {cwd}) ended with {result.returncode}:\n{tail}")


def _fresh(directory: Path) -> Path:
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    return directory


def _unpack(archive: Path, into: Path) -> None:
    with tarfile.open(archive) as tar:
        tar.extractall(into, filter="data")
    archive.unlink()


def _kafka_pom() -> str:
    artifacts = [("org.apache.kafka", name, KAFKA_VERSION) for name in KAFKA_ARTIFACTS]
    artifacts += [("org.apache.logging.log4j", name, LOG4J_VERSION) for name in LOG4J_ARTIFACTS]
    dependencies = "\n".join(
        f"<dependency><groupId>{group}</groupId><artifactId>{name}</artifactId><version>{version}</version></dependency>"
        for group, name, version in artifacts
    )
    return f"""<project xmlns="http://maven.apache.org/POM/4.0.0">
<modelVersion>4.0.0</modelVersion>
<groupId>pybroker</groupId><artifactId>interop</artifactId><version>1</version><packaging>pom</packaging>
<dependencies>
{dependencies}
</dependencies>
</project>
"""


def _fetch_kafka(directory: Path) -> None:
    (directory / "pom.xml").write_text(_kafka_pom())
    _run(
        "mvn",
        "-q",
        "-B",
        "dependency:copy-dependencies",
        "-DincludeScope=runtime",
        "-DoutputDirectory=lib",
        cwd=directory,
        hint="install it with: apt-get install -y maven default-jdk-headless",
    )
    expected = directory / "lib" / f"kafka_2.13-{KAFKA_VERSION}.jar"
    if not expected.exists():
        raise InteropError(f"mvn ended well but {expected} is missing")


def jdbc_drivers_directory() -> Path:
    return cache_directory() / "jdbc-drivers"


def derby_directory() -> Path:
    return cache_directory() / f"derby-{DERBY_VERSION}"


def debezium_jdbc_directory() -> Path:
    return cache_directory() / f"debezium-jdbc-{DEBEZIUM_VERSION}"


def _copy_artifact(directory: Path, artifact: str) -> None:
    _run(
        "mvn", "-q", "-B", "dependency:copy", f"-Dartifact={artifact}", f"-DoutputDirectory={directory}",
        cwd=directory, hint="install it with: apt-get install -y maven default-jdk-headless",
    )  # fmt: skip


def _fetch_jdbc_drivers(directory: Path) -> None:
    for artifact in JDBC_DRIVERS:
        _copy_artifact(directory, artifact)


def _fetch_derby(directory: Path) -> None:
    _copy_artifact(directory, f"org.apache.derby:derby:{DERBY_VERSION}")


def _fetch_debezium_jdbc(directory: Path) -> None:
    _copy_artifact(directory, f"io.debezium:debezium-connector-jdbc:{DEBEZIUM_VERSION}:tar.gz:plugin")
    _unpack(next(directory.glob("*.tar.gz")), directory)


def _install_debian(directory: Path, packages: dict[str, str]) -> None:
    missing = [name for name, path in packages.items() if not Path(path).exists()]
    if not missing:
        return
    command = f"apt-get update && apt-get install -y {' '.join(missing)}"
    if shutil.which("apt-get") is None:
        raise InteropError(f"not a Debian system: install {', '.join(missing)} with its own package manager")
    if os.geteuid() != 0:
        raise InteropError(f"not root: run  sudo sh -c '{command}'")
    quiet = {"DEBIAN_FRONTEND": "noninteractive"}
    _run("apt-get", "-qq", "update", cwd=directory, hint="", environment=quiet)
    _run(
        "apt-get",
        "-qq",
        "install",
        "-y",
        "--no-install-recommends",
        *missing,
        cwd=directory,
        hint="",
        environment=quiet,
    )


def _fetch_debian(directory: Path) -> None:
    _install_debian(directory, DEBIAN_PACKAGES)


def _fetch_franz_go(directory: Path) -> None:
    _run(
        "go",
        "build",
        "-o",
        str(directory / "scenario"),
        ".",
        cwd=franz_go_source(),
        hint="install Go 1.26 or newer",
        environment={"GOFLAGS": "-mod=readonly -buildvcs=false"},
    )


def _fetch_franz_go_tests(directory: Path) -> None:
    hint = "install Go 1.26 or newer"
    environment = {"GOFLAGS": "-mod=readonly -buildvcs=false"}
    command = ("go", "mod", "download", "github.com/twmb/franz-go")
    _run(*command, cwd=franz_go_source(), hint=hint, environment=environment)
    module = subprocess.run(
        ["go", "list", "-m", "-f", "{{.Dir}}", "github.com/twmb/franz-go"],
        cwd=franz_go_source(),
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    command = ("go", "test", "-c", "-o", str(franz_go_tests_binary()), "./pkg/kgo")
    _run(*command, cwd=Path(module), hint=hint, environment=environment)


def _fetch_kafkajs(directory: Path) -> None:
    (directory / "package.json").write_text('{"name": "pybroker-interop", "private": true}\n')
    _run(
        "npm",
        "install",
        "--no-audit",
        "--no-fund",
        "--ignore-scripts",
        *KAFKAJS_PACKAGES,
        cwd=directory,
        hint="install it with: apt-get install -y nodejs npm",
    )


def _npm_pack(directory: Path, package: str) -> None:
    """Takes a package's archive as it is, without running its install script (which would download more)."""
    _run(
        "npm",
        "pack",
        "--silent",
        package,
        cwd=directory,
        hint="install it with: apt-get install -y nodejs npm",
    )
    (archive,) = directory.glob("*.tgz")
    _unpack(archive, directory)


def _build_librdkafka(source: Path, *targets: Sequence[str]) -> None:
    hint = "install a C++ compiler and make: apt-get install -y build-essential"
    # Packages made on other systems lose the executable bits.
    for script in ("configure", "mklove/modules/configure.base", "lds-gen.py"):
        if (source / script).exists():
            (source / script).chmod(0o755)
    _run("bash", "./configure", "--disable-gssapi", "--disable-curl", "--disable-sasl", cwd=source, hint=hint)
    for target in targets:
        _run("make", f"-j{os.cpu_count() or 1}", *target, cwd=source, hint=hint)


def _fetch_librdkafka(directory: Path) -> None:
    _install_debian(directory, DEBIAN_BUILD_PACKAGES)
    _npm_pack(directory, f"@confluentinc/kafka-javascript@{CONFLUENT_JAVASCRIPT_VERSION}")
    _build_librdkafka(librdkafka_directory(), ("libs",), ("-C", "tests", "build"))


def _fetch_node_rdkafka(directory: Path) -> None:
    _install_debian(directory, DEBIAN_BUILD_PACKAGES)
    _npm_pack(directory, f"node-rdkafka@{NODE_RDKAFKA_VERSION}")
    _build_librdkafka(node_rdkafka_directory(), ("libs",), ("-C", "examples", "rdkafka_performance"))


def _fetch_node_rdkafka_tests(directory: Path) -> None:
    """node-rdkafka itself with its end-to-end tests; the library under it is the one built for the bench."""
    fetch("node-rdkafka")
    libraries = [node_rdkafka_directory() / name for name in ("src", "src-cpp")]
    if not Path("/usr/include/node/node.h").exists():
        raise InteropError("Node's headers are missing: apt-get install -y libnode-dev")
    _npm_pack(directory, f"node-rdkafka@{NODE_RDKAFKA_VERSION}")
    package = node_rdkafka_tests_directory()
    hint = "install it with: apt-get install -y nodejs npm"
    quiet = ("--no-audit", "--no-fund", "--ignore-scripts")
    _run("npm", "install", *quiet, "--omit=dev", cwd=package, hint=hint)
    # Beside the package, which would add all its development packages.
    (directory / "package.json").write_text('{"name": "pybroker-interop", "private": true}\n')
    _run("npm", "install", *quiet, *NODE_RDKAFKA_TEST_PACKAGES, cwd=directory, hint=hint)
    _run(
        "npm", "exec", "--yes", "--package", NODE_GYP, "--", "node-gyp", "rebuild", "--nodedir=/usr",
        cwd=package,
        hint=hint,
        environment={
            "BUILD_LIBRDKAFKA": "0",
            "LDFLAGS": " ".join(f"-L{library} -Wl,-rpath,{library}" for library in libraries),
            "CPLUS_INCLUDE_PATH": ":".join(str(library) for library in libraries),
        },
    )  # fmt: skip


# The source package leaves this out. The tests only ask the service where it listens and whether it did as
# told.
KAFKA_PYTHON_SERVICE = """
class ExternalService:
    def __init__(self, host, port):
        self.host = host
        self.port = port

    def __getattr__(self, name):
        return lambda *args, **kwargs: True


class SpawnedService(ExternalService):
    pass
"""


def _fetch_kafka_python_tests(directory: Path) -> None:
    _run(
        sys.executable,
        "-m",
        "pip",
        "download",
        "--quiet",
        "--no-deps",
        "--no-binary",
        ":all:",
        f"kafka-python=={KAFKA_PYTHON_VERSION}",
        cwd=directory,
        hint="",
    )
    (archive,) = directory.glob("*.tar.gz")
    _unpack(archive, directory)
    tests = kafka_python_directory() / "test"
    if not tests.is_dir():
        raise InteropError(f"the source package has no {tests}")
    (tests / "__init__.py").touch()
    (tests / "integration" / "__init__.py").touch()
    if not (tests / "service.py").exists():
        (tests / "service.py").write_text(KAFKA_PYTHON_SERVICE)
    (directory / "kafka-root").mkdir()


class Item(NamedTuple):
    directory: Callable[[], Path]
    fetch: Callable[[Path], None]
    what: str
    inputs: Callable[[], list[Path]] = list


ITEMS: dict[str, Item] = {
    "jdbc-drivers": Item(jdbc_drivers_directory, _fetch_jdbc_drivers, "JDBC drivers of H2 and PostgreSQL"),
    "derby": Item(derby_directory, _fetch_derby, f"Apache Derby {DERBY_VERSION}, in one jar"),
    "debezium-jdbc": Item(
        debezium_jdbc_directory,
        _fetch_debezium_jdbc,
        f"Debezium's JDBC sink {DEBEZIUM_VERSION}, for the bench",
    ),
    "kafka": Item(
        lambda: cache_directory() / f"kafka-{KAFKA_VERSION}",
        _fetch_kafka,
        f"Apache Kafka {KAFKA_VERSION}, clients and tools",
    ),
    "debian": Item(lambda: cache_directory() / "debian", _fetch_debian, "kcat"),
    "kafkajs": Item(kafkajs_directory, _fetch_kafkajs, "kafkajs and its codecs"),
    "kafka-python-tests": Item(
        lambda: cache_directory() / f"kafka-python-{KAFKA_PYTHON_VERSION}",
        _fetch_kafka_python_tests,
        "kafka-python's own integration tests",
    ),
    "franz-go": Item(
        lambda: cache_directory() / "franz-go",
        _fetch_franz_go,
        "the franz-go test program",
        lambda: sorted(franz_go_source().glob("*.go")) + sorted(franz_go_source().glob("go.*")),
    ),
    "franz-go-tests": Item(
        lambda: cache_directory() / "franz-go-tests",
        _fetch_franz_go_tests,
        "franz-go's own client tests",
        lambda: sorted(franz_go_source().glob("go.*")),
    ),
    "node-rdkafka": Item(
        lambda: cache_directory() / f"node-rdkafka-{NODE_RDKAFKA_VERSION}",
        _fetch_node_rdkafka,
        "rdkafka_performance",
    ),
    "node-rdkafka-tests": Item(
        lambda: cache_directory() / f"node-rdkafka-tests-{NODE_RDKAFKA_VERSION}",
        _fetch_node_rdkafka_tests,
        "node-rdkafka and its own end-to-end tests",
    ),
    "librdkafka": Item(
        lambda: cache_directory() / f"librdkafka-{CONFLUENT_JAVASCRIPT_VERSION}",
        _fetch_librdkafka,
        "librdkafka and its own test programs",
    ),
}


def marker(name: str) -> Path:
    return ITEMS[name].directory() / ".complete"


def is_fetched(name: str) -> bool:
    """True when the item is complete and no newer than its inputs in this repository."""
    path = marker(name)
    if not path.exists():
        return False
    done = path.stat().st_mtime
    if name == "debian":  # The system may have lost what an earlier run installed.
        return all(Path(file).exists() for file in DEBIAN_PACKAGES.values())
    return all(source.stat().st_mtime <= done for source in ITEMS[name].inputs())


def fetch(name: str) -> bool:
    """Fetches one item unless it is there; True when it had to."""
    if is_fetched(name):
        return False
    directory = _fresh(ITEMS[name].directory())
    ITEMS[name].fetch(directory)
    marker(name).touch()
    return True


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tools.interop", description=(__doc__ or "").split("\n")[0]
    )
    commands = parser.add_subparsers(dest="command", required=True)
    fetcher = commands.add_parser("fetch", help="fetch the items that are missing")
    fetcher.add_argument("items", nargs="*", metavar="ITEM", help=f"all, or any of {', '.join(ITEMS)}")
    commands.add_parser("list", help="show what is there")
    options = parser.parse_args(arguments)
    if options.command == "list":
        for name, item in ITEMS.items():
            print(
                f"{name:20} {'fetched' if is_fetched(name) else 'missing':8} {item.what} ({item.directory()})"
            )
        return 0
    names = [name for name in options.items if name != "all"] or list(ITEMS)
    for name in names:
        if name not in ITEMS:
            parser.error(f"no item {name!r}; there are all, {', '.join(ITEMS)}")
    failed = []
    for name in names:
        started = time.monotonic()
        try:
            fetched = fetch(name)
        except (InteropError, OSError) as error:
            print(f"{name}: {error}", file=sys.stderr, flush=True)
            failed.append(name)
            continue
        print(
            f"{name}: {f'fetched in {time.monotonic() - started:.0f} s' if fetched else 'there'}", flush=True
        )
    if failed:
        print(f"not fetched: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
