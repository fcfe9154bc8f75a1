"""Values that Apache Kafka was asked about: the same codes and the same words."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from pybroker.common.config import BrokerConfig
from pybroker.common.config.validation import (
    validate_broker_configs,
    validate_client_metrics_configs,
    validate_group_configs,
    validate_topic_configs,
)
from pybroker.common.errors import ApiError

# What the observed broker ran with, as far as it matters.
CONFIG = BrokerConfig.from_properties(
    {
        "listeners": "PLAINTEXT://127.0.0.1:29392,CONTROLLER://127.0.0.1:29393",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "log.dirs": "/tmp/cfg-kafka/data",
        "log.retention.hours": "48",
        "log.roll.ms": "86400000",
    }
).with_dynamic({}, {"min.insync.replicas": "1"})


def observed() -> list[tuple[str, str, dict[str, str], int, str | None]]:
    rows = []
    for line in (Path(__file__).parent / "observed.tsv").read_text(encoding="utf-8").splitlines():
        if line.startswith("#"):
            continue
        kind, level, text, code, message = line.split("\t")
        settings = {
            name: json.loads(value) for name, value in re.findall(r'(\S*?)=("(?:[^"\\]|\\.)*")', text)
        }
        if message.startswith("~"):
            ((name, value),) = settings.items()
            message = f"Invalid value {value} for configuration {name}: {message[1:]}"
        rows.append((kind, level, settings, int(code), message or None))
    return rows


def answer(kind: str, level: str, settings: dict[str, str]) -> tuple[int, str | None]:
    try:
        if kind == "topic":
            validate_topic_configs(settings, CONFIG)
        elif kind == "group":
            validate_group_configs(settings, CONFIG)
        elif kind == "metrics":
            validate_client_metrics_configs(settings)
        else:
            stored = {} if level == "broker" else {"min.insync.replicas": "1"}
            validate_broker_configs({**stored, **settings}, level == "broker", CONFIG)
    except ApiError as error:
        return int(error.code), error.message
    return 0, None


@pytest.mark.parametrize("kind", ["topic", "group", "metrics", "broker"])
def test_the_answers_are_kafkas(kind):
    different = [
        (level, settings, (code, message), got)
        for row_kind, level, settings, code, message in observed()
        if row_kind == kind and (got := answer(kind, level, settings)) != (code, message)
    ]
    assert not different


def test_the_fixture_is_whole():
    assert len(observed()) == 840


def test_a_listener_of_its_own_dynamic_value():
    name = "listener.name.plaintext.num.io.threads"
    assert answer("broker", "broker", {name: "8"}) == (0, None)
    code, message = answer("broker", "cluster", {name: "8"})
    assert code == 42
    assert (
        message
        == f"Cannot update these configs at default cluster level, broker id must be specified: [{name}]"
    )
    for base in ("max.connections", "max.connection.creation.rate", "num.network.threads"):
        assert answer("broker", "cluster", {f"listener.name.plaintext.{base}": "5"}) == (0, None)


@pytest.mark.parametrize(
    "pattern", ["client_id=" + "(" * 2000, "client_id=" + "a{1,99999999999}", "=", "client_id==a"]
)
def test_a_hostile_match_is_refused(pattern):
    code, message = answer("metrics", "", {"match": pattern.replace(",", "")})
    assert code in (0, 40)
    assert (message is None) == (code == 0)


def test_a_changed_listener_is_not_taken_in_silence():
    code, message = answer(
        "broker", "broker", {"listeners": "PLAINTEXT://127.0.0.1:1,CONTROLLER://127.0.0.1:29393"}
    )
    assert (code, message) == (
        42,
        "listeners cannot be changed while this broker runs: it must be started again",
    )


def test_our_own_names_are_read_only():
    code, message = answer("broker", "broker", {"pybroker.durability": "fsync"})
    assert (code, message) == (42, "Cannot update these configs dynamically: [pybroker.durability]")


def test_one_value_at_a_time():
    validate_topic_configs({"retention.ms": "5"}, CONFIG)
    validate_broker_configs({**CONFIG.dynamic_broker, "log.retention.ms": "5"}, True, CONFIG)
    validate_group_configs({"share.isolation.level": "read_committed"}, CONFIG)
    with pytest.raises(ApiError, match="Unknown topic config name: foo"):
        validate_topic_configs({"foo": "5"}, CONFIG)
    with pytest.raises(ApiError, match="not be greater than double the current value 8"):
        validate_broker_configs({**CONFIG.dynamic_default, "num.io.threads": "17"}, False, CONFIG)
    with pytest.raises(ApiError, match=r"less than or equal to group\.share\.max\.delivery\.count\.limit"):
        validate_group_configs({"share.delivery.count.limit": "11"}, CONFIG)


def test_a_step_is_measured_from_what_holds_now():
    now = CONFIG.with_dynamic({"num.io.threads": "16"}, CONFIG.dynamic_default)
    validate_broker_configs({**now.dynamic_broker, "num.io.threads": "32"}, True, now)
    with pytest.raises(ApiError, match="at least half the current value 16"):
        validate_broker_configs({**now.dynamic_broker, "num.io.threads": "7"}, True, now)
