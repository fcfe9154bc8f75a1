"""What keys a configuration has, and whether given values are good: Kafka's ConfigDef.

In: definitions (`define`) and a map of strings. Out: `parse` gives typed values or raises `ConfigError` for
the first bad one; `validate` gives one `ConfigValue` per key with all errors, as the REST API shows them.
What must hold: messages read as Kafka's do, since clients match them; nothing here depends on a worker.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, Protocol

from connect.api.errors import ConfigError, value_text

__all__ = [
    "NO_DEFAULT_VALUE",
    "ConfigDef",
    "ConfigKey",
    "ConfigValue",
    "Importance",
    "Password",
    "Recommender",
    "Type",
    "UnparsableError",
    "Validator",
    "Width",
    "at_least",
    "between",
    "case_insensitive_valid_string",
    "composite",
    "non_empty_string",
    "non_empty_string_without_control_chars",
    "non_null",
    "valid_list",
    "valid_string",
]


class Type(enum.Enum):
    BOOLEAN = "BOOLEAN"
    STRING = "STRING"
    INT = "INT"
    SHORT = "SHORT"
    LONG = "LONG"
    DOUBLE = "DOUBLE"
    LIST = "LIST"
    CLASS = "CLASS"
    PASSWORD = "PASSWORD"


class Importance(enum.Enum):
    HIGH = "HIGH"
    MEDIUM = "MEDIUM"
    LOW = "LOW"


class Width(enum.Enum):
    NONE = "NONE"
    SHORT = "SHORT"
    MEDIUM = "MEDIUM"
    LONG = "LONG"


class _NoDefault:
    def __repr__(self) -> str:
        return "NO_DEFAULT_VALUE"


# The default of a required key.
NO_DEFAULT_VALUE: Final = _NoDefault()


class Password:
    """A secret: `value` is the text, every way of showing it gives `[hidden]`."""

    HIDDEN: Final = "[hidden]"
    __slots__ = ("value",)

    def __init__(self, value: str) -> None:
        self.value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Password) and other.value == self.value

    def __hash__(self) -> int:
        return hash(self.value)

    def __str__(self) -> str:
        return self.HIDDEN

    __repr__ = __str__


class UnparsableError(ConfigError):
    """Raised by the validator of a CLASS key that names no class: counts as a value that did not parse."""


# Called with the key's name and its parsed value (None when absent); raises ConfigError.
Validator = Callable[[str, Any], None]


class Recommender(Protocol):
    """Says, given the parsed values of all keys, what a key might hold and whether it matters at all."""

    def valid_values(self, name: str, parsed: Mapping[str, Any]) -> list[Any]: ...

    def visible(self, name: str, parsed: Mapping[str, Any]) -> bool: ...


@dataclass(frozen=True)
class ConfigKey:
    name: str
    type: Type
    default_value: Any = NO_DEFAULT_VALUE
    validator: Validator | None = None
    importance: Importance = Importance.MEDIUM
    documentation: str = ""
    group: str | None = None
    order_in_group: int = -1
    width: Width = Width.NONE
    display_name: str = ""
    dependents: tuple[str, ...] = ()
    recommender: Recommender | None = None
    internal: bool = False

    @property
    def has_default(self) -> bool:
        return self.default_value is not NO_DEFAULT_VALUE


@dataclass
class ConfigValue:
    """A key after validation. `value` is the parsed value, None where it did not parse or was not given."""

    name: str
    value: Any = None
    recommended_values: list[Any] = field(default_factory=list)
    error_messages: list[str] = field(default_factory=list)
    visible: bool = True

    def add_error_message(self, message: str) -> None:
        self.error_messages.append(message)


_INTEGERS: Final = {
    Type.SHORT: (16, "16-bit integer"),
    Type.INT: (32, "32-bit integer"),
    Type.LONG: (64, "64-bit integer"),
}
_LIST_SEPARATOR: Final = re.compile(r"\s*,\s*")
_INTEGER: Final = re.compile(r"[+-]?[0-9]+")


def parse_type(name: str, value: Any, type_: Type) -> Any:
    """A value as its type; strings are trimmed first (but for passwords). ConfigError when it is none."""
    if value is None:
        return None
    if isinstance(value, str) and type_ is not Type.PASSWORD:
        value = value.strip()
    if type_ is Type.BOOLEAN:
        if isinstance(value, bool):
            return value
        if isinstance(value, str) and value.lower() in ("true", "false"):
            return value.lower() == "true"
        raise ConfigError(name=name, value=value, message="Expected value to be either true or false")
    if type_ is Type.PASSWORD:
        if isinstance(value, Password):
            return value
        if isinstance(value, str):
            return Password(value)
        raise ConfigError(
            name=name,
            value=value,
            message=f"Expected value to be a string, but it was a {type(value).__name__}",
        )
    if type_ is Type.STRING:
        if isinstance(value, str):
            return value
        raise ConfigError(
            name=name,
            value=value,
            message=f"Expected value to be a string, but it was a {type(value).__name__}",
        )
    if type_ in _INTEGERS:
        bits, words = _INTEGERS[type_]
        if isinstance(value, str):
            if not _INTEGER.fullmatch(value):
                raise ConfigError(name=name, value=value, message=f"Not a number of type {type_.value}")
            number = int(value) if len(value) < 40 else 1 << 80
        elif isinstance(value, int) and not isinstance(value, bool):
            number = value
        else:
            raise ConfigError(
                name=name,
                value=value,
                message=f"Expected value to be a {words}, but it was a {type(value).__name__}",
            )
        if not -(1 << (bits - 1)) <= number < 1 << (bits - 1):
            raise ConfigError(name=name, value=value, message=f"Not a number of type {type_.value}")
        return number
    if type_ is Type.DOUBLE:
        if isinstance(value, int | float) and not isinstance(value, bool):
            return float(value)
        if isinstance(value, str):
            try:
                return float(value)
            except ValueError:
                raise ConfigError(name=name, value=value, message="Not a number of type DOUBLE") from None
        raise ConfigError(
            name=name,
            value=value,
            message=f"Expected value to be a double, but it was a {type(value).__name__}",
        )
    if type_ is Type.LIST:
        if isinstance(value, list | tuple):
            return list(value)
        if isinstance(value, str):
            return _LIST_SEPARATOR.split(value) if value else []
        raise ConfigError(name=name, value=value, message="Expected a comma separated list.")
    # CLASS: class names stay text here; whether such a class exists is for a validator to say, which knows
    # the plug-ins.
    if isinstance(value, str | type):
        return value
    raise ConfigError(name=name, value=value, message="Expected a Class instance or class name.")


def convert_to_text(value: Any, type_: Type | None) -> str | None:
    """A parsed value as the REST API shows it."""
    if value is None:
        return None
    if type_ is Type.LIST and isinstance(value, list | tuple):
        return ",".join(value_text(item) for item in value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, type):
        java_name = getattr(value, "java_class_name", None)
        return java_name if isinstance(java_name, str) else f"{value.__module__}.{value.__qualname__}"
    return str(value)


class ConfigDef:
    """An ordered set of keys."""

    def __init__(self, other: ConfigDef | None = None) -> None:
        self.keys: dict[str, ConfigKey] = dict(other.keys) if other is not None else {}

    def define(
        self,
        name: str,
        type: Type,
        default: Any = NO_DEFAULT_VALUE,
        *,
        validator: Validator | None = None,
        importance: Importance = Importance.MEDIUM,
        doc: str = "",
        group: str | None = None,
        order_in_group: int = -1,
        width: Width = Width.NONE,
        display_name: str | None = None,
        dependents: Iterable[str] = (),
        recommender: Recommender | None = None,
        internal: bool = False,
    ) -> ConfigDef:
        """Adds a key. Without a default it is required. ConfigError when it exists already, or the default is
        no good."""
        if default is not NO_DEFAULT_VALUE and default is not None:
            default = parse_type(name, default, type)
        if default is not NO_DEFAULT_VALUE and validator is not None:
            validator(name, default)
        return self.define_key(
            ConfigKey(
                name,
                type,
                default,
                validator,
                importance,
                doc,
                group,
                order_in_group,
                width,
                name if display_name is None else display_name,
                tuple(dependents),
                recommender,
                internal,
            )
        )

    def define_key(self, key: ConfigKey) -> ConfigDef:
        if key.name in self.keys:
            raise ConfigError(f"Configuration {key.name} is defined twice.")
        self.keys[key.name] = key
        return self

    def embed(self, prefix: str, group: str, starting_order: int, child: ConfigDef) -> ConfigDef:
        """Adds all keys of another definition under a prefix, all in one group."""
        order = starting_order
        for key in child.keys.values():
            name = prefix + key.name
            dependents = tuple(prefix + dependent for dependent in key.dependents)
            self.define_key(replace(key, name=name, group=group, order_in_group=order, dependents=dependents))
            order += 1
        return self

    def groups(self) -> list[str]:
        """The groups in the order of their first keys."""
        return list(dict.fromkeys(key.group for key in self.keys.values() if key.group is not None))

    def parse(self, props: Mapping[str, Any]) -> dict[str, Any]:
        """The typed values of all defined keys; keys that are not defined are left out. ConfigError for the
        first that is missing or refused."""
        for key in self.keys.values():
            for dependent in key.dependents:
                if dependent not in self.keys:
                    raise ConfigError(
                        f"Some configurations in are referred in the dependents, but not defined: {dependent}"
                    )
        return {key.name: self._parse_value(key, props) for key in self.keys.values()}

    def _parse_value(self, key: ConfigKey, props: Mapping[str, Any]) -> Any:
        if key.name in props:
            value = parse_type(key.name, props[key.name], key.type)
        elif not key.has_default:
            raise ConfigError(f'Missing required configuration "{key.name}" which has no default value.')
        else:
            value = key.default_value
        if key.validator is not None:
            key.validator(key.name, value)
        return value

    def validate(self, props: Mapping[str, Any]) -> list[ConfigValue]:
        """One value per key, each with its errors; never raises for what `props` holds."""
        return list(self.validate_all(props).values())

    def validate_all(self, props: Mapping[str, Any]) -> dict[str, ConfigValue]:
        values = {name: ConfigValue(name) for name in self.keys}
        for name in sorted({d for key in self.keys.values() for d in key.dependents} - self.keys.keys()):
            values[name] = ConfigValue(
                name,
                error_messages=[f"{name} is referred in the dependents, but not defined."],
                visible=False,
            )
        parsed: dict[str, Any] = {}
        for key in self.keys.values():
            result = values[key.name]
            if key.name in props:
                try:
                    result.value = parse_type(key.name, props[key.name], key.type)
                except ConfigError as error:
                    result.add_error_message(str(error))
            elif not key.has_default:
                result.add_error_message(
                    f'Missing required configuration "{key.name}" which has no default value.'
                )
            else:
                result.value = key.default_value
            # As in Kafka, the validator sees a value that did not parse as none at all.
            if key.validator is not None:
                try:
                    key.validator(key.name, result.value)
                except ConfigError as error:
                    result.add_error_message(str(error))
                    if isinstance(error, UnparsableError):
                        result.value = None
            parsed[key.name] = result.value
        for key in self.keys.values():
            if key.recommender is None:
                continue
            result = values[key.name]
            try:
                result.recommended_values = list(key.recommender.valid_values(key.name, parsed))
                result.visible = key.recommender.visible(key.name, parsed)
            except ConfigError as error:
                result.add_error_message(str(error))
        return values


def at_least(minimum: float) -> Validator:
    def check(name: str, value: Any) -> None:
        if value is None:
            raise ConfigError(name=name, value=None, message="Value must be non-null")
        if value < minimum:
            raise ConfigError(name=name, value=value, message=f"Value must be at least {minimum}")

    return check


def between(minimum: float, maximum: float) -> Validator:
    def check(name: str, value: Any) -> None:
        if value is None:
            raise ConfigError(name=name, value=None, message="Value must be non-null")
        if value < minimum:
            raise ConfigError(name=name, value=value, message=f"Value must be at least {minimum}")
        if value > maximum:
            raise ConfigError(name=name, value=value, message=f"Value must be no more than {maximum}")

    return check


def valid_string(*allowed: str) -> Validator:
    def check(name: str, value: Any) -> None:
        if value not in allowed:
            raise ConfigError(name=name, value=value, message=f"String must be one of: {', '.join(allowed)}")

    return check


def case_insensitive_valid_string(*allowed: str) -> Validator:
    upper = [text.upper() for text in allowed]

    def check(name: str, value: Any) -> None:
        if value is None or value.upper() not in upper:
            raise ConfigError(
                name=name,
                value=value,
                message=f"String must be one of (case insensitive): {', '.join(upper)}",
            )

    return check


def valid_list(*allowed: str) -> Validator:
    def check(name: str, value: Any) -> None:
        for item in value or ():
            if item not in allowed:
                raise ConfigError(
                    name=name, value=item, message=f"String must be one of: {', '.join(allowed)}"
                )

    return check


def non_empty_string(name: str, value: Any) -> None:
    if value is not None and value == "":
        raise ConfigError(name=name, value=value, message="String must be non-empty")


def non_null(name: str, value: Any) -> None:
    if value is None:
        raise ConfigError(name=name, value=value, message="entry must be non null")


def non_empty_list(name: str, value: Any) -> None:
    if not value:
        raise ConfigError(name=name, value=value, message="Empty list")


def non_empty_string_without_control_chars(name: str, value: Any) -> None:
    if value is None:
        return
    if value == "":
        raise ConfigError(name=name, value=value, message="String may not be empty")
    found = [str(ord(char)) for char in value if ord(char) < 32 or 127 <= ord(char) < 160]
    if found:
        raise ConfigError(
            name=name,
            value=value,
            message="String may not contain control sequences but had the following ASCII chars: "
            + ", ".join(found),
        )


def composite(*validators: Validator) -> Validator:
    def check(name: str, value: Any) -> None:
        for validator in validators:
            validator(name, value)

    return check
