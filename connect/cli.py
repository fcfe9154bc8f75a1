"""`pybroker-connect standalone|distributed`: a worker from a properties file, as Kafka's scripts start
one."""

from __future__ import annotations

import asyncio
import importlib
import logging
import os
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import click

from connect.api.errors import ConnectError
from connect.core.worker_config import WorkerConfig, parse_properties

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--log-level",
    type=click.Choice(["ERROR", "WARNING", "INFO", "DEBUG"], case_sensitive=False),
    default="INFO",
    show_default=True,
)
def main(log_level: str) -> None:
    """Kafka-Connect-compatible worker: source and sink connectors against any Kafka cluster."""
    logging.basicConfig(
        level=log_level.upper(), format="%(asctime)s %(levelname)s %(name)s: %(message)s", stream=sys.stderr
    )


@main.command(short_help="One worker on its own, with connectors from files.")
@click.argument("worker_properties", type=_FILE)
@click.argument("connectors", nargs=-1, type=_FILE)
def standalone(worker_properties: Path, connectors: tuple[Path, ...]) -> None:
    """Run one worker with the connectors of .properties and .json files; more can be added by REST."""
    process = _process()
    _run(lambda config: process.run_standalone(config, connectors), worker_properties, False)


@main.command(short_help="One worker of a group that shares connectors and tasks.")
@click.argument("worker_properties", type=_FILE)
def distributed(worker_properties: Path) -> None:
    """Run one worker of a group; connectors are added by REST."""
    _run(_process().run_distributed, worker_properties, True)


def _process() -> Any:
    """The module of the workers, imported late: what it needs comes with an extra."""
    try:
        return importlib.import_module("connect.process")
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] in ("connect", "pybroker"):
            raise
        click.echo(f"Stopping: {error.name} is missing: pip install 'pybroker[connect]'", err=True)
        _exit(3)


def _run(start: Any, properties: Path, distributed: bool) -> None:
    try:
        config = WorkerConfig(parse_properties(properties.read_text(encoding="utf-8")), distributed)
        coroutine: Coroutine[Any, Any, None] = start(config)
        asyncio.run(coroutine)
    except (ConnectError, OSError) as error:
        click.echo(f"Stopping: {error}", err=True)
        _exit(3)
    _exit(0)


def _exit(status: int) -> None:
    """Ends at once: threads of plug-ins that never return must not keep the process."""
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


if __name__ == "__main__":
    main()
