"""kill -9 again and again while logs are being compacted; Kafka's own tool reads what is left behind.

`PYBROKER_KILL_CYCLES` sets the number of cycles (6 without it; the figures in docs/reliability.md are from more).
"""

from __future__ import annotations

import os
import random
import time
from pathlib import Path
from typing import Any

import pytest

from tests import facilities
from tests.faults import load
from tests.processes import KafkaTools, PybrokerProcess, wait_until
from tests.protocol import raw
from tests.protocol.raw import Connection

CYCLES = int(os.environ.get("PYBROKER_KILL_CYCLES", "6"))
PARTITIONS = 2
TOPIC = "compacted"
KEYS = 40


class KeyedProducer(load.IdempotentProducer):
    """The same, with keys that come again: of each only the last value has to stay."""

    def key(self, value: bytes) -> bytes:
        # A record of its number in the sequence, so that every key comes again.
        return b"%d:%d" % (self.number, int(value.rpartition(b":")[2]) % KEYS)

    def exchange(self, connection: Connection) -> list[dict[str, Any]] | None:
        data: dict[int, bytes | None] = {
            index: raw.batch(
                *(raw.record(self.key(value), value, offset_delta=i) for i, value in enumerate(values)),
                producer_id=self.producer_id,
                producer_epoch=0,
                base_sequence=first,
            )
            for index, (first, values) in self.pending.items()
        }
        answer = connection.call(raw.PRODUCE, 9, raw.produce_values(self.topic, data))
        return answer["responses"][0]["partition_responses"] if answer else None


def read(connection: Connection, partition: int) -> list[tuple[int, bytes, bytes]]:
    """(offset, key, value) of what is there; offsets go up, checksums are right."""
    found: list[tuple[int, bytes, bytes]] = []
    end = raw.high_watermark(connection, TOPIC, partition)
    offset = 0
    while offset < end:
        answer = raw.fetch(
            connection, TOPIC, offset, partition=partition, partition_max_bytes=8 << 20, max_wait=1000
        )
        assert answer["error_code"] == 0, answer
        batches = raw.parse_batches(answer["records"])
        assert batches, f"nothing at {offset}, the end is {end}"
        for batch in batches:
            assert batch.crc_good
            assert batch.base_offset >= offset
            found += [(at, key or b"", text or b"") for at, _, key, text in raw.parse_records(batch)]
            offset = batch.end_offset
    return found


def check(connection: Connection, producers: list[KeyedProducer]) -> int:
    """Every acknowledged value is there, or a later one of its key is; nothing else is, and nothing twice."""
    total = 0
    for partition in range(PARTITIONS):
        found = read(connection, partition)
        total += len(found)
        assert [offset for offset, _, _ in found] == sorted({offset for offset, _, _ in found})
        assert len({text for _, _, text in found}) == len(found), "a record is there twice"
        there = {offset: (key, text) for offset, key, text in found}
        last = {key: offset for offset, key, _ in found}
        unknown = dict(there)
        for producer in producers:
            for offset, text in producer.written[partition]:
                key = producer.key(text)
                assert offset <= last.get(key, -1), (
                    f"{text!r} at {offset} is lost, the last is {last.get(key)}"
                )
                assert there.get(offset, (key, text)) == (key, text)
                unknown.pop(offset, None)
            _, values = producer.pending.get(partition, (0, []))
            unknown = {at: entry for at, entry in unknown.items() if entry[1] not in values}
        assert not unknown, f"records nobody sent: {list(unknown.items())[:3]}"
    return total


def dump(kafka: KafkaTools, directory: Path) -> int:
    """Kafka's tool on every file of a partition or of the metadata; the number of files."""
    files = [
        path
        for path in sorted(directory.iterdir())
        if path.suffix in (".log", ".txnindex", ".snapshot", ".checkpoint")
    ]
    indexes = [path for path in sorted(directory.iterdir()) if path.suffix in (".index", ".timeindex")]
    metadata = ["--cluster-metadata-decoder"] if directory.name.startswith("__cluster_metadata") else []
    for chosen, options in ((files, ["--deep-iteration", *metadata]), (indexes, ["--index-sanity-check"])):
        if not chosen:
            continue
        result = kafka.run("DumpLogSegments", *options, "--files", ",".join(map(str, chosen)))
        assert result.status == 0, result
        text = result.out + result.err
        for word in ("isvalid: false", "ismatch", "orrupt", "Exception", "Found timestamp"):
            assert word not in text, f"{directory}: {word} in {text[:3000]}"
    return len(files) + len(indexes)


@pytest.mark.slow
@pytest.mark.timeout(180 + CYCLES * 20)
def test_kill_9_while_compacting(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    choice = random.Random(CYCLES)
    properties = {
        "log.cleaner.backoff.ms": "10",
        # So slow that a pass is often under way.
        "log.cleaner.io.max.bytes.per.second": "500000",
        "log.index.interval.bytes": "512",
        "log.segment.delete.delay.ms": "100",
        "metadata.log.max.record.bytes.between.snapshots": "5000",
    }
    configs = {
        "cleanup.policy": "compact",
        "segment.ms": "50",
        "min.cleanable.dirty.ratio": "0.01",
        "delete.retention.ms": "100",
    }
    server = PybrokerProcess(tmp_path / "broker", properties)
    interrupted = {".cleaned": 0, ".swap": 0, ".deleted": 0}
    starts = []
    try:
        with Connection(server.bootstrap, timeout=60) as connection:
            raw.create_topic(connection, TOPIC, partitions=PARTITIONS, configs=configs)
        producers = [
            KeyedProducer(server.bootstrap, number, TOPIC, list(range(PARTITIONS)), 0.002)
            for number in range(2)
        ]
        for producer in producers:
            producer.start()
        for cycle in range(CYCLES):
            before = [producer.acknowledged for producer in producers]
            deadline = time.monotonic() + choice.uniform(0.3, 1.3)
            while time.monotonic() < deadline or [p.acknowledged for p in producers] == before:
                assert not [p.failure for p in producers if p.failure]
                assert time.monotonic() < deadline + 60, f"no progress in cycle {cycle}"
                time.sleep(0.005)
            if cycle % 2:
                # Every other kill looks for a pass under way.
                while time.monotonic() < deadline + 5 and not any(
                    server.log_dir.glob(f"{TOPIC}-*/*.cleaned")
                ):
                    time.sleep(0.002)
                time.sleep(choice.uniform(0, 0.1))
            server.kill()
            left = {path.suffix for path in server.log_dir.glob(f"{TOPIC}-*/*")}
            for suffix in interrupted:
                interrupted[suffix] += suffix in left
            started = time.monotonic()
            server.start()
            starts.append(time.monotonic() - started)
            if cycle % 50 == 49:
                with Connection(server.bootstrap, timeout=60) as connection:
                    found = sum(len(read(connection, partition)) for partition in range(PARTITIONS))
                assert found > 0
        for producer in producers:
            producer.stop()
        assert not [p.failure for p in producers if p.failure]
        with Connection(server.bootstrap, timeout=60) as connection:
            written = sum(len(entries) for p in producers for entries in p.written.values())
            # What is left of a key, and the last segment.
            wait_until(
                lambda: sum(len(read(connection, index)) for index in range(PARTITIONS)) < written / 2,
                "compaction",
                60,
            )
            total = check(connection, producers)
        server.kill()
        if facilities.FACILITIES["kafka"].present() or facilities.require_all():
            kafka: KafkaTools = request.getfixturevalue("kafka")
            # As the crash left it, then as recovery and the clean end did.
            for end in ("killed", "stopped"):
                directories = [*server.log_dir.glob(f"{TOPIC}-*"), server.log_dir / "__cluster_metadata-0"]
                if end == "stopped":
                    assert sum(dump(kafka, directory) for directory in directories) > 8
                else:
                    server.start()
                    server.stop()
        server.start()
        with Connection(server.bootstrap, timeout=60) as connection:
            check(connection, producers)
    finally:
        server.kill()
    assert interrupted[".cleaned"] > 0, "no kill met a pass"
    print(
        f"{CYCLES} kills, {written} records acknowledged, {total} left; kills that found .cleaned, .swap, "
        f".deleted files: {tuple(interrupted.values())}; longest start {max(starts):.2f} s"
    )
