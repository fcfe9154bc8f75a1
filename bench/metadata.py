"""The metadata of a very large cluster, without its brokers: what an image, a snapshot and the controller's
decisions cost.

In: how many brokers, topics and partitions. Out: a table of processor time and memory; with `--write` the part of
docs/scale.md between its marks. What must hold: image, snapshot and decisions are made by the code of the broker, and
what is timed is processor time, so that it may run beside other work.

    python -m bench.metadata --write          # 350,000 partitions with 3 replicas on 105 brokers; two minutes
"""

from __future__ import annotations

import argparse
import datetime
import gc
import itertools
import os
import random
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from bench import machine
from bench.packaging import write_part
from pybroker.controller import bootstrap, brokers
from pybroker.controller.replay import snapshot_image
from pybroker.metadata.image import MetadataImage
from pybroker.metadata.records import ImageBuilder, ImageContent, image_records
from pybroker.raft.snapshot import SnapshotId, decode_snapshot, encode_snapshot
from pybroker.wire.message import Message
from pybroker.wire.schemas.metadata_records import PartitionRecord, TopicRecord
from tests.unit.controller.cluster import CLUSTER, Cluster, directory
from tools import interop

BEGIN, END = "<!-- metadata: written by python -m bench.metadata -->", "<!-- end of metadata -->"
REPLICAS = 3


def timed(rows: list[tuple[str, str]], what: str, work: Callable[[], Any], note: str = "") -> Any:
    """Run it, and put its processor time into the table."""
    gc.collect()
    began = time.process_time()
    result = work()
    spent = time.process_time() - began
    rows.append((what, f"{spent:.2f} s{note}" if spent >= 0.1 else f"{spent * 1000:.2f} ms{note}"))
    print(f"{what}: {rows[-1][1]}", flush=True)
    return result


def add_topics(cluster: Cluster, topics: int, partitions: int, brokers: int) -> None:
    """Replicas on brokers that follow each other from a random one on."""
    rng = random.Random(1)
    builder = ImageBuilder(cluster.image)
    for number in range(topics):
        topic_id = number.to_bytes(16, "big")
        builder.replay(TopicRecord(name=f"topic-{number}", topic_id=topic_id))
        for index in range(partitions):
            first = rng.randrange(brokers)
            replicas = [1 + (first + step) % brokers for step in range(REPLICAS)]
            builder.replay(
                PartitionRecord(
                    partition_id=index,
                    topic_id=topic_id,
                    replicas=replicas,
                    isr=replicas,
                    removing_replicas=[],
                    adding_replicas=[],
                    leader=replicas[0],
                    leader_epoch=0,
                    partition_epoch=0,
                    directories=[directory(each) for each in replicas],
                )
            )
    offset = cluster.image.offset + topics * (1 + partitions)
    cluster.image, _ = builder.build(offset, 1)


def applied(image: MetadataImage, records: list[Message]) -> MetadataImage:
    """What the log makes of them: encoded, and replayed."""
    builder = ImageBuilder(image)
    for record in records:
        bootstrap.encode(record)
        builder.replay(record)
    return builder.build(image.offset + len(records), 1)[0]


def measure(brokers_count: int, topics: int, partitions: int) -> list[tuple[str, str]]:
    rows: list[tuple[str, str]] = []
    cluster = Cluster(minimum=2)
    cluster.start(*range(1, brokers_count + 1))
    add_topics(cluster, topics, partitions, brokers_count)
    image = cluster.image
    content = ImageContent(image)

    def snapshot() -> bytes:
        values = (bootstrap.encode(record) for record in image_records(content))
        batches = encode_snapshot(values, epoch=1, now_ms=0, last_timestamp_ms=0)
        return b"".join(batches)

    stored = timed(rows, "write a snapshot (in a thread of its own)", snapshot)
    rows.append(("... its size", f"{len(stored) / machine.MIB:.0f} MiB"))
    gc.collect()
    before = machine.resident_mib(os.getpid())

    def load(content: bytes) -> MetadataImage:
        return snapshot_image(CLUSTER, SnapshotId(image.offset + 1, 1), decode_snapshot(content))

    copy = timed(rows, "load it at a start", partial(load, stored))
    gc.collect()
    grown = machine.resident_mib(os.getpid()) - before
    total = topics * partitions
    rows.append(
        ("memory of an image", f"{grown:.0f} MiB, {grown * machine.MIB / total:.0f} bytes a partition")
    )
    assert copy.topics["topic-0"] == image.topics["topic-0"]
    del copy, stored
    one = image.topics["topic-0"].partitions[0]
    broker = image.brokers[one.leader]
    held = sum(broker.broker_id in each.replicas for each in _all(image))

    what = f"fence a broker with {held:,} replicas: decide"
    records = timed(rows, what, partial(brokers.fence, image, broker, cluster.config))
    after = timed(
        rows,
        "... encode and replay the records",
        lambda: applied(image, records),
        f" ({len(records):,} records)",
    )
    rack = list(itertools.islice(image.brokers.values(), brokers_count // 3))

    def fence_all() -> int:
        now, count = image, 0
        for each in rack:
            found = brokers.fence(now, each, cluster.config)
            now, count = applied(now, found), count + len(found)
        return count

    timed(rows, f"fence {len(rack)} brokers, one after the other: all of it", fence_all)
    cluster.image = after
    timed(rows, "unfence the broker, its heartbeat", lambda: cluster.heartbeat(broker.broker_id))
    timed(rows, "a heartbeat that changes nothing", lambda: cluster.heartbeat(broker.broker_id))
    name = next(
        topic.name
        for topic in cluster.image.topics.values()
        if broker.broker_id not in topic.partitions[0].replicas
    )
    staying = cluster.partition(name).isr[:2]
    timed(rows, "change of one ISR: decide and replay", lambda: cluster.alter_isr(staying, name=name))
    return rows


def _all(image: MetadataImage) -> Any:
    for topic in image.topics.values():
        yield from topic.partitions


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench.metadata", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--write", action="store_true", help="put the table into docs/scale.md")
    parser.add_argument("--brokers", type=int, default=105)
    parser.add_argument("--topics", type=int, default=7_000)
    parser.add_argument("--partitions", type=int, default=50, help="of each topic")
    options = parser.parse_args()
    date = f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d %H:%M} UTC"
    rows = measure(options.brokers, options.topics, options.partitions)
    title = (
        f"{options.topics * options.partitions:,} partitions of {options.topics:,} topics, {REPLICAS} replicas, "
        f"{options.brokers} brokers; processor time; `python -m bench.metadata`, {date}:"
    )
    lines = [
        title,
        "",
        "| what | figure |",
        "|---|---|",
        *(f"| {what} | {figure} |" for what, figure in rows),
    ]
    if options.write:
        write_part(BEGIN, END, "\n".join(lines), interop.REPOSITORY / "docs" / "scale.md")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
