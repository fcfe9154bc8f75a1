"""Checkpoint files, the clean-shutdown marker, meta.properties and partition.metadata."""

from __future__ import annotations

import pytest

from pybroker.common.errors import ConfigError, CorruptionError
from pybroker.common.memory_files import MemoryFileSystem
from pybroker.log import checkpoints, meta_properties
from pybroker.log.meta_properties import MetaProperties
from pybroker.log.partition_log import decode_partition_metadata, encode_partition_metadata


def test_text_form():
    offsets = {("a", 0): 5, ("b-c.d_e", 12): 1 << 40}
    content = checkpoints.encode(offsets)
    assert content == b"0\n2\na 0 5\nb-c.d_e 12 1099511627776\n"
    assert checkpoints.decode(content) == offsets
    assert checkpoints.decode(b"") == {}


@pytest.mark.parametrize(
    "content", [b"1\n0\n", b"0\n2\na 0 5\n", b"0\n1\na 0\n", b"0\nx\n", b"0\n", b"\x00\x00\x00", b"\xff\xfe"]
)
def test_corrupt_checkpoints_are_dropped_and_reported(content):
    with pytest.raises(CorruptionError):
        checkpoints.decode(content)
    files = MemoryFileSystem()
    files.open("/c", create=True).pwrite([content], 0)
    reports = []
    assert checkpoints.read_or_drop(files, "/c", reports.append) == {}
    assert len(reports) == 1
    assert checkpoints.read_or_drop(files, "/missing", reports.append) == {}


def test_clean_shutdown_marker():
    assert checkpoints.encode_clean_shutdown(17) == b'{"version":0,"brokerEpoch":17}'
    assert checkpoints.decode_clean_shutdown(b'{"version":0,"brokerEpoch":17}') == 17
    for content in (b"", b"{}", b"[]", b'{"version":1,"brokerEpoch":17}', b"\xff"):
        assert checkpoints.decode_clean_shutdown(content) == -1


def test_meta_properties_round_trip():
    properties = MetaProperties(1, "MkU3OEVBNTcwNTJENDM2Qg", 3, "AAECAwQFBgcICQoLDA0ODw")
    content = meta_properties.encode(properties, 1_700_000_000_000)
    assert content.startswith(b"#\n#Tue Nov 14 22:13:20 UTC 2023\n")
    assert meta_properties.decode(content, "x") == properties


def test_meta_properties_of_other_versions():
    assert meta_properties.decode(b"broker.id=4\nversion=0\n", "x") == MetaProperties(0, None, 4, None)
    for content in (b"version=2\n", b"node.id=1\n", b"version=1\ncluster.id=a\nnode.id=x\n"):
        with pytest.raises(ConfigError):
            meta_properties.decode(content, "x")


def test_partition_metadata():
    content = encode_partition_metadata(bytes(range(16)))
    assert content == b"version: 0\ntopic_id: AAECAwQFBgcICQoLDA0ODw"
    assert len(content) == 43
    assert decode_partition_metadata(content) == bytes(range(16))
    assert decode_partition_metadata(b"version: 0\n") is None
    assert decode_partition_metadata(b"version: 0\ntopic_id: short") is None
    assert decode_partition_metadata(b"version: 1\ntopic_id: AAECAwQFBgcICQoLDA0ODw") is None
