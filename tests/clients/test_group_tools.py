"""kafka-consumer-groups and kafka-transactions say of our groups and transactions what they say of Apache Kafka's.

group_tools.txt holds what they printed for Apache Kafka 4.3.0, call by call, without what changes from run to run
(`scrubbed`). PYBROKER_RECORD=1 with --against=kafka writes it anew.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer, Producer
from confluent_kafka.admin import AdminClient, NewTopic

from tests.processes import KafkaTools, Server, wait_until

pytestmark = [pytest.mark.interop, pytest.mark.slow, pytest.mark.timeout(300)]

RECORDED = Path(__file__).parent / "group_tools.txt"
QUICK = {
    "group.initial.rebalance.delay.ms": "0",
    "group.consumer.min.heartbeat.interval.ms": "500",
    "group.consumer.heartbeat.interval.ms": "500",
}
UUID = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"


def scrubbed(text: str, server: Server) -> list[str]:
    """The lines in an order of their own, without times, ids, addresses and the width of columns."""
    text = text.replace(server.bootstrap, "BOOTSTRAP")
    text = re.sub(r"\d{4}-\d\d-\d\dT[\d:.]+Z?", "TIME", text)
    text = re.sub(UUID, "UUID", text)
    text = re.sub(r"[A-Za-z0-9+/_-]{22}(?= +/127)", "UUID", text)
    text = re.sub(r"\b1[78]\d{11}\b(\s+\d+)?", "MILLISECONDS", text)
    text = re.sub(r"adminclient-\d+", "adminclient", text)
    lines = [re.sub(r"\s+", " ", line).strip() for line in text.splitlines()]
    # Not what a client of an earlier test in the same JVM says, whose broker is gone; nor stack traces.
    noise = re.compile(r"$|.*NetworkClient|at |\.\.\. \d+ more")
    return sorted(line for line in lines if not noise.match(line))


class Session:
    """Tool calls one after the other, and what came out."""

    def __init__(self, kafka: KafkaTools, server: Server) -> None:
        self.kafka = kafka
        self.server = server
        self.said: dict[str, list[str]] = {}

    def _run(self, tool: str, line: str, *more: str) -> None:
        result = self.kafka.run(tool, "--bootstrap-server", self.server.bootstrap, *line.split(), *more)
        title = f"$ {tool} {line}"
        while title in self.said:
            title += " (again)"
        out, err = scrubbed(result.out, self.server), scrubbed(result.err, self.server)
        self.said[title] = [f"status {result.status}", *out, *(f"! {line}" for line in err)]

    def groups(self, line: str, *more: str) -> None:
        self._run("ConsumerGroupCommand", line, *more)

    def transactions(self, line: str) -> None:
        self._run("TransactionsCommand", line)

    def text(self) -> str:
        return "".join(
            f"{title}\n" + "".join(f"{line}\n" for line in said) for title, said in self.said.items()
        )


def member(server: Server, group: str, count: int, topics: list[str], **settings: Any) -> Any:
    """A consumer that has read and committed so many records."""
    consumer = Consumer(
        {
            "bootstrap.servers": server.bootstrap,
            "group.id": group,
            "client.id": "reader",
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
            **settings,
        }
    )
    consumer.subscribe(topics)
    found = 0
    deadline = time.monotonic() + 60
    while found < count:
        assert time.monotonic() < deadline, found
        found += sum(message.error() is None for message in consumer.consume(100, 0.2))
    consumer.commit(asynchronous=False)
    return consumer


def fill(server: Server) -> None:
    admin = AdminClient({"bootstrap.servers": server.bootstrap})
    for made in admin.create_topics([NewTopic("two", 2, 1), NewTopic("one", 1, 1)]).values():
        made.result(30)
    producer = Producer({"bootstrap.servers": server.bootstrap})
    for number in range(20):
        producer.produce(
            "two", b"%d" % number, partition=number % 2, timestamp=1_700_000_000_000 + number * 1000
        )
    for number in range(5):
        producer.produce("one", b"%d" % number)
    assert producer.flush(30) == 0


def live_groups(session: Session) -> None:
    """An empty group, a classic and a consumer one with a member each; every way to list and describe them."""
    for options in (
        "",
        " --state",
        " --type",
        " --state Empty",
        " --type consumer",
        " --state --type classic",
    ):
        session.groups(f"--list{options}")
    for group in ("empty", "classic", "consumer", "unknown"):
        for options in (
            "",
            " --members",
            " --members --verbose",
            " --state",
            " --state --verbose",
            " --offsets --verbose",
        ):
            session.groups(f"--describe --group {group}{options}")
    session.groups("--describe --all-groups --state")
    session.groups("--describe --group empty --group classic --members")
    for group in ("classic", "consumer"):
        session.groups(f"--reset-offsets --group {group} --topic two --to-earliest --execute")
        session.groups(f"--delete --group {group}")
    session.groups("--delete-offsets --group classic --topic two")


def offsets(session: Session, file: Path) -> None:
    """Every form of a reset, dry and executed; offsets and groups that are deleted."""
    reset = "--reset-offsets --group empty"
    for how in (
        "--to-earliest", "--to-latest", "--to-current", "--to-offset 3", "--to-offset 100", "--shift-by -4",
        "--shift-by 100", "--to-datetime 2023-11-14T22:13:25.000", "--by-duration P1D",
    ):  # fmt: skip
        session.groups(f"{reset} --topic two {how} --dry-run")
    session.groups(f"{reset} --topic two:1 --shift-by -100 --dry-run")
    session.groups(f"{reset} --all-topics --to-earliest --dry-run")
    session.groups(f"{reset} --topic two --to-earliest")
    session.groups(f"{reset} --topic two --to-offset 3 --export --dry-run")
    session.groups(f"{reset} --topic unknown --to-earliest --execute")
    file.write_text("two,0,4\ntwo,1,5\n")
    session.groups(f"{reset} --dry-run --from-file", str(file))
    session.groups(f"{reset} --execute --from-file", str(file))
    file.write_text("empty,two,0,1\nother,two,1,2\n")
    session.groups("--reset-offsets --group empty --group other --execute --from-file", str(file))
    session.groups("--describe --group empty")
    session.groups("--describe --group other")
    session.groups("--reset-offsets --group fresh --topic two --to-offset 2 --execute")
    session.groups("--reset-offsets --all-groups --topic two --to-latest --dry-run")
    for where in ("empty --topic one", "empty --topic two:1", "unknown --topic two", "empty --topic unknown"):
        session.groups(f"--delete-offsets --group {where}")
    session.groups("--describe --group empty")
    session.groups("--delete --group empty --group unknown --group fresh")
    session.groups("--delete --all-groups")
    session.groups("--list --state")


def transactions(session: Session) -> None:
    producer = Producer({"bootstrap.servers": session.server.bootstrap, "transactional.id": "teller"})
    producer.init_transactions(30)
    producer.begin_transaction()
    producer.produce("two", b"x", partition=0)
    assert producer.flush(30) == 0
    for line in (
        "list",
        "list --duration-filter 1000000",
        "list --transactional-id-pattern t.*",
        "list --transactional-id-pattern z.*",
        "describe --transactional-id teller",
        "describe --transactional-id unknown",
        "describe-producers --topic two --partition 0",
        "describe-producers --topic two --partition 1",
        "describe-producers --topic two --partition 0 --broker-id 1",
        "find-hanging",
        "find-hanging --broker-id 1",
        "find-hanging --topic two --partition 0 --max-transaction-timeout 1",
        "abort --topic two --partition 0 --start-offset 5",
        "abort --topic two --partition 0 --start-offset 10",
        "abort --topic two --partition 0 --producer-id 0 --producer-epoch 0 --coordinator-epoch 0",
        "force-terminate --transactional-id teller",
        "force-terminate --transactional-id unknown",
        "list",
        "describe --transactional-id teller",
    ):
        session.transactions(line)


def test_tools_say_what_they_say_of_kafka(
    start_broker: Callable[..., Server], kafka: KafkaTools, tmp_path: Path
) -> None:
    server = start_broker(**QUICK)
    fill(server)
    session = Session(kafka, server)
    member(server, "empty", 25, ["two", "one"]).close()
    readers = [
        member(server, "classic", 20, ["two"]),
        member(server, "consumer", 20, ["two"], **{"group.protocol": "consumer"}),
    ]
    live_groups(session)
    for reader in readers:
        reader.close()
    admin = AdminClient({"bootstrap.servers": server.bootstrap})
    for group in ("classic", "consumer"):

        def emptied(group: str = group) -> bool:
            return bool(admin.describe_consumer_groups([group])[group].result(10).state.name == "EMPTY")

        wait_until(emptied, f"{group} to empty")
    offsets(session, tmp_path / "offsets.csv")
    transactions(session)
    if os.environ.get("PYBROKER_RECORD") and server.name == "Apache Kafka":
        RECORDED.write_text(session.text())
    assert session.text().splitlines() == RECORDED.read_text().splitlines()
