"""kcat: produces with every codec, reads by offset and timestamp, lists and queries. It has no admin
calls."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests import facilities
from tests.clients import records as r
from tests.clients.adapters import Adapter, ConfluentKafka
from tests.clients.conftest import Clients
from tests.processes import Server

pytestmark = pytest.mark.interop

Kcat = Callable[..., bytes]


@pytest.fixture
def kcat(broker: Server) -> Kcat:
    facilities.require("kcat")

    def run(*arguments: str, send: bytes = b"") -> bytes:
        command = ["kcat", "-b", broker.bootstrap, "-X", "fetch.wait.max.ms=50", *arguments]
        result = subprocess.run(command, input=send, capture_output=True, timeout=30)
        assert result.returncode == 0, result.stderr.decode(errors="replace")
        return result.stdout

    return run


@pytest.fixture
def admin(clients: Clients) -> Adapter:
    return clients.get(ConfluentKafka)


# Every field on lines of its own, lengths first, so that any byte may stand in a key or a value.
FORMAT = "%p %o %T %K %S %h\n%k\n%s\n"


def read(kcat: Kcat, topic: str, offset: str, count: int, partition: int = 0) -> list[r.Record]:
    out = kcat(
        "-C", "-t", topic, "-p", str(partition), "-o", offset, "-c", str(count), "-e", "-q", "-f", FORMAT
    )
    records = []
    while out:
        line, _, out = out.partition(b"\n")
        partition_text, offset_text, timestamp, key_size, value_size, headers = line.split(b" ", 5)

        def take(size: bytes) -> bytes | None:
            nonlocal out
            # -1 stands for null, and is then printed as nothing.
            length = max(int(size), 0)
            content, out = out[:length], out[length + 1 :]
            return None if int(size) < 0 else content

        key, value = take(key_size), take(value_size)
        named = [pair.split(b"=", 1) for pair in headers.split(b",") if pair]
        pairs = tuple((name.decode(), content) for name, content in named)
        records.append(r.Record(int(partition_text), key, value, pairs, int(timestamp), int(offset_text)))
    return records


@pytest.mark.parametrize("codec", r.CODECS)
def test_produce_and_consume(kcat: Kcat, admin: Adapter, broker: Server, topic_name: str, codec: str) -> None:
    admin.make_topic(topic_name, 2)
    lines = [f"key{i}:value {i} {'x' * i * 10}".encode() for i in range(50)]
    compression = ("-z", codec) if codec != "none" else ()
    kcat(
        "-P",
        "-t",
        topic_name,
        "-p",
        "1",
        "-K:",
        *compression,
        "-H",
        "a=1",
        "-H",
        "b=",
        send=b"\n".join(lines),
    )
    if broker.data_dir is not None:
        assert r.CODECS.index(codec) in broker.stored_codecs(topic_name, 1)
    found = read(kcat, topic_name, "beginning", 50, partition=1)
    assert [b"%s:%s" % (record.key, record.value) for record in found] == lines
    assert [record.offset for record in found] == list(range(50))
    assert {record.headers for record in found} == {(("a", b"1"), ("b", b""))}
    # Another librdkafka must see the same timestamps that kcat, an older one, wrote and read.
    assert admin.consume(topic_name, 1, -2, 50) == found
    assert read(kcat, topic_name, "30", 20, partition=1) == found[30:]


def test_idempotent_producer_and_null_values(kcat: Kcat, admin: Adapter, topic_name: str) -> None:
    admin.make_topic(topic_name, 1)
    lines = b"key:value\nnull value:\n:null key\n"
    options = ("-X", "enable.idempotence=true", "-X", "acks=all")
    kcat("-P", "-t", topic_name, "-p", "0", "-K:", "-Z", *options, send=lines)
    found = [(record.key, record.value) for record in admin.consume(topic_name, 0, -2, 3)]
    assert found == [(b"key", b"value"), (b"null value", None), (None, b"null key")]
    assert [(record.key, record.value) for record in read(kcat, topic_name, "beginning", 3)] == found


def test_record_of_a_megabyte(kcat: Kcat, admin: Adapter, topic_name: str, tmp_path: Path) -> None:
    admin.make_topic(topic_name, 1, {"max.message.bytes": str(4 << 20)})
    value = r.big_records()[0].value
    assert value is not None
    file = tmp_path / "value"
    file.write_bytes(value)
    kcat("-P", "-t", topic_name, "-p", "0", "-X", "message.max.bytes=4000000", str(file))
    (found,) = read(kcat, topic_name, "beginning", 1)
    assert found.value == value


def test_consume_what_others_wrote_from_a_timestamp(kcat: Kcat, admin: Adapter, topic_name: str) -> None:
    admin.make_topic(topic_name, 1)
    records = [
        record for record in r.mixed_records(40, 1, null_header_values=False) if len(record.headers) < 2
    ]
    records = [record for record in records if record.key is not None and b"," not in record.key]
    records = [
        record for record in records if all(b"," not in (content or b"") for _, content in record.headers)
    ]
    written = r.with_offsets(records, admin.produce(topic_name, records, codec="zstd"))
    assert read(kcat, topic_name, "beginning", len(written)) == written
    assert read(kcat, topic_name, f"s@{written[9].timestamp}", len(written) - 9) == written[9:]
    answer = kcat("-Q", "-t", f"{topic_name}:0:{written[9].timestamp}").decode()
    assert f"offset {written[9].offset}" in answer


def test_list(kcat: Kcat, admin: Adapter, broker: Server, topic_name: str) -> None:
    admin.make_topic(topic_name, 3)
    listed: dict[str, Any] = json.loads(kcat("-L", "-J", "-t", topic_name))
    (node,) = listed["brokers"]
    assert node["name"] == broker.bootstrap
    assert listed["controllerid"] == node["id"]
    (topic,) = listed["topics"]
    assert topic["topic"] == topic_name
    assert sorted(partition["partition"] for partition in topic["partitions"]) == [0, 1, 2]
    assert {partition["leader"] for partition in topic["partitions"]} == {node["id"]}


def test_json_output(kcat: Kcat, admin: Adapter, topic_name: str) -> None:
    admin.make_topic(topic_name, 1)
    record = r.Record(0, b"k", b"v", (("h", b"1"),))
    admin.produce(topic_name, [record])
    found = json.loads(kcat("-C", "-t", topic_name, "-c", "1", "-e", "-q", "-J"))
    assert (found["key"], found["payload"], found["ts"]) == ("k", "v", record.timestamp)
    assert found["headers"] == ["h", "1"]
