"""Broker loggers: the resource whose names are loggers and whose values are levels.

In: names and levels as Kafka spells them. Out: what exists now, and changes to it. They live in the process,
not in the metadata log, and end with it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import logging

ROOT: Final = "root"
LEVELS: Final = {"TRACE": 5, "DEBUG": 10, "INFO": 20, "WARN": 30, "ERROR": 40, "FATAL": 50}

# Other libraries' loggers are not this broker's to offer.
_OURS: Final = "pybroker"


def logger_levels() -> dict[str, str]:
    """The effective level of the root logger and of each logger of this package."""
    return {name: _level_name(logger.getEffectiveLevel()) for name, logger in _loggers().items()}


def apply_logger_changes(changes: Mapping[str, str | None]) -> None:
    """Set levels; None gives a logger the level of its parent again. The names were checked before."""
    loggers = _loggers()
    for name, level in changes.items():
        loggers[name].setLevel(0 if level is None else LEVELS[level])


def _loggers() -> dict[str, logging.Logger]:
    import logging

    root = logging.getLogger()
    found = {ROOT: root}
    for name in sorted(logging.Logger.manager.loggerDict):
        logger = logging.Logger.manager.loggerDict[name]
        if isinstance(logger, logging.Logger) and (name == _OURS or name.startswith(_OURS + ".")):
            found[name] = logger
    return found


def _level_name(level: int) -> str:
    """The least severe name that still covers the level."""
    return next((name for name, number in LEVELS.items() if level <= number), "FATAL")
