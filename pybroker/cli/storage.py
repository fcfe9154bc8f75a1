"""`pybroker storage format | random-uuid | info`: log directories before the first start, as kafka-storage.

In: a properties file and options with kafka-storage's names. Out: its lines on standard output, what is wrong
on standard error. Exit status: 0, or 1 when something is wrong, and 2 for options that do not fit.
"""

from __future__ import annotations

import random
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from pybroker.common.config import BrokerConfig

_CONFIG = click.option(
    "--config",
    "-c",
    "config_path",
    required=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The properties file of the node.",
)


@click.group("storage", short_help="Format log directories, or look at them.")
def storage() -> None:
    """Prepare the log directories of a node for its first start, or look at them."""


@storage.command("random-uuid", short_help="Print a random id.")
def random_uuid() -> None:
    """Print a random id, for --cluster-id and for the directories of --initial-controllers."""
    from pybroker.controller import formatting
    from pybroker.log.partition_log import encode_uuid

    click.echo(encode_uuid(formatting.random_uuid(random.SystemRandom())))


@storage.command("info", short_help="Show what log directories are.")
@_CONFIG
def info(config_path: Path) -> None:
    """Show the log directories of a node, what they were formatted with, and what is wrong with them."""
    from pybroker.common.errors import PybrokerError

    try:
        status = _info(_load(config_path))
    except (PybrokerError, OSError) as error:
        click.echo(str(error), err=True)
        status = 1
    sys.exit(status)


def _info(config: BrokerConfig) -> int:
    from pybroker.common.errors import ConfigError
    from pybroker.common.files import read_file
    from pybroker.log import meta_properties
    from pybroker.runtime.disk import DiskFileSystem

    files = DiskFileSystem()
    problems: list[str] = []
    found: list[str] = []
    first: meta_properties.MetaProperties | None = None
    for directory in _directories(config):
        path = Path(directory)
        meta_path = f"{directory}/{meta_properties.FILE_NAME}"
        if not path.exists():
            problems.append(f"{directory} does not exist")
        elif not path.is_dir():
            problems.append(f"{directory} is not a directory")
        else:
            found.append(directory)
            if not files.exists(meta_path):
                problems.append(f"{directory} is not formatted.")
                continue
            try:
                properties = meta_properties.decode(read_file(files, meta_path), meta_path)
            except ConfigError as error:
                problems.append(f"Error loading {meta_path}: {error}")
                continue
            if first is None:
                first = properties
            elif first.cluster_id != properties.cluster_id:
                problems.append("Mismatched cluster IDs between storage directories.")
            elif first.node_id != properties.node_id:
                problems.append("Mismatched node IDs between storage directories.")
    if first is not None and first.version == 0:
        problems.append(
            "The kafka configuration file appears to be for a cluster in KRaft mode, but the directories are "
            "formatted for legacy mode."
        )
    if found:
        click.echo("Found log directory:" if len(found) == 1 else "Found log directories:")
        for directory in found:
            click.echo(f"  {directory}")
        click.echo("")
    if first is not None:
        click.echo(f"Found metadata: {_shown(first)}\n")
    if problems:
        click.echo("Found problem:" if len(problems) == 1 else "Found problems:")
        for problem in problems:
            click.echo(f"  {problem}")
        click.echo("")
    return 1 if problems else 0


def _shown(properties: object) -> str:
    from pybroker.log.meta_properties import MetaProperties

    assert isinstance(properties, MetaProperties)
    node_key = "broker.id" if properties.version == 0 else "node.id"
    values = {
        "cluster.id": properties.cluster_id,
        "directory.id": properties.directory_id,
        node_key: properties.node_id,
        "version": properties.version,
    }
    present = sorted((name, value) for name, value in values.items() if value is not None)
    return "{" + ", ".join(f"{name}={value}" for name, value in present) + "}"


@storage.command("format", short_help="Format log directories.")
@_CONFIG
@click.option("--cluster-id", "-t", required=True, help="The id of the cluster; see random-uuid.")
@click.option(
    "--ignore-formatted",
    "-g",
    is_flag=True,
    help="Leave directories that are formatted as they are.",
)
@click.option("--release-version", "-r", help="The release whose features a new cluster has. [4.3]")
@click.option(
    "--feature",
    "-f",
    "features",
    multiple=True,
    metavar="FEATURE=LEVEL",
    help="The level of one feature, such as transaction.version=1.",
)
@click.option("--standalone", "-s", is_flag=True, help="A controller that is a dynamic quorum of one.")
@click.option(
    "--no-initial-controllers",
    "-N",
    is_flag=True,
    help="A node that does not state a quorum: a broker, or a controller that joins one.",
)
@click.option(
    "--initial-controllers",
    "-I",
    help="The first voters of a dynamic quorum, the same for all of them: id@host:port:directory,...",
)
def format_command(
    config_path: Path,
    cluster_id: str,
    ignore_formatted: bool,
    release_version: str | None,
    features: tuple[str, ...],
    standalone: bool,
    no_initial_controllers: bool,
    initial_controllers: str | None,
) -> None:
    """Format the log directories of a node."""
    if standalone + no_initial_controllers + (initial_controllers is not None) > 1:
        raise click.UsageError(
            "--standalone, --no-initial-controllers and --initial-controllers exclude each other"
        )
    from pybroker.common.errors import ConfigError, PybrokerError
    from pybroker.controller import formatting
    from pybroker.metadata.features import METADATA_VERSION
    from pybroker.metadata.releases import LATEST_RELEASE, initial_features, release_level, release_name
    from pybroker.raft.voters import Voter
    from pybroker.runtime.disk import DiskFileSystem

    rng = random.SystemRandom()
    try:
        config = _load(config_path)
        is_controller = "controller" in config["process.roles"]
        is_static = bool(config.quorum_voters())
        states_quorum = standalone or initial_controllers is not None
        if is_static and states_quorum:
            raise ConfigError(
                "You cannot specify controller.quorum.voters and format the node with --initial-controllers "
                "or --standalone. If you want to use dynamic quorum, please remove controller.quorum.voters "
                "and specify controller.quorum.bootstrap.servers instead."
            )
        if is_controller and not (is_static or states_quorum or no_initial_controllers):
            raise ConfigError(
                "Because controller.quorum.voters is not set on this controller, you must specify one of the "
                "following: --standalone, --initial-controllers, or --no-initial-controllers."
            )
        asked = formatting.parse_features(features)
        level = asked.pop(METADATA_VERSION, None)
        if level is not None and release_version is not None:
            raise ConfigError(
                "Use --release-version instead of --feature metadata.version=X to avoid ambiguity."
            )
        if level is None:
            level = release_level(release_version or LATEST_RELEASE)
        release_name(level)
        finalized = initial_features(level, asked)
        is_dynamic = not is_static and (states_quorum or no_initial_controllers)
        flags = "one of the flags --standalone, --initial-controllers, or --no-initial-controllers is used"
        if asked.get("kraft.version") == 0 and is_dynamic:
            raise ConfigError(
                f"Cannot set kraft.version to 0 if controller.quorum.voters is empty and {flags}. For "
                "dynamic controllers support, try removing the --feature flag for kraft.version."
            )
        if asked.get("kraft.version") == 1 and not is_dynamic:
            raise ConfigError(
                f"Cannot set kraft.version to 1 unless controller.quorum.voters is empty and {flags}. For "
                "dynamic controllers support, try using one of --standalone, --initial-controllers, or "
                "--no-initial-controllers and removing controller.quorum.voters."
            )
        listener = config["controller.listener.names"][0].upper()
        voters: list[Voter] = []
        if initial_controllers is not None:
            voters = formatting.parse_initial_controllers(initial_controllers, listener)
        elif standalone:
            if not is_controller:
                raise ConfigError("You can only use --standalone on a controller.")
            told = config.advertised_controller_listeners()
            if not told:
                raise ConfigError("No controller listeners found.")
            # A controller that listens everywhere is reached from here at least.
            host = told[0].host if told[0].host not in ("", "0.0.0.0", "::") else "localhost"
            endpoint = (listener, host, told[0].port)
            voters = [Voter(config.node_id, formatting.random_uuid(rng), (endpoint,))]
        wanted = formatting.Format(
            cluster_id,
            config.node_id,
            _directories(config),
            config["metadata.log.dir"].rstrip("/") or "/",
            finalized,
            voters,
            ignore_formatted,
        )
        for line in formatting.format_directories(DiskFileSystem(), rng, int(time.time() * 1000), wanted):
            click.echo(line)
    except (PybrokerError, OSError) as error:
        click.echo(str(error), err=True)
        sys.exit(1)


def _directories(config: BrokerConfig) -> list[str]:
    directories = {directory.rstrip("/") or "/" for directory in config.log_dirs}
    return sorted(directories | {config["metadata.log.dir"].rstrip("/") or "/"})


def _load(path: Path) -> BrokerConfig:
    from pybroker.common.config import BrokerConfig, parse_properties
    from pybroker.common.errors import ConfigError

    try:
        properties = parse_properties(path.read_text(encoding="utf-8"))
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not UTF-8 text ({error.reason})") from error
    return BrokerConfig.from_properties(properties)
