"""What the source and the sink share: keys of the connection, and how a connection is made, tried again and
lost.

In: typed configuration values. Out: a `DatabaseUrl`, open connections, `ConnectError` and `RetriableError`
whose texts hold no secret.
"""

from __future__ import annotations

import datetime
import logging
import threading
import zoneinfo
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from connect.api.config_def import (
    NO_DEFAULT_VALUE,
    ConfigDef,
    ConfigValue,
    Importance,
    Type,
    Width,
    at_least,
    case_insensitive_valid_string,
)
from connect.api.errors import ConfigError, ConnectError
from connect.jdbc.dialects import DIALECTS, dialect_for, dialect_name
from connect.jdbc.drivers import Connection, connect, missing_package
from connect.jdbc.types import DatabaseError, ErrorKind
from connect.jdbc.url import DatabaseUrl, UrlError, parse_url

log = logging.getLogger(__name__)

VERSION = "1.0.0"

CONNECTION_URL = "connection.url"
CONNECTION_USER = "connection.user"
CONNECTION_PASSWORD = "connection.password"

_OWN_CONNECTION_KEYS = {
    "connection.url", "connection.user", "connection.password", "connection.attempts",
    "connection.backoff.ms",
    "connection.ds.pool.size",
}  # fmt: skip

# An undefined key is refused by nobody, so keys that mean nothing here are defined to be accepted knowingly.
NO_EFFECT = " (accepted for configurations of the Java connectors; has no effect here)"


def check_zone(name: str, value: Any) -> None:
    try:
        zone(value)
    except ValueError:
        raise ConfigError(name=name, value=value, message="Invalid time zone identifier") from None


def zone(name: str) -> datetime.tzinfo:
    """A time zone by its name; ValueError when there is none."""
    if name.upper() in ("UTC", "GMT", "Z", "ETC/UTC"):
        return datetime.UTC
    try:
        return zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(name) from None


def check_dialect(name: str, value: Any) -> None:
    if value and value.lower() != "jdbc" and dialect_name(value) is None:
        known = ", ".join(sorted(DIALECTS))
        raise ConfigError(name=name, value=value, message=f"Unknown dialect; known: {known}, jdbc")


def check_url(name: str, value: Any) -> None:
    try:
        # Whether there are jars is not known here; a subprotocol of nobody's is found at start.
        parse_url(value or "", jars=True)
    except UrlError as error:
        raise ConfigError(f"Invalid value for configuration {name}: {error}") from None


def define_connection(config: ConfigDef, *, password_group: str = "Database") -> ConfigDef:
    group = password_group
    config.define(
        CONNECTION_URL, Type.STRING, NO_DEFAULT_VALUE, validator=check_url, importance=Importance.HIGH,
        doc="JDBC URL of the database, as the Java connectors take it, or an SQLAlchemy URL.",
        group=group, order_in_group=1, width=Width.LONG, display_name="JDBC URL",
    )  # fmt: skip
    config.define(
        CONNECTION_USER, Type.STRING, None, importance=Importance.HIGH, group=group, order_in_group=2,
        doc="User of the database; stronger than one in the URL.", width=Width.MEDIUM,
        display_name="JDBC User",
    )  # fmt: skip
    config.define(
        CONNECTION_PASSWORD, Type.PASSWORD, None, importance=Importance.HIGH, group=group, order_in_group=3,
        doc="Password of the user; stronger than one in the URL.", width=Width.SHORT,
        display_name="JDBC Password",
    )  # fmt: skip
    config.define(
        "connection.attempts", Type.INT, 3, validator=at_least(1), importance=Importance.LOW, group=group,
        doc="How often a connection is tried before the task fails.", order_in_group=4,
    )  # fmt: skip
    config.define(
        "connection.backoff.ms", Type.LONG, 10000, validator=at_least(1), importance=Importance.LOW,
        doc="How long to wait between these attempts.", group=group, order_in_group=5,
    )  # fmt: skip
    config.define(
        "dialect.name", Type.STRING, "", validator=check_dialect, importance=Importance.LOW, group=group,
        doc="The dialect to use whatever the URL says; jdbc = by a JDBC driver jar. Empty: by the URL.",
        order_in_group=6, width=Width.LONG, display_name="Database Dialect",
    )  # fmt: skip
    config.define(
        "db.timezone", Type.STRING, "UTC", validator=check_zone, importance=Importance.MEDIUM, group=group,
        doc="The time zone of the database's dates and times without zone.", order_in_group=7,
        display_name="DB Time Zone",
    )  # fmt: skip
    config.define(
        "quote.sql.identifiers", Type.STRING, "", importance=Importance.MEDIUM, group=group,
        validator=case_insensitive_valid_string("", "ALWAYS", "NEVER"),
        doc="When to quote names: always, never, or (empty) when needed.", order_in_group=8,
    )  # fmt: skip
    config.define(
        "sql.quote.identifiers", Type.BOOLEAN, None, importance=Importance.MEDIUM, group=group,
        doc="The same in the words of the Aiven connector: false is never.", order_in_group=9,
    )  # fmt: skip
    config.define(
        "date.calendar.system", Type.STRING, "LEGACY", importance=Importance.LOW, group=group,
        validator=case_insensitive_valid_string("LEGACY", "PROLEPTIC_GREGORIAN"),
        doc="Days before 1582 are Gregorian here, always" + NO_EFFECT + ".", order_in_group=10,
    )  # fmt: skip
    config.define(
        "jdbc.credentials.provider.class.name", Type.STRING, None, importance=Importance.LOW, group=group,
        doc="A Python class module.Class whose credentials() gives a user and a password.", order_in_group=11,
    )  # fmt: skip
    return config


def quoting_of(values: Mapping[str, Any]) -> str:
    text = (values.get("quote.sql.identifiers") or "").lower()
    if text:
        return str(text)
    return {True: "always", False: "never"}.get(values.get("sql.quote.identifiers"), "needed")  # type: ignore[arg-type]


def driver_jars() -> list[str]:
    """The jars of `plugin.path`, one folder deep, which hold a JDBC driver."""
    from connect.jdbc import plugin_paths

    found: list[Path] = []
    for entry in plugin_paths:
        path = Path(entry)
        found += [path] if path.suffix == ".jar" else [*path.glob("*.jar"), *path.glob("*/*.jar")]
    return sorted({str(path) for path in found})


def database_url(values: Mapping[str, Any], props: Mapping[str, str]) -> DatabaseUrl:
    """ConfigError when the URL cannot be used."""
    user = values[CONNECTION_USER]
    password = values[CONNECTION_PASSWORD].value if values[CONNECTION_PASSWORD] is not None else None
    provider = values.get("jdbc.credentials.provider.class.name")
    if provider:
        user, password = _provided(provider, props)
    properties = {
        key.removeprefix("connection."): value
        for key, value in props.items()
        if key.startswith("connection.") and key not in _OWN_CONNECTION_KEYS
    }
    try:
        url = parse_url(
            values[CONNECTION_URL], user=user, password=password, properties=properties,
            dialect_name=values["dialect.name"], jars=bool(driver_jars()),
        )  # fmt: skip
    except UrlError as error:
        raise ConfigError(f"Invalid value for configuration {CONNECTION_URL}: {error}") from None
    named = values["dialect.name"]
    if named and named.lower() != "jdbc":
        from dataclasses import replace

        url = replace(url, dialect=dialect_name(named) or url.dialect)
    return url


def _provided(name: str, props: Mapping[str, str]) -> tuple[str | None, str | None]:
    import importlib

    module, _, attribute = name.rpartition(".")
    try:
        provider = getattr(importlib.import_module(module), attribute)()
    except (ImportError, AttributeError, ValueError, TypeError) as error:
        raise ConfigError(
            name="jdbc.credentials.provider.class.name", value=name, message=f"no such class ({error})"
        ) from None
    prefix = "jdbc.credentials.provider."
    if hasattr(provider, "configure"):
        provider.configure(
            {key.removeprefix(prefix): value for key, value in props.items() if key.startswith(prefix)}
        )
    user, password = provider.credentials()
    return user, password


def check_driver(results: Mapping[str, ConfigValue], props: Mapping[str, str], config: ConfigDef) -> None:
    """Adds an error at connection.url when what the URL needs is not installed."""
    result = results[CONNECTION_URL]
    if result.error_messages:
        return
    try:
        url = parse_url(
            props[CONNECTION_URL], dialect_name=str(props.get("dialect.name", "")), jars=bool(driver_jars())
        )
    except UrlError as error:
        result.add_error_message(f"Invalid value for configuration {CONNECTION_URL}: {error}")
        return
    missing = missing_package(url)
    if missing is not None:
        result.add_error_message(
            f"Invalid value for configuration {CONNECTION_URL}: to reach {url} install {missing}"
        )


class Database:
    """A way to open connections, used by one task or connector."""

    def __init__(self, values: Mapping[str, Any], props: Mapping[str, str]) -> None:
        self.url = database_url(values, props)
        self.quoting = quoting_of(values)
        self.dialect = dialect_for(self.url.dialect, self.quoting)
        self.zone = zone(values["db.timezone"])
        self.attempts: int = values["connection.attempts"]
        self.backoff_ms: int = values["connection.backoff.ms"]
        self._connection: Connection | None = None
        for name in self.url.ignored:
            log.info("The property %s of connection.url has no meaning here", name)

    def connection(self, stopping: threading.Event | None = None) -> Connection:
        """The open connection, or a new one. ConnectError when that fails for good."""
        if self._connection is None:
            attempt = 1
            while True:
                try:
                    self._connection = connect(self.url, quoting=self.quoting, jars=driver_jars())
                    break
                except DatabaseError as error:
                    final = error.kind is not ErrorKind.CONNECTION or attempt >= self.attempts
                    if final or (stopping is not None and stopping.is_set()):
                        raise ConnectError(str(error)) from None
                    log.warning(
                        "Attempt %d of %d: %s; next in %d ms", attempt, self.attempts, error, self.backoff_ms
                    )
                    attempt += 1
                    (stopping or threading.Event()).wait(self.backoff_ms / 1000)
        return self._connection

    @property
    def is_open(self) -> bool:
        return self._connection is not None

    def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            try:
                connection.close()
            except Exception as error:  # The connection may be gone already, in any driver's way.
                log.debug("closing the connection: %s", error)
