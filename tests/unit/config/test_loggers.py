"""Broker loggers."""

from __future__ import annotations

import logging

import pytest

from pybroker.common.config.loggers import ProcessLoggers, logger_levels
from pybroker.common.errors import ApiError

NAME = "pybroker.test_loggers"


@pytest.fixture(autouse=True)
def _restore_levels():
    root, logger = logging.getLogger(), logging.getLogger(NAME)
    before = root.level, logger.level
    yield
    root.setLevel(before[0])
    logger.setLevel(before[1])


def refused(*operation):
    with pytest.raises(ApiError) as caught:
        ProcessLoggers().alter([operation])
    return caught.value.code, caught.value.message


def test_levels_have_kafkas_names():
    logging.getLogger().setLevel(logging.WARNING)
    logging.getLogger(NAME).setLevel(logging.CRITICAL)
    levels = logger_levels()
    assert (levels["root"], levels[NAME]) == ("WARN", "FATAL")
    assert all(name == "root" or name.startswith("pybroker") for name in levels)


def test_set_and_delete():
    logging.getLogger().setLevel(logging.ERROR)
    ProcessLoggers().alter([(NAME, 0, "TRACE")])
    assert logger_levels()[NAME] == "TRACE"
    ProcessLoggers().alter([(NAME, 1, None)])
    assert logger_levels()[NAME] == "ERROR"


def test_all_or_none_and_validate_only():
    logging.getLogger(NAME).setLevel(logging.INFO)
    ProcessLoggers().alter([(NAME, 0, "DEBUG")], validate_only=True)
    with pytest.raises(ApiError):
        ProcessLoggers().alter([(NAME, 0, "DEBUG"), ("pybroker.nope", 0, "INFO")])
    assert logger_levels()[NAME] == "INFO"


def test_refusals_in_kafkas_words():
    assert refused("pybroker.nope", 0, "INFO") == (40, "Logger pybroker.nope does not exist!")
    assert refused("pybroker.nope", 1, None) == (40, "Logger pybroker.nope does not exist!")
    assert refused(NAME, 0, "info") == (
        40,
        f"Cannot set the log level of {NAME} to info as it is not a supported log level. "
        "Valid log levels are DEBUG, ERROR, FATAL, INFO, TRACE, WARN",
    )
    assert refused("root", 1, None) == (42, "Removing the log level of the root logger is not allowed")
    assert refused(NAME, 2, "INFO") == (42, "APPEND operation is not allowed for the BROKER_LOGGER resource")
    assert refused(NAME, 3, "INFO") == (
        42,
        "SUBTRACT operation is not allowed for the BROKER_LOGGER resource",
    )
