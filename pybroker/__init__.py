"""pybroker: a message log server that standard Kafka clients connect to.

    with pybroker.Broker() as broker:
        client = SomeKafkaClient(bootstrap_servers=broker.bootstrap_servers)

Importing this package imports nothing else: the broker's modules come with the first use of `Broker`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pybroker.version import VERSION as __version__

if TYPE_CHECKING:
    from pybroker.embedding import Broker

__all__ = ["Broker", "__version__"]


def __getattr__(name: str) -> object:
    if name == "Broker":
        from pybroker.embedding import Broker

        return Broker
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
