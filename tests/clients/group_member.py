"""A process that is a member of several groups, with Python's client libraries: group_member.py BOOTSTRAP RANK
LIBRARY:KIND ... .

The group and its topic are named LIBRARY-KIND. Whatever happens is told as one line of JSON: `{"group", "owned", "at"}`
when the partitions of a member change, `{"group", "seen"}` for the values that it has processed, before it commits
them. `at` is in seconds of the system's clock. It leaves when standard input ends.
"""

from __future__ import annotations

import asyncio
import faulthandler
import json
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterable
from typing import Any

# How long the broker waits for partitions that a member of the new protocol is to give back.
POLL_INTERVAL_MS = "GROUP_MEMBER_POLL_INTERVAL_MS"
STOPPED = threading.Event()
_writing = threading.Lock()


def tell(group: str, **what: Any) -> None:
    line = json.dumps({"group": group, **what})
    with _writing:
        print(line, flush=True)


class Ownership:
    def __init__(self, group: str) -> None:
        self.group = group
        self.partitions: set[int] = set()
        self.closed = False

    def close(self) -> None:
        """The member leaves and takes nothing any more."""
        self.closed = True
        self.partitions.clear()
        tell(self.group, owned=[], at=time.time())

    def gain(self, partitions: Iterable[Any]) -> None:
        if self.closed:
            return
        self.partitions |= {one.partition for one in partitions}
        tell(self.group, owned=sorted(self.partitions), at=time.time())

    def lose(self, partitions: Iterable[Any]) -> None:
        self.partitions -= {one.partition for one in partitions}
        tell(self.group, owned=sorted(self.partitions), at=time.time())


def confluent(bootstrap: str, rank: str, group: str, kind: str) -> None:
    from confluent_kafka import Consumer, KafkaException

    settings: dict[str, Any] = {"session.timeout.ms": 6000, "heartbeat.interval.ms": 500}
    if kind == "consumer":
        settings = {"group.protocol": "consumer"}
        if POLL_INTERVAL_MS in os.environ:
            settings["max.poll.interval.ms"] = os.environ[POLL_INTERVAL_MS]
    elif kind == "static":
        settings["group.instance.id"] = rank
    else:
        settings["partition.assignment.strategy"] = kind
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": group,
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            "fetch.wait.max.ms": 100,
            "log_level": 0,
            **settings,
        }
    )
    owner = Ownership(group)
    consumer.subscribe(
        [group],
        on_assign=lambda _, partitions: owner.gain(partitions),
        on_revoke=lambda _, partitions: owner.lose(partitions),
        on_lost=lambda _, partitions: owner.lose(partitions),
    )
    try:
        while not STOPPED.is_set():
            messages = [message for message in consumer.consume(200, 0.1) if message.error() is None]
            if messages:
                tell(group, seen=[int(message.value()) for message in messages])
                try:
                    consumer.commit(asynchronous=False)
                except KafkaException:
                    continue  # Another member has the partitions now.
    finally:
        consumer.close()


def kafka_python(bootstrap: str, rank: str, group: str, kind: str) -> None:
    # This program is run as a file: its folder is where these are.
    import kafka_python_joins
    import kafka_python_metadata
    from kafka import ConsumerRebalanceListener, KafkaConsumer
    from kafka.coordinator.assignors.range import RangePartitionAssignor
    from kafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor
    from kafka.errors import KafkaError

    kafka_python_joins.install()
    kafka_python_metadata.install()
    owner = Ownership(group)

    class Listener(ConsumerRebalanceListener):  # type: ignore[misc]
        def on_partitions_revoked(self, revoked: Any) -> None:
            owner.lose(revoked)

        def on_partitions_assigned(self, assigned: Any) -> None:
            owner.gain(assigned)

    assignors = {"range": RangePartitionAssignor, "roundrobin": RoundRobinPartitionAssignor}
    consumer = KafkaConsumer(
        bootstrap_servers=bootstrap,
        group_id=group,
        partition_assignment_strategy=[assignors[kind]],
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        session_timeout_ms=6000,
        heartbeat_interval_ms=500,
        fetch_max_wait_ms=100,
    )
    consumer.subscribe([group], listener=Listener())
    try:
        while not STOPPED.is_set():
            for messages in consumer.poll(timeout_ms=100).values():
                tell(group, seen=[int(message.value) for message in messages])
            try:
                consumer.commit()
            except KafkaError:
                continue
    finally:
        consumer.close()


def aiokafka(bootstrap: str, rank: str, group: str, kind: str) -> None:
    from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener
    from aiokafka.coordinator.assignors.range import RangePartitionAssignor
    from aiokafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor
    from aiokafka.errors import KafkaError

    owner = Ownership(group)

    class Listener(ConsumerRebalanceListener):  # type: ignore[misc]
        async def on_partitions_revoked(self, revoked: Any) -> None:
            owner.lose(revoked)

        async def on_partitions_assigned(self, assigned: Any) -> None:
            owner.gain(assigned)

    async def work() -> None:
        assignors = {"range": RangePartitionAssignor, "roundrobin": RoundRobinPartitionAssignor}
        consumer = AIOKafkaConsumer(
            bootstrap_servers=bootstrap,
            group_id=group,
            partition_assignment_strategy=(assignors[kind],),
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            session_timeout_ms=6000,
            heartbeat_interval_ms=500,
            fetch_max_wait_ms=100,
            metadata_max_age_ms=1000,
        )
        consumer.subscribe([group], listener=Listener())
        try:
            await consumer.start()
            while not STOPPED.is_set():
                for messages in (await consumer.getmany(timeout_ms=100)).values():
                    tell(group, seen=[int(message.value) for message in messages])
                try:
                    await consumer.commit()
                except KafkaError:
                    continue
        finally:
            # It leaves without a word to its listener.
            owner.close()
            await consumer.stop()

    asyncio.run(work())


def supervise(consume: Callable[[str, str, str, str], None], *arguments: str) -> None:
    """A member whose library gives up, as after a long pause, is followed by a new one."""
    while not STOPPED.is_set():
        try:
            consume(*arguments)
        except Exception:
            traceback.print_exc()
            tell(arguments[2], owned=[], at=time.time())
            time.sleep(0.2)


def main() -> None:
    # On SIGUSR1 it says where its threads are.
    faulthandler.register(signal.SIGUSR1)
    bootstrap, rank, *groups = sys.argv[1:]
    libraries = {"confluent": confluent, "kafka_python": kafka_python, "aiokafka": aiokafka}
    threads = []
    for name in groups:
        library, kind = name.split(":")
        arguments = (libraries[library], bootstrap, rank, f"{library}-{kind}", kind)
        threads.append(threading.Thread(target=supervise, args=arguments))
        threads[-1].start()
    sys.stdin.read()
    STOPPED.set()
    for thread in threads:
        thread.join()


if __name__ == "__main__":
    main()
