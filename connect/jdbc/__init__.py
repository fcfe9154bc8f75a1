"""JDBC source and sink: databases in, databases out, with the configuration of the Aiven and Confluent
connectors.

`url` reads connection.url, `dialects/` know the SQL, `drivers/` reach the databases, `source/` and `sink/`
are the connectors. See docs/jdbc.md.
"""

from __future__ import annotations

from collections.abc import Sequence

# Folders and jars to look for JDBC drivers in.
plugin_paths: list[str] = []


def use_plugin_path(paths: Sequence[str]) -> None:
    """Called by the runtime with the worker's `plugin.path`."""
    plugin_paths[:] = [path.strip() for path in paths]


from connect.jdbc.sink.connector import AivenJdbcSinkConnector, ConfluentJdbcSinkConnector  # noqa: E402
from connect.jdbc.source.connector import AivenJdbcSourceConnector, ConfluentJdbcSourceConnector  # noqa: E402

# The first that claims a short name keeps it: the Confluent connector's defaults are ours.
PLUGINS = (
    ConfluentJdbcSourceConnector,
    ConfluentJdbcSinkConnector,
    AivenJdbcSourceConnector,
    AivenJdbcSinkConnector,
)
