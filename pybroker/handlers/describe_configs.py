"""DescribeConfigs (key 32), versions 1-4.

Behaviour: each resource has its own answer; names that are unknown are left out without an error, and no
names at all ask for every one. Entries come sorted by name. A resource type that does not exist refuses the
whole request. Documentation is this broker's own, one sentence a name. Deviation: once the answer has about
8 MiB, the other resources get POLICY_VIOLATION.
"""

from __future__ import annotations

from typing import Final

from pybroker.common.config import BrokerConfig, ResourceType, describe
from pybroker.common.errors import ApiError, ErrorCode
from pybroker.controller.topic_names import topic_name_problem
from pybroker.handlers.context import Context, Request, Steps, in_slices
from pybroker.metadata.image import MetadataImage
from pybroker.wire.messages.describe_configs import (
    DescribeConfigsRequest,
    DescribeConfigsResource,
    DescribeConfigsResourceResult,
    DescribeConfigsResponse,
    DescribeConfigsResult,
    DescribeConfigsSynonym,
)

_TYPES = frozenset(ResourceType)

# Kafka's words for INVALID_REQUEST when a request cannot be made sense of at all.
_MALFORMED = (
    "This most likely occurs because of a request being malformed by the client library or the message was "
    "sent to an incompatible broker. See the broker logs for more details."
)

# A few bytes can ask for kilobytes, again and again.
_ANSWER_MAX_BYTES: Final = 8 * 1024 * 1024
_TOO_MUCH = f"The answer has more than {_ANSWER_MAX_BYTES} bytes: ask for fewer resources at a time."


@in_slices
def handle(context: Context, request: Request) -> Steps[DescribeConfigsResponse]:
    message: DescribeConfigsRequest = request.message
    if any(resource.resource_type not in _TYPES for resource in message.resources):
        refusal = ApiError(ErrorCode.INVALID_REQUEST, _MALFORMED)
        return DescribeConfigsResponse(
            results=[_result(resource, [], refusal) for resource in message.resources]
        )
    image = context.metadata
    config = effective_config(context.config, image, context.broker_id)
    results = []
    room = _ANSWER_MAX_BYTES
    for resource in message.resources:
        yield
        try:
            if room <= 0:
                raise ApiError(ErrorCode.POLICY_VIOLATION, _TOO_MUCH)
            entries = _entries(image, config, context.broker_id, resource)
            answers = [_answer(entry, message) for entry in entries]
            room -= sum(map(_size, answers))
            results.append(_result(resource, answers, None))
        except ApiError as error:
            results.append(_result(resource, [], error))
    return DescribeConfigsResponse(results=results)


def effective_config(config: BrokerConfig, image: MetadataImage, broker_id: int) -> BrokerConfig:
    """The configuration with the overrides of an image."""
    return config.with_dynamic(
        image.config(ResourceType.BROKER, str(broker_id)), image.config(ResourceType.BROKER, "")
    )


def _entries(
    image: MetadataImage, config: BrokerConfig, broker_id: int, resource: DescribeConfigsResource
) -> list[describe.ConfigEntry]:
    kind, name, wanted = resource.resource_type, resource.resource_name, resource.configuration_keys
    if kind == ResourceType.TOPIC:
        problem = topic_name_problem(name)
        if problem is not None:
            raise ApiError(ErrorCode.INVALID_TOPIC_EXCEPTION, problem)
        if name not in image.topics:
            raise ApiError(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, "")
        return describe.describe_topic(config, image.config(kind, name), wanted)
    if kind == ResourceType.BROKER:
        if not name:
            return describe.describe_cluster(config, wanted)
        _check_broker_id(name, broker_id, f"expected {broker_id} or empty string, but received")
        return describe.describe_broker(config, wanted)
    if kind == ResourceType.BROKER_LOGGER:
        if not name:
            raise ApiError(ErrorCode.INVALID_REQUEST, "Broker id must not be empty")
        _check_broker_id(name, broker_id, f"expected {broker_id} but received")
        return describe.describe_broker_loggers(wanted)
    if kind == ResourceType.CLIENT_METRICS:
        if not name:
            raise ApiError(ErrorCode.INVALID_REQUEST, "Client metrics subscription name must not be empty")
        return describe.describe_client_metrics(image.config(kind, name), wanted)
    if not name:
        raise ApiError(ErrorCode.INVALID_REQUEST, "Group name must not be empty")
    return describe.describe_group(config, image.config(kind, name), wanted)


def _check_broker_id(name: str, broker_id: int, expectation: str) -> None:
    digits = name[1:] if name[0] in "+-" else name
    is_number = digits.isascii() and digits.isdigit() and len(digits) <= 100
    if not is_number or not -(1 << 31) <= int(name) < 1 << 31:
        raise ApiError(ErrorCode.INVALID_REQUEST, f"Broker id must be an integer, but it is: {name}")
    if int(name) != broker_id:
        raise ApiError(ErrorCode.INVALID_REQUEST, f"Unexpected broker id, {expectation} {name}")


def _answer(entry: describe.ConfigEntry, message: DescribeConfigsRequest) -> DescribeConfigsResourceResult:
    synonyms = [
        DescribeConfigsSynonym(name=synonym.name, value=synonym.value, source=synonym.source)
        for synonym in (entry.synonyms if message.include_synonyms else ())
    ]
    # A broker logger has an empty documentation, asked for or not.
    documented = message.include_documentation or entry.documentation == ""
    return DescribeConfigsResourceResult(
        name=entry.name,
        value=entry.value,
        read_only=entry.read_only,
        config_source=entry.source,
        is_sensitive=entry.sensitive,
        synonyms=synonyms,
        config_type=entry.config_type,
        documentation=entry.documentation if documented else None,
    )


def _size(answer: DescribeConfigsResourceResult) -> int:
    """About what it takes on the wire."""
    return 64 + len(answer.documentation or "") + 64 * len(answer.synonyms)


def _result(
    resource: DescribeConfigsResource, answers: list[DescribeConfigsResourceResult], error: ApiError | None
) -> DescribeConfigsResult:
    return DescribeConfigsResult(
        error_code=ErrorCode.NONE if error is None else error.code,
        error_message="" if error is None else error.message,
        resource_type=resource.resource_type,
        resource_name=resource.resource_name,
        configs=answers,
    )
