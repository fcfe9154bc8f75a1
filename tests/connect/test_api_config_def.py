"""ConfigDef: parsing, Kafka's messages, validation of all keys at once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from connect.api.config_def import (
    ConfigDef,
    Password,
    Type,
    at_least,
    convert_to_text,
    non_empty_string,
    valid_string,
)
from connect.api.errors import ConfigError


class Sizes:
    def valid_values(self, name: str, parsed: Mapping[str, Any]) -> list[Any]:
        return [1, 2] if parsed.get("kind") == "a" else []

    def visible(self, name: str, parsed: Mapping[str, Any]) -> bool:
        return parsed.get("kind") == "a"


DEFINITION = (
    ConfigDef()
    .define("kind", Type.STRING, validator=valid_string("a", "b"), dependents=["size"])
    .define("size", Type.INT, 1, validator=at_least(1), recommender=Sizes())
    .define("names", Type.LIST, "")
    .define("secret", Type.PASSWORD, None)
    .define("topic", Type.STRING, "t", validator=non_empty_string)
)


def test_parse() -> None:
    parsed = DEFINITION.parse({"kind": " a ", "size": "7", "names": "x , y", "secret": "s", "other": "1"})
    assert parsed == {"kind": "a", "size": 7, "names": ["x", "y"], "secret": Password("s"), "topic": "t"}
    assert str(parsed["secret"]) == "[hidden]"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, 'Missing required configuration "kind" which has no default value.'),
        ({"kind": "c"}, "Invalid value c for configuration kind: String must be one of: a, b"),
        ({"kind": "a", "size": "x"}, "Invalid value x for configuration size: Not a number of type INT"),
        (
            {"kind": "a", "size": str(1 << 31)},
            f"Invalid value {1 << 31} for configuration size: Not a number of type INT",
        ),
        ({"kind": "a", "size": "0"}, "Invalid value 0 for configuration size: Value must be at least 1"),
        ({"kind": "a", "topic": ""}, "Invalid value  for configuration topic: String must be non-empty"),
    ],
)
def test_refused(given: dict[str, str], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        DEFINITION.parse(given)
    assert str(caught.value) == message
    # The validator sees a value that did not parse as none, and may add that.
    assert [m for value in DEFINITION.validate(given) for m in value.error_messages][0] == message


def test_validate_reports_every_key() -> None:
    values = {value.name: value for value in DEFINITION.validate({"size": "x", "topic": ""})}
    assert [len(values[name].error_messages) for name in ("kind", "size", "names", "topic")] == [2, 2, 0, 1]
    assert values["size"].value is None
    assert values["topic"].value == ""
    shown = DEFINITION.validate({"kind": "a"})[1]
    assert (shown.recommended_values, shown.visible) == ([1, 2], True)


def test_text() -> None:
    assert convert_to_text(["a", "b"], Type.LIST) == "a,b"
    assert convert_to_text(False, Type.BOOLEAN) == "false"
    assert convert_to_text(None, Type.STRING) is None


def test_undefined_dependent() -> None:
    broken = ConfigDef().define("a", Type.STRING, "", dependents=["b"])
    assert "b is referred in the dependents, but not defined." in broken.validate({})[1].error_messages
