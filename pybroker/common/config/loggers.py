"""Broker loggers: the resource whose names are loggers and whose values are levels.

In: names and levels as Kafka spells them. Out: what exists now, and changes to it. They live in the process,
not in the metadata log, and end with it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Final

from pybroker.common.errors import ApiError, ErrorCode

if TYPE_CHECKING:
    import logging

ROOT: Final = "root"
LEVELS: Final = {"TRACE": 5, "DEBUG": 10, "INFO": 20, "WARN": 30, "ERROR": 40, "FATAL": 50}

# Other libraries' loggers are not this broker's to offer.
_OURS: Final = "pybroker"

_SET: Final = 0
_DELETE: Final = 1
_APPEND: Final = 2

# The level of a logger that takes its parent's.
_INHERITED: Final = 0


def logger_levels() -> dict[str, str]:
    """The effective level of the root logger and of each logger of this package."""
    return {name: _level_name(logger.getEffectiveLevel()) for name, logger in _loggers().items()}


def apply_logger_changes(changes: Mapping[str, str | None]) -> None:
    """Set levels that were checked before; None means that of the parent."""
    loggers = _loggers()
    for name, level in changes.items():
        loggers[name].setLevel(_INHERITED if level is None else LEVELS[level])


class ProcessLoggers:
    """The log levels of this process, as IncrementalAlterConfigs changes them."""

    def alter(
        self, operations: Sequence[tuple[str, int, str | None]], *, validate_only: bool = False
    ) -> None:
        """Apply (name, operation, level) entries, all or none. ApiError in Kafka's words."""
        loggers = _loggers()
        levels = [
            (name, _new_level(name, operation, level, loggers)) for name, operation, level in operations
        ]
        if not validate_only:
            for name, number in levels:
                loggers[name].setLevel(number)


def _new_level(name: str, operation: int, level: str | None, known: Collection[str]) -> int:
    if operation not in (_SET, _DELETE):
        verb = "APPEND" if operation == _APPEND else "SUBTRACT"
        raise ApiError(
            ErrorCode.INVALID_REQUEST, f"{verb} operation is not allowed for the BROKER_LOGGER resource"
        )
    if name not in known:
        raise ApiError(ErrorCode.INVALID_CONFIG, f"Logger {name} does not exist!")
    if operation == _DELETE:
        if name == ROOT:
            raise ApiError(
                ErrorCode.INVALID_REQUEST, "Removing the log level of the root logger is not allowed"
            )
        return _INHERITED
    if level not in LEVELS:
        raise ApiError(
            ErrorCode.INVALID_CONFIG,
            f"Cannot set the log level of {name} to {level} as it is not a supported log level. "
            f"Valid log levels are {', '.join(sorted(LEVELS))}",
        )
    return LEVELS[level]


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
