"""Simulated clients, written on the codecs of the wire: producers, transactions, consumers, administration.

In: a network with brokers. Out: outcomes and what was read, for the history. What must hold: they behave as the
usual client libraries do where that matters (one producer id with sequences, retries in order, leader epochs,
fetch sessions, aborted transactions filtered here), and stop the run with `Violation` at any answer that Kafka's
brokers never give.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from typing import Any

from pybroker.common.errors import ErrorCode
from pybroker.records.batch import Record, build_batch, crc_matches, is_control, iter_headers, iter_records
from pybroker.records.control import ControlType, decode_key
from pybroker.wire import codec
from pybroker.wire.headers import parse_response_header, request_header
from pybroker.wire.messages import (
    add_offsets_to_txn,
    add_partitions_to_txn,
    alter_partition_reassignments,
    create_topics,
    delete_topics,
    elect_leaders,
    end_txn,
    fetch,
    find_coordinator,
    incremental_alter_configs,
    init_producer_id,
    metadata,
    offset_fetch,
    produce,
    txn_offset_commit,
)
from tests.sim.cluster_net import Address, Caller, Network
from tests.sim.cluster_node import WALL_MS
from tests.sim.cluster_time import Future, Scheduler, gather, sleep

Key = tuple[str, int]

_E = ErrorCode
# What a client answers by asking for metadata and trying again.
STALE = {
    _E.NOT_LEADER_OR_FOLLOWER,
    _E.LEADER_NOT_AVAILABLE,
    _E.UNKNOWN_TOPIC_OR_PARTITION,
    _E.UNKNOWN_TOPIC_ID,
    _E.FENCED_LEADER_EPOCH,
    _E.UNKNOWN_LEADER_EPOCH,
    _E.KAFKA_STORAGE_ERROR,
    _E.REPLICA_NOT_AVAILABLE,
}
AGAIN = STALE | {
    _E.REQUEST_TIMED_OUT,
    _E.NOT_ENOUGH_REPLICAS,
    _E.NOT_ENOUGH_REPLICAS_AFTER_APPEND,
    _E.COORDINATOR_LOAD_IN_PROGRESS,
    _E.COORDINATOR_NOT_AVAILABLE,
    _E.NOT_COORDINATOR,
    _E.CONCURRENT_TRANSACTIONS,
    _E.OFFSET_NOT_AVAILABLE,
    _E.NETWORK_EXCEPTION,
}
FENCED = {
    _E.INVALID_PRODUCER_EPOCH,
    _E.PRODUCER_FENCED,
    _E.INVALID_PRODUCER_ID_MAPPING,
    _E.INVALID_TXN_STATE,
    _E.TRANSACTION_ABORTABLE,
}


class Violation(Exception):
    """Something happened that must not."""


def _name(code: int) -> str:
    return ErrorCode(code).name


class Session:
    """One client process: its connections and what it knows of the cluster."""

    def __init__(
        self, scheduler: Scheduler, network: Network, name: str, bootstrap: list[Address], seed: str
    ) -> None:
        self.scheduler = scheduler
        self.network = network
        self.name = name
        self.rng = random.Random(f"client {name} {seed}")
        self.alive = True
        self._bootstrap = bootstrap
        self._callers: dict[tuple[Address, str], Caller] = {}
        self._correlation = 0
        self.request_timeout_ms = 4_000.0
        self.brokers: dict[int, Address] = {}
        self.leaders: dict[Key, tuple[int, int]] = {}
        self.topic_ids: dict[str, bytes] = {}
        self.calls = 0

    def end(self) -> None:
        """The process is gone."""
        self.alive = False
        for caller in self._callers.values():
            caller.end_process()

    def sleep(self, delay_ms: float) -> Future:
        return sleep(self.scheduler, delay_ms)

    @property
    def now_ms(self) -> float:
        return self.scheduler.now_ms

    def backoff(self) -> Future:
        return self.sleep(30.0 + 120.0 * self.rng.random())

    def call(
        self, address: Address, message: Any, version: int, lane: str = "", timeout_ms: float | None = None
    ) -> Future:
        """A response, or None: no connection, or no answer in time. Calls of one lane share a connection."""
        caller = self._callers.get((address, lane))
        if caller is None:
            caller = Caller(self.network, self.name, address, lambda: self.alive)
            self._callers[address, lane] = caller
        self.calls += 1
        self._correlation += 1
        correlation = self._correlation
        module = type(message).__module__
        key: int = _API_KEYS.get(module, -1)
        if key < 0:
            key = _API_KEYS[module] = __import__(module, fromlist=["API_KEY"]).API_KEY
        frame = request_header(key, version, correlation, self.name) + codec.encode(message, version)
        future = Future()

        def done(reply: memoryview | None) -> None:
            if reply is None:
                future.set(None)
                return
            found, position = parse_response_header(reply, key, version)
            if found != correlation:
                raise Violation(
                    f"{self.name}: the answer to request {correlation} has correlation id {found}"
                )
            response, end = codec.decode(codec.response_class(key), version, reply, position)
            if end != len(reply):
                raise Violation(f"{type(response).__name__} has {len(reply) - end} bytes too many")
            future.set(response)

        caller.send(frame, self.request_timeout_ms if timeout_ms is None else timeout_ms, done)
        return future

    def drop(self, address: Address, lane: str = "") -> None:
        """Close a connection; what was sent on it may still arrive."""
        caller = self._callers.get((address, lane))
        if caller is not None:
            caller.close()

    def any_address(self) -> Address:
        known = [*self._bootstrap, *self.brokers.values()]
        return self.rng.choice(known)

    # --- metadata ---

    async def refresh(self, topics: Iterable[str]) -> bool:
        request = metadata.MetadataRequest(
            topics=[metadata.MetadataRequestTopic(name=name) for name in topics],
            allow_auto_topic_creation=False,
        )
        response = await self.call(self.any_address(), request, 12, timeout_ms=2_000)
        if response is None:
            return False
        self.brokers = {broker.node_id: (broker.host, broker.port) for broker in response.brokers}
        for topic in response.topics:
            if topic.error_code:
                continue
            if self.topic_ids.get(topic.name) != topic.topic_id:
                self.topic_ids[topic.name] = topic.topic_id
                for known in [known for known in self.leaders if known[0] == topic.name]:
                    del self.leaders[known]
            for partition in topic.partitions:
                where = topic.name, partition.partition_index
                # Never back to an older leader (KIP-320).
                if partition.leader_epoch >= self.leaders.get(where, (-1, -1))[1]:
                    self.leaders[where] = partition.leader_id, partition.leader_epoch
        return True

    def leader(self, where: Key) -> Address | None:
        number, _ = self.leaders.get(where, (-1, -1))
        return self.brokers.get(number)

    async def leader_addresses(self, keys: Iterable[Key]) -> dict[Key, Address]:
        """Those of the partitions whose leaders are known, after asking if need be."""
        wanted = list(keys)
        if any(self.leader(where) is None for where in wanted):
            await self.refresh(sorted({topic for topic, _ in wanted}))
        found = {where: self.leader(where) for where in wanted}
        return {where: address for where, address in found.items() if address is not None}

    def forget_leader(self, where: Key) -> None:
        number, epoch = self.leaders.get(where, (-1, -1))
        if number >= 0:
            self.leaders[where] = -1, epoch

    async def coordinator(self, key: str, kind: int) -> Address | None:
        """The coordinator of a group (0) or transactional id (1)."""
        request = find_coordinator.FindCoordinatorRequest(key_type=kind, coordinator_keys=[key])
        response = await self.call(self.any_address(), request, 4, timeout_ms=2_000)
        if response is None:
            return None
        found = response.coordinators[0]
        if found.error_code:
            expect(found.error_code, AGAIN, "FindCoordinator")
            return None
        return found.host, found.port


_API_KEYS: dict[str, int] = {}


def expect(code: int, allowed: Iterable[int], what: str) -> None:
    if code and code not in allowed:
        raise Violation(f"{what} was answered with {_name(code)}")


class Unsent:
    """One batch on its way: values, sequence, and what became of it."""

    __slots__ = ("acked", "base", "data", "key", "sequence", "tries", "values")

    def __init__(self, key: Key, values: list[int], sequence: int, data: bytes) -> None:
        self.key = key
        self.values = values
        self.sequence = sequence
        self.data = data
        self.tries = 0
        self.acked = False
        self.base: int | None = None


class Lost(Exception):
    """The producer cannot go on with this id: the outcome is unknown."""


class Producer:
    """An idempotent producer; with a transactional id one of transactions."""

    def __init__(
        self,
        session: Session,
        *,
        acks: int = -1,
        transactional_id: str | None = None,
        transaction_version: int = 2,
        timeout_ms: int = 10_000,
        codec_number: int = 0,
        version: int = 12,
    ) -> None:
        self.session = session
        self.acks = acks
        self.transactional_id = transactional_id
        self.transaction_version = transaction_version
        self.timeout_ms = timeout_ms
        self.codec_number = codec_number
        self.version = version
        self.producer_id = -1
        self.epoch = -1
        self._sequences: dict[Key, int] = {}
        # Partitions that know this producer id.
        self._known: set[Key] = set()
        self._coordinator: Address | None = None
        # Partitions of the open transaction, and whether offsets are in it.
        self._added: set[Key] = set()
        self._lane = "produce"
        # With transactions of version 1 an old request that comes late counts for the next transaction
        # (KAFKA-17754), a Produce too: the sequence that it has is then where that has to begin. After one without
        # an answer a new epoch is taken.
        self.suspect = False
        # Its records may be gone before a batch is sent again.
        self.is_shortened = False
        self.on_ack: Callable[[Key, int, int, float], None] | None = None
        """(partition, value, offset, when it was sent)"""

    # --- producer ids ---

    async def init(self, deadline_ms: float) -> bool:
        """Have an id; with a transactional id everything before it is fenced and finished."""
        session = self.session
        while session.now_ms < deadline_ms:
            address = await self._find_coordinator() if self.transactional_id else session.any_address()
            if address is None:
                await session.backoff()
                continue
            request = init_producer_id.InitProducerIdRequest(
                transactional_id=self.transactional_id,
                transaction_timeout=self.timeout_ms if self.transactional_id else 2**31 - 1,
                producer_id=-1,
                producer_epoch=-1,
            )
            response = await session.call(address, request, 5, "control")
            if response is not None and not response.error_code:
                self.producer_id, self.epoch = response.producer_id, response.producer_epoch
                self._sequences.clear()
                self._known.clear()
                self._added.clear()
                self.suspect = False
                return True
            await self._again(response, "InitProducerId")
        return False

    async def _find_coordinator(self) -> Address | None:
        assert self.transactional_id is not None
        if self._coordinator is None:
            self._coordinator = await self.session.coordinator(self.transactional_id, 1)
        return self._coordinator

    async def _again(self, response: Any, what: str) -> None:
        """After a failure that may pass. Lost: one that does not."""
        if response is None:
            self._coordinator = None
            self.suspect = True
        elif response.error_code:
            if response.error_code in FENCED:
                raise Lost(f"{what}: {_name(response.error_code)}")
            expect(response.error_code, AGAIN, what)
            if response.error_code != _E.CONCURRENT_TRANSACTIONS:
                self._coordinator = None
        await self.session.backoff()

    # --- sending ---

    def _batch(self, key: Key, values: list[int]) -> Unsent:
        sequence = self._sequences.get(key, 0)
        self._sequences[key] = sequence + len(values)
        now = WALL_MS + int(self.session.now_ms)
        data = build_batch(
            self._records(values, now),
            codec=self.codec_number,
            producer_id=self.producer_id,
            producer_epoch=self.epoch,
            base_sequence=sequence,
            transactional=self.transactional_id is not None,
        )
        return Unsent(key, values, sequence, data)

    def _records(self, values: list[int], now_ms: int) -> list[Record]:
        return [Record(timestamp=now_ms, key=b"k%d" % (value % 7), value=b"%d" % value) for value in values]

    async def send(self, wanted: list[tuple[Key, list[int]]], deadline_ms: float) -> list[Unsent]:
        """Send batches in order, several under way at once, and again until each is acknowledged or time is up.
        Lost: the id is of no more use (the batches that are `acked` are in)."""
        batches = [self._batch(key, values) for key, values in wanted]
        await self._send_all(batches, deadline_ms)
        return batches

    async def _send_all(self, batches: list[Unsent], deadline_ms: float) -> None:
        session = self.session
        while session.now_ms < deadline_ms:
            left = [batch for batch in batches if not batch.acked]
            if not left:
                return
            if not await self._add_partitions({batch.key for batch in left}):
                await session.backoff()
                continue
            leaders = await session.leader_addresses({batch.key: None for batch in left})
            rounds: list[dict[Address, list[Unsent]]] = []
            count: dict[Key, int] = {}
            for batch in left:
                address = leaders.get(batch.key)
                if address is None:
                    continue
                number = count[batch.key] = count.get(batch.key, -1) + 1
                # A partition that knows nothing of the producer takes any sequence, as Kafka's: the second batch too,
                # when the first one is refused.
                if number >= 5 or (number and self.transactional_id is None and batch.key not in self._known):
                    continue
                if number == len(rounds):
                    rounds.append({})
                rounds[number].setdefault(address, []).append(batch)
            sent = [
                (some, session.now_ms, self._produce(address, some))
                for turn in rounds
                for address, some in turn.items()
            ]
            failed: set[Key] = set()
            for some, sent_ms, future in sent:
                self._take(some, await future, failed, sent_ms)
            if failed or not sent:
                await session.backoff()

    def _produce(self, address: Address, batches: list[Unsent]) -> Future:
        version = self.version
        if self.transactional_id is not None:
            # From version 12 on the partition is added to the transaction by the way.
            version = min(version, 11) if self.transaction_version < 2 else max(version, 12)
        topics: dict[str, list[produce.PartitionProduceData]] = {}
        for batch in batches:
            batch.tries += 1
            topics.setdefault(batch.key[0], []).append(
                produce.PartitionProduceData(index=batch.key[1], records=batch.data)
            )
        request = produce.ProduceRequest(
            transactional_id=self.transactional_id,
            acks=self.acks,
            timeout=2_000,
            topic_data=[
                produce.TopicProduceData(
                    name=name, topic_id=self.session.topic_ids.get(name, bytes(16)), partition_data=data
                )
                for name, data in topics.items()
            ],
        )
        return self.session.call(address, request, version, self._lane)

    def _take(self, batches: list[Unsent], response: Any, failed: set[Key], sent_ms: float) -> None:
        session = self.session
        if response is None:
            self.suspect = True
            for batch in batches:
                failed.add(batch.key)
                session.forget_leader(batch.key)
            return
        names = {identifier: name for name, identifier in session.topic_ids.items()}
        answers = {
            (topic.name or names.get(topic.topic_id, "?"), partition.index): partition
            for topic in response.responses
            for partition in topic.partition_responses
        }
        if len(answers) != len(batches):
            raise Violation(f"Produce of {len(batches)} partitions was answered for {len(answers)}")
        for batch in batches:
            answer = answers[batch.key]
            code = answer.error_code
            if code in (0, _E.DUPLICATE_SEQUENCE_NUMBER):
                batch.acked = True
                self._known.add(batch.key)
                if not code and answer.base_offset >= 0:
                    batch.base = answer.base_offset
                    if self.on_ack is not None:
                        for index, value in enumerate(batch.values):
                            self.on_ack(batch.key, value, batch.base + index, sent_ms)
                continue
            if code == _E.OUT_OF_ORDER_SEQUENCE_NUMBER and batch.key in failed:
                # One before it has to go first.
                continue
            failed.add(batch.key)
            if code in STALE:
                session.forget_leader(batch.key)
            elif code in FENCED if self.transactional_id else self._is_forgotten(batch, code):
                raise Lost(_name(code))
            elif code not in AGAIN:
                raise Violation(
                    f"{session.name}: producer {self.producer_id} epoch {self.epoch} sequence {batch.sequence} for "
                    f"{batch.key}, try {batch.tries}, was answered with {_name(code)}"
                )

    def _is_forgotten(self, batch: Unsent, code: int) -> bool:
        """As with Kafka, a start knows only the last batch of a producer whose records were removed; one before
        it, sent again, is not known to be there."""
        return code == _E.OUT_OF_ORDER_SEQUENCE_NUMBER and batch.tries > 1 and self.is_shortened

    # --- transactions ---

    async def _add_partitions(self, keys: set[Key]) -> bool:
        """With transactions of version 1: the coordinator must know before."""
        if self.transactional_id is None or self.transaction_version >= 2:
            self._added |= keys
            return True
        new = sorted(keys - self._added)
        if not new:
            return True
        address = await self._find_coordinator()
        if address is None:
            return False
        by_topic: dict[str, list[int]] = {}
        for topic, partition in new:
            by_topic.setdefault(topic, []).append(partition)
        request = add_partitions_to_txn.AddPartitionsToTxnRequest(
            v3_and_below_transactional_id=self.transactional_id,
            v3_and_below_producer_id=self.producer_id,
            v3_and_below_producer_epoch=self.epoch,
            v3_and_below_topics=[
                add_partitions_to_txn.AddPartitionsToTxnTopic(name=name, partitions=partitions)
                for name, partitions in by_topic.items()
            ],
        )
        response = await self.session.call(address, request, 3, "control")
        if response is None:
            self._coordinator = None
            self.suspect = True
            return False
        codes = [
            partition.partition_error_code
            for topic in response.results_by_topic_v3_and_below
            for partition in topic.results_by_partition
        ]
        for code in codes:
            if code in FENCED:
                raise Lost(f"AddPartitionsToTxn: {_name(code)}")
            expect(code, AGAIN | {_E.OPERATION_NOT_ATTEMPTED}, "AddPartitionsToTxn")
        if any(codes):
            if _E.CONCURRENT_TRANSACTIONS not in codes:
                self._coordinator = None
            return False
        self._added |= set(new)
        return True

    async def commit_offsets(self, group: str, offsets: dict[Key, int], deadline_ms: float) -> bool:
        """Make offsets of a group part of the transaction."""
        session = self.session
        assert self.transactional_id is not None
        if self.transaction_version < 2 and ("", 0) not in self._added:
            while session.now_ms < deadline_ms:
                address = await self._find_coordinator()
                if address is None:
                    await session.backoff()
                    continue
                request = add_offsets_to_txn.AddOffsetsToTxnRequest(
                    transactional_id=self.transactional_id,
                    producer_id=self.producer_id,
                    producer_epoch=self.epoch,
                    group_id=group,
                )
                response = await session.call(address, request, 3, "control")
                if response is not None and not response.error_code:
                    break
                await self._again(response, "AddOffsetsToTxn")
            else:
                return False
        self._added.add(("", 0))
        by_topic: dict[str, list[txn_offset_commit.TxnOffsetCommitRequestPartition]] = {}
        for (topic, partition), offset in offsets.items():
            by_topic.setdefault(topic, []).append(
                txn_offset_commit.TxnOffsetCommitRequestPartition(
                    partition_index=partition, committed_offset=offset
                )
            )
        commit = txn_offset_commit.TxnOffsetCommitRequest(
            transactional_id=self.transactional_id,
            group_id=group,
            producer_id=self.producer_id,
            producer_epoch=self.epoch,
            topics=[
                txn_offset_commit.TxnOffsetCommitRequestTopic(name=name, partitions=partitions)
                for name, partitions in by_topic.items()
            ],
        )
        while session.now_ms < deadline_ms:
            address = await session.coordinator(group, 0)
            if address is None:
                await session.backoff()
                continue
            response = await session.call(address, commit, 5 if self.transaction_version >= 2 else 4, "group")
            if response is not None:
                codes = {partition.error_code for topic in response.topics for partition in topic.partitions}
                if codes == {0}:
                    return True
                for code in codes:
                    if code in FENCED:
                        raise Lost(f"TxnOffsetCommit: {_name(code)}")
                    expect(code, AGAIN, "TxnOffsetCommit")
            else:
                self.suspect = True
            await session.backoff()
        return False

    async def end(self, commit: bool, deadline_ms: float, sent: Callable[[], None]) -> bool:
        """Commit or abort; `sent` is called before the first request leaves. False: nobody knows. Lost: refused,
        and with the first try that means that it did not happen."""
        session = self.session
        if not self._added:
            return True
        tries = 0
        while session.now_ms < deadline_ms:
            address = await self._find_coordinator()
            if address is None:
                await session.backoff()
                continue
            request = end_txn.EndTxnRequest(
                transactional_id=self.transactional_id,
                producer_id=self.producer_id,
                producer_epoch=self.epoch,
                committed=commit,
            )
            sent()
            tries += 1
            response = await session.call(
                address, request, 5 if self.transaction_version >= 2 else 3, "control"
            )
            if response is not None and not response.error_code:
                if self.transaction_version >= 2:
                    if (response.producer_id, response.producer_epoch) != (self.producer_id, self.epoch):
                        self._sequences.clear()
                    self.producer_id, self.epoch = response.producer_id, response.producer_epoch
                self._added.clear()
                return True
            if response is not None and response.error_code in FENCED and tries > 1:
                return False
            await self._again(response, "EndTxn")
        return False


class Consumer:
    """Reads assigned partitions from positions, with a fetch session for each broker."""

    def __init__(
        self,
        session: Session,
        *,
        committed: bool = True,
        sessions: bool = True,
        version: int = 17,
        max_bytes: int = 1 << 16,
    ) -> None:
        self.session = session
        self.committed = committed
        self.sessions = sessions
        self.version = version
        self.max_bytes = max_bytes
        self.positions: dict[Key, int] = {}
        # Epoch of the last batch that was read, of each partition.
        self._epochs: dict[Key, int] = {}
        # What each reader was told last: it must not go back.
        self.high_watermarks: dict[Key, int] = {}
        self.last_stable: dict[Key, int] = {}
        # Address -> (session id, epoch, what the broker knows: key -> position).
        self._sessions: dict[Address, tuple[int, int, dict[Key, int]]] = {}
        self.on_bounds: Callable[[Key, int, int], None] | None = None
        self.may_truncate = False
        self.resets = 0

    def assign(self, positions: dict[Key, int]) -> None:
        before, self.positions = self.positions, dict(positions)
        self._epochs = {
            key: epoch for key, epoch in self._epochs.items() if positions.get(key) == before[key]
        }

    async def poll(self, wait_ms: int) -> dict[Key, list[tuple[int, int]]]:
        """partition -> [(offset, value)] of one round of fetches."""
        session = self.session
        leaders = await session.leader_addresses(self.positions)
        by_address: dict[Address, list[Key]] = {}
        for key, address in leaders.items():
            by_address.setdefault(address, []).append(key)
        if not by_address:
            await session.backoff()
            return {}
        calls = [self._fetch(address, keys, wait_ms) for address, keys in by_address.items()]
        found: dict[Key, list[tuple[int, int]]] = {}
        failed = False
        for (address, keys), response in zip(by_address.items(), await gather(calls), strict=True):
            failed |= not self._take(address, keys, response, found)
        if failed:
            await session.backoff()
        return found

    def _fetch(self, address: Address, keys: list[Key], wait_ms: int) -> Future:
        session = self.session
        identifier, epoch, known = self._sessions.get(address, (0, 0, {}))
        asked = keys
        forgotten: list[Key] = []
        if not self.sessions:
            epoch = -1
        elif epoch > 0:
            asked = [key for key in keys if known.get(key) != self.positions[key]]
            forgotten = [key for key in known if key not in keys]
        topics: dict[str, list[fetch.FetchPartition]] = {}
        for key in asked:
            topics.setdefault(key[0], []).append(
                fetch.FetchPartition(
                    partition=key[1],
                    current_leader_epoch=session.leaders[key][1],
                    fetch_offset=self.positions[key],
                    last_fetched_epoch=self._epochs.get(key, -1),
                    partition_max_bytes=self.max_bytes,
                )
            )
        dropped: dict[str, list[int]] = {}
        for topic, partition in forgotten:
            dropped.setdefault(topic, []).append(partition)
        if self.sessions:
            self._sessions[address] = identifier, epoch, {key: self.positions[key] for key in keys}
        request = fetch.FetchRequest(
            max_wait=wait_ms,
            min_bytes=1,
            max_bytes=self.max_bytes * 4,
            isolation_level=int(self.committed),
            session_id=identifier if epoch > 0 else 0,
            session_epoch=epoch,
            topics=[
                fetch.FetchTopic(topic=name, topic_id=session.topic_ids[name], partitions=partitions)
                for name, partitions in topics.items()
            ],
            forgotten_topics_data=[
                fetch.ForgottenTopic(topic=name, topic_id=session.topic_ids[name], partitions=partitions)
                for name, partitions in dropped.items()
            ],
        )
        return session.call(address, request, self.version, "fetch")

    def _take(
        self, address: Address, keys: list[Key], response: Any, found: dict[Key, list[tuple[int, int]]]
    ) -> bool:
        session = self.session
        if response is None:
            self._sessions.pop(address, None)
            for key in keys:
                session.forget_leader(key)
            return False
        if response.error_code:
            expect(
                response.error_code,
                AGAIN
                | {
                    _E.FETCH_SESSION_ID_NOT_FOUND,
                    _E.INVALID_FETCH_SESSION_EPOCH,
                    _E.FETCH_SESSION_TOPIC_ID_ERROR,
                },
                "Fetch",
            )
            self._sessions.pop(address, None)
            return False
        if self.sessions:
            _, epoch, known = self._sessions.get(address, (0, 0, {}))
            if response.session_id:
                self._sessions[address] = response.session_id, epoch + 1, known
            else:
                self._sessions.pop(address, None)
        names = {identifier: name for name, identifier in session.topic_ids.items()}
        good = True
        for topic in response.responses:
            name = topic.topic or names.get(topic.topic_id, "?")
            for partition in topic.partitions:
                key = name, partition.partition_index
                if key not in self.positions:
                    continue
                good &= self._take_partition(key, partition, found)
        return good

    def _take_partition(self, key: Key, answer: Any, found: dict[Key, list[tuple[int, int]]]) -> bool:
        session = self.session
        code = answer.error_code
        if code:
            if code == _E.OFFSET_OUT_OF_RANGE:
                if not self.may_truncate:
                    raise Violation(
                        f"{session.name}: {key} has nothing at {self.positions[key]}, up to where it was read before"
                    )
                self.resets += 1
                self.positions[key] = 0
                self._epochs.pop(key, None)
                return False
            expect(code, AGAIN, f"Fetch of {key}")
            if code in STALE:
                session.forget_leader(key)
            return False
        if answer.diverging_epoch.end_offset >= 0:
            if not self.may_truncate:
                raise Violation(f"{session.name}: {key} diverged below {self.positions[key]}, which was read")
            self.resets += 1
            self.positions[key] = min(self.positions[key], answer.diverging_epoch.end_offset)
            self._epochs.pop(key, None)
            return False
        if answer.last_stable_offset > answer.high_watermark:
            raise Violation(
                f"{key}: last stable offset {answer.last_stable_offset} above high watermark {answer.high_watermark}"
            )
        if self.on_bounds is not None:
            self.on_bounds(key, answer.high_watermark, answer.last_stable_offset)
        self.high_watermarks[key] = answer.high_watermark
        self.last_stable[key] = answer.last_stable_offset
        bound = answer.last_stable_offset if self.committed else answer.high_watermark
        data = bytes(answer.records or b"")
        values = found.setdefault(key, [])
        position = self.positions[key]
        aborted = sorted(
            (entry.first_offset, entry.producer_id) for entry in answer.aborted_transactions or ()
        )
        active: set[int] = set()
        for start, header in iter_headers(data):
            if start + header.size > len(data):
                break
            batch = memoryview(data)[start : start + header.size]
            if not crc_matches(batch):
                raise Violation(f"{key}: the batch at {header.base_offset} has a wrong checksum")
            if header.next_offset > bound:
                raise Violation(f"{key}: {header.last_offset} was given, the bound is {bound}")
            if header.leader_epoch < self._epochs.get(key, -1) and header.base_offset >= position:
                raise Violation(
                    f"{key}: epoch {header.leader_epoch} at {header.base_offset} after a later one"
                )
            self._epochs[key] = max(header.leader_epoch, self._epochs.get(key, -1))
            while aborted and aborted[0][0] <= header.last_offset:
                active.add(aborted.pop(0)[1])
            if is_control(header.attributes):
                record = next(iter_records(batch))
                if decode_key(record.key)[1] == ControlType.ABORT:
                    active.discard(header.producer_id)
            elif not (self.committed and header.is_transactional and header.producer_id in active):
                for record in iter_records(batch):
                    if record.offset >= position:
                        values.append((record.offset, int(record.value or b"-1")))
            position = max(position, header.next_offset)
        self.positions[key] = position
        return True


class Admin:
    """Makes and deletes topics, and looks at offsets of groups."""

    def __init__(self, session: Session) -> None:
        self.session = session
        # Topics of which a request went unanswered, or was answered with a failure that may pass: it may still come,
        # and undo what was answered later.
        self.uncertain: set[str] = set()
        # Topic -> the id that its creation was answered with.
        self.made: dict[str, bytes] = {}

    async def create(
        self,
        name: str,
        partitions: int,
        replicas: int,
        deadline_ms: float,
        configs: dict[str, str] | None = None,
    ) -> bool:
        session = self.session
        request = create_topics.CreateTopicsRequest(
            topics=[
                create_topics.CreatableTopic(
                    name=name,
                    num_partitions=partitions,
                    replication_factor=replicas,
                    configs=[
                        create_topics.CreatableTopicConfig(name=key, value=value)
                        for key, value in (configs or {}).items()
                    ],
                )
            ],
            timeout=3_000,
        )
        while session.now_ms < deadline_ms:
            response = await session.call(session.any_address(), request, 7, "admin")
            if response is not None:
                code = response.topics[0].error_code
                if code in (0, _E.TOPIC_ALREADY_EXISTS):
                    self.made[name] = response.topics[0].topic_id
                    if code:
                        # The broker has sent it to the controller twice.
                        self.uncertain.add(name)
                    return True
                expect(code, AGAIN | {_E.NOT_CONTROLLER, _E.INVALID_REPLICATION_FACTOR}, "CreateTopics")
            self.uncertain.add(name)
            await session.refresh([])
            await session.backoff()
        return False

    async def delete(self, name: str, deadline_ms: float) -> bool:
        session = self.session
        request = delete_topics.DeleteTopicsRequest(
            topics=[delete_topics.DeleteTopicState(name=name)], timeout=3_000
        )
        while session.now_ms < deadline_ms:
            response = await session.call(session.any_address(), request, 6, "admin")
            if response is not None:
                code = response.responses[0].error_code
                if code in (0, _E.UNKNOWN_TOPIC_OR_PARTITION):
                    if code:
                        # A controller that is cut off, and does not know of its successor yet, may say so too.
                        self.uncertain.add(name)
                    return True
                expect(code, AGAIN | {_E.NOT_CONTROLLER}, "DeleteTopics")
            self.uncertain.add(name)
            await session.backoff()
        return False

    async def reassign(self, key: Key, replicas: list[int] | None) -> None:
        """Move a partition, or (None) cancel a move."""
        moves = alter_partition_reassignments
        request = moves.AlterPartitionReassignmentsRequest(
            timeout=2_000,
            topics=[
                moves.ReassignableTopic(
                    name=key[0],
                    partitions=[moves.ReassignablePartition(partition_index=key[1], replicas=replicas)],
                )
            ],
        )
        session = self.session
        response = await session.call(session.any_address(), request, 1, "admin")
        if response is not None:
            refusals = AGAIN | {
                _E.NOT_CONTROLLER,
                _E.INVALID_REPLICA_ASSIGNMENT,
                _E.NO_REASSIGNMENT_IN_PROGRESS,
            }
            expect(response.error_code, refusals, "AlterPartitionReassignments")
            for topic in response.responses:
                for partition in topic.partitions:
                    expect(partition.error_code, refusals, "AlterPartitionReassignments")

    async def elect(self, key: Key) -> None:
        """Have the preferred leader lead."""
        request = elect_leaders.ElectLeadersRequest(
            election_type=0,
            topic_partitions=[elect_leaders.TopicPartitions(topic=key[0], partitions=[key[1]])],
            timeout=2_000,
        )
        session = self.session
        response = await session.call(session.any_address(), request, 2, "admin")
        if response is not None:
            refusals = AGAIN | {_E.NOT_CONTROLLER, _E.ELECTION_NOT_NEEDED, _E.PREFERRED_LEADER_NOT_AVAILABLE}
            expect(response.error_code, refusals, "ElectLeaders")
            for topic in response.replica_election_results:
                for partition in topic.partition_result:
                    expect(partition.error_code, refusals, "ElectLeaders")

    async def configure(self, topic: str, name: str, value: str) -> bool:
        """Set a configuration of a topic; whether that was done."""
        configs = incremental_alter_configs
        request = configs.IncrementalAlterConfigsRequest(
            resources=[
                configs.AlterConfigsResource(
                    resource_type=2,
                    resource_name=topic,
                    configs=[configs.AlterableConfig(name=name, config_operation=0, value=value)],
                )
            ]
        )
        session = self.session
        response = await session.call(session.any_address(), request, 1, "admin")
        if response is None:
            return False
        for answer in response.responses:
            expect(answer.error_code, AGAIN | {_E.NOT_CONTROLLER}, "IncrementalAlterConfigs")
        return not any(answer.error_code for answer in response.responses)

    async def topic_id(self, name: str) -> bytes | None:
        """All zeros: there is none. None: nobody answered."""
        session = self.session
        request = metadata.MetadataRequest(
            topics=[metadata.MetadataRequestTopic(name=name)], allow_auto_topic_creation=False
        )
        response = await session.call(session.any_address(), request, 12, "admin")
        if response is None:
            return None
        code = response.topics[0].error_code
        expect(code, {_E.UNKNOWN_TOPIC_OR_PARTITION, _E.LEADER_NOT_AVAILABLE}, "Metadata")
        return bytes(response.topics[0].topic_id)

    async def group_offsets(self, group: str, keys: list[Key], deadline_ms: float) -> dict[Key, int] | None:
        """The committed offsets, -1 for none."""
        session = self.session
        by_topic: dict[str, list[int]] = {}
        for topic, partition in keys:
            by_topic.setdefault(topic, []).append(partition)
        request = offset_fetch.OffsetFetchRequest(
            groups=[
                offset_fetch.OffsetFetchRequestGroup(
                    group_id=group,
                    topics=[
                        offset_fetch.OffsetFetchRequestTopics(name=name, partition_indexes=partitions)
                        for name, partitions in by_topic.items()
                    ],
                )
            ],
            require_stable=True,
        )
        while session.now_ms < deadline_ms:
            address = await session.coordinator(group, 0)
            if address is not None:
                response = await session.call(address, request, 9, "group")
                if response is not None:
                    answer = response.groups[0]
                    expect(answer.error_code, AGAIN, "OffsetFetch")
                    found = {
                        (topic.name, partition.partition_index): partition
                        for topic in answer.topics
                        for partition in topic.partitions
                    }
                    codes = {partition.error_code for partition in found.values()}
                    for code in codes:
                        expect(code, AGAIN | {_E.UNSTABLE_OFFSET_COMMIT}, "OffsetFetch")
                    if not answer.error_code and codes == {0}:
                        return {key: found[key].committed_offset for key in keys}
            await session.backoff()
        return None
