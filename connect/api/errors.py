"""The errors that plug-ins raise and the runtime understands.

In: whatever went wrong in a plug-in. Out: a type that tells the runtime whether to retry, to count the record
as bad, or to fail the task. What must hold: a plug-in that raises anything else is treated as if it had
raised `ConnectError` (not retriable).

`ConfigError` is worded as Kafka words it, because REST clients read the text.
"""

from __future__ import annotations

__all__ = [
    "AlreadyExistsError",
    "ConfigError",
    "ConnectError",
    "DataError",
    "IllegalWorkerStateError",
    "NotFoundError",
    "RetriableError",
    "SchemaBuilderError",
    "SchemaProjectorError",
]

_NO_VALUE = object()


class ConnectError(Exception):
    """The base of all errors of Connect; the task that raises it fails unless errors are tolerated."""


class RetriableError(ConnectError):
    """The same call may succeed later; `SinkTask.put` and `SourceTask.poll` are called again."""


class DataError(ConnectError):
    """A value does not fit its schema, or bytes cannot be read as the format says."""


class SchemaBuilderError(DataError):
    """A schema is put together in a way that makes no sense."""


class SchemaProjectorError(DataError):
    """A value cannot be carried over from one schema to another."""


class NotFoundError(ConnectError):
    """A named thing does not exist."""


class AlreadyExistsError(ConnectError):
    """A named thing exists already."""


class IllegalWorkerStateError(ConnectError):
    """A context method was called at a time when it makes no sense, such as before start."""


class ConfigError(ConnectError):
    """A configuration value is refused.

    `ConfigError("text")`, or `ConfigError(name=..., value=..., message=...)`, which reads
    `Invalid value V for configuration K: message`, as Kafka's ConfigException does.
    """

    def __init__(
        self,
        text: str | None = None,
        *,
        name: str | None = None,
        value: object = _NO_VALUE,
        message: str = "",
    ) -> None:
        if text is None:
            shown = "null" if value is None or value is _NO_VALUE else value_text(value)
            text = f"Invalid value {shown} for configuration {name}"
            if message:
                text += f": {message}"
        super().__init__(text)
        self.name = name
        self.reason = message or text


def value_text(value: object) -> str:
    """A value as Java's String.valueOf shows it in messages."""
    if value is None:
        return "null"
    if value is True:
        return "true"
    if value is False:
        return "false"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(value_text(item) for item in value) + "]"
    return str(value)
