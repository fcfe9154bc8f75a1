"""The command line: `pybroker COMMAND`, one module per command, imported only when it is called."""

from __future__ import annotations

import importlib
from typing import Final

import click

from pybroker.version import VERSION

# command name: module in this package, which has a click command of the same name
_COMMANDS: Final = {"start": "start", "dump-log": "dump_log", "connect": "connect"}


class _LazyGroup(click.Group):
    """A group that imports a command's module when the command is used: start time matters."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        module_name = _COMMANDS.get(cmd_name)
        if module_name is None:
            return None
        module = importlib.import_module(f"pybroker.cli.{module_name}")
        command: click.Command = getattr(module, module_name)
        return command


@click.group(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(VERSION, prog_name="pybroker")
def main() -> None:
    """A message log server that standard Kafka clients connect to."""
