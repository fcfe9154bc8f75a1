"""Log levels at run time (KIP-495), in Java's words over Python's loggers.

In: logger names and levels. Out: the levels of all loggers, and which changed. What must hold: levels are the
names that Java's clients know; a logger is known when something created it or a level was set here.
"""

from __future__ import annotations

import logging
import time
from typing import Final

_LEVELS: Final = {
    "OFF": logging.CRITICAL + 10,
    "FATAL": logging.CRITICAL,
    "ERROR": logging.ERROR,
    "WARN": logging.WARNING,
    "INFO": logging.INFO,
    "DEBUG": logging.DEBUG,
    "TRACE": 5,
    "ALL": 1,
}
ROOT: Final = "root"


class Loggers:
    def __init__(self) -> None:
        self._modified: dict[str, int] = {}

    def _known(self) -> dict[str, logging.Logger]:
        known = {
            name: logger
            for name, logger in logging.root.manager.loggerDict.items()
            if isinstance(logger, logging.Logger)
        }
        return {ROOT: logging.root, **known}

    def all(self) -> dict[str, dict[str, object]]:
        return {name: self._shown(name, logger) for name, logger in sorted(self._known().items())}

    def one(self, name: str) -> dict[str, object] | None:
        logger = self._known().get(name)
        return None if logger is None else self._shown(name, logger)

    def _shown(self, name: str, logger: logging.Logger) -> dict[str, object]:
        return {"level": _name(logger.getEffectiveLevel()), "last_modified": self._modified.get(name)}

    def set_level(self, name: str, level: str) -> list[str]:
        """Sets the level of a logger and of everything below it. The names whose level changed, sorted.
        ValueError for a level that does not exist."""
        number = require_level(level)
        if name != ROOT:
            logging.getLogger(name)
        concerned = {
            known: logger
            for known, logger in self._known().items()
            if name in (ROOT, known) or known.startswith(name + ".")
        }
        before = {known: logger.getEffectiveLevel() for known, logger in concerned.items()}
        changed = []
        now = int(time.time() * 1000)
        for known, logger in concerned.items():
            logger.setLevel(number)
            if before[known] != number:
                changed.append(known)
                self._modified[known] = now
        return sorted(changed)


def require_level(level: str) -> int:
    number = _LEVELS.get(level.upper())
    if number is None:
        raise ValueError(f"invalid log level '{level}'.")
    return number


def _name(number: int) -> str:
    for name, level in _LEVELS.items():
        if number >= level:
            return name
    return "ALL"
