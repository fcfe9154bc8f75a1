"""Compaction, retention and deleted records beside load, in a simulated cluster (I15).

In: two topics of their own, one compacted, one that is shortened, with segments of a few hundred bytes; sessions of
their clients. Out: what their clients know, and `Violation`. What must hold:

- compacted: on every replica, for every key, the last record that was committed is there, or it was a tombstone whose
  time was over, and then nothing older is; a record counts as what its transaction came to, so no marker went before its
  data; replicas say the same; nobody who reads sees an aborted record, another value at an offset, or a hole at an end;
- shortened: nothing below what DeleteRecords was answered comes back; what is kept has no hole and is the same on all
  replicas; retention takes what it must, and never more.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from pybroker.common.errors import ErrorCode
from pybroker.records.batch import Record, is_control, iter_headers, iter_records
from pybroker.records.control import ControlType, decode_key
from pybroker.wire.messages import delete_records, list_offsets
from tests.sim.cluster_check import batches_of, log_bytes
from tests.sim.cluster_clients import AGAIN, Admin, Consumer, Key, Lost, Producer, Session, Violation, expect

COMPACTED, SHORTENED = "compacted", "shortened"
SEGMENT_BYTES = 512
RETENTION_BYTES = 2_000
RETENTION_MS = 600
# How long a tombstone lives where it shall outlive the run, and where it shall not.
_LONG_MS, _SHORT_MS = 86_400_000, 300
_E = ErrorCode

PROPERTIES = {
    "log.retention.check.interval.ms": "300",
    "log.initial.task.delay.ms": "300",
    "log.cleaner.backoff.ms": "100",
    "log.cleaner.min.cleanable.ratio": "0.1",
}


def key_of(value: int) -> bytes:
    return b"k%d" % (value % 11)


def is_tombstone(value: int) -> bool:
    return value // 11 % 4 == 3


def content_of(value: int) -> bytes | None:
    return None if is_tombstone(value) else b"%d" % value


@dataclass
class Kept:
    """What is known of one partition: offset -> value of what is surely committed, and surely not."""

    sure: dict[int, int] = field(default_factory=dict)
    aborted: dict[int, int] = field(default_factory=dict)
    # Values of which nobody knows.
    maybe: set[int] = field(default_factory=set)
    # Answered by DeleteRecords; asked for.
    deleted_to: int = 0
    asked_to: int = 0


class KeyedProducer(Producer):
    """Few keys, and tombstones."""

    def _records(self, values: list[int], now_ms: int) -> list[Record]:
        return [Record(timestamp=now_ms, key=key_of(value), value=content_of(value)) for value in values]


class Cleaning:
    """The two topics and those who use them."""

    def __init__(self, rng: Any, *, transactional: bool, version: int) -> None:
        self.transactional = transactional
        self.version = version
        self.delete_retention_ms = rng.choice((_SHORT_MS, _LONG_MS))
        self.by_time = rng.random() < 0.5
        self.keys: list[Key] = [(COMPACTED, 0), (COMPACTED, 1), (SHORTENED, 0)]
        self.known: dict[Key, Kept] = {key: Kept() for key in self.keys}
        self.passes = 0
        self._value = 0

    def configs(self, topic: str) -> dict[str, str]:
        found = {"internal.segment.bytes": str(SEGMENT_BYTES), "index.interval.bytes": "64"}
        if topic == COMPACTED:
            return found | {
                "cleanup.policy": "compact",
                "min.cleanable.dirty.ratio": "0.01",
                "delete.retention.ms": str(self.delete_retention_ms),
            }
        if self.by_time:
            return found | {"retention.ms": str(RETENTION_MS)}
        return found | {"retention.bytes": str(RETENTION_BYTES)}

    def _values(self, count: int) -> list[int]:
        self._value += count
        return list(range(self._value - count, self._value))

    # --- who writes ---

    async def write(self, session: Session, topic: str, loading: Callable[[], bool]) -> None:
        """Keys again and again; on the compacted topic perhaps in transactions, some of which are aborted."""
        rng = session.rng
        transactional = self.transactional and topic == COMPACTED
        producer = KeyedProducer(
            session,
            transactional_id="cleaning" if transactional else None,
            transaction_version=2,
            timeout_ms=3_000,
            version=self.version,
        )
        producer.is_shortened = topic == SHORTENED
        acked: dict[int, tuple[Key, int]] = {}

        def on_ack(key: Key, value: int, offset: int, _: float) -> None:
            acked[value] = key, offset

        producer.on_ack = on_ack
        ready = False
        while loading():
            await session.sleep(rng.expovariate(1.0) * 30.0)
            try:
                if not ready:
                    ready = await producer.init(session.now_ms + 3_000.0)
                    continue
                ready = await self._write_some(producer, topic, acked)
            except Lost:
                ready = False
            # What a transaction had that was not committed: whatever comes of it, it is not committed.
            self._note(acked, None)

    async def _write_some(self, producer: Producer, topic: str, acked: dict[int, tuple[Key, int]]) -> bool:
        session = producer.session
        rng = session.rng
        keys = [key for key in self.keys if key[0] == topic]
        wanted = [
            (rng.choice(keys), self._values(rng.choice((1, 2, 4)))) for _ in range(rng.choice((1, 2, 3)))
        ]
        deadline_ms = session.now_ms + 3_000.0
        batches: list[Any] = []
        if producer.transactional_id is None:
            for key, values in wanted:
                self.known[key].maybe.update(values)
            batches = await producer.send(wanted, deadline_ms)
            self._note(acked, True)
            return all(batch.acked for batch in batches)
        batches = await producer.send(wanted, deadline_ms)
        if not all(batch.acked for batch in batches):
            return False
        commit = rng.random() < 0.7

        def sent() -> None:
            if commit:
                for key, values in wanted:
                    self.known[key].maybe.update(values)

        try:
            ended = await producer.end(commit, deadline_ms, sent)
        except Lost:
            # The first answer was a refusal.
            for key, values in wanted:
                self.known[key].maybe.difference_update(values)
            raise
        if ended:
            self._note(acked, commit)
        elif commit:
            acked.clear()
        return ended

    def _note(self, acked: dict[int, tuple[Key, int]], committed: bool | None) -> None:
        for value, (key, offset) in acked.items():
            known = self.known[key]
            if committed is None and value in known.maybe:
                continue
            (known.sure if committed else known.aborted)[offset] = value
            known.maybe.discard(value)
        acked.clear()

    # --- who deletes ---

    async def shrink(self, session: Session, loading: Callable[[], bool]) -> None:
        """Have the internal topics roll small segments, as soon as they are there."""
        admin = Admin(session)
        left = ["__consumer_offsets", "__transaction_state"]
        while left and loading():
            await session.sleep(100.0)
            left = [
                topic for topic in left if not await admin.configure(topic, "internal.segment.bytes", "2048")
            ]

    async def delete(self, session: Session, loading: Callable[[], bool]) -> None:
        """DeleteRecords up to some offset that was acknowledged, or all that there is."""
        key = SHORTENED, 0
        known = self.known[key]
        while loading():
            await session.sleep(session.rng.random() * 900.0)
            if not known.sure or session.rng.random() < 0.4:
                continue
            offset = session.rng.choice(sorted(known.sure)) + 1
            address = (await session.leader_addresses([key])).get(key)
            if address is None:
                continue
            known.asked_to = max(known.asked_to, offset)
            request = delete_records.DeleteRecordsRequest(
                topics=[
                    delete_records.DeleteRecordsTopic(
                        name=SHORTENED,
                        partitions=[delete_records.DeleteRecordsPartition(partition_index=0, offset=offset)],
                    )
                ],
                timeout=1_500,
            )
            response = await session.call(address, request, 2, "admin")
            if response is None:
                session.forget_leader(key)
                continue
            answer = response.topics[0].partitions[0]
            expect(answer.error_code, AGAIN | {_E.OFFSET_OUT_OF_RANGE}, "DeleteRecords")
            if answer.error_code:
                session.forget_leader(key)
                continue
            if answer.low_watermark < offset:
                raise Violation(f"DeleteRecords up to {offset} was answered with {answer.low_watermark}")
            known.deleted_to = max(known.deleted_to, offset)

    # --- who reads ---

    async def read(self, session: Session, fetch_version: int, loading: Callable[[], bool]) -> None:
        """Everything from the beginning, and again."""
        while loading():
            reader = Reader(self, session, fetch_version)
            for _ in range(session.rng.randrange(2, 20)):
                await session.sleep(session.rng.random() * 60.0)
                await reader.poll_once()
                if not loading():
                    return

    async def read_all(self, session: Session, fetch_version: int) -> None:
        """At rest: to the end; for each key the last value is seen, if it is one."""
        reader = Reader(self, session, fetch_version)
        while not reader.at_end():
            await reader.poll_once()
        for key, known in self.known.items():
            seen = reader.seen[key]
            if key[0] != COMPACTED:
                continue
            for offset, value in self._last(known).values():
                later = any(
                    other > offset and found >= 0 and key_of(found) == key_of(value)
                    for other, found in seen.items()
                )
                if not is_tombstone(value) and seen.get(offset) != value and not later:
                    # Deleted by one of which nobody knew.
                    if any(is_tombstone(other) and key_of(other) == key_of(value) for other in known.maybe):
                        continue
                    raise Violation(
                        f"I15: {key} offset {offset}: {value} is the last of its key, and is not read"
                    )

    @staticmethod
    def _last(known: Kept) -> dict[bytes, tuple[int, int]]:
        """Key -> (offset, value) of the last record that surely is committed."""
        found: dict[bytes, tuple[int, int]] = {}
        for offset, value in known.sure.items():
            key = key_of(value)
            if key not in found or offset > found[key][0]:
                found[key] = offset, value
        return found

    def note_read(self, key: Key, offset: int, value: int) -> None:
        """What a committed reader was given: -1 for a tombstone."""
        known = self.known[key]
        if offset in known.aborted:
            raise Violation(f"I6: {key} offset {offset} is read, and was aborted")
        before = known.sure.get(offset)
        if before is not None and (-1 if is_tombstone(before) else before) != value:
            raise Violation(f"I5: {key} offset {offset}: {value} is read, {before} was there before")
        if before is None and value >= 0:
            known.sure[offset] = value
            known.maybe.discard(value)

    # --- at rest ---

    def check(self, processes: list[Any], *, clean_ends: bool, clock_jumps: bool) -> None:
        """Every replica."""
        for key in self.keys:
            replicas = [
                (process, partition)
                for process in processes
                if (partition := process.broker._context.partition(*key)) is not None
            ]
            if key[0] == COMPACTED:
                self._check_compacted(key, replicas)
            else:
                self._check_shortened(key, replicas, clean_ends, clock_jumps)
        self.passes = sum(process.broker._context.logs.cleaner._passes for process in processes)

    def _check_compacted(self, key: Key, replicas: list[tuple[Any, Any]]) -> None:
        known = self.known[key]
        wanted = self._last(known)
        forgets = self.delete_retention_ms == _SHORT_MS
        views: list[tuple[int, dict[bytes, tuple[int, bytes | None]]]] = []
        tails: list[dict[int, Any]] = []
        clean_to = 0
        # A follower hears of the last rise with the next answer of its leader.
        committed = min(partition.high_watermark for _, partition in replicas)
        for process, partition in replicas:
            number = process.node.number
            segments = log_bytes(process.node.disk, partition.log)
            where = f"I15: {key} on node {number}"
            view = self._view(where, known, segments, partition.high_watermark)
            for name, (offset, value) in wanted.items():
                last = view.get(name)
                if last is None or last[0] < offset:
                    # A tombstone of which nobody knew may have deleted it.
                    if forgets and (is_tombstone(value) or self._may_be_gone(known, name)):
                        # A replica that was away for longer keeps what it had, as in Kafka.
                        if last is None or len(replicas) > 1:
                            continue
                    raise Violation(f"{where}: {value} at {offset} is the last of its key, there is {last}")
                if last[0] > offset and not any(
                    key_of(other) == name and content_of(other) == last[1] for other in known.maybe
                ):
                    raise Violation(f"{where}: {last} of {name!r} after {offset}: nobody has written it")
            lasting = {
                name: last
                for name, last in view.items()
                if last[1] is not None and not (forgets and is_tombstone(wanted.get(name, (0, 0))[1]))
            }
            views.append((number, lasting))
            logs = process.broker._context.logs
            directory = logs.directory_of(*key)
            clean_to = max(clean_to, directory.clean_offsets.get(key, 0))
            tails.append(batches_of(segments, committed))
        for number, view in views[1:]:
            if view != views[0][1]:
                raise Violation(f"I15: {key}: nodes {views[0][0]} and {number} have {views[0][1]} and {view}")
        rest = [{base: batch for base, batch in tail.items() if base >= clean_to} for tail in tails]
        if any(other != rest[0] for other in rest[1:]):
            raise Violation(f"I3: {key}: the replicas differ above {clean_to}, where nothing was cleaned")

    @staticmethod
    def _may_be_gone(known: Kept, name: bytes) -> bool:
        return any(is_tombstone(value) and key_of(value) == name for value in known.maybe)

    @staticmethod
    def _view(
        where: str, known: Kept, segments: list[bytes], high_watermark: int
    ) -> dict[bytes, tuple[int, bytes | None]]:
        """Key -> (offset, value) of the last committed record."""
        waiting: dict[int, list[Record]] = {}
        committed: list[Record] = []

        def take(records: list[Record], is_committed: bool) -> None:
            for record in records:
                if is_committed and record.offset in known.aborted:
                    raise Violation(f"{where} offset {record.offset}: aborted, and counts as committed")
                value = known.sure.get(record.offset)
                if value is None:
                    continue
                if not is_committed:
                    raise Violation(f"{where} offset {record.offset}: committed, and counts as aborted")
                if (record.key, record.value) != (key_of(value), content_of(value)):
                    raise Violation(f"{where} offset {record.offset}: {record}, not {value}")
            if is_committed:
                committed.extend(records)

        last_offset = -1
        for segment in segments:
            for start, header in iter_headers(segment):
                if header.base_offset >= high_watermark:
                    break
                if header.base_offset <= last_offset:
                    raise Violation(f"{where}: offset {header.base_offset} comes after {last_offset}")
                last_offset = header.last_offset
                records = list(iter_records(segment[start : start + header.size]))
                if is_control(header.attributes):
                    if records:
                        is_commit = decode_key(records[0].key or b"")[1] == ControlType.COMMIT
                        take(waiting.pop(header.producer_id, []), is_commit)
                elif header.is_transactional:
                    waiting.setdefault(header.producer_id, []).extend(records)
                else:
                    take(records, True)
        if any(waiting.values()):
            raise Violation(f"{where}: {waiting} have no marker")
        view: dict[bytes, tuple[int, bytes | None]] = {}
        for record in committed:
            name = record.key or b""
            if name not in view or record.offset > view[name][0]:
                view[name] = record.offset, record.value
        return view

    def _check_shortened(
        self, key: Key, replicas: list[tuple[Any, Any]], clean_ends: bool, clock_jumps: bool
    ) -> None:
        known = self.known[key]
        all_batches: dict[int, Any] = {}
        for process, partition in replicas:
            where = f"I15: {key} on node {process.node.number}"
            log = partition.log
            start, end = log.log_start_offset, partition.high_watermark
            if clean_ends and start < known.deleted_to:
                raise Violation(f"{where} begins at {start}, deleted was up to {known.deleted_to}")
            batches = batches_of(log_bytes(process.node.disk, partition.log), end)
            next_offset = None
            size = 0
            for base, (_, data) in sorted(batches.items()):
                if next_offset is not None and base != next_offset:
                    raise Violation(f"{where}: there is nothing from {next_offset} to {base}")
                if all_batches.setdefault(base, data) != data:
                    raise Violation(f"I3: {key}: the replicas differ at {base}")
                records = list(iter_records(data))
                for record in records:
                    value = known.sure.get(record.offset)
                    if value is not None and record.value != content_of(value):
                        raise Violation(f"{where} offset {record.offset}: {record.value!r}, not {value}")
                next_offset = records[-1].offset + 1
                size += len(data)
            if start < end and (not batches or min(batches) > start or next_offset != end):
                raise Violation(f"{where} begins at {start} and ends at {end}, it has {sorted(batches)}")
            if self.by_time:
                if not clock_jumps and start != end:
                    raise Violation(f"{where}: {start} to {end} are older than {RETENTION_MS} ms")
                continue
            kept = sum(len(data) for base, (_, data) in batches.items() if base >= start)
            if start > known.asked_to and kept < RETENTION_BYTES - 2 * SEGMENT_BYTES:
                raise Violation(f"{where}: {kept} bytes are left from {start} on, of {RETENTION_BYTES}")
            if log.size - RETENTION_BYTES >= log.segments[0].size:
                raise Violation(f"{where}: {log.size} bytes are there, of {RETENTION_BYTES}")


class Reader(Consumer):
    """Reads the committed records of both topics; where the log begins later, from there."""

    def __init__(self, cleaning: Cleaning, session: Session, version: int) -> None:
        super().__init__(session, committed=True, version=version)
        self.cleaning = cleaning
        self.seen: dict[Key, dict[int, int]] = {key: {} for key in cleaning.keys}
        self.may_truncate = True
        self.assign(dict.fromkeys(cleaning.keys, 0))

    async def poll_once(self) -> None:
        before = self.resets
        for key, values in (await self.poll(30)).items():
            for offset, value in values:
                self.cleaning.note_read(key, offset, value)
                self.seen[key][offset] = value
        if self.resets != before:
            await self._find_start((SHORTENED, 0))

    def at_end(self) -> bool:
        return all(
            self.high_watermarks.get(key, -1) == self.last_stable.get(key) == position
            for key, position in self.positions.items()
        )

    async def _find_start(self, key: Key) -> None:
        for where, position in self.positions.items():
            if where[0] == COMPACTED and position == 0 and self.seen[where]:
                raise Violation(f"{self.session.name}: {where} has nothing where it was read before")
        address = (await self.session.leader_addresses([key])).get(key)
        if address is None:
            return
        request = list_offsets.ListOffsetsRequest(
            replica_id=-1,
            isolation_level=1,
            topics=[
                list_offsets.ListOffsetsTopic(
                    name=key[0],
                    partitions=[
                        list_offsets.ListOffsetsPartition(
                            partition_index=key[1],
                            current_leader_epoch=self.session.leaders[key][1],
                            timestamp=-2,
                        )
                    ],
                )
            ],
        )
        response = await self.session.call(address, request, 7, "control")
        if response is None or response.topics[0].partitions[0].error_code:
            self.session.forget_leader(key)
            return
        self.positions[key] = response.topics[0].partitions[0].offset
