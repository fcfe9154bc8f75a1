"""Decisions about topics: create, add partitions, delete.

In: the latest image and a wire request. Out: a `Decision`. What must hold: every entry of a request gets its
own answer with Kafka's code and message, and a bad entry never spoils a good one; all changes of one request
are one batch of records.

Sources: KIP-4, KIP-195, KIP-516, KIP-525; the answers were compared with those of Apache Kafka 4.3.0.
"""

from __future__ import annotations

import base64
import random
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from pybroker.common.config import BrokerConfig
from pybroker.common.config.describe import describe_created_topic
from pybroker.common.config.validation import validate_topic_configs
from pybroker.common.errors import ApiError, ErrorCode
from pybroker.controller.broker_settings import BrokerSettings, TopicSettings
from pybroker.controller.decision import Decision
from pybroker.controller.placement import check_assignment, new_partition, place
from pybroker.controller.topic_names import CLUSTER_METADATA, CollisionIndex, topic_name_problem
from pybroker.metadata.delta import MetadataDelta
from pybroker.metadata.image import BrokerImage, MetadataImage, PartitionImage, TopicImage
from pybroker.metadata.records import partition_record, topic_records
from pybroker.wire.message import Message
from pybroker.wire.messages.create_partitions import (
    CreatePartitionsRequest,
    CreatePartitionsResponse,
    CreatePartitionsTopic,
    CreatePartitionsTopicResult,
)
from pybroker.wire.messages.create_topics import (
    CreatableTopic,
    CreatableTopicConfig,
    CreatableTopicConfigs,
    CreatableTopicResult,
    CreateTopicsRequest,
    CreateTopicsResponse,
)
from pybroker.wire.messages.delete_topics import (
    DeletableTopicResult,
    DeleteTopicsRequest,
    DeleteTopicsResponse,
    DeleteTopicState,
)
from pybroker.wire.schemas.metadata_records import RemoveTopicRecord

MAX_PARTITIONS_PER_REQUEST: Final = 10_000
MAX_RECORDS_PER_REQUEST: Final = 10_000
_TOO_MANY_PARTITIONS: Final = "Excessively large number of partitions per request."
TOO_MANY_RECORDS: Final = "Unable to perform excessively large batch operation."
_ZERO_ID: Final = bytes(16)
# Ids with a meaning: none, and that of the metadata topic.
_RESERVED_IDS: Final = frozenset({_ZERO_ID, bytes(15) + b"\x01"})


def random_id(rng: random.Random) -> bytes:
    """A version 4 uuid that is not reserved and whose base64 form does not look like an option ("-...")."""
    while True:
        raw = bytearray(rng.randbytes(16))
        raw[6] = raw[6] & 0x0F | 0x40
        raw[8] = raw[8] & 0x3F | 0x80
        candidate = bytes(raw)
        if candidate not in _RESERVED_IDS and not base64.urlsafe_b64encode(candidate).startswith(b"-"):
            return candidate


def as_creatable(name: str, settings: TopicSettings) -> CreatableTopic:
    """The entry of a CreateTopics request for a topic with `settings`."""
    return CreatableTopic(
        name=name,
        num_partitions=settings.partitions,
        replication_factor=settings.replication_factor,
        configs=[CreatableTopicConfig(name=key, value=value) for key, value in settings.configs],
    )


class TopicControl:
    """Decides about topics. `rng` gives their ids."""

    __slots__ = ("_collisions", "_only_brokers", "_only_partition", "_rng", "_settings")

    _only_partition: PartitionImage

    def __init__(self, settings: BrokerSettings, rng: random.Random) -> None:
        self._settings = settings
        self._rng = rng
        self._collisions = CollisionIndex()
        # How a partition begins while there is one broker: what was computed for this mapping of brokers.
        self._only_brokers: Mapping[int, BrokerImage] | None = None

    def load(self, image: MetadataImage) -> None:
        """Take over the topics of an image."""
        for name in image.topics:
            self._collisions.add(name)

    def applied(self, delta: MetadataDelta) -> None:
        """Records were replayed into the latest image."""
        for topic in delta.deleted_topics:
            self._collisions.discard(topic.name)
        for topic in delta.created_topics:
            self._collisions.add(topic.name)

    # CreateTopics

    def create(
        self, image: MetadataImage, request: CreateTopicsRequest, version: int
    ) -> Decision[CreateTopicsResponse]:
        entries: dict[str, CreatableTopic] = {}
        duplicates: dict[str, None] = {}
        for topic in request.topics:
            if topic.name in entries:
                duplicates[topic.name] = None
            entries[topic.name] = topic
        for name in duplicates:
            del entries[name]
        reserved = entries.pop(CLUSTER_METADATA, None)
        records: list[Message] = []
        results: list[CreatableTopicResult] = []
        if entries:
            if request.timeout <= 0:
                return refuse_create(request, ErrorCode.REQUEST_TIMED_OUT)
            if self._partition_count(entries.values()) > MAX_PARTITIONS_PER_REQUEST:
                return refuse_create(request, ErrorCode.POLICY_VIOLATION, _TOO_MANY_PARTITIONS)
            describe = self._describer(image) if version >= 5 else None
            for name, topic in entries.items():
                try:
                    created, configs = self._new_topic(image, topic)
                except ApiError as error:
                    results.append(_failed(name, error.code, error.message))
                    continue
                records.extend(topic_records(created, configs))
                if len(records) > MAX_RECORDS_PER_REQUEST:
                    return refuse_create(request, ErrorCode.POLICY_VIOLATION, TOO_MANY_RECORDS)
                results.append(
                    CreatableTopicResult(
                        name=name,
                        topic_id=created.topic_id,
                        num_partitions=len(created.partitions),
                        replication_factor=len(created.partitions[0].replicas),
                        configs=describe(configs) if describe else [],
                        error_message=None,
                    )
                )
        results += [_failed(name, ErrorCode.INVALID_REQUEST, "Duplicate topic name.") for name in duplicates]
        if reserved is not None:
            message = f"Creation of internal topic {CLUSTER_METADATA} is prohibited."
            results.append(_failed(CLUSTER_METADATA, ErrorCode.INVALID_REQUEST, message))
        return Decision([] if request.validate_only else records, CreateTopicsResponse(topics=results))

    def _partition_count(self, topics: Iterable[CreatableTopic]) -> int:
        total = 0
        for topic in topics:
            if topic.assignments:
                total += len(topic.assignments)
            elif topic.num_partitions == -1:
                total += self._settings.topic_defaults().partitions
            elif topic.num_partitions > 0:
                total += topic.num_partitions
        return total

    def _describer(self, image: MetadataImage) -> Callable[[dict[str, str]], list[CreatableTopicConfigs]]:
        """All configs of a new topic. Topics with equal overrides share one list: there may be thousands."""
        config = self._settings.of(image)
        known: dict[tuple[tuple[str, str], ...], list[CreatableTopicConfigs]] = {}

        def describe(configs: dict[str, str]) -> list[CreatableTopicConfigs]:
            key = tuple(configs.items())
            found = known.get(key)
            if found is None:
                found = known[key] = [
                    CreatableTopicConfigs(
                        name=entry.name,
                        value=entry.value,
                        read_only=entry.read_only,
                        config_source=entry.source,
                        is_sensitive=entry.sensitive,
                    )
                    for entry in describe_created_topic(config, configs)
                ]
            return found

        return describe

    def _new_topic(self, image: MetadataImage, topic: CreatableTopic) -> tuple[TopicImage, dict[str, str]]:
        name = topic.name
        problem = topic_name_problem(name)
        if problem is not None:
            raise ApiError(ErrorCode.INVALID_TOPIC_EXCEPTION, problem)
        other = self._collisions.colliding(name)
        if other is not None:
            raise ApiError(
                ErrorCode.INVALID_TOPIC_EXCEPTION, f"Topic '{name}' collides with existing topic: {other}"
            )
        if name in image.topics:
            raise ApiError(ErrorCode.TOPIC_ALREADY_EXISTS, f"Topic '{name}' already exists.")
        configs: dict[str, str] = {}
        if topic.configs:
            configs = _checked_configs(topic.configs, self._settings.of(image))
        partitions = self._new_partitions(image, topic)
        return TopicImage(name, self._new_id(image), partitions), configs

    def _new_partitions(self, image: MetadataImage, topic: CreatableTopic) -> tuple[PartitionImage, ...]:
        brokers = image.brokers
        if topic.assignments:
            if topic.replication_factor != -1:
                raise ApiError(
                    ErrorCode.INVALID_REQUEST,
                    "A manual partition assignment was specified, but replication factor was not set to -1.",
                )
            if topic.num_partitions != -1:
                raise ApiError(
                    ErrorCode.INVALID_REQUEST,
                    "A manual partition assignment was specified, but numPartitions was not set to -1.",
                )
            return self._assigned_partitions(image, topic)
        if topic.replication_factor < -1 or topic.replication_factor == 0:
            raise ApiError(
                ErrorCode.INVALID_REPLICATION_FACTOR,
                "Replication factor must be larger than 0, or -1 to use the default value.",
            )
        if topic.num_partitions < -1 or topic.num_partitions == 0:
            raise ApiError(
                ErrorCode.INVALID_PARTITIONS,
                "Number of partitions was set to an invalid non-positive value.",
            )
        defaults = self._settings.topic_defaults()
        count = defaults.partitions if topic.num_partitions == -1 else topic.num_partitions
        factor = defaults.replication_factor if topic.replication_factor == -1 else topic.replication_factor
        try:
            if len(brokers) == 1 and factor == 1:
                # All partitions begin alike: they share the object, also over requests.
                if self._only_brokers is not brokers:
                    self._only_partition = new_partition(0, place(brokers, 1, 1, self._rng)[0], brokers)
                    self._only_brokers = brokers
                return (self._only_partition,) * count
            lists = place(brokers, count, factor, self._rng)
        except ApiError as error:
            raise ApiError(
                error.code, f"Unable to replicate the partition {factor} time(s): {error.message}"
            ) from error
        return tuple(new_partition(index, replicas, brokers) for index, replicas in enumerate(lists))

    @staticmethod
    def _assigned_partitions(image: MetadataImage, topic: CreatableTopic) -> tuple[PartitionImage, ...]:
        code = ErrorCode.INVALID_REPLICA_ASSIGNMENT
        found: dict[int, PartitionImage] = {}
        factor: int | None = None
        for assignment in topic.assignments:
            index = assignment.partition_index
            if index in found:
                raise ApiError(code, f"Found multiple manual partition assignments for partition {index}")
            check_assignment(assignment.broker_ids, image.brokers, factor)
            factor = len(assignment.broker_ids)
            found[index] = new_partition(index, assignment.broker_ids, image.brokers)
        if any(index not in found for index in range(len(found))):
            raise ApiError(code, "partitions should be a consecutive 0-based integer sequence")
        return tuple(found[index] for index in range(len(found)))

    def _new_id(self, image: MetadataImage) -> bytes:
        while True:
            candidate = random_id(self._rng)
            if candidate not in image.topics_by_id:
                return candidate

    # CreatePartitions

    def create_partitions(
        self, image: MetadataImage, request: CreatePartitionsRequest
    ) -> Decision[CreatePartitionsResponse]:
        entries: dict[str, CreatePartitionsTopic] = {}
        duplicates: dict[str, None] = {}
        for topic in request.topics:
            if topic.name in entries:
                duplicates[topic.name] = None
            entries[topic.name] = topic
        for name in duplicates:
            del entries[name]
        if entries and request.timeout <= 0:
            return refuse_create_partitions(request, ErrorCode.REQUEST_TIMED_OUT)
        results = [
            CreatePartitionsTopicResult(
                name=name,
                error_code=ErrorCode.INVALID_REQUEST,
                error_message="Duplicate topic name.",
            )
            for name in duplicates
        ]
        records: list[Message] = []
        for name, topic in entries.items():
            result = CreatePartitionsTopicResult(name=name)
            results.append(result)
            try:
                records += self._more_partitions(image, topic, MAX_RECORDS_PER_REQUEST - len(records))
            except ApiError as error:
                result.error_code = error.code
                result.error_message = error.message
        return Decision([] if request.validate_only else records, CreatePartitionsResponse(results=results))

    def _more_partitions(
        self, image: MetadataImage, request: CreatePartitionsTopic, room: int
    ) -> list[Message]:
        topic = image.topics.get(request.name)
        if topic is None:
            raise ApiError(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
        current = len(topic.partitions)
        if request.count == current:
            raise ApiError(ErrorCode.INVALID_PARTITIONS, f"Topic already has {current} partition(s).")
        if request.count < current:
            raise ApiError(
                ErrorCode.INVALID_PARTITIONS,
                f"The topic {request.name} currently has {current} partition(s); {request.count} would not "
                "be an increase.",
            )
        added = request.count - current
        assignments = request.assignments
        if assignments is not None and len(assignments) != added:
            raise ApiError(
                ErrorCode.INVALID_REPLICA_ASSIGNMENT,
                f"Attempted to add {added} additional partition(s), but only {len(assignments)} "
                "assignment(s) were specified.",
            )
        if added > room:
            # Kafka has no word for it here, and makes a part of the partitions all the same.
            raise ApiError(ErrorCode.UNKNOWN_SERVER_ERROR)
        factor = len(topic.partitions[0].replicas)
        if assignments is not None:
            for assignment in assignments:
                check_assignment(assignment.broker_ids, image.brokers, factor)
            lists = [tuple(assignment.broker_ids) for assignment in assignments]
        else:
            lists = place(image.brokers, added, factor, self._rng)
        return [
            partition_record(topic.topic_id, index, new_partition(index, replicas, image.brokers))
            for index, replicas in enumerate(lists, current)
        ]

    # DeleteTopics

    def delete(
        self, image: MetadataImage, request: DeleteTopicsRequest, version: int
    ) -> Decision[DeleteTopicsResponse]:
        if not self._settings.static["delete.topic.enable"]:
            code = ErrorCode.TOPIC_DELETION_DISABLED if version >= 3 else ErrorCode.INVALID_REQUEST
            return refuse_delete(request, code, "Topic deletion is disabled.")
        results: list[DeletableTopicResult] = []
        names: dict[str, int] = {}
        ids: dict[bytes, int] = {}
        entries = _delete_entries(request)
        for entry in entries:
            has_id = entry.topic_id != _ZERO_ID
            if entry.name is None and not has_id:
                results.append(_not_deleted(entry, "Neither topic name nor id were specified."))
            elif entry.name is not None and has_id:
                results.append(_not_deleted(entry, "You may not specify both topic name and topic id."))
            elif entry.name is not None:
                names[entry.name] = names.get(entry.name, 0) + 1
            else:
                ids[entry.topic_id] = ids.get(entry.topic_id, 0) + 1
        # Kafka looks at the clock only when something is left to decide.
        if request.timeout <= 0 and (1 in names.values() or 1 in ids.values()):
            return refuse_delete(request, ErrorCode.REQUEST_TIMED_OUT)
        records: list[Message] = []
        for topic_id, count in ids.items():
            topic = image.topics_by_id.get(topic_id)
            result = DeletableTopicResult(name=None, topic_id=topic_id)
            if count > 1:
                result.error_code = ErrorCode.INVALID_REQUEST
                result.error_message = "Duplicate topic id."
            elif topic is None:
                result.error_code = ErrorCode.UNKNOWN_TOPIC_ID
                result.error_message = "This server does not host this topic ID."
            elif names.get(topic.name) == 1:
                # Answered below, under its name.
                continue
            else:
                result.name = topic.name
                records.append(RemoveTopicRecord(topic_id=topic_id))
            results.append(result)
        for name, count in names.items():
            topic = image.topics.get(name)
            result = DeletableTopicResult(name=name)
            if count > 1:
                result.error_code = ErrorCode.INVALID_REQUEST
                result.error_message = "Duplicate topic name."
            elif topic is None:
                result.error_code = ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
                result.error_message = "This server does not host this topic-partition."
            elif topic.topic_id in ids:
                result.topic_id = topic.topic_id
                result.error_code = ErrorCode.INVALID_REQUEST
                result.error_message = "The provided topic name maps to an ID that was already supplied."
            else:
                result.topic_id = topic.topic_id
                records.append(RemoveTopicRecord(topic_id=topic.topic_id))
            results.append(result)
        return Decision(records, DeleteTopicsResponse(responses=results))


def _checked_configs(entries: list[CreatableTopicConfig], config: BrokerConfig) -> dict[str, str]:
    """The overrides of a new topic; the last of several with one name counts."""
    without_value = [entry.name for entry in entries if entry.value is None]
    if without_value:
        names = ",".join(without_value)
        raise ApiError(ErrorCode.INVALID_CONFIG, f"Null value not supported for topic configs: {names}")
    configs = {entry.name: entry.value for entry in entries if entry.value is not None}
    validate_topic_configs(configs, config)
    return configs


def _failed(name: str, code: int, message: str | None) -> CreatableTopicResult:
    return CreatableTopicResult(name=name, error_code=code, error_message=message)


def _not_deleted(entry: DeleteTopicState, message: str) -> DeletableTopicResult:
    return DeletableTopicResult(
        name=entry.name,
        topic_id=entry.topic_id,
        error_code=ErrorCode.INVALID_REQUEST,
        error_message=message,
    )


def _delete_entries(request: DeleteTopicsRequest) -> list[DeleteTopicState]:
    """Below v6 the request has names only."""
    return [*request.topics, *(DeleteTopicState(name=name) for name in request.topic_names)]


def refuse_create(
    request: CreateTopicsRequest, code: int, message: str | None = None
) -> Decision[CreateTopicsResponse]:
    """The whole request fails: every entry is answered, also repeated ones."""
    return Decision(
        [], CreateTopicsResponse(topics=[_failed(topic.name, code, message) for topic in request.topics])
    )


def refuse_create_partitions(
    request: CreatePartitionsRequest, code: int, message: str | None = None
) -> Decision[CreatePartitionsResponse]:
    results = [
        CreatePartitionsTopicResult(name=topic.name, error_code=code, error_message=message)
        for topic in request.topics
    ]
    return Decision([], CreatePartitionsResponse(results=results))


def refuse_delete(
    request: DeleteTopicsRequest, code: int, message: str | None = None
) -> Decision[DeleteTopicsResponse]:
    responses = [
        DeletableTopicResult(name=entry.name, topic_id=entry.topic_id, error_code=code, error_message=message)
        for entry in _delete_entries(request)
    ]
    return Decision([], DeleteTopicsResponse(responses=responses))
