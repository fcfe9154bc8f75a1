"""`pybroker cluster`: several brokers as processes on this machine, to try out what happens when one fails.

In: options. Out: the bootstrap servers and then a line for each change, on standard output. Exit status: 0
after SIGINT or SIGTERM, 2 for options that do not fit, 1 when a node ended by itself in an error.
"""

from __future__ import annotations

import asyncio
import shutil
import sys
import tempfile
import time
from pathlib import Path

import click

_DEFAULT_DATA_DIR = "pybroker-cluster"
# A file system in memory, on Linux.
_MEMORY = Path("/dev/shm")


@click.command("cluster", short_help="Run several brokers on this machine.")
@click.option("--brokers", type=click.IntRange(1, 100), default=3, show_default=True, help="How many.")
@click.option(
    "--data-dir",
    type=click.Path(file_okay=False, path_type=Path),
    help=f"Where they keep their data and logs. [./{_DEFAULT_DATA_DIR}]",
)
@click.option("--in-memory", is_flag=True, help="Keep the data in memory; it is gone at the end.")
@click.option(
    "--base-port",
    type=click.IntRange(0, 65_535),
    help="The first broker's port, the others follow; 0 takes free ones. [9092]",
)
@click.option("--restart", is_flag=True, help="Start a node again when it ends by itself.")
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="One property of all nodes.")
def cluster(
    brokers: int,
    data_dir: Path | None,
    in_memory: bool,
    base_port: int | None,
    restart: bool,
    settings: tuple[str, ...],
) -> None:
    """Run several brokers on this machine until SIGINT or SIGTERM, and say what becomes of them.

    The first three are the controllers too. Kill one and watch the others take over.
    """
    if in_memory and data_dir is not None:
        raise click.UsageError("--data-dir and --in-memory exclude each other")
    from pybroker.common.errors import ConfigError
    from pybroker.runtime.local_cluster import ClusterOptions, LocalCluster

    properties = {}
    for setting in settings:
        key, separator, value = setting.partition("=")
        if not separator or not key.strip():
            raise click.UsageError(f"--set {setting}: expected KEY=VALUE")
        properties[key.strip()] = value.strip()
    temporary: Path | None = None
    if in_memory:
        place = _MEMORY if _MEMORY.is_dir() else None
        data_dir = temporary = Path(tempfile.mkdtemp(prefix="pybroker-cluster-", dir=place))
    directory = (data_dir or Path(_DEFAULT_DATA_DIR)).absolute()

    async def run() -> int:
        local = LocalCluster(ClusterOptions(brokers, directory, base_port, restart, properties), _say)
        local.prepare()
        return await local.run()

    try:
        status = asyncio.run(run())
    except ConfigError as error:
        click.echo(f"pybroker: {error}", err=True)
        status = 2
    except OSError as error:
        click.echo(f"pybroker: cannot start: {error}", err=True)
        status = 1
    finally:
        if temporary is not None:
            shutil.rmtree(temporary, ignore_errors=True)
    sys.exit(status)


def _say(line: str) -> None:
    click.echo(f"{time.strftime('%H:%M:%S')} {line}")
    sys.stdout.flush()
