"""One configuration key: its type, default and bounds; from text to a typed value and back.

In: the text tables, and values as the user wrote them. Out: `ConfigKey`, `parse_table`, `format_value`. What
must hold: `parse` accepts and refuses what Kafka's ConfigDef does and says it in the same words, because
clients see these words; parsing costs no more than the length of the value.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Any, Final

from pybroker.common.errors import ConfigError


class ConfigType(IntEnum):
    """`config_type` of DescribeConfigs."""

    UNKNOWN = 0
    BOOLEAN = 1
    STRING = 2
    INT = 3
    SHORT = 4
    LONG = 5
    DOUBLE = 6
    LIST = 7
    CLASS = 8
    PASSWORD = 9


class ConfigSource(IntEnum):
    """`config_source` of DescribeConfigs and CreateTopics."""

    TOPIC = 1
    DYNAMIC_BROKER = 2
    DYNAMIC_DEFAULT_BROKER = 3
    STATIC_BROKER = 4
    DEFAULT = 5
    DYNAMIC_BROKER_LOGGER = 6
    CLIENT_METRICS = 7
    GROUP = 8


class ResourceType(IntEnum):
    """What a configuration belongs to."""

    TOPIC = 2
    BROKER = 4
    BROKER_LOGGER = 8
    CLIENT_METRICS = 16
    GROUP = 32


READ_ONLY: Final = "ro"
CLUSTER: Final = "cluster"
PER_BROKER: Final = "broker"

_TYPES: Final = {
    "bool": ConfigType.BOOLEAN,
    "string": ConfigType.STRING,
    "int": ConfigType.INT,
    "short": ConfigType.SHORT,
    "long": ConfigType.LONG,
    "double": ConfigType.DOUBLE,
    "list": ConfigType.LIST,
    "class": ConfigType.CLASS,
    "password": ConfigType.PASSWORD,
}
_BITS: Final = {ConfigType.INT: 31, ConfigType.SHORT: 15, ConfigType.LONG: 63}

# What Java's String.trim removes: everything up to the space.
_TRIMMED: Final = "".join(map(chr, range(33)))

# Longer than any number that can be in range, so a hostile value is refused before it is converted.
_NUMBER_LENGTH_MAX: Final = 400


class ConfigKey:
    """A name with its rules. `default` is typed; `has_default` is false where Kafka requires a value."""

    __slots__ = (
        "_default_text",
        "choices",
        "default",
        "doc",
        "has_default",
        "high",
        "internal",
        "low",
        "mode",
        "name",
        "range_text",
        "rule",
        "single_node",
        "synonyms",
        "type",
        "used",
    )

    def __init__(
        self,
        name: str,
        type_name: str,
        default: str,
        range_text: str,
        mode: str,
        single_node: bool,
        doc: str,
        synonyms: tuple[str, ...] = (),
        internal: bool = False,
    ) -> None:
        self.name = name
        self.type = _TYPES[type_name]
        self.mode = mode
        self.single_node = single_node
        self.used = single_node
        self.doc = doc
        self.synonyms = synonyms
        self.internal = internal
        self.range_text = range_text
        self.low: float | None = None
        self.high: float | None = None
        self.choices: tuple[str, ...] = ()
        self.rule = ""
        self._read_range(range_text)
        self.has_default = default != "required"
        self.default: Any = None
        if default not in ("-", "required"):
            self.default = self.convert("" if default == "''" else default)
        self._default_text = format_value(self.default)

    def _read_range(self, text: str) -> None:
        if text == "-":
            return
        if text.startswith(">="):
            self.low = _number(text[2:])
        elif text.startswith("{"):
            self.rule = "any case" if text.endswith("i") else "choice"
            self.choices = tuple(text.rstrip("i")[1:-1].split(","))
        elif text == "1..9|-1":
            self.rule = "gzip level"
        elif ".." in text:
            low, _, high = text.partition("..")
            self.low, self.high = _number(low), _number(high)
        else:
            self.rule = text

    @property
    def default_text(self) -> str | None:
        """The default as Kafka prints it; None is null."""
        return self._default_text

    @property
    def sensitive(self) -> bool:
        return self.type is ConfigType.PASSWORD

    def refuse(self, value: object, reason: str) -> ConfigError:
        """Kafka's ConfigException for this key."""
        return ConfigError(f"Invalid value {value} for configuration {self.name}: {reason}")

    def parse(self, text: str) -> Any:
        """The typed value, within bounds: bool, int, float, str or list of str. Else ConfigError."""
        value = self.convert(text)
        self.check(value)
        if self.type is ConfigType.LIST and self.rule != "throttle":
            return list(dict.fromkeys(value))
        return value

    def convert(self, text: str) -> Any:
        """The typed value, bounds unchecked."""
        kind = self.type
        trimmed = text.strip(_TRIMMED)
        if kind in _BITS:
            number = _parse_integer(trimmed, _BITS[kind])
            if number is None:
                raise self.refuse(text, f"Not a number of type {kind.name}")
            return number
        if kind is ConfigType.BOOLEAN:
            lower = trimmed.lower()
            if lower not in ("true", "false"):
                raise self.refuse(text, "Expected value to be either true or false")
            return lower == "true"
        if kind is ConfigType.DOUBLE:
            double = _parse_double(trimmed)
            if double is None:
                raise self.refuse(text, "Not a number of type DOUBLE")
            return double
        if kind is ConfigType.LIST:
            return [part.strip() for part in trimmed.split(",")] if trimmed else []
        return trimmed

    def check(self, value: Any) -> None:
        """ConfigError when the typed value is out of bounds."""
        if self.low is not None and value < self.low:
            raise self.refuse(_shown(value), f"Value must be at least {_shown_bound(self.low)}")
        if self.high is not None and value > self.high:
            raise self.refuse(_shown(value), f"Value must be no more than {_shown_bound(self.high)}")
        if self.type is ConfigType.LIST:
            self._check_list(value)
        elif self.rule:
            self._check_rule(value)

    def _check_list(self, values: list[str]) -> None:
        if self.rule == "throttle":
            if "".join(values) != "*" and not all(_is_throttled_replica(part) for part in values):
                raise self.refuse(
                    f"[{', '.join(values)}]",
                    f"{self.name} must be the literal '*' or a list of replicas in the following format: "
                    "[partitionId]:[brokerId],[partitionId]:[brokerId],...",
                )
            return
        if not values and self.rule == "nonempty":
            raise ConfigError(f"Configuration '{self.name}' must not be empty.")
        for part in values:
            if not part:
                raise ConfigError(f"Configuration '{self.name}' values must not be empty.")
            if self.choices and part not in self.choices:
                raise self.refuse(part, f"String must be one of: {', '.join(self.choices)}")

    def _check_rule(self, value: Any) -> None:
        if self.rule == "choice":
            if value not in self.choices:
                raise self.refuse(value, f"String must be one of: {', '.join(self.choices)}")
        elif self.rule == "any case":
            if value.upper() not in self.choices:
                raise self.refuse(
                    value, f"String must be one of (case insensitive): {', '.join(self.choices)}"
                )
        elif self.rule == "gzip level":
            if value != -1 and not 1 <= value <= 9:
                raise self.refuse(value, "Value must be between 1 and 9 or equal to -1")
        elif self.rule == "nonempty":
            if not value:
                raise self.refuse(value, "String must be non-empty")
        elif self.rule == "reset" and not _is_offset_reset(value):
            raise self.refuse(
                value,
                f"Invalid value `{value}` for configuration {self.name}. The value must be either "
                "'earliest', 'latest' or of the format 'by_duration:<PnDTnHnMn.nS>'.",
            )


def parse_table(table: str, *, internal: bool = False, synonyms: bool = False) -> dict[str, ConfigKey]:
    """The keys of a text table by name, in its order. With `synonyms`, the mode column names broker keys."""
    keys: dict[str, ConfigKey] = {}
    lines = iter(table.splitlines())
    for row in lines:
        name, type_name, default, range_text, mode, single_node = row.split(" ")
        if default == "=":
            default = next(lines).split("= ", 1)[1]
        broker_names: tuple[str, ...] = ()
        if synonyms:
            broker_names = () if mode == "-" else tuple(mode.split(","))
            mode = CLUSTER
        keys[name] = ConfigKey(
            name,
            type_name,
            default,
            range_text,
            mode,
            single_node == "1",
            next(lines).strip(),
            broker_names,
            internal,
        )
    return keys


def format_value(value: Any) -> str | None:
    """A typed value as Kafka prints it: lists joined by commas, doubles as Java does, null as None."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return format_double(value)
    if isinstance(value, list):
        return ",".join(value)
    return str(value)


def format_double(value: float) -> str:
    """As Java's Double.toString: shortest digits, plain between 0.001 and 10,000,000, else with E."""
    if value != value:
        return "NaN"
    if value in (float("inf"), float("-inf")):
        return "Infinity" if value > 0 else "-Infinity"
    mantissa, _, exponent_text = f"{value!r}".partition("e")
    if value == 0 or (1e-3 <= abs(value) < 1e7 and not exponent_text):
        return mantissa if "." in mantissa else mantissa + ".0"
    sign = "-" if value < 0 else ""
    whole, _, fraction = mantissa.lstrip("-").partition(".")
    exponent = int(exponent_text or 0) + len(whole) - 1
    digits = whole + fraction
    leading_zeros = len(digits) - len(digits.lstrip("0"))
    digits = digits[leading_zeros:].rstrip("0")
    return f"{sign}{digits[0]}.{digits[1:] or '0'}E{exponent - leading_zeros}"


def _number(text: str) -> float:
    return float(text) if "." in text else int(text)


def _shown(value: Any) -> str:
    return format_value(value) or ""


def _shown_bound(bound: float) -> str:
    return str(int(bound)) if bound == int(bound) else format_double(bound)


def _parse_integer(text: str, bits: int) -> int | None:
    digits = text[1:] if text[:1] in ("+", "-") else text
    # Java takes the decimal digits of every script in the basic plane.
    if len(digits) > _NUMBER_LENGTH_MAX or not digits.isdecimal() or max(digits) > "\uffff":
        return None
    number = int(text)
    return number if -(1 << bits) <= number < 1 << bits else None


def _parse_double(text: str) -> float | None:
    bare = text[1:] if text[:1] in ("+", "-") else text
    if bare in ("NaN", "Infinity"):
        return float(text)
    # Java accepts a type suffix; Python accepts names and underscores that Java does not.
    if text[-1:] in ("f", "F", "d", "D"):
        text = text[:-1]
    if len(text) > _NUMBER_LENGTH_MAX or not text or not set(text) <= set("0123456789+-.eE"):
        return None
    try:
        return float(text)
    except ValueError:
        return None


def _is_throttled_replica(text: str) -> bool:
    if not text:
        return True
    partition, separator, broker = text.partition(":")
    return bool(separator) and all(part.isascii() and part.isdigit() for part in (partition, broker))


def _is_offset_reset(text: str) -> bool:
    if text in ("earliest", "latest"):
        return True
    kind, separator, duration = text.partition(":")
    return bool(separator) and kind == "by_duration" and parse_duration_ms(duration) is not None


def parse_duration_ms(text: str) -> int | None:
    """Milliseconds of an ISO-8601 duration like PT1H30M or P2DT0.5S; None when it is none or negative."""
    # Only share groups need this, so the pattern is not compiled at import.
    import re

    if len(text) > 64:
        return None
    match = re.fullmatch(
        r"\+?P(?:(\d{1,15})D)?(T(?:(\d{1,15})H)?(?:(\d{1,15})M)?(?:(\d{1,15})(?:[.,](\d{0,9}))?S)?)?",
        text,
        re.ASCII | re.IGNORECASE,
    )
    if match is None:
        return None
    days, time, hours, minutes, seconds, fraction = match.groups()
    if time is not None and len(time) == 1:
        return None
    if days is None and time is None:
        return None
    whole = ((int(days or 0) * 24 + int(hours or 0)) * 60 + int(minutes or 0)) * 60 + int(seconds or 0)
    return whole * 1000 + int((fraction or "0").ljust(9, "0")) // 1_000_000
