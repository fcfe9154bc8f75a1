"""The command line: `pybroker COMMAND`, one module per command, imported only when it is called."""

from __future__ import annotations

import importlib
from typing import Final

import click

from pybroker.version import VERSION

# command name: module in this package, which has a click command of the same name; what it does
_COMMANDS: Final = {
    "cluster": ("cluster", "Run several brokers on this machine."),
    "connect": ("connect", "Run a Connect worker: source and sink connectors."),
    "dump-log": ("dump_log", "Print what is in log segments, indexes and snapshots."),
    "start": ("start", "Run a broker."),
    "storage": ("storage", "Format log directories, or look at them."),
}


class _LazyGroup(click.Group):
    """A group that imports a command's module when the command is used: start time matters."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in _COMMANDS.items()])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        module_name = _COMMANDS[cmd_name][0]
        module = importlib.import_module(f"pybroker.cli.{module_name}")
        command: click.Command = getattr(module, module_name)
        return command


@click.group(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(VERSION, prog_name="pybroker")
def main() -> None:
    """A message log server that standard Kafka clients connect to."""
