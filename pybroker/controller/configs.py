"""Decisions about configuration overrides: IncrementalAlterConfigs and AlterConfigs.

In: the latest image and a wire request. Out: a `Decision`. What must hold: a resource changes entirely or not
at all; each resource of a request gets its own answer; the rules about single names and values are those of
`common.config.validation`, here are only those about operations, resources and their levels.

The resources go through two gates, as in Kafka: what this broker checks (`_gate`), then what the controller
checks (`_altered`). Which gate refuses decides the error code.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final, NamedTuple

from pybroker.common.config import TOPIC_KEYS, ConfigKey, ConfigType
from pybroker.common.config.loggers import ProcessLoggers
from pybroker.common.config.names import KAFKA_KEYS
from pybroker.common.config.validation import (
    validate_broker_configs,
    validate_client_metrics_configs,
    validate_group_configs,
    validate_topic_configs,
)
from pybroker.common.errors import ApiError, ErrorCode
from pybroker.controller.broker_settings import BrokerSettings
from pybroker.controller.decision import Decision
from pybroker.controller.topic_names import topic_name_problem
from pybroker.metadata.features import ELIGIBLE_LEADER_REPLICAS
from pybroker.metadata.image import (
    BROKER_LOGGER_RESOURCE,
    BROKER_RESOURCE,
    CLIENT_METRICS_RESOURCE,
    GROUP_RESOURCE,
    TOPIC_RESOURCE,
    Configs,
    MetadataImage,
)
from pybroker.wire.message import Message
from pybroker.wire.messages.alter_configs import AlterConfigsRequest, AlterConfigsResponse
from pybroker.wire.messages.alter_configs import AlterConfigsResourceResponse as FullResult
from pybroker.wire.messages.incremental_alter_configs import (
    AlterConfigsResourceResponse,
    IncrementalAlterConfigsRequest,
    IncrementalAlterConfigsResponse,
)
from pybroker.wire.schemas.metadata_records import ClearElrRecord, ConfigRecord

SET: Final = 0
DELETE: Final = 1
APPEND: Final = 2
SUBTRACT: Final = 3
_OPERATIONS: Final = {APPEND: "append", SUBTRACT: "subtract"}

MAX_VALUE_LENGTH: Final = 32767
_MIN_INSYNC_REPLICAS: Final = "min.insync.replicas"
# What Java's Integer.parseInt takes.
_NODE_ID: Final = re.compile(r"[+-]?[0-9]{1,100}", re.ASCII)


class _Entry(NamedTuple):
    name: str
    operation: int
    value: str | None


class _Change(NamedTuple):
    """One resource of either request."""

    resource_type: int
    name: str
    entries: list[_Entry]
    replace_all: bool


class _Answer(NamedTuple):
    code: int
    message: str | None


_GOOD: Final = _Answer(ErrorCode.NONE, None)


class ConfigControl:
    """Decides about overrides. `loggers` are the log levels of this process, which no record holds."""

    __slots__ = ("_loggers", "_node_id", "_settings")

    def __init__(self, settings: BrokerSettings, loggers: ProcessLoggers) -> None:
        self._settings = settings
        self._node_id = settings.static.node_id
        self._loggers = loggers

    def alter_incrementally(
        self, image: MetadataImage, request: IncrementalAlterConfigsRequest, *, from_client: bool = True
    ) -> Decision[IncrementalAlterConfigsResponse]:
        """`from_client`: of this broker. Else another broker has looked at it, or nobody has to."""
        changes = _incremental_changes(request)
        records, answers = self._decide(image, changes, request.validate_only, from_client)
        responses = [_incremental_result(*pair) for pair in zip(changes, answers, strict=True)]
        return Decision(records, IncrementalAlterConfigsResponse(responses=responses))

    def replace(
        self, image: MetadataImage, request: AlterConfigsRequest, *, from_client: bool = True
    ) -> Decision[AlterConfigsResponse]:
        changes = _full_changes(request)
        records, answers = self._decide(image, changes, request.validate_only, from_client)
        responses = [_full_result(*pair) for pair in zip(changes, answers, strict=True)]
        return Decision(records, AlterConfigsResponse(responses=responses))

    def answer_here(
        self, image: MetadataImage, request: IncrementalAlterConfigsRequest
    ) -> list[AlterConfigsResourceResponse | None]:
        """What this broker answers by itself, resource by resource; None: the controller is to be asked."""
        changes = _incremental_changes(request)
        answers = self._gate_all(image, changes, request.validate_only, from_client=True)
        return [
            None if answer is None else _incremental_result(change, answer)
            for change, answer in zip(changes, answers, strict=True)
        ]

    def answer_full_here(self, image: MetadataImage, request: AlterConfigsRequest) -> list[FullResult | None]:
        """As `answer_here`."""
        changes = _full_changes(request)
        answers = self._gate_all(image, changes, request.validate_only, from_client=True)
        return [
            None if answer is None else _full_result(change, answer)
            for change, answer in zip(changes, answers, strict=True)
        ]

    def _gate_all(
        self, image: MetadataImage, changes: Sequence[_Change], validate_only: bool, from_client: bool
    ) -> list[_Answer | None]:
        seen: dict[tuple[int, str], int] = {}
        for change in changes:
            key = (change.resource_type, change.name)
            seen[key] = seen.get(key, 0) + 1
        answers: list[_Answer | None] = []
        for change in changes:
            if seen[change.resource_type, change.name] > 1:
                message = "Each resource must appear at most once."
                answers.append(_Answer(ErrorCode.INVALID_REQUEST, message))
            else:
                answers.append(self._gate(image, change, validate_only, from_client))
        return answers

    def _decide(
        self, image: MetadataImage, changes: Sequence[_Change], validate_only: bool, from_client: bool
    ) -> tuple[list[Message], list[_Answer]]:
        answers = self._gate_all(image, changes, validate_only, from_client)
        if any(
            answer is None and not SET <= entry.operation <= SUBTRACT
            for change, answer in zip(changes, answers, strict=True)
            for entry in change.entries
        ):
            # An operation without a name breaks the whole batch that goes to the controller.
            broken = _Answer(ErrorCode.UNKNOWN_SERVER_ERROR, None)
            return [], [broken if answer is None else answer for answer in answers]
        records: list[Message] = []
        final: list[_Answer] = []
        for change, answer in zip(changes, answers, strict=True):
            if answer is None:
                try:
                    records += self._altered(image, change)
                    answer = _GOOD
                except ApiError as error:
                    answer = _Answer(error.code, error.message)
            final.append(answer)
        return [] if validate_only else records, final

    # The broker's gate

    def _gate(
        self, image: MetadataImage, change: _Change, validate_only: bool, from_client: bool
    ) -> _Answer | None:
        """The answer, when the broker itself can give it; None when the controller is to decide."""
        try:
            _check_entries(change.entries)
            if change.resource_type == BROKER_LOGGER_RESOURCE and not change.replace_all:
                return self._alter_loggers(change, validate_only=validate_only)
            if change.resource_type == BROKER_RESOURCE:
                # The settings of another broker are that broker's to judge.
                if from_client:
                    if change.name:
                        self._check_node_id(change.name, "Unexpected broker id, expected {}, but received {}")
                    self._check_broker_change(image, change)
            elif change.resource_type not in (TOPIC_RESOURCE, CLIENT_METRICS_RESOURCE, GROUP_RESOURCE):
                raise ApiError(ErrorCode.INVALID_REQUEST, f"Unknown resource type {change.resource_type}")
        except ApiError as error:
            return _Answer(error.code, error.message)
        return None

    def _check_node_id(self, name: str, message: str) -> None:
        if not _NODE_ID.fullmatch(name) or not -(1 << 31) <= int(name) < 1 << 31:
            raise ApiError(ErrorCode.INVALID_REQUEST, f"Node id must be an integer, but it is: {name}")
        if int(name) != self._node_id:
            raise ApiError(ErrorCode.INVALID_REQUEST, message.format(self._node_id, int(name)))

    def _alter_loggers(self, change: _Change, *, validate_only: bool) -> _Answer:
        self._check_node_id(change.name, "Unexpected node id. Expected {}, but received {}")
        if any(not SET <= entry.operation <= SUBTRACT for entry in change.entries):
            return _Answer(ErrorCode.UNKNOWN_SERVER_ERROR, None)
        self._loggers.alter(change.entries, validate_only=validate_only)
        return _GOOD

    def _check_broker_change(self, image: MetadataImage, change: _Change) -> None:
        """What a broker makes of its own new settings; its words about lists are not the controller's."""
        stored = image.config(BROKER_RESOURCE, change.name)
        configs = {} if change.replace_all else dict(stored)
        for name, operation, value in change.entries:
            if operation == DELETE:
                configs.pop(name, None)
                continue
            if operation in _OPERATIONS:
                key = KAFKA_KEYS.get(name)
                if key is None:
                    raise ApiError(ErrorCode.INVALID_CONFIG, f"Unknown config name: {name}")
                if key.type is not ConfigType.LIST:
                    raise ApiError(
                        ErrorCode.INVALID_CONFIG,
                        f"Config value {_OPERATIONS[operation]} is not allowed for config key: {name}",
                    )
                value = _list_value(key.default_text, stored.get(name), operation, value or "")
            elif operation != SET:
                raise ApiError(ErrorCode.INVALID_REQUEST, f"Unknown operations type {operation}")
            configs[name] = value or ""
        validate_broker_configs(configs, bool(change.name), self._settings.of(image))

    # The controller's gate

    def _altered(self, image: MetadataImage, change: _Change) -> list[Message]:
        resource_type, resource_name = change.resource_type, change.name
        stored = image.config(resource_type, resource_name)
        wanted: dict[str, str | None] = {}
        for name, operation, value in change.entries:
            if operation == DELETE:
                wanted[name] = None
            elif operation == SET:
                wanted[name] = value
            else:
                key = _list_key(resource_type, name)
                if key is None:
                    verb = _OPERATIONS[operation].upper()
                    raise ApiError(
                        ErrorCode.INVALID_CONFIG,
                        f"Can't {verb} to key {name} because its type is not LIST.",
                    )
                wanted[name] = _list_value(key.default_text, stored.get(name), operation, value or "")
        if change.replace_all:
            for name in stored:
                wanted.setdefault(name, None)
        records: list[Message] = []
        configs = dict(stored)
        for name, new in wanted.items():
            if new is None:
                configs.pop(name, None)
            else:
                if len(new.encode()) > MAX_VALUE_LENGTH:
                    raise ApiError(
                        ErrorCode.INVALID_CONFIG,
                        "The configuration value cannot be added because it exceeds the maximum value size "
                        f"of {MAX_VALUE_LENGTH} bytes.",
                    )
                configs[name] = new
            # A broker is told again also what it knows: it may have to reload a file of the same name.
            if stored.get(name) != new or resource_type == BROKER_RESOURCE:
                records.append(
                    ConfigRecord(
                        resource_type=resource_type, resource_name=resource_name, name=name, value=new
                    )
                )
        self._check_min_insync_replicas(image, change, records)
        self._check_resource(image, resource_type, resource_name, configs)
        return records + self._cleared_elr(image, resource_type, resource_name, records)

    def _check_min_insync_replicas(
        self, image: MetadataImage, change: _Change, records: Sequence[Message]
    ) -> None:
        """With ELR the cluster-wide minimum is what elections count on, so it is always there (KIP-966)."""
        if change.resource_type != BROKER_RESOURCE or not image.features.get(ELIGIBLE_LEADER_REPLICAS):
            return
        for record in records:
            if not isinstance(record, ConfigRecord) or record.name != _MIN_INSYNC_REPLICAS:
                continue
            if change.name:
                raise ApiError(
                    ErrorCode.INVALID_CONFIG,
                    f"Broker-level {_MIN_INSYNC_REPLICAS} cannot be altered while ELR is enabled.",
                )
            if record.value is None:
                raise ApiError(
                    ErrorCode.INVALID_CONFIG,
                    f"Cluster-level {_MIN_INSYNC_REPLICAS} cannot be removed while ELR is enabled.",
                )

    def _check_resource(self, image: MetadataImage, resource_type: int, name: str, configs: Configs) -> None:
        if resource_type == TOPIC_RESOURCE:
            if not name:
                raise ApiError(ErrorCode.INVALID_REQUEST, "Default topic resources are not allowed.")
            problem = topic_name_problem(name)
            if problem is not None:
                raise ApiError(ErrorCode.INVALID_TOPIC_EXCEPTION, problem)
            validate_topic_configs(configs, self._settings.of(image))
            if name not in image.topics:
                raise ApiError(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, f"The topic '{name}' does not exist.")
        elif resource_type == GROUP_RESOURCE:
            if not name:
                raise ApiError(ErrorCode.INVALID_REQUEST, "Default group resources are not allowed.")
            validate_group_configs(configs, self._settings.of(image))
        elif resource_type == CLIENT_METRICS_RESOURCE:
            if not name:
                raise ApiError(ErrorCode.INVALID_REQUEST, "Subscription name can't be empty")
            validate_client_metrics_configs(configs)

    def _cleared_elr(
        self, image: MetadataImage, resource_type: int, name: str, records: Sequence[Message]
    ) -> list[Message]:
        """A new minimum makes what is known about eligible replicas worthless, where there is any."""
        if resource_type not in (TOPIC_RESOURCE, BROKER_RESOURCE) or not any(
            isinstance(record, ConfigRecord) and record.name == _MIN_INSYNC_REPLICAS for record in records
        ):
            return []
        topics = [image.topics[name]] if resource_type == TOPIC_RESOURCE else image.topics.values()
        known = any(
            partition.eligible_leader_replicas or partition.last_known_elr
            for topic in topics
            for partition in topic.partitions
        )
        return [ClearElrRecord(topic_name=name if resource_type == TOPIC_RESOURCE else "")] if known else []


def _list_key(resource_type: int, name: str) -> ConfigKey | None:
    """The key of a list that the controller knows, which are those of topics and brokers."""
    keys = {TOPIC_RESOURCE: TOPIC_KEYS, BROKER_RESOURCE: KAFKA_KEYS}.get(resource_type, {})
    key = keys.get(name)
    return key if key is not None and key.type is ConfigType.LIST else None


def _list_value(default: str | None, stored: str | None, operation: int, value: str) -> str:
    """The new value of a list; one that is not set starts from the built-in default."""
    parts = [part for part in ((default if stored is None else stored) or "").split(",") if part]
    operands = [part for part in value.split(",") if part]
    if operation == APPEND:
        parts += dict.fromkeys(part for part in operands if part not in parts)
    else:
        parts = [part for part in parts if part not in operands]
    return ",".join(parts)


def _incremental_changes(request: IncrementalAlterConfigsRequest) -> list[_Change]:
    return [
        _Change(
            resource.resource_type,
            resource.resource_name,
            [_Entry(config.name, config.config_operation, config.value) for config in resource.configs],
            False,
        )
        for resource in request.resources
    ]


def _full_changes(request: AlterConfigsRequest) -> list[_Change]:
    return [
        _Change(
            resource.resource_type,
            resource.resource_name,
            [_Entry(config.name, SET, config.value) for config in resource.configs],
            True,
        )
        for resource in request.resources
    ]


def _incremental_result(change: _Change, answer: _Answer) -> AlterConfigsResourceResponse:
    return AlterConfigsResourceResponse(
        error_code=answer.code,
        error_message=answer.message,
        resource_type=change.resource_type,
        resource_name=change.name,
    )


def _full_result(change: _Change, answer: _Answer) -> FullResult:
    return FullResult(
        error_code=answer.code,
        error_message=answer.message,
        resource_type=change.resource_type,
        resource_name=change.name,
    )


def _check_entries(entries: Sequence[_Entry]) -> None:
    if len({entry.name for entry in entries}) < len(entries):
        raise ApiError(ErrorCode.INVALID_REQUEST, "Error due to duplicate config keys")
    without_value = [entry.name for entry in entries if entry.value is None and entry.operation != DELETE]
    if without_value:
        raise ApiError(
            ErrorCode.INVALID_REQUEST, f"Null value not supported for : {', '.join(without_value)}"
        )


def refuse_incremental(
    request: IncrementalAlterConfigsRequest, code: int, message: str | None = None
) -> Decision[IncrementalAlterConfigsResponse]:
    responses = [
        AlterConfigsResourceResponse(
            error_code=code,
            error_message=message,
            resource_type=resource.resource_type,
            resource_name=resource.resource_name,
        )
        for resource in request.resources
    ]
    return Decision([], IncrementalAlterConfigsResponse(responses=responses))


def refuse_replace(
    request: AlterConfigsRequest, code: int, message: str | None = None
) -> Decision[AlterConfigsResponse]:
    responses = [
        FullResult(
            error_code=code,
            error_message=message,
            resource_type=resource.resource_type,
            resource_name=resource.resource_name,
        )
        for resource in request.resources
    ]
    return Decision([], AlterConfigsResponse(responses=responses))
