"""JDBC source and sink: databases in, databases out, with the configuration of the Aiven and Confluent
connectors.

`url` reads connection.url, `dialects/` know the SQL, `drivers/` reach the databases, `source/` and `sink/`
are the connectors. See docs/jdbc.md.
"""

from __future__ import annotations

# Folders and jars to look for JDBC drivers in: set by the runtime from plugin.path.
plugin_paths: list[str] = []
