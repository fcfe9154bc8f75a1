"""One group shard in a host over a partition in memory: requests in, answers out, time by hand.

`World` runs what handlers do (`pybroker.handlers`), without a broker. `tests/transcripts` gives it a text form.
"""

from __future__ import annotations

import random
from types import SimpleNamespace

from pybroker.common.clock import ManualClock
from pybroker.common.config import BrokerConfig
from pybroker.common.errors import ApiError
from pybroker.common.memory_files import MemoryFileSystem
from pybroker.common.timers import TimerQueue
from pybroker.coordinator.host import CoordinatorHost, HostEnvironment, HostSettings
from pybroker.groups.classic.coordinator import JoinContext
from pybroker.groups.shard import GroupShard
from pybroker.log import LogConfig
from pybroker.metadata.image import empty_image
from pybroker.records.batch import iter_headers, iter_records
from pybroker.records.control import build_end_transaction
from pybroker.replication.partition import Partition
from pybroker.wire.messages.heartbeat import HeartbeatRequest
from pybroker.wire.messages.join_group import JoinGroupRequest, JoinGroupRequestProtocol
from pybroker.wire.messages.leave_group import LeaveGroupRequest, MemberIdentity
from pybroker.wire.messages.offset_commit import (
    OffsetCommitRequest,
    OffsetCommitRequestPartition,
    OffsetCommitRequestTopic,
)
from pybroker.wire.messages.offset_fetch import OffsetFetchRequestGroup, OffsetFetchRequestTopics
from pybroker.wire.messages.sync_group import SyncGroupRequest, SyncGroupRequestAssignment
from pybroker.wire.messages.txn_offset_commit import (
    TxnOffsetCommitRequest,
    TxnOffsetCommitRequestPartition,
    TxnOffsetCommitRequestTopic,
)
from pybroker.wire.schemas.coordinator_records import decode_key, decode_value, record_type
from tests.unit.log.log_helpers import NOW, TOPIC_ID, make_manager, run_rounds

TOPIC = "__consumer_offsets"
GROUP = "g"


def subscription(*topics):
    """Metadata of a member of the consumer protocol."""
    out = (0).to_bytes(2, "big") + len(topics).to_bytes(4, "big")
    for topic in topics:
        out += len(topic).to_bytes(2, "big") + topic.encode()
    return out + (-1).to_bytes(4, "big", signed=True)


class World:
    def __init__(self, durability="os", **properties):
        self.files = MemoryFileSystem()
        self.clock = ManualClock(NOW)
        self.durability = durability
        self.config = BrokerConfig.from_properties(
            {name.replace("_", "."): str(value) for name, value in {"node_id": 1, **properties}.items()}
        )
        self.rng = random.Random(7)
        self.epoch = 0
        self.reports = []
        self.start(make_manager(self.files, clock=self.clock))

    def start(self, manager):
        self.manager = manager
        manager.open(1)
        manager.load(lambda *_: LogConfig())
        self.timers = TimerQueue()
        log = manager.get_or_create(TOPIC, 0, TOPIC_ID, LogConfig())
        self.partition = Partition(TOPIC, 0, TOPIC_ID, log, self.durability)
        self.partition.become_leader(self.epoch)
        topics = {TOPIC: SimpleNamespace(partitions=[SimpleNamespace(leader=1)])}
        self.host = CoordinatorHost(
            HostSettings(TOPIC),
            HostEnvironment(
                clock=self.clock,
                timers=self.timers,
                image=lambda: SimpleNamespace(topics=topics),
                partition=lambda topic, index: self.partition,
                create_topic=lambda topic: None,
                run_blocking=lambda queue, function, done: (function(), done(None)),
                report=self.reports.append,
            ),
            lambda index, timers: GroupShard(self.config, lambda: empty_image("c"), timers, self.rng),
        )
        self.host.elect(0)
        while self.host.loading:
            if durability_waits(self):
                run_rounds(self.manager)
            self.step()

    def crash(self):
        """kill -9 and start again."""
        self.manager.close(clean=False)
        self.epoch += 1
        self.start(make_manager(self.files, clock=self.clock))

    @property
    def shard(self):
        ((_, shard),) = self.host.active_shards
        return shard

    @property
    def group(self):
        return self.shard.groups[GROUP]

    def step(self):
        """Let what is due happen, and what that makes due at once."""
        self.timers.advance(self.clock.monotonic_ms())

    def advance(self, milliseconds):
        """Let time pass; every timer fires at its own time."""
        end = self.clock.monotonic_ms() + milliseconds
        while (due := self.timers.next_deadline_ms()) is not None and due <= end:
            self.clock.advance(max(int(due - self.clock.monotonic_ms()), 0))
            self.step()
        self.clock.advance(int(end - self.clock.monotonic_ms()))

    # Requests

    def write(self, operation, **options):
        return self.host.write(0, operation, **options)

    def join(self, member="", *, group=GROUP, version=9, **options):
        request = join_request(group, member, **options)
        context = JoinContext(version, options.get("client", "client"), "/127.0.0.1")
        return self.write(lambda shard, now: shard.join(request, context, now))

    def sync(self, member, generation, assignments=None, *, group=GROUP, instance=None, **options):
        request = SyncGroupRequest(
            group_id=group,
            generation_id=generation,
            member_id=member,
            group_instance_id=instance,
            assignments=[
                SyncGroupRequestAssignment(member_id=to, assignment=content)
                for to, content in (assignments or {}).items()
            ],
            **options,
        )
        return self.write(lambda shard, now: shard.sync(request, now))

    def heartbeat(self, member, generation, *, group=GROUP, instance=None):
        request = HeartbeatRequest(
            group_id=group, generation_id=generation, member_id=member, group_instance_id=instance
        )
        return code(self.host.read(0, lambda shard, now: shard.heartbeat(request)))

    def leave(self, *members, group=GROUP, instance=None):
        request = LeaveGroupRequest(
            group_id=group,
            members=[MemberIdentity(member_id=member, group_instance_id=instance) for member in members],
        )
        answer = self.write(lambda shard, now: shard.leave(request, now)).value
        if isinstance(answer, ApiError):
            return [answer.code]
        return [member.error_code for member in answer.members]

    def commit(
        self, offset, *, group=GROUP, topic="t", partition=0, member="", generation=-1, instance=None, **more
    ):
        request = OffsetCommitRequest(
            group_id=group,
            member_id=member,
            generation_id_or_member_epoch=generation,
            group_instance_id=instance,
            retention_time=more.pop("retention", -1),
            topics=[
                OffsetCommitRequestTopic(
                    name=topic,
                    partitions=[
                        OffsetCommitRequestPartition(
                            partition_index=partition, committed_offset=offset, committed_metadata="m"
                        )
                    ],
                    **more,
                )
            ],
        )
        written = self.write(lambda shard, now: shard.commit_offsets(request, 9, now))
        if not written.done:
            return written
        if isinstance(written.value, ApiError):
            return written.value.code
        return written.value.topics[0].partitions[0].error_code

    def commit_in_transaction(
        self, offset, *, producer=5, epoch=0, group=GROUP, topic="t", partition=0, **member
    ):
        request = TxnOffsetCommitRequest(
            group_id=group,
            producer_id=producer,
            producer_epoch=epoch,
            topics=[
                TxnOffsetCommitRequestTopic(
                    name=topic,
                    partitions=[
                        TxnOffsetCommitRequestPartition(partition_index=partition, committed_offset=offset)
                    ],
                )
            ],
            **member,
        )
        return code(
            self.write(
                lambda shard, now: shard.commit_transactional_offsets(request, 5, now),
                producer_id=producer,
                producer_epoch=epoch,
                verification=self.partition.start_verification(producer, epoch, 0, strict=False),
            )
        )

    def end_transaction(self, commit, *, producer=5, epoch=0):
        marker = build_end_transaction(producer, epoch, commit=commit, timestamp=self.clock.wall_ms())
        self.partition.log.append_records(marker, assign_offsets=True, leader_epoch=self.epoch)
        self.partition.log.high_watermark = self.partition.log_end_offset
        self.host.end_transaction(0, producer, epoch, commit)

    def fetch(self, *partitions, group=GROUP, topic="t", stable=False):
        """partition -> offset, or the error where there is one; of all topics without partitions."""
        request = OffsetFetchRequestGroup(
            group_id=group,
            topics=[OffsetFetchRequestTopics(name=topic, partition_indexes=list(partitions))]
            if partitions
            else None,
        )
        answer = self.host.read(0, lambda shard, now: shard.fetch_offsets(request, stable)).value
        found = {}
        for entry in answer.topics:
            for partition in entry.partitions:
                value = partition.error_code if partition.error_code else partition.committed_offset
                key = partition.partition_index if partitions else (entry.name, partition.partition_index)
                found[key] = value
        return found

    # The log

    def records(self, start=0):
        """(type, key, value or None) of the records from an offset on."""
        found = []
        data = (
            self.partition.log.read(start, 1 << 24).records if self.partition.log_end_offset > start else b""
        )
        for position, header in iter_headers(data):
            if header.is_control:
                continue
            for record in iter_records(data[position : position + header.size]):
                number = record_type(record.key)
                value = None if record.value is None else decode_value(number, record.value)
                found.append((number, decode_key(record.key), value))
        return found


def durability_waits(world):
    return world.durability == "fsync"


def join_request(group, member="", **options):
    offered = options.get("protocols", {"range": b"m"})
    return JoinGroupRequest(
        group_id=group,
        session_timeout=options.get("session", 10_000),
        rebalance_timeout=options.get("rebalance", 60_000),
        member_id=member,
        group_instance_id=options.get("instance"),
        protocol_type=options.get("kind", "consumer"),
        protocols=[
            JoinGroupRequestProtocol(name=name, metadata=memoryview(metadata))
            for name, metadata in offered.items()
        ],
    )


def code(deferred):
    """The error code of an answer."""
    value = deferred.value
    if isinstance(value, ApiError):
        return value.code
    return getattr(value, "error_code", 0)
