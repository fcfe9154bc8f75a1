"""The workload: workers with clients of several libraries, a broker that is killed and paused, a final reading.

In: a seed and seconds. Out: the history. Each worker has one producer and one consumer and does one operation
after the other: assign, subscribe, or (by the mode) sends and polls, alone or in transactions. What comes to
pass depends on timing; the seed decides what is tried.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import random
import signal
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from confluent_kafka import (
    OFFSET_BEGINNING,
    OFFSET_STORED,
    Consumer,
    KafkaException,
    Producer,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient, NewTopic

from tests.checker.history import FAIL, INFO, OK, Operation, Poll, Send, key_of, partition_of
from tests.checker.programs import Program
from tests.processes import PybrokerProcess

KEYS = 6
POLL_S = 0.1
CALL_S = 8.0
STALLED_S = 12.0
PROPERTIES = {
    "group.initial.rebalance.delay.ms": "100",
    "group.min.session.timeout.ms": "1000",
    "transaction.abort.timed.out.transaction.cleanup.interval.ms": "1000",
    "log.segment.bytes": "1048576",
    "log.index.interval.bytes": "512",
    "offsets.topic.num.partitions": "5",
    "transaction.state.log.num.partitions": "5",
}


class Values:
    """The next value of each key."""

    def __init__(self) -> None:
        self._counters = [itertools.count() for _ in range(KEYS)]

    def next(self, key: int) -> int:
        return next(self._counters[key])


class Worker(threading.Thread):
    def __init__(
        self,
        number: int,
        seed: int,
        bootstrap: str,
        values: Values,
        transactional: bool,
        library: str = "confluent",
        directory: Path = Path(),
    ) -> None:
        """`library` as in `programs.LIBRARIES`; a program's log is in `directory`."""
        super().__init__(name=f"worker-{number}", daemon=True)
        self.library = library
        self.directory = directory
        self.program: Program | None = None
        self.number = number
        self.seed = seed
        self.random = random.Random(f"{seed}-{number}")
        self.bootstrap = bootstrap
        self.values = values
        self.transactional = transactional
        self.history: list[Operation] = []
        self.stopping = threading.Event()
        self.crash = threading.Event()
        # Given up, because a call did not come back: whatever it is in, it must not commit any more.
        self.abandoned = threading.Event()
        self.stage = ""
        self.stage_since = time.monotonic()
        self.failure: BaseException | None = None
        self.assigned: tuple[int, ...] = ()
        self.subscribed = False
        self.rebalanced: set[int] = set()
        self.producer: Any = None
        self.consumer: Any = None

    def successor(self) -> Worker:
        """Another one with the same transactional id, which fences this one."""
        return Worker(
            self.number,
            self.seed + 1000,
            self.bootstrap,
            self.values,
            self.transactional,
            self.library,
            self.directory,
        )

    # ---- clients -------------------------------------------------------------------------------------

    def make_producer(self) -> None:
        config: dict[str, Any] = {
            "bootstrap.servers": self.bootstrap,
            "enable.idempotence": True,
            "acks": "all",
            "linger.ms": 0,
            "message.timeout.ms": 6000,
            "request.timeout.ms": 3000,
            "socket.timeout.ms": 5000,
            "reconnect.backoff.max.ms": 300,
            "log_level": 0,
        }
        if self.transactional:
            config |= {"transactional.id": f"worker-{self.number}", "transaction.timeout.ms": 6000}
        while not self.stopping.is_set():
            self.enter("")
            self.producer = Producer(config) if self.library == "confluent" else self.make_program()
            if not self.transactional:
                return
            try:
                self.producer.init_transactions(CALL_S)
                return
            except KafkaException:
                time.sleep(0.2)

    def make_program(self) -> Program:
        if self.program is not None:
            self.program.kill()
        transactional_id = f"worker-{self.number}" if self.transactional else ""
        self.program = Program(self.library, self.directory, self.bootstrap, transactional_id)
        return self.program

    def make_consumer(self) -> None:
        self.assigned, self.subscribed = (), False
        if self.program is not None:
            self.consumer = self.program
            return
        self.consumer = Consumer(
            {
                "bootstrap.servers": self.bootstrap,
                "group.id": "workers",
                "enable.auto.commit": False,
                "isolation.level": "read_committed",
                "auto.offset.reset": "earliest",
                "session.timeout.ms": 3000,
                "heartbeat.interval.ms": 500,
                "max.poll.interval.ms": 30000,
                "reconnect.backoff.max.ms": 300,
                "fetch.wait.max.ms": 50,
                "log_level": 0,
            }
        )

    def drop_clients(self) -> None:
        """A crash of the client: nothing is flushed, committed or aborted."""
        if self.producer is not None:
            self.producer.purge()
            self.producer = None
        consumer, self.consumer = self.consumer, None
        if consumer is not None:
            with contextlib.suppress(KafkaException, RuntimeError):
                consumer.close()

    # ---- operations ----------------------------------------------------------------------------------

    def run(self) -> None:
        try:
            while not self.stopping.is_set():
                if self.crash.is_set() or self.producer is None:
                    self.crash.clear()
                    self.drop_clients()
                    self.make_producer()
                    self.make_consumer()
                    # franz-go's transactions are those of a member of a group.
                    self.record(self.choose_keys("subscribe" if self.library == "go" else "assign"))
                self.record(self.next_operation())
        except SystemExit:
            pass
        except BaseException as error:
            self.failure = error
        finally:
            if not self.abandoned.is_set():
                self.drop_clients()

    def record(self, operation: Operation) -> None:
        self.enter("")
        operation.start = time.monotonic()
        operation.rebalanced = self.rebalanced = set()
        operation.assigned = not self.subscribed
        self.history.append(operation)
        try:
            self.perform(operation)
        except KafkaException as error:
            operation.error = str(error.args[0])
        if self.abandoned.is_set():
            raise SystemExit
        operation.end = time.monotonic()

    def choose_keys(self, kind: str) -> Operation:
        keys = tuple(sorted(self.random.sample(range(KEYS), self.random.randint(1, KEYS))))
        if kind == "subscribe":
            keys = tuple(sorted({key for chosen in keys for key in (chosen // 2 * 2, chosen // 2 * 2 + 1)}))
        return Operation(self.number, kind, keys=keys)

    def next_operation(self) -> Operation:
        choice = self.random.random()
        if choice < 1 / 64:
            return self.choose_keys("subscribe" if self.library == "go" else "assign")
        if choice < 2 / 64:
            return self.choose_keys("subscribe")
        if self.transactional:
            return Operation(self.number, "txn")
        return Operation(self.number, self.random.choice(("send", "poll")))

    def perform(self, operation: Operation) -> None:
        if operation.kind == "assign":
            self.assign(operation)
        elif operation.kind == "subscribe":
            self.subscribe(operation)
        elif operation.kind == "send":
            self.send_alone(operation)
        elif operation.kind == "poll":
            self.poll_alone(operation)
        else:
            self.transaction(operation)

    def assign(self, operation: Operation) -> None:
        if self.subscribed:
            self.consumer.unsubscribe()
        known = {}
        if not self.subscribed and self.assigned:
            for found in self.consumer.position(
                [TopicPartition(*partition_of(key)) for key in self.assigned]
            ):
                known[key_of(found.topic, found.partition)] = found.offset
        operation.carried = tuple(key for key in operation.keys if known.get(key, -1) >= 0)
        partitions = []
        for key in operation.keys:
            offset = known.get(key, OFFSET_STORED)
            partitions.append(TopicPartition(*partition_of(key), offset if offset >= 0 else OFFSET_STORED))
        self.consumer.assign(partitions)
        self.assigned, self.subscribed = operation.keys, False
        operation.outcome = OK

    def subscribe(self, operation: Operation) -> None:
        if not self.subscribed and self.assigned:
            self.consumer.unassign()

        def changed(_: Any, partitions: list[Any]) -> None:
            self.rebalanced.update(key_of(entry.topic, entry.partition) for entry in partitions)

        topics = sorted({partition_of(key)[0] for key in operation.keys})
        self.consumer.subscribe(topics, on_assign=changed, on_revoke=changed, on_lost=changed)
        self.assigned, self.subscribed = operation.keys, True
        operation.outcome = OK

    def send(self, operation: Operation) -> None:
        key = self.random.randrange(KEYS)
        step = Send(key, self.values.next(key))
        operation.steps.append(step)

        def delivered(error: Any, message: Any) -> None:
            if error is None:
                step.offset = message.offset()

        topic, partition = partition_of(key)
        self.producer.produce(topic, value=b"%d" % step.value, partition=partition, on_delivery=delivered)

    def poll(self, operation: Operation) -> Poll:
        step = Poll()
        operation.steps.append(step)
        for message in self.consumer.consume(50, timeout=POLL_S):
            if message.error() is None:
                key = key_of(message.topic(), message.partition())
                step.records.setdefault(key, []).append((message.offset(), int(message.value())))
        return step

    def send_alone(self, operation: Operation) -> None:
        self.send(operation)
        self.producer.flush(CALL_S)
        operation.outcome = OK if operation.sends[0].offset is not None else INFO

    def poll_alone(self, operation: Operation) -> None:
        poll = self.poll(operation)
        if self.subscribed and poll.records:
            positions = [
                TopicPartition(*partition_of(key), found[-1][0] + 1) for key, found in poll.records.items()
            ]
            try:
                self.consumer.commit(offsets=positions, asynchronous=False)
            except KafkaException:
                self.rewind(operation)
                raise
        operation.outcome = OK

    def transaction(self, operation: Operation) -> None:
        attempted = False
        try:
            self.producer.begin_transaction()
            for _ in range(self.random.randint(1, 4)):
                if self.random.random() < 0.5:
                    self.send(operation)
                else:
                    self.poll(operation)
                if self.random.random() < 1 / 32:
                    self.abort(operation)
                    return
            positions: dict[int, int] = {}
            for poll in operation.polls:
                for key, found in poll.records.items():
                    positions[key] = max(positions.get(key, 0), found[-1][0] + 1)
            self.enter("offsets")
            if positions:
                self.producer.send_offsets_to_transaction(
                    [TopicPartition(*partition_of(key), offset) for key, offset in positions.items()],
                    self.consumer.consumer_group_metadata(),
                    CALL_S,
                )
            if self.random.random() < 1 / 32:
                self.abort(operation)
                return
            self.enter("commit")
            attempted = True
            self.commit()
            operation.outcome = OK
        except KafkaException as error:
            # Whatever was not asked to commit cannot be committed by anybody.
            if self.abandoned.is_set():
                raise SystemExit from None
            operation.outcome = INFO if attempted else FAIL
            operation.error = str(error.args[0])
            self.rewind(operation)
            if error.args[0].txn_requires_abort():
                try:
                    self.producer.abort_transaction(CALL_S)
                    operation.outcome = FAIL
                    return
                except KafkaException:
                    pass
            self.crash.set()

    def enter(self, stage: str) -> None:
        if self.abandoned.is_set():
            raise SystemExit
        self.stage, self.stage_since = stage, time.monotonic()

    def stalled(self) -> bool:
        """Whether the call in hand is long past its own timeout (see tests/exactly_once/copy_app.py)."""
        return self.is_alive() and time.monotonic() - self.stage_since > STALLED_S

    def give_up(self) -> None:
        """What was not asked to commit never will be; of a commit under way nobody knows."""
        self.abandoned.set()
        if self.history and not self.history[-1].end:
            self.history[-1].outcome = INFO if self.stage == "commit" else FAIL
            self.history[-1].error = "stalled"
        if self.program is not None:
            self.program.kill()

    def commit(self) -> None:
        """A commit that timed out may be asked for again; then it is one and the same."""
        for attempt in itertools.count():
            try:
                self.producer.commit_transaction(CALL_S)
                return
            except KafkaException as error:
                if not error.args[0].retriable() or attempt == 2:
                    raise

    def abort(self, operation: Operation) -> None:
        operation.outcome = FAIL
        self.rewind(operation)
        self.producer.abort_transaction(CALL_S)

    def rewind(self, operation: Operation) -> None:
        """Back to where the operation found the consumer."""
        first: dict[int, int] = {}
        for poll in operation.polls:
            for key, found in poll.records.items():
                first.setdefault(key, found[0][0])
        for key, offset in first.items():
            try:
                self.consumer.seek(TopicPartition(*partition_of(key), offset))
            except KafkaException:
                # A partition that is not being fetched cannot be sought in: a new consumer, then.
                self.crash.set()


class Nemesis:
    """Strikes at the brokers and crashes clients, by the seed. Runs in the main thread: a child process dies with
    the thread that started it."""

    def __init__(self, workers: list[Worker], seed: int) -> None:
        self.workers = workers
        self.random = random.Random(f"{seed}-nemesis")
        self.retired: list[Worker] = []
        self.done: dict[str, int] = {"client": 0}

    def strike(self) -> str:
        """One fault at the brokers, and what it was."""
        raise NotImplementedError

    def crash_a_client(self) -> str:
        self.random.choice(self.workers).crash.set()
        return "client"

    def run(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while True:
            self.replace_stalled()
            pause = self.random.uniform(1.5, 5.0)
            if time.monotonic() + pause > deadline:
                time.sleep(max(deadline - time.monotonic(), 0))
                return
            time.sleep(pause)
            what = self.strike() if self.random.random() < 0.75 else self.crash_a_client()
            self.done[what] = self.done.get(what, 0) + 1

    def replace_stalled(self) -> None:
        for index, worker in enumerate(self.workers):
            if worker.stalled():
                worker.give_up()
                self.done["stalled"] = self.done.get("stalled", 0) + 1
                fresh = worker.successor()
                self.workers[index] = fresh
                self.retired.append(worker)
                fresh.start()


class BrokerNemesis(Nemesis):
    """Kills and pauses one broker."""

    def __init__(self, server: PybrokerProcess, workers: list[Worker], seed: int) -> None:
        super().__init__(workers, seed)
        self.server = server

    def strike(self) -> str:
        if self.random.random() < 2 / 3:
            self.server.kill()
            time.sleep(self.random.uniform(0.0, 1.0))
            self.server.start()
            return "kill"
        os.kill(self.server.pid, signal.SIGSTOP)
        time.sleep(self.random.uniform(0.5, 6.0))
        os.kill(self.server.pid, signal.SIGCONT)
        return "pause"


def read_everything(bootstrap: str, history: list[Operation], limit_s: float) -> tuple[list[Operation], bool]:
    """The final phase: from the beginning past everything that is known. False when that was not reached."""
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": "the-final-reader",
            "enable.auto.commit": False,
            "isolation.level": "read_committed",
            "log_level": 0,
        }
    )
    consumer.assign([TopicPartition(*partition_of(key), OFFSET_BEGINNING) for key in range(KEYS)])
    wanted: dict[int, int] = {}
    for operation in history:
        if operation.outcome == OK:
            for send in operation.sends:
                if send.offset is not None:
                    wanted[send.key] = max(wanted.get(send.key, -1), send.offset)
        for poll in operation.polls:
            for key, found in poll.records.items():
                wanted[key] = max(wanted.get(key, -1), found[-1][0])
    found_operations: list[Operation] = []
    deadline = time.monotonic() + limit_s
    last: dict[int, int] = {}
    quiet = 0
    try:
        # A little longer than needed, so that what comes twice, or should not come at all, is seen too.
        while time.monotonic() < deadline and (
            quiet < 20 or any(last.get(key, -1) < offset for key, offset in wanted.items())
        ):
            operation = Operation(-1, "poll", OK, final=True, start=time.monotonic())
            step = Poll()
            operation.steps.append(step)
            for message in consumer.consume(1000, timeout=POLL_S):
                if message.error() is None:
                    key = key_of(message.topic(), message.partition())
                    step.records.setdefault(key, []).append((message.offset(), int(message.value())))
                    last[key] = message.offset()
            quiet = 0 if step.records else quiet + 1
            operation.end = time.monotonic()
            if step.records:
                found_operations.append(operation)
    finally:
        consumer.close()
    return found_operations, all(last.get(key, -1) >= offset for key, offset in wanted.items())


class Outcome:
    def __init__(self, history: list[Operation], complete: bool, faults: dict[str, int]) -> None:
        self.history = history
        self.complete = complete
        self.faults = faults


def run(
    bootstrap: str,
    make_nemesis: Callable[[list[Worker], int], Nemesis],
    seed: int,
    seconds: float,
    *,
    transactional: bool,
    libraries: Sequence[str] = ("confluent",) * 4,
    replication: int = 1,
    directory: Path = Path(),
) -> Outcome:
    """Run the workload, a worker for each of `libraries`, against brokers that the nemesis strikes at; the history
    of all workers."""
    admin = AdminClient({"bootstrap.servers": bootstrap})
    topics = [NewTopic(f"t{number}", 2, replication) for number in range((KEYS + 1) // 2)]
    for future in admin.create_topics(topics).values():
        future.result(30)
    values = Values()
    crew = [
        Worker(number, seed, bootstrap, values, transactional, library, directory)
        for number, library in enumerate(libraries)
    ]
    nemesis = make_nemesis(crew, seed)
    for worker in crew:
        worker.start()
    try:
        nemesis.run(seconds)
    finally:
        for worker in crew:
            worker.stopping.set()
    for worker in crew:
        worker.join(STALLED_S)
        if worker.is_alive():
            worker.give_up()
            nemesis.done["stalled"] = nemesis.done.get("stalled", 0) + 1
        if worker.failure is not None:
            raise worker.failure
    # The transactions of clients that were given up time out: then everything can be read.
    time.sleep(10 if nemesis.done.get("stalled") else 0)
    history = [operation for worker in (*nemesis.retired, *crew) for operation in worker.history]
    final, complete = read_everything(bootstrap, history, 100)
    return Outcome(history + final, complete, nemesis.done)
