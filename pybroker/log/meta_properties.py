"""`meta.properties` of a log directory: which cluster, node and directory it belongs to.

    #
    #Fri Nov 21 14:22:33 UTC 2025
    version=1  cluster.id=...  node.id=...  directory.id=...     one a line, in any order

In and out: the file's bytes. Version 0 has `broker.id` in place of `node.id` and no ids else.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import NamedTuple

from pybroker.common.errors import ConfigError

FILE_NAME = "meta.properties"


class MetaProperties(NamedTuple):
    """Ids in Kafka's text form (22 characters); None where a version 0 file has none."""

    version: int
    cluster_id: str | None
    node_id: int
    directory_id: str | None


def encode(properties: MetaProperties, wall_ms: int) -> bytes:
    """Content of a version 1 file."""
    date = datetime.fromtimestamp(wall_ms / 1000, UTC).strftime("%a %b %d %H:%M:%S UTC %Y")
    return (
        f"#\n#{date}\ncluster.id={properties.cluster_id}\ndirectory.id={properties.directory_id}\n"
        f"node.id={properties.node_id}\nversion=1\n"
    ).encode()


def decode(content: bytes, path: str) -> MetaProperties:
    """The ids in a file. ConfigError when it is not one: guessing them could mix two clusters' data."""
    values: dict[str, str] = {}
    for line in content.decode("utf-8", "replace").splitlines():
        text = line.strip()
        if text and text[0] not in "#!":
            key, _, value = text.partition("=")
            # Java's writer escapes these.
            values[key.strip()] = value.strip().replace("\\:", ":").replace("\\=", "=")
    try:
        version = int(values["version"])
        if version == 0:
            return MetaProperties(
                0, values.get("cluster.id"), int(values["broker.id"]), values.get("directory.id")
            )
        if version == 1:
            return MetaProperties(1, values["cluster.id"], int(values["node.id"]), values.get("directory.id"))
    except (KeyError, ValueError) as error:
        raise ConfigError(f"{path}: {error} is missing or no number") from error
    raise ConfigError(f"{path}: version {version} is not known")
