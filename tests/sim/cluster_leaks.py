"""Nothing is left over in a simulated cluster (I17).

In: brokers at rest, whose clients have all gone. Out: `Violation`. What must hold:

- who waits is another node that fetches, and nobody else: no appends, coordinators' operations, moves, markers or
  requests to the controller without an answer; each timer is of a kind that a broker at rest has;
- open files are those of living logs and are still there under their names; directories are those of living logs;
- what is remembered of producers, transactions, groups, sessions and connections is bounded by what there was;
- after a shutdown no file is open and no directory locked.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from pybroker.log.manager import BALLAST_FILE
from tests.sim.cluster_clients import Violation
from tests.sim.disk import DirectoryNode, SimDisk

# How long a cluster without clients is left alone before it is looked at: longer than requests and sessions last.
QUIET_MS = 2_500.0
# How long a broker waits for the answer of a machine that is gone (request.timeout.ms, and some).
UNANSWERED_MS = 35_000.0
# Kinds of timers, and how many of each a broker at rest may have.
_TIMERS = {
    "ReplicaManager._scan_lag": 1,
    "MetadataQuorum._time_passed": 1,
    "BrokerLifecycle._due": 1,
    "Controller._tick": 1,
    "TransactionCoordinator._every.<locals>.due": 2,
    "ControllerChannel.request.<locals>.<lambda>": 1,
    "Fetcher._send": 8,
}
# Another node waits for records (one fetcher each); timers of coordinators, which are looked at by themselves.
_FETCH_WAIT = "_wait.<locals>.finish"
_OF_SHARDS = "_ShardTimers.schedule.<locals>.<lambda>"
# Cancelled timers stay where they are until there are so many.
_CANCELLED_MAX = 64


def timers_of(broker: Any) -> Counter[str]:
    """The kinds of the timers that are scheduled."""
    return Counter(
        entry[2].callback.__qualname__ for entry in broker.timers._heap if entry[2].callback is not None
    )


def check_quiet(process: Any, nodes: int, *, clock_jumps: bool) -> None:
    """A broker that has been left alone for `QUIET_MS`. After a jump of its clock it may remove files later."""
    where = f"I17: node {process.node.number}"
    broker = process.broker
    timers = timers_of(broker)
    for kind, count in timers.items():
        limit = _TIMERS.get(kind, 0)
        if kind == _FETCH_WAIT:
            limit = nodes - 1
        elif kind == _OF_SHARDS:
            limit = sum(
                2 + len(getattr(shard, "groups", ()))
                for host in broker._coordinators.values()
                for _, shard in host.active_shards
            )
        if count > limit:
            raise Violation(f"{where} has {count} timers {kind}, not {limit}")
    if len(broker.timers._heap) > 2 * sum(timers.values()) + _CANCELLED_MAX + 2:
        raise Violation(
            f"{where} has {len(broker.timers._heap)} timers, {sum(timers.values())} of them living"
        )
    for what, count, limit in _counts(process, nodes):
        if count > limit:
            raise Violation(f"{where}: {count} {what}, not {limit}")
    _check_partitions(where, broker, timers[_FETCH_WAIT])
    _check_coordinators(where, broker)
    _check_disk(where, broker, process.node.disk, clock_jumps)


def _counts(process: Any, nodes: int) -> list[tuple[str, int, int]]:
    """(what, how many there are, how many there may be)"""
    broker = process.broker
    context = broker._context
    quorum = context.quorum
    replicas = broker._replicas
    raft = quorum.node
    connections = process._connections
    found = [
        ("effects that were not taken", len(broker._calls), 0),
        ("effects under way", sum(map(len, process._queues.values())), 2),
        ("large requests", len(broker._large._jobs), 0),
        ("topics being made", len(broker._creation._under_way), 0),
        ("requests to the controller", context.controller_channel.pending_count, 1),
        ("producers that wait for an id", len(context.producer_ids._waiting), 0),
        ("replicas in wrong directories", len(broker._assignments._wrong), 0),
        ("moves between directories", len(broker._moves._moves) + len(broker._moves._queue), 0),
        ("incomplete topics", len(replicas._incomplete), 0),
        ("proposals of an ISR", len(replicas._proposals), 0),
        ("fetchers", len(replicas._fetchers), nodes - 1),
        ("answers of leaders to be taken", sum(len(f._queue) for f in replicas._fetchers.values()), 0),
        ("batches of metadata that are not committed", len(quorum._prepared), 0),
        ("operations of the controller", len(context.controller._pending), 0),
        ("fetches of the quorum that wait", len(raft._waiters), nodes - 1),
        ("requests of the quorum", len(raft._in_flight), nodes - 1),
        ("messages of the quorum", len(raft._outbox), 0),
        ("markers to be written", len(context.transactions._markers._pending), 0),
        ("fetch sessions", len(context.fetch_sessions), context.fetch_sessions.slots),
        (
            "clients' connections",
            # The end of one that was slow may be on its way.
            sum(c.end.peer[0] not in _hosts(nodes) and not c.end._inbound._queue for c in connections),
            0,
        ),
        (
            "waits of connections",
            sum(len(c.state._on_close) for c in connections),
            sum(c.end.peer[0] in _hosts(nodes) for c in connections),
        ),
        ("produce requests in line", sum(len(c.state.produce_queue or ()) for c in connections), 0),
        ("frames in line", sum(len(c._frames) for c in connections), 0),
    ]
    for caller in process._callers.values():
        found.append(("requests to another node", len(caller._outstanding), 1))
    return found


def _hosts(nodes: int) -> set[str]:
    return {f"10.0.0.{number}" for number in range(1, nodes + 1)}


def _check_partitions(where: str, broker: Any, fetches: int) -> None:
    for topic in broker._context.topics.values():
        for partition in topic.partitions:
            if partition is None:
                continue
            name = f"{where} {partition.topic}-{partition.partition}"
            waits = len(partition._waiters) + len(partition._local_waiters) + len(partition._low_waiters)
            if waits:
                raise Violation(f"{name}: {waits} callers wait for an offset")
            watchers = max(len(partition._watchers), len(partition._tail_watchers))
            if watchers > fetches:
                raise Violation(f"{name}: {watchers} fetches wait, of {fetches}")
            producers = partition.log.producers
            for entry in producers.entries.values():
                if len(entry.batches) > 5:
                    raise Violation(f"{name}: {len(entry.batches)} batches of producer {entry.producer_id}")
            if producers._open_transactions:
                raise Violation(f"{name}: {len(producers._open_transactions)} open transactions")
            if len(producers._ended) > producers._ended_max:
                raise Violation(f"{name}: {len(producers._ended)} ended transactions are kept")


def _check_coordinators(where: str, broker: Any) -> None:
    for host in broker._coordinators.values():
        if host._loading:
            raise Violation(f"{where}: {len(host._loading)} shards of {host.topic} are being loaded")
        for index, shard in host.active_shards:
            name = f"{where} {host.topic}-{index}"
            offsets = getattr(shard, "offsets", None)
            # What a commit had encoded that could not be appended stays until the next commit.
            if offsets is not None and (offsets._pending or offsets._open_producers):
                raise Violation(
                    f"{name}: offsets of transactions {offsets._pending}, of {offsets._open_producers}"
                )
            decided = getattr(shard, "_decided", None)
            if decided:
                raise Violation(f"{name}: transactions {sorted(decided)} are not complete")


def _check_disk(where: str, broker: Any, disk: SimDisk, clock_jumps: bool) -> None:
    logs = broker._context.logs
    names = {log.directory: log for directory in logs.directories for log in directory.logs.values()}
    for file in disk.open_files:
        directory = file.path.rpartition("/")[0]
        if directory not in names:
            raise Violation(f"{where}: {file.path} is open, and its log is gone")
        if disk._find(file.path) is not file.node:
            raise Violation(f"{where}: {file.path} is open, and was renamed or removed")
    segments = sum(len(log.segments) for log in names.values())
    if len(disk.open_files) > segments + len(names):
        raise Violation(f"{where}: {len(disk.open_files)} files of {segments} segments are open")
    for directory in logs.directories:
        node = disk._directory(directory.path)
        for name, entry in node.entries.items():
            path = f"{directory.path}/{name}"
            if isinstance(entry, DirectoryNode) and path not in names:
                # A start puts what the metadata do not know aside, for the operator, as Kafka.
                if name.endswith("-stray") or (clock_jumps and name.endswith("-delete")):
                    continue
                raise Violation(f"{where}: {path} is a directory of no log")
            if name.endswith(".tmp") and name != BALLAST_FILE:
                raise Violation(f"{where}: {path} was left")


def check_stopped(process: Any) -> None:
    """A broker that has been shut down."""
    where = f"I17: node {process.node.number} has stopped"
    disk = process.node.disk
    if disk.open_files:
        raise Violation(f"{where}, open are {[file.path for file in disk.open_files]}")
    if disk.locked:
        raise Violation(f"{where}, locked are {sorted(disk.locked)}")
