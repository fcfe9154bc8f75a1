"""What the two telemetry APIs share: the clients that asked for a subscription, and what each is asked for.

In: the client-metrics configurations of the cluster (KIP-714), the clients' requests and the time. Out:
`ClientInstance`. What must hold: at most `_INSTANCES_MAX` clients are remembered, each no longer than its
connection or three push intervals.

No receiver of client metrics is built in, so the APIs are served and not advertised, as in Kafka, and what
clients push is dropped.
"""

from __future__ import annotations

import uuid
import zlib
from collections import OrderedDict
from collections.abc import Mapping
from functools import partial
from typing import Final, NamedTuple

from crc32c import crc32c

from pybroker.common.errors import ErrorCode
from pybroker.groups.regex import Regex, RegexError
from pybroker.handlers.context import Context, Request

# zstd, lz4, gzip, snappy, in the order of preference.
COMPRESSION_TYPES: Final = (4, 3, 1, 2)

_CLIENT_METRICS: Final = 16
_PUSH_INTERVAL_MS: Final = 300_000
_ALL_METRICS: Final = "*"
_EXPIRY_MS: Final = 60_000
_INSTANCES_MAX: Final = 16_384


class Subscription(NamedTuple):
    """One client-metrics resource. `matches`: (attribute of a client, expression) that must all fit."""

    metrics: tuple[str, ...]
    interval_ms: int
    matches: tuple[tuple[str, Regex | None], ...]

    def fits(self, attributes: Mapping[str, str]) -> bool:
        return all(
            regex is not None and attributes[name].isascii() and regex.matches(attributes[name])
            for name, regex in self.matches
        )


class ClientInstance:
    """One client: its subscription, and when it last asked and pushed (monotonic milliseconds)."""

    __slots__ = (
        "expires_ms",
        "last_error",
        "last_get_ms",
        "last_push_ms",
        "metrics",
        "push_interval_ms",
        "subscription_id",
        "terminating",
        "version",
    )

    def __init__(self, metrics: list[str], push_interval_ms: int, subscription_id: int, version: int) -> None:
        self.metrics = metrics
        self.push_interval_ms = push_interval_ms
        self.subscription_id = subscription_id
        self.version = version
        self.last_get_ms = self.last_push_ms = float("-inf")
        self.last_error = ErrorCode.NONE
        self.terminating = False
        self.expires_ms = 0.0

    def may_get(self, now_ms: float) -> bool:
        """Whether the client may ask again; if so, that it did."""
        if now_ms - max(self.last_get_ms, self.last_push_ms) < self.push_interval_ms:
            return False
        self.last_get_ms = now_ms
        return True

    def may_push(self, now_ms: float) -> bool:
        """Whether the client may push: once after it asked, then once an interval; if so, that it did."""
        if self.last_get_ms <= self.last_push_ms and now_ms - self.last_push_ms < self.push_interval_ms:
            return False
        self.last_push_ms = now_ms
        return True


class ClientTelemetry:
    """The clients that are remembered, the one unused longest first."""

    __slots__ = ("_configs", "_found", "_instances", "_subscriptions", "_version")

    def __init__(self) -> None:
        self._instances: OrderedDict[bytes, ClientInstance] = OrderedDict()
        # The configurations looked at last, and what of them is about client metrics.
        self._configs: object = None
        self._found: list[tuple[str, list[tuple[str, str]]]] = []
        self._subscriptions: tuple[Subscription, ...] = ()
        self._version = 0

    def __len__(self) -> int:
        return len(self._instances)

    def instance(self, context: Context, request: Request, client_id: bytes, now_ms: float) -> ClientInstance:
        """The client of this id, with a subscription of what the cluster is configured for now."""
        self._follow(context)
        instances = self._instances
        while instances and (oldest := next(iter(instances.items())))[1].expires_ms <= now_ms:
            del instances[oldest[0]]
        instance = instances.get(client_id)
        if instance is None or instance.version < self._version or instance.expires_ms <= now_ms:
            instance = instances[client_id] = self._made(request, client_id)
            request.connection.on_close(self, partial(self._forget, client_id))
        instance.expires_ms = now_ms + max(_EXPIRY_MS, 3 * instance.push_interval_ms)
        instances.move_to_end(client_id)
        if len(instances) > _INSTANCES_MAX:
            instances.popitem(last=False)
        return instance

    def _forget(self, client_id: bytes) -> None:
        self._instances.pop(client_id, None)

    def _follow(self, context: Context) -> None:
        configs = context.metadata.configs
        if configs is self._configs:
            return
        self._configs = configs
        found = sorted(
            (name, sorted(overrides.items()))
            for (kind, name), overrides in configs.items()
            if kind == _CLIENT_METRICS and overrides
        )
        if found != self._found:
            self._found = found
            self._subscriptions = tuple(_subscription(dict(overrides)) for _, overrides in found)
            self._version += 1

    def _made(self, request: Request, client_id: bytes) -> ClientInstance:
        attributes = _attributes(request, client_id)
        metrics: dict[str, None] = {}
        interval_ms = _PUSH_INTERVAL_MS
        for subscription in self._subscriptions:
            if subscription.fits(attributes):
                metrics.update(dict.fromkeys(subscription.metrics))
                interval_ms = min(interval_ms, subscription.interval_ms)
        names = [_ALL_METRICS] if _ALL_METRICS in metrics else list(metrics)
        text = f"[{', '.join(names)}]{interval_ms}"
        number = crc32c(text.encode()) ^ zlib.crc32(client_id)
        signed = number - (1 << 32) if number >= 1 << 31 else number
        return ClientInstance(names, interval_ms, signed, self._version)


def _subscription(overrides: Mapping[str, str]) -> Subscription:
    """A resource whose configuration was validated when it was set."""
    matches: list[tuple[str, Regex | None]] = []
    for pattern in _names(overrides.get("match", "")):
        name, _, expression = pattern.partition("=")
        try:
            regex = Regex(expression.strip())
        except RegexError:
            # What Java's library takes and RE2 does not fits nobody.
            regex = None
        matches.append((name.strip(), regex))
    return Subscription(
        tuple(_names(overrides.get("metrics", ""))),
        int(overrides.get("interval.ms", _PUSH_INTERVAL_MS)),
        tuple(matches),
    )


def _names(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _attributes(request: Request, client_id: bytes) -> dict[str, str]:
    connection = request.connection
    return {
        "client_instance_id": str(uuid.UUID(bytes=client_id)),
        "client_id": request.client_id or "",
        "client_software_name": connection.client_software_name,
        "client_software_version": connection.client_software_version,
        "client_source_address": connection.peer_host,
        "client_source_port": str(connection.peer_port),
    }
