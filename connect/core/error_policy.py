"""What happens when an operation on a record fails: try again, leave the record out, or fail the task.

In: an operation, its stage and its record. Out: the operation's result, or None with the context marked as
failed when the error is tolerated; otherwise `ConnectError`. What must hold: only retriable errors are tried
again, and never beyond errors.retry.timeout; time, waiting and randomness come from outside.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any, Final, TypeVar

from connect.api.errors import ConnectError, RetriableError

Result = TypeVar("Result")

TASK_POLL: Final = "TASK_POLL"
TASK_PUT: Final = "TASK_PUT"
TRANSFORMATION: Final = "TRANSFORMATION"
KEY_CONVERTER: Final = "KEY_CONVERTER"
VALUE_CONVERTER: Final = "VALUE_CONVERTER"
HEADER_CONVERTER: Final = "HEADER_CONVERTER"
KAFKA_PRODUCE: Final = "KAFKA_PRODUCE"
KAFKA_CONSUME: Final = "KAFKA_CONSUME"

# In these stages any error can be tolerated, elsewhere only retriable ones.
_TOLERANT_STAGES: Final = frozenset((TRANSFORMATION, KEY_CONVERTER, VALUE_CONVERTER, HEADER_CONVERTER))
_FIRST_DELAY_MS: Final = 300
_HEADER_PREFIX: Final = "__connect.errors."


@dataclass
class ErrorMetrics:
    """The group task-error-metrics."""

    record_failures: int = 0
    record_errors: int = 0
    records_skipped: int = 0
    retries: int = 0
    errors_logged: int = 0
    dead_letter_requests: int = 0
    dead_letter_failures: int = 0
    last_error_ms: int = 0


@dataclass
class ProcessingContext:
    """What is known about one record's way; `failed` = it is to be left out."""

    original: Any = None
    stage: str = ""
    class_name: str = ""
    attempt: int = 0
    error: BaseException | None = None
    failed: bool = False


@dataclass(frozen=True)
class ErrorPolicy:
    """The errors.* settings."""

    retry_timeout_ms: int = 0
    retry_delay_max_ms: int = 60_000
    tolerate_all: bool = False
    log_enable: bool = False
    log_include_messages: bool = False

    @staticmethod
    def of(parsed: Mapping[str, Any]) -> ErrorPolicy:
        return ErrorPolicy(
            parsed["errors.retry.timeout"],
            parsed["errors.retry.delay.max.ms"],
            parsed["errors.tolerance"] == "all",
            parsed["errors.log.enable"],
            parsed["errors.log.include.messages"],
        )


Reporter = Callable[[ProcessingContext], None]


@dataclass
class ErrorHandler:
    """Runs operations under a policy. `wait(ms)` returns true when the task is to stop."""

    policy: ErrorPolicy
    now_ms: Callable[[], int]
    wait: Callable[[int], bool]
    random: Random
    metrics: ErrorMetrics = field(default_factory=ErrorMetrics)
    reporters: list[Reporter] = field(default_factory=list)

    def execute(
        self, context: ProcessingContext, operation: Callable[[], Result], stage: str, class_name: str
    ) -> Result | None:
        if context.failed:
            return None
        context.stage, context.class_name = stage, class_name
        try:
            return self._with_retries(context, operation)
        except Exception as error:
            self.metrics.record_failures += 1
            self.metrics.last_error_ms = self.now_ms()
            tolerable = stage in _TOLERANT_STAGES or isinstance(error, RetriableError)
            if not tolerable:
                raise
            self.failed(context, error)
            return None

    def failed(self, context: ProcessingContext, error: BaseException) -> None:
        """A record that cannot go on: reported, then tolerated or not."""
        context.error = error
        context.failed = True
        self.metrics.record_errors += 1
        for reporter in self.reporters:
            reporter(context)
        if not self.policy.tolerate_all:
            raise ConnectError("Tolerance exceeded in error handler") from error
        self.metrics.records_skipped += 1

    def _with_retries(self, context: ProcessingContext, operation: Callable[[], Result]) -> Result:
        deadline = None
        if self.policy.retry_timeout_ms >= 0:
            deadline = self.now_ms() + self.policy.retry_timeout_ms
        context.attempt = 0
        while True:
            context.attempt += 1
            try:
                return operation()
            except RetriableError as error:
                self.metrics.record_failures += 1
                remaining = None if deadline is None else deadline - self.now_ms()
                if remaining is not None and remaining <= 0:
                    raise
                delay = self.delay_ms(context.attempt)
                if remaining is not None:
                    delay = min(delay, remaining)
                self.metrics.retries += 1
                if self.wait(delay):
                    raise ConnectError("The task was stopped while it tried an operation again") from error

    def delay_ms(self, attempt: int) -> int:
        """300 ms, doubled with each attempt, random below the cap once above it."""
        delay = _FIRST_DELAY_MS << min(attempt - 1, 40)
        cap = self.policy.retry_delay_max_ms
        return delay if delay <= cap else self.random.randint(0, max(cap, 0))


def context_headers(
    context: ProcessingContext,
    connector: str,
    task: int,
    consumed: tuple[str, int, int] | None,
) -> list[tuple[str, bytes]]:
    """The ten headers of a dead letter. `consumed` = topic, partition and offset of the record."""
    error = context.error
    values: list[tuple[str, str]] = []
    if consumed is not None:
        values += [
            ("topic", consumed[0]),
            ("partition", str(consumed[1])),
            ("offset", str(consumed[2])),
        ]
    values += [
        ("connector.name", connector),
        ("task.id", str(task)),
        ("stage", context.stage),
        ("class.name", context.class_name),
    ]
    if error is not None:
        values += [
            ("exception.class.name", exception_class_name(error)),
            ("exception.message", str(error)),
            ("exception.stacktrace", trace_text(error)),
        ]
    return [(_HEADER_PREFIX + name, value.encode("utf-8", "replace")) for name, value in values]


_JAVA_ERRORS: Final = {
    "ConnectError": "org.apache.kafka.connect.errors.ConnectException",
    "RetriableError": "org.apache.kafka.connect.errors.RetriableException",
    "DataError": "org.apache.kafka.connect.errors.DataException",
    "ConfigError": "org.apache.kafka.common.config.ConfigException",
}


def exception_class_name(error: BaseException) -> str:
    """Java's name for our own errors, since consumers of dead letters compare it; else the Python name."""
    cls = type(error)
    if cls.__module__ == "connect.api.errors" and cls.__name__ in _JAVA_ERRORS:
        return _JAVA_ERRORS[cls.__name__]
    return f"{cls.__module__}.{cls.__qualname__}"


def trace_text(error: BaseException) -> str:
    """The error and its causes, outermost first, as status records show it."""
    lines = [f"{exception_class_name(error)}: {error}\n"]
    lines += traceback.format_tb(error.__traceback__)
    cause, seen = error.__cause__ or error.__context__, {id(error)}
    while cause is not None and id(cause) not in seen:
        seen.add(id(cause))
        lines.append(f"Caused by: {exception_class_name(cause)}: {cause}\n")
        lines += traceback.format_tb(cause.__traceback__)
        cause = cause.__cause__ or cause.__context__
    return "".join(lines)
