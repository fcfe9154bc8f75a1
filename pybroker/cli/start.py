"""`pybroker start`: run a broker in the foreground until SIGTERM or SIGINT.

In: options and a properties file. Out: one line on standard output when it serves, logs on standard error.
Exit status: 0 after a clean stop, 2 for a configuration error, 1 for anything else that ends it.
"""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path

import click

_DEFAULT_LISTENERS = "PLAINTEXT://127.0.0.1:9092"
_DEFAULT_DATA_DIR = "pybroker-data"


@click.command("start", short_help="Run a broker.")
@click.option(
    "--config",
    "config_path",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A server.properties file with Kafka's property names.",
)
@click.option(
    "--config-from-env",
    is_flag=True,
    help="Take KAFKA_... environment variables as properties, as container images of Kafka do "
    "(KAFKA_LOG_RETENTION_HOURS is log.retention.hours); they win over the file. Without listeners among "
    "them: port 9092 for the host, 19092 for other containers.",
)
@click.option(
    "--set", "settings", multiple=True, metavar="KEY=VALUE", help="One property; wins over the file."
)
@click.option(
    "--data-dir",
    type=click.Path(file_okay=False, path_type=Path),
    help=f"Where the logs live (log.dirs); ./{_DEFAULT_DATA_DIR} when nothing says otherwise.",
)
@click.option("--in-memory", is_flag=True, help="Keep everything in memory; nothing survives the process.")
@click.option(
    "--listen", metavar="HOST:PORT", help="Where to listen; port 0 takes a free one. [127.0.0.1:9092]"
)
@click.option(
    "--ready-file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Written with HOST:PORT when the broker serves.",
)
def start(
    config_path: Path | None,
    config_from_env: bool,
    settings: tuple[str, ...],
    data_dir: Path | None,
    in_memory: bool,
    listen: str | None,
    ready_file: Path | None,
) -> None:
    """Run a broker until SIGTERM or SIGINT."""
    if in_memory and data_dir is not None:
        raise click.UsageError("--data-dir and --in-memory exclude each other")
    # Imported late: the options are checked, and help is shown, without the broker.
    from pybroker.common.config import (
        BrokerConfig,
        add_container_listeners,
        parse_properties,
        properties_from_environment,
    )
    from pybroker.common.errors import ConfigError
    from pybroker.runtime.process import run_process

    try:
        properties: dict[str, str] = {}
        if config_path is not None:
            properties.update(parse_properties(config_path.read_text(encoding="utf-8")))
        if config_from_env:
            found = properties_from_environment(os.environ)
            properties.update(found.properties)
            if found.unknown:
                # An orchestrator adds variables of its own (KAFKA_SERVICE_HOST): they are no reason to stop.
                click.echo(f"pybroker: no properties, ignored: {', '.join(found.unknown)}", err=True)
        for setting in settings:
            key, separator, value = setting.partition("=")
            if not separator or not key.strip():
                raise ConfigError(f"--set {setting}: expected KEY=VALUE")
            properties[key.strip()] = value.strip()
        if listen is not None:
            properties["listeners"] = f"PLAINTEXT://{listen}"
            properties.pop("advertised.listeners", None)
        if config_from_env:
            add_container_listeners(properties, socket.gethostname())
        # Kafka's own default is every address of the machine; a broker without authentication should not.
        properties.setdefault("listeners", _DEFAULT_LISTENERS)
        if data_dir is not None:
            properties["log.dirs"] = str(data_dir.absolute())
        elif not in_memory and "log.dirs" not in properties and "log.dir" not in properties:
            properties["log.dirs"] = str(Path(_DEFAULT_DATA_DIR).absolute())
        config = BrokerConfig.from_properties(properties)
        status = run_process(config, in_memory=in_memory, ready_file=ready_file)
    except ConfigError as error:
        click.echo(f"pybroker: configuration error: {error}", err=True)
        status = 2
    except UnicodeDecodeError as error:
        click.echo(f"pybroker: configuration error: {config_path}: not UTF-8 text ({error.reason})", err=True)
        status = 2
    sys.exit(status)
