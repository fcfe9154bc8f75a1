"""A shard of groups without a log: operations run at once, their records go through bytes into the shard."""

from __future__ import annotations

import random

from pybroker.common.clock import ManualClock
from pybroker.common.config import BrokerConfig
from pybroker.common.deferred import Deferred
from pybroker.common.errors import ApiError
from pybroker.groups.classic.coordinator import JoinContext
from pybroker.groups.consumer.coordinator import Caller, validate_heartbeat
from pybroker.groups.shard import GroupShard
from pybroker.metadata.delta import MetadataDelta, TopicChange
from pybroker.metadata.image import GROUP_RESOURCE, PartitionImage, TopicImage, empty_image
from pybroker.metadata.shared_map import REMOVED
from pybroker.wire import codec
from pybroker.wire.messages.consumer_group_heartbeat import (
    ConsumerGroupHeartbeatRequest,
    RequestTopicPartitions,
)
from pybroker.wire.messages.heartbeat import HeartbeatRequest
from pybroker.wire.messages.join_group import JoinGroupRequest, JoinGroupRequestProtocol
from pybroker.wire.messages.leave_group import LeaveGroupRequest, MemberIdentity
from pybroker.wire.messages.sync_group import SyncGroupRequest, SyncGroupRequestAssignment
from pybroker.wire.schemas.consumer_protocol import (
    AssignmentTopicPartition,
    ConsumerProtocolAssignment,
    ConsumerProtocolSubscription,
    SubscriptionTopicPartition,
)
from pybroker.wire.schemas.coordinator_records import decode_key, decode_value, record_type

GROUP = "g"
CLIENT = ("client", "/127.0.0.1")


class FakeTimers:
    """Named timers that fire when the clock is moved past them, as writes."""

    def __init__(self, world):
        self.world = world
        self.due = {}

    def schedule(self, key, delay_ms, operation):
        self.due[key] = (self.world.clock.monotonic_ms() + delay_ms, operation)

    def schedule_if_absent(self, key, delay_ms, operation):
        if key not in self.due:
            self.schedule(key, delay_ms, operation)

    def cancel(self, key):
        self.due.pop(key, None)

    def is_scheduled(self, key):
        return key in self.due


class World:
    """One shard, its log as a list, topics and time."""

    def __init__(self, **properties):
        self.config = BrokerConfig.from_properties(
            {name.replace("_", "."): str(value) for name, value in properties.items()}
        )
        self.clock = ManualClock()
        self.image = empty_image("cluster")._replace(offset=1)
        self.log = []
        self.fail = None
        self.start()

    def start(self):
        self.timers = FakeTimers(self)
        self.shard = GroupShard(self.config, lambda: self.image, self.timers, random.Random(1))

    def reload(self, log=None):
        """A new coordinator that has only the log."""
        self.shard.become_inactive()
        self.start()
        for key, value in self.log if log is None else log:
            self.replay(key, value)
        self.shard.become_active(self.clock.wall_ms())

    def replay(self, key, value):
        self.shard.replay(key, value, offset=0, timestamp=0, producer_id=-1, producer_epoch=-1)

    def write(self, operation):
        """The response of an operation; a Deferred as it is while nobody has resolved it; raises ApiError."""
        result = operation(self.shard, self.clock.wall_ms())
        error = self.fail
        if result.records:
            if error is not None:
                if result.on_append is not None:
                    result.on_append(error)
                raise error
            self.log += result.records
            if result.replay:
                for key, value in result.records:
                    self.replay(key, value)
        if result.on_append is not None:
            result.on_append(None)
        response = result.response
        return response.value if isinstance(response, Deferred) and response.done else response

    def advance(self, milliseconds):
        """Let time pass; timers fire in their order."""
        end = self.clock.monotonic_ms() + milliseconds
        while True:
            due = [(at, key) for key, (at, _) in self.timers.due.items() if at <= end]
            if not due:
                break
            at, key = min(due)
            self.clock.advance(max(0, int(at - self.clock.monotonic_ms())))
            operation = self.timers.due.pop(key)[1]
            try:
                self.write(operation)
            except ApiError:
                self.timers.schedule(key, 500, operation)
        self.clock.advance(int(end - self.clock.monotonic_ms()))

    # --- topics ---

    def topic_id(self, name):
        return self.image.topics[name].topic_id

    def set_topic(self, name, partitions, *, topic_id=None):
        """Create a topic, or give it more partitions."""
        old = self.image.topics.get(name)
        if topic_id is None:
            topic_id = old.topic_id if old else (name.encode() * 16)[:16]
        one = PartitionImage((1,), (1,), 1, 0, 0)
        new = TopicImage(name, topic_id, (one,) * partitions)
        self._change(name, new)
        if old is None:
            self._publish(MetadataDelta(created_topics=(new,)))
        elif old.topic_id == topic_id:
            self._publish(MetadataDelta(changed_topics=(TopicChange(old, new),)))
        else:
            self._publish(MetadataDelta(deleted_topics=(old,), created_topics=(new,)))

    def delete_topic(self, name):
        old = self.image.topics[name]
        self._change(name, None)
        self._publish(MetadataDelta(deleted_topics=(old,)))

    def _change(self, name, new):
        old = self.image.topics.get(name)
        by_id = {} if old is None else {old.topic_id: REMOVED}
        if new is not None:
            by_id[new.topic_id] = new
        self.image = self.image._replace(
            offset=self.image.offset + 1,
            topics=self.image.topics.changed({name: REMOVED if new is None else new}),
            topics_by_id=self.image.topics_by_id.changed(by_id),
        )

    def _publish(self, delta):
        self.shard.on_metadata(self.image, delta, self.clock.wall_ms())

    def set_group_config(self, **configs):
        values = {name.replace("_", "."): str(value) for name, value in configs.items()}
        self.image = self.image._replace(
            configs=self.image.configs.changed({(GROUP_RESOURCE, GROUP): values})
        )

    # --- requests ---

    def beat(self, member_id, epoch, *, owned=None, version=1, **fields):
        """ConsumerGroupHeartbeat. `owned`: topic name to partitions."""
        request = ConsumerGroupHeartbeatRequest(
            group_id=fields.pop("group_id", GROUP),
            member_id=member_id,
            member_epoch=epoch,
            instance_id=fields.pop("instance_id", None),
            rack_id=fields.pop("rack_id", None),
            rebalance_timeout=fields.pop("rebalance_timeout", -1),
            subscribed_topic_names=fields.pop("topics", None),
            subscribed_topic_regex=fields.pop("regex", None),
            server_assignor=fields.pop("assignor", None),
            topic_partitions=None
            if owned is None
            else [
                RequestTopicPartitions(topic_id=self.topic_id(name), partitions=list(partitions))
                for name, partitions in owned.items()
            ],
        )
        assert not fields
        validate_heartbeat(request, version, self.config["group.consumer.assignors"])
        caller = Caller(version, *CLIENT)
        return self.write(lambda shard, now: shard.consumer.heartbeat(request, caller, now))

    def join(self, member_id, topics=None, **fields):
        fields.setdefault("rebalance_timeout", 60_000)
        return self.beat(member_id, 0, topics=topics, owned={}, **fields)

    def classic_join(self, member_id="", topics=(), *, owned=None, version=9, names=("range",), **fields):
        subscription = ConsumerProtocolSubscription(
            topics=list(topics),
            owned_partitions=[
                SubscriptionTopicPartition(topic=name, partitions=list(partitions))
                for name, partitions in (owned or {}).items()
            ],
        )
        metadata = fields.pop("metadata", b"\0\1" + codec.encode(subscription, 1))
        request = JoinGroupRequest(
            group_id=GROUP,
            session_timeout=fields.pop("session_timeout", 10_000),
            rebalance_timeout=fields.pop("rebalance_timeout", 60_000),
            member_id=member_id,
            group_instance_id=fields.pop("instance_id", None),
            protocol_type="consumer",
            protocols=[JoinGroupRequestProtocol(name=name, metadata=metadata) for name in names],
        )
        assert not fields
        context = JoinContext(version, *CLIENT)
        return self.write(lambda shard, now: shard.join(request, context, now))

    def classic_sync(self, member_id, generation, assignments=None, **fields):
        request = SyncGroupRequest(
            group_id=GROUP,
            generation_id=generation,
            member_id=member_id,
            assignments=[
                SyncGroupRequestAssignment(member_id=name, assignment=write_assignment(assignment))
                for name, assignment in (assignments or {}).items()
            ],
            **fields,
        )
        return self.write(lambda shard, now: shard.sync(request, now))

    def classic_beat(self, member_id, generation):
        request = HeartbeatRequest(group_id=GROUP, member_id=member_id, generation_id=generation)
        return self.shard.heartbeat(request).error_code

    def classic_leave(self, *members):
        request = LeaveGroupRequest(
            group_id=GROUP,
            members=[
                MemberIdentity(member_id=member_id, group_instance_id=instance_id)
                for member_id, instance_id in members
            ],
        )
        response = self.write(lambda shard, now: shard.leave(request, now))
        return [member.error_code for member in response.members]

    def describe(self, group_id=GROUP):
        return self.shard.consumer.describe(group_id)

    @property
    def group(self):
        return self.shard.groups.get(GROUP)

    def tail(self, start):
        """The records from `start` on, as (type, key, value) with decoded values."""
        found = []
        for key, value in self.log[start:]:
            number = record_type(key)
            found.append((number, decode_key(key), None if value is None else decode_value(number, value)))
        return found

    def types(self, start):
        """Record types from `start` on; negative for tombstones."""
        return [number if value is not None else -number for number, _, value in self.tail(start)]


def partitions(world, response):
    """The assignment of a heartbeat's answer: topic name to partitions; None when there is none."""
    if response.assignment is None:
        return None
    names = {topic.topic_id: topic.name for topic in world.image.topics.values()}
    return {
        names.get(entry.topic_id, entry.topic_id): entry.partitions
        for entry in response.assignment.topic_partitions
    }


def write_assignment(assignment):
    message = ConsumerProtocolAssignment(
        assigned_partitions=[
            AssignmentTopicPartition(topic=name, partitions=list(indexes))
            for name, indexes in assignment.items()
        ]
    )
    return b"\0\1" + codec.encode(message, 1)


def read_assignment(data):
    message = codec.decode(ConsumerProtocolAssignment, int.from_bytes(data[:2], "big"), data, 2)[0]
    return {entry.topic: entry.partitions for entry in message.assigned_partitions}
