"""The differential test of log directories: AlterReplicaLogDirs and DescribeLogDirs, to Apache Kafka and to pybroker with
two `log.dirs` each.

    python -m tests.conformance.log_dirs --requests N --seed S [--self] [--write-docs]

In: two nodes and their directories, a seed. Out: a `Report`. What must hold: both nodes start from the same places of
their replicas. Five acts, of N requests together:

    moved      each move has ended before the next request
    throttled  nothing moves on, so moves are begun, begun again, cancelled and described on their way
    free       they go on, and end where the last request of each replica said
    cordoned   the second directory takes nothing new
    failed     a file stands in the place of the second directory
"""

from __future__ import annotations

import argparse
import datetime
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tests.conformance import docs
from tests.conformance.generator import NODE_ID, Generator, Step
from tests.conformance.run import Peer, Report, score
from tests.conformance.symbols import Directory
from tests.processes import KafkaProcess, PybrokerProcess, Server, wait_until
from tests.protocol import raw
from tests.protocol.raw import ALTER_REPLICA_LOG_DIRS, DESCRIBE_CONFIGS, DESCRIBE_LOG_DIRS

VERSIONS = {ALTER_REPLICA_LOG_DIRS: range(1, 3), DESCRIBE_LOG_DIRS: range(1, 6)}
TOPICS = {"dirs-big": 1, "dirs-empty": 1, "dirs-many": 3}
BIG = "dirs-big"
LIMIT = "replica.alter.log.dirs.io.max.bytes.per.second"
CORDONED = "cordoned.log.dirs"
PROPERTIES = {
    # Longer than the test: once the limit is exceeded nothing is copied.
    "alter.log.dirs.replication.quota.window.size.seconds": "3600",
    # The reference looks for something to copy that often.
    "replica.fetch.backoff.ms": "20",
}


def two_directories(directory: Path) -> dict[str, str]:
    """The property for a node whose data are in `directory`."""
    return {"log.dirs": ",".join(map(str, _paths(directory)))}


def _paths(directory: Path) -> list[Path]:
    return [directory / "data", directory / "data2"]


class DirectoryGenerator(Generator):
    """Requests about replicas and directories."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed, 0)
        for name, partitions in TOPICS.items():
            self.learn_created(name, partitions, fixed=True)

    def next_step(self) -> Step:
        key = self.pick(ALTER_REPLICA_LOG_DIRS, ALTER_REPLICA_LOG_DIRS, DESCRIBE_LOG_DIRS)
        version = self.random.choice(VERSIONS[key])
        if key == DESCRIBE_LOG_DIRS:
            # Other tests have left their topics here.
            return self.spoiled(key, version, self.describe_log_dirs(version) | {"topics": self._topics()})
        return self.spoiled(key, version, self._alter())

    def _alter(self) -> dict[str, Any]:
        topics = self._named_topics()
        dirs = [{"path": self._path(), "topics": topics if self.chance(0.95) else []}]
        if self.chance(0.3):
            # Some of the same in another directory, or in the same one.
            again = topics if self.chance(0.5) else self._named_topics()
            dirs.append({"path": self._path(), "topics": again})
        return {"dirs": dirs if self.chance(0.95) else []}

    def _path(self) -> Any:
        bad = ["/not/there", "", "data", Directory(1, "/"), Directory(1, "/../data"), Directory(1, "/x")]
        return self.mostly(self.pick(Directory(0), Directory(1)), *bad, probability=0.85)

    def _named_topics(self) -> list[dict[str, Any]]:
        names = list(dict.fromkeys(self.several(self.topic_name)))
        return [{"name": name, "partitions": self._partitions(name)} for name in names]

    def _topics(self) -> list[dict[str, Any]]:
        names = self.several(self.topic_name)
        return [{"topic": name, "partitions": self._partitions(name)} for name in names]

    def _partitions(self, name: str) -> list[int]:
        return self.several(lambda: self.partition(name)) if self.chance(0.95) else []


class _Theatre:
    """Both nodes with the state of the acts."""

    def __init__(self, peers: list[Peer], seed: int) -> None:
        self.peers = peers
        self.generator = DirectoryGenerator(seed)
        self.report = Report()
        self.number = 0

    def prepare(self) -> None:
        for peer in self.peers:
            for name, partitions in TOPICS.items():
                _, topic_id = raw.create_topic(peer.side, name, partitions=partitions)
                peer.names.learn_topic(name, topic_id)
            for index in range(3):
                raw.produce(peer.side, BIG, {0: raw.batch(raw.record(b"", b"x" * 1_000_000))})
                raw.produce(peer.side, "dirs-many", {index: raw.simple_batch(index + 1)})
        everything = [{"name": name, "partitions": list(range(count))} for name, count in TOPICS.items()]
        self.both(ALTER_REPLICA_LOG_DIRS, {"dirs": [{"path": Directory(0), "topics": everything}]})
        self.settle()

    def both(self, key: int, values: dict[str, Any]) -> None:
        """A good request to both, compared too."""
        self.play(Step(key, VERSIONS[key].stop - 1, values))

    def play(self, step: Step) -> None:
        self.number += 1
        sent = [peer.send(step) for peer in self.peers]
        answers = [peer.receive(step, number) for peer, number in zip(self.peers, sent, strict=True)]
        score(self.report, self.peers, self.number, step, answers)

    def some(self, count: int, *, settled: bool) -> None:
        for _ in range(count):
            self.play(self.generator.next_step())
            if settled:
                self.settle()
        self.look()

    def look(self) -> None:
        """Where everything is."""
        topics = [{"topic": name, "partitions": list(range(count))} for name, count in TOPICS.items()]
        self.both(DESCRIBE_LOG_DIRS, {"topics": topics})

    def described(self, peer: Peer) -> list[dict[str, Any]]:
        topics = [{"topic": name, "partitions": list(range(count))} for name, count in TOPICS.items()]
        results = peer.side.call(DESCRIBE_LOG_DIRS, 5, {"topics": topics})["results"]
        return sorted(results, key=lambda result: peer.names.directories.index(result["log_dir"]))

    def futures(self, peer: Peer) -> list[dict[str, Any]]:
        return [
            partition
            for result in self.described(peer)
            for topic in result["topics"]
            for partition in topic["partitions"]
            if partition["is_future_key"]
        ]

    def settle(self) -> None:
        """No move is under way."""
        for peer in self.peers:
            wait_until(lambda peer=peer: not self.futures(peer), f"the moves of {peer.address}")
            # While it changes from one log to the other the reference lets nobody read, and a request for another
            # move would get into its way.
            partitions = {
                name: [{"partition_index": index, "timestamp": -1} for index in range(count)]
                for name, count in TOPICS.items()
            }
            topics = [{"name": name, "partitions": asked} for name, asked in partitions.items()]
            peer.side.call(raw.LIST_OFFSETS, 4, {"replica_id": -1, "isolation_level": 0, "topics": topics})

    def configure(self, name: str, value: Any) -> None:
        """Set for this broker, None: no more; when this returns it is in force."""
        for peer in self.peers:
            change = {"name": name, "config_operation": 1 if value is None else 0}
            change["value"] = peer.names.resolve(value)
            broker = {"resource_type": 4, "resource_name": str(NODE_ID)}
            request = {"resources": [{**broker, "configs": [change]}], "validate_only": False}
            answer = peer.side.call(raw.INCREMENTAL_ALTER_CONFIGS, 1, request)
            assert answer["responses"][0]["error_code"] == 0, answer
            asked = {"resources": [{**broker, "configuration_keys": [name]}], "include_synonyms": True}

            def shown(peer: Peer = peer, asked: Mapping[str, Any] = asked) -> bool:
                found = peer.side.call(DESCRIBE_CONFIGS, 4, asked)["results"][0]["configs"]
                own = [s for config in found for s in config["synonyms"] if s["source"] == 2]
                return bool(own) == (value is not None)

            wait_until(shown, f"{name} of {peer.address}")
        # No request tells when the part that it is for has taken it.
        time.sleep(0.1)

    def move(self, name: str, number: int) -> None:
        """The first replica of a topic to a directory."""
        topics = [{"name": name, "partitions": [0]}]
        self.both(ALTER_REPLICA_LOG_DIRS, {"dirs": [{"path": Directory(number), "topics": topics}]})

    def throttled(self, count: int) -> None:
        # What was copied is too much for the rest of the test.
        self.move(BIG, 1)
        self.settle()
        self.configure(LIMIT, "1")
        self.some(count, settled=False)
        self.configure(LIMIT, None)
        self.settle()
        self.look()

    def failed(self, count: int) -> None:
        """The second directory is gone, which each node finds when it is to make a log there."""
        self.move("dirs-many", 0)
        self.settle()
        for peer in self.peers:
            directory = Path(peer.names.directories[1])
            directory.rename(directory.with_name("gone"))
            directory.write_text("not a directory")
        self.move("dirs-many", 1)
        for peer in self.peers:
            wait_until(
                lambda peer=peer: self.described(peer)[1]["error_code"], f"the failure at {peer.address}"
            )
        self.some(count, settled=True)


def run(nodes: list[tuple[Server, Path]], requests: int, seed: int) -> Report:
    """To the reference and another node, each with the directory that `two_directories` was told. The second log
    directory of both is lost afterwards."""
    started = time.monotonic()
    peers = [Peer(server.bootstrap, set()) for server, _ in nodes]
    for peer, (_, directory) in zip(peers, nodes, strict=True):
        peer.names.directories = list(map(str, _paths(directory)))
    theatre = _Theatre(peers, seed)
    try:
        theatre.prepare()
        theatre.some(requests * 4 // 10, settled=True)
        theatre.throttled(requests * 3 // 10)
        theatre.configure(CORDONED, Directory(1))
        theatre.some(requests // 10, settled=True)
        theatre.configure(CORDONED, None)
        theatre.failed(requests * 2 // 10)
    finally:
        for peer in peers:
            peer.close()
    theatre.report.seconds = time.monotonic() - started
    return theatre.report


def start(
    kind: Callable[[Path, dict[str, str]], Server],
    directory: Path,
    properties: Mapping[str, str] = PROPERTIES,
) -> tuple[Server, Path]:
    return kind(directory, {**properties, **two_directories(directory)}), directory


def write(report: Report, seed: int) -> None:
    today = datetime.datetime.now(tz=datetime.UTC).date().isoformat()
    count = sum(report.requests.values())
    lines = [f"{count} requests, seed {seed}, {today}, Apache Kafka 4.3.0.", "", report.table(VERSIONS), ""]
    lines.append(f"{len(report.found)} differences." if report.found else "No difference.")
    docs.replace(("<!-- directories score begins -->", "<!-- directories score ends -->"), lines)


def main(arguments: list[str] | None = None) -> int:
    from tests.conformance.__main__ import show

    parser = argparse.ArgumentParser(prog="python -m tests.conformance.log_dirs")
    parser.add_argument("--requests", type=int, default=500)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--self", dest="itself", action="store_true", help="Apache Kafka against itself")
    parser.add_argument("--write-docs", action="store_true", help="write the table to docs/conformance.md")
    options = parser.parse_args(arguments)
    nodes: list[tuple[Server, Path]] = []
    with tempfile.TemporaryDirectory(prefix="directories-") as place:
        try:
            for index, kind in enumerate((KafkaProcess, KafkaProcess if options.itself else PybrokerProcess)):
                nodes.append(start(kind, Path(place) / str(index)))
            report = run(nodes, options.requests, options.seed)
        finally:
            for server, _ in nodes:
                server.kill()
    print(report.table(VERSIONS))
    for difference in report.found[:20]:
        print(show(difference))
    if options.write_docs:
        write(report, options.seed)
    return 1 if report.found else 0


if __name__ == "__main__":
    sys.exit(main())
