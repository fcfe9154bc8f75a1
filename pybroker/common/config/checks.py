"""What must hold between several broker names.

In: typed values. Out: `broken_rules`, which yields Kafka's words for each rule that does not hold. The same
rules are asked at the start and before a dynamic change.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, NamedTuple

from pybroker.common.config.names import BROKER_KEYS, GROUP_KEYS

RACK_AWARE_SELECTOR: Final = "org.apache.kafka.common.replica.RackAwareReplicaSelector"

_MIB: Final = 1 << 20


class BrokenRule(NamedTuple):
    """Kafka's message, and the names that it is about. Some messages come from Scala's `require`."""

    message: str
    names: tuple[str, ...]
    is_requirement: bool = True

    @property
    def kafka_message(self) -> str:
        return f"requirement failed: {self.message}" if self.is_requirement else self.message


def bounds_of(broker_name: str) -> tuple[str | None, str | None]:
    """The names that bound a group setting below and above, such as group.consumer.min.session.timeout.ms."""
    family, _, rest = broker_name.removeprefix("group.").partition(".")
    # The bound of group.streams.num.standby.replicas has no "num" in its name.
    rest = rest.removeprefix("num.")
    low, high = f"group.{family}.min.{rest}", f"group.{family}.max.{rest}"
    return (low if low in BROKER_KEYS else None, high if high in BROKER_KEYS else None)


_BOUNDED: Final = tuple(
    (key.synonyms[0], *bounds_of(key.synonyms[0])) for key in GROUP_KEYS.values() if key.synonyms
)


def broken_rules(value_of: Callable[[str], Any]) -> Iterator[BrokenRule]:
    """The rules that do not hold, where `value_of` gives the derived value of a name."""
    if value_of("log.roll.ms") < 1:
        yield BrokenRule(
            "log.roll.ms must be greater than or equal to 1",
            ("log.roll.ms", "log.roll.hours"),
        )
    if value_of("log.roll.jitter.ms") < 0:
        yield BrokenRule("log.roll.jitter.ms must be greater than or equal to 0", ("log.roll.jitter.ms",))
    if value_of("log.retention.ms") == 0:
        yield BrokenRule(
            "log.retention.ms must be unlimited (-1) or, greater than or equal to 1",
            ("log.retention.ms", "log.retention.minutes", "log.retention.hours"),
        )
    if value_of("log.cleaner.enable"):
        yield from _cleaner_rules(value_of)
    limit = value_of("queued.max.request.bytes")
    if 0 < limit < value_of("socket.request.max.bytes"):
        yield BrokenRule(
            "queued.max.request.bytes must be larger or equal to socket.request.max.bytes",
            ("queued.max.request.bytes", "socket.request.max.bytes"),
        )
    overrides = value_of("max.connections.per.ip.overrides")
    yield from _override_rules(overrides)
    if value_of("max.connections.per.ip") == 0 and not overrides:
        yield BrokenRule(
            "max.connections.per.ip can be set to zero only if "
            "max.connections.per.ip.overrides property is set.",
            ("max.connections.per.ip",),
        )
    cordoned: Sequence[str] = value_of("cordoned.log.dirs")
    if "*" in cordoned and len(cordoned) > 1:
        yield BrokenRule(
            "When cordoned.log.dirs is set to *, it must not contain other values", ("cordoned.log.dirs",)
        )
    elif "*" not in cordoned:
        missing = [path for path in cordoned if path not in value_of("log.dirs")]
        if missing:
            yield BrokenRule(
                "All entries in cordoned.log.dirs must be present in log.dirs or log.dir. Missing entries : "
                + ", ".join(missing),
                ("cordoned.log.dirs", "log.dirs"),
            )
    selector = value_of("replica.selector.class")
    if selector not in (None, RACK_AWARE_SELECTOR) and "broker" in value_of("process.roles"):
        # Kafka's error is that of a class that is not there, also where the name is empty.
        yield BrokenRule(
            f"java.lang.ClassNotFoundException: {selector}",
            ("replica.selector.class",),
            is_requirement=False,
        )
    for name, low, high in _BOUNDED:
        yield from _bound_rules(value_of, name, low, high)


def _cleaner_rules(value_of: Callable[[str], Any]) -> Iterator[BrokenRule]:
    threads = value_of("log.cleaner.threads")
    if threads == 0:
        # Kafka's own message, from the division that follows.
        yield BrokenRule("/ by zero", ("log.cleaner.threads",), is_requirement=False)
    elif value_of("log.cleaner.dedupe.buffer.size") // threads <= _MIB:
        yield BrokenRule(
            "log.cleaner.dedupe.buffer.size must be at least 1MB per cleaner thread.",
            ("log.cleaner.dedupe.buffer.size", "log.cleaner.threads"),
        )


def _override_rules(text: str) -> Iterator[BrokenRule]:
    name = "max.connections.per.ip.overrides"
    for entry in text.split(",") if text else ():
        host, colon, count = entry.strip().rpartition(":")
        if not colon:
            yield BrokenRule(
                f"Error parsing configuration property '{name}': begin 0, end -1, length {len(entry)}",
                (name,),
                is_requirement=False,
            )
        elif not host or not (count.isascii() and count.isdigit() and len(count) <= 10):
            yield BrokenRule(f'For input string: "{count}"', (name,), is_requirement=False)


def _bound_rules(
    value_of: Callable[[str], Any], name: str, low: str | None, high: str | None
) -> Iterator[BrokenRule]:
    if low is not None and high is not None and value_of(high) < value_of(low):
        yield BrokenRule(f"{high} must be greater than or equal to {low}", (high, low), is_requirement=False)
    if low is not None and value_of(name) < value_of(low):
        yield BrokenRule(f"{name} must be greater than or equal to {low}", (name, low), is_requirement=False)
    if high is not None and value_of(name) > value_of(high):
        yield BrokenRule(f"{name} must be less than or equal to {high}", (name, high), is_requirement=False)
